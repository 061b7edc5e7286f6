//! The order of events of a benchmark: start the targets, measure group by group with the targets taking turns,
//! print. Turns within a round are what makes ratios hold on a machine whose speed wanders.

use std::path::Path;
use std::time::Duration;

use super::Mcp;
use super::cases::{Group, Target, groups};
use super::child::{self, Guard};
use super::load::Sample;
use super::proc;
use super::report::{self, Facts, Report, Row};
use super::targets::{self, Running, SERVERS, Upstreams, statistics};
use super::weight;
use super::wire::{Era, Work};
use crate::command::Outcome;

/// Load before the window opens.
const WARMUP: Duration = Duration::from_millis(500);
/// What a run may take beyond warm-up and window: opening, closing, starting.
const SLACK: Duration = Duration::from_secs(30);
/// Between the first answer and the look at idle memory.
const SETTLING: Duration = Duration::from_secs(1);
/// A load average from which on others disturb the measurement.
const BUSY: f64 = 1.5;
/// How often the start is timed, at most.
const STARTS: u16 = 5;

type Failure = Box<dyn std::error::Error>;

/// All programs of one benchmark. Their guards end them in whatever way this is left.
struct Stage {
    upstreams: Upstreams,
    nginx: Option<Running>,
    gateway: Option<Running>,
    replicas: Option<[Running; 2]>,
    crowd: Option<Running>,
    _legacy: Guard,
    _modern: Guard,
}

/// How a target is reached, and whose CPU time counts.
struct Reach {
    address: String,
    path: String,
    watch: Vec<u32>,
    session_at: Option<String>,
    prefix: String,
}

/// Measures and reports.
pub(crate) async fn measure(mcp: &Mcp) -> Outcome {
    let pattern = regex_lite::Regex::new(&mcp.case)?;
    let groups = groups(&pattern);
    let weights = weight::cases(&pattern);
    if groups.is_empty() && weights.is_empty() {
        return Err("no case matches".into());
    }
    let (runs, window) = if mcp.quick { (1, 1) } else { (mcp.runs, mcp.seconds) };
    let window = Duration::from_secs(u64::from(window));
    let folder = tempfile::tempdir()?;
    let (mut stage, facts) = set_up(mcp, folder.path(), runs.min(STARTS)).await?;
    let is_hopping = groups.iter().any(|group| group.targets.contains(&Target::Hop));
    if let (true, Some(program)) = (is_hopping, &mcp.gateway) {
        stage.replicas = Some(targets::replicas(program, folder.path(), &stage.upstreams).await?);
    }
    let is_crowded = groups.iter().any(|group| group.targets.contains(&Target::All));
    if let (true, Some(program)) = (is_crowded, &mcp.gateway) {
        stage.crowd = Some(targets::crowd(program, folder.path(), &stage.upstreams).await?);
    }
    let mut report = Report::new(facts, runs, window);
    for group in &groups {
        report.rows.extend(measure_group(&stage, group, runs, window).await?);
    }
    // Last, because what they leave in the gateway's memory belongs to no other case.
    for case in weights {
        if let Some(Running { guard, address, .. }) = &stage.gateway {
            report.facts.weights.push(weight::weigh(case, address, guard.pid(), window).await?);
        }
    }
    let replicas = stage.replicas.into_iter().flatten();
    for running in [stage.gateway, stage.nginx, stage.crowd].into_iter().flatten().chain(replicas) {
        running.guard.stop().await;
    }
    println!("{report}");
    if let Some(file) = &mcp.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)?;
    }
    report.verdict(mcp.strict)
}

/// Starts everything; the gateway several times, to time its start.
async fn set_up(mcp: &Mcp, folder: &Path, starts: u16) -> Result<(Stage, Facts), Failure> {
    let (legacy_guard, legacy) = child::upstream("legacy").await?;
    let (modern_guard, modern) = child::upstream("modern").await?;
    let upstreams = Upstreams { legacy, modern };
    let mut facts = Facts::default();
    facts.notes.extend(proc::load_average().filter(|load| *load > BUSY).map(|load| {
        format!("others were at work (load average {load} at the start): repeat this on a quiet machine")
    }));
    let nginx = match targets::find_nginx() {
        Some(program) => Some(targets::nginx(&program, folder, &upstreams).await?),
        None => {
            facts.notes.push(
                "nginx is not installed, so there is no yardstick and no verdict: `apt-get install nginx-light`"
                    .to_owned(),
            );
            None
        }
    };
    let mut gateway = None;
    if let Some(program) = &mcp.gateway {
        let mut times = Vec::new();
        for _ in 0..starts {
            if let Some(Running { guard, .. }) = gateway.take() {
                guard.stop().await;
            }
            let running = targets::gateway(program, folder, &upstreams).await?;
            times.push(running.start.as_secs_f64() * 1000.0);
            gateway = Some(running);
        }
        tokio::time::sleep(SETTLING).await;
        let pids = gateway.iter().flat_map(|running| proc::tree(running.guard.pid())).collect::<Vec<_>>();
        facts.start_ms = report::median(times);
        facts.idle_mib = Some(report::precise(proc::resident_kib(&pids)) / 1024.0);
        facts.binary_mb = Some(report::precise(std::fs::metadata(program)?.len()) / 1e6);
    }
    let (replicas, crowd, _legacy, _modern) = (None, None, legacy_guard, modern_guard);
    Ok((Stage { upstreams, nginx, gateway, replicas, crowd, _legacy, _modern }, facts))
}

/// Measures the targets of one group in turns.
async fn measure_group(
    stage: &Stage,
    group: &Group,
    runs: u16,
    window: Duration,
) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = group
        .targets
        .iter()
        .filter(|target| stage.has(**target))
        .map(|target| Row::new(group, *target))
        .collect();
    for run in 0..runs {
        for row in &mut rows {
            let before = stage.lists(row.target).await?;
            let sample = sample(stage, group, row.target, window).await?;
            row.upstream_lists += stage.lists(row.target).await? - before;
            eprintln!("{:>2}/{runs} {}", run + 1, report::progress(&row.name, &sample));
            row.samples.push(sample);
        }
    }
    report::relate(group, &mut rows);
    Ok(rows)
}

/// One run of the load generator.
async fn sample(stage: &Stage, group: &Group, target: Target, window: Duration) -> Result<Sample, Failure> {
    let Reach { address, path, watch, session_at, prefix } = stage.reach(target, group)?;
    let (connections, rate) = group.press.shape();
    let mut arguments = vec![
        format!("--target={address}"),
        format!("--path={path}"),
        format!("--prefix={prefix}"),
        format!("--era={}", group.client.name()),
        format!("--work={}", group.work.name()),
        format!("--connections={connections}"),
        format!("--warmup={}", WARMUP.as_millis()),
        format!("--window={}", window.as_millis()),
    ];
    arguments.extend(rate.map(|rate| format!("--rate={rate}")));
    arguments.extend(watch.into_iter().map(|pid| format!("--watch={pid}")));
    arguments.extend(session_at.map(|owner| format!("--session-at={owner}")));
    let printed = child::load(&arguments, WARMUP + window + SLACK).await?;
    Ok(serde_json::from_slice(&printed)?)
}

impl Stage {
    fn has(&self, target: Target) -> bool {
        match target {
            Target::Direct => true,
            Target::Nginx => self.nginx.is_some(),
            Target::Gateway(_) => self.gateway.is_some(),
            Target::Owner | Target::Hop => self.replicas.is_some(),
            Target::One | Target::All => self.crowd.is_some(),
        }
    }

    /// How the client of this group reaches a target.
    fn reach(&self, target: Target, group: &Group) -> Result<Reach, Failure> {
        let client = group.client;
        let prefix =
            if target == Target::All { format!("{}_", targets::server_name(0)) } else { String::new() };
        let (running, path) = match target {
            Target::Direct => {
                let address = self.upstreams.address(client).to_owned();
                return Ok(Reach {
                    address,
                    path: "/mcp".into(),
                    watch: Vec::new(),
                    session_at: None,
                    prefix,
                });
            }
            Target::Owner | Target::Hop => return self.replica(target),
            Target::Nginx => (&self.nginx, format!("/{}", client.name())),
            Target::Gateway(server) => (&self.gateway, format!("/mcp/{}", server.name())),
            Target::One => (&self.crowd, format!("/mcp/{}", targets::server_name(0))),
            Target::All => (&self.crowd, "/mcp".to_owned()),
        };
        let running = running.as_ref().ok_or("the target does not run")?;
        let (address, watch) = (running.address.clone(), vec![running.guard.pid()]);
        Ok(Reach { address, path, watch, session_at: None, prefix })
    }

    /// Sessions belong to the first replica; the second is where the calls of a hop go. Both cost.
    fn replica(&self, target: Target) -> Result<Reach, Failure> {
        let [owner, other] = self.replicas.as_ref().ok_or("the replicas do not run")?;
        let address = if target == Target::Hop { &other.address } else { &owner.address }.clone();
        Ok(Reach {
            address,
            path: "/mcp/legacy".into(),
            watch: vec![owner.guard.pid(), other.guard.pid()],
            session_at: Some(owner.address.clone()),
            prefix: String::new(),
        })
    }

    /// How many lists the upstream behind the gateway has been asked for.
    async fn lists(&self, target: Target) -> Result<u64, Failure> {
        match target {
            Target::Gateway(server) => Ok(statistics(self.upstreams.address(server)).await?.list),
            Target::All => Ok(statistics(self.upstreams.address(Era::Modern)).await?.list),
            Target::Direct | Target::Nginx | Target::Owner | Target::Hop | Target::One => Ok(0),
        }
    }
}

/// Whether the lists of a row can have come from the catalogue: each upstream may see one for each of its lifetimes of
/// 60 s, and the very first.
pub(crate) fn is_from_catalogue(work: Work, target: Target, lists: u64, seconds: f64) -> bool {
    let upstreams = if target == Target::All { SERVERS } else { 1 };
    work != Work::List || report::precise(lists) <= report::precise(upstreams) * (1.0 + seconds / 60.0)
}

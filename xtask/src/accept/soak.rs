//! `cargo xtask accept soak`: callers of both eras use servers that die, hang, talk nonsense, break off and send 20 MiB
//! lines, through all doors and over all transports, while the
//! configuration keeps changing. Every request must get exactly one answer, a server that does no harm must never fail,
//! memory must be flat, and afterwards descriptors, threads and children must be back where they were.
#![expect(clippy::disallowed_methods, reason = "a developer's tool runs what it examines; none of it ships")]

pub(crate) mod client;
mod doors;
mod load;
pub(crate) mod mind;
pub(crate) mod server;
mod vitals;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::doors::{Door, Gate};
use self::load::{Caller, Pace, Tally};
use self::mind::Era;
use self::vitals::{Memory, Vitals};
use crate::accept::draw::Draw;
use crate::command::{self, Outcome, cargo};

/// Time for a program to listen, and for everything to be given back after the load.
const STARTING: Duration = Duration::from_secs(20);
const SETTLING: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Load before the first look: pools are filled, children started, buffers grown.
const WARMUP: Duration = Duration::from_secs(20);
/// Looks from one change of the configuration to the next.
const CHANGE: u32 = 15;
/// Callers of each server and era.
const EACH: u64 = 3;

/// How long, and of what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Minutes of load
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// The sequences of all callers come from this
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests per second of all callers together; 0: as many as they can
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// Examine this binary instead of building one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

/// Builds what is needed and runs.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let gateway = match &arguments.gateway {
        // Some of what runs it stands in another folder.
        Some(gateway) => gateway.canonicalize()?,
        None => {
            command::run(cargo(&["build", "--release", "--package", "portreeve"]))?;
            command::target_folder()?.join("release/portreeve")
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(soak(&gateway, arguments))
}

async fn soak(gateway: &Path, arguments: &Arguments) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (http, http_address) = faulty(&["--transport", "http"]).await?;
    let (modern, modern_address) = faulty(&["--transport", "http", "--era", "modern"]).await?;
    let (sse, sse_address) = faulty(&["--transport", "sse"]).await?;
    let address = free_address().await?;
    let own = std::env::current_exe()?.display().to_string();
    let stdio = format!(
        "{{command: \"{own}\", args: [soak-server, --transport, stdio], max_children: 4, {TIMEOUTS}}}"
    );
    let configuration = format!(
        "listen: {address}\nservers:\n  demo: {{builtin: demo}}\n  stdio: {stdio}\n  http: {{url: \"http://{http_address}/mcp\", {TIMEOUTS}}}\n  \
         modern: {{url: \"http://{modern_address}/mcp\", {TIMEOUTS}}}\n  sse: {{url: \"http://{sse_address}/sse\", transport: sse, {TIMEOUTS}}}\n"
    );
    let mut gate = start(gateway, folder.path(), &configuration, &address).await?;
    let pid = gate.id().ok_or("the gate ended at once")?;
    let place = Gate { address, binary: gateway.to_owned(), folder: folder.path().to_owned() };
    let load = Load { gate: place, pid, configuration, rate: arguments.rate };

    let seed = arguments.seed;
    println!("seed {seed}; {} callers; {} s of warm-up", callers(seed).len(), WARMUP.as_secs());
    load.run(WARMUP, seed.wrapping_add(1 << 32)).await?;
    let before = settled(pid, None).await;
    println!("before  {before}");
    let began = Instant::now();
    let length = Duration::from_secs_f64(arguments.minutes * 60.0);
    let (tally, seen) = load.run(length, seed).await?;
    let seconds = began.elapsed().as_secs_f64();
    println!("at once {}", Vitals::of(pid));
    let after = settled(pid, Some(&before)).await;
    println!("after   {after}");
    report(&tally, seconds);
    println!("memory  {seen}");
    let ended = end(&mut gate).await;
    drop((http, modern, sse));
    let mut worse = after.worse_than(&before);
    worse.extend(seen.growth());
    verdict(&tally, &worse, ended)
}

/// What the gate is put under.
struct Load {
    gate: Gate,
    pid: u32,
    configuration: String,
    rate: u32,
}

impl Load {
    /// All callers for a while, and changes of the configuration; what they saw together, and the gate's memory meanwhile.
    async fn run(&self, length: Duration, seed: u64) -> Result<(Tally, Memory), Box<dyn std::error::Error>> {
        let callers = callers(seed);
        let between = match self.rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(callers.len() as f64 / f64::from(rate)),
        };
        let pace = Pace { stop: Arc::new(AtomicBool::new(false)), between };
        let mut running = JoinSet::new();
        for caller in callers {
            running.spawn(load::run(self.gate.clone(), caller, pace.clone()));
        }
        let (began, mut seen, mut change) = (Instant::now(), Memory::default(), 0_u32);
        while began.elapsed() < length {
            sleep(LOOK).await;
            seen.look(self.pid);
            change += 1;
            if change.is_multiple_of(CHANGE) {
                self.change(change)?;
            }
        }
        pace.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(done) = running.join_next().await {
            all.add(done.unwrap_or_else(|error| Tally::broken(&error.to_string())));
        }
        Ok((all, seen))
    }

    /// Another server comes, changes and goes; the others stay as they are.
    fn change(&self, number: u32) -> std::io::Result<()> {
        let further = match number / CHANGE % 3 {
            0 => String::new(),
            other => format!("  more: {{builtin: demo, timeouts: {{call: {other}m}}}}\n"),
        };
        let (file, beside) = (self.gate.folder.join("portreeve.yaml"), self.gate.folder.join("beside"));
        std::fs::write(&beside, format!("{}{further}", self.configuration))?;
        std::fs::rename(beside, file)
    }
}

/// Short, so that a hanging server costs seconds.
const TIMEOUTS: &str = "timeouts: {connect: 2s, call: 3s, progress_cap: 10s, ask: 10s}";

/// Everybody who calls: each server in both eras, and the doors beside the servers' own addresses.
fn callers(seed: u64) -> Vec<Caller> {
    let mut draw = Draw::new(seed);
    let mut all = Vec::new();
    let mut add = |door, server, era, count| {
        let is_clean = server == "demo";
        all.extend((0..count).map(|_| Caller { door, server, era, is_clean, seed: draw.next() }));
    };
    for server in ["demo", "stdio", "http", "modern", "sse"] {
        for era in [Era::Legacy, Era::Modern] {
            add(Door::Server, server, era, EACH);
        }
    }
    for era in [Era::Legacy, Era::Modern] {
        add(Door::All, "demo", era, 1);
        add(Door::All, "http", era, 1);
        add(Door::Stdio, "demo", era, 1);
        add(Door::Stdio, "modern", era, 1);
    }
    for server in ["demo", "stdio"] {
        add(Door::Sse, server, Era::Legacy, 1);
        add(Door::Scripts, server, Era::Modern, 1);
    }
    all
}

/// Looks until nothing is worse than before (or, the first time, until nothing moves), but not for ever.
async fn settled(pid: u32, before: Option<&Vitals>) -> Vitals {
    let began = Instant::now();
    let mut last = Vitals::of(pid);
    let mut quiet = 0;
    while began.elapsed() < SETTLING {
        sleep(LOOK).await;
        let now = Vitals::of(pid);
        quiet = if now.same_things(&last) { quiet + 1 } else { 0 };
        last = now;
        let is_back = before.is_none_or(|before| last.worse_than(before).is_empty());
        // Five looks without a change: pools let go of idle things later than that only if they keep them for good.
        if quiet >= 5 && is_back {
            break;
        }
    }
    last
}

fn report(tally: &Tally, seconds: f64) {
    let Tally { requests, right, abandoned, errors, violations, first } = tally;
    println!("{requests} requests in {seconds:.0} s, {abandoned} more abandoned on purpose");
    println!("  {right} right answers");
    for (code, count) in errors {
        println!("  {count} times error {code}");
    }
    println!("  {violations} violations");
    for what in first {
        println!("    {what}");
    }
}

fn verdict(tally: &Tally, worse: &[String], ended: Result<(), String>) -> Outcome {
    let mut faults: Vec<String> = worse.to_vec();
    let answered = tally.right + tally.errors.values().sum::<u64>();
    if tally.violations > 0 {
        faults.push(format!("{} violations", tally.violations));
    }
    if tally.right == 0 || answered > tally.requests {
        faults.push(format!("{answered} answers to {} requests", tally.requests));
    }
    faults.extend(ended.err());
    if faults.is_empty() {
        println!("every request got exactly one answer, and everything was given back");
        return Ok(());
    }
    Err(faults.join("; ").into())
}

/// Starts one of the faulty servers; its first line of output is its address. It ends with its guard.
async fn faulty(arguments: &[&str]) -> Result<(Child, String), Box<dyn std::error::Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("soak-server").args(arguments).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    let stdout = child.stdout.take().ok_or("no stdout")?;
    timeout(STARTING, BufReader::new(stdout).read_line(&mut address)).await??;
    Ok((child, address.trim().to_owned()))
}

async fn free_address() -> std::io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

async fn start(
    gateway: &Path,
    folder: &Path,
    configuration: &str,
    address: &str,
) -> Result<Child, Box<dyn std::error::Error>> {
    let (file, log) = (folder.join("portreeve.yaml"), folder.join("gateway.log"));
    std::fs::write(&file, configuration)?;
    let output = std::fs::File::create(&log)?;
    let mut command = Command::new(gateway);
    command.arg("serve").arg("--config").arg(&file).arg("--data").arg(folder.join("data"));
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
    let mut child = command.spawn()?;
    let began = Instant::now();
    while began.elapsed() < STARTING && child.try_wait()?.is_none() {
        if TcpStream::connect(address).await.is_ok() {
            return Ok(child);
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(format!("the gate does not listen; its output:\n{}", std::fs::read_to_string(&log)?).into())
}

/// The gate ends when asked, with all its children.
async fn end(gate: &mut Child) -> Result<(), String> {
    let pid = gate.id().ok_or("the gate ended by itself")?;
    let children = crate::bench::proc::tree(pid);
    let target = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or("no process")?;
    rustix::process::kill_process(target, rustix::process::Signal::TERM)
        .map_err(|error| error.to_string())?;
    let status = timeout(STARTING, gate.wait()).await.map_err(|_| "the gate does not end on SIGTERM")?;
    let status = status.map_err(|error| error.to_string())?;
    let left = children.iter().filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).count();
    match (status.success(), left) {
        (true, 0) => Ok(()),
        (true, left) => Err(format!("{left} processes outlived the gate")),
        (false, _) => Err(format!("the gate ended with {status}")),
    }
}

//! Two replicas behind a balancer that decides about each request anew: clients of both eras call servers of both eras, are
//! asked in the middle and answer, while nothing happens, one replica is killed, or both are started anew in turn. The servers
//! write what happens into a file outside both, which is compared with what the clients were told.

mod balancer;
mod caller;
mod ledger;
mod sessions;

use crate::harness::{Gate, Running, portreeve, within};
use balancer::Balancer;
use caller::{Arrivals, Calls, End, LegacyCaller};
use ledger::{Ledger, Lines};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};

const CALLS: u64 = 2_000;
/// How many clients call at the same time.
const CLIENTS: u64 = 16;
/// How long a call may take to end in any way.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Redis server of the test's own, if this machine has one.
pub(super) struct Redis {
    _running: Running,
    port: u16,
    _directory: TempDir,
}

impl Redis {
    /// Starts it, if it is there.
    #[expect(clippy::disallowed_methods, reason = "where programs are is the environment's to say")]
    pub(super) async fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path)
            .flat_map(|folder| ["redis-server", "valkey-server"].map(|name| folder.join(name)))
            .find(|program| program.is_file())?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let arguments =
            ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let running = Running::start(&program, &arguments, directory.path());
        running.prints("Ready to accept connections").await;
        Some(Self { _running: running, port, _directory: directory })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// One replica: its ports stay when it is started anew.
pub(super) struct Replica {
    pub(super) gate: Option<Gate>,
    pub(super) address: SocketAddr,
    /// Where the other replicas reach it.
    pub(super) peers: SocketAddr,
    config: Value,
}

impl Replica {
    pub(super) async fn start(mut config: Value, coordinator: Option<&Redis>) -> Self {
        let (port, own) = (free_port(), free_port());
        config["listen"] = json!(format!("127.0.0.1:{port}"));
        config["seal"] = json!({"keys": ["replicas-of-one-gate-share-this-key"]});
        config["replicas"] = json!({"listen": format!("127.0.0.1:{own}")});
        if let Some(redis) = coordinator {
            config["replicas"]["coordinator"] = json!(redis.url());
        }
        config["log"] = json!({"format": "json", "level": "warn"});
        let [address, peers] = [port, own].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut replica = Self { gate: None, address, peers, config };
        replica.again().await;
        replica
    }

    pub(super) async fn again(&mut self) {
        let mut gate = Gate::of();
        for (key, value) in self.config.as_object().expect("a table") {
            gate = gate.set(key, value.clone());
        }
        self.gate = Some(gate.start().await);
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        let mut gate = self.gate.take().expect("it runs");
        gate.running.kill().await;
    }

    /// SIGTERM, and waits until it has ended well.
    pub(super) async fn end(&mut self) {
        self.gate.take().expect("it runs").end().await;
    }
}

/// What a run brought.
struct Run {
    ends: BTreeMap<u64, End>,
    lines: Lines,
    elsewhere: usize,
    arrivals: usize,
    /// Whether the replicas had a coordinator.
    coordinated: bool,
}

/// What happens to the replicas after this many calls have ended.
enum Event {
    Nothing,
    Kill,
    RollingRestart,
}

async fn run(event: Event) -> Run {
    let ledger = Ledger::open().await;
    let redis = Redis::start().await;
    let config = json!({
        "servers": {"legacy": ledger.legacy.config("auto"), "modern": ledger.modern.config("auto")},
        "limits": {"parked_per_principal": 1000},
    });
    let mut replicas =
        [Replica::start(config.clone(), redis.as_ref()).await, Replica::start(config, redis.as_ref()).await];
    let balancer = Balancer::start(replicas.iter().map(|replica| replica.address).collect()).await;
    let calls = Arc::new(Calls { balancer, arrivals: Arrivals::default() });
    let (sender, mut ended) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(client_of(client, calls.clone(), sender.clone()));
    }
    drop(sender);
    let mut ends = BTreeMap::new();
    while let Some((number, end)) = ended.recv().await {
        assert!(ends.insert(number, end).is_none(), "call {number} ended twice");
        if ends.len() as u64 == CALLS / 3 {
            disturb(&event, &mut replicas).await;
        }
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no client panics");
    }
    let load = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    let elsewhere = load(&calls.arrivals.elsewhere);
    let (coordinated, arrivals) = (redis.is_some(), elsewhere + load(&calls.arrivals.at_owner));
    Run { ends, lines: ledger.lines(), elsewhere, arrivals, coordinated }
}

async fn disturb(event: &Event, replicas: &mut [Replica; 2]) {
    match event {
        Event::Nothing => {}
        // As whatever runs the replicas would: the lost one is soon replaced by another process at its place.
        Event::Kill => {
            replicas[0].kill().await;
            replicas[0].again().await;
        }
        Event::RollingRestart => {
            for replica in replicas {
                replica.end().await;
                replica.again().await;
            }
        }
    }
}

/// Every fourth client is of one pair of eras.
async fn client_of(client: u64, calls: Arc<Calls>, ended: mpsc::UnboundedSender<(u64, End)>) {
    let path = if client.is_multiple_of(2) { "/mcp/legacy" } else { "/mcp/modern" };
    let mut legacy = (client % 4 < 2).then(|| LegacyCaller::new(calls.clone(), path));
    let mut number = client;
    while number < CALLS {
        let call = async {
            match &mut legacy {
                Some(legacy) => legacy.call(number).await,
                None => calls.modern(path, number).await,
            }
        };
        let end = within(PATIENCE, &format!("the end of call {number}"), call).await;
        if ended.send((number, end)).is_err() {
            return;
        }
        number += CLIENTS;
    }
}

impl Run {
    /// What holds whatever happens, and the count of results.
    fn check(&self, what: &str) -> usize {
        assert_eq!(self.ends.len() as u64, CALLS, "every call has an end");
        let twice: Vec<_> = self.lines.done.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "these ran twice: {twice:?}");
        let mut results = 0;
        for (number, end) in &self.ends {
            if let End::Result(text) = end {
                assert_eq!(*text, number.to_string());
                assert_eq!(self.lines.done.get(number), Some(&1), "result {number} has its line");
                results += 1;
            }
        }
        let share = 100 * self.elsewhere / self.arrivals.max(1);
        println!(
            "{what}: {} calls, {results} results, {} lines; {} of {} answers and retries ({share} %) arrived at a replica that does not own the call",
            self.ends.len(),
            self.lines.done.len(),
            self.elsewhere,
            self.arrivals
        );
        assert!(share >= 40, "the balancer has to switch");
        results
    }

    /// The calls that failed, by how.
    fn failures(&self) -> BTreeMap<String, usize> {
        let mut failures = BTreeMap::new();
        for end in self.ends.values() {
            match end {
                End::Result(_) => {}
                End::Error(code) => *failures.entry(format!("error {code}")).or_default() += 1,
                End::Transport(_) => *failures.entry("transport".to_owned()).or_default() += 1,
            }
        }
        failures
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_100_whatever_replica_a_request_reaches_every_call_has_its_result() {
    let run = run(Event::Nothing).await;
    let results = run.check("undisturbed");
    assert_eq!(results as u64, CALLS, "{:?}", run.failures());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_101_a_killed_replica_ends_its_calls_and_nothing_runs_twice() {
    let run = run(Event::Kill).await;
    let results = run.check("one replica killed");
    println!("one replica killed: {:?}", run.failures());
    assert!(results as u64 > CALLS / 2, "the other replica goes on: {:?}", run.failures());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_call_that_has_not_reached_its_server() {
    let run = run(Event::RollingRestart).await;
    run.check("both replicas restarted in turn");
    println!("both replicas restarted in turn: {:?}", run.failures());
    let lost: Vec<_> = run
        .ends
        .iter()
        .filter(|(number, end)| !matches!(end, End::Result(_)) && !run.lines.began.contains_key(number))
        // Without a coordinator nobody takes over the sessions of a replica that ends, not even of one that has just been
        // opened there: such a call is answered 404 and may be made again.
        .filter(|(_, end)| run.coordinated || !matches!(end, End::Transport(why) if why == caller::GONE))
        .collect();
    assert!(lost.is_empty(), "these were lost before they reached their server: {lost:?}");
}

/// The configuration of a gate with the demo, built in and as a child.
pub(super) fn demo_config() -> Value {
    json!({"servers": {
        "demo": {"builtin": "demo"},
        "child": {"command": portreeve(), "args": ["demo", "--transport", "stdio", "--era", "legacy"]},
    }})
}

//! From a checked configuration to a running gateway: the one place that knows all crates. It starts nothing by itself
//! but what the gateway owns; listeners are the commands' business.

mod record;
mod spans;

use crate::{
    commands::{CommandError, Exit},
    config::{self, Builtin, Config, Isolation, Replay, ServerKind},
    log::LogSink,
};
use portreeve_auth::{Identity, Keys};
use portreeve_edge::{Certificate, Metrics};
use portreeve_gateway::{
    Entry, Eras, Gateway, Offer, Recorder, ReplicaSetup, ServerSetup, Serving, Setup, Tracing,
};
use portreeve_mcp::{RawJson, Service};
use portreeve_model::{ReplicaId, Secret, ServerName, Timestamp};
use portreeve_policy::{Allow, Glob, KeyRule, Policy, ToolFilter};
use portreeve_process::{Launcher, Spec, Supervisor};
use portreeve_seal::KeyRing;
use portreeve_servers::demo::Demo;
use portreeve_store::Coordinator;
use portreeve_upstream::{EraChoice, HttpConfig, Peers, Runtime, StdioConfig, Transport, Upstream};
use record::LogRecorder;
use spans::Spans;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The file in the data directory that holds the seal key (decision D50).
const SEAL_FILE: &str = "seal.key";
/// How long an unused session or child of a server is kept.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// How long parked calls may take to be answered and wound up.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How long tasks may take to end after everything was told to stop; a child's shutdown ladder fits into it.
const WIND_UP: Duration = Duration::from_secs(6);

/// A running gateway and what it needs to change and to end.
pub struct Gate {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    recorder: Arc<Recorders>,
    runtime: Runtime,
    eras: Eras,
    /// What is served at the moment.
    current: Mutex<Config>,
}

/// What a change of the configuration changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Servers that are new.
    pub added: Vec<ServerName>,
    /// Servers that are gone.
    pub removed: Vec<ServerName>,
    /// Servers that were begun anew, because something about them is different.
    pub changed: Vec<ServerName>,
    /// Keys of the configuration whose change has no effect before the next start.
    pub restart: Vec<&'static str>,
}

/// Where the seal keys come from.
#[derive(Debug, Clone, Copy)]
pub enum SealFrom<'a> {
    /// The configuration, else a file in this directory.
    Data(&'a Path),
    /// Keys of this process alone: nothing outlives it.
    Process,
}

impl Gate {
    /// Builds the gateway. Must run inside the runtime. No server is contacted (decision D20). `advertise` is where other
    /// replicas reach this process, if there are any.
    pub fn build(
        config: &Config,
        seal: SealFrom<'_>,
        eras: Eras,
        log: Option<LogSink>,
        advertise: Option<&str>,
    ) -> Result<Self, CommandError> {
        let tracker = TaskTracker::new();
        let shutdown = CancellationToken::new();
        let runtime = runtime(config, &tracker, &shutdown)?;
        let metrics = Arc::new(Metrics::new(config.servers.iter().map(|server| &server.name)));
        let spans = config.telemetry.as_ref().map(|telemetry| Spans::new(telemetry, runtime.clone()));
        let spans = spans.transpose().map_err(|error| failed("`telemetry` cannot be used", error))?;
        let recorder =
            Arc::new(Recorders { log: log.map(LogRecorder::new), metrics: metrics.clone(), spans });
        let gateway = Gateway::new(Setup {
            serving: serving(config, None, eras, &runtime)?,
            seals: seals(config, seal)?,
            replica: replica(config, advertise, &runtime)?,
            limits: config.limits.clone(),
            tracing: config.telemetry.as_ref().map(|telemetry| Tracing { percent: telemetry.sample }),
            recorder: recorder.clone(),
            tracker,
            shutdown,
        });
        Ok(Self { gateway, metrics, recorder, runtime, eras, current: Mutex::new(config.clone()) })
    }

    /// Serves another configuration from now on, or, if it cannot be served, goes on as before (decision D53). Calls in
    /// flight are not disturbed; servers whose entries are the same stay as they are. `None`: it is the same configuration.
    pub fn reload(&self, config: &Config) -> Result<Option<Changes>, CommandError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == *config {
            return Ok(None);
        }
        let serving = serving(config, Some(&current), self.eras, &self.runtime)?;
        self.metrics.follow(config.servers.iter().map(|server| &server.name));
        self.gateway.reload(serving);
        let changes = Changes::between(&current, config);
        *current = config.clone();
        Ok(Some(changes))
    }

    /// Ends everything that the gate owns: parked calls are answered, children go down their ladder (decision D57).
    pub async fn end(self) {
        self.gateway.close();
        if tokio::time::timeout(LAST_ANSWERS, self.gateway.wound_up()).await.is_err() {
            tracing::warn!("some parked calls did not end in time");
        }
        if let Some(spans) = &self.recorder.spans {
            spans.end().await;
        }
        self.runtime.shutdown.cancel();
        self.runtime.tracker.close();
        if tokio::time::timeout(WIND_UP, self.runtime.tracker.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}

impl Changes {
    fn between(before: &Config, after: &Config) -> Self {
        let mut changes = Self { restart: restart(before, after), ..Self::default() };
        for server in &after.servers {
            match before.server(server.name.as_str()) {
                None => changes.added.push(server.name.clone()),
                Some(known) if known != server => changes.changed.push(server.name.clone()),
                Some(_) => {}
            }
        }
        let gone = before.servers.iter().filter(|server| after.server(server.name.as_str()).is_none());
        changes.removed.extend(gone.map(|server| server.name.clone()));
        changes
    }
}

/// What is different and is read only when the program starts.
fn restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let limits =
        |config: &Config| portreeve_model::Limits { calls_per_minute: None, ..config.limits.clone() };
    let rows = [
        ("listen", before.listen != after.listen),
        ("public_url", before.public_url != after.public_url),
        ("metrics", before.metrics != after.metrics),
        ("mcp.sse_after", before.mcp.sse_after != after.mcp.sse_after),
        ("limits", limits(before) != limits(after)),
        ("seal", before.seal_keys != after.seal_keys),
        ("replicas", before.replicas != after.replicas),
        ("telemetry", before.telemetry != after.telemetry),
        ("tls", before.tls.is_some() != after.tls.is_some()),
        ("log.format", before.log.format != after.log.format),
        ("allowed_hosts", before.allowed_hosts != after.allowed_hosts),
        ("allowed_origins", before.allowed_origins != after.allowed_origins),
    ];
    rows.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// What a configuration lets the gateway serve. Servers whose entries are as before stay as they are.
fn serving(
    config: &Config,
    before: Option<&Config>,
    eras: Eras,
    runtime: &Runtime,
) -> Result<Serving, CommandError> {
    let entry = |server: &config::Server| {
        if before.and_then(|before| before.server(server.name.as_str())) == Some(server) {
            return Ok(Entry::Kept(server.name.clone()));
        }
        server_setup(server, eras, runtime).map(|setup| Entry::New(Box::new(setup)))
    };
    let longest = config.servers.iter().map(|server| server.deadlines.ask).max();
    Ok(Serving {
        servers: config.servers.iter().map(entry).collect::<Result<_, _>>()?,
        policy: policy(config)?,
        identity: identity(config)?,
        calls_per_minute: config.limits.calls_per_minute,
        park_ttl: longest.unwrap_or(Duration::from_secs(300)),
        root: config.mcp.root.clone(),
        eras,
        page_size: config.mcp.page_size,
        name_length: config.mcp.name_length,
    })
}

/// What the door shows, if it speaks TLS.
///
/// # Errors
/// The pair cannot be used; what was read from a file can.
pub fn certificate(config: &Config) -> Result<Option<Certificate>, CommandError> {
    let read = |tls: &config::Tls| Certificate::new(tls.certificate.as_bytes(), tls.key.expose().as_bytes());
    config.tls.as_ref().map(read).transpose().map_err(|error| failed("the certificate cannot be used", error))
}

/// Everybody who hears of calls.
struct Recorders {
    log: Option<LogRecorder>,
    metrics: Arc<Metrics>,
    spans: Option<Spans>,
}

impl Recorder for Recorders {
    fn record(&self, record: &portreeve_gateway::Record) {
        self.metrics.record(record);
        if let Some(log) = &self.log {
            log.record(record);
        }
        if let Some(spans) = &self.spans {
            spans.record(record);
        }
    }
}

fn failed(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::new(Exit::Usage, what, source)
}

fn runtime(
    config: &Config,
    tracker: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<Runtime, CommandError> {
    let launcher =
        Launcher::this_program().map_err(|error| failed("this program cannot find itself", error))?;
    let supervisor = Supervisor::new(launcher, config::environment(), tracker.clone());
    Ok(Runtime {
        tracker: tracker.clone(),
        shutdown: shutdown.clone(),
        supervisor,
        limits: config.limits.clone(),
    })
}

fn server_setup(server: &config::Server, eras: Eras, runtime: &Runtime) -> Result<ServerSetup, CommandError> {
    // What belongs to this server ends with it, and not before the gate does.
    let runtime = &Runtime { shutdown: runtime.shutdown.child_token(), ..runtime.clone() };
    let credential = match &server.kind {
        ServerKind::Remote(remote) => remote.credential.clone(),
        ServerKind::Child(_) | ServerKind::Builtin(_) => None,
    };
    Ok(ServerSetup {
        name: server.name.clone(),
        service: service(server, runtime)?,
        isolation: match server.isolation {
            Isolation::Shared => portreeve_gateway::Isolation::Shared,
            Isolation::Principal => portreeve_gateway::Isolation::Principal,
            Isolation::Session => portreeve_gateway::Isolation::Session,
        },
        offer: Offer {
            elicitation: server.offer.elicitation,
            sampling: server.offer.sampling,
            roots: server.offer.roots,
        },
        roots: (!server.roots.is_empty()).then(|| roots(&server.roots)),
        credential,
        // What is configured is all there is.
        renewal: None,
        eras,
        holds_children: matches!(server.kind, ServerKind::Child(_)),
        ends: runtime.shutdown.clone().drop_guard(),
    })
}

fn roots(roots: &[config::Root]) -> RawJson {
    let roots: Vec<serde_json::Value> = roots
        .iter()
        .map(|root| match &root.name {
            Some(name) => serde_json::json!({"uri": root.uri, "name": name}),
            None => serde_json::json!({"uri": root.uri}),
        })
        .collect();
    serde_json::json!({ "roots": roots }).into()
}

fn service(server: &config::Server, runtime: &Runtime) -> Result<Arc<dyn Service>, CommandError> {
    let era = match server.era {
        config::Era::Auto => EraChoice::Auto,
        config::Era::Legacy => EraChoice::Legacy,
        config::Era::Modern => EraChoice::Modern,
    };
    let name = server.name.clone();
    let deadlines = server.deadlines.clone();
    let what = || format!("server `{}` cannot be set up", server.name);
    match &server.kind {
        ServerKind::Builtin(Builtin::Demo) => {
            let demo = Demo::new().map_err(|error| CommandError::new(Exit::Failed, what(), error))?;
            Ok(Arc::new(demo))
        }
        ServerKind::Child(child) => {
            let env = child.env.iter().map(|(key, value)| (key.clone(), value.expose().clone())).collect();
            let spec = Spec {
                name: name.clone(),
                command: child.command.clone(),
                args: child.args.clone(),
                env,
                cwd: child.cwd.clone(),
            };
            let max_children = server.max_children;
            let config = StdioConfig { name, spec, era, max_children, deadlines, idle: IDLE };
            Ok(Arc::new(Upstream::stdio(config, runtime.clone())))
        }
        ServerKind::Remote(remote) => {
            let headers = remote.headers.iter().map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), Secret::new(value))
            });
            let config = HttpConfig {
                name,
                url: remote.url.to_string(),
                era,
                transport: match remote.transport {
                    config::Transport::Auto => Transport::Auto,
                    config::Transport::StreamableHttp => Transport::StreamableHttp,
                    config::Transport::Sse => Transport::Sse,
                },
                replay: match remote.replay {
                    Replay::Unknown => portreeve_upstream::Replay::Unknown,
                    Replay::Kept => portreeve_upstream::Replay::Kept,
                },
                headers: headers.collect(),
                deadlines,
                idle: IDLE,
                authorities: remote.way.authorities.clone(),
                proxy: remote.way.proxy.clone(),
            };
            let upstream = Upstream::http(config, runtime.clone()).map_err(|error| failed(&what(), error))?;
            Ok(Arc::new(upstream))
        }
    }
}

fn policy(config: &Config) -> Result<Policy, CommandError> {
    let globs = |texts: &[String]| -> Result<Vec<Glob>, CommandError> {
        texts
            .iter()
            .map(|text| Glob::new(text))
            .collect::<Result<_, _>>()
            .map_err(|error| failed("a pattern is wrong", error))
    };
    let everything = |patterns: &[String]| patterns.iter().any(|pattern| pattern == "*");
    let mut rules = Vec::with_capacity(config.keys.len());
    for key in &config.keys {
        let mut allow = Vec::with_capacity(key.allow.len());
        for grant in &key.allow {
            let server = Glob::new(&grant.server).map_err(|error| failed("a pattern is wrong", error))?;
            let tools = if everything(&grant.tools) { None } else { Some(globs(&grant.tools)?) };
            allow.push(Allow { server, tools });
        }
        rules.push(KeyRule { key: key.name.clone(), allow });
    }
    let mut policy = Policy::new(rules);
    for server in &config.servers {
        let allow = if everything(&server.tools.allow) { None } else { Some(globs(&server.tools.allow)?) };
        let deny = globs(&server.tools.deny)?;
        if allow.is_some() || !deny.is_empty() {
            policy = policy.with_tool_filter(server.name.clone(), ToolFilter { allow, deny });
        }
    }
    Ok(policy)
}

fn identity(config: &Config) -> Result<Identity, CommandError> {
    if config.keys.is_empty() {
        return Ok(Identity::loopback());
    }
    let keys = config.keys.iter().map(|key| (key.name.clone(), key.secret.clone()));
    Keys::new(keys).map(Identity::Keys).map_err(|error| failed("the keys cannot be used", error))
}

fn seals(config: &Config, from: SealFrom<'_>) -> Result<KeyRing, CommandError> {
    let made = match from {
        SealFrom::Process => KeyRing::from_secrets(&[Secret::new(nonce()? + &nonce()?)]),
        SealFrom::Data(_) if !config.seal_keys.is_empty() => KeyRing::from_secrets(&config.seal_keys),
        // It makes the directory, for nobody else to look into.
        SealFrom::Data(directory) => KeyRing::load_or_create(&directory.join(SEAL_FILE)),
    };
    made.map_err(|error| failed("the seal keys cannot be used", error))
}

/// 128 random bits as text.
fn nonce() -> Result<String, CommandError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommandError::new(Exit::Failed, "the system gives no random bytes", error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// This process: a nonce that it drew, the moment it started, and where other replicas reach it.
fn replica(
    config: &Config,
    advertise: Option<&str>,
    runtime: &Runtime,
) -> Result<ReplicaSetup, CommandError> {
    let started = Timestamp::from_system(SystemTime::now()).0;
    let nonce = format!("{started:x}-{}", &nonce()?[..8]);
    let Some(address) = advertise else {
        return Ok(ReplicaSetup { id: ReplicaId::new(&nonce), peers: None, coordinator: Coordinator::Alone });
    };
    let coordinator = match config.replicas.as_ref().and_then(|replicas| replicas.coordinator.as_ref()) {
        Some(url) => Coordinator::redis(url)
            .map_err(|error| failed("the coordinator of `replicas` cannot be used", error))?,
        None => Coordinator::Alone,
    };
    let peers = Some(Peers::new(runtime.clone()));
    Ok(ReplicaSetup { id: ReplicaId::at(&nonce, address), peers, coordinator })
}

/// The demo under this name and nothing else.
pub fn demo_config(name: &str) -> Result<Config, CommandError> {
    let mut config = Config::demo();
    let name = ServerName::new(name).map_err(|error| failed("the demo cannot have that name", error))?;
    config.servers = vec![config::Server::new(name.clone(), ServerKind::Builtin(Builtin::Demo))];
    config.mcp.root = Some(name);
    Ok(config)
}

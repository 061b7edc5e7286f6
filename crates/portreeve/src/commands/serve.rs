//! `portreeve serve`: run the gate until it is told to end.

use super::{CommandError, Exit, Setup, runtime};
use crate::{
    cli::{ServeArguments, print},
    config::{Config, Source, check_exposure},
    gate::{Gate, SealFrom, certificate},
    log,
    reload::{Following, Reloads},
    systemd,
};
use portreeve_edge::{Allowed, Bound, Edge, EdgeSetup};
use portreeve_gateway::Eras;
use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Much shorter than every deadline of a call, long enough to cost nothing.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long a gate that is one of several still takes requests after it was told to end, so that the balancer can learn.
const NOTICE: Duration = Duration::from_secs(1);
/// How long parked calls of one of several replicas still wait for their retries.
const LAST_RETRIES: Duration = Duration::from_secs(10);
/// How long requests in flight may take to end after the gate was told to end.
const DRAIN: Duration = Duration::from_secs(25);

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: &Setup, arguments: &ServeArguments) -> Result<Exit, CommandError> {
    let listen = arguments.listen;
    let config = adjusted(setup.loaded.config.clone(), listen)?;
    let loaded = &setup.loaded;
    let reloads = Reloads::of(loaded, move |config| adjusted(config, listen));
    let data = setup.data.clone();
    runtime()?.block_on(async move {
        let banner = |url: &str| banner(&config, &loaded.source, url);
        serve(&config, SealFrom::Data(&data), Eras::Both, reloads, banner).await
    })
}

/// A configuration with what the arguments say instead.
fn adjusted(mut config: Config, listen: Option<SocketAddr>) -> Result<Config, CommandError> {
    let Some(listen) = listen else { return Ok(config) };
    if let Some((what, mend)) = check_exposure(listen, &config) {
        return Err(CommandError::plain(Exit::Usage, format!("{what}; {mend}")));
    }
    config.listen = listen;
    Ok(config)
}

/// Serves a configuration until a signal ends it. `banner` is what a person reads first.
pub(super) async fn serve(
    config: &Config,
    seal: SealFrom<'_>,
    eras: Eras,
    reloads: Option<Reloads>,
    banner: impl FnOnce(&str) -> String,
) -> Result<Exit, CommandError> {
    let (sink, _guard, levels) = log::start(&config.log)
        .map_err(|error| CommandError::new(Exit::Failed, "cannot start the log", error))?;
    let replicas = match &config.replicas {
        Some(replicas) => Some(bind(replicas.listen).await?),
        None => None,
    };
    let advertise = replicas.as_ref().map(|bound| advertised(config, bound.address()));
    let gate = Gate::build(config, seal, eras, Some(sink), advertise.as_deref())?;
    let bound = bind(config.listen).await?;
    let metrics = match &config.metrics {
        Some(metrics) => Some(bind(metrics.listen).await?),
        None => None,
    };
    let url = config.client_url(bound.address());
    let edge = edge(config, &gate, bound.address())?;
    // Before anybody knows of the gate: whoever ends it as soon as it stands ends it properly.
    let mut signals = Signals::catch()?;
    let following = reloads.map(Following::start).transpose();
    let following =
        following.map_err(|error| CommandError::new(Exit::Failed, "cannot wait for SIGHUP", error))?;
    print(banner(&url).as_bytes())?;
    tracing::info!(listen = %bound.address(), servers = config.servers.len(), "the gate stands");
    let stop = CancellationToken::new();
    let serving = gate.gateway.tracker().spawn(edge.clone().serve(bound, stop.clone()));
    if let Some(bound) = metrics {
        tracing::info!(listen = %bound.address(), "metrics are served");
        gate.gateway.tracker().spawn(edge.clone().serve_metrics(bound, stop.clone()));
    }
    // What other replicas bring may finish longer than the door is open: it ends with what is in flight.
    let drained = CancellationToken::new();
    let several = replicas.is_some();
    if let Some(bound) = replicas {
        gate.gateway.tracker().spawn(edge.clone().serve_replicas(bound, drained.clone()));
    }
    gate.gateway.tracker().spawn(heartbeat(stop.clone()));
    gate.gateway.tracker().spawn(systemd::watchdog(stop.clone()));
    systemd::ready(config.servers.len());
    tokio::select! {
        () = signals.told_to_end() => {}
        () = follow(following, &gate, &edge, &levels) => {}
    }
    close(&gate, &edge, &stop, serving, several, &mut signals).await;
    drained.cancel();
    gate.end().await;
    Ok(Exit::Done)
}

/// Keeps the gate at what its configuration says, if that is a file.
async fn follow(following: Option<Following>, gate: &Gate, edge: &Edge, levels: &log::Levels) {
    match following {
        Some(following) => following.run(gate, edge, levels).await,
        None => std::future::pending().await,
    }
}

/// The HTTP side of a gate that listens at this address.
fn edge(config: &Config, gate: &Gate, address: SocketAddr) -> Result<Arc<Edge>, CommandError> {
    let public = config.public_url.as_ref().and_then(|url| url.parse().ok());
    Ok(Edge::new(EdgeSetup {
        gateway: gate.gateway.clone(),
        allowed: Allowed::new(address, public.as_ref(), &config.allowed_hosts, &config.allowed_origins),
        sse_after: config.mcp.sse_after,
        metrics: gate.metrics.clone(),
        certificate: certificate(config)?,
    }))
}

/// Ends the doors: what is in flight may finish, unless a second signal says otherwise (decision D57).
async fn close(
    gate: &Gate,
    edge: &Edge,
    stop: &CancellationToken,
    serving: JoinHandle<()>,
    several: bool,
    signals: &mut Signals,
) {
    tracing::info!("the gate closes: what is in flight may finish");
    systemd::stopping();
    gate.gateway.close();
    edge.send_away();
    let drain = async {
        if several {
            // The balancer learns from the health page; until it has, it sends work, and nothing of that is lost.
            tokio::time::sleep(NOTICE).await;
        }
        stop.cancel();
        tokio::join!(serving, edge.passed(), gate.gateway.last_retries(LAST_RETRIES))
    };
    tokio::select! {
        ended = tokio::time::timeout(DRAIN, drain) => {
            if ended.is_err() {
                tracing::warn!("some requests did not end in time and are cut");
            }
        }
        () = signals.told_to_end() => {}
    }
    stop.cancel();
}

/// Where other replicas reach this one.
fn advertised(config: &Config, bound: SocketAddr) -> String {
    let configured = config.replicas.as_ref().and_then(|replicas| replicas.advertise.clone());
    configured.unwrap_or_else(|| format!("http://{bound}"))
}

/// Keeps a timer due soon. A deadline that would be the runtime's next one wakes its driver through the kernel when it is
/// set; behind this one, the deadlines of calls (seconds away, hardly ever reached) cost no system call.
async fn heartbeat(stop: CancellationToken) {
    let mut beat = tokio::time::interval(HEARTBEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn bind(address: SocketAddr) -> Result<Bound, CommandError> {
    Bound::new(address)
        .await
        .map_err(|error| CommandError::new(Exit::Failed, format!("cannot listen on {address}"), error))
}

/// SIGTERM and SIGINT, caught from the moment that this exists.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> Result<Self, CommandError> {
        let catch = |kind| {
            signal(kind).map_err(|error| CommandError::new(Exit::Failed, "cannot wait for signals", error))
        };
        Ok(Self { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    /// Waits for the next of them.
    async fn told_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a person sees first: where the servers are and how a client gets there.
fn banner(config: &Config, source: &Source, url: &str) -> String {
    let mut out = String::new();
    let line = |out: &mut String, text: String| {
        // Writing into a `String` cannot fail.
        let _ = writeln!(out, "{text}");
    };
    let source = match source {
        Source::File(path) => format!("configuration {}", path.display()),
        Source::Demo => "no configuration found: the built-in demo server, for this machine only".to_owned(),
    };
    line(&mut out, format!("portreeve {} ({source})", env!("CARGO_PKG_VERSION")));
    line(&mut out, String::new());
    let width = config.servers.iter().map(|server| server.name.as_str().len()).max().unwrap_or(0);
    for server in &config.servers {
        line(&mut out, format!("  MCP  {:width$}  {url}/mcp/{}", server.name, server.name));
    }
    match &config.mcp.root {
        Some(root) => line(&mut out, format!("  MCP  {root:width$}  {url}/mcp")),
        None if config.servers.len() > 1 => line(&mut out, format!("  MCP  {:width$}  {url}/mcp", "all")),
        None => {}
    }
    if let Some(server) = config.servers.first() {
        let (key, headers) = match config.keys.is_empty() {
            true => ("", ""),
            false => (
                " --header \"Authorization: Bearer <key>\"",
                ", \"headers\": {\"Authorization\": \"Bearer <key>\"}",
            ),
        };
        line(&mut out, String::new());
        line(&mut out, "Paste into a terminal to add it to a client (any protocol revision):".to_owned());
        line(
            &mut out,
            format!("  claude mcp add --transport http {} {url}/mcp/{}{key}", server.name, server.name),
        );
        line(&mut out, "or into a client's JSON configuration:".to_owned());
        line(
            &mut out,
            format!(
                "  {{\"mcpServers\": {{\"{}\": {{\"type\": \"http\", \"url\": \"{url}/mcp/{}\"{headers}}}}}}}",
                server.name, server.name
            ),
        );
    }
    line(&mut out, String::new());
    out
}

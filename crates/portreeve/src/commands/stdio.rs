//! `portreeve stdio`: the gate over stdin and stdout, for clients that start a command.

use super::{CommandError, Exit, Setup, runtime};
use crate::{
    cli::StdioArguments,
    config::{self, Config, LogLevel, Remote, Replay, ServerKind, Transport},
    gate::{Gate, SealFrom},
    log, stdio_door,
};
use portreeve_gateway::Eras;
use portreeve_model::ServerName;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs the command; there is no setup where the arguments say `--connect` (decision D55).
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: Option<&Setup>, arguments: &StdioArguments) -> Result<Exit, CommandError> {
    let (config, name) = match (&arguments.connect, setup) {
        (Some(url), _) => connected(url)?,
        (None, Some(setup)) => chosen(&setup.loaded.config, &arguments.servers)?,
        (None, None) => {
            return Err(CommandError::plain(
                Exit::Usage,
                "a server of the configuration or `--connect` is needed",
            ));
        }
    };
    runtime()?.block_on(serve(&config, name.as_str(), Eras::Both))
}

/// A gate whose one server is the address of another gate, or of any server.
fn connected(url: &str) -> Result<(Config, ServerName), CommandError> {
    let wrong = |error: &dyn std::fmt::Display| {
        CommandError::plain(Exit::Usage, format!("`--connect {url}`: {error}"))
    };
    let uri: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let name = ServerName::new("gate").map_err(|error| wrong(&error))?;
    let remote = Remote {
        url: uri,
        transport: Transport::Auto,
        headers: Vec::new(),
        credential: None,
        replay: Replay::Unknown,
    };
    let mut config = Config::demo();
    config.log.level = LogLevel::Warn;
    config.servers = vec![config::Server::new(name.clone(), ServerKind::Remote(remote))];
    Ok((config, name))
}

/// The one server that is meant.
fn chosen(config: &Config, names: &[String]) -> Result<(Config, ServerName), CommandError> {
    let known: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
    let usage = |text: String| {
        CommandError::plain(Exit::Usage, format!("{text}; the configuration has: {}", known.join(", ")))
    };
    let name = match names {
        [name] => config
            .server(name)
            .map(|server| server.name.clone())
            .ok_or_else(|| usage(format!("no server `{name}`")))?,
        [] => match (&config.mcp.root, config.servers.as_slice()) {
            (Some(root), _) => root.clone(),
            (None, [only]) => only.name.clone(),
            _ => return Err(usage("name the one server to serve".to_owned())),
        },
        _ => return Err(usage("one server a pipe: name just one".to_owned())),
    };
    let mut config = config.clone();
    // Other servers are not reachable over this pipe, so nothing of them has to run.
    config.servers.retain(|server| server.name == name);
    config.keys.clear();
    if config.log.level > LogLevel::Warn {
        // A client that starts a command shows its stderr to a person.
        config.log.level = LogLevel::Warn;
    }
    Ok((config, name))
}

/// Serves stdin and stdout until they close.
pub(super) async fn serve(config: &Config, name: &str, eras: Eras) -> Result<Exit, CommandError> {
    let (sink, _guard) = log::start(&config.log)
        .map_err(|error| CommandError::new(Exit::Failed, "cannot start the log", error))?;
    let gate = Gate::build(
        config,
        SealFrom::Process,
        eras,
        Some(sink).filter(|_| config.log.level >= LogLevel::Info),
        None,
    )?;
    let Some(server) = gate.gateway.server(name).cloned() else {
        return Err(CommandError::plain(Exit::Usage, format!("no server `{name}`")));
    };
    let stop = CancellationToken::new();
    let told = stop.clone();
    let mut term = signal(SignalKind::terminate())
        .map_err(|error| CommandError::new(Exit::Failed, "cannot wait for signals", error))?;
    let waiting = async move {
        term.recv().await;
        told.cancel();
        std::future::pending::<()>().await;
    };
    let serving =
        stdio_door::serve(gate.gateway.clone(), server, tokio::io::stdin(), tokio::io::stdout(), stop);
    let served = tokio::select! {
        served = serving => served,
        () = waiting => Ok(()),
    };
    gate.end().await;
    served.map(|()| Exit::Done).map_err(|error| CommandError::new(Exit::Failed, "a pipe broke", error))
}

//! `portreeve stdio`: the gate over stdin and stdout, for clients that start a command.

use super::{CommandError, Exit, Setup, runtime};
use crate::{
    cli::StdioArguments,
    config::{self, Config, LogLevel, Remote, Replay, ServerKind, Transport},
    gate::{Gate, SealFrom},
    log, stdio_door,
};
use http::{HeaderName, HeaderValue};
use portreeve_gateway::Eras;
use portreeve_model::{Secret, ServerName, UpstreamCredential};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs the command; there is no setup where the arguments say `--connect` (decision D55).
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: Option<&Setup>, arguments: &StdioArguments) -> Result<Exit, CommandError> {
    let config = match (&arguments.connect, setup) {
        (Some(url), _) => connected(url, arguments)?,
        (None, Some(setup)) => chosen(&setup.loaded.config, &arguments.servers)?,
        (None, None) => {
            return Err(CommandError::plain(
                Exit::Usage,
                "a server of the configuration or `--connect` is needed",
            ));
        }
    };
    runtime()?.block_on(serve(&config, Eras::Both))
}

/// A gate whose one server is the address of another gate, or of any server.
fn connected(url: &str, arguments: &StdioArguments) -> Result<Config, CommandError> {
    let wrong = |error: &dyn std::fmt::Display| {
        CommandError::plain(Exit::Usage, format!("`--connect {url}`: {error}"))
    };
    let uri: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let name = ServerName::new("gate").map_err(|error| wrong(&error))?;
    let key = arguments.key.clone().filter(|key| !key.is_empty());
    let remote = Remote {
        url: uri,
        transport: Transport::Auto,
        headers: arguments.header.iter().map(|text| header(text)).collect::<Result<_, _>>()?,
        credential: key.map(|key| UpstreamCredential::bearer(Secret::new(key))),
        replay: Replay::Unknown,
        way: config::Outbound::default(),
    };
    let mut config = Config::demo();
    config.log.level = LogLevel::Warn;
    config.servers = vec![config::Server::new(name, ServerKind::Remote(remote))];
    Ok(config)
}

/// `Name: value`. The value may be a secret and is never said.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), CommandError> {
    let wrong = |what: &str| CommandError::plain(Exit::Usage, format!("`--header`: {what}"));
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("write it as `Name: value`"))?;
    let name =
        name.trim().parse().map_err(|_| wrong(&format!("`{}` is no name of a header", name.trim())))?;
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| wrong(&format!("the value of `{name}` cannot be sent")))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The servers that are meant: those that were named, the one that has the root, or all.
fn chosen(config: &Config, names: &[String]) -> Result<Config, CommandError> {
    let mut config = config.clone();
    for name in names {
        if config.server(name).is_none() {
            let known: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
            let text = format!("no server `{name}`; the configuration has: {}", known.join(", "));
            return Err(CommandError::plain(Exit::Usage, text));
        }
    }
    let root = config.mcp.root.take().filter(|_| names.is_empty());
    // Other servers are not reachable over this pipe, so nothing of them has to run.
    config.servers.retain(|server| match &root {
        Some(root) => server.name == *root,
        None => names.is_empty() || names.iter().any(|name| *name == server.name.as_str()),
    });
    config.keys.clear();
    if config.log.level > LogLevel::Warn {
        // A client that starts a command shows its stderr to a person.
        config.log.level = LogLevel::Warn;
    }
    Ok(config)
}

/// Serves stdin and stdout until they close.
pub(super) async fn serve(config: &Config, eras: Eras) -> Result<Exit, CommandError> {
    let (sink, _guard, _) = log::start(&config.log)
        .map_err(|error| CommandError::new(Exit::Failed, "cannot start the log", error))?;
    let gate = Gate::build(
        config,
        SealFrom::Process,
        eras,
        Some(sink).filter(|_| config.log.level >= LogLevel::Info),
        None,
    )?;
    let Some(server) = gate.gateway.root() else {
        return Err(CommandError::plain(Exit::Usage, "the configuration has no server"));
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
        stdio_door::serve(gate.gateway.clone(), &server, tokio::io::stdin(), tokio::io::stdout(), stop);
    let served = tokio::select! {
        served = serving => served,
        () = waiting => Ok(()),
    };
    gate.end().await;
    served.map(|()| Exit::Done).map_err(|error| CommandError::new(Exit::Failed, "a pipe broke", error))
}

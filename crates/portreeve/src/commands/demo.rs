//! `portreeve demo`: the demo server alone, of one transport and era: the same gate with one server and one open door.

use super::{CommandError, Exit, runtime, serve, stdio};
use crate::{
    cli::{DemoArguments, DemoEra, DemoTransport},
    config::{Config, LogLevel},
    gate::{SealFrom, demo_config},
};
use portreeve_gateway::Eras;
use portreeve_mcp::Era;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(arguments: &DemoArguments) -> Result<Exit, CommandError> {
    let eras = match arguments.era {
        DemoEra::Legacy => Eras::Only(Era::Legacy),
        DemoEra::Modern => Eras::Only(Era::Modern),
        DemoEra::Both => Eras::Both,
    };
    let mut config = demo_config("demo")?;
    match arguments.transport {
        DemoTransport::Stdio => {
            config.log.level = LogLevel::Warn;
            runtime()?.block_on(stdio::serve(&config, eras))
        }
        DemoTransport::Http => over_http(arguments, config, eras, "mcp"),
        DemoTransport::Sse if arguments.era == DemoEra::Modern => {
            Err(CommandError::plain(Exit::Usage, "HTTP+SSE is a legacy transport; use `--era legacy`"))
        }
        DemoTransport::Sse => over_http(arguments, config, Eras::Only(Era::Legacy), "sse"),
    }
}

fn over_http(
    arguments: &DemoArguments,
    mut config: Config,
    eras: Eras,
    path: &str,
) -> Result<Exit, CommandError> {
    if !arguments.listen.ip().is_loopback() {
        let text =
            format!("the demo asks nobody who they are, so it does not listen on {}", arguments.listen);
        return Err(CommandError::plain(Exit::Usage, text));
    }
    config.listen = arguments.listen;
    let banner = |url: &str| format!("demo server: {url}/{path}\n");
    runtime()?.block_on(serve::serve(&config, SealFrom::Process, eras, None, banner))
}

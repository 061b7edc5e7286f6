//! `portreeve.yaml`: found, read, checked, and turned into a [`Config`].
//! [`parse`] is pure and says everything that is wrong at once, each with its place and its mend; [`load`] is the thin
//! shell that finds the file and answers `${env:X}` and `${file:/path}`. Nothing here acts on a configuration.
//! This module is the only reader of the environment in the program.

mod gate;
mod keys;
mod locate;
mod problem;
mod reader;
mod reference;
mod replicas;
mod secure;
mod servers;
mod table;
mod telemetry;
mod types;
mod units;

#[cfg(test)]
mod tests;

pub use gate::check_exposure;
pub use locate::{LoadError, Loaded, Source, data_directory, environment, load, load_text, no_color};
pub use problem::{Mark, Problem, Warning};
pub use reference::Lookup;
pub use table::{page, schema};
pub use types::{
    ApiKey, Builtin, Child, Config, Era, Grant, Isolation, Log, LogFormat, LogLevel, Mcp, Metrics, Offer,
    Outbound, Remote, Replay, Root, Server, ServerKind, Telemetry, Tls, ToolFilter, Transport,
};

use reader::{At, Reader};
use std::time::Duration;

/// Reads a duration as the configuration writes it, such as `30s`.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text)
}

/// Reads and checks a configuration. `file` names it in errors; its directory is where relative paths start.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse(text: &str, file: &str, lookup: &dyn Lookup) -> Result<(Config, Vec<Warning>), Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let root = portreeve_yaml::parse(text).map_err(|error| {
        let (file, path) = (file.to_owned(), String::new());
        let line = text.lines().nth(error.mark.line.saturating_sub(1)).unwrap_or_default();
        let mend = line
            .contains("${")
            .then(|| "within `{…}` and `[…]` write references in quotes: \"${env:X}\"".to_owned());
        vec![Problem { file, mark: error.mark, path, what: error.what, mend }]
    })?;
    let mut reader = Reader {
        file,
        source: text,
        lookup,
        problems: Vec::new(),
        warnings: Vec::new(),
        yielded: Vec::new(),
    };
    let config = gate::read(&mut reader, &At { node: &root, path: String::new() });
    let (mut problems, mut warnings) = reader.found();
    let place = |problem: &Problem| (problem.mark.line, problem.mark.column);
    warnings.sort_by_key(|warning| place(&warning.0));
    if problems.is_empty() {
        return Ok((config, warnings));
    }
    problems.sort_by_key(place);
    Err(problems)
}

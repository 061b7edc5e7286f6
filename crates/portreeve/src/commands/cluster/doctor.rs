//! `portreeve cluster doctor`: what was looked at, and how to mend it.

use super::{age_key, directory};
use crate::{
    cli::print,
    commands::{CommandError, Exit},
    config,
};
use portreeve_cluster::doctor::{State, doctor};
use std::{fmt::Write, path::Path};

pub(super) fn run(path: &Path) -> Result<Exit, CommandError> {
    directory(path)?;
    let programs = config::environment().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    let key = age_key();
    let checks = doctor(path, programs.as_deref(), key.as_deref())
        .map_err(|error| CommandError::new(Exit::Failed, "the cluster cannot be looked at", error))?;
    let mut text = String::new();
    for check in &checks {
        let word = match check.state {
            State::Good => "good",
            State::Absent => "absent",
            State::Bad => "BAD",
        };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{word:<7} {}", check.what);
        if check.state == State::Bad {
            let _ = writeln!(text, "        = help: {}", check.mend);
        }
    }
    print(text.as_bytes())?;
    let bad = checks.iter().any(|check| check.state == State::Bad);
    Ok(if bad { Exit::Inputs } else { Exit::Done })
}

//! The commands, one file each: they take parsed arguments and a checked configuration, and end in an [`Exit`].
//! Reading arguments is `cli`'s business; what a command does on the wire is that of the crates below.

pub mod call;
pub mod check;
pub mod child_step;
pub mod demo;
pub mod serve;
pub mod stdio;
pub mod tools;

use crate::config::{LoadError, Loaded};
use std::{error::Error, path::PathBuf, process::ExitCode};

/// How the program ends. The numbers are part of its interface: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// It was tried and failed.
    Failed = 1,
    /// The arguments or the configuration are wrong; nothing was tried.
    Usage = 2,
    /// A server could not be reached.
    Unreachable = 3,
    /// Policy refused.
    Refused = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What every command that needs the gate starts from.
#[derive(Debug)]
pub struct Setup {
    /// The configuration, its warnings (already shown) and its source.
    pub loaded: Loaded,
    /// Where data lies; it need not exist yet.
    pub data: PathBuf,
}

/// Why a command did not end well, and with which exit code.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration cannot be used.
    #[error("the configuration cannot be used")]
    Configuration(#[source] LoadError),
    /// This build has no such command yet.
    #[error("`portreeve {0}` is not available in this build")]
    NotAvailable(&'static str),
    /// Anything else.
    #[error("{what}")]
    Ended {
        /// The exit code.
        exit: Exit,
        /// What went wrong, lower case, without a dot at its end.
        what: String,
        /// The cause.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl CommandError {
    /// An error with a cause.
    pub fn new(exit: Exit, what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Ended { exit, what: what.into(), source: Some(source.into()) }
    }

    /// An error that is its own cause.
    pub fn plain(exit: Exit, what: impl Into<String>) -> Self {
        Self::Ended { exit, what: what.into(), source: None }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Configuration(_) => Exit::Usage,
            Self::NotAvailable(_) => Exit::Failed,
            Self::Ended { exit, .. } => *exit,
        }
    }
}

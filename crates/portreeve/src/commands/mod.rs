//! The commands, one file each: they take parsed arguments and a checked configuration, and end in an [`Exit`].
//! Reading arguments is `cli`'s business; what a command does on the wire is that of the crates below.

pub mod call;
pub mod check;
mod client;
pub mod cluster;
pub mod demo;
pub mod doctor;
mod form;
pub mod import;
pub mod schema;
pub mod serve;
pub mod stdio;
pub mod tools;

use crate::config::{LoadError, Loaded};
use std::{error::Error, path::PathBuf, process::ExitCode};

/// How the program ends. The numbers are part of its interface: scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It was tried and failed.
    Failed,
    /// The arguments or the configuration are wrong; nothing was tried.
    Usage,
    /// A server could not be reached.
    Unreachable,
    /// Policy refused.
    Refused,
    /// The inputs of a cluster are wrong. The commands of `cluster` reach no server, and their codes are counted by themselves.
    Inputs,
    /// A template of a cluster cannot be rendered.
    Template,
    /// The rendered tree breaks a rule.
    Output,
    /// Somebody changed files of the tree by hand.
    Drift,
    /// Secrets cannot be encrypted, or those that are there not be read.
    Key,
    /// Another command is writing to the tree.
    Locked,
    /// `--check` found that something would change.
    Changes,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0u8,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable | Exit::Inputs => 3,
            Exit::Refused | Exit::Template => 4,
            Exit::Output => 5,
            Exit::Drift => 6,
            Exit::Key => 7,
            Exit::Locked => 9,
            Exit::Changes => 10,
        })
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
            Self::Ended { exit, .. } => *exit,
        }
    }
}

/// The runtime: one thread where there is one processor, which saves hand-overs between threads; else one a processor.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = match processors {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .enable_all()
        .build()
        .map_err(|error| CommandError::new(Exit::Failed, "the runtime cannot be started", error))
}

//! `portreeve stdio`: the gate over stdin and stdout, for clients that start a command.

use super::{CommandError, Exit, Setup};
use crate::cli::StdioArguments;

/// Runs the command; there is no setup where the arguments say `--connect` (decision D55).
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(_setup: Option<&Setup>, _arguments: &StdioArguments) -> Result<Exit, CommandError> {
    Err(CommandError::NotAvailable("stdio"))
}

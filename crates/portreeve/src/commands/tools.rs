//! `portreeve tools`: list the tools of one server or of all.

use super::{CommandError, Exit, Setup};
use crate::cli::ToolsArguments;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(_setup: &Setup, _arguments: &ToolsArguments) -> Result<Exit, CommandError> {
    Err(CommandError::NotAvailable("tools"))
}

//! `portreeve call`: call one tool from a terminal; progress and questions go to stderr.

use super::{CommandError, Exit, Setup};
use crate::cli::CallArguments;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(_setup: &Setup, _arguments: &CallArguments) -> Result<Exit, CommandError> {
    Err(CommandError::NotAvailable("call"))
}

//! `portreeve serve`: run the gate until it is told to end.

use super::{CommandError, Exit, Setup};
use crate::cli::ServeArguments;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(_setup: &Setup, _arguments: &ServeArguments) -> Result<Exit, CommandError> {
    Err(CommandError::NotAvailable("serve"))
}

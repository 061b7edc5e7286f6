//! `portreeve demo`: the demo server alone, of one transport and era.

use super::{CommandError, Exit};
use crate::cli::DemoArguments;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(_arguments: &DemoArguments) -> Result<Exit, CommandError> {
    Err(CommandError::NotAvailable("demo"))
}

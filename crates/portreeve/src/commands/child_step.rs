//! The step between the gate and a child program: the program runs itself again in this mode, prepares the process
//! (limits, what happens when the gate dies) and becomes the child. Not for people; the crate `process` says how.

use super::{CommandError, Exit};
use std::ffi::OsString;

/// Becomes the child that the arguments describe; returns only when that fails.
///
/// # Errors
/// The child could not be started.
pub fn run(_arguments: &[OsString]) -> Result<Exit, CommandError> {
    Err(CommandError::NotAvailable("child-step"))
}

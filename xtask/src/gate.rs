//! `cargo xtask check`: formatting, lints and tests, the cheapest first, so that a slip shows early.
//! It does not mend anything.

use crate::command::{self, Outcome, cargo};

/// Runs the steps and stops at the first that fails.
pub(crate) fn run() -> Outcome {
    let steps: [&[&str]; 3] = [
        &["fmt", "--all", "--check"],
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        &["test", "--workspace"],
    ];
    for step in steps {
        command::run(cargo(step))?;
    }
    Ok(())
}

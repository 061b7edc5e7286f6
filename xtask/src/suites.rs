//! Pass-through to the suites under `tests/` that need Node or Python: install what they need, build the
//! gateway, hand over the arguments. What they test and what they print is theirs.

use crate::command::{self, Outcome, cargo, command};

/// Whatever follows the name of the suite.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// The public conformance suite.
pub(crate) fn conformance(arguments: &Arguments) -> Outcome {
    suite("tests/conformance", arguments)
}

/// Clients and servers of others, in every pair.
pub(crate) fn interop(arguments: &Arguments) -> Outcome {
    suite("tests/interop", arguments)
}

fn suite(folder: &str, arguments: &Arguments) -> Outcome {
    let install = format!("{folder}/install.sh");
    let script = format!("{folder}/run.py");
    if !command::root().join(&script).is_file() {
        return Err(format!("`{script}` is not there").into());
    }
    if command::root().join(&install).is_file() {
        command::run(command("sh", &[&install]))?;
    }
    command::run(cargo(&["build", "--package", "portreeve"]))?;
    let gateway = command::target_folder()?.join("debug/portreeve").display().to_string();
    // Given first, so that the caller's own `--portreeve` wins.
    let mut words = vec![script.as_str(), "--portreeve", &gateway];
    words.extend(arguments.rest.iter().map(String::as_str));
    command::run(command("python3", &words))?;
    Ok(())
}

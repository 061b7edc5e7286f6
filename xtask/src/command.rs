//! Running the programs of the tool chain from the workspace root, with a heading and the time each took.
//! Long-lived children of the benchmark are not started here: they need a guard (`bench::child`).
#![expect(clippy::disallowed_methods, reason = "a developer's tool runs the tool chain; none of it ships")]

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// How a task ends. Nothing branches on the kind of failure, so one boxed error is enough.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// A command that did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// It could not be started.
    #[error("`{line}` did not start")]
    Start {
        /// The command line.
        line: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ran and failed.
    #[error("`{line}` failed ({status})")]
    Failed {
        /// The command line.
        line: String,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
}

/// The workspace root, known since compilation.
pub(crate) fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The target folder that this program was built into: `<target>/<profile>/xtask`.
pub(crate) fn target_folder() -> Result<PathBuf, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    Ok(own.ancestors().nth(2).ok_or("this program is in no target folder")?.to_owned())
}

/// A command to be run in the workspace root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// `cargo`, the one that runs this program if there is one.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    command(option_env!("CARGO").unwrap_or("cargo"), arguments)
}

/// Runs to the end with inherited output.
pub(crate) fn run(mut command: Command) -> Result<(), CommandError> {
    let line = line(&command);
    eprintln!("── {line}");
    let began = Instant::now();
    let status = command.status().map_err(|source| CommandError::Start { line: line.clone(), source })?;
    eprintln!("── {:.1} s", began.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(CommandError::Failed { line, status }) }
}

/// The command as one would type it, for headings and errors.
fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

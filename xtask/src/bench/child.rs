//! The programs that a benchmark runs: pinned to a core, ended with their whole tree by process id when their
//! guard goes, and by the kernel should this process be killed. Nothing is ever ended by name.
#![expect(clippy::disallowed_methods, reason = "a developer's tool runs what it measures; none of it ships")]

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::proc;
use crate::command::Outcome;

/// What is measured runs here, alone.
pub(crate) const MEASURED_CORE: usize = 0;
/// Upstream, load generator and the coordinator share this one.
pub(crate) const OTHER_CORE: usize = 1;
/// Time for a program to end by itself after SIGTERM.
const ENDING: Duration = Duration::from_secs(5);
/// Time for a program to say where it listens.
const STARTING: Duration = Duration::from_secs(10);

/// A program to be replaced by, on one core.
#[derive(clap::Args)]
pub(crate) struct PinnedArguments {
    /// The core
    #[arg(long)]
    core: usize,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// Becomes the program, on its core and bound to the life of the coordinator.
pub(crate) fn pinned(arguments: &PinnedArguments) -> Outcome {
    pin(arguments.core)?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let (program, rest) = arguments.command.split_first().ok_or("no program")?;
    Err(std::process::Command::new(program).args(rest).exec().into())
}

/// Binds this process to one core.
pub(crate) fn pin(core: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// A running program and its tree.
pub(crate) struct Guard {
    child: Child,
    pid: u32,
}

impl Guard {
    /// Starts a program on a core, its output in a file.
    pub(crate) fn start(
        core: usize,
        program: &Path,
        arguments: &[&str],
        output: &Path,
    ) -> std::io::Result<Self> {
        let log = File::create(output)?;
        let mut command = pinned_command(core, program, arguments)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> std::io::Result<Self> {
        let child = command.kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or_else(|| std::io::Error::other("ended at once"))?;
        Ok(Self { child, pid })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end and waits; what is left then goes with the guard.
    pub(crate) async fn stop(mut self) {
        signal(self.pid, Signal::TERM);
        let _ = timeout(ENDING, self.child.wait()).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.has_ended() {
            proc::tree(self.pid).into_iter().for_each(|pid| signal(pid, Signal::KILL));
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself a moment ago.
        let _ = kill_process(pid, signal);
    }
}

/// Starts an upstream; its first line of output is its address.
pub(crate) async fn upstream(only: &str) -> Result<(Guard, String), Box<dyn std::error::Error>> {
    let mut command = pinned_command(OTHER_CORE, &own_program()?, &["bench-upstream", "--only", only])?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut guard = Guard::spawn(command)?;
    let stdout = guard.child.stdout.take().ok_or("no stdout")?;
    let mut address = String::new();
    timeout(STARTING, BufReader::new(stdout).read_line(&mut address)).await??;
    Ok((guard, address.trim().to_owned()))
}

/// Runs the load generator and gives what it printed.
pub(crate) async fn load(
    arguments: &[String],
    limit: Duration,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut words = vec!["bench-load"];
    words.extend(arguments.iter().map(String::as_str));
    let mut command = pinned_command(OTHER_CORE, &own_program()?, &words)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guard = Guard::spawn(command)?;
    let mut stdout = guard.child.stdout.take().ok_or("no stdout")?;
    let mut printed = Vec::new();
    timeout(limit, stdout.read_to_end(&mut printed)).await.map_err(|_| "the load generator hangs")??;
    let status = timeout(ENDING, guard.child.wait()).await??;
    if status.success() { Ok(printed) } else { Err(format!("the load generator failed ({status})").into()) }
}

fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

fn pinned_command(core: usize, program: &Path, arguments: &[&str]) -> std::io::Result<Command> {
    let mut command = Command::new(own_program()?);
    command.args(["pinned", "--core", &core.to_string(), "--"]).arg(program).args(arguments);
    Ok(command)
}

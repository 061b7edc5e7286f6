//! One running child. A task of its own waits for it, so that it is reaped whoever looks, and any number may wait for
//! its end. Its end is asked for in steps (MCP stdio shutdown, check 199): stdin closed, SIGTERM, SIGKILL.

use crate::{KEEPER_ARGUMENT, Launcher, SpawnError, Spec, Supervisor, keeper::LONGEST_GRACE, log::Log};
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group};
use std::{
    fmt, os::unix::process::ExitStatusExt, process::ExitStatus, process::Stdio, sync::Arc, time::Duration,
};
use tokio::{
    process::{ChildStdin, ChildStdout, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long a keeper may take to kill everything under it before we kill it and its group ourselves.
const SWEEP: Duration = Duration::from_secs(2);
/// How long the end waits for the last words on stderr; something that left the group may hold it open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code. Behind a keeper a death by signal N is the code 128 + N, as shells have it.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows: the runtime ended first.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("unknown end"),
        }
    }
}

/// The step of the shutdown after which a child was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Its closed stdin was enough.
    Closed,
    /// SIGTERM.
    Terminated,
    /// SIGKILL.
    Killed,
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How the child ended.
    pub exit: Exit,
    /// What it took.
    pub step: Step,
}

/// A running child. Dropping it kills it and everything that it has started.
#[derive(Debug)]
pub struct Child {
    /// The started process, which leads the group that the command is in.
    leader: Pid,
    started: Started,
    log: Arc<Log>,
    exit: watch::Receiver<Option<Exit>>,
    killed: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Started {
    ByKeeper,
    Directly,
}

impl Child {
    /// Starts the program. Must be called inside a runtime with IO and time. What is on stdout is the caller's business.
    pub fn spawn(
        spec: &Spec,
        supervisor: &Supervisor,
    ) -> Result<(Self, ChildStdin, ChildStdout), SpawnError> {
        let path = spec.resolve(&supervisor.inherited)?;
        let failed = |source| SpawnError::Start { command: spec.command.clone(), source };
        let lost = || failed(std::io::Error::other("the new process has no streams"));
        let mut process = command(spec, supervisor, &path).spawn().map_err(failed)?;
        let leader = process.id().and_then(|id| Pid::from_raw(id.cast_signed())).ok_or_else(lost)?;
        let started = match supervisor.launcher {
            Launcher::Reexec(_) => Started::ByKeeper,
            Launcher::Direct => Started::Directly,
        };
        if started == Started::Directly {
            forbid_core_dumps(leader);
        }
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err(lost());
        };
        let log = Arc::new(Log::default());
        let drained = supervisor.tasks.spawn({
            let (log, name) = (Arc::clone(&log), spec.name.clone());
            async move { log.drain(&name, stderr).await }
        });
        let (sender, exit) = watch::channel(None);
        let killed = CancellationToken::new();
        supervisor.tasks.spawn(reap(process, leader, killed.clone(), drained, sender));
        Ok((Self { leader, started, log, exit, killed }, stdin, stdout))
    }

    /// The id of the started process (behind a keeper: the keeper's) and of its group.
    pub fn id(&self) -> u32 {
        self.leader.as_raw_pid().unsigned_abs()
    }

    /// The last lines of stderr, oldest first.
    pub fn stderr_tail(&self) -> Vec<String> {
        self.log.tail()
    }

    /// Waits for the end. May be dropped and called again, and by several at once.
    pub async fn wait_exit(&self) -> Exit {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit).unwrap_or(Exit::Unknown)
    }

    /// How the child ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Ends the child in steps. The caller has dropped its stdin, which is the first of them; then `grace` (at most
    /// 10 s, usually 2) to end by itself, SIGTERM to the group, `grace` again, SIGKILL to all that is left.
    pub async fn shutdown(&self, grace: Duration) -> Ended {
        let grace = grace.min(LONGEST_GRACE);
        if let Ok(exit) = timeout(grace, self.wait_exit()).await {
            return Ended { exit, step: Step::Closed };
        }
        self.signal(|leader| kill_process_group(leader, Signal::TERM));
        if let Ok(exit) = timeout(grace, self.wait_exit()).await {
            return Ended { exit, step: Step::Terminated };
        }
        self.kill();
        Ended { exit: self.wait_exit().await, step: Step::Killed }
    }

    /// Kills the child and everything that it has started, without waiting for it.
    pub fn kill(&self) {
        match self.started {
            // The keeper knows even those that have left the group, such as browsers that a server has detached.
            Started::ByKeeper => self.signal(|leader| kill_process(leader, Signal::USR1)),
            Started::Directly => self.signal(|leader| kill_process_group(leader, Signal::KILL)),
        }
        // The waiting task goes on to SIGKILL for the whole group should that not be enough.
        self.killed.cancel();
    }

    /// Sends a signal unless the child is gone, when its id may be somebody else's. An error means that it went just now.
    fn signal(&self, send: impl FnOnce(Pid) -> rustix::io::Result<()>) {
        if self.exit().is_none() {
            let _ = send(self.leader);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit().is_none() {
            self.kill();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that starts children")]
fn command(spec: &Spec, supervisor: &Supervisor, path: &std::path::Path) -> Command {
    let mut command = match &supervisor.launcher {
        Launcher::Direct => Command::new(path),
        Launcher::Reexec(keeper) => {
            let mut command = Command::new(keeper);
            command.arg0("portreeve");
            command.arg(KEEPER_ARGUMENT).arg(getpid().as_raw_pid().to_string()).arg(path);
            command
        }
    };
    command.args(&spec.args).env_clear().envs(&supervisor.inherited).envs(&spec.env).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command
}

/// A core file would hold whatever secrets the child was given. Behind a keeper, the keeper does this.
fn forbid_core_dumps(pid: Pid) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, prlimit};
        // Fails only for a process that is gone.
        let _ = prlimit(Some(pid), Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = pid;
}

/// Waits for the child, forces the end that was asked for, clears its group, and only then says how it ended.
async fn reap(
    mut process: tokio::process::Child,
    leader: Pid,
    killed: CancellationToken,
    drained: JoinHandle<()>,
    exit: watch::Sender<Option<Exit>>,
) {
    let status = tokio::select! {
        status = process.wait() => status,
        () = killed.cancelled() => match timeout(SWEEP, process.wait()).await {
            Ok(status) => status,
            Err(_) => {
                let _ = kill_process_group(leader, Signal::KILL);
                process.wait().await
            }
        },
    };
    // Whoever is left in the group keeps its id from being given away; if nobody is, this finds no group.
    let _ = kill_process_group(leader, Signal::KILL);
    let reader = drained.abort_handle();
    if timeout(LAST_WORDS, drained).await.is_err() {
        reader.abort();
    }
    exit.send_replace(Some(status.map_or(Exit::Unknown, how)));
}

fn how(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

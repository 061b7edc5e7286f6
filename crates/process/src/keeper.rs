//! The keeper: this program, started again as the parent of one command, so that the command and all that it starts
//! end with us, whatever ends us. It watches us through a pidfd. The kernel's parent-death signal would be no
//! substitute: it goes off when the *thread* that forked ends, and our runtime's threads come and go. Nor would a
//! pipe be: it needs a descriptor beside the three that belong to the command. Single-threaded; reads no environment.

use crate::sweep::{self, Brood};
use rustix::process::{Pid, Resource, Rlimit, Signal, getpgrp, getppid, kill_process_group, setrlimit};
use std::{
    ffi::OsString,
    fs::OpenOptions,
    future,
    io::{self, Write},
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

/// The first argument that makes the program a keeper.
pub const KEEPER_ARGUMENT: &str = "__child";

/// The most time between SIGTERM and SIGKILL. A keeper that was told to end kills what is left after it.
pub(crate) const LONGEST_GRACE: Duration = Duration::from_secs(10);
/// The time between the steps of an end without us; two of them and the sweep stay within 5 s (decision D57).
const ORPHANED: Duration = Duration::from_millis(1500);
/// How often to look for the parent where the kernel offers no event for it.
const LOOK: Duration = Duration::from_millis(250);

/// Exit codes as shells have them.
const NOT_FOUND: u8 = 127;
const CANNOT_START: u8 = 126;

/// Runs as a keeper; `args` are those after [`KEEPER_ARGUMENT`]: the parent's id, the program's path, its arguments.
/// Ends with the command's exit code, or 128 plus the signal that killed it.
pub fn child_main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = Order::read(args).and_then(|order| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure(CANNOT_START, format!("no runtime: {error}")))?;
        runtime.block_on(keep(&order))
    });
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(Failure(code, text)) => {
            // stderr is the child's log; if that is gone too, nobody is there to be told.
            let _ = writeln!(io::stderr(), "portreeve: {text}");
            ExitCode::from(code)
        }
    }
}

/// An exit code and its reason.
struct Failure(u8, String);

struct Order {
    parent: Pid,
    program: PathBuf,
    args: Vec<OsString>,
}

impl Order {
    fn read(mut args: impl Iterator<Item = OsString>) -> Result<Self, Failure> {
        let usage = || Failure(CANNOT_START, format!("`{KEEPER_ARGUMENT}` is for the program's own use"));
        let parent = args.next().and_then(|id| id.to_str()?.parse().ok()).and_then(Pid::from_raw);
        let parent = parent.ok_or_else(usage)?;
        let program = args.next().ok_or_else(usage)?.into();
        Ok(Self { parent, program, args: args.collect() })
    }
}

async fn keep(order: &Order) -> Result<u8, Failure> {
    let failed =
        |what: &'static str| move |error: io::Error| Failure(CANNOT_START, format!("{what}: {error}"));
    // The handlers come before the command: a signal that is earlier ends the keeper, and there is nothing to clear.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("no signals"))?;
    let mut kill = signal(SignalKind::user_defined1()).map_err(failed("no signals"))?;
    let mut ended = signal(SignalKind::child()).map_err(failed("no signals"))?;
    let parent = Parent::watch(order.parent)?;
    // Core files would hold the child's secrets. A limit that may not be lowered is low already.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    sweep::adopt();
    let mut brood = Brood::new(start(order)?);
    release_streams();

    let mut next: Option<(Instant, Next)> = None;
    let mut orphaned = false;
    loop {
        brood.reap();
        if brood.exit_code().is_some() {
            break;
        }
        tokio::select! {
            _ = ended.recv() => {}
            () = parent.gone(), if !orphaned => {
                orphaned = true;
                next = Some((Instant::now() + ORPHANED, Next::Terminate));
            }
            // Our parent tells the whole group, so the command has it too and needs only its time.
            _ = terminate.recv() => { next.get_or_insert_with(|| (Instant::now() + LONGEST_GRACE, Next::Kill)); }
            _ = kill.recv() => break,
            step = due(next) => match step {
                Next::Terminate => {
                    let _ = kill_process_group(getpgrp(), Signal::TERM);
                    next = Some((Instant::now() + ORPHANED, Next::Kill));
                }
                Next::Kill => break,
            },
        }
    }
    brood.sweep(&mut ended).await;
    if orphaned {
        // Nobody is left who would clear the group after us; this ends the keeper as well.
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    Ok(brood.exit_code().unwrap_or(128 + 9))
}

/// The next step of an end that has begun.
#[derive(Debug, Clone, Copy)]
enum Next {
    Terminate,
    Kill,
}

async fn due(next: Option<(Instant, Next)>) -> Next {
    match next {
        Some((at, step)) => {
            sleep_until(at).await;
            step
        }
        None => future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that starts children")]
fn start(order: &Order) -> Result<Pid, Failure> {
    let program = order.program.display();
    let child =
        Command::new(&order.program).args(&order.args).spawn().map_err(|error| match error.kind() {
            // The file was there a moment ago, so it is what its first line names.
            io::ErrorKind::NotFound => Failure(
                NOT_FOUND,
                format!("{program} cannot start: the interpreter in its first line is not installed"),
            ),
            _ => Failure(CANNOT_START, format!("{program} cannot start: {error}")),
        })?;
    Pid::from_raw(child.id().cast_signed())
        .ok_or_else(|| Failure(CANNOT_START, "the child has no id".to_owned()))
}

/// The streams belong to the command now. As long as the keeper held them too, nobody at their other ends would learn
/// that the command has closed them.
fn release_streams() {
    let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    let _ = rustix::stdio::dup2_stdin(&null);
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
}

/// Becomes readable when its process ends.
#[cfg(target_os = "linux")]
pub(crate) type Handle = tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>;

/// A handle of a process; `None` if it is gone, or where there are no such handles.
#[cfg(target_os = "linux")]
pub(crate) fn handle(id: Pid) -> Option<Handle> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let owned = pidfd_open(id, PidfdFlags::empty()).ok()?;
    #[expect(
        deprecated,
        reason = "unsound only for types whose descriptor may change, which an `OwnedFd` forbids; the successor is unsafe"
    )]
    Handle::with_interest(owned, tokio::io::Interest::READABLE).ok()
}

/// The process that started us.
struct Parent {
    id: Pid,
    #[cfg(target_os = "linux")]
    handle: Option<Handle>,
}

impl Parent {
    /// Begins to watch, and fails if the parent is gone already.
    fn watch(id: Pid) -> Result<Self, Failure> {
        let parent = Self {
            id,
            #[cfg(target_os = "linux")]
            handle: handle(id),
        };
        // Asked after the handle was opened: if the id is still our parent's now, the handle is our parent's.
        if parent.is_alive() {
            return Ok(parent);
        }
        Err(Failure(CANNOT_START, "the gateway has ended".to_owned()))
    }

    fn is_alive(&self) -> bool {
        getppid() == Some(self.id)
    }

    /// Waits for the parent's end.
    async fn gone(&self) {
        #[cfg(target_os = "linux")]
        if let Some(handle) = &self.handle
            && handle.readable().await.is_ok()
        {
            return;
        }
        // Other systems, old kernels and sandboxes without pidfds: look now and then.
        while self.is_alive() {
            sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpid;

    /// What other systems have instead of a handle.
    #[tokio::test]
    async fn without_a_handle_the_parent_is_looked_for() {
        let parent = |id| Parent {
            id,
            #[cfg(target_os = "linux")]
            handle: None,
        };
        let real = getppid().unwrap();
        assert!(tokio::time::timeout(LOOK * 2, parent(real).gone()).await.is_err(), "it is still there");
        // Our own id is not our parent's, as the id of a parent that has gone is not either.
        tokio::time::timeout(Duration::from_secs(20), parent(getpid()).gone()).await.unwrap();
    }
}

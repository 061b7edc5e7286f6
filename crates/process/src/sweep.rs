//! Everything that descends from the command. On Linux the keeper adopts what is orphaned under it, so even programs that
//! have left the process group (detached browsers, daemons) are found and ended. Elsewhere there is only the group.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::time::Duration;
use tokio::{
    signal::unix::Signal as Arrivals,
    time::{Instant, timeout, timeout_at},
};

/// What the command leaves behind gets this long to end after SIGTERM.
const LEFTOVERS: Duration = Duration::from_millis(500);
/// Rounds of SIGKILL: each kills one generation, whose children are adopted and found in the next.
const ROUNDS: u32 = 50;
/// The longest wait for a round's dead.
const ROUND: Duration = Duration::from_millis(20);

/// From now on, what is orphaned below this process becomes its child.
pub(crate) fn adopt() {
    // Should it fail, descendants that have left the group escape; the others do not.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// The command and its descendants, as far as they are the keeper's children.
pub(crate) struct Brood {
    command: Pid,
    code: Option<u8>,
    left: Left,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Some,
    Nobody,
}

impl Brood {
    /// A brood of one.
    pub(crate) fn new(command: Pid) -> Self {
        Self { command, code: None, left: Left::Some }
    }

    /// The command's exit code, once it has ended.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        self.code
    }

    /// Buries the dead, the command among them.
    pub(crate) fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.command => self.code = Some(code(status)),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return self.left = Left::Some,
                Err(_) => return self.left = Left::Nobody,
            }
        }
    }

    /// Ends everything: gently if the command ended by itself, by force if not.
    pub(crate) async fn sweep(&mut self, ended: &mut Arrivals) {
        self.reap();
        if self.code.is_some() && self.left == Left::Some {
            self.signal_all(Signal::TERM);
            let deadline = Instant::now() + LEFTOVERS;
            while self.left == Left::Some && timeout_at(deadline, ended.recv()).await.is_ok() {
                self.reap();
            }
        }
        for _ in 0..ROUNDS {
            if self.left == Left::Nobody {
                return;
            }
            self.signal_all(Signal::KILL);
            let _ = timeout(ROUND, ended.recv()).await;
            self.reap();
        }
    }

    fn signal_all(&self, signal: Signal) {
        for pid in self.children() {
            // One that is gone already needs no signal.
            let _ = kill_process(pid, signal);
        }
    }

    #[cfg(target_os = "linux")]
    fn children(&self) -> Vec<Pid> {
        let own = rustix::process::getpid();
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return Vec::from_iter(self.code.is_none().then_some(self.command));
        };
        processes
            .filter_map(|process| {
                let process = process.ok()?;
                let pid = Pid::from_raw(process.file_name().to_str()?.parse().ok()?)?;
                let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
                (parent(&stat)? == own).then_some(pid)
            })
            .collect()
    }

    #[cfg(not(target_os = "linux"))]
    fn children(&self) -> Vec<Pid> {
        Vec::from_iter(self.code.is_none().then_some(self.command))
    }
}

/// The parent in a line of `/proc/PID/stat`: `pid (name) state ppid …`, where the name may hold anything.
#[cfg(target_os = "linux")]
fn parent(stat: &str) -> Option<Pid> {
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_ascii_whitespace().nth(1)?.parse().ok()?)
}

fn code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code & 0xff).unwrap_or(1)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        for (stat, expected) in [
            ("12 (sh) S 7 12 12 0", Some(7)),
            ("12 (a) b) (c) R 8 12", Some(8)),
            ("12 (sh) S 0 0", None),
            ("12 (sh)", None),
            ("", None),
        ] {
            assert_eq!(parent(stat).map(Pid::as_raw_pid), expected, "{stat}");
        }
    }
}

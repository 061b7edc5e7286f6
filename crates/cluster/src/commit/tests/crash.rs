//! A process that is killed while it writes: before and after every file operation, and at random moments. Whatever it left, the
//! next command finds the old tree or completes the new one, byte for byte, and leaves nothing lying about.

use super::*;
use rustix::process::{Signal, getpid, kill_process};
use std::{
    cell::Cell,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const OLD: &[(&str, &str)] =
    &[("a", "1"), ("same", "s"), ("gone/deep/b", "2"), ("gone/c", "3"), ("d/e", "4")];
const NEW: &[(&str, &str)] =
    &[("a", "1 new"), ("same", "s"), ("d/e", "4 new"), ("fresh/f/g", "5"), ("h", "6")];
/// Tells the child where to write.
const ROOT: &str = "PORTREEVE_TEST_CRASH_ROOT";
/// Tells the child when to die: a number of operations, and half of one for the moment after it.
const AT: &str = "PORTREEVE_TEST_CRASH_AT";

/// A disk that ends the process at one of its operations.
struct Deadly {
    halves: Cell<u64>,
    at: u64,
}

impl Deadly {
    fn around<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.half();
        let done = operation();
        self.half();
        done
    }

    fn half(&self) {
        if self.halves.get() == self.at {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        self.halves.set(self.halves.get() + 1);
    }
}

impl Disk for Deadly {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.around(|| RealDisk.write_new(path, bytes))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(|| RealDisk.rename(from, to))
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.around(|| RealDisk.remove_file(path))
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.around(|| RealDisk.remove_directory(path))
    }
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.around(|| RealDisk.make_directory(path))
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.around(|| RealDisk.sync_directory(path))
    }
}

/// The process that is killed; it does nothing where nobody told it what to do.
#[test]
#[ignore = "it is started by the tests below"]
fn child() {
    let (Some(root), Some(at)) = (std::env::var_os(ROOT), std::env::var_os(AT)) else { return };
    let at = at.to_str().unwrap().parse().unwrap();
    let new = tree(NEW);
    let disk = Deadly { halves: Cell::new(0), at };
    let mut workspace = Workspace::open(&PathBuf::from(root), disk).unwrap();
    let plan = workspace.plan(&new, &Scope::All).unwrap();
    workspace.commit(&new, &plan, Overwrite::Never).unwrap();
    println!("operations: {}", workspace.place.disk().halves.get() / 2);
}

fn start(root: &Path, at: u64) -> Child {
    let _starting = starting();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "commit::tests::crash::child", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env(AT, at.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A tree in the old state.
fn prepared() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &tree(OLD), Overwrite::Never).unwrap();
    root
}

/// What the next command makes of it: the old state or the new one, and nothing else.
fn recovered(root: &Path, when: &str, states: &[BTreeMap<String, String>; 2]) -> usize {
    let locking = locking();
    drop(Workspace::open(root, RealDisk).unwrap_or_else(|error| panic!("{when}: {error}")));
    drop(locking);
    let found = snapshot(root);
    states.iter().position(|state| *state == found).unwrap_or_else(|| panic!("{when}: {found:#?}"))
}

fn states() -> [BTreeMap<String, String>; 2] {
    let old = prepared();
    let new = prepared();
    write(new.path(), &tree(NEW), Overwrite::Never).unwrap();
    [snapshot(old.path()), snapshot(new.path())]
}

#[test]
fn killed_before_and_after_every_operation() {
    let states = states();
    let mut outcomes = [0, 0];
    let mut halves = 0;
    loop {
        let root = prepared();
        let output = start(root.path(), halves).wait_with_output().unwrap();
        let survived = output.status.success();
        let when = format!("killed at {}", halves as f64 / 2.0);
        let state = recovered(root.path(), &when, &states);
        if survived {
            assert_eq!(state, 1, "a commit that nobody disturbs");
            assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("operations: {}", halves / 2)));
            break;
        }
        outcomes[state] += 1;
        halves += 1;
    }
    println!("{} operations, {halves} kills: {} old, {} new", halves / 2, outcomes[0], outcomes[1]);
    assert!(halves > 40 && outcomes[0] > 0 && outcomes[1] > 0, "{halves} kills: {outcomes:?}");
}

#[test]
fn killed_at_random_moments() {
    let states = states();
    let never = u64::MAX;
    let whole = {
        let root = prepared();
        let began = Instant::now();
        start(root.path(), never).wait().unwrap();
        began.elapsed()
    };
    let mut outcomes = [0, 0];
    for number in 0..200 {
        let root = prepared();
        let mut child = start(root.path(), never);
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).unwrap();
        let part = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
        // The moment is what is being tested: it is nobody's signal.
        let until = Instant::now() + whole.mul_f64(part);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        outcomes[recovered(root.path(), &format!("kill {number}"), &states)] += 1;
    }
    println!(
        "200 kills at random moments within {:?}: {} old, {} new",
        Duration::from_micros(whole.as_micros() as u64),
        outcomes[0],
        outcomes[1]
    );
    assert_eq!(outcomes.iter().sum::<i32>(), 200);
}

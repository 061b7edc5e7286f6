//! Real children through the crate's door, each test with both launchers where both promise the same.
//! The stand-in for the program, which the keeper is started from, is `examples/gate.rs`.
//! Linux only: they watch the ends of foreign processes, which other systems have no such handles for.
#![cfg(target_os = "linux")]

use crate::keeper::{Handle, handle};
use crate::{Child, Ended, Exit, Launcher, SpawnError, Spec, Step, Supervisor};
use portreeve_model::ServerName;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

/// More than any of these waits should need on a busy machine.
const LONG: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(1);

fn gate() -> PathBuf {
    let path = std::env::current_exe().unwrap();
    let path = path.parent().unwrap().parent().unwrap().join("examples/gate");
    assert!(path.exists(), "{} is missing: `cargo test -p portreeve-process` builds it", path.display());
    path
}

fn launchers() -> [Launcher; 2] {
    [Launcher::Direct, Launcher::Reexec(gate())]
}

fn supervisor(launcher: Launcher) -> Supervisor {
    let environment = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/nowhere"),
        ("LANG", "C"),
        ("AWS_SECRET_ACCESS_KEY", "not for children"),
        ("PORTREEVE_CI_KEY", "not for children"),
        ("LD_PRELOAD", ""),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Supervisor::new(launcher, environment, TaskTracker::new())
}

fn spec(command: &str, args: &[&str]) -> Spec {
    Spec {
        name: ServerName::new("test").unwrap(),
        command: command.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: BTreeMap::new(),
        cwd: None,
    }
}

fn shell(script: &str, launcher: Launcher) -> (Child, ChildStdin, ChildStdout) {
    Child::spawn(&spec("sh", &["-c", script]), &supervisor(launcher)).unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(LONG, work).await.expect("this should not take so long")
}

async fn line(lines: &mut Lines<impl AsyncBufReadExt + Unpin>) -> String {
    soon(lines.next_line()).await.unwrap().expect("the child should have said something")
}

async fn everything(mut stdout: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    soon(stdout.read_to_string(&mut text)).await.unwrap();
    text
}

/// A process whose end can be waited for, whoever its parent is.
struct Watched(Option<Handle>);

impl Watched {
    fn new(id: &str) -> Self {
        let pid = Pid::from_raw(id.trim().parse().unwrap()).unwrap();
        Self(handle(pid))
    }

    fn running(id: &str) -> Self {
        let watched = Self::new(id);
        assert!(watched.0.is_some(), "{id} should be running");
        watched
    }

    async fn gone(&self) {
        if let Some(handle) = &self.0 {
            let _ = soon(handle.readable()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_environment_is_the_list_and_nothing_else() {
    for launcher in launchers() {
        let mut spec = spec("env", &[]);
        spec.env.insert("LOG".to_owned(), "debug".to_owned());
        spec.env.insert("LANG".to_owned(), "de_DE.UTF-8".to_owned());
        let (child, stdin, stdout) = Child::spawn(&spec, &supervisor(launcher)).unwrap();
        drop(stdin);
        let mut lines: Vec<String> = everything(stdout).await.lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(
            lines,
            ["HOME=/nowhere", "LANG=de_DE.UTF-8", "LOG=debug", "PATH=/usr/local/bin:/usr/bin:/bin"]
        );
        assert_eq!(soon(child.wait_exit()).await, Exit::Code(0));
    }
}

#[tokio::test]
async fn arguments_directory_and_streams_reach_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().canonicalize().unwrap();
    for launcher in launchers() {
        let mut spec =
            spec("sh", &["-c", "pwd; printf '%s|' \"$@\"; cat", "sh", "a b", "", "$HOME", "--", "*"]);
        spec.cwd = Some(directory.clone());
        let (child, mut stdin, stdout) = Child::spawn(&spec, &supervisor(launcher)).unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, b"through").await.unwrap();
        drop(stdin);
        assert_eq!(everything(stdout).await, format!("{}\na b||$HOME|--|*|through", directory.display()));
        assert_eq!(soon(child.wait_exit()).await, Exit::Code(0));
    }
}

#[tokio::test]
async fn exit_codes_pass_through() {
    let [direct, keeper] = launchers();
    let table = [
        ("exit 0", direct.clone(), Exit::Code(0)),
        ("exit 7", direct.clone(), Exit::Code(7)),
        ("kill -9 $$", direct, Exit::Signal(9)),
        ("exit 0", keeper.clone(), Exit::Code(0)),
        ("exit 7", keeper.clone(), Exit::Code(7)),
        ("kill -9 $$", keeper, Exit::Code(137)),
    ];
    for (script, launcher, expected) in table {
        let (child, _stdin, _stdout) = shell(script, launcher.clone());
        assert_eq!(soon(child.wait_exit()).await, expected, "{script} {launcher:?}");
        assert_eq!(child.exit(), Some(expected));
    }
}

#[tokio::test]
async fn starting_errors_name_what_is_wrong_and_its_mend() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, "#!/bin/sh\nexit 5\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, plain) = (file("good", 0o755), file("plain", 0o644));
    let here = directory.path().to_str().unwrap();
    // The same directory, seen from ours.
    let ours = std::env::current_dir().unwrap();
    let relative = format!("{}{}", "../".repeat(ours.components().count() - 1), &here[1..]);
    let relative_good = format!("{relative}/good");
    type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Result<(), &'a str>);
    // Command, working directory, PATH of its own.
    let table: &[Row<'_>] = &[
        (&good, None, None, Ok(())),
        ("./good", Some(here), None, Ok(())),
        ("good", None, Some(here), Ok(())),
        ("good", Some(here), Some("."), Ok(())),
        ("./good", Some(&relative), None, Ok(())),
        ("good", Some(&relative), Some("."), Ok(())),
        (&relative_good, None, None, Ok(())),
        ("good", Some(here), Some(":"), Err("was not found in PATH (:)")),
        ("good", None, None, Err("was not found in PATH (/usr/local/bin:/usr/bin:/bin); install it")),
        ("good", None, Some("/nowhere"), Err("was not found in PATH (/nowhere)")),
        ("/nowhere/good", None, None, Err("was not found in the file system")),
        (&plain, None, None, Err("is not an executable file; `chmod +x`")),
        ("plain", None, Some(here), Err("is not an executable file")),
        (here, None, None, Err("is not an executable file")),
        ("sh", Some("/nowhere"), None, Err("/nowhere does not exist; create it or change `cwd`")),
        ("", None, None, Err("is not an executable file")),
    ];
    for launcher in launchers() {
        for (command, cwd, path, expected) in table {
            let mut spec = spec(command, &[]);
            spec.cwd = cwd.map(PathBuf::from);
            spec.env.extend(path.map(|path| ("PATH".to_owned(), path.to_owned())));
            match (Child::spawn(&spec, &supervisor(launcher.clone())), expected) {
                (Ok((child, ..)), Ok(())) => {
                    assert_eq!(soon(child.wait_exit()).await, Exit::Code(5), "{command}");
                }
                (Err(error), Err(text)) => {
                    assert!(error.to_string().contains(text), "{command:?}: {error}");
                }
                (started, _) => panic!("{command:?}: {:?} instead of {expected:?}", started.err()),
            }
        }
    }
}

#[tokio::test]
async fn a_missing_interpreter_is_told_on_stderr_or_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    fs::write(&path, "#!/nowhere/interpreter\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let spec = spec(path.to_str().unwrap(), &[]);
    let [direct, keeper] = launchers();
    assert!(matches!(Child::spawn(&spec, &supervisor(direct)), Err(SpawnError::Start { .. })));
    let (child, _stdin, _stdout) = Child::spawn(&spec, &supervisor(keeper)).unwrap();
    assert_eq!(soon(child.wait_exit()).await, Exit::Code(127));
    let tail = child.stderr_tail().join("\n");
    assert!(tail.contains("the interpreter in its first line is not installed"), "{tail}");
}

#[tokio::test]
async fn check_199_shutdown_closes_stdin_then_terminates_then_kills() {
    let table: &[(&str, Step, &[&str])] = &[
        ("echo ready; cat >/dev/null; echo eof >&2", Step::Closed, &["eof"]),
        (
            "trap 'echo term >&2; exit 0' TERM; echo ready; cat >/dev/null; echo eof >&2; while :; do sleep 0.05; done",
            Step::Terminated,
            &["eof", "term"],
        ),
        (
            "trap 'echo term >&2' TERM; echo ready; cat >/dev/null; echo eof >&2; while :; do sleep 0.05; done",
            Step::Killed,
            &["eof", "term"],
        ),
    ];
    for launcher in launchers() {
        for (script, expected, said) in table {
            let (child, stdin, stdout) = shell(script, launcher.clone());
            line(&mut BufReader::new(stdout).lines()).await;
            drop(stdin);
            let asked = Instant::now();
            let Ended { exit, step } = soon(child.shutdown(GRACE)).await;
            assert_eq!(step, *expected, "{script} {launcher:?}");
            let steps = match step {
                Step::Closed => 0,
                Step::Terminated => 1,
                Step::Killed => 2,
            };
            assert!(asked.elapsed() >= GRACE * steps, "each step has its time");
            let killed = matches!(exit, Exit::Signal(9) | Exit::Code(137));
            assert_eq!(killed, step == Step::Killed, "{exit}");
            let tail = child.stderr_tail();
            // Shells also tell which of their own children a signal has ended.
            let heard: Vec<&str> =
                tail.iter().map(|line| &**line).filter(|line| *line != "Terminated").collect();
            assert_eq!(heard, *said);
        }
    }
}

/// `sleep` in the group, and behind a keeper also one that has left it.
const FAMILY: &str = "trap '' TERM; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; echo $$; wait";

#[tokio::test]
async fn dropping_a_child_kills_everything_below_it() {
    for launcher in launchers() {
        let script = match launcher {
            Launcher::Direct => FAMILY.replace("setsid ", ""),
            Launcher::Reexec(_) => FAMILY.to_owned(),
        };
        let (child, _stdin, stdout) = shell(&script, launcher);
        let mut lines = BufReader::new(stdout).lines();
        let mut family = vec![Watched::running(&child.id().to_string())];
        for _ in 0..3 {
            family.push(Watched::running(&line(&mut lines).await));
        }
        drop(child);
        for member in family {
            member.gone().await;
        }
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    for launcher in launchers() {
        let (child, _stdin, stdout) =
            shell("sleep 1000 & echo $!; trap '' TERM; sleep 1000 & echo $!", launcher);
        let mut lines = BufReader::new(stdout).lines();
        let left = [Watched::new(&line(&mut lines).await), Watched::new(&line(&mut lines).await)];
        assert_eq!(soon(child.wait_exit()).await, Exit::Code(0));
        for member in left {
            member.gone().await;
        }
    }
}

#[tokio::test]
async fn the_end_may_be_awaited_by_many_and_given_up() {
    for launcher in launchers() {
        let (child, stdin, _stdout) = shell("cat; exit 4", launcher);
        assert!(timeout(Duration::from_millis(20), child.wait_exit()).await.is_err(), "it still runs");
        assert_eq!(child.exit(), None);
        drop(stdin);
        let (one, other) = soon(async { tokio::join!(child.wait_exit(), child.wait_exit()) }).await;
        assert_eq!((one, other), (Exit::Code(4), Exit::Code(4)));
        assert_eq!(soon(child.shutdown(GRACE)).await, Ended { exit: Exit::Code(4), step: Step::Closed });
    }
}

#[tokio::test]
async fn stderr_is_bounded_and_complete_at_the_end() {
    let script = "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; \
                  i=0; while [ $i -lt 199 ]; do echo line $i >&2; i=$((i+1)); done";
    for launcher in launchers() {
        let (child, _stdin, _stdout) = shell(script, launcher);
        assert_eq!(soon(child.wait_exit()).await, Exit::Code(0));
        let tail = child.stderr_tail();
        assert_eq!(tail.len(), 200);
        assert_eq!(tail[0].len(), 4096 + '…'.len_utf8());
        assert_eq!((&*tail[1], &*tail[199]), ("line 0", "line 198"));
    }
}

#[tokio::test]
async fn children_write_no_core_files() {
    for launcher in launchers() {
        let (child, stdin, stdout) = shell("read line; ulimit -c; ulimit -Hc", launcher);
        drop(stdin);
        assert_eq!(everything(stdout).await, "0\n0\n");
        soon(child.wait_exit()).await;
    }
}

/// Were the keeper to hold the streams as well, this would wait for the end of the command.
#[tokio::test]
async fn a_command_that_closes_stdout_is_noticed_while_it_runs() {
    for launcher in launchers() {
        let (child, stdin, stdout) = shell("exec >&-; read line; exit 3", launcher);
        assert_eq!(everything(stdout).await, "");
        assert_eq!(child.exit(), None);
        drop(stdin);
        assert_eq!(soon(child.wait_exit()).await, Exit::Code(3));
    }
}

#[expect(clippy::disallowed_methods, reason = "the stand-in for the whole program is started here")]
fn program(args: &[&str]) -> tokio::process::Child {
    let mut command = tokio::process::Command::new(gate());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// Whoever tells only the keeper to end means what it keeps.
#[tokio::test]
async fn a_keeper_that_is_told_to_end_ends_the_command() {
    let (child, _stdin, stdout) = shell(FAMILY, Launcher::Reexec(gate()));
    let mut lines = BufReader::new(stdout).lines();
    let mut family = Vec::new();
    for _ in 0..3 {
        family.push(Watched::running(&line(&mut lines).await));
    }
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(soon(child.wait_exit()).await, Exit::Code(137));
    for member in family {
        member.gone().await;
    }
}

#[tokio::test]
async fn a_keeper_that_is_killed_takes_the_group_with_it() {
    let (child, _stdin, stdout) = shell(&FAMILY.replace("setsid ", ""), Launcher::Reexec(gate()));
    let mut lines = BufReader::new(stdout).lines();
    let mut family = Vec::new();
    for _ in 0..3 {
        family.push(Watched::running(&line(&mut lines).await));
    }
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(soon(child.wait_exit()).await, Exit::Signal(9));
    for member in family {
        member.gone().await;
    }
}

/// Decision D57. The families: one that ends when its stdin does, and one that ignores everything and has a member that
/// has left the group.
#[tokio::test]
async fn a_sigkill_of_the_program_leaves_nobody_after_five_seconds() {
    for script in ["echo $$; sleep 1000 & echo $!; sleep 1000 & echo $!; cat", FAMILY] {
        let mut program = program(&["hold", "sh", "-c", script]);
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut family = Vec::new();
        for _ in 0..3 {
            let id = line(&mut lines).await;
            family.push(Watched::running(&id));
            if family.len() == 3 {
                family.push(Watched::running(&parent(&id)));
            }
        }
        program.start_kill().unwrap();
        let killed = Instant::now();
        soon(program.wait()).await.unwrap();
        for member in family {
            member.gone().await;
        }
        assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    }
}

/// The parent of a process: for a command, its keeper.
fn parent(id: &str) -> String {
    let stat = fs::read_to_string(Path::new("/proc").join(id).join("stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_keeper_without_its_parent_or_an_order_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let script = format!("echo > {}", trace.display());
    let foreign = i32::MAX.to_string();
    let table: &[&[&str]] = &[
        &["__child", &foreign, "/bin/sh", "-c", &script],
        &["__child", "x", "/bin/sh", "-c", &script],
        &["__child", "0", "/bin/sh"],
        &["__child", "1"],
        &["__child"],
    ];
    for args in table {
        let output = soon(program(args).wait_with_output()).await.unwrap();
        assert_eq!(output.status.code(), Some(126), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
    assert!(!trace.exists());
}

#[test]
fn a_printed_spec_has_no_values() {
    let mut spec = spec("npx", &["--token", "hunter2"]);
    spec.env.insert("TOKEN".to_owned(), "hunter2".to_owned());
    let printed = format!("{spec:?}");
    assert!(!printed.contains("hunter2") && printed.contains("TOKEN"), "{printed}");
}

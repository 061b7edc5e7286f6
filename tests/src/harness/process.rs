//! A program that runs: its lines on both outputs are kept and can be waited for; it is killed by its pid on drop.

use super::soon;
use std::{
    path::Path,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::watch,
    task::JoinSet,
};

/// Lines that one output has had so far.
type Lines = watch::Receiver<Vec<String>>;

/// A running program.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
    _readers: JoinSet<()>,
}

impl Running {
    /// Starts a program with an empty environment in this directory.
    pub(crate) fn start(program: &Path, arguments: &[&str], directory: &Path) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the gate itself is the child here, killed by pid on drop"
        )]
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let mut readers = JoinSet::new();
        let stdout = gather(child.stdout.take().expect("piped"), &mut readers);
        let stderr = gather(child.stderr.take().expect("piped"), &mut readers);
        Self { stdin: child.stdin.take(), child, stdout, stderr, _readers: readers }
    }

    /// The process id; the program must not have been awaited.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().and_then(|pid| i32::try_from(pid).ok()).expect("the program still runs")
    }

    /// The first line of stdout that contains this text, now or soon.
    pub(crate) async fn prints(&self, text: &str) -> String {
        self.line(&self.stdout, text).await
    }

    /// The first line of the log that contains this text, now or soon.
    pub(crate) async fn logs(&self, text: &str) -> String {
        self.line(&self.stderr, text).await
    }

    /// Waits until this many lines of the log contain this text.
    pub(crate) async fn logs_times(&self, text: &str, times: usize) {
        let mut lines = self.stderr.clone();
        let enough = |lines: &Vec<String>| lines.iter().filter(|line| line.contains(text)).count() >= times;
        let seen = tokio::time::timeout(super::PATIENCE, lines.wait_for(enough))
            .await
            .is_ok_and(|seen| seen.is_ok());
        assert!(seen, "not {times} lines with {text:?}; stderr {:#?}", self.stderr.borrow().as_slice());
    }

    /// Everything that it printed on stdout, once that is closed.
    pub(crate) async fn printed(&self) -> String {
        let mut lines = self.stdout.clone();
        // The sender goes when the output is closed.
        soon("the end of stdout", async { while lines.changed().await.is_ok() {} }).await;
        lines.borrow().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Every line of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.stderr.borrow().clone()
    }

    /// Writes a line to the program's stdin.
    pub(crate) async fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is still open");
        stdin.write_all(format!("{line}\n").as_bytes()).await.expect("the program reads");
        stdin.flush().await.expect("the program reads");
    }

    /// Closes the program's stdin.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Asks the program to end.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a pid is positive");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("our own child can be signalled");
    }

    /// Kills it, which nothing can prepare for, and awaits its end.
    pub(crate) async fn kill(&mut self) {
        soon("the kill", self.child.kill()).await.expect("our own child can be killed");
    }

    /// Awaits its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        soon("the end of the program", self.child.wait()).await.expect("our own child can be awaited")
    }

    async fn line(&self, lines: &Lines, text: &str) -> String {
        let mut lines = lines.clone();
        let found = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let wait = async { lines.wait_for(found).await.map(|lines| lines.clone()) };
        let Ok(Ok(seen)) = tokio::time::timeout(super::PATIENCE, wait).await else {
            panic!(
                "no line with {text:?}; stdout {:#?}, stderr {:#?}",
                self.stdout.borrow().as_slice(),
                self.stderr.borrow().as_slice()
            );
        };
        seen.into_iter().find(|line| line.contains(text)).expect("just found")
    }
}

fn gather(output: impl AsyncRead + Unpin + Send + 'static, readers: &mut JoinSet<()>) -> Lines {
    let (sender, receiver) = watch::channel(Vec::new());
    readers.spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|all| all.push(line));
        }
    });
    receiver
}

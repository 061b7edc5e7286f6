//! `cargo xtask accept newcomer`: the `sh` blocks of the README, typed as they stand into a fresh clone by somebody whose
//! home is empty, each with its time. Downloaded packages stay (`CARGO_HOME`): a registry's speed is not ours to measure.
//! What keeps running (`… serve`, or a line that ends in `&`) counts as done when it has printed its first line; a later
//! `serve` takes the place of an earlier one, as it does at a terminal. It knows no shell grammar beyond the README's.
#![expect(clippy::disallowed_methods, reason = "a developer's tool types what it examines; none of it ships")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::command::{self, Outcome, root};

/// From the first command to the end of the first call of a tool.
const FIRST_CALL: Duration = Duration::from_secs(5 * 60);
/// What any command may take before it counts as hanging.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Variables of the caller that a newcomer has too, or that name what is already downloaded.
const KEPT: [&str; 5] = ["PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "USER", "LANG"];
/// What the person types when a tool asks for a name.
const ANSWER: &[u8] = b"Ada\n";

/// What is typed.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave `cargo test` out, which takes longer than everything else together
    #[arg(long)]
    without_tests: bool,
}

/// One command of the README.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Typed {
    /// As it stands, with its here-document.
    pub(super) text: String,
    /// Whether it runs on while the next ones are typed.
    pub(super) stays: bool,
}

/// Types everything.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let commands = commands(&fs::read_to_string(root().join("README.md"))?);
    let folder = tempfile::tempdir()?;
    let person = Person::new(folder.path())?;
    let began = Instant::now();
    let mut first_call = None;
    let mut terminal = Terminal { person, exports: String::new(), running: Vec::new() };
    for typed in &commands {
        let headline = typed.text.lines().next().unwrap_or_default();
        if arguments.without_tests && headline.starts_with("cargo test") {
            println!("   left out  {headline}");
            continue;
        }
        let start = Instant::now();
        terminal.types(typed)?;
        println!("{:8.1} s  {headline}", start.elapsed().as_secs_f64());
        if first_call.is_none() && headline.contains(" call ") {
            first_call = Some(began.elapsed());
        }
    }
    let first = first_call.ok_or("the README calls no tool")?;
    let rest = began.elapsed().as_secs_f64();
    println!("first tool call after {:.1} s, everything after {rest:.1} s", first.as_secs_f64());
    if first > FIRST_CALL {
        return Err(format!("the first tool call took more than {} s", FIRST_CALL.as_secs()).into());
    }
    Ok(())
}

/// The commands of all `sh` blocks, in order.
pub(super) fn commands(page: &str) -> Vec<Typed> {
    let mut commands = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "```sh" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
        let mut block = block.into_iter();
        while let Some(line) = block.next().map(str::trim_end) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut text = line.to_owned();
            if let Some((_, word)) = line.split_once("<<") {
                let end = word.trim().trim_matches(['\'', '"']);
                for inner in block.by_ref() {
                    text = format!("{text}\n{inner}");
                    if inner == end {
                        break;
                    }
                }
            }
            let bare = line.split(" #").next().unwrap_or_default().trim_end();
            let stays = bare.ends_with('&') || bare.ends_with(" serve");
            commands.push(Typed { text, stays });
        }
    }
    commands
}

/// A home, a clone, and the tools that everybody has.
struct Person {
    home: PathBuf,
    clone: PathBuf,
}

impl Person {
    fn new(folder: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let person = Self { home: folder.join("home"), clone: folder.join("portreeve") };
        fs::create_dir(&person.home)?;
        let from = root().display().to_string();
        let to = person.clone.display().to_string();
        command::run(command::command("git", &["clone", "--quiet", &from, &to]))?;
        Ok(person)
    }

    /// A shell of this person, in a process group of its own so that all of it can be ended.
    fn shell(&self, line: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut shell = Command::new("bash");
        shell.args(["-c", line]).current_dir(&self.clone).env_clear().process_group(0);
        shell.env("HOME", &self.home);
        for name in KEPT {
            if let Some(value) = std::env::var_os(name) {
                shell.env(name, value);
            }
        }
        let downloads = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let before = std::env::var_os("HOME").map(PathBuf::from);
        let own = |folder: &str| before.as_ref().map(|home| home.join(folder));
        if let Some(cargo) = downloads.or_else(|| own(".cargo")) {
            shell.env("CARGO_HOME", cargo);
        }
        if let (None, Some(rustup)) = (std::env::var_os("RUSTUP_HOME"), own(".rustup")) {
            shell.env("RUSTUP_HOME", rustup);
        }
        shell
    }
}

/// What has been exported and what still runs.
struct Terminal {
    person: Person,
    exports: String,
    running: Vec<Running>,
}

impl Terminal {
    fn types(&mut self, typed: &Typed) -> Outcome {
        if typed.text.starts_with("export ") {
            self.exports = format!("{}{}\n", self.exports, typed.text);
        }
        let shell = self.person.shell(&format!("{}{}", self.exports, foreground(&typed.text)));
        if typed.stays {
            if foreground(&typed.text) == typed.text {
                self.running.retain(|running| running.in_background);
            }
            self.running.push(Running::start(shell, &typed.text)?);
            return Ok(());
        }
        finish(shell, &typed.text)
    }
}

/// The line without what would send it into the background, where nobody could end it.
fn foreground(text: &str) -> String {
    let bare = text.split(" #").next().unwrap_or_default().trim_end();
    bare.strip_suffix('&').map_or_else(|| text.to_owned(), |bare| bare.trim_end().to_owned())
}

/// Runs a command to its end.
fn finish(mut shell: Command, text: &str) -> Outcome {
    let child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut child = Running { child, in_background: false, reader: None };
    if let Some(mut stdin) = child.child.stdin.take() {
        // A command that reads nothing may have closed it.
        let _ = stdin.write_all(ANSWER);
    }
    let mut out = child.child.stdout.take().ok_or("piped")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = out.read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    let Ok(bytes) = receiver.recv_timeout(LONGEST) else {
        return Err(format!("`{text}` did not end within {} s", LONGEST.as_secs()).into());
    };
    let status = child.child.wait()?;
    let shown = String::from_utf8_lossy(&bytes);
    for line in shown.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev() {
        println!("            | {line}");
    }
    if status.success() { Ok(()) } else { Err(format!("`{text}` failed ({status})").into()) }
}

/// A program that stays, ended with its whole group when nobody needs it any more.
struct Running {
    child: Child,
    in_background: bool,
    /// Ends when nobody holds the program's stdout any more, not even what it started.
    reader: Option<JoinHandle<()>>,
}

impl Running {
    fn start(mut shell: Command, text: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let in_background = foreground(text) != text;
        let mut running = Self { child, in_background, reader: None };
        let out = running.child.stdout.take().ok_or("piped")?;
        let (sender, receiver) = mpsc::channel();
        running.reader = Some(thread::spawn(move || {
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            let _ = sender.send(lines.next());
            lines.for_each(drop);
        }));
        match receiver.recv_timeout(LONGEST) {
            Ok(Some(line)) => println!("            | {line}"),
            _ => return Err(format!("`{text}` ended, or printed nothing").into()),
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let _ = self.child.wait();
        // The port is free only when the last of the group has gone.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

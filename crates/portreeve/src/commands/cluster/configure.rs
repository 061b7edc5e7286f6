//! `portreeve cluster configure`: arguments, what is said, and the code it ends with. What is done is the crate `cluster`'s business.

use super::{age_key, directory};
use crate::{
    cli::print,
    commands::{CommandError, Exit},
};
use clap::{Args, ValueEnum, ValueHint};
use portreeve_cluster::{
    commit::{Change, CommitError, Overwrite, RealDisk, Recovered, Scope, View, unified},
    configure::{self, Failure, Machine, Options, Prepared, Ready},
    inputs::Level,
    lint::{self, Verdicts},
    seal,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// `cluster configure`.
#[derive(Debug, Args)]
pub struct ConfigureArguments {
    /// The directory with `cluster.yaml` and `nodes.yaml`; the tree is written there
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Write nothing; say whether something would change
    #[arg(long)]
    pub check: bool,
    /// Write nothing; show what would change
    #[arg(long)]
    pub diff: bool,
    /// Overwrite files that were changed by hand
    #[arg(long, conflicts_with = "adopt")]
    pub force: bool,
    /// Take files that were changed by hand as they are; the next run brings them up to date
    #[arg(long)]
    pub adopt: bool,
    /// Write only files below this path of the tree, and remove none; may be given several times
    #[arg(long, value_name = "PATH")]
    pub only: Vec<String>,
    /// Take warnings of rules for errors
    #[arg(long)]
    pub strict: bool,
    /// A directory with schemas of custom kinds: definitions as YAML, or `GROUP/KIND_VERSION.json`; may be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub schemas: Vec<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON document and nothing else
    Json,
}

/// Chance, and the moment of a run.
pub(super) struct Here<'a> {
    now: &'a str,
    random: fn(&mut [u8]) -> Result<(), String>,
}

impl Here<'_> {
    pub(super) fn lend(&mut self) -> Machine<'_> {
        Machine { now: self.now, random: &mut self.random }
    }
}

pub(super) fn machine(now: &str) -> Here<'_> {
    Here { now, random: |bytes| getrandom::fill(bytes).map_err(|error| error.to_string()) }
}

/// The moment, as SOPS writes it.
pub(super) fn now() -> Result<String, CommandError> {
    let failed = |error| CommandError::new(Exit::Failed, "the clock cannot be read", error);
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).map_err(failed)
}

pub(super) fn run(arguments: &ConfigureArguments) -> Result<Exit, CommandError> {
    directory(&arguments.directory)?;
    let json = arguments.format == Format::Json;
    let keyless = arguments.check || arguments.diff;
    let key = age_key();
    let options =
        Options { strict: arguments.strict, schemas: &arguments.schemas, age_key: key.as_deref(), keyless };
    let prepared = match configure::prepare(&arguments.directory, &options) {
        Ok(prepared) => prepared,
        Err(failure) => return failed(failure, json),
    };
    if !json {
        warn(&prepared);
    }
    let only: Vec<String> = arguments.only.iter().map(|path| inside(&arguments.directory, path)).collect();
    let takes = |path: &str| only.iter().any(|only| path == only || path.starts_with(&format!("{only}/")));
    let scope = if only.is_empty() { Scope::All } else { Scope::Only(&takes) };
    let now = now()?;
    let mut here = machine(&now);
    if arguments.check || arguments.diff {
        return match prepared.ready(&arguments.directory, &mut here.lend(), &scope) {
            Ok(ready) => looked(arguments, &prepared, &ready),
            Err(failure) => failed(failure, json),
        };
    }
    let overwrite = match (arguments.force, arguments.adopt) {
        (true, _) => Overwrite::Force,
        (_, true) => Overwrite::Adopt,
        _ => Overwrite::Never,
    };
    match prepared.write(&arguments.directory, &mut here.lend(), &scope, overwrite) {
        Ok((ready, recovered)) => {
            if recovered.is_some() && !json {
                tell(match recovered {
                    Some(Recovered::Back) => "an interrupted run had not begun to write; it was undone",
                    _ => "an interrupted run was completed first",
                });
            }
            said(arguments, &prepared, &ready, overwrite)
        }
        Err(Failure::Commit(CommitError::Drift(_))) => {
            match prepared.ready(&arguments.directory, &mut here.lend(), &scope) {
                Ok(ready) => drifted(arguments, &prepared, &ready),
                Err(failure) => failed(failure, json),
            }
        }
        Err(failure) => failed(failure, json),
    }
}

/// A path of the tree, named from where the command runs or from the tree.
fn inside(directory: &Path, path: &str) -> String {
    let named = Path::new(path);
    let named = named.strip_prefix(directory).unwrap_or(named);
    named.to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned()
}

/// Reads, checks and renders, and says what is wrong; the code to end with, if something is.
pub(super) fn prepared(directory: &Path, json: bool) -> Result<Result<Prepared, Exit>, CommandError> {
    let key = age_key();
    match configure::prepare(directory, &Options { age_key: key.as_deref(), ..Options::default() }) {
        Ok(prepared) => {
            warn(&prepared);
            Ok(Ok(prepared))
        }
        Err(failure) => failed(failure, json).map(Err),
    }
}

fn tell(text: &str) {
    // Nobody can be told that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

fn warn(prepared: &Prepared) {
    let mut text = prepared.report.text(false);
    // That kinds have no schema is so for most clusters, each time: the last line counts them, and `validate` names them.
    for finding in prepared.findings.iter().filter(|finding| finding.code != lint::UNCHECKED) {
        text.push_str(&finding.to_string());
    }
    if !text.is_empty() {
        tell(&format!("{text}\n"));
    }
}

/// Says why nothing was written.
pub(super) fn failed(failure: Failure, json: bool) -> Result<Exit, CommandError> {
    let (exit, text, problems) = explained(failure, "nothing was written")?;
    if json {
        print(format!("{:#}\n", json!({"ok": false, "problems": problems})).as_bytes())?;
    } else {
        tell(&text);
    }
    Ok(exit)
}

/// What is wrong with inputs, templates or the tree: the code to end with, and what is said to people and to programs.
///
/// # Errors
/// Something else went wrong.
pub(super) fn explained(failure: Failure, outcome: &str) -> Result<(Exit, String, Value), CommandError> {
    let (exit, text, problems) = match &failure {
        Failure::Inputs(report) => (Exit::Inputs, report.text(false), report.json(false)),
        Failure::Lint(findings) => {
            let text = findings.iter().map(ToString::to_string).collect();
            (Exit::Output, text, findings.iter().map(|finding| finding.json()).collect())
        }
        Failure::Render(error) => (Exit::Template, error.text(), json!([error.json()])),
        Failure::Commit(CommitError::Locked(_)) => {
            return Err(CommandError::new(Exit::Locked, outcome, failure));
        }
        Failure::Schemas(_) => return Err(CommandError::new(Exit::Usage, outcome, failure)),
        Failure::Seal(_) | Failure::Keyless => return Err(CommandError::new(Exit::Key, outcome, failure)),
        _ => return Err(CommandError::new(Exit::Failed, outcome, failure)),
    };
    Ok((exit, format!("{text}{outcome}: {failure}"), problems))
}

/// One word, and a mark, for what happens to a file.
fn word(change: &Change, removed: bool) -> Option<(&'static str, char)> {
    Some(match change {
        Change::Same | Change::Forget => return None,
        Change::Create => ("new", '+'),
        Change::Update { .. } => ("changed", '~'),
        Change::Remove { .. } => ("removed", '-'),
        Change::Drifted { .. } if removed => ("changed by hand, no longer rendered", '!'),
        Change::Drifted { .. } => ("changed by hand", '!'),
    })
}

fn counted(prepared: &Prepared, ready: &Ready) -> String {
    let count = |test: fn(&Change) -> bool| ready.plan.all().filter(|(_, change)| test(change)).count();
    let sealed = match ready.uncompared {
        0 => format!("{} of them encrypted", ready.tree.keys().filter(|path| seal::sealed(path)).count()),
        hidden => format!("and {hidden} encrypted ones that were not compared: `age.key` is not here"),
    };
    let Verdicts { valid, unchecked, .. } = prepared.verdicts;
    format!(
        "{} new, {} changed, {} removed, {} unchanged ({} files, {sealed}; {valid} objects valid, {unchecked} unchecked)",
        count(|change| matches!(change, Change::Create)),
        count(|change| matches!(change, Change::Update { .. })),
        count(|change| matches!(change, Change::Remove { .. })),
        count(|change| matches!(change, Change::Same)),
        ready.tree.len(),
    )
}

/// The verdicts of the schemas.
pub(super) fn objects(prepared: &Prepared) -> Value {
    let Verdicts { valid, invalid, unchecked } = prepared.verdicts;
    json!({"valid": valid, "invalid": invalid, "unchecked": unchecked})
}

fn document(prepared: &Prepared, ready: &Ready, ok: bool) -> String {
    let changes: Vec<Value> = ready
        .plan
        .all()
        .filter_map(|(path, change)| {
            let (word, _) = word(change, ready.plan.removes(path))?;
            Some(json!({"path": path, "change": word}))
        })
        .collect();
    let findings: Vec<Value> = prepared.findings.iter().map(|finding| finding.json()).collect();
    let warnings = prepared.report.count(Level::Warning, false);
    let document = json!({
        "ok": ok, "files": ready.tree.len(), "not_compared": ready.uncompared, "changes": changes,
        "warnings": warnings, "objects": objects(prepared),
        "problems": prepared.report.json(false), "findings": findings,
    });
    format!("{document:#}\n")
}

/// What was written.
fn said(
    arguments: &ConfigureArguments,
    prepared: &Prepared,
    ready: &Ready,
    overwrite: Overwrite,
) -> Result<Exit, CommandError> {
    if arguments.format == Format::Json {
        return print(document(prepared, ready, true).as_bytes());
    }
    let mut text = marks(ready);
    let shown = arguments.directory.display();
    let adopted = ready.plan.drifted().count();
    // Writing into a text cannot fail.
    let _ = match (overwrite, adopted) {
        (Overwrite::Adopt, 1..) => {
            writeln!(text, "{shown}: {}, {adopted} taken as they are", counted(prepared, ready))
        }
        (Overwrite::Force, 1..) => {
            writeln!(text, "{shown}: {}, {adopted} overwritten", counted(prepared, ready))
        }
        _ => writeln!(text, "{shown}: {}", counted(prepared, ready)),
    };
    print(text.as_bytes())
}

/// One line for each file that changes; where there are many, one for each directory.
fn marks(ready: &Ready) -> String {
    /// As many lines as a person reads.
    const MANY: usize = 30;
    let changes: Vec<(char, &str)> = ready
        .plan
        .all()
        .filter_map(|(path, change)| Some((word(change, ready.plan.removes(path))?.1, path)))
        .collect();
    let mut text = String::new();
    if changes.len() <= MANY {
        for (mark, path) in changes {
            // Writing into a text cannot fail.
            let _ = writeln!(text, "  {mark} {path}");
        }
        return text;
    }
    let mut grouped: BTreeMap<(String, char), usize> = BTreeMap::new();
    for (mark, path) in changes {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let above: Vec<&str> = above.split('/').take(3).collect();
        let group = if above == [""] { path.to_owned() } else { format!("{}/", above.join("/")) };
        *grouped.entry((group, mark)).or_default() += 1;
    }
    for ((group, mark), files) in grouped {
        let _ = match group.ends_with('/') {
            true => writeln!(text, "  {mark} {group} ({files})"),
            false => writeln!(text, "  {mark} {group}"),
        };
    }
    text
}

/// What would be written.
fn looked(arguments: &ConfigureArguments, prepared: &Prepared, ready: &Ready) -> Result<Exit, CommandError> {
    let exit = match (ready.plan.drifted().count(), ready.plan.changes().count()) {
        (1.., _) => Exit::Drift,
        (0, 1..) => Exit::Changes,
        (0, 0) => Exit::Done,
    };
    if arguments.format == Format::Json {
        print(document(prepared, ready, exit == Exit::Done).as_bytes())?;
        return Ok(exit);
    }
    let mut text = if arguments.diff { differences(arguments, ready)? } else { marks(ready) };
    let _ = writeln!(
        text,
        "{}: {}; nothing was written",
        arguments.directory.display(),
        counted(prepared, ready)
    );
    print(text.as_bytes())?;
    Ok(exit)
}

fn differences(arguments: &ConfigureArguments, ready: &Ready) -> Result<String, CommandError> {
    let failed = |error| CommandError::new(Exit::Failed, "the tree cannot be compared", error);
    let view = View::open(&arguments.directory, RealDisk).map_err(failed)?;
    let mut text = String::new();
    for (path, _) in ready.plan.changes() {
        let old = view.current(path).map_err(failed)?;
        let new = ready.tree.get(path).map(|output| output.bytes.as_slice());
        text.push_str(&unified(path, old.as_deref(), new));
    }
    Ok(text)
}

/// Files that somebody changed: what would be lost.
fn drifted(arguments: &ConfigureArguments, prepared: &Prepared, ready: &Ready) -> Result<Exit, CommandError> {
    if arguments.format == Format::Json {
        print(document(prepared, ready, false).as_bytes())?;
        return Ok(Exit::Drift);
    }
    let failed = |error| CommandError::new(Exit::Failed, "the tree cannot be compared", error);
    let view = View::open(&arguments.directory, RealDisk).map_err(failed)?;
    let mut text = String::new();
    for path in ready.plan.drifted() {
        let old = view.current(path).map_err(failed)?;
        let new = ready.tree.get(path).map(|output| output.bytes.as_slice());
        text.push_str(&unified(path, old.as_deref(), new));
    }
    let files: Vec<&str> = ready.plan.drifted().collect();
    tell(&format!(
        "{text}error: changed by hand, or there before: {}\n  = help: put the change into `templates/overrides/`; or `--adopt` the files as they are, or overwrite them with `--force`\nnothing was written",
        files.join(", ")
    ));
    Ok(Exit::Drift)
}

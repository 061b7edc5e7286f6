//! `cargo xtask accept mutants`: draws changes of the code by a printed seed, lets the tests of each crate look for them,
//! and tells the survivors. A survivor needs its reason in `xtask/mutants.toml`; too many fail whatever their reasons.
//! The work is that of cargo-mutants, in a copy of the tree and with the lowest priority.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde::Deserialize;

use super::draw::Draw;
use crate::command::{self, CommandError, Outcome, command};

/// Crates that are examined whole: pure, with quick tests of their own.
const WHOLE: [&str; 3] = ["portreeve-mcp", "portreeve-seal", "portreeve-policy"];
/// Where the eras meet.
const GATEWAY: &str = "portreeve-gateway";
/// The files of it that are examined.
const BRIDGE: [&str; 4] = [
    "crates/gateway/src/bridge.rs",
    "crates/gateway/src/bridge/**/*.rs",
    "crates/gateway/src/park.rs",
    "crates/gateway/src/park/**/*.rs",
];
/// The package whose payloads are also seen by the tests of the gateway.
const PROTOCOL: &str = "portreeve-mcp";
/// Survivors among the mutants that could be built, in percent.
const MOST_SURVIVORS: usize = 5;
/// Seconds that the tests of one mutant may take: they take a tenth, so that only a hang is cut.
const TIMEOUT: &str = "120";

/// How many, and which.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The draw: the same seed draws the same mutants of the same code
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many are drawn
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// Only mutants of this package (repeatable)
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Keep what cargo-mutants writes here instead of a temporary folder
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// One possible change.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mutant {
    pub(super) name: String,
    package: String,
}

impl Mutant {
    /// The name without line and column, which move with every change above.
    pub(super) fn lasting_name(&self) -> String {
        let mut parts = self.name.splitn(4, ':');
        let (file, line, column, what) = (parts.next(), parts.next(), parts.next(), parts.next());
        let is_place = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
        match (file, what) {
            (Some(file), Some(what)) if is_place(line) && is_place(column) => format!("{file}:{what}"),
            _ => self.name.clone(),
        }
    }
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Caught,
    Missed,
    Timeout,
    Unviable,
}

/// Draws, runs, judges.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let reasons = reasons(&fs::read_to_string(command::root().join("xtask/mutants.toml"))?)?;
    install()?;
    let mut all = list(&WHOLE, &[])?;
    all.extend(list(&[GATEWAY], &BRIDGE)?);
    all.retain(|mutant| arguments.package.is_empty() || arguments.package.contains(&mutant.package));
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let known = all.len();
    let drawn = Draw::new(arguments.seed).sample(all, arguments.count);
    println!("{} of {known} mutants, drawn with --seed {}", drawn.len(), arguments.seed);
    let folder = tempfile::tempdir()?;
    let output = arguments.output.clone().unwrap_or_else(|| folder.path().to_owned());
    let mut fates = examine(&drawn, &[], &output.join("own"))?;
    let protocol: Vec<Mutant> = missed(&drawn, &fates).filter(|mutant| mutant.package == PROTOCOL).collect();
    if !protocol.is_empty() {
        println!("{} survivors of {PROTOCOL} are shown to the tests of {GATEWAY}", protocol.len());
        fates.extend(examine(&protocol, &["--test-package", GATEWAY], &output.join("gateway"))?);
    }
    report(&drawn, &fates, &reasons)
}

fn missed<'a>(
    drawn: &'a [Mutant],
    fates: &'a BTreeMap<String, Fate>,
) -> impl Iterator<Item = Mutant> + use<'a> {
    drawn.iter().filter(|mutant| fates.get(&mutant.name) == Some(&Fate::Missed)).cloned()
}

fn install() -> Result<(), Box<dyn std::error::Error>> {
    if captured(command("cargo-mutants", &["mutants", "--version"])).is_err() {
        command::run(command::cargo(&["install", "--locked", "--quiet", "cargo-mutants"]))?;
    }
    Ok(())
}

fn captured(mut command: std::process::Command) -> Result<Output, Box<dyn std::error::Error>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// All mutants of these packages, in these files if there are any.
fn list(packages: &[&str], files: &[&str]) -> Result<Vec<Mutant>, Box<dyn std::error::Error>> {
    let mut words = vec!["mutants", "--list", "--json"];
    words.extend(packages.iter().flat_map(|package| ["--package", package]));
    words.extend(files.iter().flat_map(|file| ["--file", file]));
    let output = captured(command::cargo(&words))?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Lets the tests look for these mutants; gives the fate of each.
fn examine(
    mutants: &[Mutant],
    more: &[&str],
    output: &Path,
) -> Result<BTreeMap<String, Fate>, Box<dyn std::error::Error>> {
    fs::create_dir_all(output)?;
    let chosen = output.join("chosen.toml");
    fs::write(&chosen, format!("examine_re = {}\n", serde_json::to_string(&patterns(mutants))?))?;
    let (chosen, shown) = (chosen.display().to_string(), output.display().to_string());
    let mut words = vec!["-n", "19", "cargo", "mutants", "--config", &chosen, "--output", &shown];
    words.extend(["--jobs", "1", "--timeout", TIMEOUT, "--no-times", "--colors", "never"]);
    words.extend(more);
    let packages: std::collections::BTreeSet<&str> = mutants.iter().map(|m| m.package.as_str()).collect();
    words.extend(packages.iter().flat_map(|package| ["--package", package]));
    match command::run(command("nice", &words)) {
        // It fails when a mutant survives or hangs, which is for the report to judge.
        Ok(()) | Err(CommandError::Failed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let fates = fates(&fs::read_to_string(output.join("mutants.out/outcomes.json"))?)?;
    if mutants.iter().all(|mutant| fates.contains_key(&mutant.name)) {
        return Ok(fates);
    }
    Err(format!("cargo-mutants did not get to all of them, see {shown}").into())
}

/// One exact pattern for each name.
pub(super) fn patterns(mutants: &[Mutant]) -> Vec<String> {
    mutants.iter().map(|mutant| format!("^{}$", regex_lite::escape(&mutant.name))).collect()
}

#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    scenario: serde_json::Value,
    summary: String,
}

/// Reads what cargo-mutants wrote. The baseline, which is no mutant, is left out.
pub(super) fn fates(text: &str) -> Result<BTreeMap<String, Fate>, Box<dyn std::error::Error>> {
    let outcomes: Outcomes = serde_json::from_str(text)?;
    let mut fates = BTreeMap::new();
    for One { scenario, summary } in outcomes.outcomes {
        let Some(name) = scenario.pointer("/Mutant/name").and_then(|name| name.as_str()) else { continue };
        let fate = match summary.as_str() {
            "CaughtMutant" => Fate::Caught,
            "MissedMutant" => Fate::Missed,
            "Timeout" => Fate::Timeout,
            "Unviable" => Fate::Unviable,
            other => return Err(format!("{name}: cargo-mutants says {other}").into()),
        };
        fates.insert(name.to_owned(), fate);
    }
    Ok(fates)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    #[serde(default)]
    survivor: Vec<Survivor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Survivor {
    mutant: String,
    reason: String,
}

/// Accepted survivors with their reasons.
pub(super) fn reasons(text: &str) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let accepted: Accepted = toml::from_str(text)?;
    let mut reasons = BTreeMap::new();
    for Survivor { mutant, reason } in accepted.survivor {
        if reason.trim().is_empty() {
            return Err(format!("xtask/mutants.toml gives no reason for `{mutant}`").into());
        }
        reasons.insert(mutant, reason);
    }
    Ok(reasons)
}

/// Prints the counts and the survivors, and says whether that is good enough.
pub(super) fn report(
    drawn: &[Mutant],
    fates: &BTreeMap<String, Fate>,
    reasons: &BTreeMap<String, String>,
) -> Outcome {
    let mut packages: BTreeMap<&str, BTreeMap<Fate, usize>> = BTreeMap::new();
    for mutant in drawn {
        if let Some(fate) = fates.get(&mutant.name) {
            *packages.entry(&mutant.package).or_default().entry(*fate).or_default() += 1;
        }
    }
    println!("{:<20} {:>7} {:>7} {:>9} {:>9}", "", "caught", "missed", "timeouts", "unviable");
    for (package, counts) in &packages {
        let of = |fate| counts.get(&fate).copied().unwrap_or(0);
        let (caught, missed) = (of(Fate::Caught), of(Fate::Missed));
        println!("{package:<20} {caught:>7} {missed:>7} {:>9} {:>9}", of(Fate::Timeout), of(Fate::Unviable));
    }
    let survivors: Vec<Mutant> = missed(drawn, fates).collect();
    let mut unexplained = 0;
    for survivor in &survivors {
        let reason = reasons.get(&survivor.lasting_name());
        unexplained += usize::from(reason.is_none());
        println!("survived: {}\n    {}", survivor.name, reason.map_or("NO REASON", String::as_str));
    }
    let unviable = fates.values().filter(|fate| **fate == Fate::Unviable).count();
    let viable = fates.len() - unviable;
    println!("{} of {viable} viable mutants survived (at most {MOST_SURVIVORS} %)", survivors.len());
    if survivors.len() * 100 > MOST_SURVIVORS * viable {
        return Err("too many mutants survived".into());
    }
    match unexplained {
        0 => Ok(()),
        some => Err(format!("{some} survivors have no reason in xtask/mutants.toml").into()),
    }
}

//! `cargo xtask fuzz`: every target of `fuzz/Cargo.toml` for the same number of seconds, with its executions
//! per second. On stable, so without sanitizers: the code has no `unsafe`, panics and hangs are what is sought.
#![expect(clippy::disallowed_methods, reason = "a developer's tool runs the tool chain; none of it ships")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::command::{self, CommandError, Outcome, cargo};

/// How long, and which.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each target
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Only the targets whose name contains this
    #[arg(long, default_value = "")]
    target: String,
}

/// Runs all targets, then prints the table; a crash in one does not hide the others.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let manifest = command::root().join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let targets: Vec<String> =
        targets(&text).into_iter().filter(|name| name.contains(&arguments.target)).collect();
    if targets.is_empty() {
        return Err("no fuzz target matches".into());
    }
    install()?;
    let mut rows = Vec::new();
    for target in targets {
        let found = fuzz(&target, arguments.seconds)?;
        rows.push((target, found));
    }
    let mut crashed = 0;
    for (target, found) in &rows {
        let verdict = if found.clean { "clean" } else { "FAILED" };
        crashed += usize::from(!found.clean);
        println!(
            "{target:<24} {:>10} executions/s {:>12} in all  {verdict}",
            found.per_second, found.executions
        );
    }
    if crashed == 0 { Ok(()) } else { Err(format!("{crashed} of {} targets failed", rows.len()).into()) }
}

/// What one run of a target showed.
#[derive(Default)]
struct Found {
    per_second: u64,
    executions: u64,
    clean: bool,
}

fn install() -> Result<(), CommandError> {
    let there =
        Command::new("cargo-fuzz").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    command::run(cargo(&["install", "--locked", "cargo-fuzz"]))
}

fn fuzz(target: &str, seconds: u32) -> Result<Found, Box<dyn std::error::Error>> {
    let limit = format!("-max_total_time={seconds}");
    // New finds go to the first folder; the others are only read.
    let found = format!("target/fuzz/{target}");
    let [corpus, seeds] = ["corpus", "seeds"].map(|kind| format!("fuzz/{kind}/{target}"));
    for folder in [&found, &corpus, &seeds] {
        fs::create_dir_all(command::root().join(folder))?;
    }
    let mut child = cargo(&[
        "fuzz",
        "run",
        "--sanitizer",
        "none",
        target,
        &found,
        &corpus,
        &seeds,
        "--",
        &limit,
        "-max_len=4096",
        "-timeout=10",
        "-print_final_stats=1",
    ]);
    eprintln!("── cargo fuzz run {target} ({seconds} s)");
    let mut child = child.stderr(Stdio::piped()).spawn()?;
    let mut found = Found::default();
    let stderr = child.stderr.take().ok_or("no stderr")?;
    for line in BufReader::new(stderr).lines() {
        let line = line?;
        match statistic(&line) {
            Some(("average_exec_per_sec", value)) => found.per_second = value,
            Some(("number_of_executed_units", value)) => found.executions = value,
            Some(_) => {}
            None => eprintln!("{line}"),
        }
    }
    found.clean = child.wait()?.success();
    Ok(found)
}

/// Reads a line of libFuzzer's `-print_final_stats`.
fn statistic(line: &str) -> Option<(&str, u64)> {
    let (name, value) = line.strip_prefix("stat::")?.split_once(':')?;
    Some((name, value.trim().parse().ok()?))
}

/// The names of the `[[bin]]` tables of a manifest. A full TOML reader would be a dependency for four lines.
fn targets(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut in_bin = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_bin = line == "[[bin]]";
        } else if let Some(("name", value)) =
            line.split_once('=').map(|(key, value)| (key.trim(), value.trim()))
            && in_bin
        {
            names.push(value.trim_matches('"').to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_names_of_bin_tables_only() {
        let manifest = "[package]\nname = \"fuzz\"\n[[bin]]\nname = \"frame\"\npath = \"x\"\n[dependencies]\nname = \"no\"\n[[bin]]\nname=\"sse\"\n";
        assert_eq!(targets(manifest), ["frame", "sse"]);
    }

    #[test]
    fn statistics_are_told_from_other_lines() {
        let table = [
            ("stat::average_exec_per_sec:     51234", Some(("average_exec_per_sec", 51_234))),
            ("stat::number_of_executed_units: 7", Some(("number_of_executed_units", 7))),
            ("#2 INITED cov: 3", None),
            ("stat::broken", None),
        ];
        for (line, expected) in table {
            assert_eq!(statistic(line), expected, "{line}");
        }
    }
}

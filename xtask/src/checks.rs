//! `cargo xtask checks`: which of the protocol's numbered checks have a test. A test claims its numbers in its
//! name, `check_012_…` or `check_012_013_…`, at most three. It reads sources and runs nothing, so a claim says
//! that a test exists, not that it passes: the test run says that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{self, Outcome};

/// The last number of the list of checks.
const LAST: usize = 202;
/// More numbers than this in one name, and a failure would no longer say what broke.
const NUMBERS_PER_TEST: usize = 3;

/// The first number of each section, and its subject.
const SECTIONS: [(usize, &str); 10] = [
    (1, "modern envelope and headers"),
    (44, "discovery and era fallback"),
    (61, "streams, cancel, progress, logs"),
    (79, "questions and parking"),
    (114, "subscriptions and caching"),
    (130, "lists, tools, resources, prompts"),
    (148, "legacy door"),
    (163, "tasks"),
    (173, "authorization"),
    (193, "edge and operations"),
];

/// A function whose name claims numbers.
#[derive(Debug, PartialEq)]
struct Claim {
    name: String,
    numbers: Vec<usize>,
}

/// Prints the table; a claim that cannot be right is an error.
pub(crate) fn run() -> Outcome {
    let mut claims = Vec::new();
    let mut faults = Vec::new();
    for folder in ["crates", "tests"] {
        for file in sources(&command::root().join(folder))? {
            let text = fs::read_to_string(&file)?;
            let place = file.strip_prefix(command::root()).unwrap_or(&file).display().to_string();
            scan(&text, &place, &mut claims, &mut faults);
        }
    }
    let mut tests: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for claim in &claims {
        for number in &claim.numbers {
            tests.entry(*number).or_default().push(&claim.name);
        }
    }
    print_table(&tests);
    println!(
        "{} of {LAST} checks have a test ({} tests), {} not yet",
        tests.len(),
        claims.len(),
        LAST - tests.len()
    );
    if faults.is_empty() {
        return Ok(());
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    Err(format!("{} misnamed tests", faults.len()).into())
}

fn print_table(tests: &BTreeMap<usize, Vec<&str>>) {
    for number in 1..=LAST {
        if let Some((index, (_, subject))) =
            SECTIONS.iter().enumerate().find(|(_, (first, _))| *first == number)
        {
            println!("6.{} {subject}", index + 1);
        }
        match tests.get(&number) {
            Some(names) => println!("  {number:03}  {}", names.join(", ")),
            None => println!("  {number:03}  not yet"),
        }
    }
}

/// All Rust files below a folder, in a stable order.
fn sources(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let is_build = path.file_name().is_some_and(|name| name == "target" || name == "node_modules");
            if path.is_dir() && !is_build {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Collects the claims of one file. Attributes are looked at line by line: the sources are formatted.
fn scan(text: &str, place: &str, claims: &mut Vec<Claim>, faults: &mut Vec<String>) {
    let mut attributes: Vec<&str> = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        if let Some(name) = function_name(line)
            && let Some(rest) = name.strip_prefix("check_")
            && rest.starts_with(|first: char| first.is_ascii_digit())
        {
            let place = format!("{place}:{}", index + 1);
            match numbers(rest).and_then(|numbers| is_run(&attributes).map(|()| numbers)) {
                Ok(numbers) => claims.push(Claim { name: name.to_owned(), numbers }),
                Err(fault) => faults.push(format!("{place}: `{name}` {fault}")),
            }
        }
        if !line.starts_with("//") {
            attributes.clear();
        }
    }
}

/// The name of the function that this line begins.
fn function_name(line: &str) -> Option<&str> {
    if line.starts_with("//") {
        return None;
    }
    let mut words = line.split_whitespace();
    words.by_ref().take(4).find(|word| *word == "fn")?;
    let rest = words.next()?;
    rest.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_')).next()
}

/// A claim counts only if the test harness runs the function.
fn is_run(attributes: &[&str]) -> Result<(), String> {
    let is_test = attributes.iter().any(|line| {
        let name = line.trim_start_matches("#[").split(['(', ']']).next().unwrap_or_default();
        name == "test" || name.ends_with("::test")
    });
    let is_ignored = attributes.iter().any(|line| line.starts_with("#[ignore"));
    match (is_test, is_ignored) {
        (true, false) => Ok(()),
        (false, _) => Err("is not a test".into()),
        (true, true) => Err("is ignored".into()),
    }
}

/// The leading three-digit groups of what follows `check_`.
fn numbers(rest: &str) -> Result<Vec<usize>, String> {
    let mut numbers = Vec::new();
    for group in rest.split('_') {
        if !group.starts_with(|first: char| first.is_ascii_digit()) {
            break;
        }
        if group.len() != 3 || !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("has `{group}` where three digits belong"));
        }
        let number: usize = group.parse().map_err(|_| "has no number".to_owned())?;
        if number == 0 || number > LAST {
            return Err(format!("names {number}, but the checks end at {LAST}"));
        }
        numbers.push(number);
    }
    if numbers.len() > NUMBERS_PER_TEST {
        return Err(format!("names {} checks, at most {NUMBERS_PER_TEST}", numbers.len()));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_yield_their_numbers_or_a_fault() {
        let table: [(&str, Result<Vec<usize>, &str>); 8] = [
            ("012_header_missing", Ok(vec![12])),
            ("001_002_003_envelope", Ok(vec![1, 2, 3])),
            ("202", Ok(vec![202])),
            ("001_002_003_004_much", Err("names 4 checks")),
            ("203_past_the_end", Err("names 203")),
            ("000_zero", Err("names 0")),
            ("7_short", Err("three digits")),
            ("012_3xx_retry", Err("three digits")),
        ];
        for (name, expected) in table {
            match (numbers(name), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{name}: {found}"),
                (found, expected) => panic!("{name}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn only_functions_that_run_as_tests_count() {
        let text = "#[test]\nfn check_001_a() {}\n#[tokio::test(flavor = \"current_thread\")]\n// why\nasync fn check_002_003_b() {\n}\n\
                    fn check_004_helper() {}\n#[test]\n#[ignore]\nfn check_005_c() {}\n#[test]\nfn check_it() {}\n// fn check_006_d() {}\n";
        let (mut claims, mut faults) = (Vec::new(), Vec::new());
        scan(text, "x.rs", &mut claims, &mut faults);
        let found: Vec<_> = claims.iter().map(|claim| (claim.name.as_str(), claim.numbers.clone())).collect();
        assert_eq!(found, [("check_001_a", vec![1]), ("check_002_003_b", vec![2, 3])]);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("x.rs:7: `check_004_helper` is not a test"), "{faults:?}");
        assert!(faults[1].contains("is ignored"), "{faults:?}");
    }

    #[test]
    fn sections_are_in_order_and_within_the_list() {
        assert!(SECTIONS.is_sorted_by_key(|(first, _)| *first));
        assert!(SECTIONS.iter().all(|(first, _)| (1..=LAST).contains(first)));
    }
}

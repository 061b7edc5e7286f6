//! One mistake each: an edit of a cluster that is right raises the code of its name and no other, at the file and key that are
//! expected, and a person is told about it exactly what `said/` has.

#![expect(clippy::disallowed_methods, reason = "whether the answers are written anew, the environment says")]

use super::support::{CLUSTERS, Texts, cluster, field, files, fixtures, set, text, unset};
use crate::inputs::{Level, RULES, Report, Scope, check};
use portreeve_yaml::{Data, Node, parse};
use std::{collections::BTreeSet, fs, path::Path};

fn edit(texts: &mut Texts, edit: &Node) {
    let name = text(field(edit, "file").unwrap());
    if let Some(Data::Map(entries)) = field(edit, "set").map(|node| &node.data) {
        for entry in entries {
            let source = &mut texts.get_mut(name).unwrap().0;
            *source = set(source, &entry.key, &entry.value);
        }
    }
    if let Some(Data::List(items)) = field(edit, "unset").map(|node| &node.data) {
        for item in items {
            let source = &mut texts.get_mut(name).unwrap().0;
            *source = unset(source, text(item));
        }
    }
    if let Some(more) = field(edit, "append") {
        texts.get_mut(name).unwrap().0.push_str(text(more));
    }
    if let Some(whole) = field(edit, "text") {
        text(whole).clone_into(&mut texts.get_mut(name).unwrap().0);
    }
    if let Some(mode) = field(edit, "mode") {
        texts.get_mut(name).unwrap().1 = u32::from_str_radix(text(mode), 8).unwrap();
    }
    if field(edit, "delete").is_some() {
        texts.remove(name).unwrap();
    }
}

fn cases(directory: &Path) -> Vec<(String, String)> {
    let names =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fs::read_to_string(directory.join(&name)).unwrap())).collect()
}

/// What was found, without what the cluster is told anyhow.
fn found(report: &Report, base: &Report) -> Vec<(&'static str, Level, &'static str, String)> {
    let all = |report: &Report| -> Vec<_> {
        let one = |problem: &crate::inputs::Problem| {
            (problem.code, problem.level, problem.place.file.name(), problem.key.clone())
        };
        report.problems.iter().map(one).collect()
    };
    let before = all(base);
    all(report).into_iter().filter(|one| !before.contains(one)).collect()
}

/// What is wrong with the answer to one case.
fn wrong(name: &str, case: &str) -> Option<String> {
    let case = parse(case).unwrap();
    let base = text(field(&case, "base").unwrap());
    let mut texts = cluster(base);
    let (clean, _) = check(&files(&texts), Scope::All);
    let Data::List(edits) = &field(&case, "edits").unwrap().data else { panic!("{name}: no edits") };
    edits.iter().for_each(|one| edit(&mut texts, one));
    let (report, values) = check(&files(&texts), Scope::All);
    let expect = field(&case, "expect").unwrap();
    let code = text(field(expect, "code").unwrap());
    let level = if field(expect, "level").is_some() { Level::Warning } else { Level::Error };
    let file = text(field(expect, "file").unwrap());
    let key = match &field(expect, "key").unwrap().data {
        Data::Scalar(scalar) => scalar.text.clone(),
        _ => String::new(),
    };
    let found = found(&report, &clean);
    let only = found.iter().all(|one| one.0 == code && one.1 == level);
    let there = found.iter().any(|one| one.2 == file && one.3 == key);
    if !name.starts_with(code) || !only || !there || values.is_some() != (level == Level::Warning) {
        return Some(format!(
            "{name}: expected {code} at {file} {key}, found {found:?}\n{}",
            report.text(false)
        ));
    }
    let word = if level == Level::Error { "error" } else { "warning" };
    let ours: String = report
        .text(false)
        .split_inclusive("\n\n")
        .filter(|one| one.starts_with(&format!("{word}[{code}]")) && !clean.text(false).contains(one))
        .collect();
    let said = fixtures().join("said").join(name.replace(".yaml", ".txt"));
    if std::env::var_os("UPDATE_SAID").is_some() {
        fs::create_dir_all(said.parent().unwrap()).unwrap();
        fs::write(&said, &ours).unwrap();
    }
    let expected = fs::read_to_string(&said).unwrap_or_default();
    (ours != expected).then(|| format!("{name}: expected\n{expected}\nsaid\n{ours}"))
}

#[test]
fn one_mistake_raises_its_code_and_no_other() {
    let cases = cases(&fixtures().join("invalid"));
    let wrong: Vec<String> = cases.iter().filter_map(|(name, case)| wrong(name, case)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let codes: BTreeSet<&str> = cases.iter().map(|(name, _)| &name[..4]).collect();
    assert_eq!(codes, RULES.iter().map(|rule| rule.code).collect(), "each code has a case");
    let said: Vec<String> = self::cases(&fixtures().join("said")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(said, cases.iter().map(|(name, _)| name.replace(".yaml", ".txt")).collect::<Vec<_>>());
}

/// The cases were handed over beside the repository; where they still lie there, nothing of them may be lost.
#[test]
fn the_cases_are_those_that_were_handed_over() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let shared = root.join("../shared/fixtures/cluster");
    if !shared.is_dir() {
        eprintln!("SKIPPED: {} is not there", shared.display());
        return;
    }
    let theirs = cases(&shared.join("invalid"));
    assert!(theirs.len() >= 68, "{} cases", theirs.len());
    for (name, case) in theirs {
        let ours = fs::read_to_string(fixtures().join("invalid").join(&name)).unwrap_or_default();
        assert!(ours == case, "{name} is another");
    }
    for file in
        CLUSTERS.iter().flat_map(|name| [format!("{name}/cluster.yaml"), format!("{name}/nodes.yaml")])
    {
        assert!(
            fs::read(shared.join(&file)).unwrap() == fs::read(fixtures().join(&file)).unwrap(),
            "{file} is another"
        );
    }
}

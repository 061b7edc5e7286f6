//! The rules of templates and of the tree, broken as people break them: with templates of their own beside a cluster that is right.
//! `tests/fixtures/output/CODE-name/` has what breaks it, what does not, and what a person is told.

#![expect(clippy::disallowed_methods, reason = "whether the answers are written anew, the environment says")]

use super::{Failure, Options, Prepared, place, prepare};
use crate::{
    inputs::{Level, Own, tests::support},
    lint, render,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

fn cases() -> Vec<(String, PathBuf)> {
    let root = support::fixtures().join("output");
    let mut cases: Vec<(String, PathBuf)> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    cases.sort();
    cases
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Schemas that allow everything, for the kinds of a cluster that are no kinds of the core: that none is known is one rule's business.
fn schemas(directory: &Path) {
    static KINDS: OnceLock<Vec<lint::Listed>> = OnceLock::new();
    let kinds = || lint::list(&prepare(directory, &Options::default()).unwrap().tree);
    for listed in KINDS.get_or_init(kinds) {
        let Some((group, version)) = listed.version.split_once('/') else { continue };
        let directory = directory.join(lint::KEPT).join(group);
        fs::create_dir_all(&directory).unwrap();
        let file = format!("{}_{version}.json", listed.kind.to_lowercase());
        fs::write(directory.join(file), r#"{"x-kubernetes-preserve-unknown-fields": true}"#).unwrap();
    }
}

fn prepared(files: &Path, strict: bool) -> Result<Prepared, Failure> {
    let directory = place("minimal");
    schemas(directory.path());
    copy(files, directory.path());
    prepare(directory.path(), &Options { strict, ..Options::default() })
}

/// The codes of what was found, the text, and whether nothing would be written.
fn told(outcome: Result<Prepared, Failure>) -> (BTreeSet<&'static str>, String, bool) {
    let all = |findings: &[lint::Finding]| {
        let text: String = findings.iter().map(ToString::to_string).collect();
        (findings.iter().map(|finding| finding.code).collect(), text)
    };
    match outcome {
        Ok(prepared) => {
            let (codes, text) = all(&prepared.findings);
            (codes, text, false)
        }
        Err(Failure::Lint(findings)) => {
            let (codes, text) = all(&findings);
            (codes, text, true)
        }
        Err(Failure::Render(error)) => (BTreeSet::from([error.code]), error.text(), true),
        Err(other) => panic!("{other}"),
    }
}

fn rules() -> impl Iterator<Item = &'static (&'static str, Level, &'static str)> {
    render::RULES.iter().chain(lint::RULES)
}

/// What is wrong with the answer to one case.
fn wrong(name: &str, case: &Path) -> Option<String> {
    let (_, level, _) = rules().find(|(code, ..)| name.starts_with(code))?;
    let (codes, text, stopped) = told(prepared(&case.join("bad"), false));
    if codes != BTreeSet::from([&name[..4]]) || stopped != (*level == Level::Error) {
        return Some(format!("{name}: found {codes:?}\n{text}"));
    }
    assert!(!text.contains("fixture-token"), "{name}: {text}");
    let stopped = stopped || told(prepared(&case.join("bad"), true)).2;
    let (good, said, _) = told(prepared(&case.join("good"), true));
    if !stopped || !good.is_empty() {
        return Some(format!("{name}: its counterpart is not good, or --strict lets it pass\n{said}"));
    }
    let file = case.join("said.txt");
    if std::env::var_os("UPDATE_SAID").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    (text != expected).then(|| format!("{name}: expected\n{expected}\nsaid\n{text}"))
}

#[test]
fn one_mistake_in_a_template_raises_its_code_and_no_other() {
    let cases = cases();
    let wrong: Vec<String> = cases.iter().filter_map(|(name, case)| wrong(name, case)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let codes: BTreeSet<&str> = cases.iter().map(|(name, _)| &name[..4]).collect();
    assert_eq!(codes, rules().map(|(code, ..)| *code).collect(), "each code has a case");
}

#[test]
fn every_code_can_be_explained_and_is_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster.md");
    let page = fs::read_to_string(page).unwrap();
    for (code, level, title) in rules() {
        let said = crate::inputs::explain(code, &Own::default()).unwrap();
        assert_eq!(said, format!("{code} ({})\n  {title}.\n", level.word()));
        assert!(page.contains(&format!("| {code} | {} | {title} |", level.word())), "{code}: {title}");
    }
}

#[test]
fn a_program_is_told_the_same() {
    let case = |name: &str| support::fixtures().join("output").join(name).join("bad");
    let Err(Failure::Render(error)) = prepared(&case("R-01-misspelt-name"), false) else { panic!() };
    let json = error.json();
    assert_eq!((json["line"].as_u64(), json["column"].as_u64()), (Some(3), Some(15)));
    assert_eq!(json["mend"], "did you mean `cluster_name`?");
    let Err(Failure::Lint(findings)) = prepared(&case("O-02-application-that-is-off"), false) else {
        panic!()
    };
    let json = findings[0].json();
    assert_eq!((json["line"].as_u64(), json["column"].as_u64()), (Some(5), Some(5)));
    assert_eq!(json["others"][0]["file"], "apps/kube-system/spegel/app.yaml");
}

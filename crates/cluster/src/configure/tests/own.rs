//! Settings that an application of the user declares, through every part that knows the table: checks, schema, explanations, templates
//! and the search for secrets; and what is kept of built-in templates that somebody replaced.

use super::{FIRST, Failure, Options, Overwrite, SECOND, configure, place, prepare, state};
use crate::{
    commit::STATE,
    inputs::{self, Own},
};
use std::{collections::BTreeSet, fs, path::Path};

const APP: &str = "about: Says hello
variables:
  - name: hello_greeting
    docs: What it says
    required: true
  - name: hello_often
    type: int
    least: 1
    most: 9
    default: 3
    docs: How often it says so
  - name: hello_tone
    type: choice
    choices: [soft, loud]
    default: soft
    docs: How it says so
  - name: hello_hosts
    type: texts
    docs: To whom
  - name: hello_password
    secret: true
    docs: What opens it
";
const SETTINGS: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: hello
data:
  greeting: #{ hello_greeting | q }#
  often: #{ hello_often | q }#
  tone: #{ hello_tone | q }#
#% if hello_hosts %#
  hosts: #{ hello_hosts | join(' ') | q }#
#% endif %#
";
const SECRET: &str = "apiVersion: v1
kind: Secret
metadata:
  name: hello
  annotations:
    kustomize.toolkit.fluxcd.io/substitute: disabled
stringData:
  password: #{ hello_password | q }#
";

fn write(directory: &Path, path: &str, text: &str) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A cluster with an application that declares settings, and these lines in `cluster.yaml`.
fn declared(lines: &str) -> tempfile::TempDir {
    let directory = place("minimal");
    for (file, text) in
        [("app.yaml", APP), ("files/app/settings.yaml", SETTINGS), ("files/app/secret.sops.yaml", SECRET)]
    {
        write(directory.path(), &format!("templates/apps/tools/hello/{file}"), text);
    }
    let file = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{lines}")).unwrap();
    directory
}

const RIGHT: &str = "hello_greeting: \"ahoy: you\"\nhello_tone: loud\nhello_hosts: [a, b]\nhello_password: \"fixture-hello-password\"\n";

fn own(directory: &Path) -> Own {
    super::super::own_settings(directory).unwrap()
}

#[test]
fn what_is_declared_reaches_templates() {
    let directory = declared(RIGHT);
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let app = directory.path().join("kubernetes/apps/tools/hello/app");
    let settings = fs::read_to_string(app.join("settings.yaml")).unwrap();
    for line in ["greeting: \"ahoy: you\"", "often: \"3\"", "tone: \"loud\"", "hosts: \"a b\""] {
        assert!(settings.contains(line), "{settings}");
    }
    let secret = fs::read_to_string(app.join("secret.sops.yaml")).unwrap();
    assert!(secret.contains("password: ENC[") && !secret.contains("fixture-hello"), "{secret}");
}

#[test]
fn what_is_declared_is_checked_like_everything_else() {
    for (lines, code, line) in [
        ("hello_password: fixture-hello\n", "V-03", "`hello_greeting` is required"),
        ("hello_greeting: hi\nhello_password: x\nhello_tones: loud\n", "V-02", "did you mean `hello_tone`?"),
        ("hello_greeting: hi\nhello_password: x\nhello_tone: loude\n", "V-04", "hello_tone: loude"),
        ("hello_greeting: hi\nhello_password: x\nhello_often: 10\n", "V-04", "hello_often: 10"),
        ("hello_greeting: hi\nhello_password: [fixture-hello]\n", "V-04", "<redacted"),
    ] {
        let directory = declared(lines);
        let Err(Failure::Inputs(report)) = prepare(directory.path(), &Options::default()) else {
            panic!("{lines}")
        };
        let text = report.text(false);
        let codes: BTreeSet<&str> = report.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(codes, BTreeSet::from([code]), "{text}");
        assert!(text.contains(line) && !text.contains("fixture-hello"), "{text}");
    }
}

#[test]
fn a_secret_that_is_declared_is_looked_for_in_the_open() {
    let directory = declared(RIGHT);
    write(
        directory.path(),
        "templates/apps/tools/hello/files/app/more.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: more\ndata:\n  x: fixture-hello-password\n",
    );
    let Err(Failure::Lint(findings)) = prepare(directory.path(), &Options::default()) else { panic!() };
    let finding = findings.iter().find(|finding| finding.code == "O-07").unwrap();
    assert_eq!(finding.what, "`hello_password` stands in a file that is not encrypted");
    assert!(!finding.to_string().contains("fixture-hello"), "{finding}");
}

#[test]
fn what_is_declared_is_in_schema_and_explanations() {
    let directory = declared(RIGHT);
    let own = own(directory.path());
    let expected = "hello_often (cluster.yaml, “tools/hello”)\n  How often it says so.\n  value:    1 … 9\n  default:  `3`\n  rendered: phase 1\n";
    assert_eq!(inputs::explain("hello_often", &own).unwrap(), expected);
    assert!(inputs::explain("hello_ofen", &own).unwrap_err().to_string().contains("`hello_often`"));
    assert!(inputs::list(&own).contains("tools/hello (phase 1)\n"));
    assert!(inputs::page(&own).contains("| `hello_password` | secret |"));
    let schema = inputs::cluster_schema(&own);
    assert_eq!(schema["properties"]["hello_tone"]["enum"], serde_json::json!(["soft", "loud"]));
    let required = schema["required"].as_array().unwrap();
    assert!(required.contains(&"hello_greeting".into()) && !required.contains(&"hello_often".into()));
}

#[test]
fn a_declaration_that_is_wrong_is_told_with_its_place() {
    for (variables, at, said) in [
        ("- name: Hello\n    docs: x", "3:11", "small letters"),
        ("- name: hello", "3:5", "no `docs`"),
        ("- name: hello\n    docs: x\n    defualt: 1", "5:14", "`defualt` means nothing here"),
        ("- name: hello\n    docs: x\n    secret: true\n    default: y", "6:14", "a secret has no default"),
        ("- name: hello\n    docs: x\n    type: flag\n    default: maybe", "6:14", "not of the type"),
        ("- name: nodes\n    docs: x", "3:11", "a name of portreeve already"),
        ("- name: hello\n    docs: x\n  - name: hello\n    docs: y", "5:11", "a name of this application"),
        ("- name: hello\n    docs: x\n    required: true\n    default: y", "5:15", "has a default"),
        ("- name: hello\n    docs: x\n    type: choice", "3:5", "two `choices`"),
    ] {
        let directory = place("minimal");
        let text = format!("about: Says hello\nvariables:\n  {variables}\n");
        write(directory.path(), "templates/apps/tools/hello/app.yaml", &text);
        let error = super::super::own_settings(directory.path()).unwrap_err();
        let told = error.to_string();
        assert_eq!(error.code, "R-02");
        assert!(told.contains(&format!("hello/app.yaml:{at}: ")) && told.contains(said), "{at}: {told}");
    }
}

#[test]
fn the_base_of_an_override_is_kept_until_somebody_has_looked() {
    const PATH: &str = "apps/kube-system/reloader/values.yaml";
    let directory = place("minimal");
    let kept = directory.path().join(STATE).join("bases").join(PATH);
    let found = |directory: &Path| -> Vec<String> {
        let findings = prepare(directory, &Options::default()).unwrap().findings;
        findings.into_iter().filter(|one| one.code == "R-04").map(|one| one.to_string()).collect()
    };
    write(directory.path(), &format!("templates/overrides/{PATH}"), "fullnameOverride: mine\n");
    assert!(found(directory.path()).is_empty() && !kept.exists());
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let base = fs::read_to_string(&kept).unwrap();
    let before = state(directory.path());
    configure(directory.path(), SECOND, Overwrite::Never).unwrap();
    assert_eq!(state(directory.path()), before);

    fs::write(&kept, base.replacen('\n', "\nan: old one\n", 1)).unwrap();
    let told = found(directory.path());
    assert!(told.len() == 1 && told[0].contains("| -an: old one\n"), "{told:?}");
    configure(directory.path(), SECOND, Overwrite::Never).unwrap();
    assert_eq!(found(directory.path()).len(), 1, "a run alone is no look");
    fs::remove_file(&kept).unwrap();
    configure(directory.path(), SECOND, Overwrite::Never).unwrap();
    assert!(found(directory.path()).is_empty() && fs::read_to_string(&kept).unwrap() == base);

    fs::remove_dir_all(directory.path().join("templates")).unwrap();
    configure(directory.path(), SECOND, Overwrite::Never).unwrap();
    assert!(!kept.parent().unwrap().exists());
}

//! `portreeve cluster` as people run it: what is printed where, and the codes it ends with. What is right and wrong with a cluster
//! is tried in the crate itself.

use crate::harness::portreeve;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// A key made for this test; it opens nothing.
const AGE: &str = "AGE-SECRET-KEY-1CCVJDGUZT2G296MNY0JQE377N89YHR99Y43NUKP060PKVKXT5Q0SXUXULM\n";

fn run(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    #[expect(clippy::disallowed_methods, reason = "the program under test is no child of the gate")]
    let output = std::process::Command::new(portreeve())
        .args(["cluster"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("what is printed is UTF-8");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

/// The smallest cluster that is right, in a directory of its own.
fn cluster() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cluster/tests/fixtures/minimal");
    for file in ["cluster.yaml", "nodes.yaml"] {
        fs::copy(fixture.join(file), directory.path().join(file)).expect("a fixture");
    }
    write(&directory, "age.key", AGE);
    write(&directory, "github-push-token.txt", "fixture-token\n");
    write(
        &directory,
        "cloudflare-tunnel.json",
        r#"{"AccountTag": "a", "TunnelID": "t", "TunnelSecret": "s"}"#,
    );
    directory
}

fn write(directory: &tempfile::TempDir, name: &str, text: &str) {
    let path: PathBuf = directory.path().join(name);
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("writable");
}

#[test]
fn a_cluster_that_is_right_is_good() {
    let directory = cluster();
    let (code, out, err) = run(directory.path(), &["validate"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, ".: good, 0 errors, 0 warnings\n", ""));
}

#[test]
fn mistakes_of_both_files_are_told_in_one_run() {
    let directory = cluster();
    let path = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replace("repository_name", "repository_nmae")).expect("writable");
    let path = directory.path().join("nodes.yaml");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replace("192.168.40.20", "192.168.40.13")).expect("writable");

    let (code, out, _) = run(directory.path(), &["validate"]);
    assert_eq!(code, 3, "{out}");
    assert!(
        out.contains("error[V-02]: `repository_nmae` is not a setting\n  --> cluster.yaml:12:1\n"),
        "{out}"
    );
    assert!(
        out.contains("error[V-07]: address 192.168.40.13 is used twice\n  --> nodes.yaml:4:14\n"),
        "{out}"
    );
    assert!(out.ends_with(".: cannot be used, 2 errors, 0 warnings\n"), "{out}");

    let (code, out, _) = run(directory.path(), &["validate", ".", "--json"]);
    let document: Value = serde_json::from_str(&out).expect("one JSON document");
    assert_eq!((code, &document["ok"]), (3, &Value::Bool(false)));
    let codes: Vec<&str> = document["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect();
    assert_eq!(codes, ["V-02", "V-07"]);
}

#[test]
fn a_warning_lets_the_run_go_on_unless_it_is_strict() {
    let directory = cluster();
    fs::set_permissions(directory.path().join("age.key"), fs::Permissions::from_mode(0o644))
        .expect("writable");
    let (code, out, _) = run(directory.path(), &["validate"]);
    assert!(code == 0 && out.contains("warning[V-26]") && out.contains("0 errors, 1 warning\n"), "{out}");
    let (code, out, _) = run(directory.path(), &["validate", "--strict"]);
    assert!(code == 3 && out.contains("error[V-26]"), "{out}");
    let (code, out, _) = run(directory.path(), &["validate", "--strict", "--inputs-only"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn wrong_usage_is_no_finding() {
    let directory = cluster();
    let (code, out, err) = run(directory.path(), &["validate", "elsewhere"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("`elsewhere` is not a directory"), "{err}");
    let (code, _, err) = run(directory.path(), &["explain", "node_cird"]);
    assert!(code == 2 && err.contains("did you mean `node_cidr`?"), "{err}");
    fs::write(directory.path().join("nodes.yaml"), [0xff, 0xfe]).expect("writable");
    let (code, _, err) = run(directory.path(), &["validate"]);
    assert!(code == 1 && err.contains("`nodes.yaml` cannot be read"), "{err}");
}

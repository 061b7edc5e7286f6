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
    run_with(directory, arguments, &[])
}

fn run_with(directory: &Path, arguments: &[&str], environment: &[(&str, &Path)]) -> (i32, String, String) {
    #[expect(clippy::disallowed_methods, reason = "the program under test is no child of the gate")]
    let output = std::process::Command::new(portreeve())
        .args(["cluster"])
        .args(arguments)
        .current_dir(directory)
        .env_remove("SOPS_AGE_KEY_FILE")
        .envs(environment.iter().copied())
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
    let (code, out, err) = run(directory.path(), &["validate", "--inputs-only"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, ".: good, 0 errors, 0 warnings\n", ""));
}

/// A kind that no API server knows by itself.
const SHIP: &str =
    "apiVersion: example.com/v1\nkind: Ship\nmetadata:\n  name: ursula\nspec:\n  birth: east\n";
const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.example.com}
spec:
  group: example.com
  names: {kind: Ship, plural: ships}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {berth: {type: string}}}}}
";

#[test]
fn validate_asks_the_schemas_of_the_whole_tree() {
    let directory = cluster();
    let app = directory.path().join("templates/apps/default/ships");
    fs::create_dir_all(app.join("files/app")).expect("writable");
    fs::write(app.join("app.yaml"), "about: Ships\n").expect("writable");
    fs::write(app.join("files/app/ship.yaml"), SHIP).expect("writable");

    let (code, out, _) = run(directory.path(), &["validate"]);
    assert!(code == 0 && out.contains("warning[O-09]: ") && out.contains("unchecked"), "{code} {out}");
    assert!(!directory.path().join("kubernetes").exists(), "nothing is written");
    let (code, out, _) = run(directory.path(), &["validate", "--strict", "--json"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 5 && document["problems"][0]["code"] == "O-09", "{code} {out}");

    let definitions = tempfile::tempdir().expect("a temporary directory");
    fs::write(definitions.path().join("ships.yaml"), DEFINITION).expect("writable");
    let schemas = definitions.path().display().to_string();
    for command in ["validate", "configure"] {
        let (code, out, err) = run(directory.path(), &[command, "--schemas", &schemas]);
        let said = format!("{out}{err}");
        let place = "kubernetes/apps/default/ships/app/ship.yaml:6";
        assert!(code == 5 && said.contains("error[O-08]: Ship `ursula`"), "{code} {said}");
        assert!(said.contains(place) && said.contains("did you mean `berth`?"), "{said}");
    }
    let (code, _, err) = run(directory.path(), &["validate", "--schemas", "absent"]);
    assert!(code == 2 && err.contains("absent"), "{code} {err}");
}

#[test]
fn without_the_age_key_what_is_open_is_compared() {
    let directory = cluster();
    let (code, ..) = run(directory.path(), &["configure"]);
    assert_eq!(code, 0);
    fs::remove_file(directory.path().join("age.key")).expect("it is there");
    let (code, out, _) = run(directory.path(), &["configure", "--check"]);
    let hidden = "and 6 encrypted ones that were not compared: `age.key` is not here";
    assert!(code == 0 && out.contains(hidden), "{code} {out}");
    let (code, out, _) = run(directory.path(), &["configure", "--check", "--format", "json"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert!(code == 0 && document["not_compared"] == 6, "{code} {out}");
    let (code, out, _) = run(directory.path(), &["validate"]);
    assert!(code == 0 && out.contains(": good"), "{code} {out}");

    let path = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, format!("{text}repository_branch: trunk\n")).expect("writable");
    let (code, out, _) = run(directory.path(), &["configure", "--diff"]);
    assert!(code == 10 && out.contains("trunk"), "{code} {out}");
    let (code, _, err) = run(directory.path(), &["configure"]);
    assert!(code == 3 && err.contains("error[V-25]: `age.key` is missing"), "{code} {err}");
}

#[test]
fn the_age_key_may_be_where_sops_looks_for_it() {
    let directory = cluster();
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let key = elsewhere.path().join("keys.txt");
    fs::copy(directory.path().join("age.key"), &key).expect("writable");
    fs::remove_file(directory.path().join("age.key")).expect("it is there");
    let named: &[(&str, &Path)] = &[("SOPS_AGE_KEY_FILE", &key)];
    let (code, out, _) = run_with(directory.path(), &["configure"], named);
    assert!(code == 0 && out.contains("6 of them encrypted"), "{code} {out}");
    let (code, out, _) = run_with(directory.path(), &["doctor"], named);
    assert!(code == 0 && out.contains("6 encrypted files open with this age key"), "{code} {out}");
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
    assert!(code == 0 && out.contains("warning[V-26]") && out.contains("0 errors, 2 warnings;"), "{out}");
    let (code, out, _) = run(directory.path(), &["validate", "--strict"]);
    assert!(code == 3 && out.contains("error[V-26]"), "{out}");
    let (code, _, err) = run(directory.path(), &["configure", "--strict"]);
    assert!(code == 3 && err.contains("error[V-26]"), "{err}");
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

/// Inode, times and bytes of every file of a directory.
fn state(root: &Path) -> std::collections::BTreeMap<PathBuf, (u64, i64, i64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let (mut found, mut left) = (std::collections::BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("readable") {
            let path = entry.expect("readable").path();
            let about = path.metadata().expect("readable");
            if about.is_dir() {
                left.push(path.clone());
            }
            let bytes = if about.is_file() { fs::read(&path).expect("readable") } else { Vec::new() };
            found.insert(path, (about.ino(), about.mtime(), about.mtime_nsec(), bytes));
        }
    }
    found
}

#[test]
fn a_second_configure_writes_nothing_wherever_it_runs() {
    let directory = cluster();
    let (code, out, err) = run(directory.path(), &["configure"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("  + .sops.yaml\n") && out.contains("  + kubernetes/apps/kube-system/ ("), "{out}");
    let files =
        out.rsplit_once(" unchanged (").and_then(|(_, rest)| rest.split_once(' ')).map(|(files, _)| files);
    let files = files.expect("the number of files").to_owned();
    assert!(
        out.ends_with(&format!(" 0 changed, 0 removed, 0 unchanged ({files} files, 6 of them encrypted; 30 objects valid, 55 unchecked)\n")),
        "{out}"
    );
    let before = state(directory.path());
    #[expect(clippy::disallowed_methods, reason = "the program under test is no child of the gate")]
    let output = std::process::Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" cluster configure \"$1\""])
        .args([portreeve().as_os_str(), directory.path().as_os_str()])
        .envs([("TZ", "Pacific/Kiritimati"), ("LANG", "tr_TR.UTF-8"), ("LC_ALL", "C")])
        .current_dir("/")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        out.ends_with(&format!(
            ": 0 new, 0 changed, 0 removed, {files} unchanged ({files} files, 6 of them encrypted; 30 objects valid, 55 unchecked)\n"
        )),
        "{out}"
    );
    assert_eq!(state(directory.path()), before);
    let (code, ..) = run(directory.path(), &["configure", "--check"]);
    assert_eq!((code, state(directory.path()) == before), (0, true));
}

#[test]
fn what_would_change_is_shown_and_not_done() {
    let directory = cluster();
    assert_eq!(run(directory.path(), &["configure"]).0, 0);
    let path = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("192.168.40.12", "192.168.40.14")).expect("writable");
    let before = state(directory.path());
    let (code, out, _) = run(directory.path(), &["configure", "--check"]);
    assert_eq!(code, 10);
    assert!(out.starts_with("  ~ kubernetes/apps/kube-system/cilium/app/networks.yaml\n"), "{out}");
    let (code, out, _) = run(directory.path(), &["configure", "--diff"]);
    assert_eq!(code, 10);
    assert!(out.contains("-    - cidr: \"192.168.40.12/32\"\n+    - cidr: \"192.168.40.14/32\"\n"), "{out}");
    let (code, out, _) = run(directory.path(), &["configure", "--check", "--format", "json"]);
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (code, &document["ok"], document["changes"].as_array().map(Vec::len)),
        (10, &Value::Bool(false), Some(2))
    );
    assert_eq!(state(directory.path()), before);
    let (code, out, _) = run(directory.path(), &["configure", "--only", "kubernetes/apps/network"]);
    assert_eq!(
        (code, out.lines().next()),
        (0, Some("  ~ kubernetes/apps/network/envoy-gateway/app/envoy.yaml"))
    );
    let (code, ..) = run(directory.path(), &["configure", "--check"]);
    assert_eq!(code, 10, "the other file is still to be written");
}

#[test]
fn files_changed_by_hand_stop_it_and_are_shown() {
    let directory = cluster();
    assert_eq!(run(directory.path(), &["configure"]).0, 0);
    let name = "kubernetes/apps/default/echo/ks.yaml";
    let path = directory.path().join(name);
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(&path, text.replace("interval: 1h", "interval: 7m")).expect("writable");
    let (code, out, err) = run(directory.path(), &["configure"]);
    assert_eq!((code, out.as_str()), (6, ""));
    assert!(err.contains("-  interval: 7m\n+  interval: 1h\n"), "{err}");
    assert!(err.contains(&format!("error: changed by hand, or there before: {name}\n")), "{err}");
    let (code, out, _) = run(directory.path(), &["configure", "--adopt"]);
    assert!(code == 0 && out.ends_with("1 taken as they are\n"), "{out}");
    assert!(fs::read_to_string(&path).expect("readable").contains("7m"));
    assert_eq!(run(directory.path(), &["configure"]).0, 0);
    assert!(fs::read_to_string(&path).expect("readable").contains("interval: 1h"));
}

#[test]
fn each_kind_of_mistake_has_its_code() {
    let directory = cluster();
    let overrides = directory.path().join("templates/overrides/app");
    fs::create_dir_all(&overrides).expect("writable");
    for (text, code, said) in [
        (
            "#{ nothing | q }#\n",
            4,
            "error[R-01]: nothing is called `nothing`\n  --> templates/overrides/app/ks.yaml:1:4\n",
        ),
        ("kind: [\n", 5, "error[O-01]: this is not YAML that can be read"),
    ] {
        fs::write(overrides.join("ks.yaml"), text).expect("writable");
        let (found, out, err) = run(directory.path(), &["configure"]);
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.contains(said), "{err}");
        let (found, out, _) = run(directory.path(), &["configure", "--format", "json"]);
        let document: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((found, &document["ok"]), (code, &Value::Bool(false)));
    }
    fs::remove_dir_all(directory.path().join("templates")).expect("writable");
    assert_eq!(run(directory.path(), &["configure"]).0, 0);
    fs::remove_file(directory.path().join("age.key")).expect("writable");
    assert_eq!(run(directory.path(), &["init"]).0, 0);
    let (code, _, err) = run(directory.path(), &["configure", "--force"]);
    assert_eq!(code, 7, "{err}");
    assert!(err.contains("is there already and this age key does not open it"), "{err}");
}

#[test]
fn init_makes_what_is_missing_and_says_what_to_do_next() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (code, out, err) = run(directory.path(), &["init"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("made     cluster.yaml\nmade     nodes.yaml\nmade     age.key\n"), "{out}");
    let (code, out, _) = run(directory.path(), &["validate"]);
    assert_eq!(code, 3);
    assert!(out.contains("error[V-25]: `cloudflare-tunnel.json` is missing"), "{out}");
    assert!(out.contains("warning[V-18]"), "{out}");
    let (code, out, _) = run(directory.path(), &["init"]);
    assert!(code == 0 && !out.contains("made"), "{out}");
    let (code, out, _) = run(directory.path(), &["init", "--deploy-key"]);
    assert!(
        code == 0 && out.contains("made     github-deploy.key\nmade     github-deploy.key.pub\n"),
        "{out}"
    );
    let line = fs::read_to_string(directory.path().join("github-deploy.key.pub")).expect("readable");
    assert!(line.starts_with("ssh-ed25519 ") && out.ends_with(&line), "{out}");
    let (code, out, _) = run(directory.path(), &["configure"]);
    assert_eq!((code, out.as_str()), (3, ""));
}

#[test]
fn a_tree_is_rendered_elsewhere_and_listed() {
    let directory = cluster();
    let out = directory.path().join("elsewhere");
    let (code, said, _) = run(directory.path(), &["render", "--out", "elsewhere"]);
    assert!(code == 0 && said.starts_with("elsewhere: ") && said.ends_with(" files\n"), "{said}");
    let secret = fs::read_to_string(out.join("bootstrap/sops-age.sops.yaml")).expect("readable");
    assert!(secret.contains("ENC[AES256_GCM,") && !secret.contains("AGE-SECRET-KEY"), "{secret}");
    let (code, listed, _) = run(directory.path(), &["render", "--list"]);
    let row = "kubernetes/apps/network/envoy-gateway/app/envoy.yaml\tgateway.networking.k8s.io/v1\tGateway\t\tenvoy-internal\n";
    assert!(code == 0 && listed.contains(row), "{listed}");
}

#[test]
fn doctor_finds_keys_in_git_and_files_for_another_key() {
    let directory = cluster();
    assert_eq!(run(directory.path(), &["configure"]).0, 0);
    let (code, out, _) = run(directory.path(), &["doctor"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("good    6 encrypted files open with this age key\n"), "{out}");
    for arguments in [["init", "-q"].as_slice(), &["add", "-f", "age.key", "cluster.yaml"]] {
        #[expect(clippy::disallowed_methods, reason = "the program under test is no child of the gate")]
        let mut git = std::process::Command::new("git");
        let done = git.args(arguments).current_dir(directory.path()).status().expect("git is there");
        assert!(done.success());
    }
    let (code, out, _) = run(directory.path(), &["doctor"]);
    assert_eq!(code, 3);
    assert!(
        out.contains("BAD     Git has taken age.key, cluster.yaml\n        = help: `git rm --cached age.key cluster.yaml`"),
        "{out}"
    );
    fs::remove_file(directory.path().join("age.key")).expect("writable");
    assert_eq!(run(directory.path(), &["init"]).0, 0);
    let (code, out, _) = run(directory.path(), &["doctor"]);
    assert_eq!(code, 3);
    assert!(out.contains("BAD     `.sops.yaml` does not name this age key\n"), "{out}");
    assert!(out.contains("BAD     `bootstrap/sops-age.sops.yaml` does not open"), "{out}");
}

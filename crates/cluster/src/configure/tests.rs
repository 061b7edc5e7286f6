//! The whole way on real directories: what is written decrypts to the inputs, a second run opens nothing for writing, and one
//! changed secret changes nothing but itself.

mod codes;
mod own;
mod taint;

use super::{Failure, Machine, Options, Prepared, prepare};
use crate::{
    commit::{Change, CommitError, Overwrite, STATE, Scope},
    inputs::tests::support,
};
use portreeve_sops::{Format, Keys};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

fn random(bytes: &mut [u8]) -> Result<(), String> {
    getrandom::fill(bytes).map_err(|error| error.to_string())
}

fn place(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (file, (text, mode)) in support::cluster(name) {
        let path = directory.path().join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

fn configure(directory: &Path, now: &str, overwrite: Overwrite) -> Result<Vec<(String, Change)>, Failure> {
    let prepared = prepare(directory, &Options::default())?;
    let mut machine = Machine { now, random: &mut random };
    let (ready, _) = prepared.write(directory, &mut machine, &Scope::All, overwrite)?;
    Ok(ready.plan.changes().map(|(path, change)| (path.to_owned(), change.clone())).collect())
}

const FIRST: &str = "2026-01-02T03:04:05Z";
const SECOND: &str = "2026-02-03T04:05:06Z";

/// Every file below a directory: its inode, times and bytes.
fn state(root: &Path) -> BTreeMap<String, (u64, i64, i64, Vec<u8>)> {
    let (mut found, mut left) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let (path, about) = {
                let entry = entry.unwrap();
                (entry.path(), entry.metadata().unwrap())
            };
            if about.is_dir() {
                left.push(path.clone());
            }
            let bytes = if about.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, (about.ino(), about.mtime(), about.mtime_nsec(), bytes));
        }
    }
    found
}

#[test]
fn a_second_run_opens_nothing_for_writing() {
    for name in support::CLUSTERS {
        let directory = place(name);
        assert!(configure(directory.path(), FIRST, Overwrite::Never).unwrap().len() > 80);
        let before = state(directory.path());
        assert_eq!(configure(directory.path(), SECOND, Overwrite::Never).unwrap(), [], "{name}");
        assert_eq!(state(directory.path()), before, "{name}");
    }
}

#[test]
fn no_secret_is_on_disk_in_the_clear() {
    let directory = place("gateway");
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    for (path, (.., bytes)) in state(directory.path()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let own = !path.contains('/') && path != ".sops.yaml";
        assert!(own || !text.contains("portreeve_fixture-token-gateway-00000001"), "{path}");
        assert!(own || !text.contains("AGE-SECRET-KEY-"), "{path}");
    }
}

#[test]
fn one_changed_secret_changes_only_itself() {
    let directory = place("gateway");
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let before = state(directory.path());
    let token = directory.path().join("github-push-token.txt");
    fs::write(&token, "another-push-token\n").unwrap();
    let changes = configure(directory.path(), SECOND, Overwrite::Never).unwrap();
    let path = "kubernetes/apps/flux-system/flux-instance/app/secret.sops.yaml";
    assert_eq!(changes.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [path]);
    let after = state(directory.path());
    let lines = |state: &BTreeMap<String, (u64, i64, i64, Vec<u8>)>, path: &str| -> BTreeSet<String> {
        String::from_utf8(state[path].3.clone()).unwrap().lines().map(str::to_owned).collect()
    };
    let changed: Vec<String> = lines(&after, path).difference(&lines(&before, path)).cloned().collect();
    let keys: BTreeSet<&str> = changed.iter().map(|line| line.trim().split(':').next().unwrap()).collect();
    assert_eq!(keys, BTreeSet::from(["token", "lastmodified", "mac"]));
    let manifest = format!("{STATE}/manifest.json");
    let rows: Vec<String> =
        lines(&after, &manifest).difference(&lines(&before, &manifest)).cloned().collect();
    assert!(rows.len() == 1 && rows[0].contains(path), "{rows:?}");
    let files =
        after.iter().filter(|(path, _)| !path.starts_with(STATE) && before.get(*path) != after.get(*path));
    let files: BTreeSet<&str> =
        files.map(|(path, _)| path.as_str()).filter(|path| path.contains(".yaml")).collect();
    assert_eq!(files, BTreeSet::from([path]));
}

#[test]
fn secrets_decrypt_to_the_inputs_whatever_is_in_them() {
    let directory = place("platform");
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let keys = Keys::parse(&fs::read_to_string(directory.path().join("age.key")).unwrap()).unwrap();
    for (path, pointer, expected) in [
        ("kubernetes/apps/kube-system/cilium/app/secret.sops.yaml", "password", "bgp \"md5\" #1: fixture"),
        ("kubernetes/apps/flux-system/flux-instance/app/secret.sops.yaml", "token", "fixture-push-token"),
        ("kubernetes/components/sops/cluster-secrets.sops.yaml", "SECRET_DOMAIN_1", "agents.example.com"),
    ] {
        let text = fs::read_to_string(directory.path().join(path)).unwrap();
        let opened = portreeve_sops::open(&text, Format::Yaml, &keys).unwrap();
        let data = opened.documents[0].get("stringData").unwrap();
        assert_eq!(data.get(pointer).unwrap().as_text(), Some(expected), "{path}");
    }
}

#[test]
fn a_hand_edit_stops_everything_and_is_kept() {
    let directory = place("minimal");
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let path = directory.path().join("kubernetes/apps/default/echo/ks.yaml");
    fs::write(&path, "kind: Mine\n").unwrap();
    let inputs = directory.path().join("cluster.yaml");
    let text = fs::read_to_string(&inputs).unwrap();
    fs::write(&inputs, text.replace("quayside/dinghy", "quayside/skiff")).unwrap();
    let before = state(directory.path());
    let failure = configure(directory.path(), SECOND, Overwrite::Never).unwrap_err();
    assert!(
        matches!(failure, Failure::Commit(CommitError::Drift(paths)) if paths == ["kubernetes/apps/default/echo/ks.yaml"])
    );
    assert_eq!(state(directory.path()), before);
    configure(directory.path(), SECOND, Overwrite::Force).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("cluster-secrets"));
}

#[test]
fn another_age_key_is_refused() {
    let directory = place("minimal");
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let before = state(directory.path());
    fs::write(directory.path().join("age.key"), portreeve_sops::generate().0.expose()).unwrap();
    for overwrite in [Overwrite::Never, Overwrite::Force] {
        let failure = configure(directory.path(), SECOND, overwrite).unwrap_err();
        assert!(matches!(failure, Failure::Seal(_)), "{failure}");
    }
    let after = state(directory.path());
    let changed = after.iter().filter(|(path, _)| before.get(*path) != after.get(*path));
    assert_eq!(changed.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["age.key"]);
}

#[test]
fn own_templates_take_the_place_of_ours_and_add_to_them() {
    let directory = place("minimal");
    let own = directory.path().join("templates");
    for (path, text) in [
        ("overrides/apps/kube-system/reloader/values.yaml", "fullnameOverride: mine\n"),
        ("apps/tools/hello/app.yaml", "needs: [kube-system/cilium]\nwhen: not spegel_enabled\n"),
        (
            "apps/tools/hello/files/app/settings.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hello\ndata:\n  who: #{ repository_name | q }#\n",
        ),
    ] {
        fs::create_dir_all(own.join(path).parent().unwrap()).unwrap();
        fs::write(own.join(path), text).unwrap();
    }
    configure(directory.path(), FIRST, Overwrite::Never).unwrap();
    let read = |path: &str| fs::read_to_string(directory.path().join("kubernetes/apps").join(path)).unwrap();
    assert!(read("kube-system/reloader/app/helmrelease.yaml").contains("fullnameOverride: mine"));
    assert!(read("tools/hello/app/settings.yaml").contains("who: \"quayside/dinghy\""));
    assert!(read("tools/hello/ks.yaml").contains("name: \"cilium\"\n      namespace: \"kube-system\""));
    fs::remove_dir_all(own.join("apps")).unwrap();
    configure(directory.path(), SECOND, Overwrite::Never).unwrap();
    assert!(!directory.path().join("kubernetes/apps/tools").exists());
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_its_line() {
    for (path, text, said) in [
        (
            "overrides/apps/kube-system/relaoder/values.yaml",
            "a: 1\n",
            "did you mean `apps/kube-system/reloader/values.yaml`?",
        ),
        (
            "overrides/apps/kube-system/reloader/values.yaml",
            "a: 1\nb: #{ cluster_nme | q }#\n",
            "templates/overrides/apps/kube-system/reloader/values.yaml:2:7: nothing is called `cluster_nme`",
        ),
        (
            "overrides/apps/kube-system/reloader/values.yaml",
            "a: 1\nb: #{ cloudflare_token }#\n",
            "reloader/values.yaml:2:7: a secret is printed without `| q`",
        ),
        (
            "overrides/apps/kube-system/reloader/values.yaml",
            "a: 1\n\nb: #{ cloudflare_token | q }#\n",
            "reloader/values.yaml:3:7: a secret stands in a file that is not encrypted",
        ),
        (
            "overrides/apps/kube-system/reloader/values.yaml",
            "b: #{ node_vlan_tag }#\n",
            "reloader/values.yaml:1:7: something is printed that is not set",
        ),
        (
            "overrides/apps/kube-system/reloader/values.yaml",
            "b: #% if cluster_name %#\n",
            "reloader/values.yaml:",
        ),
        ("apps/tools/hello/app.yaml", "needs: [kube-system/celium]\n", "did you mean `kube-system/cilium`?"),
        ("apps/kube-system/cilium/app.yaml", "wait: true\n", "this application is built in"),
        (
            "apps/tools/hello/app.yaml",
            "wiat: true\n",
            "templates/apps/tools/hello/app.yaml:1:1: `wiat` means nothing here",
        ),
    ] {
        let directory = place("minimal");
        let file = directory.path().join("templates").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let failure = configure(directory.path(), FIRST, Overwrite::Never).unwrap_err();
        let Failure::Render(error) = failure else { panic!("{path}: {failure}") };
        assert!(format!("{error}\n{}", error.text()).contains(said), "{error}");
        assert!(!directory.path().join(STATE).exists());
    }
}

#[test]
fn without_the_key_nothing_is_written() {
    let place = place("minimal");
    configure(place.path(), FIRST, Overwrite::Never).unwrap();
    fs::remove_file(place.path().join("age.key")).unwrap();
    let before = state(place.path());
    let options = Options { keyless: true, ..Options::default() };
    let prepared = prepare(place.path(), &options).unwrap();
    let mut machine = Machine { now: SECOND, random: &mut random };
    let written = prepared.write(place.path(), &mut machine, &Scope::All, Overwrite::Force);
    assert!(matches!(written, Err(Failure::Keyless)));
    assert_eq!(state(place.path()), before);
}

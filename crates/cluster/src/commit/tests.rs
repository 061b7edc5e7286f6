//! A tree on a real disk: what is written, kept, refused and removed, and what a crash leaves.

#![expect(
    clippy::disallowed_methods,
    reason = "the process that is killed is a child of the test, and reads from its environment what to do"
)]

mod crash;

use super::*;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

/// A child has everything that is open until it becomes another program, locks of trees as well. So no test starts a child while
/// another one has a tree locked: that tree would stay locked for a moment after its test let go of it.
static CHILDREN: RwLock<()> = RwLock::new(());

/// Held while a tree is locked.
pub(super) fn locking() -> RwLockReadGuard<'static, ()> {
    CHILDREN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held while a child is started.
pub(super) fn starting() -> RwLockWriteGuard<'static, ()> {
    CHILDREN.write().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
    let output = |text: &str| Output { bytes: text.as_bytes().to_vec(), template: "t".to_owned() };
    files.iter().map(|(path, text)| ((*path).to_owned(), output(text))).collect()
}

pub(super) fn write(root: &Path, tree: &Tree, overwrite: Overwrite) -> Result<Plan, CommitError> {
    let _locking = locking();
    let mut workspace = Workspace::open(root, RealDisk)?;
    let plan = workspace.plan(tree, &Scope::All)?;
    workspace.commit(tree, &plan, overwrite)?;
    Ok(plan)
}

/// Every file below a directory but the lock, with its content.
pub(super) fn snapshot(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), String::new());
                waiting.push(path);
            } else if name != ".portreeve/lock" {
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

fn files(root: &Path) -> Vec<String> {
    snapshot(root).into_keys().filter(|path| !path.ends_with('/') && !path.starts_with(STATE)).collect()
}

/// Everything that opening for writing would change.
fn traces(root: &Path) -> Vec<(String, u64, SystemTime)> {
    let trace = |name: String| {
        let meta = fs::metadata(root.join(&name)).unwrap();
        (name, meta.ino(), meta.modified().unwrap())
    };
    snapshot(root).into_keys().chain([".portreeve/lock".to_owned()]).map(trace).collect()
}

#[test]
fn a_second_run_opens_nothing_for_writing() {
    let root = tempfile::tempdir().unwrap();
    let wanted = tree(&[("a.yaml", "a\n"), ("x/y/b.yaml", "b\n")]);
    write(root.path(), &wanted, Overwrite::Never).unwrap();
    assert_eq!(files(root.path()), ["a.yaml", "x/y/b.yaml"]);
    assert_eq!(fs::metadata(root.path().join("a.yaml")).unwrap().mode() & 0o777, 0o644);
    let before = traces(root.path());
    let plan = write(root.path(), &wanted, Overwrite::Never).unwrap();
    assert_eq!(plan.changes().count(), 0);
    assert_eq!(traces(root.path()), before);
}

#[test]
fn what_is_no_longer_rendered_goes_with_its_empty_directories() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &tree(&[("a", "1"), ("x/y/b", "2"), ("x/c", "3"), ("z/d", "4")]), Overwrite::Never)
        .unwrap();
    fs::write(root.path().join("z/mine"), "not ours").unwrap();
    write(root.path(), &tree(&[("a", "1"), ("x/c", "3")]), Overwrite::Never).unwrap();
    assert_eq!(files(root.path()), ["a", "x/c", "z/mine"]);
    assert!(!root.path().join("x/y").exists());
}

#[test]
fn what_was_changed_by_hand_stops_everything_until_somebody_says_what_to_do() {
    let old = tree(&[("kept", "1"), ("edited", "2"), ("gone", "3")]);
    let new = tree(&[("kept", "1b"), ("edited", "2b"), ("foreign", "4")]);
    let prepared = || {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &old, Overwrite::Never).unwrap();
        for (path, text) in [("edited", "by hand"), ("gone", "by hand"), ("foreign", "not ours")] {
            fs::write(root.path().join(path), text).unwrap();
        }
        root
    };
    let root = prepared();
    let before = snapshot(root.path());
    let refused = write(root.path(), &new, Overwrite::Never).unwrap_err();
    assert_eq!(refused.to_string(), "3 files were changed by hand: edited, foreign, gone");
    assert_eq!(snapshot(root.path()), before, "nothing was written at all");

    write(root.path(), &new, Overwrite::Force).unwrap();
    let text = |root: &Path, path: &str| fs::read_to_string(root.join(path)).ok();
    assert_eq!(files(root.path()), ["edited", "foreign", "kept"]);
    assert_eq!(text(root.path(), "edited").as_deref(), Some("2b"));

    let root = prepared();
    write(root.path(), &new, Overwrite::Adopt).unwrap();
    assert_eq!(text(root.path(), "edited").as_deref(), Some("by hand"));
    assert_eq!(text(root.path(), "kept").as_deref(), Some("1"));
    write(root.path(), &new, Overwrite::Never).unwrap();
    assert_eq!(text(root.path(), "edited").as_deref(), Some("2b"), "it counted as ours");
    assert_eq!(text(root.path(), "gone").as_deref(), Some("by hand"), "it counts as theirs");
}

#[test]
fn a_part_can_be_written_alone_and_then_nothing_is_removed() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &tree(&[("a", "1"), ("b", "1"), ("c", "1")]), Overwrite::Never).unwrap();
    let wanted = tree(&[("a", "2"), ("b", "2")]);
    let _locking = locking();
    let mut workspace = Workspace::open(root.path(), RealDisk).unwrap();
    let plan = workspace.plan(&wanted, &Scope::Only(&|path| path == "a")).unwrap();
    workspace.commit(&wanted, &plan, Overwrite::Never).unwrap();
    drop(workspace);
    let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
    assert_eq!([read("a"), read("b"), read("c")], ["2", "1", "1"]);
    assert_eq!(View::open(root.path(), RealDisk).unwrap().written().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn nothing_is_written_outside_the_tree() {
    let outside = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("link")).unwrap();
    for (path, why) in [
        ("../a", "leads out of the tree"),
        ("/etc/a", "leads out of the tree"),
        ("x/../../a", "leads out of the tree"),
        ("link/a", "is, or leads through, a symbolic link; nothing is written through links"),
        ("link", "is, or leads through, a symbolic link; nothing is written through links"),
        (".portreeve/manifest.json", "is where the state of the tree lies"),
    ] {
        let refused = write(root.path(), &tree(&[(path, "x")]), Overwrite::Force).unwrap_err();
        assert_eq!(refused.to_string(), format!("`{path}` {why}"));
    }
    assert!(files(outside.path()).is_empty());
}

#[test]
fn two_commands_do_not_write_at_once() {
    let root = tempfile::tempdir().unwrap();
    let _locking = locking();
    let first = Workspace::open(root.path(), RealDisk).unwrap();
    let second = Workspace::open(root.path(), RealDisk).err().unwrap();
    assert!(matches!(second, CommitError::Locked(_)), "{second}");
    drop(first);
    Workspace::open(root.path(), RealDisk).unwrap();
}

#[test]
fn a_manifest_reads_well_in_a_diff() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &tree(&[("b", ""), ("a", "")]), Overwrite::Never).unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let row = |path: &str| {
        format!("    \"{path}\": {{\"sha256\":\"{empty}\",\"template\":\"t\",\"mode\":\"0644\"}}")
    };
    let expected = format!("{{\n  \"version\": 1,\n  \"files\": {{\n{},\n{}\n  }}\n}}\n", row("a"), row("b"));
    assert_eq!(fs::read_to_string(root.path().join(".portreeve/manifest.json")).unwrap(), expected);
    fs::write(root.path().join(".portreeve/manifest.json"), "{\"version\": 2}").unwrap();
    let refused = View::open(root.path(), RealDisk).err().unwrap().to_string();
    assert!(refused.ends_with("manifest.json cannot be understood: its version is 2 and not 1"), "{refused}");
}

#[test]
fn a_difference_shows_that_a_secret_changed_and_not_what_it_is() {
    let old = "kind: Secret\ndata:\n  a: ENC[AES256_GCM,data:AAAA,iv:B,tag:C,type:str]\n  b: ENC[AES256_GCM,data:DD,iv:E,tag:F,type:str]\n";
    let new = old.replace("AAAA", "ZZZZ");
    let shown = unified("x.sops.yaml", Some(old.as_bytes()), Some(new.as_bytes()));
    assert_eq!(shown.lines().filter(|line| line.starts_with(['+', '-'])).count(), 4, "{shown}");
    assert!(!shown.contains("AAAA") && !shown.contains("iv:"), "{shown}");
    let created = unified("a", None, Some(b"x\n"));
    assert_eq!(created, "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n");
}

//! The programs under test, built once a run in the profile of the tests and the same target directory.

use std::{
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Names a ready binary to test instead of a fresh one, such as that of a release.
const READY: &str = "PORTREEVE_TEST_BINARY";

/// The gateway's binary.
pub(crate) fn portreeve() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
        let ready = std::env::var_os(READY).map(PathBuf::from);
        ready.unwrap_or_else(|| built(&["-p", "portreeve", "--bin", "portreeve"], "portreeve"))
    })
}

/// The program that joins stdin and stdout to a loopback port.
pub(super) fn relay() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built(&["-p", "portreeve-tests", "--example", "relay"], "examples/relay"))
}

fn built(what: &[&str], path: &str) -> PathBuf {
    // The tests run as <target>/<profile>/deps/<name>.
    let executable = std::env::current_exe().expect("a test knows its own path");
    let directory = executable.ancestors().nth(2).expect("tests lie two below their profile").to_owned();
    let target = directory.parent().expect("profiles lie in the target directory");
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    #[expect(clippy::disallowed_methods, reason = "cargo is no child of the gate")]
    let status = std::process::Command::new(env!("CARGO"))
        .args(["build", "-q", "--profile", profile, "--target-dir"])
        .arg(target)
        .args(what)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "cargo could not build {what:?}");
    keep(&directory.join(path))
}

/// Links the program to a place of its own: whoever else builds into this target directory while the tests run, from
/// this checkout or another, must not exchange the program under test.
fn keep(program: &Path) -> PathBuf {
    let mut hasher = std::hash::DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    let directory = program.with_file_name("").join(format!("whole-program-{:016x}", hasher.finish()));
    std::fs::create_dir_all(&directory).expect("the target directory is writable");
    let kept = directory.join(program.file_name().expect("a program has a name"));
    let fresh = kept.with_extension(std::process::id().to_string());
    std::fs::hard_link(program, &fresh).expect("the target directory takes links");
    std::fs::rename(&fresh, &kept).expect("the target directory is writable");
    // Two names of one file are left as they are by the rename.
    let _ = std::fs::remove_file(&fresh);
    kept
}

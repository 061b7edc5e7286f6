//! What needs more than Rust: the published conformance suites, and the clients and servers of others. A plain
//! `cargo test` names them and leaves them out; `.ci/run` and `cargo xtask conformance|interop` run them.

use crate::harness::portreeve;
use std::path::Path;

/// Runs a script of this folder against the binary under test.
fn run(script: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    #[expect(clippy::disallowed_methods, reason = "a script of the tests is no child of the gate")]
    let status = std::process::Command::new("python3")
        .arg(path)
        .arg("--portreeve")
        .arg(portreeve())
        .args(arguments)
        .status()
        .expect("python3 starts");
    assert!(status.success(), "{script} found a difference");
}

#[test]
#[ignore = "needs Node and Python: `cargo xtask conformance`"]
fn the_published_conformance_suites_pass_in_every_placement() {
    run("conformance/run.py", &[]);
}

#[test]
#[ignore = "needs Node and Python: `cargo xtask interop`"]
fn clients_and_servers_of_others_work_in_every_pairing() {
    run("interop/run.py", &[]);
}

//! Rules about the source tree that nobody should have to remember: which crate may use which, what each may know of the
//! world, the form of files, and the proof that only decided calls reach a server. `ARCHITECTURE.md` says why.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each crate with the crates that it may use: only such as stand above it. A crate that is not there yet is not here yet.
const ARROWS: [(&str, &[&str]); 17] = [
    ("portreeve-model", &[]),
    ("portreeve-seal", &["portreeve-model"]),
    ("portreeve-mcp", &["portreeve-model"]),
    ("portreeve-policy", &["portreeve-model"]),
    ("portreeve-process", &["portreeve-model"]),
    ("portreeve-yaml", &[]),
    ("portreeve-sops", &["portreeve-model"]),
    ("portreeve-cluster", &["portreeve-model", "portreeve-yaml", "portreeve-sops"]),
    ("portreeve-store", &["portreeve-model"]),
    ("portreeve-auth", &["portreeve-model", "portreeve-seal"]),
    ("portreeve-upstream", &["portreeve-model", "portreeve-seal", "portreeve-mcp", "portreeve-process"]),
    ("portreeve-servers", &["portreeve-model", "portreeve-mcp"]),
    (
        "portreeve-gateway",
        &[
            "portreeve-model",
            "portreeve-seal",
            "portreeve-mcp",
            "portreeve-policy",
            "portreeve-store",
            "portreeve-auth",
            "portreeve-upstream",
            "portreeve-servers",
        ],
    ),
    (
        "portreeve-edge",
        &[
            "portreeve-model",
            "portreeve-seal",
            "portreeve-mcp",
            "portreeve-policy",
            "portreeve-process",
            "portreeve-store",
            "portreeve-auth",
            "portreeve-upstream",
            "portreeve-servers",
            "portreeve-gateway",
        ],
    ),
    (
        "portreeve",
        &[
            "portreeve-model",
            "portreeve-yaml",
            "portreeve-sops",
            "portreeve-cluster",
            "portreeve-seal",
            "portreeve-mcp",
            "portreeve-policy",
            "portreeve-process",
            "portreeve-store",
            "portreeve-auth",
            "portreeve-upstream",
            "portreeve-servers",
            "portreeve-gateway",
            "portreeve-edge",
        ],
    ),
    // The tests drive the binary and know none of its crates; `xtask` knows only how the renderer reads manifests, because a
    // real API server is to judge them.
    ("portreeve-tests", &[]),
    ("xtask", &["portreeve-cluster"]),
];

/// Dependencies that stay in their quarter, with everyone who may use them.
const QUARANTINE: [(&str, &[&str]); 33] = [
    ("ssh-key", &["portreeve-cluster"]),
    ("k8s-openapi", &["portreeve-cluster"]),
    ("schemars", &["portreeve-cluster"]),
    ("redis", &["portreeve-store"]),
    ("hyper", &["portreeve-edge", "portreeve-upstream"]),
    ("hyper-util", &["portreeve-edge", "portreeve-upstream"]),
    (
        "tokio",
        &[
            "portreeve-process",
            "portreeve-store",
            "portreeve-upstream",
            "portreeve-servers",
            "portreeve-gateway",
            "portreeve-edge",
            "portreeve",
            "xtask",
        ],
    ),
    ("rustls", &["portreeve-edge", "portreeve-upstream"]),
    ("tokio-rustls", &["portreeve-edge", "portreeve-upstream"]),
    ("webpki-roots", &["portreeve-upstream"]),
    ("rustls-native-certs", &["portreeve-upstream"]),
    ("chacha20poly1305", &["portreeve-seal"]),
    ("hmac", &["portreeve-servers"]),
    ("prometheus-client", &["portreeve-edge"]),
    ("percent-encoding", &["portreeve-cluster", "portreeve-edge", "portreeve-upstream"]),
    ("opentelemetry", &["portreeve"]),
    ("opentelemetry_sdk", &["portreeve"]),
    ("opentelemetry-otlp", &["portreeve"]),
    ("opentelemetry-http", &["portreeve"]),
    ("notify", &["portreeve"]),
    ("clap", &["portreeve", "xtask"]),
    ("clap_complete", &["portreeve"]),
    ("clap_mangen", &["portreeve"]),
    ("saphyr-parser", &["portreeve-sops", "portreeve-yaml"]),
    ("age", &["portreeve-sops"]),
    ("aes-gcm", &["portreeve-sops"]),
    ("regex", &["portreeve-cluster", "portreeve-sops"]),
    ("similar", &["portreeve-cluster", "portreeve"]),
    ("minijinja", &["portreeve-cluster"]),
    ("include_dir", &["portreeve-cluster"]),
    ("tracing-subscriber", &["portreeve"]),
    ("mimalloc", &["portreeve"]),
    ("rustix", &["portreeve-process", "xtask"]),
];

/// No file is longer: what does not fit has two subjects.
const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo describes the workspace")
}

/// The normal dependencies of a package.
fn uses(package: &Package) -> BTreeSet<&str> {
    let normal = package.dependencies.iter().filter(|used| used.kind == DependencyKind::Normal);
    normal.map(|used| used.name.as_str()).collect()
}

#[test]
fn crates_use_only_what_stands_above_them() {
    let metadata = metadata();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let there: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(there, arrows.keys().copied().collect(), "the table names every package and no other");
    for (place, (name, allowed)) in ARROWS.iter().enumerate() {
        let above: BTreeSet<&str> = ARROWS[..place].iter().map(|(name, _)| *name).collect();
        assert!(
            allowed.iter().all(|used| above.contains(used)),
            "the table lets {name} use what stands below it"
        );
    }
    for package in &metadata.packages {
        let own: BTreeSet<&str> = uses(package).into_iter().filter(|name| there.contains(name)).collect();
        let allowed: BTreeSet<&str> = arrows[package.name.as_str()].iter().copied().collect();
        let over: Vec<_> = own.difference(&allowed).collect();
        assert!(over.is_empty(), "{} must not use {over:?}", package.name);
        // Development may not turn the arrows round either, but for the tests, which stand beside all.
        let dev = package.dependencies.iter().filter(|used| there.contains(used.name.as_str()));
        let over: Vec<_> =
            dev.map(|used| used.name.as_str()).filter(|used| !allowed.contains(used)).collect();
        assert!(over.is_empty(), "{} must not use {over:?}, not even in tests", package.name);
    }
}

#[test]
fn heavy_dependencies_stay_in_their_quarter() {
    let metadata = metadata();
    for (heavy, allowed) in QUARANTINE {
        let users: BTreeSet<&str> = metadata
            .packages
            .iter()
            .filter(|package| uses(package).contains(heavy))
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(users, allowed.iter().copied().collect(), "who uses {heavy}");
    }
}

#[test]
fn every_package_obeys_the_lints_and_is_not_published() {
    for package in metadata().packages {
        assert_eq!(package.publish.as_deref(), Some(&[][..]), "{} could be published", package.name);
        let manifest = fs::read_to_string(&package.manifest_path).expect("a manifest");
        let lints = manifest.split("[lints]\n").nth(1).and_then(|rest| rest.lines().next());
        assert_eq!(lints, Some("workspace = true"), "the lints of {}", package.name);
    }
}

/// Every file below the root that git would keep, by its path from there.
fn files() -> Vec<(String, PathBuf)> {
    const NOT_OURS: [&str; 9] = [
        ".git",
        "target",
        "node_modules",
        "__pycache__",
        ".stack",
        "corpus",
        "artifacts",
        "results",
        ".pytest_cache",
    ];
    let mut found = Vec::new();
    let mut left = vec![root().to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("the tree is readable") {
            let entry = entry.expect("the tree is readable");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("files have types");
            if NOT_OURS.contains(&name.as_str()) || name.starts_with(".venv") || name.ends_with(".log") {
                continue;
            }
            if kind.is_dir() {
                left.push(entry.path());
            } else {
                // Where a link leads is known to the machine alone that it was made on.
                assert!(kind.is_file(), "{} is no file of its own", entry.path().display());
                let path = entry.path();
                let shown = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((shown, path));
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "the tree was not found at {}", root().display());
    found
}

/// All Rust sources with their text.
fn sources() -> Vec<(String, String)> {
    let rust = files().into_iter().filter(|(shown, _)| shown.ends_with(".rs"));
    rust.map(|(shown, path)| (shown, fs::read_to_string(path).expect("sources are UTF-8"))).collect()
}

/// A source without its tests: what stands before the first module that exists only for tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Whether a file exists only for tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.ends_with("/testing.rs")
        || path.starts_with("tests/")
}

#[test]
fn sources_say_what_they_are_for_and_end_in_time() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//! ") {
            faults.push(format!("{path} does not begin with what it is for"));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{path} has {lines} lines"));
        }
        if text.contains("#[allow(") || text.contains("#![allow(") {
            faults.push(format!("{path} allows a lint instead of expecting it with a reason"));
        }
    }
    // What this file looks for stands in it.
    faults.retain(|fault| !(fault.starts_with("tests/src/tidy.rs") && fault.contains("allows")));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn nothing_knows_the_machine_it_was_written_on() {
    // Places of people and tools, not those of the system, which are alike everywhere.
    let places = ["home", "root", "Users", "work"].map(|place| format!("/{place}/"));
    // A person who does not exist, where an expansion of `~` or a variable is shown.
    let invented = [format!("{}me", places[0]), format!("{}you", places[0])];
    let mut faults = Vec::new();
    for (shown, path) in files() {
        let Ok(text) = fs::read_to_string(path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let line = invented.iter().fold(line.to_owned(), |line, name| line.replace(name, ""));
            let starts = |place: &String| {
                let before = line.find(place.as_str()).map(|at| line[..at].chars().next_back());
                before.is_some_and(|before| {
                    before.is_none_or(|c| !c.is_alphanumeric() && !"-_.}*$)".contains(c))
                })
            };
            if places.iter().any(starts) {
                faults.push(format!("{shown}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What the sources of some crates must not name.
fn names_none_of(crates: &[&str], words: &[&str]) {
    let mut faults = Vec::new();
    let mut read = 0;
    for (path, text) in sources() {
        let own = crates.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
        if !own || is_test(&path) {
            continue;
        }
        read += 1;
        let lines = product(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{path}: {}", line.trim()));
            }
        }
    }
    assert!(read >= crates.len(), "no sources of {crates:?}");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn only_the_edge_serves_http() {
    let others =
        ["model", "seal", "mcp", "policy", "process", "auth", "upstream", "servers", "gateway", "portreeve"];
    names_none_of(&others, &["hyper::server", "TcpListener", "UnixListener"]);
}

#[test]
fn pure_crates_do_no_io_and_own_no_clock() {
    let world =
        ["std::fs", "std::net", "std::env", "std::process", "std::io", "Instant::now", "SystemTime::now"];
    names_none_of(&["model", "mcp", "policy"], &world);
    let files = ["std::fs", "std::net", "std::env", "std::process", "Instant::now", "SystemTime::now"];
    names_none_of(&["sops"], &files);
}

#[test]
fn only_the_protocol_crate_builds_wire_messages() {
    let others = ["seal", "policy", "process", "auth", "upstream", "servers", "gateway", "edge"];
    names_none_of(&others, &[r#""jsonrpc":"#, r#"\"jsonrpc\":"#]);
}

#[test]
fn one_function_forwards_to_servers() {
    let mut callers = Vec::new();
    for (path, text) in sources() {
        if is_test(&path) || !path.starts_with("crates/gateway/src/") {
            continue;
        }
        let product_text = product(&text);
        let sends = ["service.open(", "service.resume("];
        for (number, _) in sends.iter().flat_map(|send| product_text.match_indices(send)) {
            let function = product(&text)[..number].rmatch_indices("fn ").next().map(|(at, _)| at + 3);
            let name = function.and_then(|at| text[at..].split(['(', '<']).next()).unwrap_or_default();
            callers.push(format!("{path}: {name}"));
        }
    }
    let forwards = ["crates/gateway/src/server.rs: forward", "crates/gateway/src/server.rs: take_up"];
    assert_eq!(callers, forwards, "requests leave in one place");
}

/// Uses of an authorisation that must not compile, each with the compiler's code for the reason; the first must.
const MISUSES: [(&str, Option<&str>, &str); 5] = [
    ("fair", None, "fn main() { let _ = by_value as fn(Authorized<Target>); }"),
    (
        "made",
        Some("E0451"),
        "fn main() { let _ = made as fn(Target) -> Authorized<Target>; }
         fn made(target: Target) -> Authorized<Target> { Authorized { target, origin: loop {} } }",
    ),
    (
        "cloned",
        Some("E0599"),
        "fn main() { let _ = cloned as fn(Authorized<Target>); }
         fn cloned(proof: Authorized<Target>) { by_value(proof.clone()); }",
    ),
    (
        "used_twice",
        Some("E0382"),
        "fn main() { let _ = twice as fn(Authorized<Target>); }
         fn twice(proof: Authorized<Target>) { by_value(proof); by_value(proof); }",
    ),
    (
        "retargeted",
        Some("E0616"),
        "fn main() { let _ = retargeted as fn(Authorized<Target>, Target); }
         fn retargeted(mut proof: Authorized<Target>, target: Target) { proof.target = target; by_value(proof); }",
    ),
];

/// The compiler itself is asked, and its codes are compared instead of its words, which change between versions. The
/// package depends on `policy` alone, so a handful of crates is checked and not the whole gateway.
#[test]
fn an_authorisation_is_made_by_policy_alone_and_used_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bins = directory.path().join("src/bin");
    fs::create_dir_all(&bins).expect("writable");
    for (name, _, text) in MISUSES {
        let head = "use portreeve_policy::{Authorized, Target};\nfn by_value(_: Authorized<Target>) {}\n";
        fs::write(bins.join(format!("{name}.rs")), format!("{head}{text}\n")).expect("writable");
    }
    let policy = root().join("crates/policy");
    let manifest = format!(
        "[workspace]\n[package]\nname = \"misuses\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\nportreeve-policy = {{ path = {:?} }}\n",
        policy.display().to_string()
    );
    fs::write(directory.path().join("Cargo.toml"), manifest).expect("writable");
    fs::copy(root().join("Cargo.lock"), directory.path().join("Cargo.lock")).expect("the lock file is there");
    let target = std::env::current_exe().expect("a test knows its own path");
    let target =
        target.ancestors().nth(3).expect("tests lie three below the target directory").join("misuses");
    #[expect(clippy::disallowed_methods, reason = "cargo is no child of the gate")]
    let output = std::process::Command::new(env!("CARGO"))
        .args(["check", "--offline", "--keep-going", "--bins", "--message-format=json", "--target-dir"])
        .arg(target)
        .current_dir(directory.path())
        .output()
        .expect("cargo starts");
    let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut compiled = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let name = line["target"]["name"].as_str().unwrap_or_default().to_owned();
        if line["reason"] == "compiler-artifact" {
            compiled.insert(name);
        } else if let Some(code) = line["message"]["code"]["code"].as_str()
            && line["message"]["level"] == "error"
        {
            codes.entry(name).or_default().insert(code.to_owned());
        }
    }
    let log = String::from_utf8_lossy(&output.stderr);
    for (name, code, _) in MISUSES {
        let got: Vec<&str> = codes.get(name).into_iter().flatten().map(String::as_str).collect();
        assert_eq!(got, Vec::from_iter(code), "{name}: {log}");
        assert_eq!(compiled.contains(name), code.is_none(), "{name}: {log}");
    }
}

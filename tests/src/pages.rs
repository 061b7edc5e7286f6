//! The pages for people, held against what is there: every link leads somewhere, every configuration on a page passes
//! `portreeve check`, every file of `examples/` starts a gate, and every error code has its row. Whether a sentence is
//! true no test can say; the tables of `configuration.md` and `cluster-variables.md` are compared where they are made.

use crate::harness::{Connection, Running, portreeve};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

/// The files below a folder of the repository that end like this.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the folder is readable").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    found.sort();
    assert!(!found.is_empty(), "nothing ends in {ending} below {folder}");
    found
}

/// Every page, by its path from the root.
fn pages() -> BTreeMap<String, String> {
    let mut paths = files("docs", ".md");
    paths.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    let shown = |path: &PathBuf| path.strip_prefix(root()).expect("below the root").display().to_string();
    paths.iter().map(|path| (shown(path), fs::read_to_string(path).expect("pages are UTF-8"))).collect()
}

/// A page in two: its prose without code, and its fenced blocks, each with its language.
fn parts(page: &str) -> (Vec<&str>, Vec<(&str, String)>) {
    let (mut prose, mut blocks) = (Vec::new(), Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        match line.trim_start().strip_prefix("```") {
            None => prose.push(line),
            Some(language) => {
                let inner = lines.by_ref().take_while(|line| line.trim() != "```");
                blocks.push((language.trim(), inner.map(|line| format!("{line}\n")).collect()));
            }
        }
    }
    (prose, blocks)
}

/// The targets of a line's links; what stands in code is no link.
fn targets(line: &str) -> Vec<&str> {
    let outside = line.split('`').step_by(2);
    let links = outside.flat_map(|text| text.split("](").skip(1));
    links.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of a page, made from its headings as the hosts of repositories make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in parts(page).0 {
        let Some((marks, title)) = line.split_once(' ') else { continue };
        if marks.is_empty() || marks.chars().any(|mark| mark != '#') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|number| format!("{slug}-{number}"));
        let name = std::iter::once(slug.clone()).chain(again).find(|name| !found.contains(name));
        found.extend(name);
    }
    found
}

#[test]
fn anchors_are_made_of_headings_alone() {
    let page = "# `keys` and more: 2, of them\n```sh\n# no heading\n```\n## All\n## All\n#no\n";
    let expected = ["keys-and-more-2-of-them", "all", "all-1"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
    assert_eq!(targets("[a](b.md#c), `[no](link)` and [d](e)"), ["b.md#c", "e"]);
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut faults = Vec::new();
    let mut followed = 0;
    for (shown, text) in &pages {
        let folder = root().join(shown).parent().expect("a page lies in a folder").to_owned();
        for target in parts(text).0.into_iter().flat_map(targets) {
            if target.contains("://") {
                continue;
            }
            followed += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { root().join(shown) } else { folder.join(path) };
            if !file.exists() {
                faults.push(format!("{shown}: {target} is not there"));
            } else if !anchor.is_empty() {
                let there = fs::read_to_string(&file).unwrap_or_default();
                if !anchors(&there).contains(anchor) {
                    faults.push(format!("{shown}: {target} names no heading"));
                }
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_index_names_every_page() {
    let pages = pages();
    let index: BTreeSet<&str> = parts(&pages["docs/README.md"]).0.into_iter().flat_map(targets).collect();
    let names = pages.keys().filter_map(|shown| shown.strip_prefix("docs/"));
    let missing: Vec<&str> = names.filter(|name| *name != "README.md" && !index.contains(name)).collect();
    assert!(missing.is_empty(), "docs/README.md does not name {missing:?}");
    assert!(pages["README.md"].contains("](docs/README.md)"), "the root's page leads to the index");
}

/// A configuration in which every reference has become a value of its own, good as an address or as a key.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        let end = reference.find('}').expect("a reference ends");
        let name: String = reference[2..end].chars().filter(char::is_ascii_alphanumeric).collect();
        out.push_str(before);
        if name.ends_with("IP") {
            out.push_str("127.0.0.1");
        } else {
            out.push_str(&format!("{name:x<40}"));
        }
        rest = &reference[end + 1..];
    }
    out + rest
}

/// The certificate that pages and examples name, in files of this directory, with the text that names those.
fn certified(text: &str, directory: &Path) -> String {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    fs::write(directory.join("tls.crt"), made.cert.pem()).expect("writable");
    fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).expect("writable");
    let names = ["/etc/tls/tls.crt", "/etc/company/ca.pem"];
    names
        .into_iter()
        .fold(text.replace("/etc/tls/tls.key", "tls.key"), |text, name| text.replace(name, "tls.crt"))
}

/// What a program printed and logged until it ended by itself, and whether all was well.
async fn ended(arguments: &[&str], directory: &Path) -> (bool, String) {
    let mut running = Running::start(portreeve(), arguments, directory);
    let printed = running.printed().await;
    let good = running.ended().await.success();
    (good, format!("{printed}{}", running.log().join("\n")))
}

/// The block of a ConfigMap that is a configuration of the gate, without its indentation.
fn embedded(manifest: &str) -> Option<String> {
    let inner = manifest.split("portreeve.yaml: |\n").nth(1)?;
    let deep = inner.len() - inner.trim_start().len();
    let of_it =
        inner.lines().take_while(|line| line.trim().is_empty() || line.starts_with(&" ".repeat(deep)));
    Some(of_it.map(|line| format!("{}\n", line.get(deep..).unwrap_or_default())).collect())
}

/// What decides is the first level: a block with a key of the gate's is a configuration, whatever else is in it.
fn configuration(block: &str, keys: &BTreeSet<String>) -> Option<String> {
    let first = block.lines().filter(|line| !line.starts_with([' ', '#', '-']));
    let mut names = first.filter_map(|line| line.split_once(':')).map(|(name, _)| name);
    if names.any(|name| keys.contains(name)) { Some(block.to_owned()) } else { embedded(block) }
}

#[tokio::test]
async fn every_configuration_on_a_page_passes_the_check() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (good, schema) = ended(&["schema"], directory.path()).await;
    assert!(good, "{schema}");
    let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
    let keys: BTreeSet<String> = schema["properties"].as_object().expect("keys").keys().cloned().collect();
    let mut checked = 0;
    for (shown, text) in pages() {
        for (language, block) in parts(&text).1 {
            let Some(found) = (language == "yaml").then(|| configuration(&block, &keys)).flatten() else {
                continue;
            };
            checked += 1;
            let text = certified(&filled(&found), directory.path());
            fs::write(directory.path().join("portreeve.yaml"), text).expect("writable");
            let (good, said) = ended(&["check"], directory.path()).await;
            assert!(good, "{shown}: {said}\n{found}");
        }
    }
    assert!(checked > 8, "only {checked} configurations were found");
}

#[tokio::test]
async fn every_example_starts_a_gate_that_is_ready() {
    for path in files("examples", ".yaml") {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let text = fs::read_to_string(&path).expect("examples are UTF-8");
        // Ports of the system's choice, nothing outside this machine, and a log that can be read.
        let text = filled(&text)
            .replace("listen: 127.0.0.1:8485", "listen: 127.0.0.1:0")
            .replace("listen: 0.0.0.0:8486", "listen: 127.0.0.1:0")
            .replace("redis://redis:6379", "redis://127.0.0.1:9")
            .replace("https://mcp.example.net/mcp", "https://127.0.0.1:9/mcp")
            .replace("format: text", "format: json");
        fs::write(directory.path().join("portreeve.yaml"), certified(&text, directory.path()))
            .expect("writable");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", "data"];
        let mut running = Running::start(portreeve(), &arguments, directory.path());
        let stands: Value =
            serde_json::from_str(&running.logs("the gate stands").await).expect("the log is JSON");
        let address = stands["listen"].as_str().and_then(|listen| listen.parse().ok()).expect("an address");
        let mut connection = Connection::open(address).await;
        connection.send(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await;
        let ready = connection.response().await;
        assert_eq!((ready.status, ready.text()), (200, r#"{"status":"ready"}"#), "{}", path.display());
        drop(connection);
        running.terminate();
        let status = running.ended().await;
        assert!(status.success(), "{}: {status}: {:#?}", path.display(), running.log());
    }
}

#[test]
fn every_error_code_has_its_row_and_every_row_its_code() {
    let source = fs::read_to_string(root().join("crates/gateway/src/error.rs")).expect("readable");
    let product = source.split("#[cfg(test)]").next().expect("there is always a first part");
    let code = |text: &str| text.get(..6).and_then(|code| code.parse::<i64>().ok());
    let ours = |code: &i64| (-31099..=-31000).contains(code);
    let made: BTreeSet<i64> = product.split("Code(").filter_map(code).filter(ours).collect();
    let page = &pages()["docs/errors.md"];
    let told: BTreeSet<i64> =
        page.lines().filter_map(|line| code(line.strip_prefix("| ")?)).filter(ours).collect();
    assert!(made.len() > 9, "only {made:?} were found");
    assert_eq!(told, made, "the rows of docs/errors.md are the codes of crates/gateway/src/error.rs");
}

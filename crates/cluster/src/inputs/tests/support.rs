//! What the tests share: the fixtures as files, with fresh keys beside them, and edits that leave the other lines as they are.

use crate::inputs::{File, Files};
use portreeve_yaml::{Data, Entry, Node, Style, parse};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

pub(crate) const CLUSTERS: [&str; 3] = ["minimal", "gateway", "platform"];

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A file's text and mode, by its name.
pub(crate) type Texts = BTreeMap<String, (String, u32)>;

/// A cluster that is right.
pub(crate) fn cluster(name: &str) -> Texts {
    let mut texts = Texts::new();
    for file in ["cluster.yaml", "nodes.yaml"] {
        let text = fs::read_to_string(fixtures().join(name).join(file)).unwrap();
        texts.insert(file.to_owned(), (text, 0o644));
    }
    let tunnel = r#"{"AccountTag": "fixture-account", "TunnelID": "fixture-tunnel", "TunnelSecret": "fixture-secret"}"#;
    let deploy = "-----BEGIN OPENSSH PRIVATE KEY-----\nfixture\n-----END OPENSSH PRIVATE KEY-----\n";
    let (age, _) = portreeve_sops::generate();
    for (file, text) in [
        ("age.key", age.expose().as_str()),
        ("cloudflare-tunnel.json", tunnel),
        ("github-deploy.key", deploy),
        ("github-push-token.txt", "fixture-push-token\n"),
    ] {
        texts.insert(file.to_owned(), (text.to_owned(), 0o600));
    }
    texts
}

pub(crate) fn files(texts: &Texts) -> Files {
    let mut files = Files::default();
    for (name, (text, mode)) in texts {
        let file = File::ALL.into_iter().find(|file| file.name() == name).unwrap();
        files.insert(file, text.clone(), Some(*mode));
    }
    files
}

pub(crate) fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let Data::Map(entries) = &node.data else { return None };
    entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
}

pub(crate) fn text(node: &Node) -> &str {
    match &node.data {
        Data::Scalar(scalar) => &scalar.text,
        other => panic!("no text: {other:?}"),
    }
}

/// The entry at a path such as `key` or `nodes[2].key`, and the map that it is or would be in.
fn find<'a>(tree: &'a Node, path: &str) -> (&'a Node, Option<&'a Entry>, String) {
    let (mut map, mut key) = (tree, path);
    if let Some((list, rest)) = path.split_once('[') {
        let (number, rest) = rest.split_once("].").unwrap();
        let Some(Data::List(items)) = field(tree, list).map(|node| &node.data) else {
            panic!("no list at {path}")
        };
        (map, key) = (&items[number.parse::<usize>().unwrap()], rest);
    }
    let Data::Map(entries) = &map.data else { panic!("no map at {path}") };
    (map, entries.iter().find(|entry| entry.key == key), key.to_owned())
}

/// A scalar as it is written.
fn written(node: &Node) -> String {
    match &node.data {
        Data::Scalar(scalar) if scalar.style == Style::Quoted => {
            serde_json::Value::from(scalar.text.as_str()).to_string()
        }
        Data::Scalar(scalar) => scalar.text.clone(),
        other => panic!("edits set single values: {other:?}"),
    }
}

/// Replaces a value, or adds the key at the end of its map.
pub(crate) fn set(source: &str, path: &str, value: &Node) -> String {
    let tree = parse(source).unwrap();
    let chars: Vec<char> = source.chars().collect();
    let (map, entry, key) = find(&tree, path);
    if let Some(entry) = entry {
        let (before, after) = (&chars[..entry.value.start], &chars[entry.value.end..]);
        return format!("{}{}{}", String::from_iter(before), written(value), String::from_iter(after));
    }
    let Data::Map(entries) = &map.data else { unreachable!() };
    let indent = " ".repeat(map.mark.column - 1);
    let last = entries.last().unwrap().mark.line;
    let mut lines: Vec<String> = source.lines().map(str::to_owned).collect();
    let end = (last..lines.len()).find(|line| !deeper(&lines[*line], indent.len())).unwrap_or(lines.len());
    lines.insert(end, format!("{indent}{key}: {}", written(value)));
    lines.join("\n") + "\n"
}

/// Removes the lines of a key.
pub(crate) fn unset(source: &str, path: &str) -> String {
    let tree = parse(source).unwrap();
    if source.starts_with('{') {
        let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(source).unwrap();
        object.remove(path).unwrap();
        return serde_json::Value::Object(object).to_string();
    }
    let entry = find(&tree, path).1.unwrap_or_else(|| panic!("{path} is not there"));
    let lines: Vec<&str> = source.lines().collect();
    let first = entry.mark.line - 1;
    let indent = entry.mark.column - 1;
    let end = (first + 1..lines.len()).find(|line| !deeper(lines[*line], indent)).unwrap_or(lines.len());
    let kept: Vec<&str> = lines[..first].iter().chain(&lines[end..]).copied().collect();
    kept.join("\n") + "\n"
}

/// Whether a line belongs to a key with this indentation.
fn deeper(line: &str, indent: usize) -> bool {
    let own = line.len() - line.trim_start_matches(' ').len();
    own > indent && !line.trim().is_empty()
}

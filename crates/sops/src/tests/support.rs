//! What the tests share: where the fixtures and the real program are, and trees as flat lists that can be compared.

use crate::{Branch, Error, Format, Item, Keys, Node, Recipient, Rule, Scalar, Seal, Selector, open};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

/// The directory of files that the real program wrote.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let directory = root.join("../shared/fixtures/sops");
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("SKIPPED: {} is not there", directory.display());
    None
}

pub(crate) fn fixture(name: &str) -> String {
    std::fs::read_to_string(fixtures().unwrap().join(name)).unwrap()
}

/// The real program, if it is installed: `$PORTREEVE_STACK/bin/sops` or on the path.
pub(crate) fn real_sops() -> Option<PathBuf> {
    let stack = std::env::var_os("PORTREEVE_STACK").map(|stack| PathBuf::from(stack).join("bin/sops"));
    let found = stack.into_iter().chain([PathBuf::from("sops")]).find(|program| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    });
    if found.is_none() {
        eprintln!("SKIPPED: the program `sops` is not installed");
    }
    found
}

/// Every value with its path and kind, in order, comments left out.
pub(crate) fn flat(documents: &[Branch]) -> Vec<String> {
    let mut out = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        branch(document, &format!("{number}"), &mut out);
    }
    out
}

fn branch(at: &Branch, path: &str, out: &mut Vec<String>) {
    let mut index = 0;
    for item in &at.items {
        match item {
            Item::Comment(_) => {}
            Item::Pair(key, value) => node(value, &format!("{path}.{key}"), out),
            Item::Element(value) => {
                node(value, &format!("{path}[{index}]"), out);
                index += 1;
            }
        }
    }
}

fn node(at: &Node, path: &str, out: &mut Vec<String>) {
    match at {
        Node::Null => out.push(format!("{path} null")),
        Node::Leaf(leaf) => {
            // The real program writes a float without a fraction as a whole number.
            let kind = match leaf.value {
                Scalar::Int(_) | Scalar::Float(_) => "<number>".to_owned(),
                ref other => format!("{other:?}"),
            };
            out.push(format!("{path} {kind} {:?}", leaf.value.canonical().as_str()));
        }
        Node::Branch(inner) => branch(inner, path, out),
    }
}

/// A plain text as the same list: it is encrypted here and opened again, which reads it by the same rules.
pub(crate) fn plain(text: &str, format: Format) -> Vec<String> {
    match format {
        Format::Yaml => {
            let (keys, recipients) = own_key();
            let sealed = seal_with(text, &everything(), &recipients).unwrap();
            flat(&open(&sealed, Format::Yaml, &keys).unwrap().documents)
        }
        Format::Json => {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let mut out = Vec::new();
            json(&value, "0", &mut out);
            out
        }
        Format::Dotenv => text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| format!("0.{name} <str> {value:?}"))
            .collect(),
    }
}

fn json(value: &serde_json::Value, path: &str, out: &mut Vec<String>) {
    use serde_json::Value;
    match value {
        Value::Null => out.push(format!("{path} null")),
        Value::Bool(flag) => out.push(format!("{path} <bool> {:?}", if *flag { "True" } else { "False" })),
        Value::Number(number) if number.is_f64() => {
            out.push(format!("{path} <number> {:?}", number.as_f64().unwrap().to_string()));
        }
        Value::Number(number) => out.push(format!("{path} <number> {:?}", number.to_string())),
        Value::String(text) => out.push(format!("{path} <str> {text:?}")),
        Value::Array(values) => {
            values
                .iter()
                .enumerate()
                .for_each(|(index, value)| json(value, &format!("{path}[{index}]"), out));
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| json(value, &format!("{path}.{key}"), out)),
    }
}

/// A fresh key.
pub(crate) fn own_key() -> (Keys, Vec<Recipient>) {
    let (private, recipient) = crate::generate();
    (Keys::parse(private.expose()).unwrap(), vec![recipient])
}

pub(crate) fn everything() -> Rule {
    Rule { selector: Selector::UnencryptedSuffix("_unencrypted".to_owned()), mac_only_encrypted: false }
}

pub(crate) fn data_only() -> Rule {
    Rule { selector: Selector::EncryptedRegex("^(data|stringData)$".to_owned()), mac_only_encrypted: true }
}

/// Bytes that never repeat: what matters here is that they differ.
pub(crate) fn random(buffer: &mut [u8]) -> Result<(), Error> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = next.wrapping_mul(31).wrapping_add(at as u8));
    Ok(())
}

pub(crate) fn seal_with(text: &str, rule: &Rule, recipients: &[Recipient]) -> Result<String, Error> {
    let mut how = Seal { rule, recipients, now: "2026-01-02T03:04:05Z", random: &mut random };
    crate::seal(text, &mut how, None)
}

//! The `sops` block: whom the data key is wrapped for, which values are encrypted, and the authentication code over all values.

use crate::{
    Error, Recipient, Rule, Selector, age_key,
    cipher::{DataKey, NONCE},
    tree::{Leaf, Node, Scalar},
};
use std::fmt::Write;

/// The version of SOPS whose format is written.
const VERSION: &str = "3.13.3";

/// A data key that one recipient can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The public key.
    pub recipient: String,
    /// An armored age file with the key in it.
    pub enc: String,
}

/// A `sops` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) age: Vec<Wrapped>,
    /// RFC 3339; bound to the authentication code.
    pub(crate) lastmodified: String,
    /// The authentication code, encrypted.
    pub(crate) mac: String,
    pub(crate) rule: Rule,
}

impl Metadata {
    /// Reads the block from the tree of a file.
    pub(crate) fn from_node(node: &Node) -> Result<Self, Error> {
        refuse_foreign(node)?;
        let text = |name: &str| match node.get(name) {
            Some(Node::Leaf(leaf)) => Some(leaf.value.canonical().to_string()),
            _ => None,
        };
        let needed = |name: &str| text(name).ok_or_else(|| Error::metadata(format!("has no `{name}`")));
        let age = node.get("age").into_iter().flat_map(Node::elements).map(|entry| {
            let part = |name: &str| entry.get(name).and_then(Node::as_text).map(str::to_owned);
            match (part("recipient"), part("enc")) {
                (Some(recipient), Some(enc)) => Ok(Wrapped { recipient, enc }),
                _ => Err(Error::metadata("has an entry under `age` without `recipient` or `enc`")),
            }
        });
        let age = age.collect::<Result<Vec<_>, _>>()?;
        if age.is_empty() {
            return Err(Error::metadata("names no age recipient"));
        }
        let mac_only_encrypted =
            text("mac_only_encrypted").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
        let rule = Rule { selector: Selector::find(text)?, mac_only_encrypted };
        Ok(Self { age, lastmodified: needed("lastmodified")?, mac: needed("mac")?, rule })
    }

    /// Whether the file is for exactly these; the order does not count.
    pub(crate) fn is_for(&self, wanted: &[Recipient]) -> Result<(), Error> {
        let mut found: Vec<String> = self.age.iter().map(|wrapped| wrapped.recipient.clone()).collect();
        let mut names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        found.sort();
        names.sort();
        if found == names {
            return Ok(());
        }
        Err(Error::Recipients { found: age_key::listed(found.iter()), wanted: age_key::listed(names.iter()) })
    }

    /// Opens the authentication code.
    pub(crate) fn open_mac(&self, key: &DataKey) -> Result<String, Error> {
        match key.decrypt(&self.mac, &self.lastmodified) {
            Some(Scalar::Text(mac)) if !mac.is_empty() => Ok(mac.to_string()),
            _ => Err(Error::Mac),
        }
    }

    /// Encrypts an authentication code for the moment in `lastmodified`.
    pub(crate) fn seal_mac(&mut self, key: &DataKey, mac: &str, nonce: &[u8; NONCE]) -> Result<(), Error> {
        self.mac = key.encrypt(&Scalar::text(mac), &self.lastmodified, nonce)?;
        Ok(())
    }

    /// The block as YAML, to stand at the end of each document.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::from("sops:\n    age:\n");
        for wrapped in &self.age {
            out.push_str("        - enc: |\n");
            for line in wrapped.enc.lines() {
                // Writing into a text cannot fail.
                let _ = writeln!(out, "            {line}");
            }
            let _ = writeln!(out, "          recipient: {}", wrapped.recipient);
        }
        if let Some((name, text)) = self.rule.selector.entry() {
            let _ = writeln!(out, "    {name}: '{}'", text.replace('\'', "''"));
        }
        let _ = writeln!(out, "    lastmodified: \"{}\"\n    mac: {}", self.lastmodified, self.mac);
        if self.rule.mac_only_encrypted {
            out.push_str("    mac_only_encrypted: true\n");
        }
        let _ = writeln!(out, "    version: {VERSION}");
        out
    }
}

/// Names what wraps the data key besides age.
fn refuse_foreign(node: &Node) -> Result<(), Error> {
    const OTHERS: [&str; 7] = ["pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "key_groups"];
    let there = |name: &&str| {
        let held = node.get(name);
        held.is_some_and(|held| held.elements().next().is_some())
    };
    let mut found: Vec<&str> = OTHERS.into_iter().filter(there).collect();
    if let Some(Node::Leaf(Leaf { value: Scalar::Int(threshold), .. })) = node.get("shamir_threshold")
        && *threshold > 0
    {
        found.push("shamir_threshold");
    }
    if found.is_empty() { Ok(()) } else { Err(Error::Foreign { kinds: found.join(", ") }) }
}

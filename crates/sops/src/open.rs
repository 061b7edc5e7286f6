//! Reading: open the data key, decrypt every value that the rule names, and check that all values add up to the authentication
//! code. Nothing is handed out before that check.

use crate::{
    Error, Keys, Rule, Wrapped,
    cipher::DataKey,
    dotenv, json,
    metadata::Metadata,
    rule::Judge,
    tree::{Branch, Item, Node, Scalar},
    yaml,
};
use sha2::{Digest, Sha512};

/// The form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One or more YAML documents.
    Yaml,
    /// One JSON object.
    Json,
    /// Lines of `NAME=value`.
    Dotenv,
}

impl Format {
    /// The form that the end of a file name stands for; YAML where it says nothing else.
    pub fn of(path: &str) -> Self {
        match path.rsplit('.').next() {
            Some("json") => Self::Json,
            Some("env") => Self::Dotenv,
            _ => Self::Yaml,
        }
    }
}

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Its documents, decrypted, without their `sops` blocks.
    pub documents: Vec<Branch>,
    pub(crate) metadata: Metadata,
    pub(crate) key: DataKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<data key>")
    }
}

impl Opened {
    /// How it is encrypted.
    pub fn rule(&self) -> &Rule {
        &self.metadata.rule
    }

    /// Whom it is for.
    pub fn recipients(&self) -> impl Iterator<Item = &str> {
        self.metadata.age.iter().map(|wrapped: &Wrapped| wrapped.recipient.as_str())
    }
}

/// Opens a file with these keys.
pub fn open(text: &str, format: Format, keys: &Keys) -> Result<Opened, Error> {
    let (mut documents, metadata) = split(text, format)?;
    let key = keys.unwrap(&metadata.age)?;
    let mac = decrypt(&mut documents, &metadata.rule, &key)?;
    if metadata.open_mac(&key)? != mac {
        return Err(Error::Mac);
    }
    Ok(Opened { documents, metadata, key })
}

/// Whether what was just written opens to the values that were to be written: their authentication code says so.
pub(crate) fn opens(text: &str, key: &DataKey, mac: &str) -> bool {
    let read = || {
        let (mut documents, metadata) = split(text, Format::Yaml)?;
        Ok::<_, Error>(decrypt(&mut documents, &metadata.rule, key)? == mac && metadata.open_mac(key)? == mac)
    };
    read().unwrap_or(false)
}

/// The documents of a file, and the metadata of the first; the others repeat it.
fn split(text: &str, format: Format) -> Result<(Vec<Branch>, Metadata), Error> {
    let mut documents: Vec<Branch> = match format {
        Format::Yaml => yaml::parse(text)?.into_iter().map(|document| document.root).collect(),
        Format::Json => vec![json::parse(text)?],
        Format::Dotenv => vec![dotenv::parse(text)?],
    };
    let mut metadata = None;
    for document in &mut documents {
        let block = document.take("sops");
        metadata = metadata.or(block);
    }
    let block = metadata.ok_or_else(|| Error::metadata("is missing: this file is not encrypted"))?;
    Ok((documents, Metadata::from_node(&block)?))
}

fn decrypt(documents: &mut [Branch], rule: &Rule, key: &DataKey) -> Result<String, Error> {
    let judge = Judge::new(&rule.selector)?;
    let mut mac = Mac::new(rule);
    for document in documents.iter_mut() {
        document.walk(&mut |leaf, place| {
            let encrypted = judge.encrypts(leaf, place);
            if encrypted {
                let bound = bound(place.path);
                leaf.value = match &leaf.value {
                    Scalar::Text(text) => {
                        key.decrypt(text, &bound).ok_or_else(|| Error::tampered(place.path))?
                    }
                    // A comment that does not open was readable before, or belongs to a place that SOPS sees elsewhere.
                    Scalar::Comment(text) => match key.decrypt(text, &bound) {
                        Some(Scalar::Comment(text) | Scalar::Text(text)) => Scalar::Comment(text),
                        _ => Scalar::Comment(text.clone()),
                    },
                    _ => return Err(Error::tampered(place.path)),
                };
            }
            mac.add(&leaf.value, encrypted);
            Ok(())
        })?;
        drop_encrypted_elements(document);
    }
    Ok(mac.finish())
}

/// What was a comment in a list may stand there as an element.
fn drop_encrypted_elements(branch: &mut Branch) {
    for item in &mut branch.items {
        if let Item::Element(Node::Leaf(leaf)) = item
            && matches!(leaf.value, Scalar::Comment(_))
        {
            *item = Item::Comment(leaf.clone());
        }
        if let Item::Pair(_, Node::Branch(inner)) | Item::Element(Node::Branch(inner)) = item {
            drop_encrypted_elements(inner);
        }
    }
}

/// What is authenticated beside a value: the keys that lead to it.
pub(crate) fn bound(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut all, key| {
        all.push_str(key);
        all.push(':');
        all
    })
}

/// The authentication code under way: a digest of all values in order.
pub(crate) struct Mac {
    digest: Sha512,
    only_encrypted: bool,
}

impl Mac {
    pub(crate) fn new(rule: &Rule) -> Self {
        let mut digest = Sha512::new();
        if rule.mac_only_encrypted {
            // So that such a code can never be taken for one over all values.
            digest.update(sha2::Sha256::digest(b"sops"));
        }
        Self { digest, only_encrypted: rule.mac_only_encrypted }
    }

    pub(crate) fn add(&mut self, value: &Scalar, encrypted: bool) {
        if !matches!(value, Scalar::Comment(_)) && (encrypted || !self.only_encrypted) {
            self.digest.update(value.canonical().as_bytes());
        }
    }

    pub(crate) fn finish(self) -> String {
        self.digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
    }
}

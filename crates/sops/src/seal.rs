//! Writing: the scalars that the rule names are replaced in the text, everything else stays as it is, and the `sops` block goes
//! to the end of each document. What did not change since the last time keeps its ciphertext, its nonce and the data key.

use crate::{
    Error, Keys, Recipient, Rule,
    cipher::{DataKey, NONCE, looks_encrypted},
    metadata::Metadata,
    open::{Format, Mac, bound, open, opens},
    rule::Judge,
    tree::{Form, Leaf, Place, Scalar},
    yaml::{self, Document},
};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, ops::Range};
use zeroize::Zeroizing;

/// How a file is to be written.
pub struct Seal<'a> {
    /// Which values are encrypted.
    pub rule: &'a Rule,
    /// Whom it is for.
    pub recipients: &'a [Recipient],
    /// The moment of writing, as RFC 3339 in UTC with whole seconds.
    pub now: &'a str,
    /// Fills a buffer with random bytes.
    pub random: &'a mut dyn FnMut(&mut [u8]) -> Result<(), Error>,
}

/// The file as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// Its text.
    pub text: &'a str,
    /// What opens it.
    pub keys: &'a Keys,
}

/// Encrypts a YAML text. With the previous file, unchanged values keep their ciphertext, and a text that means and looks the
/// same gives the same bytes.
pub fn seal(text: &str, how: &mut Seal<'_>, previous: Option<Previous<'_>>) -> Result<String, Error> {
    let before = previous.map(|previous| Before::read(&previous, how)).transpose()?;
    let mut documents = yaml::parse(text)?;
    refuse_metadata(text, &documents)?;
    let key = match &before {
        Some(before) => before.key.clone(),
        None => {
            let mut bytes = Zeroizing::new([0; 32]);
            (how.random)(&mut *bytes)?;
            DataKey::new(*bytes)
        }
    };
    let mut writer = Writer { key: &key, before: before.as_ref(), cuts: Vec::new(), text };
    let mac = writer.encrypt(&mut documents, how)?;
    let cuts = std::mem::take(&mut writer.cuts);
    let metadata = metadata(&mac, &key, before, how)?;
    let sealed = assemble(text, &documents, cuts, &metadata.to_yaml());
    // Replacing within a text has to know all of YAML's layouts; where it does not, nothing is written at all.
    sealed.filter(|sealed| opens(sealed, &key, &mac)).ok_or_else(|| Error::at(1, LAYOUT))
}

/// What is said of a text whose layout cannot carry encrypted values.
const LAYOUT: &str = "this layout cannot be encrypted in place: begin the outermost keys at the start of their lines, and write values on lines of their own";

/// What can be kept of the previous file.
struct Before {
    key: DataKey,
    metadata: Metadata,
    mac: String,
    /// The ciphertext of each value at its place.
    sealed: HashMap<Known, String>,
}

/// A place, a kind, and a digest of a value there: enough to find it again without keeping it.
type Known = (String, &'static str, [u8; 32]);

fn known(bound: &str, value: &Scalar) -> Known {
    (bound.to_owned(), value.kind(), Sha256::digest(value.canonical().as_bytes()).into())
}

impl Before {
    fn read(previous: &Previous<'_>, how: &Seal<'_>) -> Result<Self, Error> {
        let opened = open(previous.text, Format::Yaml, previous.keys)?;
        opened.metadata.is_for(how.recipients)?;
        let mac = opened.metadata.open_mac(&opened.key)?;
        let judge = Judge::new(&opened.metadata.rule.selector)?;
        let mut sealed = HashMap::new();
        for mut document in yaml::parse(previous.text)? {
            document.root.take("sops");
            document.root.walk(&mut |leaf, place| {
                if let (true, Scalar::Text(text) | Scalar::Comment(text)) =
                    (judge.encrypts(leaf, place), &leaf.value)
                {
                    let bound = bound(place.path);
                    if let Some(value) = opened.key.decrypt(text, &bound) {
                        sealed.insert(known(&bound, &value), text.to_string());
                    }
                }
                Ok(())
            })?;
        }
        Ok(Self { key: opened.key, metadata: opened.metadata, mac, sealed })
    }
}

/// One replacement in the text.
struct Cut {
    at: Range<usize>,
    with: String,
}

struct Writer<'a> {
    key: &'a DataKey,
    before: Option<&'a Before>,
    cuts: Vec<Cut>,
    text: &'a str,
}

impl Writer<'_> {
    /// Notes every replacement, and returns the authentication code.
    fn encrypt(&mut self, documents: &mut [Document], how: &mut Seal<'_>) -> Result<String, Error> {
        let judge = Judge::new(&how.rule.selector)?;
        let mut mac = Mac::new(how.rule);
        for document in documents {
            document.root.walk(&mut |leaf, place| {
                let encrypted = judge.encrypts(leaf, place);
                mac.add(&leaf.value, encrypted);
                if encrypted { self.replace(leaf, place, how) } else { Ok(()) }
            })?;
        }
        Ok(mac.finish())
    }

    fn replace(&mut self, leaf: &Leaf, place: &Place<'_>, how: &mut Seal<'_>) -> Result<(), Error> {
        let line = || self.text[..leaf.at.start].matches('\n').count() + 1;
        if leaf.form == Form::Bound {
            return Err(Error::at(
                line(),
                "a value with an anchor, an alias or a tag cannot be encrypted; write it out",
            ));
        }
        let bound = bound(place.path);
        let kept = self.before.and_then(|before| before.sealed.get(&known(&bound, &leaf.value)));
        let sealed = match kept {
            Some(sealed) => sealed.clone(),
            None => {
                let mut nonce = [0; NONCE];
                (how.random)(&mut nonce)?;
                self.key.encrypt(&leaf.value, &bound, &nonce)?
            }
        };
        if sealed.is_empty() {
            return Ok(());
        }
        let with = if leaf.form == Form::Flow { format!("\"{sealed}\"") } else { sealed };
        self.cuts.push(Cut { at: leaf.at.clone(), with });
        Ok(())
    }
}

/// The block for the new file; the old one where all values are the same.
fn metadata(mac: &str, key: &DataKey, before: Option<Before>, how: &mut Seal<'_>) -> Result<Metadata, Error> {
    let age = match before {
        Some(before) if before.mac == mac && before.metadata.rule == *how.rule => return Ok(before.metadata),
        Some(before) => before.metadata.age,
        None => how.recipients.iter().map(|recipient| recipient.wrap(key)).collect::<Result<_, _>>()?,
    };
    let mut metadata =
        Metadata { age, lastmodified: how.now.to_owned(), mac: String::new(), rule: how.rule.clone() };
    let mut nonce = [0; NONCE];
    (how.random)(&mut nonce)?;
    metadata.seal_mac(key, mac, &nonce)?;
    Ok(metadata)
}

/// A text that is encrypted already, or looks like it, would come back as something else.
fn refuse_metadata(text: &str, documents: &[Document]) -> Result<(), Error> {
    if documents.is_empty() {
        return Err(Error::at(1, "there is no document to encrypt"));
    }
    if documents.iter().any(|document| document.root.get("sops").is_some()) {
        return Err(Error::metadata("is there already: the text is encrypted"));
    }
    match text.lines().position(|line| line.split_whitespace().any(looks_encrypted)) {
        Some(line) => {
            Err(Error::at(line + 1, "there is an encrypted value in a text that is to be encrypted"))
        }
        None => Ok(()),
    }
}

/// The text with its replacements; nothing where two of them lie in each other.
fn assemble(text: &str, documents: &[Document], mut cuts: Vec<Cut>, block: &str) -> Option<String> {
    cuts.extend(
        documents.iter().map(|document| Cut { at: document.end..document.end, with: block.to_owned() }),
    );
    cuts.sort_by_key(|cut| cut.at.start);
    let mut out =
        String::with_capacity(text.len() + cuts.iter().map(|cut| cut.with.len() + 1).sum::<usize>());
    let mut from = 0;
    for cut in cuts {
        out.push_str(text.get(from..cut.at.start)?);
        if cut.at.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&cut.with);
        from = cut.at.end;
    }
    out.push_str(text.get(from..)?);
    Some(out)
}

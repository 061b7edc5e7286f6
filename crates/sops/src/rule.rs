//! Which values of a file are encrypted, and which rule of a `.sops.yaml` a new file gets. Patterns are looked for in every
//! key on the way to a value, one by one, anywhere in the key.

use crate::{
    Error, Recipient,
    tree::{Leaf, Node, Place, Scalar},
    yaml,
};
use regex::Regex;
use std::str::FromStr;

/// What a rule goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Every value.
    Everything,
    /// Every value but those on whose way a key ends like this.
    UnencryptedSuffix(String),
    /// Only values on whose way a key ends like this.
    EncryptedSuffix(String),
    /// Every value but those on whose way a key matches.
    UnencryptedRegex(String),
    /// Only values on whose way a key matches.
    EncryptedRegex(String),
    /// Every value but those below a comment that matches.
    UnencryptedCommentRegex(String),
    /// Only values below a comment that matches.
    EncryptedCommentRegex(String),
}

impl Selector {
    /// The name in the `sops` block and in `.sops.yaml`, with the text.
    pub(crate) fn entry(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Self::Everything => return None,
            Self::UnencryptedSuffix(text) => ("unencrypted_suffix", text),
            Self::EncryptedSuffix(text) => ("encrypted_suffix", text),
            Self::UnencryptedRegex(text) => ("unencrypted_regex", text),
            Self::EncryptedRegex(text) => ("encrypted_regex", text),
            Self::UnencryptedCommentRegex(text) => ("unencrypted_comment_regex", text),
            Self::EncryptedCommentRegex(text) => ("encrypted_comment_regex", text),
        })
    }

    /// The selector among the entries of a map; more than one is refused, as SOPS does.
    pub(crate) fn find(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        type Make = fn(String) -> Selector;
        const KINDS: [(&str, Make); 6] = [
            ("unencrypted_suffix", Selector::UnencryptedSuffix),
            ("encrypted_suffix", Selector::EncryptedSuffix),
            ("unencrypted_regex", Selector::UnencryptedRegex),
            ("encrypted_regex", Selector::EncryptedRegex),
            ("unencrypted_comment_regex", Selector::UnencryptedCommentRegex),
            ("encrypted_comment_regex", Selector::EncryptedCommentRegex),
        ];
        let mut found = Self::Everything;
        for (name, make) in KINDS {
            let Some(text) = get(name).filter(|text| !text.is_empty()) else { continue };
            if found != Self::Everything {
                return Err(Error::metadata("has more than one rule that says which values are encrypted"));
            }
            found = make(text);
        }
        Ok(found)
    }
}

/// How a file is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which values are.
    pub selector: Selector,
    /// Whether the authentication code covers encrypted values alone.
    pub mac_only_encrypted: bool,
}

/// A rule made ready to be asked.
pub(crate) struct Judge<'a> {
    selector: &'a Selector,
    pattern: Option<Regex>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(selector: &'a Selector) -> Result<Self, Error> {
        let pattern = match selector {
            Selector::UnencryptedRegex(text)
            | Selector::EncryptedRegex(text)
            | Selector::UnencryptedCommentRegex(text)
            | Selector::EncryptedCommentRegex(text) => Some(regex(text)?),
            Selector::Everything | Selector::UnencryptedSuffix(_) | Selector::EncryptedSuffix(_) => None,
        };
        Ok(Self { selector, pattern })
    }

    /// Whether the leaf at this place is encrypted.
    pub(crate) fn encrypts(&self, leaf: &Leaf, place: &Place<'_>) -> bool {
        let key_matches = || place.path.iter().any(|key| self.matches(key));
        match self.selector {
            Selector::Everything => true,
            Selector::UnencryptedSuffix(suffix) => {
                !place.path.iter().any(|key| key.ends_with(suffix.as_str()))
            }
            Selector::EncryptedSuffix(suffix) => place.path.iter().any(|key| key.ends_with(suffix.as_str())),
            Selector::UnencryptedRegex(_) => !key_matches(),
            Selector::EncryptedRegex(_) => key_matches(),
            Selector::UnencryptedCommentRegex(_) => {
                !place.comments.iter().flatten().any(|text| self.matches(text))
            }
            Selector::EncryptedCommentRegex(_) => {
                // The comment that asks for encryption stays readable itself; it is the newest of the innermost branch.
                let own = matches!(leaf.value, Scalar::Comment(_));
                let all = place.comments.iter().map(Vec::len).sum::<usize>();
                place.comments.iter().flatten().take(all - usize::from(own)).any(|text| self.matches(text))
            }
        }
    }

    fn matches(&self, text: &str) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }
}

fn regex(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern)
        .map_err(|error| Error::Pattern { pattern: pattern.to_owned(), why: error.to_string() })
}

/// One rule of a `.sops.yaml`.
#[derive(Debug, Clone)]
pub struct CreationRule {
    path: Option<Regex>,
    /// How files under this rule are encrypted.
    pub rule: Rule,
    /// Whom they are for.
    pub recipients: Vec<Recipient>,
}

/// A `.sops.yaml`.
#[derive(Debug, Clone)]
pub struct CreationRules(Vec<CreationRule>);

impl CreationRules {
    /// Reads the text of a `.sops.yaml`. A rule without age recipients, or with others besides, is an error that names them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let documents = yaml::parse(text)?;
        let rules = documents.first().and_then(|document| document.root.get("creation_rules"));
        let rules = rules.ok_or_else(|| Error::at(1, "there are no `creation_rules`"))?;
        rules.elements().map(creation_rule).collect::<Result<_, _>>().map(Self)
    }

    /// The first rule that takes a path; paths are relative to the `.sops.yaml`, with forward slashes.
    pub fn find(&self, path: &str) -> Option<&CreationRule> {
        self.0.iter().find(|rule| rule.path.as_ref().is_none_or(|pattern| pattern.is_match(path)))
    }
}

fn creation_rule(node: &Node) -> Result<CreationRule, Error> {
    const OTHERS: [&str; 7] =
        ["pgp", "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault_transit_uri", "key_groups"];
    let found: Vec<&str> = OTHERS.into_iter().filter(|name| node.get(name).is_some()).collect();
    if !found.is_empty() {
        return Err(Error::Foreign { kinds: found.join(", ") });
    }
    let text = |name: &str| node.get(name).and_then(Node::as_text).map(str::to_owned);
    let joined = text("age").unwrap_or_default();
    let listed = node.get("age").into_iter().flat_map(Node::elements).filter_map(Node::as_text);
    let names = joined.split(',').chain(listed).map(str::trim).filter(|name| !name.is_empty());
    let recipients = names.map(Recipient::from_str).collect::<Result<Vec<_>, _>>()?;
    if recipients.is_empty() {
        return Err(Error::metadata("of a creation rule names no age recipient"));
    }
    let selector = match Selector::find(text)? {
        Selector::Everything => Selector::UnencryptedSuffix("_unencrypted".to_owned()),
        other => other,
    };
    let mac_only_encrypted =
        matches!(node.get("mac_only_encrypted"), Some(Node::Leaf(Leaf { value: Scalar::Bool(true), .. })));
    let path = text("path_regex").map(|pattern| regex(&pattern)).transpose()?;
    Ok(CreationRule { path, rule: Rule { selector, mac_only_encrypted }, recipients })
}

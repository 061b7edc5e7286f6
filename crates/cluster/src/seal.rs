//! Encryption before the first write: every `*.sops.yaml` file of the tree becomes what SOPS would write, by the rules of the
//! rendered `.sops.yaml`. What did not change keeps its ciphertext. Nothing is read or written here.

use crate::{
    commit::{CommitError, Output, Tree},
    render::{Rendered, RenderedTree},
};
use portreeve_sops::{CreationRules, Error, Keys, Previous, Seal};

/// The file that says how files are encrypted.
pub(crate) const RULES: &str = ".sops.yaml";
/// The file that hands the age key to the cluster; it is encrypted for it, too.
pub(crate) const OF_THE_KEY: &str = "bootstrap/sops-age.sops.yaml";

/// What encryption needs from outside.
pub struct Sealing<'a> {
    /// What opens the files that are there.
    pub keys: &'a Keys,
    /// The moment of writing, as RFC 3339 in UTC with whole seconds.
    pub now: &'a str,
    /// Fills a buffer with random bytes.
    pub random: &'a mut dyn FnMut(&mut [u8]) -> Result<(), Error>,
}

/// Why the tree cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// SOPS has a reason.
    #[error("`{path}` cannot be encrypted")]
    Sops {
        /// The file.
        path: String,
        /// The reason.
        source: Error,
    },
    /// The file that is there was encrypted for somebody else, or by something else.
    #[error("`{path}` is there already and this age key does not open it")]
    Foreign {
        /// The file.
        path: String,
        /// The reason.
        source: Error,
    },
    /// No rule takes the file, and it would be written in the clear.
    #[error("no rule of `.sops.yaml` is for `{0}`; add one with its path")]
    NoRule(String),
    /// The file that is there cannot be looked at.
    #[error(transparent)]
    Disk(#[from] CommitError),
}

/// Whether a file of the tree is encrypted.
pub fn sealed(path: &str) -> bool {
    path.contains(".sops.yaml") && path != RULES
}

/// The part of the tree that is not encrypted.
pub(crate) fn in_the_clear(tree: &RenderedTree) -> Tree {
    let open = tree.iter().filter(|(path, _)| !sealed(path));
    let output = |file: &Rendered| Output {
        bytes: file.text.expose().clone().into_bytes(),
        template: file.digest.clone(),
    };
    open.map(|(path, file)| (path.clone(), output(file))).collect()
}

/// Encrypts what is secret. `current` gives the files that are there now.
///
/// # Errors
/// A file cannot be encrypted, or the one that is there belongs to another key.
pub fn seal(
    tree: &RenderedTree,
    how: &mut Sealing<'_>,
    current: impl Fn(&str) -> Result<Option<Vec<u8>>, CommitError>,
) -> Result<Tree, SealError> {
    let at = |path: &str| {
        let path = path.to_owned();
        move |source| SealError::Sops { path, source }
    };
    let rules = tree.get(RULES).map(|file| CreationRules::parse(file.text.expose())).transpose();
    let rules = rules.map_err(at(RULES))?;
    let mut done = Tree::new();
    for (path, file) in tree {
        let text = file.text.expose();
        let bytes = if sealed(path) {
            let rule = rules.as_ref().and_then(|rules| rules.find(path));
            let rule = rule.ok_or_else(|| SealError::NoRule(path.clone()))?;
            let before = current(path)?.and_then(|bytes| String::from_utf8(bytes).ok());
            let mut seal = Seal {
                rule: &rule.rule,
                recipients: &rule.recipients,
                now: how.now,
                random: &mut *how.random,
            };
            stable(path, text, before.as_deref(), how.keys, &mut seal)?.into_bytes()
        } else {
            text.clone().into_bytes()
        };
        done.insert(path.clone(), Output { bytes, template: file.digest.clone() });
    }
    Ok(done)
}

/// Encrypts one file, close to what is there. What is there and broken was changed by hand; the plan of the commit finds that.
fn stable(
    path: &str,
    text: &str,
    before: Option<&str>,
    keys: &Keys,
    how: &mut Seal<'_>,
) -> Result<String, SealError> {
    let sops = |source| SealError::Sops { path: path.to_owned(), source };
    let Some(before) = before else { return portreeve_sops::seal(text, how, None).map_err(sops) };
    match portreeve_sops::seal(text, how, Some(Previous { text: before, keys })) {
        Ok(sealed) => Ok(sealed),
        Err(source @ (Error::NoKey { .. } | Error::Recipients { .. } | Error::Foreign { .. })) => {
            Err(SealError::Foreign { path: path.to_owned(), source })
        }
        Err(_) => portreeve_sops::seal(text, how, None).map_err(sops),
    }
}

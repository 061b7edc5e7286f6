//! What a commit would do, found by comparing three things: what is on disk, what was written last (the manifest), and what is
//! to be written now. Reads only.

use super::{
    CommitError, Tree,
    disk::{Disk, Place},
    manifest::{Manifest, digest},
};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    Same,
    /// It is new.
    Create,
    /// Nobody changed it, and it is written anew.
    Update {
        /// The digest of what is there.
        on_disk: String,
    },
    /// It is no longer rendered, and nobody changed it.
    Remove {
        /// The digest of what is there.
        on_disk: String,
    },
    /// It is no longer rendered, and gone already.
    Forget,
    /// Somebody changed it, or put a file of that name there.
    Drifted {
        /// The digest of what is there.
        on_disk: Option<String>,
    },
}

/// What happens to files that were changed by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing at all is written.
    Never,
    /// They are overwritten.
    Force,
    /// They stay, and count as written from now on.
    Adopt,
}

/// Which files are looked at.
#[derive(Clone, Copy)]
pub enum Scope<'a> {
    /// All, and what is no longer rendered is removed.
    All,
    /// All but those that the test takes, and what is no longer rendered is removed.
    Except(&'a dyn Fn(&str) -> bool),
    /// Those that the test takes; nothing is removed.
    Only(&'a dyn Fn(&str) -> bool),
}

impl Scope<'_> {
    fn has(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Except(leaves) => !leaves(path),
            Self::Only(takes) => takes(path),
        }
    }
}

/// What a commit would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    changes: BTreeMap<String, Change>,
    /// What was written once and is no longer rendered.
    gone: BTreeSet<String>,
}

impl Plan {
    pub(super) fn new<D: Disk>(
        place: &Place<D>,
        manifest: &Manifest,
        tree: &Tree,
        scope: &Scope<'_>,
    ) -> Result<Self, CommitError> {
        let (mut changes, mut gone) = (BTreeMap::new(), BTreeSet::new());
        for (path, output) in tree.iter().filter(|(path, _)| scope.has(path)) {
            let on_disk = place.read(&place.inside(path)?)?;
            let written = manifest.get(path).map(|row| row.sha256.as_str());
            let change = match on_disk {
                None => Change::Create,
                Some(bytes) if bytes == output.bytes => Change::Same,
                Some(bytes) => {
                    let found = digest(&bytes);
                    if written == Some(found.as_str()) {
                        Change::Update { on_disk: found }
                    } else {
                        Change::Drifted { on_disk: Some(found) }
                    }
                }
            };
            changes.insert(path.clone(), change);
        }
        if !matches!(scope, Scope::Only(_)) {
            for path in manifest.paths().filter(|path| !tree.contains_key(*path) && scope.has(path)) {
                let on_disk = place.read(&place.inside(path)?)?.map(|bytes| digest(&bytes));
                let written = manifest.get(path).map(|row| &row.sha256);
                let change = match on_disk {
                    None => Change::Forget,
                    Some(found) if written == Some(&found) => Change::Remove { on_disk: found },
                    found => Change::Drifted { on_disk: found },
                };
                changes.insert(path.clone(), change);
                gone.insert(path.clone());
            }
        }
        Ok(Self { changes, gone })
    }

    /// Every file with what happens to it, by path.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.changes.iter().map(|(path, change)| (path.as_str(), change))
    }

    /// Whether a file is no longer rendered.
    pub fn removes(&self, path: &str) -> bool {
        self.gone.contains(path)
    }

    /// The files that change.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.all().filter(|(_, change)| !matches!(change, Change::Same | Change::Forget))
    }

    /// The files that were changed by hand.
    pub fn drifted(&self) -> impl Iterator<Item = &str> {
        self.all().filter(|(_, change)| matches!(change, Change::Drifted { .. })).map(|(path, _)| path)
    }
}

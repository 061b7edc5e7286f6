//! Writing a rendered tree as one transaction: after a crash at any moment the next command finds the old tree or makes the new
//! one whole. What somebody edited by hand is never overwritten without a word, and what is no longer rendered goes away if
//! nobody changed it. Everything that arrives here is encrypted already; nothing is rendered or decided here.
//!
//! The order of a commit: lock, recover, compare ([`Plan`]), stage and sync every new file, write the journal (from here on
//! the new tree wins), rename, delete, write the manifest, remove the journal.

mod diff;
mod disk;
mod journal;
mod manifest;
mod plan;

pub use diff::unified;
pub use disk::{Disk, RealDisk};
pub use plan::{Change, Overwrite, Plan, Scope};

use disk::Place;
use journal::Journal;
use manifest::Manifest;
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Where the state lies, below the root of the tree.
pub const STATE: &str = ".portreeve";
const LOCK: &str = "lock";
const JOURNAL: &str = "journal.json";
const MANIFEST: &str = "manifest.json";
const STAGE: &str = "stage";

/// One file of a tree to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its bytes, encrypted where they are secret.
    pub bytes: Vec<u8>,
    /// A digest of the template that it came from, to tell apart why a file changed.
    pub template: String,
}

/// A tree to be written: paths relative to the root, with forward slashes.
pub type Tree = BTreeMap<String, Output>;

/// Why a tree was not written. The tree on disk is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else is writing.
    #[error("another command is writing to this tree ({0} is locked); wait for it to end")]
    Locked(PathBuf),
    /// Files were changed by hand since they were written.
    #[error("{} changed by hand: {}", count(.0.len()), .0.join(", "))]
    Drift(Vec<String>),
    /// A path leads out of the tree, or through a link.
    #[error("`{path}` {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The state of an earlier command cannot be understood.
    #[error("{file} cannot be understood: {why}")]
    State {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn count(files: usize) -> String {
    if files == 1 { "1 file was".to_owned() } else { format!("{files} files were") }
}

impl CommitError {
    fn state(file: &Path, why: &str) -> Self {
        Self::State { file: file.to_owned(), why: why.to_owned() }
    }
}

/// A tree as it is on disk, and as it was written last.
pub struct View<D> {
    place: Place<D>,
    manifest: Manifest,
}

impl<D: Disk> View<D> {
    /// Looks at a tree without locking it or opening anything for writing.
    pub fn open(root: &Path, disk: D) -> Result<Self, CommitError> {
        let place = Place::new(root, disk);
        let manifest = Manifest::read(&place)?;
        Ok(Self { place, manifest })
    }

    /// Compares a tree with what is on disk.
    pub fn plan(&self, tree: &Tree, scope: &Scope<'_>) -> Result<Plan, CommitError> {
        Plan::new(&self.place, &self.manifest, tree, scope)
    }

    /// The bytes of a file of the tree as they are on disk.
    pub fn current(&self, path: &str) -> Result<Option<Vec<u8>>, CommitError> {
        self.place.read(&self.place.inside(path)?)
    }

    /// The files that were written last.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.manifest.paths().map(String::as_str)
    }
}

/// A tree that nobody else writes to while this lives.
pub struct Workspace<D> {
    view: View<D>,
    recovered: Option<Recovered>,
    /// Held until the end.
    _lock: Lock,
}

/// A lock that ends with its value, also where a child program that is just being started still holds a copy of the file.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // The file is closed in any case.
        let _ = self.0.unlock();
    }
}

/// What an interrupted command had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// It had not begun to change the tree; what it had prepared was thrown away.
    Back,
    /// It had begun; its tree was completed.
    Forward,
}

impl<D> std::ops::Deref for Workspace<D> {
    type Target = View<D>;

    fn deref(&self) -> &View<D> {
        &self.view
    }
}

impl<D: Disk> Workspace<D> {
    /// Locks a tree and completes, or undoes, what an interrupted command left.
    pub fn open(root: &Path, disk: D) -> Result<Self, CommitError> {
        let place = Place::new(root, disk);
        let lock = place.lock(LOCK)?;
        let recovered = recover(&place)?;
        let manifest = Manifest::read(&place)?;
        Ok(Self { view: View { place, manifest }, recovered, _lock: Lock(lock) })
    }

    /// What an interrupted command had left, if there was one.
    pub fn recovered(&self) -> Option<Recovered> {
        self.recovered
    }

    /// Carries a plan out. With nothing to do, nothing is opened for writing.
    pub fn commit(&mut self, tree: &Tree, plan: &Plan, overwrite: Overwrite) -> Result<(), CommitError> {
        let drifted: Vec<String> = plan.drifted().map(str::to_owned).collect();
        if !drifted.is_empty() && overwrite == Overwrite::Never {
            return Err(CommitError::Drift(drifted));
        }
        let manifest = self.manifest.after(plan, tree, overwrite);
        let journal = Journal::new(plan, overwrite);
        if journal.is_empty() && manifest == self.manifest {
            return Ok(());
        }
        self.stage(tree, &journal, &manifest)?;
        self.place.put(&self.place.state(JOURNAL), &journal.to_bytes())?;
        carry_out(&self.view.place, &journal)?;
        self.view.manifest = manifest;
        Ok(())
    }

    fn stage(&self, tree: &Tree, journal: &Journal, manifest: &Manifest) -> Result<(), CommitError> {
        let stage = self.place.state(STAGE);
        self.place.make_directories(&stage)?;
        for (number, path) in journal.puts() {
            let bytes = tree.get(path).map_or(&[][..], |output| &output.bytes);
            self.place.write_new(&stage.join(number.to_string()), bytes)?;
        }
        self.place.write_new(&stage.join(MANIFEST), &manifest.to_bytes())?;
        self.place.sync(&stage)
    }
}

/// Completes or undoes what is left of an interrupted command.
fn recover<D: Disk>(place: &Place<D>) -> Result<Option<Recovered>, CommitError> {
    let (journal, stage) = (place.state(JOURNAL), place.state(STAGE));
    if let Some(bytes) = place.read(&journal)? {
        let journal = Journal::from_bytes(&bytes).map_err(|why| CommitError::state(&journal, &why))?;
        journal.check(place)?;
        carry_out(place, &journal)?;
        return Ok(Some(Recovered::Forward));
    }
    let unfinished = place.exists(&stage) || place.exists(&place.temporary(&journal));
    place.remove_tree(&stage)?;
    place.remove_if_there(&place.temporary(&journal))?;
    Ok(unfinished.then_some(Recovered::Back))
}

/// Makes the tree what the journal says. Can be done again from any point on.
fn carry_out<D: Disk>(place: &Place<D>, journal: &Journal) -> Result<(), CommitError> {
    let stage = place.state(STAGE);
    for (number, path) in journal.puts() {
        let staged = stage.join(number.to_string());
        if place.exists(&staged) {
            let target = place.inside(path)?;
            place.make_directories(target.parent().unwrap_or(&target))?;
            place.rename(&staged, &target)?;
        }
    }
    for path in journal.removals() {
        place.remove_if_there(&place.inside(path)?)?;
    }
    for directory in journal.directories() {
        place.sync_if_there(&place.inside(&directory)?)?;
    }
    for path in journal.removals() {
        place.prune_directories(&place.inside(path)?)?;
    }
    let staged = stage.join(MANIFEST);
    if place.exists(&staged) {
        place.rename(&staged, &place.state(MANIFEST))?;
    }
    place.sync(&place.state(""))?;
    place.remove_if_there(&place.state(JOURNAL))?;
    place.remove_tree(&stage)
}

#[cfg(test)]
mod tests;

//! What overrides were made from. When a run writes a tree, the built-in template under each override is kept beside it; when a later
//! version of the program has another one, a warning shows what changed, until somebody has looked. Also names templates of the origin's
//! project, which are in another language and never used.

use crate::{
    commit::{CommitError, STATE, unified},
    lint::Finding,
    render::{OWN, Override, Templates},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where the templates are kept that overrides were made from, below the directory of the cluster; to be committed.
const BASES: &str = "bases";
/// Where the origin's project has its templates.
const ORIGIN: &str = "config";

fn kept(directory: &Path) -> PathBuf {
    directory.join(STATE).join(BASES)
}

/// Overrides whose base is another now, and templates that are not used.
pub(super) fn check(directory: &Path, templates: &Templates) -> Vec<Finding> {
    let mut found = Vec::new();
    for Override { path, origin, base } in templates.overrides() {
        let Ok(before) = fs::read_to_string(kept(directory).join(&path)) else { continue };
        if before == base {
            continue;
        }
        let what = "the built-in template that this override was made from is another now";
        let mend = format!(
            "bring what changed into the override, then delete `{STATE}/{BASES}/{path}`; the next run keeps the new one there"
        );
        let detail = unified(&path, Some(before.as_bytes()), Some(base.as_bytes()));
        found.push(Finding::of_template("R-04", &origin, what, mend, detail));
    }
    let config = format!("{OWN}/{ORIGIN}");
    if directory.join(&config).is_dir() {
        let what = "templates of the origin's project are not used";
        let mend = format!(
            "what you changed in them belongs into `{OWN}/overrides/` and `{OWN}/apps/`; then delete `{config}`"
        );
        found.push(Finding::of_template("R-05", &config, what, mend, String::new()));
    }
    found
}

/// Keeps the bases of overrides that have none yet, and drops those of overrides that are gone.
pub(super) fn record(directory: &Path, overrides: &[Override]) -> Result<(), CommitError> {
    let root = kept(directory);
    for Override { path, base, .. } in overrides {
        let file = root.join(path);
        if !file.exists() {
            write(&file, base).map_err(failed("keep", &file))?;
        }
    }
    drop_others(&root, &root, overrides)
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CommitError {
    let path = path.to_owned();
    move |source| CommitError::Io { what, path, source }
}

/// A file that is there is whole.
fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, text)?;
    fs::rename(new, file)
}

fn drop_others(root: &Path, directory: &Path, overrides: &[Override]) -> Result<(), CommitError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed("read", directory))?,
    };
    for entry in entries {
        let entry = entry.map_err(failed("read", directory))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            drop_others(root, &path, overrides)?;
            // Only an empty one goes.
            let _ = fs::remove_dir(&path);
            continue;
        }
        let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if overrides.iter().all(|one| one.path != below) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

//! Two trees of files in the clear, compared byte by byte, and a fresh copy of the inputs of a cluster.

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A tree by path.
pub(super) type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// Every file below a folder.
pub(super) fn read(root: &Path) -> io::Result<Tree> {
    let (mut tree, mut left) = (Tree::new(), vec![root.to_owned()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
                tree.insert(below, fs::read(&path)?);
            }
        }
    }
    Ok(tree)
}

/// How many files there are, or where the trees differ.
pub(super) fn compare(ours: &Tree, theirs: &Tree) -> Result<usize, Box<dyn Error>> {
    let missing = ours.keys().filter(|path| !theirs.contains_key(*path)).map(|path| (path, "only ours"));
    let extra = theirs.keys().filter(|path| !ours.contains_key(*path)).map(|path| (path, "only makejinja's"));
    let other = ours.iter().filter(|(path, bytes)| theirs.get(*path).is_some_and(|their| their != *bytes));
    let other = other.map(|(path, _)| (path, "other bytes"));
    let faults: Vec<String> =
        missing.chain(extra).chain(other).map(|(path, what)| format!("{}: {what}", path.display())).collect();
    if ours.is_empty() || !faults.is_empty() {
        return Err(format!("{} of {} files differ: {}", faults.len(), ours.len(), faults.join(", ")).into());
    }
    Ok(ours.len())
}

/// A new folder whose files cost the same however busy the disk is.
pub(super) fn in_memory() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// The files of a folder in a new one, with their permissions.
pub(super) fn copied(from: &Path) -> io::Result<TempDir> {
    let place = tempfile::tempdir()?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), place.path().join(entry.file_name()))?;
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn every_difference_is_named() {
        let ours = tree(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(compare(&ours, &ours).unwrap(), 3);
        let said = compare(&ours, &tree(&[("b", "2"), ("c", "4"), ("d", "5")])).unwrap_err().to_string();
        assert_eq!(said, "3 of 3 files differ: a: only ours, d: only makejinja's, c: other bytes");
        assert!(compare(&Tree::new(), &Tree::new()).is_err(), "nothing was compared");
    }
}

//! File operations, one by one: a test can end the process before or after any of them. Paths are checked here: nothing is
//! written outside the tree or through a link.

use super::{CommitError, STATE};
use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

/// The mode of every file of the tree, whatever the umask: secrets are encrypted, and Git knows no other.
pub(super) const MODE: u32 = 0o644;

/// What changes files. Reading is not part of it.
pub trait Disk {
    /// Makes a file that is not there yet, fills it and waits until it is on disk.
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Moves a file over another, at once.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes one directory.
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// Waits until the entries of a directory are on disk.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The root of a tree, and how files below it change.
pub(super) struct Place<D> {
    root: PathBuf,
    disk: D,
}

impl<D: Disk> Place<D> {
    pub(super) fn new(root: &Path, disk: D) -> Self {
        Self { root: root.to_owned(), disk }
    }

    #[cfg(test)]
    pub(super) fn disk(&self) -> &D {
        &self.disk
    }

    /// A file of the state.
    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.root.join(STATE).join(name)
    }

    /// Where a file is written before it takes its name.
    pub(super) fn temporary(&self, path: &Path) -> PathBuf {
        path.with_extension("new")
    }

    /// A path of the tree, if it stays inside it and no link leads away from it.
    pub(super) fn inside(&self, path: &str) -> Result<PathBuf, CommitError> {
        let wrong = |why| CommitError::Path { path: path.to_owned(), why };
        let relative = Path::new(path);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(wrong("leads out of the tree"));
        }
        if relative.starts_with(STATE) {
            return Err(wrong("is where the state of the tree lies"));
        }
        let mut at = self.root.clone();
        for part in relative.components() {
            at.push(part);
            if at.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                return Err(wrong("is, or leads through, a symbolic link; nothing is written through links"));
            }
        }
        Ok(at)
    }

    /// Locks the tree. The file is made once and then only opened for reading.
    pub(super) fn lock(&self, name: &str) -> Result<File, CommitError> {
        let path = self.state(name);
        self.make_directories(&self.state(""))?;
        if !self.exists(&path) {
            match self.disk.write_new(&path, b"") {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("make", &path)(error));
                }
                _ => {}
            }
        }
        let file = File::open(&path).map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(CommitError::Locked(path)),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        path.symlink_metadata().is_ok()
    }

    /// The bytes of a file, if it is there.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, CommitError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", path)(error)),
        }
    }

    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<(), CommitError> {
        self.disk.write_new(path, bytes).map_err(failed("write", path))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), CommitError> {
        self.disk.rename(from, to).map_err(failed("put in place", to))
    }

    pub(super) fn sync(&self, path: &Path) -> Result<(), CommitError> {
        self.disk.sync_directory(path).map_err(failed("sync", path))
    }

    pub(super) fn sync_if_there(&self, path: &Path) -> Result<(), CommitError> {
        if path.is_dir() { self.sync(path) } else { Ok(()) }
    }

    /// Writes a file so that it is there whole or not at all.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), CommitError> {
        let temporary = self.temporary(path);
        self.write_new(&temporary, bytes)?;
        self.rename(&temporary, path)?;
        self.sync(path.parent().unwrap_or(path))
    }

    pub(super) fn remove_if_there(&self, path: &Path) -> Result<(), CommitError> {
        match self.exists(path) {
            true => self.disk.remove_file(path).map_err(failed("remove", path)),
            false => Ok(()),
        }
    }

    /// Makes a directory and those above it that are missing.
    pub(super) fn make_directories(&self, path: &Path) -> Result<(), CommitError> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_directories(parent)?;
        }
        match self.disk.make_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other.map_err(failed("make", path)),
        }
    }

    /// Removes the directories above a removed file that are empty now, up to the root.
    pub(super) fn prune_directories(&self, path: &Path) -> Result<(), CommitError> {
        let above = path.ancestors().skip(1).take_while(|directory| *directory != self.root);
        for directory in above.filter(|directory| directory.is_dir()) {
            let mut entries = fs::read_dir(directory).map_err(failed("read", directory))?;
            if entries.next().is_some() {
                return Ok(());
            }
            self.disk.remove_directory(directory).map_err(failed("remove", directory))?;
        }
        Ok(())
    }

    /// Removes a directory of files, if it is there.
    pub(super) fn remove_tree(&self, path: &Path) -> Result<(), CommitError> {
        if !self.exists(path) {
            return Ok(());
        }
        for entry in fs::read_dir(path).map_err(failed("read", path))? {
            let entry = entry.map_err(failed("read", path))?;
            self.remove_if_there(&entry.path())?;
        }
        self.disk.remove_directory(path).map_err(failed("remove", path))
    }
}

fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> CommitError {
    let path = path.to_owned();
    move |source| CommitError::Io { what, path: path.clone(), source }
}

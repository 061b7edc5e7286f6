//! The key file: one secret a line, the first seals (see the order in [`KeyRing`]). Made at the first start, for its
//! owner only (decision D50). Replicas that share it share every session, so it is never made twice: the file appears
//! whole under its name or not at all, and whoever comes second uses the first one's.

use crate::{KeyError, KeyRing};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portreeve_model::Secret;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The largest key file that is read; some hundred keys fit.
const LARGEST: u64 = 16 << 10;

impl KeyRing {
    /// Reads the key file, or makes one with a random key.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => return load(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        create(path)?;
        load(path, File::open(path).map_err(failed)?)
    }
}

fn load(path: &Path, file: File) -> Result<KeyRing, KeyError> {
    let failed = |source| KeyError::File { path: path.to_owned(), source };
    // The open file is asked, not the path, so that nobody can swap it in between.
    let metadata = file.metadata().map_err(failed)?;
    let not_keys = || KeyError::NotKeys { path: path.to_owned() };
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(not_keys());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LARGEST).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => not_keys(),
        _ => failed(error),
    })?;
    let secrets: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| Secret::new(line.to_owned()))
        .collect();
    KeyRing::from_secrets(&secrets)
}

/// Writes a key to a file of another name and links it to its own: linking fails if the name is taken, in which case
/// another process was first and its key is the one.
fn create(path: &Path) -> Result<(), KeyError> {
    let mut random = Zeroizing::new([0; 48]);
    getrandom::fill(&mut *random).map_err(KeyError::Random)?;
    let (key, unique) = random.split_at(32);
    let text = Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(key)));
    let temporary = temporary(path, unique);
    let written = publish(path, &temporary, text.as_bytes());
    // Gone already if it was never made; nothing depends on it in any case.
    let _ = fs::remove_file(&temporary);
    written.map_err(|source| KeyError::File { path: path.to_owned(), source })
}

fn temporary(path: &Path, unique: &[u8]) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", URL_SAFE_NO_PAD.encode(unique)));
    path.with_file_name(name)
}

fn publish(path: &Path, temporary: &Path, text: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    match fs::hard_link(temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // A key that is lost in a power cut takes every session with it.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bound, Purpose};
    use portreeve_model::{PrincipalId, Timestamp};
    use std::{fs::Permissions, sync::Barrier, thread};

    const LATER: Timestamp = Timestamp(2);
    const NOW: Timestamp = Timestamp(1);

    fn agree(one: &KeyRing, other: &KeyRing) -> bool {
        let principal = PrincipalId::new("local");
        let bound = Bound { purpose: Purpose::Session, principal: &principal, tenant: None, server: None };
        other.open(&bound, &one.seal(&bound, b"x", LATER), NOW).is_ok()
    }

    #[test]
    fn the_first_start_makes_a_key_for_its_owner_only_and_later_ones_use_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data/seal.key");
        let first = KeyRing::load_or_create(&path).unwrap();
        let second = KeyRing::load_or_create(&path).unwrap();
        assert!(agree(&first, &second) && agree(&second, &first));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        let elsewhere = KeyRing::load_or_create(&directory.path().join("other")).unwrap();
        assert!(!agree(&first, &elsewhere));
    }

    #[test]
    fn what_cannot_be_read_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        // A path through a file: neither there nor missing.
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        let through = KeyRing::load_or_create(&file.join("seal.key"));
        assert!(matches!(through, Err(KeyError::File { .. })), "{through:?}");
        assert_eq!(fs::read(&file).unwrap(), b"x");
        assert!(KeyRing::load_or_create(directory.path()).is_err(), "a folder is no key");
    }

    #[test]
    fn a_key_file_of_exactly_the_largest_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seal.key");
        let size = usize::try_from(LARGEST).unwrap();
        for (length, is_read) in [(size, true), (size + 1, false)] {
            let mut text = "0123456789abcdef0123456789abcdef\n".to_owned();
            text += &"\n".repeat(length - text.len());
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(KeyRing::load_or_create(&path).is_ok(), is_read, "{length} bytes");
        }
    }

    #[test]
    fn processes_that_start_together_agree() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = directory.path().join(format!("seal-{round}"));
            let barrier = Barrier::new(8);
            let rings: Vec<KeyRing> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            KeyRing::load_or_create(&path).unwrap()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(rings.iter().all(|ring| agree(&rings[0], ring)));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 20);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seal");
        KeyRing::load_or_create(&path).unwrap();
        for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match KeyRing::load_or_create(&path) {
                Ok(_) => assert!(good, "{mode:o}"),
                Err(KeyError::Exposed { mode: found, .. }) => assert!(!good && found == mode, "{mode:o}"),
                Err(error) => panic!("{mode:o}: {error}"),
            }
        }
    }

    #[test]
    fn files_that_are_no_keys_are_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seal");
        type Expected = fn(&KeyError) -> bool;
        let table: &[(&[u8], Expected)] = &[
            (b"", |error| matches!(error, KeyError::Missing)),
            (b"\n\n", |error| matches!(error, KeyError::Missing)),
            (b"short\n", |error| matches!(error, KeyError::TooShort { number: 1 })),
            (&[0xff; 64], |error| matches!(error, KeyError::NotKeys { .. })),
            (&[b'x'; 20_000], |error| matches!(error, KeyError::NotKeys { .. })),
        ];
        for (content, expected) in table {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let error = KeyRing::load_or_create(&path).unwrap_err();
            assert!(expected(&error), "{error}");
            assert_eq!(fs::read(&path).unwrap(), *content);
        }
        let error = KeyRing::load_or_create(directory.path()).unwrap_err();
        assert!(matches!(error, KeyError::NotKeys { .. }), "{error}");
    }

    #[test]
    fn a_file_may_hold_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        let before = KeyRing::load_or_create(&old).unwrap();
        let after = KeyRing::load_or_create(&new).unwrap();
        let both = [fs::read_to_string(&new).unwrap(), fs::read_to_string(&old).unwrap()].join("\n");
        fs::write(&old, both).unwrap();
        let during = KeyRing::load_or_create(&old).unwrap();
        assert!(agree(&before, &during) && agree(&during, &after) && !agree(&during, &before));
    }
}

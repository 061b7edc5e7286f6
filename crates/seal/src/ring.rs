//! The keys. The first one seals, all of them open, which is all that a rotation without a break needs:
//! add the new key behind the old one everywhere, then put it first everywhere, then drop the old one.
//! No expiry of keys and no storage: they come from the configuration or from a file.

use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use portreeve_model::Secret;
use sha2::{Digest, Sha256};
use std::{
    fmt, io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};
use zeroize::Zeroizing;

/// The shortest secret. 32 characters of base64 or hexadecimal are at least 128 random bits; a shorter text is
/// likely a password, which a plain hash does not protect.
const SHORTEST: usize = 32;

/// Which key sealed a value; looks it up, proves nothing.
pub(crate) type KeyId = [u8; 4];

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The list is empty.
    #[error("no seal key is given")]
    Missing,
    /// A secret is too short to be random enough.
    #[error(
        "seal key {number} has fewer than {SHORTEST} characters; make one with `openssl rand -base64 32`"
    )]
    TooShort {
        /// Its place in the list, from 1.
        number: usize,
    },
    /// Others than the owner may read the key file.
    #[error("the seal key file {} can be read by others (mode {mode:03o}); run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is no text file of keys.
    #[error("the seal key file {} is not a short text with one key a line", path.display())]
    NotKeys {
        /// The file.
        path: PathBuf,
    },
    /// The key file could not be read or made.
    #[error("cannot use the seal key file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// The keys that seal and open.
pub struct KeyRing {
    keys: Vec<Key>,
    nonces: Nonces,
}

pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) cipher: XChaCha20Poly1305,
}

/// Where nonces come from.
struct Nonces {
    seed: Zeroizing<[u8; 32]>,
    drawn: AtomicU64,
}

impl KeyRing {
    /// A ring of keys derived from configured texts. The first seals, all open.
    pub fn from_secrets(secrets: &[Secret<String>]) -> Result<Self, KeyError> {
        let mut keys = Vec::with_capacity(secrets.len());
        for (at, secret) in secrets.iter().enumerate() {
            let text = secret.expose().trim();
            if text.len() < SHORTEST {
                return Err(KeyError::TooShort { number: at + 1 });
            }
            keys.push(Key::derive(text));
        }
        if keys.is_empty() {
            return Err(KeyError::Missing);
        }
        Ok(Self { keys, nonces: Nonces::new()? })
    }

    /// How many keys open.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never true; a ring without keys cannot be made.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key that seals.
    pub(crate) fn sealing(&self) -> &Key {
        // Index 0 exists: `from_secrets` refuses an empty list and nothing removes keys.
        &self.keys[0]
    }

    /// The keys that a value with this id may have been sealed with; more than one only if two ids collide.
    pub(crate) fn opening(&self, id: KeyId) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.id == id)
    }

    pub(crate) fn nonce(&self) -> [u8; 24] {
        self.nonces.next()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| u32::from_be_bytes(key.id))).finish()
    }
}

impl Key {
    fn derive(secret: &str) -> Self {
        let key = Zeroizing::new(labelled("portreeve seal key 1", &[secret.as_bytes()]));
        let id = labelled("portreeve seal key id 1", &[&*key]);
        Self { id: [id[0], id[1], id[2], id[3]], cipher: XChaCha20Poly1305::new((&*key).into()) }
    }
}

impl Nonces {
    fn new() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyError::Random)?;
        Ok(Self { seed, drawn: AtomicU64::new(0) })
    }

    /// 192 random bits. Should the system refuse random bytes for once, the seed and the counter still make a nonce
    /// that was never used, so sealing cannot fail and cannot repeat.
    fn next(&self) -> [u8; 24] {
        let mut fresh = [0; 32];
        if getrandom::fill(&mut fresh).is_err() {
            fresh = [0; 32];
        }
        let count = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let digest = labelled("portreeve seal nonce 1", &[&*self.seed, &count, &fresh]);
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&digest[..24]);
        nonce
    }
}

/// SHA-256 of a label and parts, each with its length before it, so that no two inputs run together.
fn labelled(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [label.as_bytes()].iter().chain(parts) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn short_and_missing_secrets_are_refused() {
        let ring = |texts: &[&str]| {
            let secrets: Vec<_> = texts.iter().map(|text| Secret::new((*text).to_owned())).collect();
            KeyRing::from_secrets(&secrets)
        };
        let long = "0123456789abcdef0123456789abcdef";
        assert_eq!(ring(&[long, long]).unwrap().len(), 2);
        assert!(matches!(ring(&[]), Err(KeyError::Missing)));
        assert!(matches!(ring(&[long, &long[1..]]), Err(KeyError::TooShort { number: 2 })));
        let padded = format!("{}\n", &long[1..]);
        assert!(matches!(ring(&[&padded]), Err(KeyError::TooShort { number: 1 })));
    }

    #[test]
    fn a_ring_in_a_log_shows_which_keys_it_has_and_no_secret() {
        let texts = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
        let secrets: Vec<_> = texts.iter().map(|text| Secret::new((*text).to_owned())).collect();
        let ring = KeyRing::from_secrets(&secrets).unwrap();
        let shown = format!("{ring:?}");
        let ids: HashSet<u32> =
            shown.trim_matches(['[', ']']).split(", ").map(|id| id.parse().unwrap()).collect();
        assert_eq!((ids.len(), ring.len(), ring.is_empty()), (2, 2, false), "{shown}");
        assert!(texts.iter().all(|text| !shown.contains(text)), "{shown}");
    }

    #[test]
    fn nonces_do_not_repeat() {
        let nonces = Nonces::new().unwrap();
        let drawn: HashSet<_> = (0..10_000).map(|_| nonces.next()).collect();
        assert_eq!(drawn.len(), 10_000);
    }
}

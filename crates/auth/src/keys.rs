//! Static keys. Only digests of the secrets stay in memory: a presented token is hashed once, its entry is found by
//! the digest's first bytes and confirmed by a comparison whose time does not depend on where two digests differ.
//! No storage and no expiry: these keys stand in the configuration.

use crate::is_token;
use portreeve_model::{KeyName, Principal, PrincipalKind, Secret};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// A list of keys was refused. Names keys, never secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// No caller could ever send this secret in a header.
    #[error("the secret of key `{0}` is empty or has characters other than visible ASCII without commas")]
    Unusable(KeyName),
    /// Two keys have one name.
    #[error("key `{0}` is there twice")]
    DuplicateName(KeyName),
    /// Two keys have one secret, so that nobody could say which of them called.
    #[error("keys `{0}` and `{1}` have the same secret")]
    DuplicateSecret(KeyName, KeyName),
}

/// A table of keys.
pub struct Keys {
    /// Ordered by digest.
    entries: Vec<Entry>,
}

struct Entry {
    digest: [u8; 32],
    principal: Principal,
}

impl Keys {
    /// Reads the list; the secrets are hashed and dropped.
    pub fn new(keys: impl IntoIterator<Item = (KeyName, Secret<String>)>) -> Result<Self, InvalidKeys> {
        let mut named: Vec<(KeyName, [u8; 32])> = Vec::new();
        for (name, secret) in keys {
            if !is_token(secret.expose()) {
                return Err(InvalidKeys::Unusable(name));
            }
            let digest = digest(secret.expose());
            for (other, taken) in &named {
                if *other == name {
                    return Err(InvalidKeys::DuplicateName(name));
                }
                if *taken == digest {
                    return Err(InvalidKeys::DuplicateSecret(other.clone(), name));
                }
            }
            named.push((name, digest));
        }
        let mut entries: Vec<Entry> = named
            .into_iter()
            .map(|(name, digest)| Entry { digest, principal: Principal::new(PrincipalKind::Key(name), None) })
            .collect();
        entries.sort_by_key(|entry| entry.digest);
        Ok(Self { entries })
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The holder of a token. The search looks only at hashes, which a caller cannot steer, so its time tells nothing.
    pub(crate) fn find(&self, token: &str) -> Option<Principal> {
        let digest = digest(token);
        let start = self.entries.partition_point(|entry| entry.digest[..8] < digest[..8]);
        self.entries[start..]
            .iter()
            .take_while(|entry| entry.digest[..8] == digest[..8])
            .find(|entry| bool::from(entry.digest.ct_eq(&digest)))
            .map(|entry| entry.principal.clone())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.principal.id())).finish()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(list: &[(&str, &str)]) -> Result<Keys, InvalidKeys> {
        Keys::new(
            list.iter()
                .map(|(name, secret)| (KeyName::new(name).unwrap(), Secret::new((*secret).to_owned()))),
        )
    }

    #[test]
    fn every_key_of_a_large_table_is_found_and_no_other() {
        let list: Vec<(String, String)> =
            (0..500).map(|at| (format!("k{at}"), format!("secret-{at}"))).collect();
        let list: Vec<(&str, &str)> = list.iter().map(|(name, secret)| (&**name, &**secret)).collect();
        let keys = keys(&list).unwrap();
        assert_eq!(keys.len(), 500);
        for (name, secret) in list {
            assert_eq!(keys.find(secret).unwrap().id().as_str(), format!("key:{name}"));
            assert!(keys.find(&format!("{secret}x")).is_none());
        }
    }

    #[test]
    fn lists_that_cannot_work_are_refused() {
        let name = |name| KeyName::new(name).unwrap();
        let table: &[(&[(&str, &str)], InvalidKeys)] = &[
            (&[("a", "")], InvalidKeys::Unusable(name("a"))),
            (&[("a", "two words")], InvalidKeys::Unusable(name("a"))),
            (&[("a", "schlüssel")], InvalidKeys::Unusable(name("a"))),
            (&[("a", "x\n")], InvalidKeys::Unusable(name("a"))),
            (&[("a", "x,y")], InvalidKeys::Unusable(name("a"))),
            (&[("a", "x"), ("a", "y")], InvalidKeys::DuplicateName(name("a"))),
            (&[("a", "x"), ("b", "x")], InvalidKeys::DuplicateSecret(name("a"), name("b"))),
        ];
        for (list, error) in table {
            assert_eq!(keys(list).unwrap_err(), *error);
        }
    }
}

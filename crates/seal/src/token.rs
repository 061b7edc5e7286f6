//! The sealed value itself: base64url, without padding, of
//! `version (1) | key id (4) | nonce (24) | XChaCha20-Poly1305 of expiry (8) and payload | tag (16)`.
//! Everything a value is bound to is authenticated but not in it. Opening is total: any text gives a payload or the error.

use crate::{
    KeyRing,
    ring::{Key, KeyId},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use portreeve_model::{PrincipalId, ServerName, TenantName, Timestamp};

/// The version of this format. A later one opens these as well for as long as the longest expiry.
const VERSION: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const EXPIRY: usize = 8;

/// What a sealed value is for. A value sealed for one purpose never opens for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A legacy `Mcp-Session-Id`.
    Session,
    /// A modern `requestState`.
    RequestState,
    /// A list's cursor.
    Cursor,
    /// A task id.
    Task,
    /// The id of a request that a server sends to a legacy client.
    Ask,
    /// A request that one replica sends to another.
    Hop,
    /// One piece of the answer to it.
    HopAnswer,
}

impl Purpose {
    /// All purposes.
    pub const ALL: [Self; 7] =
        [Self::Session, Self::RequestState, Self::Cursor, Self::Task, Self::Ask, Self::Hop, Self::HopAnswer];

    fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::RequestState => "request-state",
            Self::Cursor => "cursor",
            Self::Task => "task",
            Self::Ask => "ask",
            Self::Hop => "hop",
            Self::HopAnswer => "hop-answer",
        }
    }
}

/// What a value is bound to; it opens only with all of this equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Whom it was given to.
    pub principal: &'a PrincipalId,
    /// The tenant of the call, if there are tenants.
    pub tenant: Option<&'a TenantName>,
    /// The server it belongs to, if it belongs to one.
    pub server: Option<&'a ServerName>,
}

/// A value did not open. Deliberately without a reason: forged, expired, somebody else's and meant for something else
/// look alike, so that nobody learns from trying (check 91).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid value of this gateway, or one that has expired")]
pub struct SealError;

impl KeyRing {
    /// Seals a payload. The value is visible ASCII, fit for a header and a URL.
    pub fn seal(&self, bound: &Bound<'_>, payload: &[u8], expires: Timestamp) -> String {
        URL_SAFE_NO_PAD.encode(self.seal_bytes(bound, payload, expires))
    }

    /// Seals a payload for a body: the same value as bytes.
    pub fn seal_bytes(&self, bound: &Bound<'_>, payload: &[u8], expires: Timestamp) -> Vec<u8> {
        let key = self.sealing();
        let nonce = self.nonce();
        let plain = [&expires.0.to_be_bytes(), payload].concat();
        let associated = associated(bound, key.id);
        // The cipher refuses only messages of more than 256 GiB. An empty value opens as nothing, so even then
        // nobody is given something that works.
        let Ok(cipher) = key.cipher.encrypt(&nonce.into(), Payload { msg: &plain, aad: &associated }) else {
            return Vec::new();
        };
        [&[VERSION], &key.id[..], &nonce, &cipher].concat()
    }

    /// Opens a sealed value. `now` is compared with the expiry inside it.
    pub fn open(&self, bound: &Bound<'_>, token: &str, now: Timestamp) -> Result<Vec<u8>, SealError> {
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| SealError)?;
        self.open_bytes(bound, &token, now)
    }

    /// Opens what [`Self::seal_bytes`] sealed.
    pub fn open_bytes(&self, bound: &Bound<'_>, token: &[u8], now: Timestamp) -> Result<Vec<u8>, SealError> {
        let (version, rest) = token.split_first().ok_or(SealError)?;
        let (id, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(SealError)?;
        let (nonce, cipher) = rest.split_first_chunk::<NONCE>().ok_or(SealError)?;
        if *version != VERSION {
            return Err(SealError);
        }
        let associated = associated(bound, *id);
        let decrypt =
            |key: &Key| key.cipher.decrypt(&(*nonce).into(), Payload { msg: cipher, aad: &associated }).ok();
        let mut plain = self.opening(*id).find_map(decrypt).ok_or(SealError)?;
        let expires = u64::from_be_bytes(*plain.first_chunk::<EXPIRY>().ok_or(SealError)?);
        if now.0 >= expires {
            return Err(SealError);
        }
        plain.drain(..EXPIRY);
        Ok(plain)
    }
}

/// Everything that is bound, each part with its length before it and absence marked, so that no two bindings give the
/// same bytes.
fn associated(bound: &Bound<'_>, id: KeyId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.push(VERSION);
    bytes.extend_from_slice(&id);
    let parts = [
        Some(bound.purpose.label()),
        Some(bound.principal.as_str()),
        bound.tenant.map(TenantName::as_str),
        bound.server.map(ServerName::as_str),
    ];
    for part in parts {
        match part {
            None => bytes.push(0),
            Some(text) => {
                bytes.push(1);
                bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use portreeve_model::Secret;

    const NOW: Timestamp = Timestamp(1_000_000);
    const LATER: Timestamp = Timestamp(1_000_001);
    const OLD: &str = "old-old-old-old-old-old-old-old-old";
    const NEW: &str = "new-new-new-new-new-new-new-new-new";

    fn ring(secrets: &[&str]) -> KeyRing {
        let secrets: Vec<_> = secrets.iter().map(|text| Secret::new((*text).to_owned())).collect();
        KeyRing::from_secrets(&secrets).unwrap()
    }

    fn principal(text: &str) -> PrincipalId {
        PrincipalId::new(text)
    }

    fn tenant(text: &str) -> TenantName {
        TenantName::new(text).unwrap()
    }

    fn server(text: &str) -> ServerName {
        ServerName::new(text).unwrap()
    }

    #[test]
    fn what_was_sealed_opens() {
        let ring = ring(&[NEW]);
        let (who, tenant, server) = (principal("key:ci"), tenant("finance"), server("files"));
        for purpose in Purpose::ALL {
            for payload in [&b""[..], b"x", &[0xff; 5000]] {
                for (tenant, server) in [(None, None), (Some(&tenant), None), (None, Some(&server))] {
                    let bound = Bound { purpose, principal: &who, tenant, server };
                    let token = ring.seal(&bound, payload, LATER);
                    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
                    assert_eq!(ring.open(&bound, &token, NOW).as_deref(), Ok(payload));
                }
            }
        }
    }

    #[test]
    fn every_other_binding_is_refused() {
        let ring = ring(&[NEW]);
        let (a, b) = (principal("key:a"), principal("key:b"));
        let (ta, tb) = (tenant("a"), tenant("b"));
        let (sa, sb) = (server("a"), server("b"));
        let mut bounds = Vec::new();
        for purpose in Purpose::ALL {
            for principal in [&a, &b] {
                for tenant in [None, Some(&ta), Some(&tb)] {
                    for server in [None, Some(&sa), Some(&sb)] {
                        bounds.push(Bound { purpose, principal, tenant, server });
                    }
                }
            }
        }
        for sealed in &bounds {
            let token = ring.seal(sealed, b"payload", LATER);
            for tried in &bounds {
                assert_eq!(ring.open(tried, &token, NOW).is_ok(), sealed == tried, "{sealed:?} {tried:?}");
            }
        }
    }

    /// Texts that would be equal if they were simply put one after the other.
    #[test]
    fn bindings_do_not_run_together() {
        let ring = ring(&[NEW]);
        let (short, long) = (principal("u"), principal("uab"));
        let (ab, b) = (tenant("ab"), tenant("b"));
        let first = Bound { purpose: Purpose::Task, principal: &short, tenant: Some(&ab), server: None };
        let second = Bound { principal: &long, tenant: None, ..first };
        let third = Bound { principal: &principal("ua"), tenant: Some(&b), ..first };
        let token = ring.seal(&first, b"", LATER);
        for other in [second, third] {
            assert_eq!(ring.open(&other, &token, NOW), Err(SealError));
        }
    }

    #[test]
    fn a_change_anywhere_is_refused() {
        let ring = ring(&[NEW]);
        let who = principal("key:ci");
        let bound = Bound { purpose: Purpose::Session, principal: &who, tenant: None, server: None };
        // Three lengths, so that the last character carries 0, 2 and 4 unused bits.
        for payload in [&b"abc"[..], b"abcd", b"abcde"] {
            let token = ring.seal(&bound, payload, LATER);
            for at in 0..token.len() {
                for replacement in ["A", "B", "Q", "_", "-", "9", "=", " ", "\u{0}", ""] {
                    if token[at..=at] == *replacement {
                        continue;
                    }
                    let changed = format!("{}{replacement}{}", &token[..at], &token[at + 1..]);
                    assert_eq!(ring.open(&bound, &changed, NOW), Err(SealError), "{at} {replacement:?}");
                }
            }
            for byte in 0..URL_SAFE_NO_PAD.decode(&token).unwrap().len() {
                let mut changed = URL_SAFE_NO_PAD.decode(&token).unwrap();
                changed[byte] ^= 1;
                assert_eq!(ring.open(&bound, &URL_SAFE_NO_PAD.encode(changed), NOW), Err(SealError));
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let ring = ring(&[NEW]);
        let who = principal("key:ci");
        let bound = Bound { purpose: Purpose::Session, principal: &who, tenant: None, server: None };
        let token = ring.seal(&bound, b"payload", LATER);
        for end in 0..token.len() {
            assert_eq!(ring.open(&bound, &token[..end], NOW), Err(SealError));
        }
        for length in 0..200 {
            for byte in [0, VERSION, 0xff] {
                let text = URL_SAFE_NO_PAD.encode(vec![byte; length]);
                assert_eq!(ring.open(&bound, &text, NOW), Err(SealError));
            }
        }
        for text in ["", "=", "ä", "AQ==", "\u{1F600}", "a b", "Bearer x"] {
            assert_eq!(ring.open(&bound, text, NOW), Err(SealError));
        }
    }

    #[test]
    fn check_091_an_expired_value_is_refused_with_the_text_of_a_forged_one() {
        let ring = ring(&[NEW]);
        let who = principal("key:ci");
        let bound = Bound { purpose: Purpose::RequestState, principal: &who, tenant: None, server: None };
        let token = ring.seal(&bound, b"state", LATER);
        assert!(ring.open(&bound, &token, NOW).is_ok());
        let forged = format!("{}A", &token[..token.len() - 2]);
        let expired = ring.open(&bound, &token, LATER).unwrap_err();
        let forged = ring.open(&bound, &forged, NOW).unwrap_err();
        assert_eq!(expired.to_string(), forged.to_string());
        assert_eq!(format!("{expired:?}"), format!("{forged:?}"));
        let endless = ring.seal(&bound, b"state", Timestamp(u64::MAX));
        assert!(ring.open(&bound, &endless, Timestamp(u64::MAX - 1)).is_ok());
    }

    /// Each phase reaches the replicas one after the other, so at any moment some are one phase ahead.
    #[test]
    fn check_201_rotation_in_three_phases_keeps_everything_valid() {
        let phases: [&[&str]; 4] = [&[OLD], &[OLD, NEW], &[NEW, OLD], &[NEW]];
        let who = principal("key:ci");
        for purpose in [Purpose::Session, Purpose::Cursor, Purpose::RequestState, Purpose::Task] {
            let bound = Bound { purpose, principal: &who, tenant: None, server: None };
            for pair in phases.windows(2) {
                let (behind, ahead) = (ring(pair[0]), ring(pair[1]));
                // The last step is made only after everything that the old key sealed has expired.
                let dropped = pair[1].len() == 1;
                assert_eq!(
                    behind.open(&bound, &ahead.seal(&bound, b"x", LATER), NOW).as_deref(),
                    Ok(&b"x"[..])
                );
                assert_eq!(
                    ahead.open(&bound, &behind.seal(&bound, b"x", LATER), NOW).as_deref(),
                    Ok(&b"x"[..])
                );
                let old = ring(&[OLD]).seal(&bound, b"x", LATER);
                assert_eq!(ahead.open(&bound, &old, NOW).is_ok(), !dropped);
            }
        }
    }

    #[test]
    fn rings_with_other_keys_open_nothing() {
        let who = principal("key:ci");
        let bound = Bound { purpose: Purpose::Hop, principal: &who, tenant: None, server: None };
        let token = ring(&[OLD]).seal(&bound, b"x", LATER);
        assert_eq!(ring(&[NEW]).open(&bound, &token, NOW), Err(SealError));
        assert_eq!(ring(&[OLD]).open(&bound, &token, NOW).as_deref(), Ok(&b"x"[..]));
    }

    #[test]
    fn one_payload_never_looks_the_same_twice() {
        let ring = ring(&[NEW]);
        let who = principal("key:ci");
        let bound = Bound { purpose: Purpose::Cursor, principal: &who, tenant: None, server: None };
        assert_ne!(ring.seal(&bound, b"x", LATER), ring.seal(&bound, b"x", LATER));
    }
}

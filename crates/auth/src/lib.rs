//! Who is calling. For now: named static bearer keys, or the one local principal of a gate without keys.
//! Credentials end here; what goes on is a [`Principal`]. No HTTP: the edge hands in the header's value and
//! renders a [`Refusal`], and nothing here says what a principal may do.

mod keys;

pub use keys::{InvalidKeys, Keys};

use portreeve_model::{Principal, PrincipalKind};

/// How callers are told apart.
#[derive(Debug)]
pub enum Identity {
    /// No identity is configured: whoever reaches the gate (which then listens on loopback only) is one principal.
    Loopback(Principal),
    /// Static keys.
    Keys(Keys),
}

/// Why a caller is not known. Each answers 401; an unknown key and a malformed header differ only in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// No credential was sent.
    #[error("no credential")]
    Missing,
    /// The `Authorization` header is not `Bearer` and one token.
    #[error("the credential is not a bearer token")]
    Malformed,
    /// No configured key has this secret.
    #[error("unknown credential")]
    Unknown,
}

impl Refusal {
    /// The word for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
        }
    }
}

impl Identity {
    /// The identity of a gate without keys.
    pub fn loopback() -> Self {
        Self::Loopback(Principal::new(PrincipalKind::Local, None))
    }

    /// Who sends this `Authorization` header. Without keys the header means nothing and is not looked at.
    pub fn identify(&self, credential: Option<&str>) -> Result<Principal, Refusal> {
        match self {
            Self::Loopback(principal) => Ok(principal.clone()),
            Self::Keys(keys) => {
                let token = bearer(credential.ok_or(Refusal::Missing)?).ok_or(Refusal::Malformed)?;
                keys.find(token).ok_or(Refusal::Unknown)
            }
        }
    }

    /// Whether callers prove who they are.
    pub fn is_authenticating(&self) -> bool {
        matches!(self, Self::Keys(_))
    }
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1; the scheme ignores case by RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_token(token)).then_some(token)
}

/// Visible ASCII without spaces or commas. A comma would be a list of credentials, joined from two headers.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use portreeve_model::{KeyName, Secret};

    fn identity() -> Identity {
        let keys = [("ci", "s3cret-of-ci"), ("laptop", "s3cret-of-laptop")];
        Identity::Keys(
            Keys::new(
                keys.map(|(name, secret)| (KeyName::new(name).unwrap(), Secret::new(secret.to_owned()))),
            )
            .unwrap(),
        )
    }

    #[test]
    fn a_header_names_its_principal_or_is_refused() {
        let table: &[(Option<&str>, Result<&str, Refusal>)] = &[
            (Some("Bearer s3cret-of-ci"), Ok("key:ci")),
            (Some("bearer s3cret-of-ci"), Ok("key:ci")),
            (Some("BEARER   s3cret-of-laptop "), Ok("key:laptop")),
            (None, Err(Refusal::Missing)),
            (Some(""), Err(Refusal::Malformed)),
            (Some("Bearer"), Err(Refusal::Malformed)),
            (Some("Bearer "), Err(Refusal::Malformed)),
            (Some("Bearer  "), Err(Refusal::Malformed)),
            (Some("s3cret-of-ci"), Err(Refusal::Malformed)),
            (Some("Basic s3cret-of-ci"), Err(Refusal::Malformed)),
            (Some("Bearer\ts3cret-of-ci"), Err(Refusal::Malformed)),
            (Some("Bearer s3cret-of-ci s3cret-of-laptop"), Err(Refusal::Malformed)),
            (Some("Bearer s3cret-of-ci,Bearer x"), Err(Refusal::Malformed)),
            (Some("Bearer s3cret-of-cï"), Err(Refusal::Malformed)),
            (Some("Bearer s3cret-of-c"), Err(Refusal::Unknown)),
            (Some("Bearer s3cret-of-cii"), Err(Refusal::Unknown)),
            (Some("Bearer S3CRET-OF-CI"), Err(Refusal::Unknown)),
        ];
        let identity = identity();
        for (header, expected) in table {
            let found = identity.identify(*header);
            assert_eq!(found.as_ref().map(|who| who.id().as_str()), expected.as_ref().copied(), "{header:?}");
        }
    }

    #[test]
    fn loopback_is_one_principal_whatever_is_sent() {
        let identity = Identity::loopback();
        for header in [None, Some("Bearer x"), Some("nonsense")] {
            let who = identity.identify(header).unwrap();
            assert_eq!(who.id().as_str(), "local");
            assert!(!who.is_authenticated());
        }
        assert!(!identity.is_authenticating());
    }

    #[test]
    fn nothing_printed_contains_a_secret() {
        let identity = identity();
        let refused = identity.identify(Some("Bearer hunter2")).unwrap_err();
        let printed = format!("{identity:?} {refused:?} {refused}");
        assert!(!printed.contains("s3cret") && !printed.contains("hunter2"), "{printed}");
    }
}

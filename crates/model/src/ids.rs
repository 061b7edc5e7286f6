//! Identifiers, one type each so that swapping two of them does not compile.
//! Names that a person writes (servers, tenants, keys) are checked here once; everything else trusts the type.

use std::{fmt, sync::Arc};

/// A name was refused; says what a good one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` is not a usable {what}: 1 to 64 characters of a-z, A-Z, 0-9, `-` and `_`, first one a letter or digit"
)]
pub struct InvalidName {
    /// The refused text.
    pub name: String,
    /// What it was meant to name.
    pub what: &'static str,
}

fn check(name: &str, what: &'static str) -> Result<Arc<str>, InvalidName> {
    let good = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if good { Ok(name.into()) } else { Err(InvalidName { name: name.to_owned(), what }) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text: 1–64 characters of `[A-Za-z0-9_-]`, starting with a letter or digit.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                check(name, $what).map(Self)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// The configured name of an MCP server; the `<server>` of `/mcp/<server>`.
    ServerName = "server name";
    /// A tenant's name.
    TenantName = "tenant name";
    /// The name of a static API key (never its secret).
    KeyName = "key name";
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it is.
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts! {
    /// Who a principal is, across requests and replicas: issuer and subject in one text, such as `key:ci` or `local`.
    PrincipalId;
    /// Which calls may share one upstream session and one private cache entry (decision D11).
    IsolationKey;
    /// One running process: its advertised address and the nonce it drew at boot.
    /// A recycled address with another nonce is another replica.
    ReplicaId;
}

impl From<&PrincipalId> for IsolationKey {
    /// The key of everything that belongs to one principal; shares the text.
    fn from(principal: &PrincipalId) -> Self {
        Self(principal.0.clone())
    }
}

impl ServerName {
    /// The name of all servers together. No server can be configured with it.
    pub fn aggregate() -> Self {
        Self("*".into())
    }

    /// A name that was made here once: a configured one, or the aggregate's.
    pub fn known(name: &str) -> Result<Self, InvalidName> {
        if name == "*" { Ok(Self::aggregate()) } else { Self::new(name) }
    }
}

impl ReplicaId {
    /// A process that drew this nonce and that other replicas reach at this address (scheme, host and port).
    pub fn at(nonce: &str, address: &str) -> Self {
        Self::new(&format!("{nonce}@{address}"))
    }

    /// Where other replicas reach it, if they can.
    pub fn address(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, address)| address)
    }
}

/// The id of one request in logs and records. Unique within a replica's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_knows_its_address_if_it_has_one() {
        assert_eq!(ReplicaId::new("19ac-1f").address(), None);
        assert_eq!(ReplicaId::at("19ac-1f", "http://10.0.0.7:8486").address(), Some("http://10.0.0.7:8486"));
    }

    #[test]
    fn names_are_checked() {
        for (name, good) in [
            ("files", true),
            ("a", true),
            ("k8s-prod_2", true),
            ("", false),
            ("a/b", false),
            ("-a", false),
            ("ä", false),
        ] {
            assert_eq!(ServerName::new(name).is_ok(), good, "{name:?}");
        }
        assert!(ServerName::new(&"x".repeat(64)).is_ok());
        assert!(ServerName::new(&"x".repeat(65)).is_err());
    }
}

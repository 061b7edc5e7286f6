//! A resolved credential for an upstream. `auth` (or the configuration) makes it, only connectors open it;
//! everything in between carries it without being able to look inside.

use crate::Secret;
use std::{fmt, sync::Arc};

/// What a connector presents to an upstream. Opaque on the way; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamCredential(Arc<Secret<String>>);

impl UpstreamCredential {
    /// A bearer token for the upstream's `Authorization` header.
    pub fn bearer(token: Secret<String>) -> Self {
        Self(Arc::new(token))
    }

    /// The whole value of the `Authorization` header. For connectors only.
    pub fn authorization_header(&self) -> Secret<String> {
        Secret::new(format!("Bearer {}", self.0.expose()))
    }
}

impl fmt::Debug for UpstreamCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamCredential(…)")
    }
}

//! Who calls, after authentication. Nothing here says how they proved it.

use crate::{KeyName, PrincipalId, TenantName};
use std::sync::Arc;

/// What kind of caller a principal is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// Whoever reaches a gate that is bound to loopback and has no identity configured.
    Local,
    /// The holder of a static API key.
    Key(KeyName),
}

/// An authenticated caller. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    id: PrincipalId,
    kind: PrincipalKind,
    tenant: Option<TenantName>,
}

impl Principal {
    /// A principal of the given kind; its id follows from the kind.
    pub fn new(kind: PrincipalKind, tenant: Option<TenantName>) -> Self {
        let id = match &kind {
            PrincipalKind::Local => PrincipalId::new("local"),
            PrincipalKind::Key(name) => PrincipalId::new(&format!("key:{name}")),
        };
        Self { inner: Arc::new(Inner { id, kind, tenant }) }
    }

    /// The stable id: bound into every seal and cache key.
    pub fn id(&self) -> &PrincipalId {
        &self.inner.id
    }

    /// What kind of caller.
    pub fn kind(&self) -> &PrincipalKind {
        &self.inner.kind
    }

    /// The tenant this call belongs to, if tenants are configured (decision D30).
    pub fn tenant(&self) -> Option<&TenantName> {
        self.inner.tenant.as_ref()
    }

    /// Whether the caller proved who they are (as opposed to just being on this machine).
    pub fn is_authenticated(&self) -> bool {
        !matches!(self.inner.kind, PrincipalKind::Local)
    }
}

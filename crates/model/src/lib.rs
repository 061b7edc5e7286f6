//! The nouns everyone shares, small and stable: ids, principals, secrets, time, limits.
//! No IO and no clock of its own: whoever needs the time is handed a [`Timestamp`].
//! Everything above this crate is rebuilt when it changes, so nothing lives here that only one crate needs.

mod credential;
mod ids;
mod limits;
mod principal;
mod secret;
mod time;

pub use credential::UpstreamCredential;
pub use ids::{
    InvalidName, IsolationKey, KeyName, PrincipalId, ReplicaId, RequestId, ServerName, TenantName,
};
pub use limits::{Deadlines, Limits};
pub use principal::{Principal, PrincipalKind};
pub use secret::Secret;
pub use time::Timestamp;

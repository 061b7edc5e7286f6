//! The coordinator as its users see it. One process alone needs none: then nothing is shared and every question has the
//! answer that this process knows itself. Values are short and expire by themselves; nothing here holds a secret.

use crate::redis::Redis;
use portreeve_model::{ReplicaId, Secret};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The coordinator does not answer, or there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is away")]
pub struct Away;

/// The coordinator cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// Its address is none.
    #[error("the coordinator's address cannot be used")]
    Address(#[source] ::redis::RedisError),
}

/// What is remembered about a session (decision D16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Its client ended it: it exists nowhere any more.
    Ended,
    /// It holds something that cannot be made again from its id.
    Live,
}

impl Mark {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Live => "live",
        }
    }
}

/// What replicas share.
pub enum Coordinator {
    /// There is nothing to share with.
    Alone,
    /// A Redis or Valkey server.
    Redis(Box<Redis>),
}

impl Coordinator {
    /// A Redis or Valkey server. Nothing is connected before the first use, and a lost connection comes back by itself.
    pub fn redis(url: &Secret<String>) -> Result<Self, CoordinatorError> {
        Redis::new(url.expose()).map(|redis| Self::Redis(Box::new(redis))).map_err(CoordinatorError::Address)
    }

    /// Says that this replica is there, for as long as `ttl`.
    pub async fn announce(&self, replica: &ReplicaId, ttl: Duration) -> Result<(), Away> {
        match self {
            Self::Alone => Err(Away),
            Self::Redis(redis) => redis.announce(replica.as_str(), ttl).await,
        }
    }

    /// Says that this replica goes.
    pub async fn withdraw(&self, replica: &ReplicaId) -> Result<(), Away> {
        match self {
            Self::Alone => Err(Away),
            Self::Redis(redis) => redis.withdraw(replica.as_str()).await,
        }
    }

    /// The replicas that are there.
    pub async fn replicas(&self) -> Result<Vec<ReplicaId>, Away> {
        match self {
            Self::Alone => Err(Away),
            Self::Redis(redis) => {
                let names = redis.replicas().await?;
                Ok(names.iter().map(|name| ReplicaId::new(name)).collect())
            }
        }
    }

    /// Remembers something about a session.
    pub async fn set(&self, mark: Mark, session: &str, ttl: Duration) -> Result<(), Away> {
        match self {
            Self::Alone => Err(Away),
            Self::Redis(redis) => redis.set(mark, &name_of(session), ttl).await,
        }
    }

    /// Whether it is remembered.
    pub async fn has(&self, mark: Mark, session: &str) -> Result<bool, Away> {
        match self {
            Self::Alone => Err(Away),
            Self::Redis(redis) => redis.has(mark, &name_of(session)).await,
        }
    }
}

/// A session's id is long and known to its client only; its digest names it here.
fn name_of(session: &str) -> String {
    let digest = Sha256::digest(session.as_bytes());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

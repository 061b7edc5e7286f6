//! The live sessions of this replica, found by their ids, and the ids that are good for nothing any more. What a session is
//! and when it ends is told next door.

use super::{SESSION_TTL, Session, lock};
use foldhash::{HashMap, HashSet, HashSetExt};
use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard},
};

const SHARDS: usize = 16;

/// A session as it is found by its id, which it alone holds.
struct Known(Arc<Session>);

impl Borrow<str> for Known {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As the text that it is found by.
        str::hash(&self.0.id, state);
    }
}

/// The live sessions of this replica.
pub(crate) struct Sessions {
    shards: [Mutex<HashSet<Known>>; SHARDS],
    hasher: foldhash::fast::RandomState,
    /// Hashes of the ids whose sessions were ended by their clients, until they would have expired. That two ids have the
    /// same is so unlikely that a new handshake is a fair price.
    revoked: Mutex<HashMap<u64, u64>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashSet::new())),
            hasher: foldhash::fast::RandomState::default(),
            revoked: Mutex::default(),
        }
    }
}

impl Sessions {
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits choose the shard")]
    fn shard(&self, id: &str) -> MutexGuard<'_, HashSet<Known>> {
        lock(&self.shards[self.hasher.hash_one(id) as usize % SHARDS])
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Session>> {
        self.shard(id).get(id).map(|known| known.0.clone())
    }

    /// Keeps a session, unless one of this id is there already; gives the one that is kept.
    pub(super) fn keep(&self, session: Arc<Session>) -> Arc<Session> {
        let mut shard = self.shard(&session.id);
        if let Some(known) = shard.get(&*session.id) {
            return known.0.clone();
        }
        shard.insert(Known(session.clone()));
        session
    }

    pub(super) fn forget(&self, session: &Session) {
        self.shard(&session.id).remove(&*session.id);
    }

    pub(super) fn revoke(&self, id: &str, until: u64) {
        lock(&self.revoked).insert(self.hasher.hash_one(id), until);
    }

    pub(super) fn is_revoked(&self, id: &str) -> bool {
        lock(&self.revoked).contains_key(&self.hasher.hash_one(id))
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.shards
            .iter()
            .flat_map(|shard| lock(shard).iter().map(|known| known.0.clone()).collect::<Vec<_>>())
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    pub(crate) fn sweep(&self, now: u64) {
        let until = now + u64::try_from(SESSION_TTL.as_millis()).unwrap_or(u64::MAX);
        for shard in &self.shards {
            lock(shard).retain(|Known(session)| {
                session.sweep_streams();
                session.rest(now);
                let leaves = session.is_idle(now);
                if leaves && session.holds_subscriptions() {
                    // Its client has to learn that nothing is watched for it any more (decision D16).
                    self.revoke(&session.id, until);
                }
                !leaves
            });
        }
        lock(&self.revoked).retain(|_, until| *until > now);
    }
}

//! The live sessions of this replica, found by their ids, and the ids that are good for nothing any more. What a session is
//! and when it ends is told next door.

use super::{SESSION_TTL, Session, lock};
use foldhash::{HashMap, HashSet, HashSetExt};
use portreeve_model::PrincipalId;
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

/// How many sessions each principal has; nobody who has none is in it.
#[derive(Default)]
struct Held(Mutex<HashMap<PrincipalId, usize>>);

impl Held {
    /// Counts one more, if there is room for it.
    fn take(&self, principal: &PrincipalId, most: usize) -> bool {
        let mut counts = lock(&self.0);
        let count = counts.get(principal).copied().unwrap_or_default();
        if count >= most {
            return false;
        }
        counts.insert(principal.clone(), count + 1);
        true
    }

    fn give_back(&self, principal: &PrincipalId) {
        let mut counts = lock(&self.0);
        match counts.get_mut(principal) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(principal)),
        }
    }
}

/// The live sessions of this replica.
pub(crate) struct Sessions {
    shards: [Mutex<HashSet<Known>>; SHARDS],
    hasher: foldhash::fast::RandomState,
    /// How many of them each principal has. Locked only after a shard.
    held: Held,
    /// Hashes of the ids whose sessions were ended by their clients, until they would have expired. That two ids have the
    /// same is so unlikely that a new handshake is a fair price.
    revoked: Mutex<HashMap<u64, u64>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(HashSet::new())),
            hasher: foldhash::fast::RandomState::default(),
            held: Held::default(),
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

    /// Keeps a session, unless one of this id is there already; gives the one that is kept. Nothing is kept of a principal
    /// who has this many.
    pub(super) fn keep(&self, session: Arc<Session>, most: usize) -> Option<Arc<Session>> {
        let mut shard = self.shard(&session.id);
        if let Some(known) = shard.get(&*session.id) {
            return Some(known.0.clone());
        }
        self.held.take(session.principal.id(), most).then(|| {
            shard.insert(Known(session.clone()));
            session
        })
    }

    pub(super) fn forget(&self, session: &Session) {
        if let Some(Known(left)) = self.shard(&session.id).take(&*session.id) {
            self.held.give_back(left.principal.id());
        }
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
                if leaves {
                    self.held.give_back(session.principal.id());
                }
                !leaves
            });
        }
        lock(&self.revoked).retain(|_, until| *until > now);
    }
}

//! What each server offers, kept as it came and as ready bytes (decision D10). A list is fetched on demand, once at a time,
//! kept until it changes or ages, and answered without a trip to the server. Equal lists are kept once.
//! Whether somebody may see an item is asked of `policy`; nothing is decided here.

mod list;
mod steady;

pub(crate) use list::{FormKey, List, ListKind};
pub(crate) use steady::BUDGET;

use crate::{
    collect::collect,
    hub::Whose,
    server::{Server, forward},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::{HashMap, HashSet};
use portreeve_mcp::{
    ClientCapabilities, Outcome, Params, RawJson, Request, RpcError, Version,
    service::{Description, Failure, Notice},
};
use portreeve_model::IsolationKey;
use portreeve_policy::{Authorized, SystemReason};
use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use steady::Away;

/// How many callers' lists one server keeps; the least recently used leaves.
const MAX_PARTITIONS: usize = 4096;
/// How many pages of one list are followed; a server that has more loops or is not meant for people.
const MAX_PAGES: usize = 200;
/// How often an unknown name may cause a new look at the server's list.
const RELIST_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no list.
#[derive(Debug, Clone)]
pub(crate) enum NoList {
    /// The server answered with an error.
    Error(RpcError),
    /// The server gave no answer.
    Failed(Failure),
}

/// The lists of one server.
#[derive(Default)]
pub(crate) struct Catalogue {
    partitions: ArcSwap<HashMap<Whose, Arc<Partition>>>,
    growing: Mutex<()>,
    clock: AtomicU64,
    interned: Mutex<HashMap<[u8; 32], Weak<List>>>,
}

/// The lists of one server for one sort of caller.
#[derive(Default)]
pub(crate) struct Partition {
    slots: [Slot; 4],
    used: AtomicU64,
    /// Counts what happened to any of the lists: whoever made something of them looks here whether it still holds.
    changes: AtomicU64,
}

#[derive(Default)]
struct Slot {
    current: ArcSwapOption<List>,
    stale: AtomicBool,
    fetching: tokio::sync::Mutex<Option<Instant>>,
    /// The server gave no list when it was last asked.
    away: Mutex<Option<Away>>,
}

impl Catalogue {
    fn partition(&self, key: &Whose) -> Arc<Partition> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        if let Some(found) = self.partitions.load().get(key) {
            found.used.store(now, Ordering::Relaxed);
            return found.clone();
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = HashMap::clone(&self.partitions.load());
        let found = all.entry(key.clone()).or_default().clone();
        found.used.store(now, Ordering::Relaxed);
        if all.len() > MAX_PARTITIONS
            && let Some(oldest) =
                all.iter().min_by_key(|(_, p)| p.used.load(Ordering::Relaxed)).map(|(k, _)| k.clone())
            && let Some(gone) = all.remove(&oldest)
        {
            // Nobody tells it of changes any more.
            gone.changed();
        }
        self.partitions.store(Arc::new(all));
        found
    }

    /// Forgets what a notice says has changed.
    pub(crate) fn invalidate(&self, isolation: &IsolationKey, notice: &Notice) {
        for (_, partition) in self.partitions.load().iter().filter(|(whose, _)| whose.isolation == *isolation)
        {
            partition.invalidate(notice);
        }
    }

    /// Keeps equal lists once, whoever they were fetched for.
    fn intern(&self, list: List) -> Arc<List> {
        let mut interned = self.interned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = interned.get(&list.digest).and_then(Weak::upgrade) {
            known.renew(list.fetched());
            return known;
        }
        interned.retain(|_, list| list.strong_count() > 0);
        let digest = list.digest;
        let list = Arc::new(list);
        interned.insert(digest, Arc::downgrade(&list));
        list
    }
}

impl Partition {
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often anything happened to these lists.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn invalidate(&self, notice: &Notice) {
        let kinds: &[ListKind] = match notice {
            Notice::Watching(_) | Notice::Interrupted => &ListKind::ALL,
            Notice::ToolsChanged => &[ListKind::Tools],
            Notice::PromptsChanged => &[ListKind::Prompts],
            Notice::ResourcesChanged => &[ListKind::Resources, ListKind::Templates],
            Notice::ResourceUpdated { .. } => &[],
        };
        for kind in kinds {
            let slot = &self.slots[*kind as usize];
            slot.stale.store(true, Ordering::Release);
            slot.may_be_back(notice);
        }
        self.changed();
    }
}

/// Who looks at which server.
pub(crate) struct Look<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) isolation: &'a IsolationKey,
    /// What the caller can be asked, as the server is told of it.
    pub(crate) capabilities: &'a ClientCapabilities,
}

impl Look<'_> {
    /// Where the lists for this sort of caller are kept.
    pub(crate) fn partition(&self) -> Arc<Partition> {
        let whose = Whose {
            isolation: self.isolation.clone(),
            capabilities: self.capabilities.clone(),
            circle: None,
        };
        self.server.catalogue.partition(&whose)
    }

    /// The list as far as it is known, however old; `None` if it was never fetched. Costs no trip and no lock.
    pub(crate) fn known(&self, kind: ListKind) -> Option<Arc<List>> {
        self.partition().slots[kind as usize].current.load_full()
    }

    /// The list, fresh.
    pub(crate) async fn list(&self, kind: ListKind) -> Result<Arc<List>, NoList> {
        let partition = self.partition();
        let slot = &partition.slots[kind as usize];
        if let Some(list) = fresh(slot) {
            return Ok(list);
        }
        let mut last = slot.fetching.lock().await;
        if let Some(list) = fresh(slot) {
            return Ok(list);
        }
        self.refresh(&partition, kind, &mut last).await
    }

    /// The list, fetched anew because a name was not in it; at most once in [`RELIST_PAUSE`].
    pub(crate) async fn relist(&self, kind: ListKind, seen: &Arc<List>) -> Result<Arc<List>, NoList> {
        let partition = self.partition();
        let slot = &partition.slots[kind as usize];
        let mut last = slot.fetching.lock().await;
        let newer = slot.current.load_full().filter(|list| !Arc::ptr_eq(list, seen));
        if let Some(list) =
            newer.or_else(|| last.filter(|at| at.elapsed() < RELIST_PAUSE).map(|_| seen.clone()))
        {
            return Ok(list);
        }
        self.refresh(&partition, kind, &mut last).await
    }

    async fn refresh(
        &self,
        partition: &Arc<Partition>,
        kind: ListKind,
        last: &mut Option<Instant>,
    ) -> Result<Arc<List>, NoList> {
        let slot = &partition.slots[kind as usize];
        let described = self.server.describe(self.isolation.clone(), Version::NEWEST).await;
        let fetched = match described {
            Ok(description) => {
                self.keep_watching(&description);
                slot.stale.store(false, Ordering::Release);
                let fetched = self.fetch(kind, &description).await;
                *last = Some(Instant::now());
                fetched
            }
            Err(failure) => Err(NoList::Failed(failure)),
        };
        match fetched {
            Ok(list) => {
                let list = self.server.catalogue.intern(list);
                slot.current.store(Some(list.clone()));
                slot.came();
                partition.changed();
                Ok(list)
            }
            Err(error) => {
                slot.stale.store(true, Ordering::Release);
                slot.failed(&error);
                partition.changed();
                // A stale list may be served if the server does not answer (spec: server/utilities/caching).
                match (error, slot.current.load_full()) {
                    (NoList::Failed(_), Some(list)) => Ok(list),
                    (error, _) => Err(error),
                }
            }
        }
    }

    async fn fetch(&self, kind: ListKind, description: &Description) -> Result<List, NoList> {
        let mut list = List::new(kind, description);
        let mut cursor: Option<RawJson> = None;
        let mut before = HashSet::default();
        for _ in 0..MAX_PAGES {
            let page = self.page(kind, cursor.as_ref()).await?;
            list.add_page(&page, self.server.name());
            let next = page.get("nextCursor").filter(|next| next.kind() == portreeve_mcp::json::Kind::String);
            let Some(next) = next else { return Ok(list.sealed()) };
            if !before.insert(next.clone()) {
                tracing::warn!(server = %self.server.name(), list = kind.method().as_str(), "a cursor came back, and the list ends there");
                return Ok(list.sealed());
            }
            cursor = Some(next);
        }
        tracing::warn!(server = %self.server.name(), list = kind.method().as_str(), "the list has too many pages and was cut");
        Ok(list.sealed())
    }

    async fn page(&self, kind: ListKind, cursor: Option<&RawJson>) -> Result<RawJson, NoList> {
        let mut params = Params::default();
        if let Some(cursor) = cursor {
            params.set("cursor", cursor.clone());
        }
        let proof = Authorized::system(SystemReason::Catalogue, self.server.name().clone());
        let mut ctx = self.server.system_ctx(self.isolation.clone());
        ctx.capabilities = self.capabilities.clone();
        let leg = forward(proof, self.server, ctx, Request { method: kind.method(), params });
        match collect(leg).await {
            Ok(Outcome::Result(result)) => Ok(result),
            Ok(Outcome::Error(error)) => Err(NoList::Error(error)),
            Err(failure) => Err(NoList::Failed(failure)),
        }
    }

    /// Has the server watched for changes of these lists, for a while from now on.
    fn keep_watching(&self, description: &Description) {
        let changes = ["tools", "prompts", "resources"]
            .iter()
            .any(|key| description.capabilities.get(key).is_some_and(|cap| cap.get("listChanged").is_some()));
        if changes {
            let whose = Whose::of_watch(self.isolation, self.capabilities, description);
            self.server.hub.keep(self.server, &whose);
        }
    }
}

fn fresh(slot: &Slot) -> Option<Arc<List>> {
    let list = slot.current.load_full()?;
    (!slot.stale.load(Ordering::Acquire) && list.is_fresh()).then_some(list)
}

impl NoList {
    pub(crate) fn into_rpc(self) -> RpcError {
        match self {
            Self::Error(error) => error,
            Self::Failed(failure) => crate::error::of_failure(&failure),
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Error(_) => None,
        }
    }

    /// Whether the server simply has no such list: its method is not served there.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Error(error) if error.code == portreeve_mcp::Code::METHOD_NOT_FOUND)
    }
}

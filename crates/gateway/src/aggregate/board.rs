//! Lists of all servers as ready bytes (reference: mcp.md 5.2; decision D10). Three steps lead to an answer: the board of a sort of
//! caller, good while nothing happened to any of its servers' lists; the merged list, kept once for all who see the same; and
//! the parts of it, one for each server, made anew only when that server's list changed. It asks no server anything.

use super::names::Names;
use crate::{
    catalogue::{List, ListKind, Partition},
    served::Served,
};
use arc_swap::ArcSwap;
use foldhash::{HashMap, HashSet};
use portreeve_mcp::{ClientCapabilities, RawJson, Version, json, payload};
use portreeve_model::{IsolationKey, ServerName};
use portreeve_policy::ViewKey;
use sha2::{Digest, Sha256};
use std::{
    hash::Hash,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// How many sorts of callers have a board; the least recently used leaves. One is a few pointers for each server.
const MAX_BOARDS: usize = 1024;
/// How many ready pages a merged list keeps; further ones are made each time.
const MAX_PAGES: usize = 64;

/// Which sort of caller.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct BoardKey {
    pub(super) kind: ListKind,
    pub(super) version: Version,
    pub(super) who: IsolationKey,
    pub(super) capabilities: ClientCapabilities,
}

/// What one sort of caller gets, and how long that holds.
pub(super) struct Board {
    served: Weak<Served>,
    partitions: Vec<Arc<Partition>>,
    changes: u64,
    expires: Instant,
    used: AtomicU64,
    pub(super) merged: Arc<Merged>,
}

/// Everything that boards of one address are made of.
#[derive(Default)]
pub(super) struct Boards {
    boards: RwLock<HashMap<BoardKey, Arc<Board>>>,
    merged: Kept<[u8; 32], Merged>,
    parts: Kept<PartKey, Part>,
    clock: AtomicU64,
}

/// Values that are kept once, for as long as anybody has them.
struct Kept<K, V>(Mutex<HashMap<K, Weak<V>>>);

/// Which part of which list of which server.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PartKey {
    at: usize,
    kind: ListKind,
    version: Version,
    digest: [u8; 32],
    view: ViewKey,
}

/// What callers see of one server's list.
struct Part {
    /// The name of each item here, and where it stands in the bytes.
    items: Vec<(Arc<str>, Range<usize>)>,
    bytes: Vec<u8>,
}

/// A list of all servers.
pub(super) struct Merged {
    parts: Vec<Arc<Part>>,
    /// How many items come before each part.
    before: Vec<usize>,
    count: usize,
    pub(super) ttl: std::time::Duration,
    pub(super) public: bool,
    pub(super) missing: Vec<ServerName>,
    pages: ArcSwap<Vec<((usize, usize), RawJson)>>,
}

/// One server's contribution.
pub(super) struct Given<'a> {
    pub(super) at: usize,
    pub(super) server: &'a ServerName,
    pub(super) list: Arc<List>,
    pub(super) view: ViewKey,
}

/// What a merged list is made of.
pub(super) struct Recipe<'a> {
    pub(super) kind: ListKind,
    pub(super) version: Version,
    pub(super) names: &'a Names,
    pub(super) given: Vec<Given<'a>>,
    pub(super) missing: Vec<ServerName>,
    /// Whether the caller sees an item of a server.
    pub(super) sees: &'a dyn Fn(&ServerName, &str) -> bool,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Weak<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(known) = self.lock().get(&key).and_then(Weak::upgrade) {
            return known;
        }
        let made = Arc::new(make());
        let mut kept = self.lock();
        kept.retain(|_, value| value.strong_count() > 0);
        kept.insert(key, Arc::downgrade(&made));
        made
    }
}

/// What happened so far to the lists of these.
pub(super) fn changes(partitions: &[Arc<Partition>]) -> u64 {
    partitions.iter().fold(0, |sum, partition| sum.wrapping_add(partition.changes()))
}

impl Boards {
    /// What this sort of caller gets, if it still holds.
    pub(super) fn find(&self, key: &BoardKey, served: &Arc<Served>) -> Option<Arc<Merged>> {
        let boards = self.boards.read().unwrap_or_else(PoisonError::into_inner);
        let board = boards.get(key)?;
        let same = std::ptr::eq(board.served.as_ptr(), Arc::as_ptr(served));
        if !same || changes(&board.partitions) != board.changes || Instant::now() >= board.expires {
            return None;
        }
        board.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(board.merged.clone())
    }

    /// Keeps what this sort of caller gets, until something happens to the lists or the time comes.
    pub(super) fn keep(
        &self,
        key: BoardKey,
        served: &Arc<Served>,
        (partitions, changes, expires): (Vec<Arc<Partition>>, u64, Instant),
        merged: &Arc<Merged>,
    ) {
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed));
        let (served, merged) = (Arc::downgrade(served), merged.clone());
        let board = Board { served, partitions, changes, expires, used, merged };
        let mut boards = self.boards.write().unwrap_or_else(PoisonError::into_inner);
        boards.insert(key, Arc::new(board));
        if boards.len() > MAX_BOARDS {
            let oldest = boards.iter().min_by_key(|(_, board)| board.used.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                boards.remove(&oldest);
            }
        }
    }

    /// The list that a recipe makes: the same recipe makes it once.
    pub(super) fn merge(&self, recipe: &Recipe<'_>) -> Arc<Merged> {
        self.merged.get(recipe.digest(), || {
            let mut taken = HashSet::default();
            let parts = recipe.given.iter().map(|given| self.part(recipe, given, &mut taken)).collect();
            Merged::new(recipe, parts)
        })
    }

    /// One server's part. Two servers may have one URI: the first one keeps it, the others say in front of it whose it is.
    fn part(&self, recipe: &Recipe<'_>, given: &Given<'_>, taken: &mut HashSet<Arc<str>>) -> Arc<Part> {
        if matches!(recipe.kind, ListKind::Resources | ListKind::Templates) {
            let apart = given.list.items().any(|item| taken.contains(&item.name));
            if apart {
                return Arc::new(Part::new(recipe, given, taken));
            }
            taken.extend(given.list.items().map(|item| item.name.clone()));
        }
        let key = PartKey {
            at: given.at,
            kind: recipe.kind,
            version: recipe.version,
            digest: given.list.digest,
            view: given.view,
        };
        self.parts.get(key, || Part::new(recipe, given, &HashSet::default()))
    }
}

impl Recipe<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([self.kind as u8]);
        hash.update(self.version.as_str());
        for given in &self.given {
            hash.update(given.at.to_le_bytes());
            hash.update(given.list.digest);
            match given.view {
                ViewKey::Everything => hash.update(b"e"),
                ViewKey::Nothing => hash.update(b"n"),
                ViewKey::Part(digest) => hash.update(digest),
            }
        }
        for missing in &self.missing {
            hash.update(b"\0");
            hash.update(missing.as_str());
        }
        hash.finalize().into()
    }
}

impl Part {
    fn new(recipe: &Recipe<'_>, given: &Given<'_>, taken: &HashSet<Arc<str>>) -> Self {
        let mut part = Self { items: Vec::new(), bytes: Vec::new() };
        let era = given.list.era.unwrap_or(recipe.version.era());
        let visible = |name: &str| given.view == ViewKey::Everything || (recipe.sees)(given.server, name);
        for item in given.list.items().filter(|item| visible(&item.name)) {
            let (name, raw): (Arc<str>, RawJson) = match recipe.kind {
                ListKind::Tools => {
                    // Tasks are not carried here.
                    let dropped = item.raw.get("execution").is_some();
                    let raw = if dropped { item.raw.with(&["execution"], &[]) } else { item.raw.clone() };
                    (
                        recipe.names.exposed(given.at, &item.name).into(),
                        payload::tool_for_client(&raw, recipe.version, era),
                    )
                }
                ListKind::Prompts => (recipe.names.exposed(given.at, &item.name).into(), item.raw.clone()),
                ListKind::Resources | ListKind::Templates if taken.contains(&item.name) => {
                    (super::apart::apart(given.server, &item.name).into(), item.raw.clone())
                }
                ListKind::Resources | ListKind::Templates => (item.name.clone(), item.raw.clone()),
            };
            part.add(recipe.kind, name, &item.name, &raw);
        }
        part
    }

    fn add(&mut self, kind: ListKind, name: Arc<str>, own: &str, raw: &RawJson) {
        if !self.bytes.is_empty() {
            self.bytes.push(b',');
        }
        let begin = self.bytes.len();
        if *name == *own {
            self.bytes.extend_from_slice(raw.as_bytes());
        } else {
            let named = raw.with(&[], &[(kind.key(), &RawJson::string(&name))]);
            self.bytes.extend_from_slice(named.as_bytes());
        }
        self.items.push((name, begin..self.bytes.len()));
    }
}

impl Merged {
    fn new(recipe: &Recipe<'_>, parts: Vec<Arc<Part>>) -> Self {
        let mut before = Vec::with_capacity(parts.len());
        let mut count = 0;
        for part in &parts {
            before.push(count);
            count += part.items.len();
        }
        let ttl = recipe.given.iter().map(|given| given.list.ttl()).min().unwrap_or_default();
        // Whoever is missing may be back at any moment.
        let ttl = if recipe.missing.is_empty() { ttl } else { ttl.min(super::SHORT_TTL) };
        let everything = |given: &Given<'_>| given.list.is_public() && given.view == ViewKey::Everything;
        let public = recipe.missing.is_empty() && recipe.given.iter().all(everything);
        let missing = recipe.missing.clone();
        Self { parts, before, count, ttl, public, missing, pages: ArcSwap::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The name of an item by its place.
    pub(super) fn name(&self, at: usize) -> Option<&Arc<str>> {
        let part = self.before.partition_point(|before| *before <= at).checked_sub(1)?;
        self.parts[part].items.get(at - self.before[part]).map(|(name, _)| name)
    }

    /// Where to go on after the item of this name, which was at this place when it was given (as [`List::after`]).
    pub(super) fn after(&self, name: &str, at: usize) -> usize {
        // Nearly always it is where it was.
        if self.name(at).is_some_and(|known| **known == *name) {
            return at + 1;
        }
        let mut all = self.parts.iter().flat_map(|part| &part.items);
        all.position(|(known, _)| **known == *name).map_or(at, |found| found + 1)
    }

    /// The result that these items make; made once, then ready bytes.
    pub(super) fn page(
        &self,
        (from, to): (usize, usize),
        member: &str,
        close: impl FnOnce(&mut Vec<u8>),
    ) -> RawJson {
        if let Some((_, page)) = self.pages.load().iter().find(|(known, _)| *known == (from, to)) {
            return page.clone();
        }
        let mut items = Vec::from(*b"[");
        for (part, before) in self.parts.iter().zip(&self.before) {
            let cut = |at: usize| at.saturating_sub(*before).min(part.items.len());
            let Some(shown) = part.items.get(cut(from)..cut(to)).filter(|shown| !shown.is_empty()) else {
                continue;
            };
            if items.len() > 1 {
                items.push(b',');
            }
            if let (Some((_, first)), Some((_, last))) = (shown.first(), shown.last()) {
                items.extend_from_slice(&part.bytes[first.start..last.end]);
            }
        }
        items.push(b']');
        let mut out = Vec::with_capacity(items.len() + 256);
        out.push(b'{');
        json::write_member(&mut out, member, &items);
        close(&mut out);
        out.push(b'}');
        let page = RawJson::built(out);
        self.pages.rcu(|pages| {
            let mut pages = Vec::clone(pages);
            if pages.len() < MAX_PAGES && !pages.iter().any(|(known, _)| *known == (from, to)) {
                pages.push(((from, to), page.clone()));
            }
            pages
        });
        page
    }
}

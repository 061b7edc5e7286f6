//! Who may use which upstream session: shared by many calls, or leased to one at a time (decision D12).
//! Sessions of one key are taken lowest index first, so that calls that come one after another meet the same one and
//! the state it keeps; when all are taken, one that is idle leaves, and else the caller waits. It opens nothing itself.

use arc_swap::ArcSwapOption;
use futures_core::future::BoxFuture;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// What a slot holds.
pub(crate) trait Held: Send + Sync + 'static {
    /// Whether it can still be used.
    fn alive(&self) -> bool;
    /// Ends it; called when its slot is given to somebody else or has been idle for too long.
    fn close(&self);
    /// Whether something besides calls still needs it.
    fn needed(&self) -> bool {
        false
    }
}

/// How a call wants its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Together with others.
    Shared,
    /// For itself.
    Exclusive,
}

/// Everything is taken and nothing became free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// One place for a session.
pub(crate) struct Slot<T> {
    index: usize,
    users: AtomicUsize,
    leased: Mutex<Use>,
    held: ArcSwapOption<T>,
    /// Tells what is held from everything that was held here or elsewhere before.
    number: AtomicU64,
    opening: tokio::sync::Mutex<()>,
}

struct Use {
    mode: Mode,
    since: Instant,
    /// Something in it outlives its calls until then.
    kept: Option<Instant>,
}

struct Inner<K, T> {
    groups: HashMap<K, Vec<Arc<Slot<T>>>, foldhash::fast::RandomState>,
    count: usize,
}

/// The sessions of one connector.
pub(crate) struct Slots<K, T> {
    per_key: usize,
    total: usize,
    inner: Mutex<Inner<K, T>>,
    freed: Notify,
    opened: Notify,
    numbers: AtomicU64,
}

/// The use of a slot, until dropped.
pub(crate) struct Lease<K: Eq + Hash + Clone, T: Held> {
    slots: Arc<Slots<K, T>>,
    slot: Arc<Slot<T>>,
}

impl<K: Eq + Hash + Clone, T: Held> Slots<K, T> {
    pub(crate) fn new(per_key: usize, total: usize) -> Arc<Self> {
        let inner = Inner { groups: HashMap::default(), count: 0 };
        Arc::new(Self {
            per_key,
            total,
            inner: Mutex::new(inner),
            freed: Notify::new(),
            opened: Notify::new(),
            numbers: AtomicU64::new(1),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<K, T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many places are in use.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    /// How many of them hold something that lives.
    pub(crate) fn living_count(&self) -> usize {
        self.lock().groups.values().flatten().filter(|slot| slot.current().is_some()).count()
    }

    /// Takes a place, waiting at most this long for one.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        key: &K,
        mode: Mode,
        wait: Duration,
    ) -> Result<Lease<K, T>, Full> {
        if let Some(lease) = self.try_acquire(key, mode) {
            return Ok(lease);
        }
        let work = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                freed.as_mut().enable();
                if let Some(lease) = self.try_acquire(key, mode) {
                    return lease;
                }
                freed.await;
            }
        };
        tokio::time::timeout(wait, work).await.map_err(|_| Full)
    }

    fn try_acquire(self: &Arc<Self>, key: &K, mode: Mode) -> Option<Lease<K, T>> {
        let mut inner = self.lock();
        if let Some(slot) = inner.groups.get(key).and_then(|group| pick(group, mode)) {
            return Some(self.lease(slot, mode));
        }
        if inner.groups.get(key).map_or(0, Vec::len) >= self.per_key {
            return None;
        }
        if inner.count >= self.total && !evict_oldest(&mut inner) {
            return None;
        }
        let group = inner.groups.entry(key.clone()).or_default();
        let index = (0..).find(|index| group.iter().all(|slot| slot.index != *index)).unwrap_or(group.len());
        let slot = Arc::new(Slot {
            index,
            users: AtomicUsize::new(0),
            leased: Mutex::new(Use { mode, since: Instant::now(), kept: None }),
            held: ArcSwapOption::empty(),
            number: AtomicU64::new(0),
            opening: tokio::sync::Mutex::new(()),
        });
        group.push(Arc::clone(&slot));
        group.sort_by_key(|slot| slot.index);
        inner.count += 1;
        Some(self.lease(slot, mode))
    }

    /// Only under the lock of `inner`.
    fn lease(self: &Arc<Self>, slot: Arc<Slot<T>>, mode: Mode) -> Lease<K, T> {
        slot.users.fetch_add(1, Ordering::Relaxed);
        slot.used().mode = mode;
        Lease { slots: Arc::clone(self), slot }
    }

    /// What had this number, if it is still there, beside whoever uses it.
    pub(crate) fn there(self: &Arc<Self>, number: u64) -> Option<(Lease<K, T>, Arc<T>)> {
        let inner = self.lock();
        let mut all = inner.groups.values().flatten();
        let slot = all.find(|slot| slot.number.load(Ordering::Relaxed) == number)?;
        let held = slot.current()?;
        slot.users.fetch_add(1, Ordering::Relaxed);
        Some((Lease { slots: Arc::clone(self), slot: Arc::clone(slot) }, held))
    }

    /// Every session that lives under this key.
    pub(crate) fn of_key(&self, key: &K) -> Vec<Arc<T>> {
        let inner = self.lock();
        let group = inner.groups.get(key).map(Vec::as_slice).unwrap_or_default();
        group.iter().filter_map(|slot| slot.held.load_full()).filter(|held| held.alive()).collect()
    }

    /// The first session that lives under this key, whoever uses it; waits until there is one, and opens none.
    pub(crate) async fn living(&self, key: &K) -> Arc<T> {
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if let Some(first) = self.of_key(key).into_iter().next() {
                return first;
            }
            opened.await;
        }
    }

    /// Takes away what nobody used for this long, and closes it.
    pub(crate) fn reap(&self, idle: Duration) {
        let mut inner = self.lock();
        let mut removed = 0;
        inner.groups.retain(|_, group| {
            group.retain(|slot| {
                let keep = slot.busy() || slot.used().since.elapsed() < idle;
                if !keep {
                    removed += 1;
                    slot.close();
                }
                keep
            });
            !group.is_empty()
        });
        inner.count -= removed;
    }
}

fn pick<T: Held>(group: &[Arc<Slot<T>>], mode: Mode) -> Option<Arc<Slot<T>>> {
    let fits = |slot: &&Arc<Slot<T>>| {
        let free = slot.users.load(Ordering::Relaxed) == 0;
        free || (mode == Mode::Shared && slot.used().mode == Mode::Shared)
    };
    group.iter().find(fits).cloned()
}

/// Makes room by closing the place that has been idle for the longest time.
fn evict_oldest<K: Eq + Hash + Clone, T: Held>(inner: &mut Inner<K, T>) -> bool {
    let idle = inner.groups.iter().flat_map(|(key, group)| group.iter().map(move |slot| (key, slot)));
    let oldest = idle.filter(|(_, slot)| !slot.busy()).min_by_key(|(_, slot)| slot.used().since);
    let Some((key, slot)) = oldest.map(|(key, slot)| (key.clone(), Arc::clone(slot))) else { return false };
    if let Some(group) = inner.groups.get_mut(&key) {
        group.retain(|other| !Arc::ptr_eq(other, &slot));
        if group.is_empty() {
            inner.groups.remove(&key);
        }
    }
    inner.count -= 1;
    slot.close();
    true
}

impl<T: Held> Slot<T> {
    fn used(&self) -> std::sync::MutexGuard<'_, Use> {
        self.leased.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> bool {
        let kept = || self.used().kept.is_some_and(|until| Instant::now() < until);
        let needed = || self.current().is_some_and(|held| held.needed() || kept());
        self.users.load(Ordering::Relaxed) > 0 || needed()
    }

    fn current(&self) -> Option<Arc<T>> {
        self.held.load_full().filter(|held| held.alive())
    }

    fn close(&self) {
        if let Some(held) = self.held.swap(None) {
            held.close();
        }
    }
}

impl<K: Eq + Hash + Clone, T: Held> Lease<K, T> {
    /// The session in this place; opened now if there is none. Several calls that find none open one between them.
    pub(crate) async fn get<'a, E>(
        &self,
        open: impl FnOnce() -> BoxFuture<'a, Result<Arc<T>, E>>,
    ) -> Result<Arc<T>, E> {
        if let Some(held) = self.slot.current() {
            return Ok(held);
        }
        let _opening = self.slot.opening.lock().await;
        if let Some(held) = self.slot.current() {
            return Ok(held);
        }
        let fresh = open().await?;
        self.slot.number.store(self.slots.numbers.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.slot.used().kept = None;
        self.slot.held.store(Some(Arc::clone(&fresh)));
        self.slots.opened.notify_waiters();
        Ok(fresh)
    }

    /// The number of what is held here.
    pub(crate) fn number(&self) -> u64 {
        self.slot.number.load(Ordering::Relaxed)
    }

    /// Keeps what is held here for this long, whether it is used or not.
    pub(crate) fn keep(&self, ttl: Duration) {
        let until = Instant::now() + ttl;
        let mut used = self.slot.used();
        used.kept = Some(used.kept.map_or(until, |known| known.max(until)));
    }
}

impl<K: Eq + Hash + Clone, T: Held> Drop for Lease<K, T> {
    fn drop(&mut self) {
        let _inner = self.slots.lock();
        self.slot.used().since = Instant::now();
        if self.slot.users.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.slots.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    struct Fake(AtomicBool, usize);

    impl Held for Fake {
        fn alive(&self) -> bool {
            !self.0.load(Ordering::Relaxed)
        }
        fn close(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    async fn fill(lease: &Lease<u8, Fake>, number: usize) -> Arc<Fake> {
        let fresh = async move { Ok::<_, ()>(Arc::new(Fake(AtomicBool::new(false), number))) };
        lease.get(|| Box::pin(fresh)).await.unwrap()
    }

    const NOW: Duration = Duration::ZERO;

    #[tokio::test(start_paused = true)]
    async fn calls_one_after_another_meet_the_same_session() {
        let slots = Slots::new(4, 4);
        for _ in 0..3 {
            let lease = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
            assert_eq!(fill(&lease, 7).await.1, 7);
        }
        assert_eq!(slots.count(), 1);
        let first = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        let second = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        assert_eq!((first.slot.index, second.slot.index), (0, 1));
        drop(first);
        assert_eq!(slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap().slot.index, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn shared_calls_pile_up_on_one_session_but_not_on_a_leased_one() {
        let slots: Arc<Slots<u8, Fake>> = Slots::new(4, 4);
        let exclusive = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        let a = slots.acquire(&1, Mode::Shared, NOW).await.unwrap();
        let b = slots.acquire(&1, Mode::Shared, NOW).await.unwrap();
        assert_eq!((exclusive.slot.index, a.slot.index, b.slot.index), (0, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_only_watches_waits_for_a_session_and_takes_no_place() {
        let slots = Slots::new(1, 1);
        let living = slots.living(&1);
        tokio::pin!(living);
        assert!(futures_util::poll!(living.as_mut()).is_pending());
        let other = slots.acquire(&2, Mode::Exclusive, NOW).await.unwrap();
        fill(&other, 1).await;
        drop(other);
        assert!(futures_util::poll!(living.as_mut()).is_pending(), "of another key");
        let lease = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        fill(&lease, 2).await;
        assert_eq!(living.await.1, 2);
        assert_eq!(slots.living(&1).await.1, 2, "though it is leased");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pool_lets_the_longest_idle_leave_and_else_waits() {
        let slots = Slots::new(2, 2);
        let first = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        let old = fill(&first, 1).await;
        drop(first);
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = slots.acquire(&2, Mode::Exclusive, NOW).await.unwrap();
        let third = slots.acquire(&3, Mode::Exclusive, NOW).await.unwrap();
        assert!(!old.alive(), "the idle one has left");
        assert_eq!(slots.acquire(&4, Mode::Exclusive, NOW).await.map(|_| ()).unwrap_err(), Full);
        let waiting = slots.acquire(&4, Mode::Exclusive, Duration::from_secs(5));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(second);
        assert!(waiting.await.is_ok());
        drop(third);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_found_by_its_number_and_by_nothing_else() {
        let slots = Slots::new(2, 2);
        let lease = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        let first = fill(&lease, 1).await;
        let number = lease.number();
        assert_eq!(slots.there(number).unwrap().1.1, 1, "beside an exclusive call");
        lease.keep(Duration::from_secs(10));
        drop(lease);
        slots.reap(NOW);
        assert!(slots.there(number).is_some(), "kept");
        tokio::time::advance(Duration::from_secs(11)).await;
        slots.reap(NOW);
        assert!(slots.there(number).is_none() && !first.alive());
        let again = slots.acquire(&1, Mode::Exclusive, NOW).await.unwrap();
        fill(&again, 2).await;
        assert_ne!(again.number(), number);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_sessions_leave_and_dead_ones_are_replaced() {
        let slots = Slots::new(2, 2);
        let lease = slots.acquire(&1, Mode::Shared, NOW).await.unwrap();
        let first = fill(&lease, 1).await;
        first.close();
        assert_eq!(fill(&lease, 2).await.1, 2);
        slots.reap(NOW);
        assert_eq!(slots.count(), 1, "used ones stay");
        drop(lease);
        slots.reap(Duration::from_secs(60));
        assert_eq!(slots.count(), 1, "not idle for long enough");
        tokio::time::advance(Duration::from_secs(61)).await;
        slots.reap(Duration::from_secs(60));
        assert_eq!(slots.count(), 0);
    }
}

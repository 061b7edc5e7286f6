//! Where one listener's notices wait until it reads them. Nothing is lost for one who reads slowly: notices that say the
//! same are told once, so that what waits is bounded by what was asked for.

use crate::listen::{MAX_URIS, Wanted, updated};
use futures_util::task::AtomicWaker;
use portreeve_mcp::{Text, service::Notice};
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
};

/// A listener's place. One task reads it at a time.
pub(super) struct Seat {
    inner: Mutex<Inner>,
    waker: AtomicWaker,
}

struct Inner {
    wanted: Wanted,
    /// The listener has been told what is watched: whatever is missed from now on has to be made up for.
    told: bool,
    waiting: VecDeque<Notice>,
}

impl Seat {
    pub(super) fn new(wanted: Wanted) -> Self {
        let inner = Inner { wanted, told: false, waiting: VecDeque::new() };
        Self { inner: Mutex::new(inner), waker: AtomicWaker::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn uris(&self) -> Vec<Text> {
        self.lock().wanted.uris.clone()
    }

    /// Adds a resource; whether it is new. `None`: there are too many.
    pub(super) fn add(&self, uri: &Text) -> Option<bool> {
        let mut inner = self.lock();
        if inner.wanted.uris.contains(uri) {
            return Some(false);
        }
        if inner.wanted.uris.len() >= MAX_URIS {
            return None;
        }
        inner.wanted.uris.push(uri.clone());
        Some(true)
    }

    /// Takes a resource away; whether it was there.
    pub(super) fn remove(&self, uri: &Text) -> bool {
        let mut inner = self.lock();
        let before = inner.wanted.uris.len();
        inner.wanted.uris.retain(|known| known != uri);
        let Inner { wanted, waiting, .. } = &mut *inner;
        waiting.retain(|notice| wanted.wants(notice));
        inner.wanted.uris.len() < before
    }

    /// The listener knows what it will be told of.
    pub(super) fn told(&self) {
        self.lock().told = true;
    }

    /// Something happened.
    pub(super) fn tell(&self, notice: &Notice) {
        let mut inner = self.lock();
        if inner.wanted.wants(notice) {
            inner.push(notice.clone());
            drop(inner);
            self.waker.wake();
        }
    }

    /// Something may have happened that nobody saw.
    pub(super) fn may_have_missed(&self) {
        let mut inner = self.lock();
        if inner.told {
            let missed: Vec<Notice> = inner.wanted.missed().collect();
            missed.into_iter().for_each(|notice| inner.push(notice));
            drop(inner);
            self.waker.wake();
        }
    }

    /// The next notice.
    pub(super) async fn next(&self) -> Notice {
        poll_fn(|context| {
            self.waker.register(context.waker());
            self.lock().waiting.pop_front().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Inner {
    fn push(&mut self, notice: Notice) {
        // Parts of resources may have any number of names; too many at once are told as their whole.
        let notice = match &notice {
            Notice::ResourceUpdated { uri, .. } if self.waiting.len() > 2 * MAX_URIS => {
                self.wanted.watched(uri).map_or(notice, updated)
            }
            _ => notice,
        };
        match self.waiting.iter_mut().find(|waiting| same(waiting, &notice)) {
            Some(waiting) => *waiting = notice,
            None => self.waiting.push_back(notice),
        }
    }
}

/// Whether telling both says no more than telling the later one.
pub(super) fn same(one: &Notice, other: &Notice) -> bool {
    match (one, other) {
        (Notice::ResourceUpdated { uri: one, .. }, Notice::ResourceUpdated { uri: other, .. }) => {
            one == other
        }
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn read(seat: &Seat) -> Vec<Notice> {
        std::iter::from_fn(|| seat.next().now_or_never()).collect()
    }

    #[test]
    fn one_who_reads_slowly_hears_of_everything_once_and_in_order() {
        let seat =
            Seat::new(Wanted { tools: true, uris: vec!["a:1".into(), "a:2".into()], ..Wanted::default() });
        let (one, two) = (updated(&"a:1".into()), updated(&"a:2".into()));
        for _ in 0..10_000 {
            for notice in
                [&two, &Notice::ToolsChanged, &one, &Notice::PromptsChanged, &updated(&"b:1".into())]
            {
                seat.tell(notice);
            }
        }
        assert_eq!(read(&seat), [two.clone(), Notice::ToolsChanged, one]);
        seat.tell(&two);
        assert_eq!(read(&seat), [two]);
    }

    #[test]
    fn what_waits_is_bounded_whatever_a_server_names() {
        let seat = Seat::new(Wanted { uris: vec!["a:/".into()], ..Wanted::default() });
        for part in 0..20_000 {
            seat.tell(&updated(&format!("a:/{part}").into()));
        }
        let heard = read(&seat);
        assert!(heard.len() <= 2 * MAX_URIS + 2, "{}", heard.len());
        assert!(heard.contains(&updated(&"a:/".into())), "the rest is told as the whole");
    }

    #[test]
    fn what_is_not_wanted_any_more_is_not_told() {
        let seat = Seat::new(Wanted { uris: vec!["a:1".into(), "a:2".into()], ..Wanted::default() });
        seat.tell(&updated(&"a:1".into()));
        seat.tell(&updated(&"a:2".into()));
        assert!(seat.remove(&"a:1".into()) && !seat.remove(&"a:1".into()));
        assert_eq!(read(&seat), [updated(&"a:2".into())]);
    }

    #[test]
    fn only_one_who_was_told_what_is_watched_can_have_missed_it() {
        let seat = Seat::new(Wanted::lists());
        seat.may_have_missed();
        assert_eq!(read(&seat), []);
        seat.told();
        seat.may_have_missed();
        assert_eq!(read(&seat), [Notice::ToolsChanged, Notice::PromptsChanged, Notice::ResourcesChanged]);
    }
}

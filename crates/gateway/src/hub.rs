//! One watch of a server for all who listen to it: modern streams, sessions of legacy clients, and the catalogue. The
//! server is asked for what any of them wants, and each hears what it wants (reference: mcp.md 4.5).
//! Who may hear of what is decided before a listener comes here; how a server is watched is its connector's business.

mod driver;
mod seat;
#[cfg(test)]
mod tests;

use crate::{aggregate::Circle, listen::Wanted, server::Server};
use driver::Driver;
use foldhash::{HashMap, HashSet};
use portreeve_mcp::{
    ClientCapabilities, Era, Text,
    service::{Description, Notice},
};
use portreeve_model::IsolationKey;
use seat::Seat;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a server may take to confirm what it watches; after that a stream opens with what is certain.
const CONFIRM: Duration = Duration::from_secs(5);
/// How long a watch stays as it is after a listener has gone: one that comes back finds it standing.
const LINGER: Duration = Duration::from_secs(5);
/// How long a server is watched for the catalogue alone after a list was fetched from it.
const KEEP: Duration = Duration::from_secs(10 * 60);
/// How many watches of one server are held for the catalogue alone; other lists go by their age.
const MAX_KEPT: usize = 1024;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose view of a server: servers may show more to those who can be asked more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Whose {
    pub(crate) isolation: IsolationKey,
    pub(crate) capabilities: ClientCapabilities,
    /// Who it is, where several servers are watched together.
    pub(crate) circle: Option<Circle>,
}

impl Whose {
    /// Who shares a watch. A legacy server's session belongs to what its client can be asked, and is watched itself;
    /// others are watched once for everybody of the isolation key.
    pub(crate) fn of_watch(
        isolation: &IsolationKey,
        capabilities: &ClientCapabilities,
        description: &Description,
    ) -> Self {
        let capabilities = match description.era {
            Some(Era::Legacy) => capabilities.clone(),
            Some(Era::Modern) | None => ClientCapabilities::none(),
        };
        Self { isolation: isolation.clone(), capabilities, circle: None }
    }
}

/// The watches of one server.
pub(crate) struct Hub {
    lines: Mutex<HashMap<Whose, Arc<Line>>>,
    tracker: TaskTracker,
    /// Cancelled when the server is not served any more, or not in this shape: nothing is heard here from then on.
    retired: CancellationToken,
}

/// One watch, and who hears of it. Locks are taken in this order: [`Hub::lines`], [`Line::state`], the seat's.
struct Line {
    key: Whose,
    state: Mutex<State>,
    /// What is wanted has changed, or somebody has gone.
    changed: Notify,
    stand: watch::Sender<Stand>,
    retired: CancellationToken,
}

struct State {
    seats: HashMap<u64, Arc<Seat>>,
    last_seat: u64,
    /// How many listeners want each resource.
    wants: HashMap<Text, usize>,
    /// Counts the changes of `wants`.
    wish: u64,
    /// The watch is not made smaller or ended before.
    linger: Instant,
    /// A client said that it no longer wants a resource: nothing to wait for.
    at_once: bool,
    kept_until: Instant,
}

/// What the server is known to watch.
#[derive(Clone, Default)]
struct Stand {
    up: bool,
    /// The wish that was carried out.
    wish: u64,
    uris: Arc<HashSet<Text>>,
}

impl Hub {
    pub(crate) fn new(tracker: TaskTracker, shutdown: &CancellationToken) -> Self {
        Self { lines: Mutex::default(), tracker, retired: shutdown.child_token() }
    }

    /// Nobody hears anything here any more: who listens looks for what is served instead.
    pub(crate) fn retire(&self) {
        self.retired.cancel();
    }

    /// A new listener. From now on, everything that it wants and the watch hears waits for it.
    pub(crate) fn join(&self, server: &Arc<Server>, key: &Whose, wanted: Wanted) -> Listener {
        let mut lines = lock(&self.lines);
        let line = lines.get(key).cloned().unwrap_or_else(|| self.open(&mut lines, server, key));
        let seat = Arc::new(Seat::new(wanted));
        let mut state = lock(&line.state);
        state.last_seat += 1;
        let number = state.last_seat;
        state.seats.insert(number, seat.clone());
        state.want(&seat.uris());
        drop(state);
        line.changed.notify_one();
        Listener { line, seat, number }
    }

    /// Watches for the catalogue's sake, for a while: a list has just been fetched.
    pub(crate) fn keep(&self, server: &Arc<Server>, key: &Whose) {
        let mut lines = lock(&self.lines);
        let line = match lines.get(key) {
            Some(line) => line.clone(),
            None if lines.len() >= MAX_KEPT => return,
            None => self.open(&mut lines, server, key),
        };
        lock(&line.state).kept_until = Instant::now() + KEEP;
    }

    fn open(&self, lines: &mut HashMap<Whose, Arc<Line>>, server: &Arc<Server>, key: &Whose) -> Arc<Line> {
        let line = Arc::new(Line::new(key.clone(), self.retired.clone()));
        lines.insert(key.clone(), line.clone());
        self.spawn(Driver::new(server.clone(), line.clone()).run());
        line
    }

    /// Does something for the server's sake, as long as it is served.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let retired = self.retired.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = work => {}
                () = retired.cancelled() => {}
            }
        });
    }

    /// Forgets a watch that nobody needs; `false` if somebody does.
    fn close(&self, line: &Arc<Line>) -> bool {
        let mut lines = lock(&self.lines);
        if lock(&line.state).is_needed(Instant::now()) {
            return false;
        }
        lines.remove(&line.key);
        true
    }
}

impl Line {
    fn new(key: Whose, retired: CancellationToken) -> Self {
        let now = Instant::now();
        let state = State {
            seats: HashMap::default(),
            last_seat: 0,
            wants: HashMap::default(),
            wish: 0,
            linger: now,
            at_once: false,
            kept_until: now,
        };
        Self {
            key,
            state: Mutex::new(state),
            changed: Notify::new(),
            stand: watch::Sender::new(Stand::default()),
            retired,
        }
    }

    fn tell(&self, notice: &Notice) {
        lock(&self.state).seats.values().for_each(|seat| seat.tell(notice));
    }

    fn may_have_missed(&self) {
        lock(&self.state).seats.values().for_each(|seat| seat.may_have_missed());
    }
}

impl State {
    fn want(&mut self, uris: &[Text]) {
        for uri in uris {
            let count = self.wants.entry(uri.clone()).or_default();
            *count += 1;
            self.wish += u64::from(*count == 1);
        }
    }

    fn unwant(&mut self, uris: &[Text]) {
        for uri in uris {
            if let Some(count) = self.wants.get_mut(uri) {
                *count -= 1;
                if *count == 0 {
                    self.wants.remove(uri);
                    self.wish += 1;
                }
            }
        }
    }

    fn is_needed(&self, now: Instant) -> bool {
        !self.seats.is_empty() || now < self.kept_until || now < self.linger
    }
}

/// One who listens, until dropped.
pub(crate) struct Listener {
    line: Arc<Line>,
    seat: Arc<Seat>,
    number: u64,
}

impl Listener {
    /// The next notice of what is wanted; `None` when nothing can come any more, because the server is not served any
    /// more in this shape.
    pub(crate) async fn next(&self) -> Option<Notice> {
        tokio::select! {
            biased;
            notice = self.seat.next() => Some(notice),
            () = self.line.retired.cancelled() => None,
        }
    }

    /// The resources that it wants to hear of.
    pub(crate) fn uris(&self) -> Vec<Text> {
        self.seat.uris()
    }

    /// Waits until the server has confirmed what is wanted, though not for ever. What it did not confirm is not wanted
    /// any more; gives what is. From now on everything that may have been missed is made up for.
    pub(crate) async fn confirm(&self) -> Vec<Text> {
        let mut uris = self.seat.uris();
        let watched = self.watched(&uris).await;
        let (kept, refused): (Vec<Text>, _) = uris.drain(..).partition(|uri| watched.contains(uri));
        refused.iter().for_each(|uri| self.remove(uri));
        self.seat.told();
        kept
    }

    /// Wants a resource as well; whether the server confirmed that it watches it.
    pub(crate) async fn add(&self, uri: &Text) -> bool {
        match self.seat.add(uri) {
            None => return false,
            Some(false) => {}
            Some(true) => {
                lock(&self.line.state).want(std::slice::from_ref(uri));
                self.line.changed.notify_one();
            }
        }
        let watched = self.watched(std::slice::from_ref(uri)).await.contains(uri);
        if watched {
            self.seat.told();
        } else {
            self.remove(uri);
        }
        watched
    }

    /// Does not want a resource any more.
    pub(crate) fn remove(&self, uri: &Text) {
        if !self.seat.remove(uri) {
            return;
        }
        let mut state = lock(&self.line.state);
        state.unwant(std::slice::from_ref(uri));
        state.at_once = true;
        drop(state);
        self.line.changed.notify_one();
    }

    /// Something may have happened before it was here.
    pub(crate) fn may_have_missed(&self) {
        self.seat.told();
        self.seat.may_have_missed();
    }

    /// Whether it wants to hear of any resource.
    pub(crate) fn has_resources(&self) -> bool {
        !self.seat.uris().is_empty()
    }

    /// What the server watches, once it knows of these or has had its time.
    async fn watched(&self, uris: &[Text]) -> Arc<HashSet<Text>> {
        let wish = lock(&self.line.state).wish;
        let mut stand = self.line.stand.subscribe();
        let known = |stand: &Stand| {
            stand.up && (stand.wish >= wish || uris.iter().all(|uri| stand.uris.contains(uri)))
        };
        let waited = tokio::time::timeout(CONFIRM, stand.wait_for(known)).await;
        match waited {
            Ok(Ok(stand)) => stand.uris.clone(),
            Ok(Err(_)) | Err(_) => self.line.stand.borrow().uris.clone(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut state = lock(&self.line.state);
        state.seats.remove(&self.number);
        state.unwant(&self.seat.uris());
        state.linger = Instant::now() + LINGER;
        drop(state);
        self.line.changed.notify_one();
    }
}

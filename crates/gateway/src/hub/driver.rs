//! The task behind one watch: asks the server for what the listeners want together, and tells them what it says.
//! What is wanted cannot be changed on a watch that stands, so another one is opened first, and the older one is heard
//! for a moment longer: nothing that happens meanwhile is lost.

use super::{Line, Stand, lock, seat::same};
use crate::server::Server;
use foldhash::HashSet;
use futures_util::StreamExt;
use portreeve_mcp::{
    Text,
    service::{Notice, Watch, WatchFilter},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a watch that has been replaced is heard after it last said something.
const OVERLAP: Duration = Duration::from_secs(1);
/// How long it is heard at most, however much it says.
const LONGEST_OVERLAP: Duration = Duration::from_secs(10);
/// How long after its end a watch is opened again; twice as long each time that nothing comes of it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(super) struct Driver {
    server: Arc<Server>,
    line: Arc<Line>,
    current: Option<Standing>,
    opening: Option<Opening>,
    leaving: Option<Leaving>,
    again: Pause,
    /// The last wish, by its number.
    wanted: (u64, Arc<HashSet<Text>>),
}

struct Opening {
    watch: Watch,
    asked: Arc<HashSet<Text>>,
    wish: u64,
}

struct Standing {
    watch: Watch,
    /// Without what was refused and nobody wants any more: it is asked for again when somebody does.
    asked: HashSet<Text>,
    honoured: Arc<HashSet<Text>>,
}

/// A watch that has been replaced.
struct Leaving {
    watch: Watch,
    until: Instant,
    latest: Instant,
    /// By how many notices of a sort this watch is ahead of the one that replaced it (or behind, if negative).
    ahead: Vec<(Notice, i64)>,
}

/// When to open a watch again that has ended, and whether one has.
struct Pause {
    until: Instant,
    length: Duration,
    /// There was a watch, and whatever happened since is unknown.
    fallen: bool,
}

/// What listeners want, all together.
struct Wish {
    uris: Arc<HashSet<Text>>,
    number: u64,
    /// A smaller watch may be asked for.
    may_shrink: bool,
    /// When it may, or when the watch may not be needed any more.
    look_again: Instant,
}

impl Driver {
    pub(super) fn new(server: Arc<Server>, line: Arc<Line>) -> Self {
        let again = Pause { until: Instant::now(), length: SHORTEST_PAUSE, fallen: false };
        let wanted = (0, Arc::default());
        Self { server, line, current: None, opening: None, leaving: None, again, wanted }
    }

    pub(super) async fn run(mut self) {
        loop {
            let Some(wish) = self.wish() else { break };
            self.ask(&wish);
            let until = self.next_look(&wish);
            tokio::select! {
                // The order of the newer watch is the order in which things are told.
                biased;
                notice = next(self.current.as_mut().map(|current| &mut current.watch)) => self.current_says(notice),
                notice = next(self.leaving.as_mut().map(|leaving| &mut leaving.watch)) => self.leaving_says(notice),
                notice = next(self.opening.as_mut().map(|opening| &mut opening.watch)) => self.opening_says(notice),
                () = self.line.changed.notified() => {}
                () = tokio::time::sleep_until(until) => self.time_passed(),
            }
        }
        // Nobody tells of changes any more.
        self.lists_are_old();
    }

    /// What is wanted now; `None` if nobody is there any more, and the line is gone.
    fn wish(&mut self) -> Option<Wish> {
        let now = Instant::now();
        loop {
            let mut state = lock(&self.line.state);
            if state.is_needed(now) {
                if self.wanted.0 != state.wish {
                    self.wanted = (state.wish, Arc::new(state.wants.keys().cloned().collect()));
                }
                let may_shrink = state.at_once || now >= state.linger;
                // While a watch is being opened this has to wait for the next one.
                state.at_once &= self.opening.is_some();
                let ends = [state.linger, state.kept_until].into_iter().filter(|end| *end > now).min();
                let look_again = ends.unwrap_or(now + LONGEST_PAUSE);
                return Some(Wish {
                    uris: self.wanted.1.clone(),
                    number: state.wish,
                    may_shrink,
                    look_again,
                });
            }
            drop(state);
            if self.server.hub.close(&self.line) {
                return None;
            }
        }
    }

    /// Opens the watch that is wanted, unless it stands or is being opened.
    fn ask(&mut self, wish: &Wish) {
        if self.opening.is_some() || Instant::now() < self.again.until {
            return;
        }
        let needed = self.current.as_mut().is_none_or(|current| {
            current.asked.retain(|uri| current.honoured.contains(uri) || wish.uris.contains(uri));
            let larger = !wish.uris.is_subset(&current.asked);
            larger || (wish.may_shrink && !current.honoured.is_subset(&wish.uris))
        });
        if needed {
            let filter = WatchFilter { resources: wish.uris.iter().cloned().collect() };
            let watch = self.server.watch(&self.line.key, filter);
            self.opening = Some(Opening { watch, asked: wish.uris.clone(), wish: wish.number });
        }
    }

    fn next_look(&self, wish: &Wish) -> Instant {
        let again = Some(self.again.until).filter(|until| *until > Instant::now());
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        [again, leaving].into_iter().flatten().fold(wish.look_again, Instant::min)
    }

    fn time_passed(&mut self) {
        self.leaving.take_if(|leaving| Instant::now() >= leaving.until);
    }

    fn opening_says(&mut self, notice: Option<Notice>) {
        match notice {
            Some(Notice::Watching(uris)) => self.stands(uris),
            Some(Notice::Interrupted) => {}
            Some(notice) => self.tell(&notice),
            None => {
                self.opening = None;
                self.again.fallen |= self.current.is_none();
                self.pause();
            }
        }
    }

    /// The watch that was opened stands, and takes the place of the other one.
    fn stands(&mut self, uris: Vec<Text>) {
        let Some(opening) = self.opening.take() else { return };
        if self.current.is_some() && !self.is_large_enough(&opening) {
            // Somebody wants what only the older one watches: it stays until there is one for both.
            return;
        }
        let honoured = Arc::new(uris.into_iter().collect::<HashSet<Text>>());
        let stand = Stand { up: true, wish: opening.wish, uris: honoured.clone() };
        let standing = Standing { watch: opening.watch, asked: HashSet::clone(&opening.asked), honoured };
        match self.current.replace(standing) {
            Some(older) => {
                let now = Instant::now();
                let (until, latest) = (now + OVERLAP, now + LONGEST_OVERLAP);
                self.leaving = Some(Leaving { watch: older.watch, until, latest, ahead: Vec::new() });
            }
            None => self.missed(self.again.fallen),
        }
        self.again = Pause { until: Instant::now(), length: SHORTEST_PAUSE, fallen: false };
        self.line.stand.send_replace(stand);
    }

    fn is_large_enough(&self, opening: &Opening) -> bool {
        let state = lock(&self.line.state);
        let stand = self.line.stand.borrow();
        state.wants.keys().all(|uri| opening.asked.contains(uri) || !stand.uris.contains(uri))
    }

    fn current_says(&mut self, notice: Option<Notice>) {
        match notice {
            Some(Notice::Watching(uris)) => {
                let honoured: Arc<HashSet<Text>> = Arc::new(uris.into_iter().collect());
                if let Some(current) = &mut self.current {
                    current.honoured = honoured.clone();
                }
                self.line.stand.send_modify(|stand| stand.uris = honoured);
                self.missed(true);
            }
            // Nobody sees what happens now.
            Some(Notice::Interrupted) => self.lists_are_old(),
            Some(notice) => {
                if self.count(&notice, -1) {
                    self.tell(&notice);
                }
            }
            None => {
                self.current = None;
                self.again.fallen = true;
                self.line.stand.send_modify(|stand| {
                    stand.up = false;
                    stand.uris = Arc::default();
                });
                self.pause();
            }
        }
    }

    fn leaving_says(&mut self, notice: Option<Notice>) {
        match notice {
            // It had broken off when it was replaced.
            Some(Notice::Watching(_) | Notice::Interrupted) => {
                self.leaving = None;
                self.missed(true);
            }
            Some(notice) => {
                if self.count(&notice, 1) {
                    self.tell(&notice);
                }
            }
            None => self.leaving = None,
        }
    }

    /// While two watches are heard, the same news comes from both and is told once: whether this is the first to bring it.
    fn count(&mut self, notice: &Notice, step: i64) -> bool {
        let Some(leaving) = &mut self.leaving else { return true };
        let ahead = match leaving.ahead.iter_mut().find(|(known, _)| same(known, notice)) {
            Some((_, ahead)) => ahead,
            None => {
                leaving.ahead.push((notice.clone(), 0));
                match leaving.ahead.last_mut() {
                    Some((_, ahead)) => ahead,
                    None => return true,
                }
            }
        };
        let first = *ahead * step >= 0;
        *ahead += step;
        // What is not told now for being the same as before has to come from the other watch if it is not.
        leaving.until = (Instant::now() + OVERLAP).min(leaving.latest);
        first
    }

    fn tell(&self, notice: &Notice) {
        // Whoever hears of a change and lists again must not be given the old list (check 123).
        self.server.catalogue.invalidate(&self.line.key.isolation, notice);
        self.line.tell(notice);
    }

    fn lists_are_old(&self) {
        self.server.catalogue.invalidate(&self.line.key.isolation, &Notice::Interrupted);
    }

    /// The watch stands after a time in which nobody looked; lists may have been fetched before it (check 120).
    fn missed(&self, lists_are_old: bool) {
        if lists_are_old {
            self.lists_are_old();
        }
        self.line.may_have_missed();
    }

    fn pause(&mut self) {
        self.again.until = Instant::now() + self.again.length;
        self.again.length = (self.again.length * 2).min(LONGEST_PAUSE);
    }
}

async fn next(watch: Option<&mut Watch>) -> Option<Notice> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

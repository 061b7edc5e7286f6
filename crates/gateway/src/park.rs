//! Parked calls (reference: mcp.md 4.3.2): a legacy server waits for an answer while its modern client holds nothing but a
//! sealed `requestState`. A call waits here once, runs once, and its answer is kept for a while in case it got lost on the
//! way: the same retry twice executes once (check 102, decision D13).

use crate::{bridge::Need, exchange::Inner};
use foldhash::HashMap;
use portreeve_mcp::{Outcome, RawJson, RpcError, Text, service::AskKind};
use portreeve_model::{Principal, PrincipalId, ServerName};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

/// How long the answer of an ended call can be fetched again.
const GRACE: Duration = Duration::from_secs(60);
/// How many such answers are kept at most.
const MAX_OVER: usize = 4096;

/// A question of a parked call, as its client knows it.
#[derive(Debug, Clone)]
pub(crate) struct OpenQuestion {
    pub(crate) key: Text,
    pub(crate) kind: AskKind,
    pub(crate) need: Need,
}

/// How one round went on; whoever retries that round again gets the same.
pub(crate) type Settled = watch::Receiver<Option<Outcome>>;

/// A call that waits, and the timer that ends its waiting.
pub(crate) struct Parked {
    pub(crate) questions: Vec<OpenQuestion>,
    pub(crate) inner: Box<Inner>,
    pub(crate) timer: AbortHandle,
}

enum Stage {
    Waiting(Parked),
    Running,
    Over,
}

struct Entry {
    principal: PrincipalId,
    round: u32,
    /// When this round began to wait.
    since: Instant,
    stage: Stage,
    /// The round that was retried last and its end.
    last: Option<(u32, watch::Sender<Option<Outcome>>, Settled)>,
}

impl Entry {
    fn waits_at(&self, server: &ServerName) -> bool {
        matches!(&self.stage, Stage::Waiting(parked) if parked.inner.server.name() == server)
    }
}

/// All parked calls of this replica.
#[derive(Default)]
pub(crate) struct Parking {
    entries: Mutex<HashMap<u64, Entry>>,
    /// Ended calls in the order of their end.
    over: Mutex<VecDeque<(Instant, u64)>>,
}

/// What a retry meets.
pub(crate) enum Found {
    /// The call goes on.
    Resumed(Box<Inner>),
    /// The same retry is already under way or done: wait for its answer.
    Same(Settled),
    /// An answer has the wrong shape, or the client no longer offers what it is asked for; the call stays parked.
    BadAnswer(RpcError),
    /// No such call, or not this round.
    Gone,
}

impl Parking {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls wait, of this principal and altogether.
    pub(crate) fn waiting(&self, principal: &PrincipalId) -> (usize, usize) {
        let entries = self.lock();
        let waiting = entries.values().filter(|entry| matches!(entry.stage, Stage::Waiting(_)));
        waiting.fold((0, 0), |(own, all), entry| (own + usize::from(entry.principal == *principal), all + 1))
    }

    /// Whether a call waits at this server.
    pub(crate) fn is_waiting_at(&self, server: &ServerName) -> bool {
        self.lock().values().any(|entry| entry.waits_at(server))
    }

    /// Takes out the call that has waited longest at this server, if it has waited this long.
    pub(crate) fn give_way(&self, server: &ServerName, at_least: Duration) -> Option<Box<Inner>> {
        let mut entries = self.lock();
        let waiting =
            entries.iter().filter(|(_, entry)| entry.waits_at(server) && entry.since.elapsed() >= at_least);
        let oldest = waiting.min_by_key(|(_, entry)| entry.since).map(|(call, _)| *call)?;
        match entries.remove(&oldest)?.stage {
            Stage::Waiting(parked) => {
                parked.timer.abort();
                Some(parked.inner)
            }
            Stage::Running | Stage::Over => None,
        }
    }

    /// Parks a call for its next round; tells whoever waits for the round before that this is how it went on.
    pub(crate) fn park(
        &self,
        call: u64,
        round: u32,
        principal: &Principal,
        parked: Parked,
        answer: &RawJson,
    ) {
        let mut entries = self.lock();
        let stage = Stage::Waiting(parked);
        match entries.get_mut(&call) {
            Some(entry) => {
                if let Some((_, sender, _)) = &entry.last {
                    sender.send_replace(Some(Outcome::Result(answer.clone())));
                }
                entry.round = round;
                entry.since = Instant::now();
                entry.stage = stage;
            }
            None => {
                entries.insert(
                    call,
                    Entry {
                        principal: principal.id().clone(),
                        round,
                        since: Instant::now(),
                        stage,
                        last: None,
                    },
                );
            }
        }
    }

    /// Takes a parked call out for a retry of this round.
    pub(crate) fn resume(
        &self,
        call: u64,
        round: u32,
        check: impl Fn(&OpenQuestion) -> Result<(), RpcError>,
    ) -> Found {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&call) else { return Found::Gone };
        if let Some((last, _, settled)) = &entry.last
            && *last == round
        {
            return Found::Same(settled.clone());
        }
        if entry.round != round {
            return Found::Gone;
        }
        let Stage::Waiting(parked) = &entry.stage else { return Found::Gone };
        if let Some(fault) = parked.questions.iter().find_map(|question| check(question).err()) {
            return Found::BadAnswer(fault);
        }
        let Stage::Waiting(parked) = std::mem::replace(&mut entry.stage, Stage::Running) else {
            return Found::Gone;
        };
        parked.timer.abort();
        let (sender, settled) = watch::channel(None);
        entry.last = Some((round, sender, settled));
        Found::Resumed(parked.inner)
    }

    /// A call that is held nowhere is taken up under this key: whoever comes with the same state while it runs, or soon
    /// after, gets the same answer. `Some`: somebody has come before.
    pub(crate) fn take_up(&self, key: u64, principal: &Principal) -> Option<Settled> {
        let mut entries = self.lock();
        if let Some((_, _, settled)) = entries.get(&key).and_then(|entry| entry.last.as_ref()) {
            return Some(settled.clone());
        }
        let (sender, settled) = watch::channel(None);
        let entry = Entry {
            principal: principal.id().clone(),
            round: 0,
            since: Instant::now(),
            stage: Stage::Running,
            last: Some((0, sender, settled)),
        };
        entries.insert(key, entry);
        None
    }

    /// A resumed call has ended; its answer stays for a while.
    pub(crate) fn settle(&self, call: u64, outcome: &Outcome) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&call) else { return };
        entry.stage = Stage::Over;
        if let Some((_, sender, _)) = &entry.last {
            sender.send_replace(Some(outcome.clone()));
        }
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        over.push_back((Instant::now(), call));
        while over.len() > MAX_OVER || over.front().is_some_and(|(at, _)| at.elapsed() > GRACE) {
            if let Some((_, old)) = over.pop_front() {
                entries.remove(&old);
            }
        }
    }

    /// Whether somebody else waits for a running call besides the one who runs it.
    pub(crate) fn is_awaited(&self, call: u64) -> bool {
        // One receiver is the entry's own.
        self.lock()
            .get(&call)
            .and_then(|entry| entry.last.as_ref())
            .is_some_and(|(_, sender, _)| sender.receiver_count() > 1)
    }

    /// Forgets a call, whatever it does.
    pub(crate) fn forget(&self, call: u64) {
        self.lock().remove(&call);
    }

    /// Takes a call out whose time is over, if it still waits for that round.
    pub(crate) fn expire(&self, call: u64, round: u32) -> Option<Box<Inner>> {
        let mut entries = self.lock();
        let waits = entries
            .get(&call)
            .is_some_and(|entry| entry.round == round && matches!(entry.stage, Stage::Waiting(_)));
        if !waits {
            return None;
        }
        match entries.remove(&call)?.stage {
            Stage::Waiting(parked) => Some(parked.inner),
            Stage::Running | Stage::Over => None,
        }
    }
}

/// Waits for the end of a round that somebody else runs.
pub(crate) async fn settled(mut settled: Settled) -> Option<Outcome> {
    loop {
        if let Some(outcome) = settled.borrow_and_update().clone() {
            return Some(outcome);
        }
        settled.changed().await.ok()?;
    }
}

//! A list for one who asks many servers at once: a server that gives none is waited for once, and then left alone while it is
//! asked again in the background. Whoever comes meanwhile gets what is known, at once (reference: mcp.md 5.2, 5.6).
//! Who asks one server alone waits for it as ever; what comes of that counts here as well.

use super::{List, ListKind, Look, NoList, Partition, Slot, fresh};
use crate::server::Server;
use futures_channel::oneshot;
use futures_util::FutureExt;
use portreeve_mcp::{
    ClientCapabilities, Version,
    service::{Description, Failure, FailureKind, Notice},
};
use portreeve_model::IsolationKey;
use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long one who asks many servers waits for one of them: slow starts fit, and a person still waits for the list.
pub(crate) const BUDGET: Duration = Duration::from_secs(5);
/// When a server that failed is asked again; twice as long each time that it fails again.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long it is believed that a server does not have a list at all, unless it says that it changed.
const ABSENT: Duration = Duration::from_secs(60);

/// A server that gave no list.
pub(super) struct Away {
    no: NoList,
    since: Instant,
    /// It is not asked again before.
    until: Instant,
    pause: Duration,
    asking: Asking,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    No,
    /// Somebody waits for it in the background.
    Yes,
}

/// Everything of a [`Look`], for work that outlives the request.
struct Errand {
    server: Arc<Server>,
    isolation: IsolationKey,
    capabilities: ClientCapabilities,
    partition: Arc<Partition>,
    kind: ListKind,
    began: Instant,
}

impl Slot {
    fn away(&self) -> MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server gave its list.
    pub(super) fn came(&self) {
        *self.away() = None;
    }

    /// The server gave none.
    pub(super) fn failed(&self, no: &NoList) {
        let mut away = self.away();
        let pause = away.as_ref().map_or(SHORTEST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let now = Instant::now();
        let until = now + if no.is_absent() { ABSENT } else { pause };
        *away = Some(Away { no: no.clone(), since: now, until, pause, asking: Asking::No });
    }

    /// The server has not answered yet; whoever asked it goes on waiting in the background.
    fn slow(&self) -> NoList {
        let no = NoList::Failed(Failure::new(FailureKind::Unreachable, format!("no list within {BUDGET:?}")));
        let now = Instant::now();
        let mut away = self.away();
        let known = away.get_or_insert(Away {
            no,
            since: now,
            until: now + SHORTEST_PAUSE,
            pause: SHORTEST_PAUSE,
            // The next one to ask stands in line behind the one that is under way.
            asking: Asking::No,
        });
        known.no.clone()
    }

    /// The server said something: it is there, unless what it says is that nobody hears it.
    pub(super) fn may_be_back(&self, notice: &Notice) {
        let mut away = self.away();
        let absent = away.as_ref().is_some_and(|away| away.no.is_absent());
        if absent || !matches!(notice, Notice::Interrupted) {
            *away = None;
        }
    }

    /// Why there is no list since then.
    fn failed_since(&self, began: Instant) -> Option<NoList> {
        self.away().as_ref().filter(|away| away.since >= began).map(|away| away.no.clone())
    }
}

impl Partition {
    /// When a server that gave no list is asked again; `None` if it gave one.
    pub(crate) fn asked_again(&self, kind: ListKind) -> Option<Instant> {
        let slot = &self.slots[kind as usize];
        slot.away().as_ref().map(|away| match away.asking {
            Asking::No => away.until,
            // What comes of it is a change.
            Asking::Yes => Instant::now() + LONGEST_PAUSE,
        })
    }

    fn is_away(&self) -> bool {
        let failed = |away: &Away| !away.no.is_absent();
        self.slots.iter().any(|slot| slot.away().as_ref().is_some_and(failed))
    }
}

impl Look<'_> {
    /// The list within [`BUDGET`]; at once if the server failed a moment ago.
    pub(crate) async fn steady(
        &self,
        partition: &Arc<Partition>,
        kind: ListKind,
    ) -> Result<Arc<List>, NoList> {
        let slot = &partition.slots[kind as usize];
        if let Some(list) = fresh(slot) {
            return Ok(list);
        }
        if let Some(answer) = self.meanwhile(partition, kind) {
            return answer;
        }
        let (sender, receiver) = oneshot::channel();
        let errand = self.errand(partition, kind);
        self.server.hub.spawn(async move {
            // Whoever wanted it may have gone; the list is kept all the same.
            let _ = sender.send(errand.run().await);
        });
        let no = match tokio::time::timeout(BUDGET, receiver).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => {
                NoList::Failed(Failure::new(FailureKind::ShuttingDown, "the server is not served any more"))
            }
            Err(_) => {
                tracing::warn!(server = %self.server.name(), "its list did not come within {BUDGET:?}");
                slot.slow()
            }
        };
        slot.current.load_full().ok_or(no)
    }

    /// What is known while the server is away; has it asked again when it is time.
    fn meanwhile(&self, partition: &Arc<Partition>, kind: ListKind) -> Option<Result<Arc<List>, NoList>> {
        let slot = &partition.slots[kind as usize];
        let mut away = slot.away();
        let known = away.as_mut()?;
        let answer = slot.current.load_full().ok_or_else(|| known.no.clone());
        if known.asking == Asking::No && Instant::now() >= known.until {
            known.asking = Asking::Yes;
            drop(away);
            let errand = self.errand(partition, kind);
            self.server.hub.spawn(async move { drop(errand.run().await) });
        }
        Some(answer)
    }

    fn errand(&self, partition: &Arc<Partition>, kind: ListKind) -> Errand {
        Errand {
            server: self.server.clone(),
            isolation: self.isolation.clone(),
            capabilities: self.capabilities.clone(),
            partition: partition.clone(),
            kind,
            began: Instant::now(),
        }
    }

    /// What the server is, within [`BUDGET`]; one that failed a moment ago is not waited for.
    pub(crate) async fn describe(&self) -> Option<Arc<Description>> {
        let describing = self.server.describe(self.isolation.clone(), Version::NEWEST);
        let partition = self.partition();
        if partition.is_away() {
            return describing.now_or_never()?.ok();
        }
        match tokio::time::timeout(BUDGET, describing).await {
            Ok(Ok(description)) => Some(description),
            Ok(Err(failure)) => {
                partition.slots[ListKind::Tools as usize].failed(&NoList::Failed(failure));
                partition.changed();
                None
            }
            Err(_) => {
                let slow = Failure::new(FailureKind::Unreachable, format!("no answer within {BUDGET:?}"));
                partition.slots[ListKind::Tools as usize].failed(&NoList::Failed(slow));
                partition.changed();
                None
            }
        }
    }
}

impl Errand {
    async fn run(self) -> Result<Arc<List>, NoList> {
        let look =
            Look { server: &self.server, isolation: &self.isolation, capabilities: &self.capabilities };
        let slot = &self.partition.slots[self.kind as usize];
        let mut last = slot.fetching.lock().await;
        if let Some(list) = fresh(slot) {
            slot.came();
            return Ok(list);
        }
        // Others waited in the same line, and one of them is enough to find out that the server is down.
        if let Some(no) = slot.failed_since(self.began) {
            return slot.current.load_full().ok_or(no);
        }
        look.refresh(&self.partition, self.kind, &mut last).await
    }
}

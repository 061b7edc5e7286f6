//! The gateway: the life of a call from an identified caller to a server and back, and the bridge between the eras.
//! It knows no HTTP and no sockets: doors hand requests in and write out what an [`Exchange`] says.
//!
//! Reading order: [`call`] (the life of a call), `bridge` (where the eras meet), `exchange` (one call under way), `park`,
//! `aggregate`, `served` (what changes with the configuration), `session`, `ring` and `sending` (streams that can be taken up again), `catalogue`, `hub` and `listen`, `local`, `tasks`,
//! `server` (the only way to a server), `state` (what is sealed), `replicas` and [`hop`] (other processes of this gate), [`record`].

mod aggregate;
mod aim;
mod bridge;
pub mod call;
mod catalogue;
mod collect;
pub mod error;
mod exchange;
pub mod hop;
mod hub;
pub mod listen;
mod local;
mod park;
mod pipe;
mod rate;
pub mod record;
mod replicas;
mod retry;
mod ring;
mod sending;
mod served;
pub mod server;
mod session;
mod state;
mod tasks;
mod trace;

pub use call::{Headers, Inbound, ModernEnvelope, Reply, read_envelope, read_params};
pub use error::{Level, Refusal};
pub use exchange::{Exchange, Last, Out};
pub use listen::Updates;
pub use pipe::Pipe;
pub use record::{End, Record, Recorder};
pub use replicas::ReplicaSetup;
pub use ring::EventId;
pub use sending::{NotTakenUp, Sending, Sent, What};
pub use served::{Entry, Serving};
pub use server::{Eras, Isolation, Offer, Server, ServerSetup};
pub use session::{Session, Whereabouts};
pub use trace::{Span, Trace, Tracing};

use arc_swap::ArcSwap;
use hop::Seen;
use park::Parking;
use portreeve_model::{Limits, ReplicaId, RequestId, Timestamp};
use portreeve_seal::KeyRing;
use rate::Rates;
use replicas::Replicas;
use served::Served;
use session::Sessions;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Everything a gateway is made of.
pub struct Setup {
    /// What can change while it runs.
    pub serving: Serving,
    /// The keys of everything that is sealed.
    pub seals: KeyRing,
    /// This process, and how it reaches the others of its kind.
    pub replica: ReplicaSetup,
    /// What is accepted.
    pub limits: Limits,
    /// Which calls are traced; none: no call has a span, and contexts go on as they are.
    pub tracing: Option<Tracing>,
    /// Where records go.
    pub recorder: Arc<dyn Recorder>,
    /// Owner of every task.
    pub tracker: TaskTracker,
    /// Cancelled when everything ends.
    pub shutdown: CancellationToken,
}

/// One gate.
pub struct Gateway {
    served: ArcSwap<Served>,
    pub(crate) seals: KeyRing,
    pub(crate) replica: ReplicaId,
    pub(crate) replicas: Replicas,
    /// The requests of other replicas that were here already.
    pub(crate) seen: Seen,
    pub(crate) limits: Limits,
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) parking: Parking,
    /// Owner of what ends parked calls.
    pub(crate) waiting: TaskTracker,
    pub(crate) rates: Rates,
    pub(crate) sessions: Sessions,
    /// What the event streams of all sessions keep.
    pub(crate) replay: Arc<ring::Total>,
    pub(crate) tasks: tasks::Tasks,
    pub(crate) tracker: TaskTracker,
    pub(crate) shutdown: CancellationToken,
    /// Cancelled first: nothing is parked any more, streams end, what waits is answered.
    pub(crate) closing: CancellationToken,
    /// Cancelled with it, or a while later where others bring retries: nothing waits for answers any more.
    pub(crate) parking_ends: CancellationToken,
    requests: AtomicU64,
    numbers: AtomicU64,
}

impl Gateway {
    /// Makes a gate. No server is contacted (decision D20).
    pub fn new(setup: Setup) -> Arc<Self> {
        let hub = || hub::Hub::new(setup.tracker.clone(), &setup.shutdown);
        let served = Served::new(setup.serving, None, hub);
        let now = Timestamp::from_system(SystemTime::now()).0;
        let gateway = Arc::new(Self {
            served: ArcSwap::from_pointee(served),
            seals: setup.seals,
            replica: setup.replica.id.clone(),
            replicas: Replicas::new(setup.replica),
            seen: Seen::default(),
            rates: Rates::default(),
            replay: Arc::new(ring::Total::new(setup.limits.replay_total)),
            limits: setup.limits,
            tracing: setup.tracing,
            recorder: setup.recorder,
            parking: Parking::default(),
            waiting: TaskTracker::new(),
            sessions: Sessions::default(),
            tasks: tasks::Tasks::default(),
            closing: setup.shutdown.child_token(),
            parking_ends: setup.shutdown.child_token(),
            tracker: setup.tracker,
            shutdown: setup.shutdown,
            requests: AtomicU64::new(0),
            // Numbers of ours never repeat across restarts, as long as fewer than a million a second are drawn.
            numbers: AtomicU64::new(now.wrapping_mul(1000)),
        });
        if gateway.replicas.has_coordinator() {
            let announcing = replicas::announce(gateway.clone());
            gateway.tracker.spawn(announcing);
        }
        let weak = Arc::downgrade(&gateway);
        let shutdown = gateway.shutdown.clone();
        gateway.tracker.spawn(async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    _ = tick.tick() => {}
                    () = shutdown.cancelled() => return,
                }
                let Some(gateway) = weak.upgrade() else { return };
                gateway.sessions.sweep(gateway.now().0);
            }
        });
        gateway
    }

    /// What is accepted.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many legacy sessions hold live state.
    pub fn sessions(&self) -> usize {
        self.sessions.count()
    }

    /// Ends streams properly, stops parking and answers what waits (decision D57). Calls in flight go on.
    pub fn close(&self) {
        self.closing.cancel();
        if self.replicas.are_none() {
            self.parking_ends.cancel();
        }
    }

    /// One of several replicas can still be reached by the others after [`Self::close`]: parked calls wait a while longer for
    /// their retries, then they are answered as at any other end.
    pub async fn last_retries(&self, patience: Duration) {
        // Either all have come, or the rest is given up.
        let _ = tokio::time::timeout(patience, self.wound_up()).await;
        self.parking_ends.cancel();
    }

    /// Waits, after [`Self::close`], until every parked call has been answered and wound up.
    pub async fn wound_up(&self) {
        self.waiting.close();
        self.waiting.wait().await;
    }

    /// The owner of tasks that doors start.
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Cancelled when the gate closes.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_system(SystemTime::now())
    }

    pub(crate) fn next_request(&self) -> RequestId {
        RequestId(self.requests.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

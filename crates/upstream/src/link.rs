//! A line of messages in both directions that many calls share: a child's pipes, or the stream and the POSTs of HTTP+SSE.
//! Whoever carries it owns one task, reads the queue of what goes out, and hands in what comes; calls meet it through the
//! switchboard. It starts nothing and ends nothing itself.

pub(crate) mod call;
pub(crate) mod handshake;

use crate::{
    slots::Held,
    switchboard::{self, Completed, Entry, Notices, Peer, Role, Switchboard},
    wire,
};
use portreeve_mcp::{
    Frame, LogLevel, Outcome,
    service::{Description, Failure, FailureKind},
};
use portreeve_model::ServerName;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Messages that may wait for a server that does not take them.
const QUEUE: usize = 256;
/// How long something that nobody waits for may take.
const ASIDE: Duration = Duration::from_secs(10);

/// Whether the carrier learns what became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipts {
    /// A pipe takes bytes and says nothing.
    None,
    /// Each message is accepted or refused.
    Given,
}

/// What became of a message on its way; nothing comes if nobody knows.
pub(crate) type Receipt = oneshot::Receiver<Result<(), Failure>>;

/// A message on its way to the server.
pub(crate) struct Outgoing {
    message: Vec<u8>,
    told: Option<oneshot::Sender<Result<(), Failure>>>,
}

impl Outgoing {
    /// The bytes, for the wire; what became of them is still to be told.
    pub(crate) fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }

    /// What became of it. A refusal that nobody hears of goes to the log.
    pub(crate) fn settle(self, server: &ServerName, outcome: Result<(), Failure>) {
        let unheard = match self.told {
            Some(told) => told.send(outcome).err(),
            None => Some(outcome),
        };
        if let Some(Err(failure)) = unheard {
            tracing::warn!(%server, detail = failure.detail, "a message did not reach the server");
        }
    }
}

/// A place in the queue.
pub(crate) struct Room<'a> {
    permit: mpsc::Permit<'a, Outgoing>,
    receipts: Receipts,
}

impl Room<'_> {
    /// Puts a message into it.
    pub(crate) fn send(self, message: Vec<u8>) -> Option<Receipt> {
        let (told, receipt) = match self.receipts {
            Receipts::None => (None, None),
            Receipts::Given => {
                let (told, receipt) = oneshot::channel();
                (Some(told), Some(receipt))
            }
        };
        self.permit.send(Outgoing { message, told });
        receipt
    }
}

/// What a line is made with.
pub(crate) struct Setup<'a> {
    pub(crate) name: &'a ServerName,
    pub(crate) receipts: Receipts,
    pub(crate) tracker: &'a TaskTracker,
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) completed: &'a Completed,
    pub(crate) notices: Notices,
}

/// One end of a line: ours.
pub(crate) struct Link {
    pub(crate) name: ServerName,
    writer: mpsc::Sender<Outgoing>,
    receipts: Receipts,
    board: Switchboard,
    described: OnceLock<Arc<Description>>,
    obituary: OnceLock<String>,
    /// The first line of a child that was no message.
    noise: OnceLock<String>,
    level: AtomicU8,
    levelling: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    handle: tokio::runtime::Handle,
    /// Nobody wants it any more.
    unwanted: CancellationToken,
    /// It has ended.
    ended: CancellationToken,
}

impl Link {
    /// It said something that is no message.
    pub(crate) fn made_noise(&self, line: &str) {
        // The first line says enough.
        let _ = self.noise.set(line.to_owned());
    }

    /// What there is to say about its noise, for whoever wonders why it does not answer.
    pub(crate) fn noise(&self) -> String {
        let said = |line: &String| format!("; what it prints on stdout is no message: {line}");
        self.noise.get().map(said).unwrap_or_default()
    }

    /// A line, and the queue that its carrier reads. The carrier closes the queue when it takes no more messages.
    pub(crate) fn new(setup: Setup<'_>) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (writer, queue) = mpsc::channel(QUEUE);
        let link = Arc::new(Self {
            name: setup.name.clone(),
            writer,
            receipts: setup.receipts,
            board: Switchboard::new(
                setup.name.to_string(),
                setup.notices,
                Arc::new(AtomicBool::new(false)),
                setup.completed.clone(),
            ),
            described: OnceLock::new(),
            obituary: OnceLock::new(),
            noise: OnceLock::new(),
            level: AtomicU8::new(u8::MAX),
            levelling: tokio::sync::Mutex::new(()),
            tasks: setup.tracker.clone(),
            handle: tokio::runtime::Handle::current(),
            unwanted: setup.shutdown.child_token(),
            ended: CancellationToken::new(),
        });
        (link, queue)
    }

    /// What the server said that it is; only after its handshake.
    pub(crate) fn description(&self) -> Option<&Arc<Description>> {
        self.described.get()
    }

    /// The server has said what it is.
    pub(crate) fn describe(&self, description: Description) {
        let _ = self.described.set(Arc::new(description));
    }

    /// Sends one message: waits while the server takes none, and for its receipt where there is one.
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), Failure> {
        let Some(room) = self.room().await else { return Err(self.gone()) };
        match room.send(message) {
            Some(receipt) => receipt.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    /// A place in the queue to the server; `None` once it takes no more.
    pub(crate) async fn room(&self) -> Option<Room<'_>> {
        let permit = self.writer.reserve().await.ok()?;
        Some(Room { permit, receipts: self.receipts })
    }

    /// A message from the server.
    pub(crate) fn take(&self, message: Frame) {
        if let Some(answer) = self.board.route(message) {
            self.aside(answer);
        }
    }

    /// Waits until nobody wants it any more.
    pub(crate) async fn unwanted(&self) {
        self.unwanted.cancelled().await;
    }

    /// Whether it was let go from here; otherwise it ended by itself.
    pub(crate) fn was_let_go(&self) -> bool {
        self.unwanted.is_cancelled()
    }

    /// It has ended: every call in flight learns it.
    pub(crate) fn end(&self, why: String) {
        let _ = self.obituary.set(why);
        self.board.close();
        self.ended.cancel();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Why there is no answer.
    pub(crate) fn gone(&self) -> Failure {
        let why = self.obituary.get().map_or("the connection to the server has ended", String::as_str);
        Failure::new(FailureKind::OutcomeUnknown, why)
    }

    /// Makes the server as talkative as this call wants it (spec digest 4.5, logging).
    pub(crate) async fn set_level(&self, wanted: Option<LogLevel>, next_id: impl Fn() -> u64) {
        let Some(level) = wanted else { return };
        let enough = || level as u8 >= self.level.load(Ordering::Relaxed);
        let logs = || self.description().is_some_and(|it| wire::has_capability(it, &["logging"]));
        if !enough() && logs() {
            Box::pin(self.raise_level(level, next_id)).await;
        }
    }

    async fn raise_level(&self, level: LogLevel, next_id: impl Fn() -> u64) {
        let _levelling = self.levelling.lock().await;
        if level as u8 >= self.level.load(Ordering::Relaxed) {
            return;
        }
        let id = next_id();
        match self.exchange(id, wire::set_level(id, level)).await {
            Ok(Outcome::Result(_)) => self.level.store(level as u8, Ordering::Relaxed),
            other => tracing::debug!(server = %self.name, ?other, "logging/setLevel was not accepted"),
        }
    }

    /// Enters a call. `None`: the line has ended.
    pub(crate) fn enter(self: &Arc<Self>, id: u64, role: Role) -> Option<Entry<Self>> {
        switchboard::enter(self, id, role)
    }
}

impl Held for Link {
    fn alive(&self) -> bool {
        !self.unwanted.is_cancelled() && !self.writer.is_closed()
    }

    fn close(&self) {
        self.unwanted.cancel();
    }

    fn needed(&self) -> bool {
        // Lists of a child change by calls, and calls bring it back; a server elsewhere changes them by itself.
        let elsewhere = self.receipts == Receipts::Given;
        self.board.has_subscriptions() || (elsewhere && self.board.is_watched())
    }
}

impl Peer for Link {
    fn board(&self) -> &Switchboard {
        &self.board
    }

    fn own(&self, work: impl Future<Output = ()> + Send + 'static) {
        let bounded = async move {
            let _ = tokio::time::timeout(ASIDE, work).await;
        };
        self.tasks.spawn_on(bounded, &self.handle);
    }

    fn aside(&self, message: Vec<u8>) {
        if self.writer.try_send(Outgoing { message, told: None }).is_err() {
            tracing::debug!(server = %self.name, "the server takes no more messages; one is dropped");
        }
    }

    async fn exchange(&self, id: u64, message: Vec<u8>) -> Result<Outcome, Failure> {
        let waiting = self.board.expect(id).ok_or_else(|| self.gone())?;
        self.send(message).await?;
        waiting.await.map_err(|_| self.gone())
    }
}

/// Ends a line whose handshake is given up, also by whoever waited for it going away.
pub(crate) struct Closing(Option<Arc<Link>>);

impl Closing {
    pub(crate) fn new(link: &Arc<Link>) -> Self {
        Self(Some(Arc::clone(link)))
    }

    /// The handshake is done.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.close();
        }
    }
}

//! Which call a server's message belongs to, where the wire does not say: a child's stdout, the GET stream of a session.
//! Responses and progress carry a number of ours. A question carries nothing: it goes to a call only if that is the only
//! one in flight that can be asked; whoever else it was given to might be the wrong person (decision D12, check 112).
//! Nothing waits in here: a leg that does not keep up loses notifications, never answers or questions.

use crate::wire;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use portreeve_mcp::{
    ClientCapabilities, Ctx, Frame, Id, Method, Outcome, RawJson, Text, frame, meta,
    service::{AskKind, Failure, Notice},
};
use portreeve_model::IsolationKey;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{broadcast, mpsc, oneshot};

/// How many questions may wait for a call that can carry them (decision D1).
const MAX_HELD: usize = 8;
/// How many messages may wait for one leg. Beyond it notifications are dropped, and questions refused.
const INBOX: usize = 64;
/// Notices that a slow watcher may be behind before it is told that everything changed.
const NOTICES: usize = 256;

/// Where a server's notices go: one for each session, or one for several that are watched together.
#[derive(Clone)]
pub(crate) struct Notices(Arc<broadcast::Sender<Notice>>);

impl Notices {
    fn new() -> Self {
        Self(Arc::new(broadcast::channel(NOTICES).0))
    }

    fn hear(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }

    /// Whether anybody could tell or hear something besides the one who asks.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1 || self.0.receiver_count() > 0
    }
}

type NoticesOfKeys = HashMap<(IsolationKey, ClientCapabilities), Notices, foldhash::fast::RandomState>;

/// Where the sessions or children of one key tell their notices: who watches one of them watches all. A server that
/// tells each session of the same change is heard as often; one that tells only the session of a call is heard at all.
#[derive(Default)]
pub(crate) struct SharedNotices(Mutex<NoticesOfKeys>);

impl SharedNotices {
    pub(crate) fn of(&self, ctx: &Ctx) -> Notices {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, notices| notices.is_shared());
        all.entry((ctx.isolation.clone(), ctx.capabilities.clone())).or_insert_with(Notices::new).clone()
    }
}

/// Hears the notices of a session and of those that share them, and keeps the session for the sake of that.
pub(crate) struct Watching {
    notices: broadcast::Receiver<Notice>,
    _watched: Arc<()>,
}

impl Watching {
    pub(crate) async fn recv(&mut self) -> Result<Notice, broadcast::error::RecvError> {
        self.notices.recv().await
    }
}

/// A server at the other end of something that many calls share.
pub(crate) trait Peer: Send + Sync + 'static {
    /// Its calls.
    fn board(&self) -> &Switchboard;
    /// Sends a message that nobody waits for.
    fn aside(&self, message: Vec<u8>);
    /// Runs something that nobody waits for, owned by the program and bounded in time.
    fn own(&self, work: impl Future<Output = ()> + Send + 'static);
    /// A request of the connector's own: sends it, and waits for its answer.
    fn exchange(&self, id: u64, message: Vec<u8>) -> impl Future<Output = Result<Outcome, Failure>> + Send;
}

/// What a call in flight may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A call of a client that can be asked something.
    Askable,
    /// A call of a client that can not.
    Call,
    /// A request of the connector's own: nothing but its answer.
    Own,
}

struct Live {
    id: u64,
    role: Role,
    inbox: mpsc::Sender<Frame>,
    done: oneshot::Sender<Outcome>,
    /// The task whose questions it is there to hear.
    task: Option<Text>,
}

#[derive(Default)]
struct Calls {
    live: HashMap<u64, Live, foldhash::fast::RandomState>,
    held: VecDeque<Frame>,
    closed: bool,
}

/// Ids of URL elicitations that are done, of all sessions of one server: they are unique at the server, and who may hear
/// of one is who was told its id (spec 2025-11-25: client/elicitation).
#[derive(Clone)]
pub(crate) struct Completed(broadcast::Sender<Text>);

impl Completed {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(NOTICES).0)
    }

    fn tell(&self, params: Option<&RawJson>) {
        if let Some(id) = params.and_then(|params| params.get("elicitationId")?.string_value()) {
            let _ = self.0.send(id);
        }
    }

    /// The ids from now on. A slow reader misses some, as if they had not been told.
    pub(crate) fn stream(&self) -> BoxStream<'static, Text> {
        let next = |mut receiver: broadcast::Receiver<Text>| async move {
            loop {
                match receiver.recv().await {
                    Ok(id) => return Some((id, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        };
        stream::unfold(self.0.subscribe(), next).boxed()
    }
}

/// The calls in flight of one session or child.
pub(crate) struct Switchboard {
    server: String,
    calls: Mutex<Calls>,
    notices: Notices,
    /// Held by those who watch this session.
    watched: Arc<()>,
    completed: Completed,
    /// Set when a question came while a call was running.
    unlinked_asks: Arc<AtomicBool>,
    /// How often each resource is subscribed to.
    pub(crate) subscribed: tokio::sync::Mutex<HashMap<Text, usize>>,
}

impl Switchboard {
    pub(crate) fn new(
        server: String,
        notices: Notices,
        unlinked_asks: Arc<AtomicBool>,
        completed: Completed,
    ) -> Self {
        Self {
            server,
            calls: Mutex::default(),
            notices,
            watched: Arc::default(),
            completed,
            unlinked_asks,
            subscribed: tokio::sync::Mutex::default(),
        }
    }

    fn calls(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what the server says outside calls.
    pub(crate) fn watch(&self) -> Watching {
        Watching { notices: self.notices.hear(), _watched: Arc::clone(&self.watched) }
    }

    /// Whether anybody watches this very session.
    pub(crate) fn is_watched(&self) -> bool {
        Arc::strong_count(&self.watched) > 1
    }

    /// Whether the server was asked to watch a resource.
    pub(crate) fn has_subscriptions(&self) -> bool {
        // Whoever holds the lock is about to change them.
        self.subscribed.try_lock().is_ok_and(|subscribed| !subscribed.is_empty())
    }

    /// Tells those who watch; there may be none.
    pub(crate) fn tell(&self, notice: Notice) {
        let _ = self.notices.0.send(notice);
    }

    /// A page is done that somebody was asked to open.
    pub(crate) fn completed(&self, params: Option<&RawJson>) {
        self.completed.tell(params);
    }

    /// Expects the answer to a request of the connector's own. `None`: the server is gone.
    pub(crate) fn expect(&self, id: u64) -> Option<oneshot::Receiver<Outcome>> {
        let (done, answer) = oneshot::channel();
        let (inbox, _) = mpsc::channel(1);
        let mut calls = self.calls();
        // Whoever stopped waiting is forgotten here.
        calls.live.retain(|_, live| !live.done.is_closed());
        (!calls.closed).then(|| calls.live.insert(id, Live { id, role: Role::Own, inbox, done, task: None }));
        (!calls.closed).then_some(answer)
    }

    /// The server is gone: every call in flight learns it, and no new one is taken.
    pub(crate) fn close(&self) {
        let mut calls = self.calls();
        calls.closed = true;
        calls.live.clear();
        calls.held.clear();
    }

    /// Finds the call that a message belongs to; gives the message that has to go back, if there is one.
    pub(crate) fn route(&self, frame: Frame) -> Option<Vec<u8>> {
        match frame {
            Frame::Request { id, method: Method::Ping, .. } => Some(wire::pong(&id)),
            Frame::Request { id, method, params } => match AskKind::from_method(&method) {
                Some(kind) => self.route_ask(id, method, kind, params),
                None => Some(wire::unknown_request(&id, &method)),
            },
            Frame::Notification { method, params } => {
                self.route_notification(&method, params);
                None
            }
            Frame::Response { id, outcome } => {
                self.route_response(id, outcome);
                None
            }
        }
    }

    fn route_response(&self, id: Option<Id>, outcome: Outcome) {
        let mut calls = self.calls();
        let live = match id {
            Some(id) => id.as_number().and_then(|id| calls.live.remove(&id)),
            // An error without an id: whose it is can only be known if there is one call.
            None => {
                let only = calls.live.keys().next().copied().filter(|_| calls.live.len() == 1);
                only.and_then(|id| calls.live.remove(&id))
            }
        };
        match live {
            // The leg may have gone in this very moment (check 69).
            Some(live) => drop(live.done.send(outcome)),
            None => tracing::debug!(server = self.server, "an answer that nobody waits for"),
        }
    }

    fn route_ask(&self, id: Id, method: Method, kind: AskKind, params: Option<RawJson>) -> Option<Vec<u8>> {
        let refusal = frame::encode_response(Some(&id), &wire::nobody(kind));
        let related = params.as_ref().and_then(related_task);
        let frame = Frame::Request { id, method, params };
        let mut calls = self.calls();
        // A question of a task says whose it is; others belong to no call that hears a task, if there are any.
        let own = |live: &&Live| live.role == Role::Askable && live.task == related;
        let apart = calls.live.values().any(|live| own(&live));
        let fits = |live: &&Live| live.role == Role::Askable && (!apart || live.task == related);
        let mut askable = calls.live.values().filter(fits);
        let (first, second) = (askable.next(), askable.next());
        if first.is_some() {
            self.unlinked_asks.store(true, Ordering::Relaxed);
        }
        match (first, second) {
            (Some(only), None) => only.inbox.try_send(frame).err().map(|_| refusal),
            (None, _) if kind == AskKind::Roots && calls.held.len() < MAX_HELD => {
                calls.held.push_back(frame);
                None
            }
            _ => {
                tracing::warn!(
                    server = self.server,
                    ?kind,
                    "a question belongs to no one call and is refused"
                );
                Some(refusal)
            }
        }
    }

    fn route_notification(&self, method: &Method, params: Option<RawJson>) {
        if *method == Method::ElicitationComplete {
            self.completed(params.as_ref());
        }
        let number = |raw: RawJson| Id::from_raw(&raw)?.as_number();
        let subscription = params
            .as_ref()
            .and_then(|params| params.get("_meta")?.get(meta::SUBSCRIPTION_ID).and_then(number));
        if subscription.is_none()
            && let Some(notice) = wire::notice(method, params.as_ref())
        {
            return self.tell(notice);
        }
        let token = params.as_ref().and_then(meta::progress_token_of).and_then(number);
        let cancelled = meta::cancelled_id(method, params.as_ref());
        let mut calls = self.calls();
        if let Some(cancelled) = &cancelled {
            calls.held.retain(|frame| !matches!(frame, Frame::Request { id, .. } if id == cancelled));
        }
        let alone = calls.live.values().filter(|live| live.role != Role::Own).count() == 1;
        let belongs = |live: &&Live| match method {
            Method::Progress => token == Some(live.id),
            // Which of several calls a log message is about cannot be known: then nobody may see it.
            Method::LogMessage => alone && live.role != Role::Own,
            Method::Cancelled | Method::ElicitationComplete => live.role == Role::Askable,
            _ => subscription == Some(live.id),
        };
        let frame = Frame::Notification { method: method.clone(), params };
        for live in calls.live.values().filter(belongs) {
            if live.inbox.try_send(frame.clone()).is_err() {
                tracing::debug!(server = self.server, "a slow call misses a notification");
            }
        }
    }
}

/// The task that a message says it belongs to.
fn related_task(params: &RawJson) -> Option<Text> {
    params.get("_meta")?.get(meta::RELATED_TASK)?.get("taskId")?.string_value()
}

/// A call that the switchboard knows of, until dropped.
pub(crate) struct Entry<P: Peer> {
    peer: Arc<P>,
    id: u64,
    /// What belongs to it before its answer.
    pub(crate) inbox: mpsc::Receiver<Frame>,
    /// Its answer; an error once the server is gone.
    pub(crate) done: oneshot::Receiver<Outcome>,
}

/// Enters a call. Questions that waited for one go to it, if it can be asked. `None`: the server is gone.
pub(crate) fn enter<P: Peer>(peer: &Arc<P>, id: u64, role: Role) -> Option<Entry<P>> {
    let (sender, inbox) = mpsc::channel(INBOX);
    let (done, answer) = oneshot::channel();
    let mut calls = peer.board().calls();
    if calls.closed {
        return None;
    }
    if role == Role::Askable {
        for held in calls.held.drain(..) {
            // The inbox holds more than may wait.
            let _ = sender.try_send(held);
        }
    }
    calls.live.insert(id, Live { id, role, inbox: sender, done, task: None });
    drop(calls);
    Some(Entry { peer: Arc::clone(peer), id, inbox, done: answer })
}

impl<P: Peer> Entry<P> {
    /// The call is there to hear what this task asks.
    pub(crate) fn hears(&self, task: &Text) {
        if let Some(live) = self.peer.board().calls().live.get_mut(&self.id) {
            live.task = Some(task.clone());
        }
    }
}

impl<P: Peer> Drop for Entry<P> {
    fn drop(&mut self) {
        self.peer.board().calls().live.remove(&self.id);
        // A question that came too late to be read still gets an answer.
        self.inbox.close();
        while let Ok(frame) = self.inbox.try_recv() {
            let Frame::Request { id, method, .. } = frame else { continue };
            let Some(kind) = AskKind::from_method(&method) else { continue };
            self.peer.aside(frame::encode_response(Some(&id), &wire::nobody(kind)));
        }
    }
}

//! Sessions of legacy clients (reference: mcp.md 4.0 S1, 4.7; decisions D15, D16). What is fixed is sealed into the id;
//! what lives (open questions, calls in flight, streams) belongs to the replica that made it. A session id is a name,
//! never a credential: every request is authenticated on its own, and a foreign id looks like an unknown one.

mod live;

pub(crate) use live::Sessions;

use crate::{
    Gateway,
    aggregate::Visitor,
    hub::Listener,
    ring::Ring,
    server::{Isolation, Server},
    state::SessionState,
};
use arc_swap::ArcSwap;
use foldhash::HashMap;
use futures_channel::oneshot;
use futures_util::task::AtomicWaker;
use portreeve_mcp::{
    ClientCapabilities, Id, LogLevel, Outcome, RawJson, Text, Version,
    json::{self, Kind},
};
use portreeve_model::{IsolationKey, Principal, ReplicaId, ServerName};
use portreeve_store::Mark;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long a session id is good.
const SESSION_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// How long live state is kept without use; after that the session is re-created from its id when it comes back.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session without a stream goes on hearing changes, for a client that opens another one.
const RESTING: Duration = Duration::from_secs(5 * 60);
/// A sealed id may have this many bytes (decision D15); capabilities that do not fit are cut to the known ones.
const MAX_ID: usize = 1024;
/// How many bytes of raw capabilities and client information go into an id.
const MAX_CLAIMS: usize = 400;
/// Client name and version are cut to this.
const MAX_LABEL: usize = 64;
/// How many pages may be open in one session.
const MAX_PAGES: usize = 64;

/// Raised when a client no longer wants a call.
#[derive(Default)]
pub(crate) struct CancelFlag {
    raised: AtomicBool,
    pub(crate) waker: AtomicWaker,
}

impl CancelFlag {
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }
}

/// A request's entry among those in flight, for as long as anybody deals with it.
pub(crate) struct InFlight {
    session: Arc<Session>,
    id: Id,
    pub(crate) flag: Arc<CancelFlag>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut in_flight = lock(&self.session.in_flight);
        if in_flight.get(&self.id).is_some_and(|known| Arc::ptr_eq(known, &self.flag)) {
            in_flight.remove(&self.id);
        }
    }
}

/// One legacy session.
pub struct Session {
    id: Box<str>,
    pub(crate) principal: Principal,
    /// What its address leads to: another one after a change of the configuration.
    server: ArcSwap<Server>,
    door: ServerName,
    pub(crate) version: Version,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) client_info: Option<RawJson>,
    pub(crate) isolation: IsolationKey,
    log_level: AtomicU8,
    /// Questions that are open towards the client, and who waits for each answer.
    pending: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    in_flight: Mutex<HashMap<Id, Arc<CancelFlag>>>,
    /// Pages that the client was asked to open, by the ids under which their completion may be told.
    pages: Mutex<VecDeque<Text>>,
    hearing: Mutex<Hearing>,
    used: AtomicU64,
    /// What its event streams have said; made with the first stream.
    pub(crate) ring: Mutex<Option<Box<Ring>>>,
    /// Whether other replicas know that it cannot be re-created from its id.
    held: AtomicBool,
    ended: AtomicBool,
}

/// What a session hears outside calls; nothing for one that has neither a stream nor a subscription.
#[derive(Default)]
struct Hearing {
    listener: Option<Arc<Listener>>,
    stream: Option<CancellationToken>,
    /// It once heard something and then nothing: what it missed meanwhile has to be made up for.
    interrupted: bool,
    /// What it had subscribed to at the server that was there before.
    uris: Vec<Text>,
}

/// Where a session is.
pub enum Whereabouts {
    /// Here.
    Here(Arc<Session>),
    /// At another replica, if that is still there.
    Elsewhere(ReplicaId),
    /// It never was, has ended, or is somebody else's: all look alike.
    Nowhere,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hearing {
    fn has_stream(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| !stream.is_cancelled())
    }
}

impl Session {
    /// The id that the client carries.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The revision agreed with the client.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whose session it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Which server its endpoint leads to at the moment.
    pub fn server(&self) -> Arc<Server> {
        self.server.load_full()
    }

    /// Who its client is to the servers at its address.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        let (principal, version) = (&self.principal, self.version);
        Visitor { principal, version, capabilities: &self.capabilities, session: Some(&self.id) }
    }

    /// The name that its endpoint is sealed with.
    pub(crate) fn door(&self) -> &ServerName {
        &self.door
    }

    /// Whether nobody waits for anything.
    pub(crate) fn is_quiet(&self) -> bool {
        lock(&self.in_flight).is_empty() && lock(&self.pending).is_empty()
    }

    /// Leads to another server from now on. What it heard from the older one it wants to hear from the newer one.
    fn follow(&self, server: &Arc<Server>) {
        let mut hearing = lock(&self.hearing);
        self.server.store(server.clone());
        if let Some(listener) = hearing.listener.take() {
            hearing.uris = listener.uris();
            hearing.interrupted = true;
        }
    }

    /// What it had subscribed to before it followed to another server.
    pub(crate) fn wanted_again(&self) -> Vec<Text> {
        std::mem::take(&mut lock(&self.hearing).uris)
    }

    /// Whether its client, or the client's connection, has ended it.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The level that the client set, if it did.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        const LEVELS: [&str; 8] =
            ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
        let set = usize::from(self.log_level.load(Ordering::Relaxed));
        LEVELS.get(set.wrapping_sub(1)).and_then(|text| LogLevel::parse(text))
    }

    pub(crate) fn set_log_level(&self, level: LogLevel) {
        self.log_level.store(level as u8 + 1, Ordering::Relaxed);
    }

    pub(crate) fn begin(self: &Arc<Self>, id: &Id) -> InFlight {
        let flag = Arc::new(CancelFlag::default());
        lock(&self.in_flight).insert(id.clone(), flag.clone());
        // Whoever ends the session after this finds the entry.
        if self.has_ended() {
            flag.raise();
        }
        InFlight { session: self.clone(), id: id.clone(), flag }
    }

    /// The client no longer wants that request; unknown and finished ones are ignored (check 67).
    pub fn cancel(&self, id: &Id) {
        if let Some(flag) = lock(&self.in_flight).get(id) {
            flag.raise();
        }
    }

    /// Opens a question under this number; its answer arrives at the receiver.
    pub(crate) fn ask(&self, number: u64) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.pending).insert(number, sender);
        receiver
    }

    /// Closes a question; whether it was still open.
    pub(crate) fn withdraw(&self, number: u64) -> bool {
        lock(&self.pending).remove(&number).is_some()
    }

    /// The client was asked to open a page. The oldest are forgotten: nobody waits for them any more.
    pub(crate) fn page_asked(&self, id: &Text) {
        let mut pages = lock(&self.pages);
        if pages.len() >= MAX_PAGES {
            pages.pop_front();
        }
        pages.push_back(id.detached());
    }

    /// A page is done; whether this client was asked to open it and has not heard that yet.
    pub(crate) fn page_done(&self, id: &Text) -> bool {
        let mut pages = lock(&self.pages);
        let at = pages.iter().position(|known| known == id);
        at.is_some_and(|at| pages.remove(at).is_some())
    }

    /// What it hears, if it does.
    pub(crate) fn listener(&self) -> Option<Arc<Listener>> {
        lock(&self.hearing).listener.clone()
    }

    /// Listens from now on, unless it does already.
    pub(crate) fn listen(&self, join: impl FnOnce() -> Listener) -> Arc<Listener> {
        let mut hearing = lock(&self.hearing);
        if let Some(listener) = &hearing.listener {
            return listener.clone();
        }
        let listener = Arc::new(join());
        hearing.listener = Some(listener.clone());
        if std::mem::take(&mut hearing.interrupted) {
            listener.may_have_missed();
        }
        listener
    }

    pub(crate) fn unsubscribe(&self, uri: &Text) {
        if let Some(listener) = self.listener() {
            listener.remove(uri);
        }
    }

    /// Takes over the session's one stream for unrelated messages; an older one closes.
    pub(crate) fn take_stream(&self, shutdown: &CancellationToken) -> CancellationToken {
        let token = shutdown.child_token();
        if self.has_ended() {
            token.cancel();
        }
        if let Some(older) = lock(&self.hearing).stream.replace(token.clone()) {
            older.cancel();
        }
        token
    }

    /// It was used.
    pub(crate) fn touch(&self, now: u64) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// Stops listening for a client that has had no stream for a while. What it subscribed to it still gets when it comes.
    fn rest(&self, now: u64) {
        if !self.unused_for(RESTING, now) {
            return;
        }
        let mut hearing = lock(&self.hearing);
        if !hearing.has_stream() && hearing.listener.as_ref().is_some_and(|it| !it.has_resources()) {
            *hearing = Hearing { interrupted: true, ..Hearing::default() };
        }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        if let Some(stream) = std::mem::take(&mut *lock(&self.hearing)).stream {
            stream.cancel();
        }
        lock(&self.pending).clear();
        drop(lock(&self.ring).take());
        for flag in lock(&self.in_flight).values() {
            flag.raise();
        }
    }

    fn sweep_streams(&self) {
        if let Some(ring) = lock(&self.ring).as_mut() {
            ring.sweep(tokio::time::Instant::now());
        }
    }

    fn is_idle(&self, now: u64) -> bool {
        self.unused_for(IDLE, now) && lock(&self.in_flight).is_empty() && !lock(&self.hearing).has_stream()
    }

    fn unused_for(&self, time: Duration, now: u64) -> bool {
        self.used.load(Ordering::Relaxed) + u64::try_from(time.as_millis()).unwrap_or(u64::MAX) < now
    }

    /// Whether it has something that its id does not tell: a session that is made anew from it would lack that.
    fn holds_subscriptions(&self) -> bool {
        let hearing = lock(&self.hearing);
        !hearing.uris.is_empty() || hearing.listener.as_ref().is_some_and(|listener| listener.has_resources())
    }
}

/// What a client said in `initialize`.
pub(crate) struct Greeting {
    pub(crate) version: Version,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) client_info: Option<RawJson>,
}

impl Gateway {
    /// Makes a session from a handshake; none for a principal who has as many as one may have.
    pub(crate) fn open_new_session(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        hello: Greeting,
    ) -> Option<Arc<Session>> {
        let raw = hello.capabilities.raw();
        let capabilities =
            if raw.as_bytes().len() <= MAX_CLAIMS { raw.clone() } else { known_capabilities(&hello) };
        let mut state = SessionState {
            version: hello.version.as_str().to_owned(),
            capabilities: capabilities.as_str().to_owned(),
            client_info: hello.client_info.as_ref().map(|info| short_info(info).as_str().to_owned()),
            owner: self.replica.as_str().to_owned(),
            nonce: self.next_number(),
        };
        let mut id = self.seal_session(principal, server.door(), &state, SESSION_TTL);
        if id.len() > MAX_ID {
            state.client_info = None;
            id = self.seal_session(principal, server.door(), &state, SESSION_TTL);
        }
        let session = self.live_session(&id, principal, server, hello);
        self.sessions.keep(session, self.limits.sessions_per_principal)
    }

    fn live_session(
        &self,
        id: &str,
        principal: &Principal,
        server: &Arc<Server>,
        hello: Greeting,
    ) -> Arc<Session> {
        Arc::new(Session {
            id: id.into(),
            principal: principal.clone(),
            server: ArcSwap::new(server.clone()),
            door: server.door().clone(),
            version: hello.version,
            capabilities: hello.capabilities,
            client_info: hello.client_info.as_ref().map(RawJson::detached),
            isolation: server.isolation_key(principal, Some(id)),
            log_level: AtomicU8::new(0),
            pending: Mutex::default(),
            in_flight: Mutex::default(),
            pages: Mutex::default(),
            hearing: Mutex::default(),
            used: AtomicU64::new(self.now().0),
            ring: Mutex::default(),
            held: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// A session leads to what its address leads to now. One that would share an upstream session with others than before has
    /// to be begun anew.
    pub(crate) fn move_session(&self, session: &Session, server: &Arc<Server>) {
        if Arc::ptr_eq(&session.server.load(), server) {
            return;
        }
        if server.isolation_key(&session.principal, Some(&session.id)) == session.isolation {
            session.follow(server);
        } else {
            self.drop_session(session);
        }
    }

    /// Where the session of an id is, if this principal has it at this server (check 150).
    pub fn find_session(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        id: &str,
    ) -> Whereabouts {
        if let Some(session) = self.sessions.find(id) {
            let same = session.principal == *principal && session.door == *server.door();
            if same {
                self.move_session(&session, server);
            }
            session.used.store(self.now().0, Ordering::Relaxed);
            let here = same && !session.has_ended();
            return if here { Whereabouts::Here(session) } else { Whereabouts::Nowhere };
        }
        if self.sessions.is_revoked(id) {
            return Whereabouts::Nowhere;
        }
        let Some(state) = self.open_session(principal, server.door(), id) else {
            return Whereabouts::Nowhere;
        };
        // A session of ours that held nothing live was forgotten, or a process that is alone has been started anew.
        if self.owns(&state.owner) || self.replicas.are_none() {
            return self.recreate(principal, server, id, state);
        }
        Whereabouts::Elsewhere(ReplicaId::new(&state.owner))
    }

    /// The session of an id whose owner is gone: what held nothing live is re-created from the id, by one replica on which
    /// all agree; the rest is gone (decision D16).
    pub async fn adopt_session(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        id: &str,
        gone: &ReplicaId,
    ) -> Whereabouts {
        if server.isolation == Isolation::Session {
            return Whereabouts::Nowhere;
        }
        match self.replicas.heir(id, gone).await {
            None => Whereabouts::Nowhere,
            Some(heir) if heir != self.replica => Whereabouts::Elsewhere(heir),
            Some(_) => self.take_over_session(principal, server, id),
        }
    }

    /// Re-creates a session whose owner is gone and that another replica found to be ours now.
    pub fn take_over_session(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        id: &str,
    ) -> Whereabouts {
        match self.open_session(principal, server.door(), id) {
            Some(state) => self.recreate(principal, server, id, state),
            None => Whereabouts::Nowhere,
        }
    }

    fn recreate(
        &self,
        principal: &Principal,
        server: &Arc<Server>,
        id: &str,
        state: SessionState,
    ) -> Whereabouts {
        let greeting = || {
            let version = Version::parse(&state.version)?;
            let raw = RawJson::from_text(&state.capabilities).ok()?;
            let capabilities = ClientCapabilities::read(&raw, version)?;
            let client_info = state.client_info.and_then(|info| RawJson::from_text(&info).ok());
            Some(Greeting { version, capabilities, client_info })
        };
        let Some(hello) = greeting() else { return Whereabouts::Nowhere };
        let session = self.live_session(id, principal, server, hello);
        // Whatever it heard before, somebody else heard.
        lock(&session.hearing).interrupted = true;
        // Whoever has too many hears so when their client initializes again.
        let kept = self.sessions.keep(session, self.limits.sessions_per_principal);
        kept.map_or(Whereabouts::Nowhere, Whereabouts::Here)
    }

    /// Ends a session whose id no client has: that of a pipe.
    pub(crate) fn drop_session(&self, session: &Session) {
        session.end();
        self.sessions.forget(session);
    }

    /// Ends a session.
    pub fn end_session(&self, session: &Session) {
        session.end();
        let until = self.now().plus(SESSION_TTL).0;
        self.sessions.revoke(&session.id, until);
        self.sessions.forget(session);
    }

    /// Ends a session at its client's wish, on every replica (check 151).
    pub async fn delete_session(&self, session: &Session) {
        self.end_session(session);
        self.replicas.remember(Mark::Ended, &session.id, SESSION_TTL).await;
    }

    /// The session now holds something that its id does not: if this replica is lost, it is.
    pub(crate) async fn holds_something(&self, session: &Session) {
        if !session.held.swap(true, Ordering::Relaxed) {
            self.replicas.remember(Mark::Live, &session.id, SESSION_TTL).await;
        }
    }

    /// Which replica asked the question that a client answers, if it is another one.
    pub fn asked_elsewhere(
        &self,
        principal: &Principal,
        server: &Server,
        id: Option<&Id>,
    ) -> Option<ReplicaId> {
        let token = id.and_then(Id::as_text)?;
        let state = self.open_ask(principal, server.door(), &token)?;
        (!self.owns(&state.owner)).then(|| ReplicaId::new(&state.owner))
    }

    /// Takes a client's answer to a question of ours. `false`: we never asked that.
    pub fn answer(&self, session: &Session, id: Option<&Id>, outcome: Outcome) -> bool {
        let token = id.and_then(Id::as_text);
        let state = token.and_then(|token| self.open_ask(&session.principal, &session.door, &token));
        let Some(number) = state.filter(|ask| self.owns(&ask.owner)).map(|ask| ask.key) else { return false };
        if let Some(waiting) = lock(&session.pending).remove(&number) {
            // The call may have ended meanwhile, which is no fault of the client's.
            let _ = waiting.send(outcome);
        }
        // A question that was ours and is no longer open has a late answer, which is no fault either.
        true
    }
}

/// The capabilities that decide something, where the whole object is too large for an id.
fn known_capabilities(hello: &Greeting) -> RawJson {
    let flags = hello.capabilities.flags();
    let mut out = Vec::from(*b"{");
    if flags.elicitation_form || flags.elicitation_url {
        let modes: &[u8] = match (flags.elicitation_form, flags.elicitation_url) {
            (true, true) => b"{\"form\":{},\"url\":{}}",
            (false, true) => b"{\"url\":{}}",
            _ => b"{}",
        };
        json::write_member(&mut out, "elicitation", modes);
    }
    if flags.sampling {
        json::write_member(
            &mut out,
            "sampling",
            if flags.sampling_tools { b"{\"tools\":{}}" } else { b"{}" },
        );
    }
    if flags.roots {
        json::write_member(&mut out, "roots", b"{}");
    }
    out.push(b'}');
    RawJson::built(out)
}

fn short_info(info: &RawJson) -> RawJson {
    let part = |key: &str| {
        let text =
            info.get(key).filter(|raw| raw.kind() == Kind::String).and_then(|raw| raw.string_value())?;
        let mut end = text.len().min(MAX_LABEL);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Some(RawJson::string(&text[..end]))
    };
    let mut out = Vec::from(*b"{");
    for key in ["name", "version"] {
        json::write_member(&mut out, key, part(key).unwrap_or(RawJson::from_static("\"\"")).as_bytes());
    }
    out.push(b'}');
    RawJson::built(out)
}

//! A session with a legacy server over Streamable HTTP (spec: basic/transports of 2025-03-26 … 2025-11-25):
//! the handshake, its headers, its GET stream.
//! It runs no calls itself.

use super::{
    Http,
    connection::{Pool, Response, SendError},
    events::{self, Content, Messages, Next, Reply},
};
use crate::{
    Runtime,
    slots::Held,
    switchboard::{self, Entry, Peer, Role, Switchboard},
    wire,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portreeve_mcp::{
    ClientCapabilities, Ctx, Id, LogLevel, Outcome, Text, header,
    service::{Description, Failure, FailureKind, Notice},
    version::Feature,
};
use portreeve_model::{IsolationKey, Secret, ServerName};
use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a new session waits for its GET stream to stand before the first call goes out.
const STREAM_WAIT: Duration = Duration::from_secs(1);
/// How long a message that nobody waits for may take.
const ASIDE: Duration = Duration::from_secs(10);
const MAX_RECONNECTS: u32 = 5;

/// Which calls may use one session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKey {
    isolation: IsolationKey,
    capabilities: ClientCapabilities,
    credential: Option<Arc<Presented>>,
}

/// A credential as it is presented, comparable.
struct Presented(Secret<String>);

impl PartialEq for Presented {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for Presented {}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.isolation.hash(state);
        self.capabilities.raw().hash(state);
        self.credential.as_ref().map(|presented| presented.0.expose()).hash(state);
    }
}

impl SessionKey {
    pub(crate) fn of(ctx: &Ctx) -> Self {
        let present = |credential: &portreeve_model::UpstreamCredential| {
            Arc::new(Presented(credential.authorization_header()))
        };
        Self {
            isolation: ctx.isolation.clone(),
            capabilities: ctx.capabilities.clone(),
            credential: ctx.credential.as_ref().map(present),
        }
    }
}

/// A session.
pub(crate) struct Session {
    pub(crate) name: ServerName,
    pub(crate) pool: Arc<Pool>,
    pub(crate) description: Arc<Description>,
    pub(crate) runtime: Runtime,
    handle: tokio::runtime::Handle,
    headers: HeaderMap,
    has_id: bool,
    board: Switchboard,
    level: AtomicU8,
    levelling: tokio::sync::Mutex<()>,
    gone: AtomicBool,
    listening: AtomicBool,
    /// The server offers no GET stream.
    streamless: AtomicBool,
    /// Calls were left open at the server, which may be taken up again until then.
    kept_until: Mutex<Option<Instant>>,
    end: CancellationToken,
}

/// The handshake failed.
pub(crate) struct HandshakeError {
    pub(crate) failure: Failure,
    /// The status, if the server answered at all.
    pub(crate) status: Option<StatusCode>,
    pub(crate) evidence: wire::EraEvidence,
    /// The stream of an HTTP+SSE server began instead.
    pub(crate) endpoint: bool,
}

impl HandshakeError {
    fn plain(failure: Failure) -> Self {
        Self { failure, status: None, evidence: wire::EraEvidence::None, endpoint: false }
    }
}

impl Http {
    /// The handshake: `initialize`, then `notifications/initialized` before anything else (check 162), then the GET
    /// stream if the session can be asked something.
    pub(crate) async fn open_session(&self, ctx: &Ctx) -> Result<Arc<Session>, HandshakeError> {
        let id = self.next_id();
        let mut headers = self.pool.target.post_headers();
        super::credential::add(ctx, &mut headers).map_err(HandshakeError::plain)?;
        let body = wire::initialize(&Id::number(id), ctx);
        let response = self.pool.send(self.pool.target.post(headers.clone(), body)).await;
        let response = response.map_err(|error| HandshakeError::plain(error.failure()))?;
        let reply = Reply::read(response, id, self.runtime.limits.upstream_message).await;
        let reply = reply.map_err(HandshakeError::plain)?;
        let (description, session_id) = read_handshake(&reply)?;
        let session = self.session(ctx, headers, description, session_id);
        session.tell(wire::initialized()).await.map_err(HandshakeError::plain)?;
        if ctx.capabilities.flags().can_be_asked() {
            session.listen().await;
        }
        self.start_reaper();
        Ok(session)
    }
}

impl Http {
    /// A session that stands at the server, under this id.
    pub(super) fn session(
        &self,
        ctx: &Ctx,
        mut headers: HeaderMap,
        description: Description,
        id: Option<HeaderValue>,
    ) -> Arc<Session> {
        let has_id = id.is_some();
        if let Some(id) = id {
            headers.insert(HeaderName::from_static(header::SESSION_ID), id);
        }
        if description.version.supports(Feature::VersionHeader) {
            let version = HeaderValue::from_static(description.version.as_str());
            headers.insert(HeaderName::from_static(header::PROTOCOL_VERSION), version);
        }
        Arc::new(Session {
            name: self.name.clone(),
            pool: Arc::clone(&self.pool),
            description: Arc::new(description),
            runtime: self.runtime.clone(),
            handle: tokio::runtime::Handle::current(),
            headers,
            has_id,
            board: Switchboard::new(
                self.name.to_string(),
                self.notices.of(ctx),
                Arc::clone(&self.asks_on_get),
                self.completed.clone(),
            ),
            level: AtomicU8::new(u8::MAX),
            levelling: tokio::sync::Mutex::new(()),
            gone: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            streamless: AtomicBool::new(false),
            kept_until: Mutex::new(None),
            end: self.runtime.shutdown.child_token(),
        })
    }
}

fn read_handshake(reply: &Reply) -> Result<(Description, Option<HeaderValue>), HandshakeError> {
    let evidence = reply.error().map_or(wire::EraEvidence::None, wire::evidence);
    let (status, endpoint) = (Some(reply.status), reply.endpoint);
    let fail = |kind, detail: String| {
        let failure = Failure::new(kind, detail);
        HandshakeError { failure, status, evidence, endpoint }
    };
    match &reply.outcome {
        Some(Outcome::Result(result)) if reply.status.is_success() => {
            let description = wire::read_initialize(result);
            let description = description.map_err(|why| fail(FailureKind::NoCommonVersion, why))?;
            Ok((description, reply.headers.get(header::SESSION_ID).cloned()))
        }
        Some(Outcome::Error(error)) if !matches!(reply.status.as_u16(), 401 | 403) => {
            let text = format!("initialize was refused: {} {}", error.code.0, error.message);
            Err(fail(FailureKind::NoCommonVersion, text))
        }
        _ => {
            let mut failure = events::status_failure(reply.status);
            failure.detail = format!("initialize: {}", failure.detail);
            if let Some(form) = reply.headers.get(http::header::CONTENT_TYPE)
                && reply.status.is_success()
            {
                failure
                    .detail
                    .push_str(&format!(" with {} and no answer in it", wire::excerpt(form.as_bytes())));
            }
            Err(HandshakeError { failure, status, evidence, endpoint })
        }
    }
}

impl Held for Session {
    fn alive(&self) -> bool {
        !self.gone.load(Ordering::Relaxed)
    }

    fn needed(&self) -> bool {
        // Changes that belong to no call are heard on its GET stream alone.
        let watched = self.board.is_watched();
        let until = self.kept_until.lock().unwrap_or_else(PoisonError::into_inner);
        watched || until.is_some_and(|until| Instant::now() < until)
    }

    fn close(&self) {
        let known = !self.gone.swap(true, Ordering::Relaxed);
        self.end.cancel();
        if known && self.has_id && !self.runtime.shutdown.is_cancelled() {
            let (pool, request) = (Arc::clone(&self.pool), self.pool.target.delete(self.headers.clone()));
            self.own(async move {
                if let Ok(response) = pool.send(request).await {
                    response.body.finish();
                }
            });
        }
    }
}

impl Peer for Session {
    fn board(&self) -> &Switchboard {
        &self.board
    }

    fn own(&self, work: impl Future<Output = ()> + Send + 'static) {
        let bounded = async move {
            let _ = tokio::time::timeout(ASIDE, work).await;
        };
        self.runtime.tracker.spawn_on(bounded, &self.handle);
    }

    fn aside(&self, message: Vec<u8>) {
        let (pool, request) = (Arc::clone(&self.pool), self.pool.target.post(self.headers.clone(), message));
        self.own(async move {
            if let Ok(response) = pool.send(request).await {
                response.body.finish();
            }
        });
    }

    async fn exchange(&self, id: u64, message: Vec<u8>) -> Result<Outcome, Failure> {
        let response = self.post(message).await.map_err(SendError::failure)?;
        let reply = Reply::read(response, id, self.runtime.limits.upstream_message).await?;
        reply.outcome.ok_or_else(|| events::status_failure(reply.status))
    }
}

impl Session {
    /// A call has been left open at the server: the session is not ended while it may be taken up again.
    pub(super) fn keep(&self, time: Duration) {
        let mut until = self.kept_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + time);
    }

    /// What names the session to the server.
    pub(super) fn id(&self) -> Option<&HeaderValue> {
        self.headers.get(header::SESSION_ID)
    }

    /// The server no longer knows the session.
    pub(crate) fn lost(&self) {
        self.gone.store(true, Ordering::Relaxed);
        self.end.cancel();
    }

    /// Waits until the session has ended.
    pub(crate) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// Whether the server gave the session an id: without one nothing can expire.
    pub(crate) fn has_id(&self) -> bool {
        self.has_id
    }

    /// Posts the request of a call.
    pub(crate) async fn call(&self, ctx: &Ctx, body: Vec<u8>) -> Result<Response, SendError> {
        let mut headers = self.headers.clone();
        super::target::trace(ctx, &mut headers);
        self.pool.send(self.pool.target.post(headers, body)).await
    }

    /// Posts a message.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Result<Response, SendError> {
        self.pool.send(self.pool.target.post(self.headers.clone(), body)).await
    }

    /// Posts a message that gets no answer.
    pub(crate) async fn tell(&self, body: Vec<u8>) -> Result<(), Failure> {
        let response = self.post(body).await.map_err(SendError::failure)?;
        let status = response.status;
        response.body.finish();
        if status.is_success() { Ok(()) } else { Err(events::status_failure(status)) }
    }

    /// Makes the session as talkative as this call wants it (spec digest 4.5, logging).
    pub(crate) async fn set_level(&self, wanted: Option<LogLevel>, next_id: impl Fn() -> u64) {
        let Some(level) = wanted else { return };
        if level as u8 >= self.level.load(Ordering::Relaxed) {
            return;
        }
        Box::pin(self.raise_level(level, next_id)).await;
    }

    async fn raise_level(&self, level: LogLevel, next_id: impl Fn() -> u64) {
        let _levelling = self.levelling.lock().await;
        if level as u8 >= self.level.load(Ordering::Relaxed)
            || !wire::has_capability(&self.description, &["logging"])
        {
            return;
        }
        let id = next_id();
        match self.exchange(id, wire::set_level(id, level)).await {
            Ok(Outcome::Result(_)) => self.level.store(level as u8, Ordering::Relaxed),
            other => tracing::debug!(server = %self.name, ?other, "logging/setLevel was not accepted"),
        }
    }

    /// Enters a call, so that the GET stream can find it. `None` while there is no such stream.
    pub(crate) fn enter(self: &Arc<Self>, id: u64, ctx: &Ctx) -> Option<Entry<Self>> {
        if !self.listening.load(Ordering::Relaxed) {
            return None;
        }
        let askable = ctx.capabilities.flags().can_be_asked();
        switchboard::enter(self, id, if askable { Role::Askable } else { Role::Call })
    }

    /// Opens the GET stream, if it does not stand yet, and waits a moment until it does: a question that the server
    /// sends earlier is lost.
    pub(crate) async fn listen(self: &Arc<Self>) {
        if self.listening.swap(true, Ordering::Relaxed) {
            return;
        }
        let (ready, stands) = tokio::sync::oneshot::channel();
        let session = Arc::clone(self);
        self.runtime.tracker.spawn_on(
            async move {
                let end = session.end.clone();
                tokio::select! {
                    () = session.stream(ready) => {}
                    () = end.cancelled() => {}
                }
                session.listening.store(false, Ordering::Relaxed);
            },
            &self.handle,
        );
        let _ = tokio::time::timeout(STREAM_WAIT, stands).await;
    }

    /// Opens a GET stream that has been given up, for a call that needs it.
    pub(crate) async fn listen_again(self: &Arc<Self>, ctx: &Ctx) {
        let needed = ctx.capabilities.flags().can_be_asked();
        if needed && !self.listening.load(Ordering::Relaxed) && !self.streamless.load(Ordering::Relaxed) {
            Box::pin(self.listen()).await;
        }
    }

    async fn stream(self: &Arc<Self>, ready: tokio::sync::oneshot::Sender<()>) {
        let mut ready = Some(ready);
        let mut last: Option<Text> = None;
        let mut failures = 0;
        while failures < MAX_RECONNECTS {
            let mut delay = Duration::from_secs(1);
            match self.resume(last.as_ref()).await {
                Ok(mut messages) => {
                    match ready.take() {
                        Some(ready) => drop(ready.send(())),
                        // What was said between the streams is lost, unless the server could begin where it stopped.
                        None if last.is_none() && self.board.is_watched() => {
                            self.board.tell(Notice::Watching(Vec::new()));
                        }
                        None => {}
                    }
                    if self.read(&mut messages).await {
                        failures = 0;
                    }
                    delay =
                        messages.retry().map_or(delay, Duration::from_millis).min(Duration::from_secs(60));
                    last = messages.last_event_id().or(last);
                }
                Err(Some(status)) if status.is_client_error() => {
                    tracing::debug!(server = %self.name, %status, "the server offers no GET stream");
                    self.streamless.store(true, Ordering::Relaxed);
                    return;
                }
                Err(status) => {
                    tracing::debug!(server = %self.name, ?status, "the GET stream cannot be opened");
                }
            }
            failures += 1;
            tokio::time::sleep(delay).await;
        }
    }

    /// Opens an event stream by GET, after the event with this id (check 161).
    pub(crate) async fn resume(&self, after: Option<&Text>) -> Result<Messages, Option<StatusCode>> {
        let mut headers = self.headers.clone();
        if let Some(id) = after.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(HeaderName::from_static(header::LAST_EVENT_ID), id);
        }
        let response = self.pool.send(self.pool.target.get(headers)).await.map_err(|_| None)?;
        if response.status.is_success() && events::content(&response.headers) == Content::Events {
            return Ok(Messages::new(response.body, self.runtime.limits.upstream_message));
        }
        let status = response.status;
        response.body.finish();
        Err(Some(if status.is_success() { StatusCode::METHOD_NOT_ALLOWED } else { status }))
    }

    /// Reads the GET stream to its end; tells whether anything came.
    async fn read(&self, messages: &mut Messages) -> bool {
        let mut any = false;
        loop {
            match messages.next().await {
                Next::Frame(frame) => {
                    any = true;
                    if let Some(answer) = self.board.route(frame) {
                        let _ = self.tell(answer).await;
                    }
                }
                Next::Other(_) => {}
                Next::End(_) | Next::Fault(_) => return any,
            }
        }
    }
}

//! One client on a pair of streams whose messages stand for themselves: stdio, and the one stream of HTTP+SSE. Both eras
//! on one pipe: a modern envelope is stateless, a handshake opens the pipe's session. How messages are cut out of bytes and
//! where the principal comes from is the doors' business.

use crate::{
    Gateway, Inbound, Out, Reply, Server, Session, collect,
    error::{self, unsupported_version},
    read_envelope, read_params,
    trace::Trace,
};
use bytes::Bytes;
use futures_util::StreamExt;
use portreeve_mcp::{
    Code, Era, Frame, FrameError, Id, Method, Outcome, RawJson, RpcError, Version,
    frame::{self, Body},
    meta::{self, Meta},
};
use portreeve_model::{Principal, ServerName};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many messages wait for a slow reader before calls wait with them.
const BACKLOG: usize = 256;
/// How long what is in flight may take to end after the client has gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One client.
pub struct Pipe {
    gateway: Arc<Gateway>,
    principal: Principal,
    /// What its server is found by: another one may stand there after a change of the configuration.
    door: ServerName,
    out: mpsc::Sender<Vec<u8>>,
    session: Mutex<Option<Arc<Session>>>,
    /// Modern requests in flight; a legacy session keeps its own.
    running: Mutex<HashMap<Id, CancellationToken>>,
    tasks: TaskTracker,
    gone: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    /// A client that has just come, and the messages for it, each one JSON text. They may hold line breaks between tokens.
    pub fn new(
        gateway: Arc<Gateway>,
        principal: Principal,
        server: &Server,
    ) -> (Arc<Self>, mpsc::Receiver<Vec<u8>>) {
        let (out, messages) = mpsc::channel(BACKLOG);
        let pipe = Self {
            gateway,
            principal,
            door: server.door().clone(),
            out,
            session: Mutex::default(),
            running: Mutex::default(),
            tasks: TaskTracker::new(),
            gone: CancellationToken::new(),
        };
        (Arc::new(pipe), messages)
    }

    /// Whose pipe it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether it leads to this server.
    pub fn leads_to(&self, server: &Server) -> bool {
        self.door == *server.door()
    }

    /// The client has gone: its session ends, and what is in flight may end for a moment.
    pub async fn close(&self) {
        self.gone.cancel();
        self.set_session(None);
        self.tasks.close();
        // Whoever does not end in time ends with the process, or with its own deadline.
        let _ = tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await;
    }

    /// Says something to the client that no message of its asked for.
    pub async fn send(&self, message: Vec<u8>) {
        // The client may be gone, which the reading side notices.
        let _ = self.out.send(message).await;
    }

    /// Takes one message of the client.
    pub async fn message(self: &Arc<Self>, bytes: Bytes) {
        match frame::decode_body(&bytes, self.gateway.limits().depth) {
            Ok(Body::One(frame)) => self.frame(frame).await,
            Ok(Body::Batch(frames)) => self.batch(frames).await,
            Err(error) => self.refuse(&error).await,
        }
    }

    async fn refuse(&self, error: &FrameError) {
        self.send(frame::encode_response(error.id.as_ref(), &Outcome::Error(error.to_rpc()))).await;
    }

    /// Only 2025-03-26 has batches; over a pipe their answers may go one by one.
    async fn batch(self: &Arc<Self>, frames: Vec<Result<Frame, FrameError>>) {
        let batches =
            self.session().is_some_and(|session| session.version().supports(portreeve_mcp::Feature::Batches));
        if !batches {
            let error =
                RpcError::new(Code::INVALID_REQUEST, "one message a line: this revision has no batches");
            return self.send(frame::encode_response(None, &Outcome::Error(error))).await;
        }
        for frame in frames {
            match frame {
                Ok(frame) => self.frame(frame).await,
                Err(error) => self.refuse(&error).await,
            }
        }
    }

    fn session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    /// Exchanges the pipe's session; the one before ends.
    fn set_session(&self, session: Option<Arc<Session>>) {
        let before = std::mem::replace(&mut *lock(&self.session), session);
        if let Some(before) = before {
            self.gateway.drop_session(&before);
        }
    }

    async fn frame(self: &Arc<Self>, frame: Frame) {
        match frame {
            Frame::Request { id, method, params } => self.request(id, method, params).await,
            Frame::Notification { method, params } => self.notification(method, params).await,
            Frame::Response { id, outcome } => {
                if let Some(session) = self.session() {
                    // An answer that nobody waits for is a late one.
                    self.gateway.answer(&session, id.as_ref(), outcome);
                }
            }
        }
    }

    async fn notification(self: &Arc<Self>, method: Method, params: Option<RawJson>) {
        if let Some(token) =
            meta::cancelled_id(&method, params.as_ref()).and_then(|id| lock(&self.running).remove(&id))
        {
            return token.cancel();
        }
        let Some(session) = self.session() else { return };
        if method == Method::Initialized {
            let (door, stream) = (self.clone(), self.gateway.session_stream(&session));
            self.tasks.spawn(async move { door.pump_updates(None, stream).await });
            return;
        }
        let gateway = self.gateway.clone();
        if matches!(method, Method::Cancelled) {
            return gateway.notified(&session, method, params).await;
        }
        self.tasks.spawn(async move { gateway.notified(&session, method, params).await });
    }

    async fn request(self: &Arc<Self>, id: Id, method: Method, raw: Option<RawJson>) {
        let (params, meta) = match read_params(raw.as_ref()) {
            Ok(read) => read,
            Err(refusal) => {
                return self.send(frame::encode_response(Some(&id), &Outcome::Error(refusal.error))).await;
            }
        };
        let Some(server) = self.gateway.behind(&self.door) else {
            let gone =
                RpcError::new(error::UNREACHABLE, "this server is not served any more; nothing was run");
            return self.send(frame::encode_response(Some(&id), &Outcome::Error(gone))).await;
        };
        let claims = meta.protocol_version().is_some();
        let inbound = Inbound {
            principal: self.principal.clone(),
            server,
            id: id.clone(),
            method,
            raw,
            params,
            trace: Trace::default(),
        };
        if claims {
            return self.modern(id, inbound, meta);
        }
        if inbound.method == Method::Initialize {
            return self.handshake(id, &inbound).await;
        }
        match self.session() {
            Some(session) => {
                let door = self.clone();
                self.tasks.spawn(async move {
                    let reply = door.gateway.legacy(inbound, meta, &session).await;
                    door.pump(id, reply).await;
                });
            }
            None => {
                let text = "initialize first, or send the `_meta` of a modern request";
                let error = RpcError::new(Code::INVALID_REQUEST, text);
                self.send(frame::encode_response(Some(&id), &Outcome::Error(error))).await;
            }
        }
    }

    fn modern(self: &Arc<Self>, id: Id, inbound: Inbound, meta: Meta) {
        let cancelled = self.gone.child_token();
        lock(&self.running).insert(id.clone(), cancelled.clone());
        let door = self.clone();
        self.tasks.spawn(async move {
            let answer = async {
                let reply = match envelope(&inbound.server, meta) {
                    Ok(envelope) => door.gateway.modern(inbound, envelope, None).await,
                    Err(error) => error.into(),
                };
                door.pump(id.clone(), reply).await;
            };
            tokio::select! {
                () = answer => {}
                // Nothing is sent after a cancellation (spec: basic/patterns/cancellation).
                () = cancelled.cancelled() => {}
            }
            lock(&door.running).remove(&id);
        });
    }

    async fn handshake(self: &Arc<Self>, id: Id, inbound: &Inbound) {
        let Inbound { server, params, .. } = inbound;
        let answer = if server.eras().serves(Era::Legacy) {
            self.gateway.initialize(&self.principal, server, params).await.map_err(|refusal| refusal.error)
        } else {
            let asked = params.text("protocolVersion");
            Err(unsupported_version(asked.as_deref().unwrap_or_default()))
        };
        let outcome = match answer {
            Ok((session, result)) => {
                self.set_session(Some(session));
                // A client that went meanwhile has already been said goodbye to.
                if self.gone.is_cancelled() {
                    self.set_session(None);
                }
                Outcome::Result(result)
            }
            Err(error) => Outcome::Error(error),
        };
        self.send(frame::encode_response(Some(&id), &outcome)).await;
    }

    /// Writes what a call says.
    async fn pump(&self, id: Id, reply: Reply) {
        match reply {
            Reply::Refused(refusal) => {
                self.send(frame::encode_response(Some(&id), &Outcome::Error(refusal.error))).await;
            }
            Reply::Whole(outcome) => self.send(frame::encode_response(Some(&id), &outcome)).await,
            // A pipe is served where it ends; what another replica holds cannot be brought here.
            Reply::Elsewhere(_, gone) => {
                self.send(frame::encode_response(Some(&id), &Outcome::Error(gone))).await;
            }
            Reply::Updates(updates) => self.pump_updates(Some(&id), updates).await,
            Reply::Call(exchange) => self.pump_updates(Some(&id), exchange.boxed()).await,
        }
    }

    async fn pump_updates(&self, id: Option<&Id>, mut source: crate::Updates) {
        while let Some(out) = source.next().await {
            match out {
                Out::Message(message) => self.send(message).await,
                Out::Gone => return,
                Out::HangUp(_) => {}
                Out::Last(last) => {
                    let message = last.encode(id, collect::LARGEST).await;
                    let too_large = || frame::encode_response(id, &Outcome::Error(error::too_large()));
                    return self.send(message.unwrap_or_else(too_large)).await;
                }
            }
        }
    }
}

/// What a modern request says of itself, if the server is served to such.
fn envelope(server: &Server, meta: Meta) -> Result<crate::ModernEnvelope, RpcError> {
    let envelope = read_envelope(meta).map_err(|refusal| refusal.error)?;
    let claimed = envelope.meta.protocol_version().and_then(RawJson::string_value);
    let served =
        claimed.as_deref().and_then(Version::parse).is_some_and(|version| version.era() == Era::Modern);
    if !server.eras().serves(Era::Modern) {
        return Err(RpcError::new(Code::METHOD_NOT_FOUND, "this server wants `initialize` first"));
    }
    if served { Ok(envelope) } else { Err(unsupported_version(claimed.as_deref().unwrap_or_default())) }
}

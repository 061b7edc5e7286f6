//! The contract between the gateway and every MCP server, whatever carries it: built-in, child process, HTTP.
//! A request opens a [`Leg`]: a stream of what that server says until the final answer. Dropping a leg before its final
//! event means that nobody wants the answer any more; each connector does what its transport asks for then.
//! Nothing here runs by itself: legs are driven by whoever polls them.

mod anchor;
mod generate;

pub use anchor::Anchor;
pub use generate::{Emitter, generate};

use crate::{
    ClientCapabilities, Era, LogLevel, Method, Outcome, Params, RawJson, RpcError, Text, Version,
    json::Member,
};
use bytes::Bytes;
use futures_channel::oneshot;
use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use portreeve_model::{IsolationKey, UpstreamCredential};
use std::{sync::Arc, time::Duration};

/// On whose behalf and how a request is made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The revision that the caller's side speaks. A server that is native in both eras answers in this one.
    pub version: Version,
    /// What the caller can be asked, exactly as declared (less what the configuration withholds).
    pub capabilities: ClientCapabilities,
    /// The caller's `clientInfo`: an unverified claim, passed on, never used for decisions.
    pub client_info: Option<RawJson>,
    /// The log level that this request asked for (modern) or that its session set (legacy). None: no log messages.
    pub log_level: Option<LogLevel>,
    /// Whether the caller gave a progress token.
    pub wants_progress: bool,
    /// The caller's declaration of the tasks extension on this request. It is no part of `capabilities`: those tell
    /// sessions apart, and it may differ from request to request.
    pub tasks: Option<RawJson>,
    /// Which legacy session or child a task lives in.
    pub anchor: Option<Anchor>,
    /// Third-party `_meta` keys (and rebuilt trace context) that go to the server.
    pub meta: Arc<[Member]>,
    /// `Mcp-Param-*` headers of the caller that its own call does not explain: they go on to modern HTTP servers.
    pub param_headers: Arc<[(Text, Text)]>,
    /// Which calls may share an upstream session.
    pub isolation: IsolationKey,
    /// What to present to the server, already resolved.
    pub credential: Option<UpstreamCredential>,
    /// Who may have a fresher one when the server refuses it (decision D19).
    pub renewal: Option<Arc<dyn CredentialSource>>,
}

/// Where a credential comes from.
pub trait CredentialSource: std::fmt::Debug + Send + Sync + 'static {
    /// Another credential than this one, which the server did not accept; `None` if there is no other.
    fn renew<'a>(
        &'a self,
        refused: Option<&'a UpstreamCredential>,
    ) -> BoxFuture<'a, Option<UpstreamCredential>>;
}

impl Ctx {
    /// The context of the gateway's own traffic (lists, discovery): no capabilities, no person behind it.
    pub fn system(isolation: IsolationKey, credential: Option<UpstreamCredential>) -> Self {
        Self {
            version: Version::NEWEST,
            capabilities: ClientCapabilities::none(),
            client_info: None,
            log_level: None,
            wants_progress: false,
            tasks: None,
            anchor: None,
            meta: Arc::from([]),
            param_headers: Arc::from([]),
            isolation,
            credential,
            renewal: None,
        }
    }
}

/// A request on its way to a server.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// With what. `_meta` in here is ignored: connectors write their own from the [`Ctx`].
    pub params: Params,
}

/// A notification as a server sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What is told.
    pub method: Method,
    /// `params` as they came. For progress, the token in here is the connector's own.
    pub params: Option<RawJson>,
}

/// What a server may ask the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// `elicitation/create`
    Elicit,
    /// `sampling/createMessage`
    Sample,
    /// `roots/list`
    Roots,
}

impl AskKind {
    /// The ask that a method stands for.
    pub fn from_method(method: &Method) -> Option<Self> {
        match method {
            Method::Elicit => Some(Self::Elicit),
            Method::Sample => Some(Self::Sample),
            Method::Roots => Some(Self::Roots),
            _ => None,
        }
    }

    /// The method that carries it.
    pub fn method(self) -> Method {
        match self {
            Self::Elicit => Method::Elicit,
            Self::Sample => Method::Sample,
            Self::Roots => Method::Roots,
        }
    }
}

/// Identifies an ask within its leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskKey(pub u64);

/// Takes the answer to an ask. Dropped without an answer, the server is told that nobody answers.
#[derive(Debug)]
pub struct Reply(oneshot::Sender<Outcome>);

impl Reply {
    /// A reply and the end at which the connector waits for it.
    pub fn new() -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Gives the answer. The server may be gone, which is its own affair.
    pub fn answer(self, outcome: Outcome) {
        let _ = self.0.send(outcome);
    }
}

/// A question that a legacy server asks in the middle of a call.
#[derive(Debug)]
pub struct Ask {
    /// Which one, within this leg.
    pub key: AskKey,
    /// What kind.
    pub kind: AskKind,
    /// `params` as they came.
    pub params: Option<RawJson>,
    /// Where the answer goes.
    pub reply: Reply,
    /// How the call can be left while nobody has an answer, where its server keeps it for whoever comes back.
    pub point: Option<AskPoint>,
}

/// A question of a call that can be left: its name at the server, and the way out.
#[derive(Debug, Clone)]
pub struct AskPoint {
    /// The id under which the server expects the answer.
    pub question: RawJson,
    /// The call.
    pub call: Arc<dyn Leavable>,
}

/// A call that can be left open at its server and taken up again with [`Service::resume`], by any process.
pub trait Leavable: std::fmt::Debug + Send + Sync {
    /// Whether [`Self::leave`] would give a point now.
    fn is_leavable(&self) -> bool;

    /// Gives what is needed to come back. From then on the end of the leg cancels nothing at the server. `None`: there is
    /// no way back, and nothing has changed.
    fn leave(&self) -> Option<RawJson>;
}

/// A call that was left, with the answers to what it asked.
#[derive(Debug, Clone)]
pub struct TakeUp {
    /// What [`Leavable::leave`] gave.
    pub point: RawJson,
    /// The answers, by the ids of [`AskPoint::question`].
    pub answers: Vec<(RawJson, Outcome)>,
}

/// A question inside an `input_required` result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// The server's key for it; the answer comes back under the same one.
    pub key: Text,
    /// What kind; `None` for a method that no client can be asked.
    pub kind: AskKind,
    /// `params` as they came.
    pub params: Option<RawJson>,
}

/// A modern server ended a leg with questions (spec: basic/patterns/mrtr).
#[derive(Debug, Clone)]
pub struct InputRequired {
    /// `requestState`, to be brought back exactly; absent and empty differ.
    pub state: Option<Text>,
    /// The questions.
    pub asks: Vec<InputRequest>,
    /// The whole result as it came.
    pub raw: RawJson,
}

/// Why a server gave no answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It could not be reached or started; the call did not run.
    Unreachable,
    /// All its sessions are taken; the call did not run.
    Busy,
    /// No answer in time. The call may have run.
    Timeout,
    /// The connection or child broke in the middle. The call may have run.
    OutcomeUnknown,
    /// It answered something that is not the protocol. The call may have run.
    Protocol,
    /// It does not accept our credential (HTTP 401); the call did not run.
    Unauthorized,
    /// It accepts our credential and refuses the call to it (HTTP 403); the call did not run.
    Forbidden,
    /// It does not speak a revision that we speak; the call did not run.
    NoCommonVersion,
    /// The gate is shutting down.
    ShuttingDown,
}

/// A server gave no answer of its own: what the caller may be told, and what only the log may hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// For the log: addresses, exit codes, the last lines of stderr.
    pub detail: String,
}

impl Failure {
    /// A failure with its detail for the log.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Whether the server has certainly not been asked to run anything.
    pub fn nothing_ran(&self) -> bool {
        match self.kind {
            FailureKind::Unreachable
            | FailureKind::Busy
            | FailureKind::Unauthorized
            | FailureKind::Forbidden
            | FailureKind::NoCommonVersion
            | FailureKind::ShuttingDown => true,
            FailureKind::Timeout | FailureKind::OutcomeUnknown | FailureKind::Protocol => false,
        }
    }
}

/// The bytes of one JSON value that is too large to be collected. An error in the middle ends the transfer:
/// whoever forwards it must break the connection, so that nobody takes the part for the whole.
pub type RawStream = BoxStream<'static, Result<Bytes, Failure>>;

/// How a leg ends.
pub enum Final {
    /// The whole answer. A modern result carries its `resultType` as it came.
    Whole(Outcome),
    /// A large `complete` result whose bytes follow. Only given where neither side needs the result looked into
    /// any further than its first byte, `{`.
    Large(RawStream),
    /// No answer of the server's own.
    Failed(Failure),
}

impl std::fmt::Debug for Final {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(outcome) => f.debug_tuple("Whole").field(outcome).finish(),
            Self::Large(_) => f.write_str("Large(…)"),
            Self::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
        }
    }
}

/// One thing that a server says on a leg.
#[derive(Debug)]
pub enum Event {
    /// Something about this call: progress, a log message. Never before its call and never after its end.
    Notification(Notification),
    /// A legacy server asks in the middle of the call.
    Ask(Ask),
    /// A legacy server no longer wants that answer.
    AskWithdrawn(AskKey),
    /// A legacy server closed the call's stream and wants it taken up again after this time; the call goes on (spec
    /// 2025-11-25: basic/transports). A client of ours that can do the same may be let go likewise.
    HangUp(Option<Duration>),
    /// A modern server ended the leg with questions. The last event of the leg.
    InputRequired(InputRequired),
    /// The answer. The last event of the leg.
    Final(Final),
}

impl Event {
    /// The leg ends with this result.
    pub fn result(result: RawJson) -> Self {
        Self::Final(Final::Whole(Outcome::Result(result)))
    }

    /// The leg ends with this error.
    pub fn error(error: RpcError) -> Self {
        Self::Final(Final::Whole(Outcome::Error(error)))
    }

    /// The leg ends without an answer of the server's own.
    pub fn failed(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self::Final(Final::Failed(Failure::new(kind, detail)))
    }
}

/// What a server says about one request, until its last event. Exactly one [`Event::Final`] or [`Event::InputRequired`]
/// comes, and nothing after it.
pub type Leg = std::pin::Pin<Box<dyn Stream<Item = Event> + Send>>;

/// What a server is.
#[derive(Debug, Clone)]
pub struct Description {
    /// Which era it is spoken to in. `None`: native in both, it follows [`Ctx::version`].
    pub era: Option<Era>,
    /// The revision agreed with it.
    pub version: Version,
    /// Its `capabilities`, as it sent them.
    pub capabilities: RawJson,
    /// Its `serverInfo`, as it sent it.
    pub server_info: Option<RawJson>,
    /// Its `instructions`.
    pub instructions: Option<RawJson>,
}

/// What a watcher wants to hear of. List changes are always told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchFilter {
    /// URIs whose updates are wanted.
    pub resources: Vec<Text>,
}

impl WatchFilter {
    /// Whether an update of `uri` is an update of `watched`: it is the same, or a part of it (spec: server/resources,
    /// "may be a sub-resource of the one that the client actually subscribed to").
    pub fn covers(watched: &str, uri: &str) -> bool {
        uri.strip_prefix(watched).is_some_and(|rest| {
            rest.is_empty() || watched.ends_with('/') || rest.starts_with(['/', '?', '#'])
        })
    }
}

/// Something that a server says outside any call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The watch stands; these of the wanted URIs are watched. First notice, again after a reconnection.
    Watching(Vec<Text>),
    /// The watch broke off, and what is known may be old. [`Notice::Watching`] follows when it stands again.
    Interrupted,
    /// Its tools changed.
    ToolsChanged,
    /// Its prompts changed.
    PromptsChanged,
    /// Its resources or templates changed.
    ResourcesChanged,
    /// One resource changed; the notification's `params` as they came.
    ResourceUpdated {
        /// Which.
        uri: Text,
        /// `params`.
        params: RawJson,
    },
}

/// Notices until the server goes away; the stream reconnects by itself where the transport can.
pub type Watch = BoxStream<'static, Notice>;

/// How long the final answer may take, resolved per server. The connector enforces it (decision D17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallDeadline {
    /// First byte and whole call, extended by progress.
    pub call: Duration,
    /// The end that progress cannot move.
    pub cap: Duration,
}

/// How a server stands, for whoever looks after the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// It could not be reached or kept running, and calls are refused at once until one is let through.
    pub left_alone: bool,
    /// The programs that run for it.
    pub children: usize,
}

/// An MCP server, whatever carries it.
pub trait Service: Send + Sync + 'static {
    /// What the server is. Connectors answer from what they already know and probe on the first call.
    fn describe(&self, ctx: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>>;

    /// Opens a request. Never blocks and never fails: what goes wrong is the leg's last event.
    fn open(&self, ctx: Ctx, request: Request) -> Leg;

    /// Takes up a call that was left open at the server. Nothing is ever run anew by this.
    fn resume(&self, ctx: Ctx, call: TakeUp) -> Leg {
        drop((ctx, call));
        generate(|_| async { Event::failed(FailureKind::Protocol, "this server keeps no calls") })
    }

    /// Tells the server something that wants no answer (roots changed).
    fn notify(&self, ctx: Ctx, notification: Notification) -> BoxFuture<'_, ()>;

    /// Watches for what the server says outside calls.
    fn watch(&self, ctx: Ctx, filter: WatchFilter) -> Watch;

    /// What carries the messages, if anything does and it is known by now: `stdio`, `streamable-http` or `http+sse`.
    fn transport(&self) -> Option<&'static str> {
        None
    }

    /// How it stands at the moment. One that is part of this program always stands.
    fn standing(&self) -> Standing {
        Standing::default()
    }

    /// Ids of URL elicitations that the server says are done, wherever it says so (spec 2025-11-25:
    /// `notifications/elicitation/complete`). Servers that say no such thing keep silent.
    fn completed(&self) -> BoxStream<'static, Text> {
        Box::pin(Silence)
    }
}

/// A stream on which nothing comes.
struct Silence;

impl Stream for Silence {
    type Item = Text;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Text>> {
        std::task::Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_whose_end_is_not_known_may_have_run() {
        use FailureKind::{
            Busy, Forbidden, NoCommonVersion, OutcomeUnknown, Protocol, ShuttingDown, Timeout, Unauthorized,
            Unreachable,
        };
        for kind in [Unreachable, Busy, Unauthorized, Forbidden, NoCommonVersion, ShuttingDown] {
            assert!(Failure::new(kind, "").nothing_ran(), "{kind:?}");
        }
        for kind in [Timeout, OutcomeUnknown, Protocol] {
            assert!(!Failure::new(kind, "").nothing_ran(), "{kind:?}");
        }
    }
}

//! What callers are told when Portreeve itself refuses or fails. The table of `docs/errors.md` is this file:
//! own codes lie in -31000 … -31099 (decision D8), and every text says what can be done about it.
//! Internal detail never enters an answer; it goes to the log with the request's id.

use portreeve_mcp::{
    Code, RawJson, RpcError, Version,
    caps::TASKS_EXTENSION,
    service::{Failure, FailureKind},
};

/// The server could not be reached or started; nothing ran.
pub const UNREACHABLE: Code = Code(-31001);
/// All sessions of the server are taken, or all that the caller may have; nothing ran.
pub const BUSY: Code = Code(-31002);
/// No answer in time; the call may have run.
pub const TIMEOUT: Code = Code(-31003);
/// The connection broke in the middle; the call may have run.
pub const OUTCOME_UNKNOWN: Code = Code(-31004);
/// The server's answer was not the protocol; the call may have run.
pub const BAD_ANSWER: Code = Code(-31005);
/// The server refused the gate's own credential; nothing ran.
pub const UPSTREAM_UNAUTHORIZED: Code = Code(-31006);
/// The server speaks no revision that the gate speaks.
pub const NO_COMMON_VERSION: Code = Code(-31007);
/// The gate is shutting down; nothing ran.
pub const SHUTTING_DOWN: Code = Code(-31008);
/// The server asked more rounds of questions than one call may.
pub const TOO_MANY_ROUNDS: Code = Code(-31010);
/// The call ended while its client was away, and its answer was too large to be kept.
pub const NOT_KEPT: Code = Code(-31011);
/// Not within the caller's rate.
pub const RATE_LIMITED: Code = Code(-31012);

/// Whether a refusal is about the envelope (HTTP 400 for modern clients) or was made by a handler (in-band).
/// A dual-era client reads a 400 without a modern code as "this server is legacy", so the difference matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The message itself is not acceptable.
    Envelope,
    /// The message is fine, what it asks for is refused.
    Handler,
}

/// A request that was refused before it reached a server.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What the caller is told.
    pub error: RpcError,
    /// At which level.
    pub level: Level,
}

impl Refusal {
    /// A refusal of the envelope.
    pub fn envelope(code: Code, message: impl Into<String>) -> Self {
        Self { error: RpcError::new(code, message), level: Level::Envelope }
    }

    /// A handler's refusal.
    pub fn handler(code: Code, message: impl Into<String>) -> Self {
        Self { error: RpcError::new(code, message), level: Level::Handler }
    }
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        Self { error, level: Level::Handler }
    }
}

/// What a caller is told about a failure of a server.
pub(crate) fn of_failure(failure: &Failure) -> RpcError {
    let (code, text) = match failure.kind {
        FailureKind::Unreachable => {
            (UNREACHABLE, "the server cannot be reached at the moment; nothing was run, try again later")
        }
        FailureKind::Busy => (BUSY, "the server is busy; nothing was run, try again in a moment"),
        FailureKind::Timeout => {
            (TIMEOUT, "the server did not answer in time; the call may have run, look before you repeat it")
        }
        FailureKind::OutcomeUnknown => (
            OUTCOME_UNKNOWN,
            "the connection to the server broke; the call may have run, look before you repeat it",
        ),
        FailureKind::Protocol => (
            BAD_ANSWER,
            "the server's answer was not understood; the call may have run, tell whoever runs the server",
        ),
        FailureKind::Unauthorized => (
            UPSTREAM_UNAUTHORIZED,
            "the server refused the gate's credential; nothing was run, tell whoever runs the gate",
        ),
        FailureKind::Forbidden => (
            UPSTREAM_UNAUTHORIZED,
            "the server does not allow this to the gate's credential; nothing was run, tell whoever runs the gate",
        ),
        FailureKind::NoCommonVersion => (
            NO_COMMON_VERSION,
            "the server speaks no protocol revision that the gate speaks; tell whoever runs the gate",
        ),
        FailureKind::ShuttingDown => (SHUTTING_DOWN, "the gate is shutting down; nothing was run, try again"),
    };
    RpcError::new(code, text)
}

/// A session more than its caller may have at the same time.
pub(crate) fn too_many_sessions() -> RpcError {
    RpcError::new(
        BUSY,
        "you have as many sessions as one caller may have; nothing was run: end one with DELETE, or try again \
         when one has been idle for half an hour",
    )
}

/// A result that cannot be put together for a client that takes only whole messages.
pub(crate) fn too_large() -> RpcError {
    of_failure(&Failure::new(FailureKind::Protocol, "the result is too large"))
}

/// The one text for every `requestState` that does not open or does not fit (checks 88–91, 101).
pub fn bad_state() -> RpcError {
    RpcError::new(Code::INVALID_PARAMS, "invalid or expired requestState; make the call anew")
}

/// The one text for every task id that does not open, has expired, or leads nowhere (check 165).
pub(crate) fn bad_task() -> RpcError {
    RpcError::new(Code::INVALID_PARAMS, "unknown or expired task; make the call anew")
}

/// What somebody hears who did not declare the tasks extension (check 164).
pub(crate) fn tasks_needed() -> RpcError {
    let object = |key: &str, value: &RawJson| RawJson::EMPTY_OBJECT.with(&[], &[(key, value)]);
    let extensions = object("extensions", &object(TASKS_EXTENSION, &RawJson::EMPTY_OBJECT));
    RpcError::new(
        Code::MISSING_CAPABILITY,
        "this needs the tasks extension, which this request did not declare",
    )
    .with_data(object("requiredCapabilities", &extensions))
}

/// A tool that does not exist, or that this caller does not see: the same text (decision D18, check 138).
pub(crate) fn unknown_tool(name: &str) -> RpcError {
    RpcError::new(Code::INVALID_PARAMS, format!("Unknown tool: {name}"))
}

/// A revision that is not served inside a modern envelope; only those that are, are offered instead (mcp.md 4.0).
pub fn unsupported_version(asked: &str) -> RpcError {
    let supported: Vec<&str> = Version::MODERN.iter().map(|version| version.as_str()).collect();
    let data = RawJson::EMPTY_OBJECT
        .with(&[], &[("supported", &RawJson::encode(&supported)), ("requested", &RawJson::string(asked))]);
    RpcError::new(Code::UNSUPPORTED_VERSION, "this protocol version is not served here").with_data(data)
}

/// A method that is not served here.
pub(crate) fn method_not_found(method: &str) -> RpcError {
    RpcError::new(Code::METHOD_NOT_FOUND, format!("Method not found: {method}"))
}

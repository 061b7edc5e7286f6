//! The record: one structured event for each call, refusal or list, whatever its end (decision D38).
//! What is done with it is the program's business; here is only what it says.

use crate::trace::Span;
use portreeve_mcp::{Era, Method, Version};
use portreeve_model::{Principal, RequestId, ServerName};
use portreeve_policy::{ParamsDigest, Rule};
use std::{sync::Arc, time::Instant};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// With a result.
    Ok,
    /// With a tool's own error (`isError`).
    ToolError,
    /// With a JSON-RPC error of the server.
    Error(i64),
    /// With a question to the caller; another request goes on with it.
    InputRequired,
    /// Refused by a rule.
    Denied,
    /// Refused for what it was.
    Refused(i64),
    /// The server gave no answer of its own.
    Failed(i64),
    /// The caller no longer wanted it.
    Cancelled,
}

impl End {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::Error(_) => "error",
            Self::InputRequired => "input_required",
            Self::Denied => "denied",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The JSON-RPC code, where there is one.
    pub fn code(self) -> Option<i64> {
        match self {
            Self::Error(code) | Self::Refused(code) | Self::Failed(code) => Some(code),
            _ => None,
        }
    }
}

/// One call, told.
#[derive(Debug, Clone)]
pub struct Record {
    /// The id that other log lines carry.
    pub request: RequestId,
    /// Who.
    pub principal: Principal,
    /// Where to.
    pub server: ServerName,
    /// What.
    pub method: Method,
    /// Which tool, prompt or resource.
    pub name: Option<Arc<str>>,
    /// Digest of the raw parameters.
    pub digest: Option<ParamsDigest>,
    /// The rule that decided.
    pub rule: Option<Rule>,
    /// The revision that the caller speaks.
    pub client: Version,
    /// The era in which the server was spoken to, where it was.
    pub upstream: Option<Era>,
    /// When it began.
    pub began: Instant,
    /// Bytes of the parameters.
    pub bytes_in: usize,
    /// Bytes of the result.
    pub bytes_out: usize,
    /// How many rounds of questions.
    pub rounds: u32,
    /// How it ended.
    pub end: End,
    /// Its span, if it is traced.
    pub span: Option<Span>,
}

/// Takes records. Called on the hot path: it must not block.
pub trait Recorder: Send + Sync + 'static {
    /// Takes one.
    fn record(&self, record: &Record);
}

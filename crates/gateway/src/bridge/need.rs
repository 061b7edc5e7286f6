//! What a question needs of a client, and how it is said that a client lacks it: to servers in their words, to modern
//! clients with -32021, to legacy clients in a tool's result.

use crate::{
    exchange::{Client, Inner, Last, tool_failure},
    record::End,
};
use portreeve_mcp::{
    Code, Method, RawJson, RpcError,
    service::{AskKind, InputRequest},
};

/// The capability that answers this kind of question, as clients declare it.
fn capability(kind: AskKind) -> &'static str {
    match kind {
        AskKind::Elicit => "elicitation",
        AskKind::Sample => "sampling",
        AskKind::Roots => "roots",
    }
}

/// The server insists on something that the caller did not offer.
pub(super) fn cannot_ask(inner: &mut Inner, ask: &InputRequest) -> Last {
    let capability = capability(ask.kind);
    let text = format!("the server asked for {capability}, which this client does not offer");
    match &inner.client {
        Client::Modern => inner.end_error(missing_capability(&text, ask.kind)),
        Client::Legacy { .. } => lacks(inner, &text),
    }
}

/// -32021 for this kind of question (check 37).
pub(crate) fn missing_capability(text: &str, kind: AskKind) -> RpcError {
    let needed = RawJson::EMPTY_OBJECT.with(&[], &[(capability(kind), &RawJson::EMPTY_OBJECT)]);
    let data = RawJson::EMPTY_OBJECT.with(&[], &[("requiredCapabilities", &needed)]);
    RpcError::new(Code::MISSING_CAPABILITY, text).with_data(data)
}

/// A legacy client cannot be told -32021: a tool says what is missing in its result (mcp.md 4.4.3).
pub(crate) fn lacks(inner: &mut Inner, text: &str) -> Last {
    if inner.request.method == Method::ToolsCall {
        let outcome = tool_failure(text, inner.ctx.version);
        return inner.end_with(End::ToolError, outcome);
    }
    inner.end_error(RpcError::new(Code::INTERNAL, text))
}

/// What a server hears that asks what was not declared: no such method, or, where only the mode is missing, wrong
/// parameters (spec: client/elicitation).
pub(super) fn not_offered(inner: &Inner, kind: AskKind) -> RpcError {
    let flags = inner.ctx.capabilities.flags();
    if kind == AskKind::Elicit && (flags.elicitation_form || flags.elicitation_url) {
        return RpcError::new(Code::INVALID_PARAMS, "this mode was not declared");
    }
    RpcError::new(Code::METHOD_NOT_FOUND, format!("{} is not available here", kind.method().as_str()))
}

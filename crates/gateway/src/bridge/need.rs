//! What a question needs of a client, and how it is said that a client lacks it: to servers in their words, to modern
//! clients with -32021, to legacy clients in a tool's result.

use crate::{
    exchange::{Client, Inner, Last, tool_failure},
    record::End,
};
use portreeve_mcp::{Code, Method, RawJson, RpcError, caps::Flags, service::AskKind};

/// What a client has to offer before it can be asked (spec: client/elicitation, client/sampling, client/roots).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A form for the person.
    Form,
    /// A page that the person opens.
    Page,
    /// Text of the client's model.
    Sampling,
    /// The same, with tools.
    SamplingTools,
    /// The client's folders.
    Roots,
}

impl Need {
    /// What this question needs.
    pub(crate) fn of(kind: AskKind, params: Option<&RawJson>) -> Self {
        let member = |key: &str| params.and_then(|params| params.get(key));
        match kind {
            AskKind::Elicit if member("mode").is_some_and(|mode| mode.as_bytes() == b"\"url\"") => Self::Page,
            AskKind::Elicit => Self::Form,
            AskKind::Sample if member("tools").is_some() || member("toolChoice").is_some() => {
                Self::SamplingTools
            }
            AskKind::Sample => Self::Sampling,
            AskKind::Roots => Self::Roots,
        }
    }

    /// Whether a client that declared this offers it.
    pub(crate) fn is_offered(self, flags: Flags) -> bool {
        match self {
            Self::Form => flags.elicitation_form,
            Self::Page => flags.elicitation_url,
            Self::Sampling => flags.sampling,
            Self::SamplingTools => flags.sampling && flags.sampling_tools,
            Self::Roots => flags.roots,
        }
    }

    /// The capability as people name it.
    fn name(self) -> &'static str {
        match self {
            Self::Form => "elicitation",
            Self::Page => "elicitation.url",
            Self::Sampling => "sampling",
            Self::SamplingTools => "sampling.tools",
            Self::Roots => "roots",
        }
    }

    /// The `ClientCapabilities` that offer it and nothing else.
    fn capabilities(self) -> RawJson {
        RawJson::from_static(match self {
            Self::Form => r#"{"elicitation":{"form":{}}}"#,
            Self::Page => r#"{"elicitation":{"url":{}}}"#,
            Self::Sampling => r#"{"sampling":{}}"#,
            Self::SamplingTools => r#"{"sampling":{"tools":{}}}"#,
            Self::Roots => r#"{"roots":{}}"#,
        })
    }

    /// -32021 for this (check 37).
    pub(crate) fn missing(self, text: &str) -> RpcError {
        let data = RawJson::EMPTY_OBJECT.with(&[], &[("requiredCapabilities", &self.capabilities())]);
        RpcError::new(Code::MISSING_CAPABILITY, text).with_data(data)
    }

    /// The same in our own words.
    pub(crate) fn insisted_on(self) -> RpcError {
        self.missing(&self.sentence())
    }

    fn sentence(self) -> String {
        format!("the server asked for {}, which this client does not offer", self.name())
    }
}

/// The server insists on something that the caller did not offer.
pub(super) fn insists(inner: &mut Inner, need: Need) -> Last {
    match &inner.client {
        Client::Modern => inner.end_error(need.insisted_on()),
        Client::Legacy { .. } => lacks(inner, &need.sentence()),
    }
}

/// A legacy client cannot be told -32021: a tool says what is missing in its result (mcp.md 4.4.3).
pub(crate) fn lacks(inner: &mut Inner, text: &str) -> Last {
    if inner.request.method == Method::ToolsCall {
        let outcome = tool_failure(text, inner.ctx.version);
        return inner.end_with(End::ToolError, outcome);
    }
    inner.end_error(RpcError::new(Code::INTERNAL, text))
}

/// What a server hears that asks what was not declared: no such method, or, where only a part of it is missing, wrong
/// parameters (spec: client/elicitation, client/sampling).
pub(super) fn not_offered(inner: &Inner, kind: AskKind) -> RpcError {
    let flags = inner.ctx.capabilities.flags();
    let in_part = match kind {
        AskKind::Elicit => flags.elicitation_form || flags.elicitation_url,
        AskKind::Sample => flags.sampling,
        AskKind::Roots => false,
    };
    if in_part {
        return RpcError::new(Code::INVALID_PARAMS, "this kind of it was not declared");
    }
    RpcError::new(Code::METHOD_NOT_FOUND, format!("{} is not available here", kind.method().as_str()))
}

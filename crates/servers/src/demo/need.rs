//! What a question needs of the client that is asked: which capability, and how it is said that it is missing.

use super::call::Question;
use portreeve_mcp::{Code, RpcError, caps::Flags, service::AskKind};
use serde_json::json;

/// One capability that a question needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Form,
    Page,
    Sampling,
    SamplingWithTools,
    Roots,
}

impl Need {
    /// What this question needs.
    pub(super) fn of(question: &Question) -> Self {
        match question.kind {
            AskKind::Elicit if question.params["mode"] == "url" => Self::Page,
            AskKind::Elicit => Self::Form,
            AskKind::Sample if question.params["tools"].is_array() => Self::SamplingWithTools,
            AskKind::Sample => Self::Sampling,
            AskKind::Roots => Self::Roots,
        }
    }

    /// Whether a client that declared this has it.
    pub(super) fn met(self, flags: Flags) -> bool {
        match self {
            Self::Form => flags.elicitation_form,
            Self::Page => flags.elicitation_url,
            Self::Sampling => flags.sampling,
            Self::SamplingWithTools => flags.sampling_tools,
            Self::Roots => flags.roots,
        }
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Form => "elicitation",
            Self::Page => "elicitation.url",
            Self::Sampling => "sampling",
            Self::SamplingWithTools => "sampling.tools",
            Self::Roots => "roots",
        }
    }

    /// The error of a call that cannot go on without it (spec: basic/index).
    pub(super) fn missing(self) -> RpcError {
        let needed = match self {
            Self::Form => json!({"elicitation": {"form": {}}}),
            Self::Page => json!({"elicitation": {"url": {}}}),
            Self::Sampling => json!({"sampling": {}}),
            Self::SamplingWithTools => json!({"sampling": {"tools": {}}}),
            Self::Roots => json!({"roots": {}}),
        };
        let text = format!("this call needs the client capability `{}`", self.name());
        RpcError::new(Code::MISSING_CAPABILITY, text)
            .with_data(json!({"requiredCapabilities": needed}).into())
    }
}

//! Questions that a sealed state carries with it, for calls of which nothing is held here: what is asked, and what a retry
//! answers to it.

use super::need::Need;
use crate::call::Call;
use portreeve_mcp::{
    Code, Method, RawJson, RpcError, Text,
    json::{self, Kind},
    payload,
    service::AskKind,
};
use serde::{Deserialize, Serialize};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Its key in `inputRequests`.
    #[serde(rename = "k")]
    pub(super) key: String,
    /// Its method.
    #[serde(rename = "m")]
    method: String,
    /// Its `params`.
    #[serde(rename = "p")]
    params: Option<String>,
    /// The server's own id of it, where it waits.
    #[serde(rename = "q")]
    pub(super) question: Option<String>,
}

impl Asked {
    pub(super) fn new(
        key: &str,
        kind: AskKind,
        params: Option<&RawJson>,
        question: Option<&RawJson>,
    ) -> Self {
        let text = |raw: &RawJson| raw.as_str().to_owned();
        Self {
            key: key.to_owned(),
            method: kind.method().as_str().to_owned(),
            params: params.map(text),
            question: question.map(text),
        }
    }

    pub(super) fn kind(&self) -> AskKind {
        // What was sealed here is one of the three.
        AskKind::from_method(&Method::from_text(&Text::from(self.method.clone()))).unwrap_or(AskKind::Elicit)
    }

    pub(super) fn params(&self) -> Option<RawJson> {
        RawJson::from_text(self.params.as_deref()?).ok()
    }
}

/// `inputRequests`.
pub(super) fn input_requests(asked: &[Asked]) -> RawJson {
    let mut out = Vec::from(*b"{");
    for asked in asked {
        let mut request = Vec::from(*b"{");
        json::write_member(&mut request, "method", RawJson::string(&asked.method).as_bytes());
        if let Some(params) = &asked.params {
            json::write_member(&mut request, "params", params.as_bytes());
        }
        request.push(b'}');
        json::write_member(&mut out, &asked.key, &request);
    }
    out.push(b'}');
    RawJson::built(out)
}

/// The questions of a state by whether a retry answers them.
pub(super) struct Sorted {
    pub(super) answered: Vec<(Asked, RawJson)>,
    pub(super) open: Vec<Asked>,
}

/// Reads a retry's answers (checks 92–94). The client has to offer what it is asked for, also now.
pub(super) fn sort(call: &Call<'_>, asked: Vec<Asked>) -> Result<Sorted, RpcError> {
    let bad = |text: String| RpcError::new(Code::INVALID_PARAMS, text);
    let answers = call.inbound.params.get("inputResponses");
    if answers.is_some_and(|answers| answers.kind() != Kind::Object) {
        return Err(bad("`inputResponses` must be an object".to_owned()));
    }
    let flags = call.ctx.capabilities.flags();
    let mut sorted = Sorted { answered: Vec::new(), open: Vec::new() };
    for asked in asked {
        let need = Need::of(asked.kind(), asked.params().as_ref());
        if !need.is_offered(flags) {
            return Err(need.insisted_on());
        }
        let Some(answer) = answers.and_then(|answers| answers.get(&asked.key)) else {
            sorted.open.push(asked);
            continue;
        };
        payload::check_answer(asked.kind(), &answer)
            .map_err(|fault| bad(format!("the answer to `{}` is not acceptable: {fault}", asked.key)))?;
        sorted.answered.push((asked, answer));
    }
    Ok(sorted)
}

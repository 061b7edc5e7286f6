//! A server's questions on their way to a client. Forms, sampling requests and folder questions are put into the terms
//! of the client's revision; what cannot be put into them is [`Unaskable`], and the gateway answers in the client's place.

use super::{Edit, block_type, elicit, text_block};
use crate::{Era, Feature, RawJson, Version, meta, service::AskKind};

/// A question in the terms of a client, with what is needed to put the answer back into the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskRewrite {
    /// `params` for the client.
    pub params: Option<RawJson>,
    /// Multi-selects that were taken apart.
    pub(super) choices: Vec<elicit::Choice>,
}

/// Why a client of this revision cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unaskable {
    /// There are no forms before 2025-06-18.
    #[error("the client's protocol revision has no elicitation")]
    Elicitation,
    /// There are no URLs before 2025-11-25.
    #[error("the client's protocol revision has no URL elicitation")]
    Url,
    /// The form has a field that the revision cannot express.
    #[error("the form cannot be expressed in the client's protocol revision")]
    Form,
    /// There are no tools in sampling before 2025-11-25.
    #[error("the client's protocol revision has no tools in sampling")]
    SamplingTools,
}

/// Puts a question into the terms of a client's revision.
pub fn ask_for_client(
    kind: AskKind,
    params: Option<&RawJson>,
    client: Version,
) -> Result<AskRewrite, Unaskable> {
    if kind == AskKind::Elicit && !client.supports(Feature::Elicitation) {
        return Err(Unaskable::Elicitation);
    }
    let Some(params) = params else { return Ok(AskRewrite { params: None, choices: Vec::new() }) };
    let params = &clean(kind, params, client);
    let mut choices = Vec::new();
    let params = match kind {
        AskKind::Elicit if !client.supports(Feature::RichElicitation) => elicit::form(params, &mut choices)?,
        AskKind::Sample if !client.supports(Feature::SamplingTools) => sampling(params, client)?,
        _ => params.clone(),
    };
    Ok(AskRewrite { params: Some(params), choices })
}

/// Without what ends at this hop: reserved keys, the server's progress token, and towards modern clients the members
/// that only 2025-11-25 knows.
fn clean(kind: AskKind, params: &RawJson, client: Version) -> RawJson {
    let [meta, task, elicitation] = params.get_all(["_meta", "task", "elicitationId"]);
    let mut edit = Edit::default();
    edit.clean_meta_of(meta.as_ref(), |key| {
        let relayed = client.era() == Era::Legacy && super::KEPT.contains(&key);
        key == "progressToken" || meta::is_reserved(key) && !relayed
    });
    if client.era() == Era::Modern && task.is_some() {
        edit.drop("task");
    }
    if client.era() == Era::Modern && kind == AskKind::Elicit && elicitation.is_some() {
        edit.drop("elicitationId");
    }
    edit.apply(params)
}

/// Sampling before 2025-11-25: no tools, one block per message.
fn sampling(params: &RawJson, client: Version) -> Result<RawJson, Unaskable> {
    let [tools, choice, messages] = params.get_all(["tools", "toolChoice", "messages"]);
    let mut edit = Edit::default();
    if let Some(tools) = tools {
        if tools.elements().is_none_or(|tools| !tools.is_empty()) {
            return Err(Unaskable::SamplingTools);
        }
        edit.drop("tools");
    }
    if choice.is_some() {
        edit.drop("toolChoice");
    }
    if let Some(old) = messages.as_ref().and_then(RawJson::elements) {
        let mut new = Vec::with_capacity(old.len());
        for message in &old {
            single_blocks(message, client, &mut new)?;
        }
        if new != old {
            edit.set("messages", RawJson::array(&new));
        }
    }
    Ok(edit.apply(params))
}

/// A message with several blocks becomes several messages of the same role.
fn single_blocks(message: &RawJson, client: Version, out: &mut Vec<RawJson>) -> Result<(), Unaskable> {
    let Some(content) = message.get("content") else {
        out.push(message.clone());
        return Ok(());
    };
    let blocks = content.elements().unwrap_or_else(|| vec![content.clone()]);
    for block in &blocks {
        let kind = block_type(block);
        let block = match kind.as_deref() {
            Some("tool_use" | "tool_result") => return Err(Unaskable::SamplingTools),
            Some("audio") if !client.supports(Feature::Audio) => {
                // Sampling has no embedded resources, so the sound itself cannot pass.
                text_block("[audio that this client cannot take]", Some(block))
            }
            _ => block.clone(),
        };
        // A single block that did not change leaves the message byte for byte.
        if block == content {
            out.push(message.clone());
        } else {
            out.push(message.with(&[], &[("content", &block)]));
        }
    }
    Ok(())
}

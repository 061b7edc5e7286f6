//! A client's answers on their way to a server: checked, stripped of what ends at this hop, and put back into the terms
//! in which the server asked (spec: client/elicitation, client/sampling, client/roots; basic/patterns/mrtr).

use super::{Edit, block_type, elicit, is_object};
use crate::{
    Feature, RawJson, Version,
    json::{Kind, Member},
    meta,
    payload::AskRewrite,
    service::AskKind,
};

/// What an answer comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The answer for the server.
    Done(RawJson),
    /// The form's limits are broken: ask the client once more, with these `params`; the same rewrite stays valid.
    Again(RawJson),
}

/// An answer for a modern server: the bare result, as `inputResponses` wants it.
#[must_use]
pub fn answer_for_modern(answer: &RawJson) -> RawJson {
    bare(answer).apply(answer)
}

/// An answer for a legacy server of this revision.
#[must_use]
pub fn answer_for_legacy(kind: AskKind, answer: &RawJson, server: Version) -> RawJson {
    let mut edit = bare(answer);
    if kind == AskKind::Sample
        && !server.supports(Feature::SamplingTools)
        && let Some(block) = answer.get("content").and_then(|content| one_block(&content))
    {
        edit.set("content", block);
    }
    edit.apply(answer)
}

/// An answer to a rewritten question, in the terms of the question as the server asked it.
#[must_use]
pub fn answer_for_server(kind: AskKind, rewrite: &AskRewrite, answer: &RawJson, server: Version) -> Answered {
    let answer = match server.era() {
        crate::Era::Modern => answer_for_modern(answer),
        crate::Era::Legacy => answer_for_legacy(kind, answer, server),
    };
    let [action, content] = answer.get_all(["action", "content"]);
    let accepted = action.is_some_and(|action| action.as_bytes() == b"\"accept\"");
    if rewrite.choices.is_empty() || !accepted {
        return Answered::Done(answer);
    }
    match elicit::join(&content.unwrap_or(RawJson::EMPTY_OBJECT), &rewrite.choices) {
        Ok(content) => Answered::Done(answer.with(&[], &[("content", &content)])),
        Err(reason) => Answered::Again(with_reason(rewrite, &reason)),
    }
}

/// The question again, with what was wrong in front of its message.
fn with_reason(rewrite: &AskRewrite, reason: &str) -> RawJson {
    let params = rewrite.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
    let old = params.get("message").and_then(|message| message.string_value());
    let message = old.map_or_else(|| reason.to_owned(), |old| format!("{reason}\n\n{old}"));
    params.with(&[], &[("message", &RawJson::string(&message))])
}

/// Answers have no `resultType` in either era's wire form, and reserved `_meta` ends here.
fn bare(answer: &RawJson) -> Edit<'static> {
    let [kind, meta] = answer.get_all(["resultType", "_meta"]);
    let mut edit = Edit::default();
    if kind.is_some() {
        edit.drop("resultType");
    }
    edit.clean_meta_of(meta.as_ref(), meta::is_reserved);
    edit
}

/// The content of a sampling answer as the single block of revisions before 2025-11-25: the only one, or the joined
/// text of several. Other mixtures answer a question with tools, which such a server cannot have asked.
fn one_block(content: &RawJson) -> Option<RawJson> {
    let blocks = content.elements()?;
    if let [block] = blocks.as_slice() {
        return Some(block.clone());
    }
    let text = |block: &RawJson| {
        block_type(block).filter(|kind| kind.as_str() == "text")?;
        Some(block.get("text")?.string_value()?.to_string())
    };
    let texts: Vec<String> = blocks.iter().map(text).collect::<Option<_>>()?;
    Some(super::text_block(&texts.join("\n"), None))
}

/// Whether an answer has the shape that its question asks for (check 94). The error names what is wrong.
pub fn check_answer(kind: AskKind, answer: &RawJson) -> Result<(), &'static str> {
    let members = answer.members().map_err(|_| "an answer is an object without a key twice")?;
    let get =
        |key: &str| members.iter().find(|member| member.key.as_str() == key).map(|member| &member.value);
    match kind {
        AskKind::Elicit => check_elicit(get("action"), get("content")),
        AskKind::Sample => check_sample(get("role"), get("content"), get("model")),
        AskKind::Roots => check_roots(get("roots")),
    }
}

fn check_elicit(action: Option<&RawJson>, content: Option<&RawJson>) -> Result<(), &'static str> {
    let accepted = match action.map(RawJson::as_bytes) {
        Some(b"\"accept\"") => true,
        Some(b"\"decline\"" | b"\"cancel\"") => false,
        _ => return Err("`action` must be accept, decline or cancel"),
    };
    let Some(content) = content.filter(|_| accepted) else { return Ok(()) };
    let fields = content.members().map_err(|_| "`content` must be an object without a key twice")?;
    let flat = |Member { value, .. }: &Member| match value.elements() {
        Some(elements) => elements.iter().all(|element| element.kind() == Kind::String),
        None => !is_object(value),
    };
    if fields.iter().all(flat) { Ok(()) } else { Err("`content` holds something else than plain values") }
}

fn check_sample(
    role: Option<&RawJson>,
    content: Option<&RawJson>,
    model: Option<&RawJson>,
) -> Result<(), &'static str> {
    if !matches!(role.map(RawJson::as_bytes), Some(b"\"user\"" | b"\"assistant\"")) {
        return Err("`role` must be user or assistant");
    }
    if model.is_none_or(|model| model.kind() != Kind::String) {
        return Err("`model` must be a string");
    }
    let is_block = |block: &RawJson| block_type(block).is_some();
    let good = content.is_some_and(|content| match content.elements() {
        Some(blocks) => blocks.iter().all(is_block),
        None => is_block(content),
    });
    if good { Ok(()) } else { Err("`content` must be a content block or an array of them") }
}

fn check_roots(roots: Option<&RawJson>) -> Result<(), &'static str> {
    let Some(roots) = roots.and_then(RawJson::elements) else { return Err("`roots` must be an array") };
    let is_root = |root: &RawJson| root.get("uri").is_some_and(|uri| uri.kind() == Kind::String);
    if roots.iter().all(is_root) { Ok(()) } else { Err("each of `roots` must be an object with a `uri`") }
}

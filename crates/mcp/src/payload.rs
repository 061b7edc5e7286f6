//! Rewriting of payloads by the revision of the side that receives them (decided by the table "downgrade/upgrade of
//! payloads" of the bridge): results, tools, questions, answers and errors. Every edit is a splice; where nothing has to
//! change, the very bytes come back. Knows nothing of sessions, parking or policy: what cannot be told in the other
//! revision is reported, and the gateway decides.

mod answer;
mod ask;
mod content;
mod elicit;
mod error;
mod result;
mod task;

pub use answer::{Answered, answer_for_legacy, answer_for_modern, answer_for_server, check_answer};
pub use ask::{AskRewrite, Unaskable, ask_for_client};
pub use error::error_for_client;
pub use result::{params_for_server, result_for_client, tool_for_client};

pub use task::{
    Task, TaskStatus, TaskSupport, created_task, offers_tasks, task_for_modern, with_related_task,
    with_task_id,
};

use crate::{RawJson, json::Kind, meta};
use memchr::memmem;

/// Reserved `_meta` keys that a legacy server may send and that mean something beyond its own hop.
const KEPT: [&str; 2] = [meta::RELATED_TASK, "io.modelcontextprotocol/model-immediate-response"];

/// Changes to the top level of one object.
#[derive(Default)]
struct Edit<'a> {
    drop: Vec<&'a str>,
    set: Vec<(&'a str, RawJson)>,
}

impl<'a> Edit<'a> {
    fn drop(&mut self, key: &'a str) {
        self.drop.push(key);
    }

    fn set(&mut self, key: &'a str, value: RawJson) {
        self.set.push((key, value));
    }

    /// What `_meta` becomes without the reserved keys that end at this hop.
    fn clean_meta(&mut self, meta: Option<&RawJson>) {
        self.clean_meta_of(meta, |key| meta::is_reserved(key) && !KEPT.contains(&key));
    }

    /// `_meta` without the keys that end at this hop.
    fn clean_meta_of(&mut self, meta: Option<&RawJson>, ends_here: impl Fn(&str) -> bool) {
        match meta.map_or(Cleaned::Same, |meta| clean(meta, ends_here)) {
            Cleaned::Same => {}
            Cleaned::Empty => self.drop("_meta"),
            Cleaned::Less(less) => self.set("_meta", less),
        }
    }

    fn apply(self, object: &RawJson) -> RawJson {
        if self.drop.is_empty() && self.set.is_empty() {
            return object.clone();
        }
        let set: Vec<_> = self.set.iter().map(|(key, value)| (*key, value)).collect();
        object.with(&self.drop, &set)
    }
}

enum Cleaned {
    Same,
    Empty,
    Less(RawJson),
}

fn clean(meta: &RawJson, ends_here: impl Fn(&str) -> bool) -> Cleaned {
    let Ok(members) = meta.members() else { return Cleaned::Same };
    let drop: Vec<&str> = members.iter().map(|m| m.key.as_str()).filter(|key| ends_here(key)).collect();
    match drop.len() {
        0 => Cleaned::Same,
        all if all == members.len() => Cleaned::Empty,
        _ => Cleaned::Less(meta.with(&drop, &[])),
    }
}

/// Below this size one scan costs less than the searches that could spare it.
const SMALL: usize = 1024;

/// Whether one of these keys can stand anywhere in the JSON. Never "no" by mistake: a key may be written with escapes.
fn may_have(json: &RawJson, keys: &[&str]) -> bool {
    let bytes = json.as_bytes();
    bytes.len() < SMALL
        || keys.iter().any(|key| memmem::find(bytes, key.as_bytes()).is_some())
        || escapes_ascii(bytes)
}

/// Whether a printable ASCII character is written as `\u00XX`, which nobody does but to hide it.
fn escapes_ascii(bytes: &[u8]) -> bool {
    memmem::find_iter(bytes, b"\\u00").any(|at| matches!(bytes.get(at + 4), Some(b'2'..=b'7')))
}

/// The object with these members (`"a":1,"b":2`) in front of its own: one copy, no scan.
fn prepend(object: &RawJson, members: &[u8]) -> RawJson {
    let rest = object.as_bytes()[1..].trim_ascii_start();
    let comma: &[u8] = if rest.first() == Some(&b'}') { b"" } else { b"," };
    RawJson::trusted([b"{", members, comma, rest].concat())
}

fn is_object(raw: &RawJson) -> bool {
    raw.kind() == Kind::Object
}

/// The type of a content block.
fn block_type(block: &RawJson) -> Option<crate::Text> {
    block.get("type")?.string_value()
}

/// A text block; `like` gives its annotations.
fn text_block(text: &str, like: Option<&RawJson>) -> RawJson {
    let block = RawJson::from_static(r#"{"type":"text"}"#);
    let text = RawJson::string(text);
    match like.and_then(|like| like.get("annotations")) {
        Some(annotations) => block.with(&[], &[("text", &text), ("annotations", &annotations)]),
        None => block.with(&[], &[("text", &text)]),
    }
}

#[cfg(test)]
mod tests;

//! What goes over the wire in streams: progress on the way to an answer, and a question with its answer. Both ends of the
//! benchmark use it. It neither sends nor receives.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{LEGACY_VERSION, PROGRESS, head};

/// The head of every stream; the last line keeps nginx from holding events back.
pub(super) const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";
/// The end of every stream.
pub(super) const END: &str = "0\r\n\r\n";
/// The question as it stands in a legacy request and in a modern result.
const QUESTION: &str = r#""method":"elicitation/create","params":{"mode":"form","message":"Who is it for?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}"#;
/// What every question is answered with.
const REPLY: &str = r#"{"action":"accept","content":{"name":"bench"}}"#;
/// What the modern upstream wants to see again.
const STATE: &str = "bench-state";

/// One event in a chunk of its own.
pub(super) fn event(out: &mut String, message: &str) {
    let framing = "event: message\ndata: \n\n".len();
    // A `String` takes every write.
    let _ = write!(out, "{:x}\r\nevent: message\ndata: {message}\n\n\r\n", framing + message.len());
}

/// One progress notification.
pub(super) fn progress(token: &str, step: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"total":{PROGRESS},"message":"one step further"}}}}"#
    )
}

/// The question of a legacy server.
pub(super) fn question(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},{QUESTION}}}"#)
}

/// The rest of the answer of a modern server that has a question.
pub(super) fn unanswered_tail() -> String {
    format!(
        r#","result":{{"resultType":"input_required","inputRequests":{{"who":{{{QUESTION}}}}},"requestState":"{STATE}"}}}}"#
    )
}

/// Whether the answer to a question is the one that was given.
pub(super) fn is_reply(answer: &RawValue) -> bool {
    serde_json::from_str::<Reply<'_>>(answer.get())
        .is_ok_and(|reply| reply.action == "accept" && reply.content.name == "bench")
}

/// Whether a repeated call brings back what it was asked for.
pub(super) fn is_retry(responses: &RawValue, state: Option<&str>) -> bool {
    let responses = serde_json::from_str::<Responses<'_>>(responses.get());
    state == Some(STATE) && responses.is_ok_and(|responses| is_reply(responses.who))
}

#[derive(Deserialize)]
struct Reply<'a> {
    action: &'a str,
    content: Form<'a>,
}

#[derive(Deserialize)]
struct Form<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct Responses<'a> {
    #[serde(borrow)]
    who: &'a RawValue,
}

/// The messages of a body: itself, or the data of its events.
pub(super) fn messages(body: &[u8]) -> Vec<&[u8]> {
    if body.first() == Some(&b'{') {
        return vec![body];
    }
    let lines = body.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

/// How many progress notifications are in a body.
pub(super) fn count(body: &[u8]) -> u64 {
    memchr::memmem::find_iter(body, b"notifications/progress").map(|_| 1).sum()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    progress_token: String,
    progress: u64,
}

#[derive(Deserialize)]
struct Told {
    params: Progress,
}

/// The thorough check: every step, in order, with the token of the request.
pub(super) fn verify(told: &[&[u8]]) -> Result<(), String> {
    let told: Vec<Progress> = told
        .iter()
        .map(|message| serde_json::from_slice::<Told>(message).map(|told| told.params))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("progress: {error}"))?;
    let is_right = told.iter().map(|told| told.progress).eq(1..=PROGRESS);
    if is_right && told.iter().all(|told| told.progress_token == "p") {
        return Ok(());
    }
    Err(format!("{} steps of progress, or not in order, or with another token", told.len()))
}

/// The part of a message that holds a question.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<Unanswered<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unanswered<'a> {
    #[serde(borrow)]
    input_requests: std::collections::BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(borrow)]
    request_state: Option<&'a RawValue>,
}

/// What the repeated call of a modern client holds beside what the first one held.
pub(super) fn retry(body: &[u8]) -> Option<String> {
    let messages = messages(body);
    let asked: Asked<'_> = serde_json::from_slice(messages.last()?).ok()?;
    let Unanswered { input_requests, request_state } = asked.result?;
    let (key, question) = input_requests.first_key_value()?;
    memchr::memmem::find(question.get().as_bytes(), b"elicitation/create")?;
    let state = request_state.map(|state| format!(r#","requestState":{state}"#)).unwrap_or_default();
    Some(format!(r#","inputResponses":{{"{key}":{REPLY}}}{state}"#))
}

/// The request with which a legacy client answers the question in an event.
pub(super) fn reply(target: &str, path: &str, session: &str, event: &[u8]) -> Option<Vec<u8>> {
    let messages = messages(event);
    let asked: Asked<'_> = serde_json::from_slice(messages.last()?).ok()?;
    let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{REPLY}}}"#, asked.id?);
    let head = head(target, path);
    let head = format!("{head}MCP-Protocol-Version: {LEGACY_VERSION}\r\nMcp-Session-Id: {session}\r\n");
    Some(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_missing_or_out_of_order_or_of_another_call_are_seen() {
        let told = |steps: Vec<u64>, token: &str| -> Vec<String> {
            steps.into_iter().map(|step| progress(token, step)).collect()
        };
        let mut swapped: Vec<u64> = (1..=PROGRESS).collect();
        swapped.swap(3, 4);
        let table = [
            ("all", told((1..=PROGRESS).collect(), r#""p""#), true),
            ("one less", told((1..PROGRESS).collect(), r#""p""#), false),
            ("swapped", told(swapped, r#""p""#), false),
            ("another token", told((1..=PROGRESS).collect(), r#""q""#), false),
        ];
        for (what, told, expected) in table {
            let told: Vec<&[u8]> = told.iter().map(String::as_bytes).collect();
            assert_eq!(verify(&told).is_ok(), expected, "{what}");
        }
    }

    #[test]
    fn a_question_is_found_and_its_answer_is_known_again() {
        let result = format!(r#"{{"jsonrpc":"2.0","id":1{}"#, unanswered_tail());
        let more: serde_json::Value =
            serde_json::from_str(&format!("{{{}}}", &retry(result.as_bytes()).unwrap()[1..])).unwrap();
        let responses: Box<RawValue> = serde_json::from_value(more["inputResponses"].clone()).unwrap();
        assert!(is_retry(&responses, more["requestState"].as_str()));
        assert!(!is_retry(&responses, None), "the state is missing");
        let mut event = String::new();
        super::event(&mut event, &question(r#""ask-1""#));
        let reply = String::from_utf8(reply("a", "/", "s", event.as_bytes()).unwrap()).unwrap();
        assert!(reply.ends_with(
            r#"{"jsonrpc":"2.0","id":"ask-1","result":{"action":"accept","content":{"name":"bench"}}}"#
        ));
        assert_eq!(retry(br#"{"id":1,"result":{"content":[]}}"#), None, "no question");
    }
}

//! What goes over the wire in the benchmark: the requests of both eras, the answers to them, and how an answer
//! is told to be right. Both ends use it, so neither can drift. Not a general MCP implementation.

use std::io::Write as _;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::events;

/// The newest revision with a handshake.
pub(crate) const LEGACY_VERSION: &str = "2025-11-25";
/// The revision without.
pub(crate) const MODERN_VERSION: &str = "2026-07-28";
/// The end of every small answer.
const SMALL_MARKER: &str = "end-of-small-answer";
/// The name of the last tool of the list.
const LIST_MARKER: &str = "filler_23";
/// The end of the large text.
const BIG_MARKER: &str = "end-of-big-answer";
/// How many progress notifications come before an answer that has any.
pub(super) const PROGRESS: u64 = 1000;
/// What the client can be asked.
const CAPABILITIES: &str = r#"{"elicitation":{}}"#;
/// How many tools the list has; with their schemas that makes 12 KB.
pub(super) const TOOLS: usize = 24;
/// The length of the large text.
const BIG_TEXT: usize = 100_000;
/// The length of the small text.
const SMALL_TEXT: usize = 100;

/// Which form of the protocol one side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Era {
    /// Handshake and session.
    Legacy,
    /// Every request stands alone.
    Modern,
}

impl Era {
    /// As it stands in paths, case names and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    /// A call with a 100-byte answer.
    Small,
    /// A list of 12 KB.
    List,
    /// A call with a 100 KB answer.
    Big,
    /// A call that tells its progress 1,000 times before its 100-byte answer.
    Progress,
    /// A call that asks a question before its 100-byte answer.
    Ask,
}

impl Work {
    /// As it stands in case names and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::List => "list",
            Self::Big => "big",
            Self::Progress => "progress",
            Self::Ask => "ask",
        }
    }

    /// The method that does this work.
    fn method(self) -> &'static str {
        match self {
            Self::Small | Self::Big | Self::Progress | Self::Ask => "tools/call",
            Self::List => "tools/list",
        }
    }

    /// Bytes that only a complete right answer holds.
    fn marker(self) -> &'static [u8] {
        match self {
            Self::Small | Self::Progress | Self::Ask => SMALL_MARKER.as_bytes(),
            Self::List => LIST_MARKER.as_bytes(),
            Self::Big => BIG_MARKER.as_bytes(),
        }
    }

    /// No right answer is shorter.
    fn least_length(self) -> usize {
        match self {
            Self::Small | Self::Progress | Self::Ask => SMALL_TEXT,
            Self::List => 11_000,
            Self::Big => BIG_TEXT,
        }
    }
}

/// Where requests go.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The address.
    pub(crate) target: &'a str,
    /// The endpoint.
    pub(crate) path: &'a str,
    /// What the names of tools begin with there.
    pub(crate) prefix: &'a str,
}

/// A request but for its id: written once for each connection, so that sending is a copy.
pub(crate) struct Template {
    head: Vec<u8>,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Template {
    /// The request that asks for `work`. A legacy one carries the session that the handshake gave.
    pub(crate) fn new(place: &Place<'_>, era: Era, work: Work, session: Option<&str>) -> Self {
        let mut head = head(place.target, place.path);
        let name = format!("{}{}", place.prefix, work.name());
        let mut parameters = match work {
            Work::Small | Work::Big | Work::Progress | Work::Ask => {
                format!(r#""name":"{name}","arguments":{{"text":"hello"}}"#)
            }
            Work::List => String::new(),
        };
        match era {
            Era::Legacy => {
                head += &format!("MCP-Protocol-Version: {LEGACY_VERSION}\r\n");
                head += &session.map(|id| format!("Mcp-Session-Id: {id}\r\n")).unwrap_or_default();
                if work == Work::Progress {
                    parameters += &format!(r#","_meta":{{{}}}"#, progress_token(work));
                }
            }
            Era::Modern => {
                head +=
                    &format!("MCP-Protocol-Version: {MODERN_VERSION}\r\nMcp-Method: {}\r\n", work.method());
                if !parameters.is_empty() {
                    head += &format!("Mcp-Name: {name}\r\n");
                    parameters.push(',');
                }
                parameters += &envelope(work);
            }
        }
        let after = format!(r#","method":"{}","params":{{{parameters}}}}}"#, work.method());
        Self {
            head: head.into_bytes(),
            before: br#"{"jsonrpc":"2.0","id":"#.to_vec(),
            after: after.into_bytes(),
        }
    }

    /// Writes the request with this id.
    pub(crate) fn write(&self, id: u64, out: &mut Vec<u8>) {
        self.write_with(id, "", out);
    }

    /// Writes the request with this id and more members of its parameters, each with a comma before it.
    pub(super) fn write_with(&self, id: u64, more: &str, out: &mut Vec<u8>) {
        let (after, end) = self.after.split_at(self.after.len() - 2);
        out.clear();
        out.extend_from_slice(&self.head);
        let digits = id.checked_ilog10().unwrap_or(0) as usize + 1;
        // A `Vec` takes every write.
        let _ = write!(
            out,
            "Content-Length: {}\r\n\r\n",
            self.before.len() + digits + self.after.len() + more.len()
        );
        out.extend_from_slice(&self.before);
        let _ = write!(out, "{id}");
        for part in [after, more.as_bytes(), end] {
            out.extend_from_slice(part);
        }
    }
}

/// The handshake: `initialize`, or with a session the notification that ends it.
pub(crate) fn handshake(target: &str, path: &str, session: Option<&str>) -> Vec<u8> {
    let mut head = head(target, path);
    let body = match session {
        None => format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY_VERSION}","capabilities":{CAPABILITIES},"clientInfo":{{"name":"bench","version":"1"}}}}}}"#
        ),
        Some(id) => {
            head += &format!("MCP-Protocol-Version: {LEGACY_VERSION}\r\nMcp-Session-Id: {id}\r\n");
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned()
        }
    };
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub(super) fn head(target: &str, path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {target}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n"
    )
}

/// The member of `_meta` that asks for progress, with a comma after it in front of others.
fn progress_token(work: Work) -> &'static str {
    if work == Work::Progress { r#""progressToken":"p""# } else { "" }
}

fn envelope(work: Work) -> String {
    let token = progress_token(work);
    let comma = if token.is_empty() { "" } else { "," };
    format!(
        r#""_meta":{{{token}{comma}"io.modelcontextprotocol/protocolVersion":"{MODERN_VERSION}","io.modelcontextprotocol/clientCapabilities":{CAPABILITIES},"io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}}}}"#
    )
}

/// Everything of an answer after its id, for the upstream.
pub(crate) fn answer_tail(era: Era, work: Work) -> String {
    let kind = match era {
        Era::Legacy => "",
        Era::Modern => r#""resultType":"complete","#,
    };
    let lifetime = match era {
        Era::Legacy => "",
        Era::Modern => r#","ttlMs":60000,"cacheScope":"public""#,
    };
    let result = match work {
        Work::Small | Work::Progress | Work::Ask => text_result(kind, SMALL_TEXT, SMALL_MARKER),
        Work::Big => text_result(kind, BIG_TEXT, BIG_MARKER),
        Work::List => format!(r#"{{{kind}"tools":[{}]{lifetime}}}"#, tools().join(",")),
    };
    format!(r#","result":{result}}}"#)
}

fn text_result(kind: &str, length: usize, marker: &str) -> String {
    let sentence = "the quick brown fox jumps over the lazy dog ";
    let text: String = sentence.chars().cycle().take(length - marker.len()).collect();
    format!(r#"{{{kind}"content":[{{"type":"text","text":"{text}{marker}"}}],"isError":false}}"#)
}

fn tools() -> Vec<String> {
    (0..TOOLS).map(|index| tool(&tool_name(index))).collect()
}

fn tool_name(index: usize) -> String {
    match index {
        0 => "small".to_owned(),
        1 => "big".to_owned(),
        2 => "progress".to_owned(),
        3 => "ask".to_owned(),
        _ => format!("filler_{index:02}"),
    }
}

fn tool(name: &str) -> String {
    format!(
        r#"{{"name":"{name}","title":"The tool {name}","description":"Answers with a fixed text. It stands for a tool of ordinary size: a sentence or two that tell a model when to use it and when to leave it alone, and a schema with a few properties that are described.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string","description":"Any text; the answer does not depend on it"}},"limit":{{"type":"integer","description":"How much to answer at most","minimum":1,"maximum":100}}}},"required":["text"]}}}}"#
    )
}

/// The cheap check of every answer: status, id, marker, length.
pub(crate) fn is_right(work: Work, id: u64, status: u16, body: &[u8]) -> bool {
    let mut echoed = *b"\"id\":\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut rest = &mut echoed[5..];
    let room = rest.len();
    let written = write!(rest, "{id}").map(|()| room - rest.len()).unwrap_or_default();
    status == 200
        && body.len() >= work.least_length()
        && memchr::memmem::find(body, &echoed[..5 + written])
            .is_some_and(|at| matches!(body.get(at + 5 + written), Some(b',' | b'}')))
        && memchr::memmem::rfind(body, work.marker()).is_some()
        && (work != Work::Progress || events::count(body) == PROGRESS)
}

/// The part of an answer that the thorough check reads.
#[derive(Deserialize)]
struct Answer<'a> {
    id: u64,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultBody {
    result_type: Option<String>,
    content: Option<Vec<Content>>,
    tools: Option<Vec<Tool>>,
    ttl_ms: Option<u64>,
    cache_scope: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    text: String,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
}

/// The thorough check, made of the first answer on each connection: the whole result has the expected value.
pub(crate) fn verify(era: Era, work: Work, prefix: &str, id: u64, body: &[u8]) -> Result<(), String> {
    let messages = events::messages(body);
    let (last, before) = messages.split_last().ok_or("nothing in it")?;
    if work == Work::Progress {
        events::verify(before)?;
    }
    let answer: Answer = serde_json::from_slice(last).map_err(|error| format!("not JSON-RPC: {error}"))?;
    let raw = answer.result.ok_or_else(|| format!("no result in {}", excerpt(body)))?;
    let result: ResultBody = serde_json::from_str(raw.get()).map_err(|error| format!("result: {error}"))?;
    if answer.id != id {
        return Err(format!("id {} instead of {id}", answer.id));
    }
    if era == Era::Modern && result.result_type.as_deref() != Some("complete") {
        return Err(format!("resultType {:?}", result.result_type));
    }
    match work {
        Work::List => {
            let mut names: Vec<String> =
                result.tools.unwrap_or_default().into_iter().map(|t| t.name).collect();
            let mut expected: Vec<String> =
                (0..TOOLS).map(|index| format!("{prefix}{}", tool_name(index))).collect();
            names.sort();
            expected.sort();
            let is_cacheable = result.ttl_ms.is_some() && result.cache_scope.is_some();
            match (names == expected, era == Era::Legacy || is_cacheable) {
                (false, _) => Err(format!("tools {names:?}")),
                (true, false) => Err("a modern list without ttlMs and cacheScope".into()),
                (true, true) => Ok(()),
            }
        }
        Work::Small | Work::Big | Work::Progress | Work::Ask => {
            let expected = if work == Work::Big { BIG_TEXT } else { SMALL_TEXT };
            let lengths: Vec<usize> =
                result.content.unwrap_or_default().iter().map(|content| content.text.len()).collect();
            if lengths == [expected] { Ok(()) } else { Err(format!("text lengths {lengths:?}")) }
        }
    }
}

/// The beginning of a body, for messages.
pub(crate) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(era: Era, work: Work, id: u64) -> Vec<u8> {
        format!(r#"{{"jsonrpc":"2.0","id":{id}{}"#, answer_tail(era, work)).into_bytes()
    }

    #[test]
    fn right_answers_pass_both_checks() {
        for era in [Era::Legacy, Era::Modern] {
            for work in [Work::Small, Work::List, Work::Big] {
                let body = body(era, work, 17);
                assert!(is_right(work, 17, 200, &body), "{era:?} {work:?}");
                assert_eq!(verify(era, work, "", 17, &body), Ok(()), "{era:?} {work:?}");
            }
        }
    }

    #[test]
    fn wrong_answers_fail() {
        let small = body(Era::Modern, Work::Small, 17);
        let cut = &small[..small.len() - 40];
        let table: [(&str, Work, u64, u16, &[u8]); 6] = [
            ("another id", Work::Small, 18, 200, &small),
            ("an id that begins alike", Work::Small, 1, 200, &small),
            ("an id that goes on", Work::Small, 170, 200, &small),
            ("status", Work::Small, 17, 502, &small),
            ("cut short", Work::Small, 17, 200, cut),
            ("another answer", Work::List, 17, 200, &small),
        ];
        for (what, work, id, status, body) in table {
            assert!(!is_right(work, id, status, body), "{what}");
        }
        let legacy = body(Era::Legacy, Work::List, 17);
        assert!(verify(Era::Modern, Work::List, "", 17, &legacy).is_err(), "no resultType");
        assert!(verify(Era::Modern, Work::Small, "", 18, &small).is_err(), "another id");
    }

    #[test]
    fn the_list_is_about_twelve_kilobytes() {
        let length = body(Era::Legacy, Work::List, 1).len();
        assert!((11_500..13_000).contains(&length), "{length}");
    }

    #[test]
    fn a_request_announces_its_length() {
        let place = Place { target: "127.0.0.1:1", path: "/mcp", prefix: "" };
        for (era, session) in [(Era::Legacy, Some("s1")), (Era::Modern, None)] {
            let template = Template::new(&place, era, Work::Small, session);
            for id in [1, 10, 1_000_000] {
                let mut out = Vec::new();
                template.write(id, &mut out);
                let text = String::from_utf8(out).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
                let value: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(value["id"], id);
                assert_eq!(value["params"]["name"], "small");
            }
        }
    }
}

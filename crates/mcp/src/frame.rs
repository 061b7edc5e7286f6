//! JSON-RPC 2.0 frames with raw parameters and results (spec: basic/index).
//! Decoding checks the whole message once, refuses duplicate keys in the envelope (decision D14) and keeps every byte
//! of what it does not need. Which messages are acceptable where is decided by the doors, not here.

use crate::{Code, JsonError, Method, RawJson, RpcError, Text, json::Kind, json::Member};
use bytes::Bytes;

/// A request id: a string or an integer, kept as it was written so that it goes back with its JSON type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Id(RawJson);

impl Id {
    /// Takes a raw value if it is a string or an integer; null and fractions are refused.
    pub fn from_raw(raw: &RawJson) -> Option<Self> {
        let good = match raw.kind() {
            Kind::String => true,
            Kind::Number => !raw.as_bytes().iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')),
            _ => false,
        };
        good.then(|| Self(raw.clone()))
    }

    /// An integer id of our own.
    pub fn number(number: u64) -> Self {
        Self(RawJson::trusted(itoa::Buffer::new().format(number).as_bytes().to_vec()))
    }

    /// A string id of our own.
    pub fn text(text: &str) -> Self {
        Self(RawJson::string(text))
    }

    /// The same id in bytes of its own, for whoever keeps it longer than the message that it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }

    /// The id as raw JSON.
    pub fn raw(&self) -> &RawJson {
        &self.0
    }

    /// The number, if it is one that we could have given out.
    pub fn as_number(&self) -> Option<u64> {
        self.0.as_str().parse().ok()
    }

    /// The content of a string id.
    pub fn as_text(&self) -> Option<Text> {
        self.0.string_value()
    }
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `result`
    Result(RawJson),
    /// `error`
    Error(RpcError),
}

/// One JSON-RPC message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Wants an answer.
    Request {
        /// Its id.
        id: Id,
        /// What is asked.
        method: Method,
        /// `params` as it came.
        params: Option<RawJson>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: Method,
        /// `params` as it came.
        params: Option<RawJson>,
    },
    /// An answer.
    Response {
        /// Of which request; an error may come without.
        id: Option<Id>,
        /// Result or error.
        outcome: Outcome,
    },
}

/// Why a body is not an acceptable message. `id` is there whenever it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameError {
    /// -32700 or -32600.
    pub code: Code,
    /// One sentence for the caller.
    pub message: String,
    /// The request's id, if readable.
    pub id: Option<Id>,
}

impl FrameError {
    fn invalid(message: &str, id: Option<Id>) -> Self {
        Self { code: Code::INVALID_REQUEST, message: message.to_owned(), id }
    }

    /// The error object for the answer.
    pub fn to_rpc(&self) -> RpcError {
        RpcError::new(self.code, self.message.clone())
    }
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// One message.
    One(Frame),
    /// An array of messages: only 2025-03-26 has these. Each element is decoded on its own.
    Batch(Vec<Result<Frame, FrameError>>),
}

/// Decodes a body that may be a batch.
pub fn decode_body(bytes: &Bytes, depth: usize) -> Result<Body, FrameError> {
    let raw = parse(bytes, depth)?;
    match raw.elements() {
        None => decode_value(&raw).map(Body::One),
        Some(elements) => Ok(Body::Batch(elements.iter().map(decode_value).collect())),
    }
}

/// Decodes exactly one message.
pub fn decode(bytes: &Bytes, depth: usize) -> Result<Frame, FrameError> {
    decode_value(&parse(bytes, depth)?)
}

fn parse(bytes: &Bytes, depth: usize) -> Result<RawJson, FrameError> {
    RawJson::parse(bytes, depth).map_err(|error| match error {
        JsonError::Utf8(_) | JsonError::Syntax(_) => {
            FrameError { code: Code::PARSE, message: format!("the message is {error}"), id: None }
        }
        other => FrameError::invalid(&format!("the message is {other}"), None),
    })
}

fn decode_value(raw: &RawJson) -> Result<Frame, FrameError> {
    let members = raw.members().map_err(|error| match error {
        JsonError::NotObject => FrameError::invalid("a message is a JSON object", None),
        other => FrameError::invalid(&format!("the message's envelope is not acceptable: {other}"), None),
    })?;
    let find = |key: &str| members.iter().find(|Member { key: k, .. }| *k == *key).map(|m| &m.value);
    let raw_id = find("id");
    let id = raw_id.and_then(Id::from_raw);
    let fail = |message: &str| Err(FrameError::invalid(message, id.clone()));
    if find("jsonrpc").is_none_or(|version| version.as_bytes() != b"\"2.0\"") {
        return fail("`jsonrpc` must be \"2.0\"");
    }
    if let Some(method) = find("method") {
        let Some(method) = method.string_value() else { return fail("`method` must be a string") };
        if find("result").is_some() || find("error").is_some() {
            return fail("a message is a request or a response, not both");
        }
        let params = find("params").cloned();
        if params.as_ref().is_some_and(|params| !matches!(params.kind(), Kind::Object)) {
            return fail("`params` must be an object");
        }
        let method = Method::from_text(&method);
        return match (raw_id, id) {
            (None, _) => Ok(Frame::Notification { method, params }),
            (Some(_), Some(id)) => Ok(Frame::Request { id, method, params }),
            (Some(_), None) => Err(FrameError::invalid("`id` must be a string or an integer", None)),
        };
    }
    if raw_id.is_some_and(|raw| id.is_none() && raw.kind() != Kind::Null) {
        return fail("`id` must be a string or an integer");
    }
    match (find("result"), find("error")) {
        (Some(result), None) if id.is_some() => {
            Ok(Frame::Response { id, outcome: Outcome::Result(result.clone()) })
        }
        (Some(_), None) => fail("a result needs an `id`"),
        (None, Some(error)) => Ok(Frame::Response { id, outcome: Outcome::Error(RpcError::from_raw(error)) }),
        _ => fail("a message has a `method`, a `result` or an `error`"),
    }
}

/// The JSON of a request.
pub fn encode_request(id: &Id, method: &str, params: Option<&RawJson>) -> Vec<u8> {
    let mut out =
        envelope(Some(id), method.len().saturating_add(params.map_or(0, |params| params.as_bytes().len())));
    push_method(&mut out, method, params);
    out
}

/// The JSON of a notification.
pub fn encode_notification(method: &str, params: Option<&RawJson>) -> Vec<u8> {
    let mut out =
        envelope(None, method.len().saturating_add(params.map_or(0, |params| params.as_bytes().len())));
    push_method(&mut out, method, params);
    out
}

/// The JSON of a response.
pub fn encode_response(id: Option<&Id>, outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Outcome::Result(result) => {
            let mut out = response_head(id, result.as_bytes().len());
            out.extend_from_slice(result.as_bytes());
            out.push(b'}');
            out
        }
        Outcome::Error(error) => {
            let error = error.encode();
            let mut out = envelope(id, error.as_bytes().len());
            out.extend_from_slice(b",\"error\":");
            out.extend_from_slice(error.as_bytes());
            out.push(b'}');
            out
        }
    }
}

/// Everything of a successful response that stands before the result; the result and a `}` follow.
pub fn response_head(id: Option<&Id>, room: usize) -> Vec<u8> {
    let mut out = envelope(id, room);
    out.extend_from_slice(b",\"result\":");
    out
}

fn envelope(id: Option<&Id>, room: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(room.saturating_add(96));
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.raw().as_bytes());
    }
    out
}

fn push_method(out: &mut Vec<u8>, method: &str, params: Option<&RawJson>) {
    out.extend_from_slice(b",\"method\":");
    crate::json::write_string(out, method);
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params.as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Frame, FrameError> {
        decode(&Bytes::copy_from_slice(text.as_bytes()), 16)
    }

    #[test]
    fn refusals_name_the_fault_and_keep_the_id() {
        let rows = [
            ("{", -32700, "the message is not valid JSON (at byte 1)", None),
            ("", -32700, "the message is not valid JSON (at byte 0)", None),
            ("5", -32600, "a message is a JSON object", None),
            ("[]", -32600, "a message is a JSON object", None),
            (r#"{"id":1,"method":"x"}"#, -32600, "`jsonrpc` must be \"2.0\"", Some("1")),
            (r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#, -32600, "`jsonrpc` must be \"2.0\"", Some("1")),
            (r#"{"jsonrpc":"2.0","id":"a","method":5}"#, -32600, "`method` must be a string", Some("\"a\"")),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
                -32600,
                "`id` must be a string or an integer",
                None,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
                -32600,
                "`id` must be a string or an integer",
                None,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"x","params":[1]}"#,
                -32600,
                "`params` must be an object",
                Some("7"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"x","result":1}"#,
                -32600,
                "a message is a request or a response, not both",
                Some("7"),
            ),
            (
                r#"{"jsonrpc":"2.0","id":7}"#,
                -32600,
                "a message has a `method`, a `result` or an `error`",
                Some("7"),
            ),
            (r#"{"jsonrpc":"2.0","result":7}"#, -32600, "a result needs an `id`", None),
        ];
        for (text, code, message, id) in rows {
            let error = one(text).unwrap_err();
            let got_id = error.id.as_ref().map(|id| id.raw().as_str().to_owned());
            assert_eq!(
                (error.code.0, error.message.as_str(), got_id.as_deref()),
                (code, message, id),
                "{text}"
            );
        }
        let twice = one(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#).unwrap_err();
        assert!(twice.message.contains("same key twice"), "{}", twice.message);
    }

    #[test]
    fn every_kind_survives_a_round_trip_byte_for_byte() {
        let request =
            r#"{"jsonrpc":"2.0","id":"ab\u0063","method":"x/y","params":{"a" : [1.0, 2],"z":null}}"#;
        let Frame::Request { id, method, params } = one(request).unwrap() else { panic!("not a request") };
        assert_eq!(encode_request(&id, method.as_str(), params.as_ref()), request.as_bytes());
        let note = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1e0}}"#;
        let Frame::Notification { method, params } = one(note).unwrap() else { panic!("not a notification") };
        assert_eq!(encode_notification(method.as_str(), params.as_ref()), note.as_bytes());
        for response in [
            r#"{"jsonrpc":"2.0","id":12345678901234567890,"result":{"unknown": {"kept":true}}}"#,
            r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32603,"message":"x","extra":[ 1 ]}}"#,
        ] {
            let Frame::Response { id, outcome } = one(response).unwrap() else { panic!("not a response") };
            assert_eq!(encode_response(id.as_ref(), &outcome), response.as_bytes());
        }
    }

    #[test]
    fn batches_decode_each_element() {
        let body = Bytes::from_static(
            br#"[{"jsonrpc":"2.0","method":"a"},3,{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        );
        let Body::Batch(frames) = decode_body(&body, 16).unwrap() else { panic!("not a batch") };
        assert_eq!(frames.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    }
}

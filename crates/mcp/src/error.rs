//! JSON-RPC errors: the codes of the specification (reference: spec basic/index and schema of each revision)
//! and the error object, which passes byte for byte when it came from a server.
//! Portreeve's own codes are not here: they belong to the gateway (`docs/errors.md`).

use crate::{RawJson, Text, json};

/// A JSON-RPC error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub i64);

impl Code {
    /// Not JSON.
    pub const PARSE: Self = Self(-32700);
    /// Not a JSON-RPC message that is acceptable here.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// No such method.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// Parameters are missing or wrong; also unknown tools, prompts, cursors.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// Something broke.
    pub const INTERNAL: Self = Self(-32603);
    /// Legacy: no such resource.
    pub const RESOURCE_NOT_FOUND: Self = Self(-32002);
    /// 2025-11-25: a person must visit a URL first.
    pub const URL_ELICITATION_REQUIRED: Self = Self(-32042);
    /// Modern: a header is missing, malformed or differs from the body.
    pub const HEADER_MISMATCH: Self = Self(-32020);
    /// Modern: the request needs a capability that the client did not declare.
    pub const MISSING_CAPABILITY: Self = Self(-32021);
    /// Modern: this revision is not served.
    pub const UNSUPPORTED_VERSION: Self = Self(-32022);
    /// Legacy: the person refused the sampling request.
    pub const REJECTED: Self = Self(-1);

    /// Errors by which a client recognises a modern server (spec: basic/versioning).
    pub fn proves_modern(self) -> bool {
        matches!(self, Self::HEADER_MISMATCH | Self::MISSING_CAPABILITY | Self::UNSUPPORTED_VERSION)
    }
}

/// A JSON-RPC error object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// The code.
    pub code: Code,
    /// One sentence for the caller.
    pub message: Text,
    /// Further facts.
    pub data: Option<RawJson>,
    /// The whole object as it came, if it came from a peer: unknown members survive.
    raw: Option<RawJson>,
}

impl RpcError {
    /// An error of our own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: Text::from(message.into()), data: None, raw: None }
    }

    /// The same with `data`.
    #[must_use]
    pub fn with_data(mut self, data: RawJson) -> Self {
        self.data = Some(data);
        self.raw = None;
        self
    }

    /// The same under another code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self.raw = None;
        self
    }

    /// Reads a peer's error object; a malformed one becomes an internal error that quotes nothing.
    pub fn from_raw(raw: &RawJson) -> Self {
        let code = raw.get("code").and_then(|code| code.read::<f64>());
        let message = raw.get("message").and_then(|message| message.string_value());
        let Some(code) = code.filter(|code| code.fract() == 0.0 && code.abs() < 1e15) else {
            return Self::new(Code::INTERNAL, "the server answered with a malformed error");
        };
        #[expect(clippy::cast_possible_truncation, reason = "whole and within ±1e15, as just checked")]
        let code = Code(code as i64);
        Self {
            code,
            message: message.unwrap_or(Text::from_static("")),
            data: raw.get("data"),
            raw: Some(raw.clone()),
        }
    }

    /// The error object's JSON.
    pub fn encode(&self) -> RawJson {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut out = Vec::with_capacity(self.message.len().saturating_add(64));
        out.extend_from_slice(b"{\"code\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.code.0).as_bytes());
        out.extend_from_slice(b",\"message\":");
        json::write_string(&mut out, &self.message);
        if let Some(data) = &self.data {
            json::write_member(&mut out, "data", data.as_bytes());
        }
        out.push(b'}');
        RawJson::trusted(out)
    }
}

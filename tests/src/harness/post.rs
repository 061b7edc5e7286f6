//! One POST, correct by default and wrong wherever a test wants it to be.

use super::{Connection, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The modern revision.
pub(crate) const MODERN: &str = "2026-07-28";

/// `_meta` of a modern request with these capabilities.
pub(crate) fn modern_meta(capabilities: &Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "whole-program-tests", "version": "1"},
    })
}

/// A POST to be.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    path: String,
    headers: Vec<(String, String)>,
    body: Value,
    raw: Option<Vec<u8>>,
}

impl Post {
    /// Any JSON with the headers that every MCP client sends.
    pub(crate) fn json(path: &str, body: Value) -> Self {
        let headers = [
            ("Host", "localhost"),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { path: path.to_owned(), headers, body, raw: None }
    }

    /// A modern request with id 1, correct headers, and no capability of the client.
    pub(crate) fn modern(path: &str, method: &str, params: Value) -> Self {
        let mut params = params;
        params["_meta"] = match params.get("_meta") {
            Some(Value::Object(given)) => {
                let mut meta = modern_meta(&json!({}));
                given.iter().for_each(|(key, value)| meta[key] = value.clone());
                meta
            }
            _ => modern_meta(&json!({})),
        };
        let name = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
            _ => None,
        };
        let name = name.map(sentinel);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let post = Self::json(path, body).header("MCP-Protocol-Version", MODERN).header("Mcp-Method", method);
        match name {
            Some(name) => post.header("Mcp-Name", &name),
            None => post,
        }
    }

    /// A modern call of a tool.
    pub(crate) fn call(path: &str, tool: &str, arguments: Value) -> Self {
        Self::modern(path, "tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// Sends it to another address.
    pub(crate) fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Adds a header, or sets it.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.without_header(name).and_header(name, value)
    }

    /// Adds a header beside those of the same name.
    pub(crate) fn and_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a header away.
    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Sets a key of `_meta`.
    pub(crate) fn meta(mut self, key: &str, value: Value) -> Self {
        self.body["params"]["_meta"][key] = value;
        self
    }

    /// Declares capabilities of the client.
    pub(crate) fn capable(self, capabilities: Value) -> Self {
        self.meta("io.modelcontextprotocol/clientCapabilities", capabilities)
    }

    /// Takes a key of `_meta` away.
    pub(crate) fn without_meta(mut self, key: &str) -> Self {
        let meta = self.body["params"]["_meta"].as_object_mut().expect("a modern request has `_meta`");
        meta.remove(key);
        self
    }

    /// Sets a member of `params`.
    pub(crate) fn param(mut self, key: &str, value: Value) -> Self {
        self.body["params"][key] = value;
        self
    }

    /// Sets the id.
    pub(crate) fn id(mut self, id: Value) -> Self {
        self.body["id"] = id;
        self
    }

    /// Replaces the body by any bytes.
    pub(crate) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(body.into());
        self
    }

    /// The JSON of the body.
    pub(crate) fn body(&self) -> &Value {
        &self.body
    }

    /// Where it goes.
    pub(crate) fn target(&self) -> &str {
        &self.path
    }

    /// Its headers, but for the length.
    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The bytes of the request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let body = self.raw.clone().unwrap_or_else(|| self.body.to_string().into_bytes());
        let mut out = format!("POST {} HTTP/1.1\r\n", self.path);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        [out.into_bytes(), body].concat()
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub(crate) async fn send(&self, address: SocketAddr) -> Response {
        let mut connection = Connection::open(address).await;
        self.send_on(&mut connection).await
    }

    /// Sends it on this connection and reads the whole answer.
    pub(crate) async fn send_on(&self, connection: &mut Connection) -> Response {
        connection.send(&self.bytes()).await;
        connection.response().await
    }

    /// Sends it on a connection of its own and reads the head; events follow.
    pub(crate) async fn open(&self, address: SocketAddr) -> (Response, Connection) {
        let mut connection = Connection::open(address).await;
        connection.send(&self.bytes()).await;
        let head = connection.head().await.expect("the gate answers");
        (head, connection)
    }
}

/// The header form of a value (reference: mcp.md 2.2).
fn sentinel(value: &str) -> String {
    let plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && value.trim() == value
        && !(value.starts_with("=?base64?") && value.ends_with("?="));
    if plain { value.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(value)) }
}

//! A client of a legacy revision over Streamable HTTP.

use super::{Connection, Post, Response};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

/// One session.
pub(crate) struct Session {
    address: SocketAddr,
    path: String,
    /// What the gate gave.
    pub(crate) id: String,
    /// The revision that was agreed upon.
    pub(crate) version: String,
    /// The result of `initialize`.
    pub(crate) initialized: Value,
    next: AtomicU64,
}

impl Session {
    /// `initialize` as a POST, without a session.
    pub(crate) fn initialize(path: &str, version: &str, capabilities: &Value) -> Post {
        let params = json!({
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": {"name": "whole-program-tests", "version": "1"},
        });
        Post::json(path, json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
    }

    /// Shakes hands.
    pub(crate) async fn open(address: SocketAddr, path: &str, version: &str, capabilities: Value) -> Self {
        let response = Self::initialize(path, version, &capabilities).send(address).await;
        let initialized = response.result();
        let session = Self {
            address,
            path: path.to_owned(),
            id: response.header("mcp-session-id").expect("initialize gives a session").to_owned(),
            version: initialized["protocolVersion"].as_str().expect("a version").to_owned(),
            initialized,
            next: AtomicU64::new(1),
        };
        let accepted = session.post(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!((accepted.status, accepted.body.len()), (202, 0));
        session
    }

    /// Any JSON as a POST of this session.
    pub(crate) fn message(&self, body: Value) -> Post {
        let post = Post::json(&self.path, body).header("Mcp-Session-Id", &self.id);
        if self.version.as_str() >= "2025-06-18" {
            post.header("MCP-Protocol-Version", &self.version)
        } else {
            post
        }
    }

    /// A request with a fresh id, as a POST of this session.
    pub(crate) fn request(&self, method: &str, params: Value) -> Post {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.message(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
    }

    /// Posts any JSON.
    pub(crate) async fn post(&self, body: Value) -> Response {
        self.message(body).send(self.address).await
    }

    /// Asks and reads the whole answer.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Response {
        self.request(method, params).send(self.address).await
    }

    /// Calls a tool and reads the whole answer.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Response {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls a tool that may ask back; events are read from the connection.
    pub(crate) async fn open_call(&self, tool: &str, arguments: Value) -> (Response, Connection) {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).open(self.address).await
    }

    /// Answers a request of the server.
    pub(crate) async fn answer(&self, question: &Value, result: Value) -> Response {
        self.post(json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await
    }

    /// The bytes of a request without a body in this session.
    pub(crate) fn bare(&self, verb: &str, accept: &str) -> Vec<u8> {
        format!(
            "{verb} {} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nMcp-Session-Id: {}\r\n\r\n",
            self.path, self.id
        )
        .into_bytes()
    }

    /// Opens the session's own stream.
    pub(crate) async fn listen(&self) -> (Response, Connection) {
        let mut connection = Connection::open(self.address).await;
        connection.send(&self.bare("GET", "text/event-stream")).await;
        let head = connection.head().await.expect("the gate answers");
        (head, connection)
    }

    /// Asks for what followed the event with this id.
    pub(crate) async fn resume(&self, last: &str) -> (Response, Connection) {
        let mut connection = self.resume_raw(last).await;
        let head = connection.head().await.expect("the gate answers");
        (head, connection)
    }

    /// The same, with everything still to be read.
    pub(crate) async fn resume_raw(&self, last: &str) -> Connection {
        let mut connection = Connection::open(self.address).await;
        connection.send(&self.resuming(last)).await;
        connection
    }

    /// The request for what followed the event with this id.
    pub(crate) fn resuming(&self, last: &str) -> Vec<u8> {
        let bare = String::from_utf8(self.bare("GET", "text/event-stream")).expect("heads are text");
        bare.replacen("\r\n", &format!("\r\nLast-Event-ID: {last}\r\n"), 1).into_bytes()
    }

    /// Ends the session.
    pub(crate) async fn delete(&self) -> Response {
        let mut connection = Connection::open(self.address).await;
        connection.send(&self.bare("DELETE", "application/json")).await;
        connection.response().await
    }
}

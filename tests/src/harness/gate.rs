//! A gate of the real binary with the configuration that a test wants, on a port of its own.

use super::{Connection, Post, Response, Running, Session, portreeve};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path};
use tempfile::TempDir;

/// The demo server as a child over stdio.
pub(crate) fn demo_stdio(era: &str) -> Value {
    json!({"command": portreeve(), "args": ["demo", "--transport", "stdio", "--era", era]})
}

/// The demo server alone over Streamable HTTP; the second is its address.
pub(crate) async fn demo_http(era: &str) -> (Running, String) {
    demo_over("http", era).await
}

/// The demo server alone over HTTP+SSE.
pub(crate) async fn demo_sse() -> (Running, String) {
    demo_over("sse", "legacy").await
}

async fn demo_over(transport: &str, era: &str) -> (Running, String) {
    let arguments = ["demo", "--transport", transport, "--era", era, "--listen", "127.0.0.1:0"];
    let running = Running::start(portreeve(), &arguments, Path::new("/"));
    let line = running.prints("demo server: ").await;
    let url = line.trim_start_matches("demo server: ").to_owned();
    (running, url)
}

/// A gate to be.
pub(crate) struct GateBuilder {
    config: Value,
}

impl GateBuilder {
    /// Adds a server.
    pub(crate) fn server(mut self, name: &str, server: Value) -> Self {
        self.config["servers"][name] = server;
        self
    }

    /// Sets a top-level key.
    pub(crate) fn set(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    /// Starts it and waits until it stands.
    pub(crate) async fn start(self) -> Gate {
        let directory = tempfile::tempdir().expect("a temporary directory");
        self.start_in(directory).await
    }

    /// Starts it over the data of an earlier one.
    pub(crate) async fn start_in(self, directory: TempDir) -> Gate {
        // JSON is YAML.
        std::fs::write(directory.path().join("portreeve.yaml"), self.config.to_string()).expect("writable");
        Gate::over(directory).await
    }
}

/// A gate that stands.
pub(crate) struct Gate {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    directory: TempDir,
}

impl Gate {
    /// A gate over the `portreeve.yaml` in this directory.
    pub(crate) async fn over(directory: TempDir) -> Self {
        let arguments = ["serve", "--config", "portreeve.yaml", "--data", "data"];
        let running = Running::start(portreeve(), &arguments, directory.path());
        let line = running.prints("://127.0.0.1").await;
        let url = line.split("://").nth(1).expect("just found");
        let authority = url.split('/').next().expect("there is always a first part");
        let address = authority.parse().unwrap_or_else(|error| panic!("{error} in {line:?}"));
        Self { running, address, directory }
    }

    /// Where its configuration and its data lie.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A gate without servers, on a free port of loopback.
    pub(crate) fn of() -> GateBuilder {
        let config =
            json!({"listen": "127.0.0.1:0", "servers": {}, "log": {"format": "json", "level": "debug"}});
        GateBuilder { config }
    }

    /// A gate with the built-in demo as `demo`.
    pub(crate) async fn demo() -> Self {
        Self::of().server("demo", json!({"builtin": "demo"})).start().await
    }

    /// A gate with this server as `up`.
    pub(crate) async fn before(server: Value) -> Self {
        Self::of().server("up", server).start().await
    }

    /// Sends a POST on a connection of its own.
    pub(crate) async fn send(&self, post: &Post) -> Response {
        post.send(self.address).await
    }

    /// A modern call of a tool.
    pub(crate) async fn call(&self, path: &str, tool: &str, arguments: Value) -> Response {
        Post::call(path, tool, arguments).send(self.address).await
    }

    /// A modern request.
    pub(crate) async fn ask(&self, path: &str, method: &str, params: Value) -> Response {
        Post::modern(path, method, params).send(self.address).await
    }

    /// A session of the newest legacy revision.
    pub(crate) async fn session(&self, path: &str, capabilities: Value) -> Session {
        Session::open(self.address, path, "2025-11-25", capabilities).await
    }

    /// Sends any bytes on a connection of their own and reads a response.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Response {
        let mut connection = Connection::open(self.address).await;
        connection.send(bytes).await;
        connection.response().await
    }

    /// Ends it properly and keeps its directory.
    pub(crate) async fn end(mut self) -> TempDir {
        self.running.terminate();
        let status = self.running.ended().await;
        assert!(status.success(), "{status}: {:#?}", self.running.log());
        self.directory
    }
}

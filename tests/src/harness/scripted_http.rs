//! An MCP server over HTTP that plays a script and remembers every request to the byte.

use super::soon;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{Request, body::Frame, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    pub(crate) path: String,
    /// Names in lower case, in the order of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    /// The body as it came, whatever it is.
    pub(crate) raw: Bytes,
}

impl Seen {
    /// The JSON-RPC method; empty if there is none.
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let first = values.next();
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        first.map(|(_, value)| value.as_str())
    }

    /// A key of the request's `_meta`.
    pub(crate) fn meta(&self, key: &str) -> &Value {
        &self.body["params"]["_meta"][key]
    }
}

/// What a script answers.
pub(crate) enum Answer {
    /// Status, further headers, and any JSON.
    Json(u16, Vec<(&'static str, String)>, Value),
    /// Status and nothing.
    Empty(u16),
    /// Status, media type and any text.
    Page(u16, &'static str, String),
    /// An event stream of these messages that then ends.
    Events(Vec<Value>),
    /// An event stream that a test writes, event by event, as text.
    Stream(mpsc::Receiver<String>),
    /// The connection closes without a response.
    Close,
    /// Nothing, as long as the caller waits.
    Silence,
}

impl Answer {
    /// The result of this request.
    pub(crate) fn result(request: &Seen, result: Value) -> Self {
        Self::Json(200, Vec::new(), json!({"jsonrpc": "2.0", "id": request.body["id"], "result": result}))
    }

    /// A modern result, complete.
    pub(crate) fn complete(request: &Seen, mut result: Value) -> Self {
        result["resultType"] = json!("complete");
        Self::result(request, result)
    }

    /// One text as a tool's result.
    pub(crate) fn text(request: &Seen, text: &str) -> Self {
        Self::complete(request, json!({"content": [{"type": "text", "text": text}]}))
    }

    /// An error with this status.
    pub(crate) fn error(request: &Seen, status: u16, code: i64, message: &str) -> Self {
        let error = json!({"code": code, "message": message});
        Self::Json(status, Vec::new(), json!({"jsonrpc": "2.0", "id": request.body["id"], "error": error}))
    }
}

type Script = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;
type Body = BoxBody<Bytes, Infallible>;

/// The server; it ends on drop.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    /// Starts a server that answers by this script.
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        Self::start_on(listener, script)
    }

    /// The same where a test has reserved an address.
    pub(crate) fn start_on(
        listener: TcpListener,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("a bound listener has an address");
        let (sender, seen) = watch::channel(Vec::new());
        let (script, sender): (Script, _) = (Arc::new(script), Arc::new(sender));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, script, sender));
        Self { address, seen, _tasks: tasks }
    }

    /// Its configuration as a server of a gate.
    pub(crate) fn config(&self, era: &str) -> Value {
        json!({"url": format!("http://{}/mcp", self.address), "era": era})
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Every request of this method so far.
    pub(crate) fn of(&self, method: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method() == method).collect()
    }

    /// Waits until this many requests of the method have come.
    pub(crate) async fn until(&self, method: &str, count: usize) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        let enough = |all: &Vec<Seen>| all.iter().filter(|seen| seen.method() == method).count() >= count;
        let what = format!("request {count} of {method:?}");
        soon(&what, seen.wait_for(enough)).await.expect("the server lives as long as its handle");
        self.of(method)
    }
}

async fn accept(listener: TcpListener, script: Script, seen: Arc<watch::Sender<Vec<Seen>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (script, seen) = (script.clone(), seen.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, script.clone(), seen.clone()));
            // A peer that goes away is part of many tests.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    seen: Arc<watch::Sender<Vec<Seen>>>,
) -> Result<http::Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = Seen {
        verb: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        raw: bytes,
    };
    let answer = script(&request);
    seen.send_modify(|all| all.push(request));
    let whole = |status: u16, kind: &str, bytes: Vec<u8>| {
        http::Response::builder().status(status).header("content-type", kind).body(Full::from(bytes).boxed())
    };
    let response = match answer {
        Answer::Json(status, headers, value) => {
            let mut response = whole(status, "application/json", value.to_string().into_bytes());
            if let Ok(response) = &mut response {
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().map_err(io::Error::other)?);
                }
            }
            response
        }
        Answer::Page(status, kind, text) => whole(status, kind, text.into_bytes()),
        Answer::Empty(status) => http::Response::builder().status(status).body(Full::default().boxed()),
        Answer::Events(events) => {
            let text: String =
                events.iter().map(|event| format!("event: message\ndata: {event}\n\n")).collect();
            whole(200, "text/event-stream", text.into_bytes())
        }
        Answer::Stream(events) => {
            let events = futures_util::stream::unfold(events, |mut events| async move {
                let text = events.recv().await?;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), events))
            });
            let builder = http::Response::builder().header("content-type", "text/event-stream");
            builder.body(BodyExt::boxed(StreamBody::new(SyncStream(Mutex::new(events.boxed())))))
        }
        Answer::Close => return Err(io::Error::other("the script closes the connection")),
        Answer::Silence => std::future::pending().await,
    };
    response.map_err(io::Error::other)
}

/// A stream behind a lock that is never contended, because boxed bodies must be `Sync`.
struct SyncStream<S>(Mutex<S>);

impl<S: futures_util::Stream + Unpin> futures_util::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        let stream = self.get_mut().0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        stream.poll_next_unpin(cx)
    }
}

/// What a modern server with these tools answers to everything but calls.
pub(crate) fn modern_answers(request: &Seen, tools: &Value) -> Answer {
    let hints = |mut result: Value| {
        result["ttlMs"] = json!(60_000);
        result["cacheScope"] = json!("private");
        Answer::complete(request, result)
    };
    match request.method() {
        "server/discover" => hints(json!({
            "supportedVersions": [super::MODERN],
            "capabilities": {"tools": {}},
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
        })),
        "tools/list" => hints(json!({"tools": tools})),
        "" => Answer::Empty(405),
        method => Answer::error(request, 404, -32601, &format!("Method not found: {method}")),
    }
}

/// What a legacy server with these tools answers to everything but calls.
pub(crate) fn legacy_answers(request: &Seen, tools: &Value) -> Answer {
    let version = request.body["params"]["protocolVersion"].clone();
    match request.method() {
        "initialize" => {
            let result = json!({
                "protocolVersion": version,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            });
            let message = json!({"jsonrpc": "2.0", "id": request.body["id"], "result": result});
            Answer::Json(200, vec![("mcp-session-id", "scripted-session".to_owned())], message)
        }
        "tools/list" => Answer::result(request, json!({"tools": tools})),
        "ping" => Answer::result(request, json!({})),
        "" if request.verb == "POST" => Answer::Empty(202),
        "" => Answer::Empty(405),
        method if method.starts_with("notifications/") => Answer::Empty(202),
        "server/discover" => Answer::error(request, 400, -32600, "initialize first"),
        method => Answer::error(request, 200, -32601, &format!("Method not found: {method}")),
    }
}

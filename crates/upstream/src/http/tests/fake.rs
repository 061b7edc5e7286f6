//! A scripted HTTP server on loopback: one function answers, every request is kept, and a test can wait for one.
#![expect(
    clippy::needless_pass_by_value,
    reason = "scripts read better when they hand in `json!` values as they are"
)]

use crate::testing::PATIENCE;
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

/// A request as the server saw it.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) verb: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    /// A JSON-RPC result for this request.
    pub(crate) fn result(&self, result: Value) -> Answer {
        Answer::json(200, json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result}))
    }

    /// A JSON-RPC error for this request.
    pub(crate) fn error(&self, status: u16, code: i64, data: Value) -> Answer {
        let error = json!({"code": code, "message": "no", "data": data});
        Answer::json(status, json!({"jsonrpc": "2.0", "id": self.body["id"], "error": error}))
    }
}

/// What the server answers.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: UnsyncBoxBody<Bytes, std::io::Error>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(crate) fn text(status: u16, media: &str, body: String) -> Self {
        let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
        Self { status, headers: vec![("content-type", media.to_owned())], body: body.boxed_unsync() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Full::default().map_err(|never: Infallible| match never {}).boxed_unsync(),
        }
    }

    /// A body that the test writes piece by piece; it ends when the sender is dropped, and breaks off at an `Err`.
    pub(crate) fn streamed(media: &str) -> (Self, mpsc::UnboundedSender<Result<String, ()>>) {
        let (sender, receiver) = mpsc::unbounded_channel::<Result<String, ()>>();
        let pieces =
            stream::unfold(receiver, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
        let frames = pieces.map(|piece| {
            piece.map(|text| Frame::data(Bytes::from(text))).map_err(|()| std::io::Error::other("cut"))
        });
        let body = StreamBody::new(frames).boxed_unsync();
        (Self { status: 200, headers: vec![("content-type", media.to_owned())], body }, sender)
    }

    pub(crate) fn events() -> (Self, mpsc::UnboundedSender<Result<String, ()>>) {
        Self::streamed("text/event-stream")
    }

    /// A whole event stream.
    pub(crate) fn event_text(text: String) -> Self {
        Self::text(200, "text/event-stream", text)
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// One event of an event stream.
pub(crate) fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

type Script = dyn Fn(Seen) -> BoxFuture<'static, Answer> + Send + Sync;

/// The server.
pub(crate) struct Fake {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start<F>(script: impl Fn(Seen) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counter, count) = watch::channel(0);
        let script: Arc<Script> = Arc::new(move |seen| Box::pin(script(seen)));
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (tcp, _) = listener.accept().await.unwrap();
                let (script, kept, counter) = (Arc::clone(&script), Arc::clone(&kept), counter.clone());
                let answer = move |request| {
                    answer(request, number, Arc::clone(&script), Arc::clone(&kept), counter.clone())
                };
                let service = hyper::service::service_fn(answer);
                connections.spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(tcp), service)
                        .await;
                });
            }
        });
        Self { url, seen, count, _tasks: tasks }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The JSON-RPC methods (or HTTP verbs) in the order they came.
    pub(crate) fn methods(&self) -> Vec<String> {
        let name = |seen: &Seen| match seen.method() {
            "" if seen.body.is_null() => seen.verb.clone(),
            "" => "response".to_owned(),
            method => method.to_owned(),
        };
        self.seen().iter().map(name).collect()
    }

    /// Waits until a request came that fits.
    pub(crate) async fn wait(&self, fits: impl Fn(&Seen) -> bool) -> Seen {
        let mut count = self.count.clone();
        let work = async {
            loop {
                if let Some(seen) = self.seen().into_iter().find(&fits) {
                    return seen;
                }
                count.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, work).await.expect("the request")
    }
}

async fn answer(
    request: Request<Incoming>,
    connection: usize,
    script: Arc<Script>,
    kept: Arc<Mutex<Vec<Seen>>>,
    counter: watch::Sender<usize>,
) -> Result<Response<UnsyncBoxBody<Bytes, std::io::Error>>, Infallible> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let seen = Seen {
        verb: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body,
        connection,
    };
    kept.lock().unwrap().push(seen.clone());
    counter.send_modify(|count| *count += 1);
    let Answer { status, headers, body } = script(seen).await;
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    }
    Ok(response)
}

/// Runs a part of a script beside it; it ends with the test's runtime.
#[expect(clippy::disallowed_methods, reason = "the test's runtime is the owner, and ends it")]
pub(crate) fn aside(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

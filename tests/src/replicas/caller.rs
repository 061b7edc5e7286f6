//! Clients that take whatever comes: an answer, an error, or a connection that breaks. One request a connection, so that the
//! balancer decides about each. They do what the specification asks of a client and no more.

use super::balancer::Balancer;
use crate::harness::Post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{net::TcpStream, task::JoinSet};

/// How a call ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With this text.
    Result(String),
    /// With a JSON-RPC error.
    Error(i64),
    /// Without an answer: the connection, or HTTP itself.
    Transport(String),
}

/// Where answers and retries arrived.
#[derive(Default)]
pub(super) struct Arrivals {
    pub(super) at_owner: AtomicUsize,
    pub(super) elsewhere: AtomicUsize,
}

/// What all clients share.
pub(super) struct Calls {
    pub(super) balancer: Balancer,
    pub(super) arrivals: Arrivals,
}

/// One response, with the replica that its connection went to.
struct Response {
    status: u16,
    session: Option<String>,
    replica: Option<usize>,
    body: Body,
}

/// A body as events, or as one JSON value.
struct Body {
    incoming: Incoming,
    events: bool,
    buffer: String,
    _connection: JoinSet<()>,
}

type Cut = String;

impl Calls {
    /// Sends one request and reads the head of its answer.
    async fn send(&self, post: &Post) -> Result<Response, Cut> {
        let request = request_of(post);
        let stream = TcpStream::connect(self.balancer.address).await.map_err(|error| error.to_string())?;
        let port = stream.local_addr().map_err(|error| error.to_string())?.port();
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let mut driving = JoinSet::new();
        driving.spawn(async move {
            // How it ends is seen by the request on it.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        Ok(Response {
            status: response.status().as_u16(),
            session: header("mcp-session-id").map(str::to_owned),
            replica: self.balancer.went(port),
            body: Body {
                events: header("content-type") == Some("text/event-stream"),
                incoming: response.into_body(),
                buffer: String::new(),
                _connection: driving,
            },
        })
    }

    fn arrived(&self, owner: Option<usize>, at: Option<usize>) {
        let counter = if owner == at { &self.arrivals.at_owner } else { &self.arrivals.elsewhere };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A modern client: calls, is asked, calls again with the answer.
    pub(super) async fn modern(&self, path: &str, number: u64) -> End {
        let mut post = Post::call(path, "append", json!({"number": number}))
            .capable(json!({"elicitation": {"form": {}}}))
            .id(json!(number));
        let mut owner = None;
        loop {
            let response = match self.send(&post).await {
                Ok(response) => response,
                Err(cut) => return End::Transport(cut),
            };
            if let Some(owner) = owner {
                self.arrived(owner, response.replica);
            }
            owner = Some(response.replica);
            let message = match response.body.answer(&json!(number)).await {
                Ok(message) => message,
                Err(cut) => return End::Transport(cut),
            };
            if message["result"]["resultType"] != "input_required" {
                return end_of(&message);
            }
            let asked = message["result"]["inputRequests"].as_object().expect("questions").clone();
            let answers: Value =
                asked.keys().map(|key| (key.clone(), json!({"action": "accept", "content": {}}))).collect();
            post = post.param("inputResponses", answers);
            post = post.param("requestState", message["result"]["requestState"].clone());
        }
    }
}

/// How a call ends whose second session was gone as well.
pub(super) const GONE: &str = "the new session was gone at once";

/// A legacy client with its session.
pub(super) struct LegacyCaller {
    calls: Arc<Calls>,
    path: String,
    session: Option<(String, Option<usize>)>,
}

impl LegacyCaller {
    pub(super) fn new(calls: Arc<Calls>, path: &str) -> Self {
        Self { calls, path: path.to_owned(), session: None }
    }

    async fn initialize(&mut self) -> Result<(), Cut> {
        let post = crate::harness::Session::initialize(&self.path, "2025-11-25", &json!({"elicitation": {}}));
        let response = self.calls.send(&post).await?;
        let (replica, session) = (response.replica, response.session.clone());
        response.body.answer(&json!(0)).await?;
        let session = session.ok_or("no session was given")?;
        self.session = Some((session, replica));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.calls.send(&self.message(initialized)).await?;
        Ok(())
    }

    fn message(&self, body: Value) -> Post {
        let id = self.session.as_ref().map_or("", |(id, _)| id);
        Post::json(&self.path, body).header("Mcp-Session-Id", id).header("MCP-Protocol-Version", "2025-11-25")
    }

    /// Calls and answers what is asked on the call's stream. A session that is gone is opened anew and the call made again,
    /// since it has not been made (spec 2025-11-25: basic/transports).
    pub(super) async fn call(&mut self, number: u64) -> End {
        for _ in 0..2 {
            match self.once(number).await {
                Ok(end) => return end,
                Err(Trouble::Gone) => self.session = None,
                Err(Trouble::Cut(cut)) => return End::Transport(cut),
            }
        }
        End::Transport(GONE.to_owned())
    }

    async fn once(&mut self, number: u64) -> Result<End, Trouble> {
        if self.session.is_none() {
            self.initialize().await?;
        }
        let owner = self.session.as_ref().and_then(|(_, replica)| *replica);
        let params = json!({"name": "append", "arguments": {"number": number}});
        let call = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params});
        let mut response = self.calls.send(&self.message(call)).await?;
        if response.status == 404 {
            return Err(Trouble::Gone);
        }
        loop {
            let message = response.body.message().await?;
            if message["id"] == json!(number) && message.get("method").is_none() {
                return Ok(end_of(&message));
            }
            if message["method"] == "elicitation/create" {
                let result = json!({"action": "accept", "content": {}});
                let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
                let taken = self.calls.send(&self.message(answer)).await?;
                self.calls.arrived(owner, taken.replica);
            }
        }
    }
}

enum Trouble {
    Gone,
    Cut(Cut),
}

impl From<Cut> for Trouble {
    fn from(cut: Cut) -> Self {
        Self::Cut(cut)
    }
}

impl Body {
    /// The next message.
    async fn message(&mut self) -> Result<Value, Cut> {
        loop {
            if self.events
                && let Some((event, rest)) = self.buffer.split_once("\n\n")
            {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
                self.buffer = rest.to_owned();
                match data {
                    Some(data) if !data.is_empty() => {
                        return serde_json::from_str(&data).map_err(|error| error.to_string());
                    }
                    _ => continue,
                }
            }
            let Some(frame) = self.incoming.frame().await else {
                let whole = std::mem::take(&mut self.buffer);
                return serde_json::from_str(&whole).map_err(|_| format!("it ended after {whole:?}"));
            };
            let data = frame.map_err(|error| error.to_string())?.into_data().unwrap_or_default();
            self.buffer.push_str(std::str::from_utf8(&data).map_err(|error| error.to_string())?);
        }
    }

    /// The answer to this request.
    async fn answer(mut self, id: &Value) -> Result<Value, Cut> {
        loop {
            let message = self.message().await?;
            if message["id"] == *id || message.get("error").is_some() {
                return Ok(message);
            }
        }
    }
}

fn request_of(post: &Post) -> Request<Full<Bytes>> {
    let mut request = Request::post(post.target());
    for (name, value) in post.headers() {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(post.body().to_string()));
    request.header("Connection", "close").body(body).expect("test requests are well-formed")
}

fn end_of(message: &Value) -> End {
    if let Some(code) = message["error"]["code"].as_i64() {
        return End::Error(code);
    }
    let text = message["result"]["content"][0]["text"].as_str();
    End::Result(text.unwrap_or_else(|| panic!("neither result nor error: {message}")).to_owned())
}

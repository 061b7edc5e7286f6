//! The MCP server behind everything that is measured: one thread, answers made before the first request.
//! It speaks either era or both on one port and counts what it was asked (`GET /stats`). It checks what tells
//! a broken gateway from a working one (session, version) and nothing that costs more.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::events;
use super::http::{Connection, Message};
use super::wire::{Era, LEGACY_VERSION, MODERN_VERSION, PROGRESS, Work, answer_tail};
use crate::command::Outcome;

/// Answers up to this size are joined with their head: one copy is cheaper than a vectored write.
const JOINED: usize = 16 * 1024;
/// Time that a question has.
const REPLY: Duration = Duration::from_secs(30);

/// Which eras to serve.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Serve only this era
    #[arg(long)]
    only: Option<Era>,
}

/// What the upstream has been asked so far.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Handshakes.
    pub(crate) initialize: u64,
    /// `server/discover`.
    pub(crate) discover: u64,
    /// `tools/list`.
    pub(crate) list: u64,
    /// `tools/call`.
    pub(crate) call: u64,
    /// Everything else.
    pub(crate) other: u64,
}

/// Answers made beforehand.
struct Ready {
    only: Option<Era>,
    tails: [[String; 3]; 2],
    unanswered: String,
    stats: Cell<Stats>,
    /// Questions that wait for their answer, by their id, and how many there have been.
    questions: RefCell<HashMap<String, oneshot::Sender<()>>>,
    asked: Cell<u64>,
}

/// What follows the head of an answer.
enum Body<'a> {
    /// The rest of it.
    Ready(&'a str),
    /// Progress with this token, then the answer.
    Progress { token: String, answer: String },
    /// A question, and once it is answered the answer.
    Question { answer: String },
}

/// The part of a request that the answer depends on.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a serde_json::value::RawValue>,
    /// Empty in what answers a question.
    #[serde(default)]
    method: &'a str,
    #[serde(borrow)]
    result: Option<&'a serde_json::value::RawValue>,
    params: Option<Parameters<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
    #[serde(borrow)]
    input_responses: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    request_state: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    progress_token: Option<&'a serde_json::value::RawValue>,
}

/// Serves until standard input ends, which it does when whoever started this goes away.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        serve(listener, arguments.only, tokio::io::stdin()).await
    })
}

/// Serves until `life` ends.
pub(super) async fn serve(
    listener: TcpListener,
    only: Option<Era>,
    mut life: impl AsyncRead + Unpin,
) -> Outcome {
    let tails = [Era::Legacy, Era::Modern]
        .map(|era| [Work::Small, Work::List, Work::Big].map(|work| answer_tail(era, work)));
    let (questions, asked, stats) = (RefCell::default(), Cell::default(), Cell::default());
    let unanswered = events::unanswered_tail();
    let ready = Rc::new(Ready { only, tails, unanswered, stats, questions, asked });
    let mut connections = JoinSet::new();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let ready = Rc::clone(&ready);
                connections.spawn_local(async move { connection(accepted?.0, &ready).await });
            }
            read = life.read(&mut ignored) => if read? == 0 { return Ok(()) },
            // A connection that broke is seen by its client, which fails the case.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, ready: &Ready) -> std::io::Result<()> {
    let mut connection = Connection::new(stream)?;
    let mut head = Vec::with_capacity(JOINED);
    loop {
        head.clear();
        let Some(message) = connection.receive().await? else { return Ok(()) };
        let tail = match answer(&message, ready, &mut head) {
            Body::Ready(tail) => tail,
            Body::Progress { token, answer } => {
                progress(&mut connection, &token, &answer).await?;
                continue;
            }
            Body::Question { answer } => {
                question(&mut connection, ready, &answer).await?;
                continue;
            }
        };
        if tail.len() > JOINED {
            connection.send_both(&head, tail.as_bytes()).await?;
        } else {
            head.extend_from_slice(tail.as_bytes());
            connection.send(&head).await?;
        }
    }
}

/// Every step is written by itself, as a server does that tells of it when it is done.
async fn progress(connection: &mut Connection, token: &str, answer: &str) -> std::io::Result<()> {
    let mut out = events::HEAD.to_owned();
    for step in 1..=PROGRESS {
        events::event(&mut out, &events::progress(token, step));
        connection.send(out.as_bytes()).await?;
        out.clear();
    }
    last_event(connection, answer).await
}

async fn question(connection: &mut Connection, ready: &Ready, answer: &str) -> std::io::Result<()> {
    let number = ready.asked.get();
    ready.asked.set(number + 1);
    let id = format!(r#""ask-{number}""#);
    let (answered, wait) = oneshot::channel();
    ready.questions.borrow_mut().insert(id.clone(), answered);
    let mut out = events::HEAD.to_owned();
    events::event(&mut out, &events::question(&id));
    connection.send(out.as_bytes()).await?;
    let in_time = timeout(REPLY, wait).await;
    ready.questions.borrow_mut().remove(&id);
    in_time.map_err(std::io::Error::other)?.map_err(std::io::Error::other)?;
    last_event(connection, answer).await
}

async fn last_event(connection: &mut Connection, answer: &str) -> std::io::Result<()> {
    let mut out = String::new();
    events::event(&mut out, answer);
    out += events::END;
    connection.send(out.as_bytes()).await
}

/// Writes the head of the answer and the body up to its id; gives the rest of the body.
fn answer<'a>(message: &Message<'_>, ready: &'a Ready, out: &mut Vec<u8>) -> Body<'a> {
    let line = message.request_line();
    if line.starts_with(b"GET /stats ") {
        let stats = serde_json::to_string(&ready.stats.get()).unwrap_or_default();
        plain(out, "200 OK", &stats);
        return Body::Ready("");
    }
    if !line.starts_with(b"POST ") {
        plain(out, "405 Method Not Allowed", "");
        return Body::Ready("");
    }
    let Ok(request) = serde_json::from_slice::<Request<'_>>(message.body) else {
        plain(
            out,
            "400 Bad Request",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
        );
        return Body::Ready("");
    };
    count(&ready.stats, request.method);
    let Some(id) = request.id else {
        plain(out, "202 Accepted", "");
        return Body::Ready("");
    };
    if let Some(result) = request.result {
        take(ready, id.get(), result, out);
        return Body::Ready("");
    }
    let era = if message.header("mcp-method").is_some() { Era::Modern } else { Era::Legacy };
    let refused = refusal(message, &request, era, ready.only);
    if let Some((status, code, why)) = refused {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{why}"}}}}"#);
        plain(out, status, &body);
        return Body::Ready("");
    }
    let tails = &ready.tails[usize::from(era == Era::Modern)];
    match request.method {
        "tools/list" => Body::Ready(ready_answer(out, id.get(), &tails[1])),
        "tools/call" => called(&request, id.get(), era, ready, out),
        method => {
            opening(out, id.get(), method);
            Body::Ready("")
        }
    }
}

fn called<'a>(request: &Request<'_>, id: &str, era: Era, ready: &'a Ready, out: &mut Vec<u8>) -> Body<'a> {
    let tails = &ready.tails[usize::from(era == Era::Modern)];
    let parameters = request.params.as_ref();
    let token = parameters.and_then(|given| given.meta.as_ref()?.progress_token);
    let responses = parameters.and_then(|given| given.input_responses);
    let state = parameters.and_then(|given| given.request_state);
    let answer = || format!(r#"{{"jsonrpc":"2.0","id":{id}{}"#, tails[0]);
    match (parameters.and_then(|given| given.name), era) {
        (Some("big"), _) => Body::Ready(ready_answer(out, id, &tails[2])),
        (Some("progress"), _) => {
            let token = token.map_or("null", |token| token.get()).to_owned();
            Body::Progress { token, answer: answer() }
        }
        (Some("ask"), Era::Legacy) => Body::Question { answer: answer() },
        (Some("ask"), Era::Modern) if !responses.is_some_and(|given| events::is_retry(given, state)) => {
            Body::Ready(ready_answer(out, id, &ready.unanswered))
        }
        _ => Body::Ready(ready_answer(out, id, &tails[0])),
    }
}

/// The answer to a question: the call that asked goes on.
fn take(ready: &Ready, id: &str, result: &serde_json::value::RawValue, out: &mut Vec<u8>) {
    let waiting = ready.questions.borrow_mut().remove(id).filter(|_| events::is_reply(result));
    match waiting.map(|waiting| waiting.send(())) {
        Some(Ok(())) => plain(out, "202 Accepted", ""),
        Some(Err(())) | None => plain(out, "400 Bad Request", ""),
    }
}

/// Why a request is not served, as (status, code, message).
fn refusal(
    message: &Message<'_>,
    request: &Request<'_>,
    era: Era,
    only: Option<Era>,
) -> Option<(&'static str, i32, &'static str)> {
    let known = match era {
        Era::Legacy => ["initialize", "ping", "tools/list", "tools/call"].contains(&request.method),
        Era::Modern => ["server/discover", "tools/list", "tools/call"].contains(&request.method),
    };
    let has_session = message.header("mcp-session-id").is_some();
    let version = message.header("mcp-protocol-version");
    match era {
        Era::Modern if only == Some(Era::Legacy) => Some(("400 Bad Request", -32601, "method not found")),
        Era::Legacy if only == Some(Era::Modern) => Some(("400 Bad Request", -32602, "no envelope")),
        Era::Modern if version != Some(MODERN_VERSION) => Some(("400 Bad Request", -32020, "version header")),
        Era::Modern if !known => Some(("404 Not Found", -32601, "method not found")),
        Era::Legacy if request.method != "initialize" && !has_session => {
            Some(("400 Bad Request", -32600, "no session"))
        }
        Era::Legacy if !known => Some(("200 OK", -32601, "method not found")),
        Era::Legacy | Era::Modern => None,
    }
}

fn count(stats: &Cell<Stats>, method: &str) {
    let mut now = stats.get();
    let counter = match method {
        "initialize" => &mut now.initialize,
        "server/discover" => &mut now.discover,
        "tools/list" => &mut now.list,
        "tools/call" => &mut now.call,
        _ => &mut now.other,
    };
    *counter += 1;
    stats.set(now);
}

fn ready_answer<'a>(out: &mut Vec<u8>, id: &str, tail: &'a str) -> &'a str {
    let before = r#"{"jsonrpc":"2.0","id":"#;
    let length = before.len() + id.len() + tail.len();
    // A `Vec` takes every write.
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{before}{id}"
    );
    tail
}

/// The answers that open a conversation: they happen once and may cost what they like.
fn opening(out: &mut Vec<u8>, id: &str, method: &str) {
    let information = r#"{"name":"bench-upstream","version":"1"}"#;
    let (session, result) = match method {
        "initialize" => (
            "Mcp-Session-Id: bench-session\r\n",
            format!(
                r#"{{"protocolVersion":"{LEGACY_VERSION}","capabilities":{{"tools":{{}}}},"serverInfo":{information}}}"#
            ),
        ),
        "server/discover" => (
            "",
            format!(
                r#"{{"resultType":"complete","supportedVersions":["{MODERN_VERSION}"],"capabilities":{{"tools":{{}}}},"ttlMs":60000,"cacheScope":"public","_meta":{{"io.modelcontextprotocol/serverInfo":{information}}}}}"#
            ),
        ),
        _ => ("", "{}".to_owned()),
    };
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let _ = write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{session}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn plain(out: &mut Vec<u8>, status: &str, body: &str) {
    let _ = write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

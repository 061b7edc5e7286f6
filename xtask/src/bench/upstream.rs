//! The MCP server behind everything that is measured: one thread, answers made before the first request.
//! It speaks either era or both on one port and counts what it was asked (`GET /stats`). It checks what tells
//! a broken gateway from a working one (session, version) and nothing that costs more.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};

use super::http::{Connection, Message};
use super::wire::{Era, LEGACY_VERSION, MODERN_VERSION, Work, answer_tail};
use crate::command::Outcome;

/// Answers up to this size are joined with their head: one copy is cheaper than a vectored write.
const JOINED: usize = 16 * 1024;

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
    stats: Cell<Stats>,
}

/// The part of a request that the answer depends on.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a serde_json::value::RawValue>,
    method: &'a str,
    params: Option<Parameters<'a>>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
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
    let ready = Rc::new(Ready { only, tails, stats: Cell::default() });
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
        let tail = answer(&message, ready, &mut head);
        if tail.len() > JOINED {
            connection.send_both(&head, tail.as_bytes()).await?;
        } else {
            head.extend_from_slice(tail.as_bytes());
            connection.send(&head).await?;
        }
    }
}

/// Writes the head of the answer and the body up to its id; gives the rest of the body.
fn answer<'a>(message: &Message<'_>, ready: &'a Ready, out: &mut Vec<u8>) -> &'a str {
    let line = message.request_line();
    if line.starts_with(b"GET /stats ") {
        let stats = serde_json::to_string(&ready.stats.get()).unwrap_or_default();
        plain(out, "200 OK", &stats);
        return "";
    }
    if !line.starts_with(b"POST ") {
        plain(out, "405 Method Not Allowed", "");
        return "";
    }
    let Ok(request) = serde_json::from_slice::<Request<'_>>(message.body) else {
        plain(
            out,
            "400 Bad Request",
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#,
        );
        return "";
    };
    count(&ready.stats, request.method);
    let Some(id) = request.id else {
        plain(out, "202 Accepted", "");
        return "";
    };
    let era = if message.header("mcp-method").is_some() { Era::Modern } else { Era::Legacy };
    let refused = refusal(message, &request, era, ready.only);
    if let Some((status, code, why)) = refused {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{why}"}}}}"#);
        plain(out, status, &body);
        return "";
    }
    let name = request.params.and_then(|parameters| parameters.name);
    let tails = &ready.tails[usize::from(era == Era::Modern)];
    match (request.method, name) {
        ("tools/list", _) => ready_answer(out, id.get(), &tails[1]),
        ("tools/call", Some("big")) => ready_answer(out, id.get(), &tails[2]),
        ("tools/call", _) => ready_answer(out, id.get(), &tails[0]),
        (method, _) => {
            opening(out, id.get(), method);
            ""
        }
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

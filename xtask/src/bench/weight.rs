//! What clients cost that do nothing or little: memory for each idle session and each open listen stream, CPU time for
//! a session that comes, lists and goes. Only the gateway is measured: nginx has no such things.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::http::Connection;
use super::proc;
use super::report::{Fact, precise};
use super::wire::{Era, LEGACY_VERSION, MODERN_VERSION, Place, Template, Work, handshake};

type Failure = Box<dyn std::error::Error>;

/// Idle sessions, and what one may cost: they live in their sealed id.
const SESSIONS: u64 = 10_000;
const SESSION_BYTES: f64 = 1024.0;
/// Open listen streams.
const LISTENS: u64 = 1000;
/// Let the gateway finish what it does behind an answer before its memory is read.
const SETTLING: Duration = Duration::from_secs(1);
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The names of these cases, which `--case` is matched with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Idle legacy sessions without a stream.
    Sessions,
    /// Open listen streams.
    Listens,
    /// Sessions that come and go.
    Churn,
}

/// All that the pattern matches.
pub(crate) fn cases(pattern: &regex_lite::Regex) -> Vec<Case> {
    let all =
        [("idle/sessions", Case::Sessions), ("idle/listens", Case::Listens), ("churn/sessions", Case::Churn)];
    all.into_iter().filter(|(name, _)| pattern.is_match(name)).map(|(_, case)| case).collect()
}

/// Measures one of them at a running gateway.
pub(crate) async fn weigh(case: Case, address: &str, pid: u32, window: Duration) -> Result<Fact, Failure> {
    match case {
        Case::Sessions => {
            let each = growth(pid, SESSIONS, sessions(address, SESSIONS)).await?;
            Ok(Fact { name: "an idle session", value: each, aim: Some(SESSION_BYTES), unit: "bytes" })
        }
        Case::Listens => {
            let each = growth(pid, LISTENS, listens(address, LISTENS)).await?;
            Ok(Fact { name: "an open listen stream", value: each, aim: None, unit: "bytes" })
        }
        Case::Churn => {
            let each = churn(address, pid, window).await?;
            Ok(Fact { name: "a session that comes and goes", value: each, aim: None, unit: "CPU µs" })
        }
    }
}

/// By how many bytes the gateway grows for each of so many.
async fn growth<T>(
    pid: u32,
    count: u64,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<f64, Failure> {
    let before = proc::resident_kib(&proc::tree(pid));
    // What it opened stays open until the memory has been read.
    let _held = work.await?;
    sleep(SETTLING).await;
    let after = proc::resident_kib(&proc::tree(pid));
    Ok(precise(after.saturating_sub(before)) * 1024.0 / precise(count))
}

async fn sessions(address: &str, count: u64) -> Result<(), Failure> {
    let mut connection = Connection::new(TcpStream::connect(address).await?)?;
    for _ in 0..count {
        open(&mut connection, address).await?;
    }
    Ok(())
}

async fn open(connection: &mut Connection, address: &str) -> Result<String, Failure> {
    connection.send(&handshake(address, "/mcp/legacy", None)).await?;
    let message = timeout(PATIENCE, connection.receive()).await??.ok_or("closed")?;
    let session = message.header("mcp-session-id").ok_or("no session")?.to_owned();
    connection.send(&handshake(address, "/mcp/legacy", Some(&session))).await?;
    let message = timeout(PATIENCE, connection.receive()).await??.ok_or("closed")?;
    if message.status() == 202 { Ok(session) } else { Err(format!("status {}", message.status()).into()) }
}

async fn listens(address: &str, count: u64) -> Result<Vec<TcpStream>, Failure> {
    let mut open = Vec::new();
    for id in 0..count {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"notifications":{{"toolsListChanged":true}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN_VERSION}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        let mut stream = TcpStream::connect(address).await?;
        let head = format!(
            "POST /mcp/modern HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: {MODERN_VERSION}\r\nMcp-Method: subscriptions/listen\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await?;
        acknowledged(&mut stream).await?;
        open.push(stream);
    }
    Ok(open)
}

async fn acknowledged(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut seen = Vec::new();
    while memchr::memmem::find(&seen, b"subscriptions/acknowledged").is_none() {
        let read = timeout(PATIENCE, stream.read_buf(&mut seen)).await??;
        if read == 0 || seen.len() > 64 * 1024 {
            return Err(format!("no acknowledgement: {}", String::from_utf8_lossy(&seen)).into());
        }
    }
    Ok(())
}

/// CPU time of `initialize`, `initialized`, a list and `DELETE`.
async fn churn(address: &str, pid: u32, window: Duration) -> Result<f64, Failure> {
    let mut connection = Connection::new(TcpStream::connect(address).await?)?;
    let pids = proc::tree(pid);
    let (before, began) = (proc::cpu(&pids), Instant::now());
    let (mut count, mut out) = (0, Vec::new());
    while began.elapsed() < window {
        let session = open(&mut connection, address).await?;
        let place = Place { target: address, path: "/mcp/legacy", prefix: "" };
        Template::new(&place, Era::Legacy, Work::List, Some(&session)).write(1, &mut out);
        connection.send(&out).await?;
        let listed = timeout(PATIENCE, connection.receive()).await??.ok_or("closed")?.status();
        let delete = format!(
            "DELETE /mcp/legacy HTTP/1.1\r\nHost: {address}\r\nMCP-Protocol-Version: {LEGACY_VERSION}\r\nMcp-Session-Id: {session}\r\nContent-Length: 0\r\n\r\n"
        );
        connection.send(delete.as_bytes()).await?;
        let deleted = timeout(PATIENCE, connection.receive()).await??.ok_or("closed")?.status();
        if listed != 200 || deleted >= 300 {
            return Err(format!("list {listed}, DELETE {deleted}").into());
        }
        count += 1;
    }
    Ok(precise(proc::cpu(&pids).since(before)) / 1000.0 / precise(count))
}

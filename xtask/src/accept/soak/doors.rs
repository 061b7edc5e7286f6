//! The other doors of the soak: HTTP+SSE, `portreeve stdio`, and the one for scripts. Each is used like the client of
//! Streamable HTTP next door, and trusted as little.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::client::{self, Client, Ending, PATIENCE};
use super::mind::Era;

/// How long a child may take to end when its input ends.
const ENDING: Duration = Duration::from_secs(10);

/// Where a caller comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The address of one server, Streamable HTTP.
    Server,
    /// The address of all servers.
    All,
    /// HTTP+SSE.
    Sse,
    /// `portreeve stdio --connect`.
    Stdio,
    /// `/api/v1/tools`.
    Scripts,
}

/// A client at one of the doors.
pub(super) enum Visitor {
    Http(Client),
    Line(Box<Line>),
    Script(Script),
}

impl Visitor {
    pub(super) fn new(gate: &Gate, door: Door, server: &str, era: Era) -> Self {
        match door {
            Door::Server => Self::Http(Client::new(&gate.address, &format!("/mcp/{server}"), era)),
            Door::All => Self::Http(Client::new(&gate.address, "/mcp", era)),
            Door::Sse => Self::Line(Box::new(Line::new(gate, Kind::Sse(format!("/sse/{server}")), era))),
            Door::Stdio => Self::Line(Box::new(Line::new(gate, Kind::Stdio(format!("/mcp/{server}")), era))),
            Door::Scripts => Self::Script(Script {
                address: gate.address.clone(),
                path: format!("/api/v1/tools/{server}"),
            }),
        }
    }

    pub(super) async fn open(&mut self) -> Result<(), String> {
        match self {
            Self::Http(client) => client.open().await,
            Self::Line(line) => line.open().await,
            Self::Script(_) => Ok(()),
        }
    }

    pub(super) async fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Http(client) => client.close().await,
            Self::Line(line) => line.close().await,
            Self::Script(_) => Ok(()),
        }
    }

    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Ending {
        match self {
            Self::Http(client) => client.call(tool, arguments).await,
            Self::Line(line) => line.call(tool, arguments).await,
            Self::Script(script) => script.ask("POST", &format!("/{tool}"), &arguments.to_string()).await,
        }
    }

    pub(super) async fn list(&mut self) -> Ending {
        match self {
            Self::Http(client) => client.request("tools/list", json!({})).await,
            Self::Line(line) => line.request("tools/list", json!({})).await,
            Self::Script(script) => script.ask("GET", "", "").await,
        }
    }

    /// Opens the stream of changes for a moment, where the door has one; on a line it is open all the time.
    pub(super) async fn listen(&mut self) -> io::Result<u16> {
        match self {
            Self::Http(client) => client.listen().await,
            Self::Line(_) | Self::Script(_) => Ok(200),
        }
    }

    pub(super) async fn abandon(&mut self, tool: &str, arguments: Value) -> io::Result<()> {
        match self {
            Self::Http(client) => client.abandon(tool, arguments).await,
            Self::Line(line) => line.abandon(tool, arguments).await,
            Self::Script(script) => script.leave(tool, &arguments).await,
        }
    }
}

/// The gate that is examined.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) address: String,
    pub(super) binary: PathBuf,
    pub(super) folder: PathBuf,
}

enum Kind {
    Sse(String),
    Stdio(String),
}

/// A line that carries all messages of a session, both ways.
pub(super) struct Line {
    gate: Gate,
    kind: Kind,
    era: Era,
    ends: Option<Ends>,
    next: u64,
    /// Requests that were given up; an answer that was on its way already is no fault.
    given_up: HashSet<u64>,
}

enum Ends {
    Sse { stream: BufReader<TcpStream>, text: Vec<u8>, endpoint: String },
    Stdio { child: Child, stdin: ChildStdin, stdout: BufReader<ChildStdout> },
}

impl Line {
    fn new(gate: &Gate, kind: Kind, era: Era) -> Self {
        Self { gate: gate.clone(), kind, era, ends: None, next: 1, given_up: HashSet::new() }
    }

    async fn open(&mut self) -> Result<(), String> {
        let ends = match &self.kind {
            Kind::Sse(path) => connect(&self.gate, path).await,
            Kind::Stdio(path) => start(&self.gate, path),
        };
        self.ends = Some(ends.map_err(|error| error.to_string())?);
        if self.era == Era::Modern {
            return Ok(());
        }
        let answer = match self.request("initialize", client::hello()).await {
            Ending::Answer(answer) if answer.get("result").is_some() => answer,
            other => return Err(format!("no session: {other:?}")),
        };
        drop(answer);
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.send(&initialized).await.map_err(|error| error.to_string())
    }

    async fn close(&mut self) -> io::Result<()> {
        self.given_up.clear();
        if let Some(Ends::Stdio { mut child, stdin, stdout }) = self.ends.take() {
            drop((stdin, stdout));
            let ended = timeout(ENDING, child.wait()).await;
            let status =
                ended.map_err(|_| io::Error::other("`portreeve stdio` does not end with its input"))??;
            if !status.success() {
                return Err(io::Error::other(format!("`portreeve stdio` ended with {status}")));
            }
        }
        Ok(())
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Ending {
        let mut params = json!({ "name": tool, "arguments": arguments });
        if self.era == Era::Legacy {
            params["_meta"] = json!({ "progressToken": self.next });
        }
        loop {
            let ending = self.request("tools/call", params.clone()).await;
            let Ending::Answer(answer) = &ending else { return ending };
            if !client::goes_on(answer, &mut params) {
                return ending;
            }
        }
    }

    async fn request(&mut self, method: &str, params: Value) -> Ending {
        let id = self.next;
        self.next += 1;
        let body = client::body(self.era, id, method, params);
        match timeout(PATIENCE, self.exchange(id, &body)).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => Ending::Violation(format!("the line broke: {error}")),
            Err(_) => Ending::Violation(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn exchange(&mut self, id: u64, body: &Value) -> io::Result<Ending> {
        self.send(body).await?;
        loop {
            let message = self.receive().await?;
            match (message.get("method").is_some(), message.get("id")) {
                (true, Some(asked)) => {
                    self.send(&json!({ "jsonrpc": "2.0", "id": asked, "result": client::reply() })).await?;
                }
                (true, None) => {}
                (false, Some(answered)) if *answered == id => return Ok(Ending::Answer(message)),
                (false, Some(answered))
                    if answered.as_u64().is_some_and(|old| self.given_up.contains(&old)) => {}
                (false, _) => return Ok(Ending::Violation(format!("an answer to nothing: {message}"))),
            }
        }
    }

    async fn abandon(&mut self, tool: &str, arguments: Value) -> io::Result<()> {
        let id = self.next;
        self.next += 1;
        self.given_up.insert(id);
        let body = client::body(self.era, id, "tools/call", json!({ "name": tool, "arguments": arguments }));
        self.send(&body).await?;
        let params = json!({ "requestId": id });
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })).await
    }

    async fn send(&mut self, message: &Value) -> io::Result<()> {
        match self.ends.as_mut().ok_or(io::ErrorKind::NotConnected)? {
            Ends::Stdio { stdin, .. } => {
                stdin.write_all(format!("{message}\n").as_bytes()).await?;
                stdin.flush().await
            }
            Ends::Sse { endpoint, .. } => {
                let status = post(&self.gate.address, endpoint, &message.to_string()).await?.0;
                if status == 202 { Ok(()) } else { Err(io::Error::other(format!("HTTP {status}"))) }
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Value> {
        match self.ends.as_mut().ok_or(io::ErrorKind::NotConnected)? {
            Ends::Stdio { stdout, .. } => {
                let mut line = String::new();
                if stdout.read_line(&mut line).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                serde_json::from_str(&line).map_err(io::Error::other)
            }
            Ends::Sse { stream, text, .. } => loop {
                let event = event(stream, text).await?;
                if let Some(message) = client::data(&event) {
                    return Ok(message);
                }
            },
        }
    }
}

fn start(gate: &Gate, path: &str) -> io::Result<Ends> {
    let mut command = Command::new(&gate.binary);
    command.args(["stdio", "--connect", &format!("http://{}{path}", gate.address)]);
    command.current_dir(&gate.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(io::ErrorKind::NotConnected.into()) };
    Ok(Ends::Stdio { child, stdin, stdout: BufReader::new(stdout) })
}

/// Opens the stream of HTTP+SSE and reads where messages go.
async fn connect(gate: &Gate, path: &str) -> io::Result<Ends> {
    let mut stream = BufReader::new(TcpStream::connect(&gate.address).await?);
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n", gate.address);
    stream.write_all(head.as_bytes()).await?;
    let status = client::read_head(&mut stream).await?.status;
    if status != 200 {
        return Err(io::Error::other(format!("HTTP {status}")));
    }
    let mut text = Vec::new();
    loop {
        let event = event(&mut stream, &mut text).await?;
        let event = String::from_utf8_lossy(&event);
        if let Some(endpoint) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
            return Ok(Ends::Sse { stream, text, endpoint: endpoint.to_owned() });
        }
    }
}

/// The next event of a stream.
async fn event(stream: &mut BufReader<TcpStream>, text: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(end) = memchr::memmem::find(text, b"\n\n") {
            return Ok(text.drain(..end + 2).collect());
        }
        let chunk = client::read_chunk(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        text.extend_from_slice(&chunk);
    }
}

/// A POST on a connection of its own: the status and the body.
async fn post(address: &str, path: &str, content: &str) -> io::Result<(u16, Vec<u8>)> {
    exchange(address, "POST", path, content).await
}

async fn exchange(address: &str, verb: &str, path: &str, content: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(request(address, verb, path, content).as_bytes()).await?;
    let head = client::read_head(&mut stream).await?;
    let body = client::read_body(&mut stream, &head).await?;
    Ok((head.status, body))
}

fn request(address: &str, verb: &str, path: &str, content: &str) -> String {
    format!(
        "{verb} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    )
}

/// A script that uses the door without MCP.
pub(super) struct Script {
    address: String,
    path: String,
}

impl Script {
    /// The answer in the form of the other doors.
    async fn ask(&self, verb: &str, below: &str, content: &str) -> Ending {
        let path = format!("{}{below}", self.path);
        let answered = timeout(PATIENCE, exchange(&self.address, verb, &path, content)).await;
        let (status, body) = match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => return Ending::Violation(format!("the connection broke: {error}")),
            Err(_) => return Ending::Violation(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        match (status, serde_json::from_slice::<Value>(&body)) {
            (200 | 422, Ok(result)) => Ending::Answer(json!({ "result": result })),
            // What is not there has no code of its own at this door.
            (404, Ok(_)) => Ending::Answer(json!({ "error": { "code": -32602 } })),
            (_, Ok(error)) if error["code"].is_i64() => {
                Ending::Answer(json!({ "error": { "code": error["code"] } }))
            }
            (status, answer) => Ending::Violation(format!("{status} with {answer:?}")),
        }
    }

    /// Asks, and goes away without waiting for the answer.
    async fn leave(&self, tool: &str, arguments: &Value) -> io::Result<()> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let path = format!("{}/{tool}", self.path);
        stream.write_all(request(&self.address, "POST", &path, &arguments.to_string()).as_bytes()).await
    }
}

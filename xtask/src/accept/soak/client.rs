//! The caller of the soak: one request at a time over a kept connection, read event by event, so that questions in the
//! middle of a call can be answered and a second answer to one request would be seen. It trusts nothing that it reads.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::mind::Era;

/// No request may take longer: all limits of the gate in the soak are far below.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// What came of a request.
#[derive(Debug)]
pub(super) enum Ending {
    /// Exactly one answer: its `result` or `error`.
    Answer(Value),
    /// Something that must not be.
    Violation(String),
}

/// A client of one address of the gate.
pub(super) struct Client {
    address: String,
    path: String,
    era: Era,
    session: Option<String>,
    stream: Option<BufReader<TcpStream>>,
    next: u64,
}

/// The head of an answer.
pub(super) struct Head {
    pub(super) status: u16,
    length: Option<usize>,
    is_stream: bool,
    session: Option<String>,
}

impl Client {
    pub(super) fn new(address: &str, path: &str, era: Era) -> Self {
        Self { address: address.to_owned(), path: path.to_owned(), era, session: None, stream: None, next: 1 }
    }

    /// Opens a session, where there are sessions.
    pub(super) async fn open(&mut self) -> Result<(), String> {
        if self.era == Era::Modern {
            return Ok(());
        }
        self.session = None;
        let Ending::Answer(answer) = self.request("initialize", hello()).await else {
            return Err("no session".to_owned());
        };
        if answer.get("result").is_none() || self.session.is_none() {
            return Err(format!("no session: {answer}"));
        }
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.aside(&initialized).await.map_err(|error| error.to_string())
    }

    /// Ends the session.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        if self.session.is_some() {
            let mut stream = self.connect().await?;
            let head = self.head("DELETE", None, "");
            stream.write_all(head.as_bytes()).await?;
            read_head(&mut stream).await?;
            self.session = None;
        }
        self.stream = None;
        Ok(())
    }

    /// Calls `work`, answering what is asked, until the end.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Ending {
        let mut params = json!({ "name": tool, "arguments": arguments });
        if self.era == Era::Legacy {
            params["_meta"] = json!({ "progressToken": self.next });
        }
        loop {
            let ending = self.request("tools/call", params.clone()).await;
            let Ending::Answer(answer) = &ending else { return ending };
            if !goes_on(answer, &mut params) {
                return ending;
            }
        }
    }

    /// One request of any method.
    pub(super) async fn request(&mut self, method: &str, params: Value) -> Ending {
        let id = self.next;
        self.next += 1;
        let body = body(self.era, id, method, params);
        match timeout(PATIENCE, self.exchange(id, method, &body)).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(error)) => {
                self.stream = None;
                Ending::Violation(format!("the connection broke: {error}"))
            }
            Err(_) => {
                self.stream = None;
                Ending::Violation(format!("no answer within {} s", PATIENCE.as_secs()))
            }
        }
    }

    fn head(&self, verb: &str, body: Option<&Value>, content: &str) -> String {
        let mut head = format!(
            "{verb} {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            self.path,
            self.address,
            content.len()
        );
        let line = |name: &str, value: &str| format!("{name}: {value}\r\n");
        match (self.era, &self.session) {
            (Era::Legacy, Some(session)) => {
                head += &line("MCP-Protocol-Version", LEGACY);
                head += &line("Mcp-Session-Id", session);
            }
            (Era::Legacy, None) => {}
            (Era::Modern, _) => {
                head += &line("MCP-Protocol-Version", MODERN);
                head +=
                    &line("Mcp-Method", body.and_then(|body| body["method"].as_str()).unwrap_or_default());
                if let Some(name) = body.and_then(|body| body["params"]["name"].as_str()) {
                    head += &line("Mcp-Name", name);
                }
            }
        }
        head + "\r\n" + content
    }

    async fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    async fn exchange(&mut self, id: u64, method: &str, body: &Value) -> io::Result<Ending> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let content = body.to_string();
        stream.write_all(self.head("POST", Some(body), &content).as_bytes()).await?;
        let head = read_head(&mut stream).await?;
        if method == "initialize" {
            self.session.clone_from(&head.session);
        }
        let ending = if head.is_stream {
            self.events(&mut stream, id).await?
        } else {
            one(&read_body(&mut stream, &head).await?, id, head.status)
        };
        self.stream = Some(stream);
        Ok(ending)
    }

    /// Reads a stream to its end. Questions are answered over another connection.
    async fn events(&self, stream: &mut BufReader<TcpStream>, id: u64) -> io::Result<Ending> {
        let mut answers = Vec::new();
        let mut text = Vec::new();
        while let Some(chunk) = read_chunk(stream).await? {
            text.extend_from_slice(&chunk);
            while let Some(end) = memchr::memmem::find(&text, b"\n\n") {
                let event: Vec<u8> = text.drain(..end + 2).collect();
                let Some(message) = data(&event) else { continue };
                if message.get("method").is_none() && message["id"] == id {
                    answers.push(message);
                } else if message.get("method").is_some() && message.get("id").is_some() {
                    self.aside(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": reply() })).await?;
                }
            }
        }
        Ok(match answers.len() {
            1 => Ending::Answer(answers.remove(0)),
            count => Ending::Violation(format!("{count} answers on one stream")),
        })
    }

    /// A notification or an answer, over a connection of its own.
    pub(super) async fn aside(&self, message: &Value) -> io::Result<()> {
        let mut stream = self.connect().await?;
        stream.write_all(self.head("POST", Some(message), &message.to_string()).as_bytes()).await?;
        read_head(&mut stream).await?;
        Ok(())
    }

    /// Asks, and goes away without waiting for the answer.
    pub(super) async fn abandon(&mut self, tool: &str, arguments: Value) -> io::Result<()> {
        let id = self.next;
        self.next += 1;
        let body = body(self.era, id, "tools/call", json!({ "name": tool, "arguments": arguments }));
        let mut stream = self.connect().await?;
        stream.write_all(self.head("POST", Some(&body), &body.to_string()).as_bytes()).await?;
        if self.era == Era::Legacy {
            let params = json!({ "requestId": id });
            let cancelled =
                json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
            self.aside(&cancelled).await?;
        }
        Ok(())
    }

    /// Opens the stream on which changes are told, sees its head, and closes it.
    pub(super) async fn listen(&mut self) -> io::Result<u16> {
        let mut stream = self.connect().await?;
        let request = if self.era == Era::Modern {
            let id = self.next;
            self.next += 1;
            let wanted = json!({ "notifications": { "toolsListChanged": true } });
            let body = body(self.era, id, "subscriptions/listen", wanted);
            self.head("POST", Some(&body), &body.to_string())
        } else {
            self.head("GET", None, "")
        };
        stream.write_all(request.as_bytes()).await?;
        Ok(timeout(PATIENCE, read_head(&mut stream)).await??.status)
    }
}

pub(super) fn reply() -> Value {
    json!({ "action": "accept", "content": { "name": "soak" } })
}

/// The parameters of a handshake.
pub(super) fn hello() -> Value {
    let info = json!({ "name": "soak", "version": "1" });
    json!({ "protocolVersion": LEGACY, "capabilities": { "elicitation": {} }, "clientInfo": info })
}

/// One request of an era.
pub(super) fn body(era: Era, id: u64, method: &str, mut params: Value) -> Value {
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
            "io.modelcontextprotocol/clientInfo": { "name": "soak", "version": "1" },
            "progressToken": id,
        });
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Whether an answer asks for something; what is asked is answered in the parameters of the next round.
pub(super) fn goes_on(answer: &Value, params: &mut Value) -> bool {
    let result = &answer["result"];
    if result["resultType"] != "input_required" {
        return false;
    }
    let keys = result["inputRequests"].as_object().into_iter().flat_map(|asks| asks.keys());
    let answers: serde_json::Map<String, Value> = keys.map(|key| (key.clone(), reply())).collect();
    params["inputResponses"] = Value::Object(answers);
    params["requestState"] = result["requestState"].clone();
    true
}

/// The message of one event, if it carries one.
pub(super) fn data(event: &[u8]) -> Option<Value> {
    let lines = event.split(|byte| *byte == b'\n');
    let data = lines.filter_map(|line| line.strip_prefix(b"data:")).find(|data| data.len() > 1)?;
    serde_json::from_slice(data).ok()
}

fn one(bytes: &[u8], id: u64, status: u16) -> Ending {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(message) if message["id"] == id => Ending::Answer(message),
        Ok(message) => Ending::Violation(format!("{status} with another id: {message}")),
        Err(error) => Ending::Violation(format!("{status} without a message: {error}")),
    }
}

pub(super) async fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Head> {
    let mut head = Head { status: 0, length: None, is_stream: false, session: None };
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(head);
        }
        match text.split_once(':') {
            None => head.status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0),
            Some((name, value)) => match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => head.length = value.parse().ok(),
                ("content-type", value) => head.is_stream = value.starts_with("text/event-stream"),
                ("transfer-encoding", _) => head.length = None,
                ("mcp-session-id", value) => head.session = Some(value.to_owned()),
                _ => {}
            },
        }
    }
}

pub(super) async fn read_body(stream: &mut BufReader<TcpStream>, head: &Head) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; head.length.unwrap_or(0)];
    stream.read_exact(&mut bytes).await?;
    while head.length.is_none() {
        let Some(chunk) = read_chunk(stream).await? else { break };
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The next chunk of a stream; `None` at its end.
pub(super) async fn read_chunk(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let size = usize::from_str_radix(line.trim(), 16).map_err(|_| io::Error::other("no chunk"))?;
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk).await?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}

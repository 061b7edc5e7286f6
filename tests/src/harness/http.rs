//! A raw HTTP/1.1 client: any bytes out, responses read with a deadline, event streams event by event. It forgives
//! nothing and adds nothing, so that a test sees what really was on the wire.

use super::soon;
use serde_json::Value;
use std::{collections::VecDeque, io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case, in the order of the wire.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let first = values.next();
        assert!(values.next().is_none(), "{name} is there twice: {:?}", self.headers);
        first.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("bodies are UTF-8")
    }

    /// All JSON-RPC messages: the body, or the data of each event.
    pub(crate) fn messages(&self) -> Vec<Value> {
        if self.header("content-type") != Some("text/event-stream") {
            return vec![self.json()];
        }
        self.text().split("\n\n").filter_map(data_of).collect()
    }

    /// The last message: the answer.
    pub(crate) fn message(&self) -> Value {
        self.messages().pop().expect("a response has an answer")
    }

    /// The body as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error} in {} {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// The result of a request that succeeded with HTTP 200.
    pub(crate) fn result(&self) -> Value {
        let message = self.message();
        assert!(self.status == 200 && message["result"].is_object(), "no result: {} {message}", self.status);
        message["result"].clone()
    }

    /// HTTP status and JSON-RPC error code.
    pub(crate) fn refusal(&self) -> (u16, i64) {
        let message = self.message();
        let code = message["error"]["code"].as_i64();
        (self.status, code.unwrap_or_else(|| panic!("no error: {} {message}", self.status)))
    }

    /// The text of the first content block of a tool's result.
    pub(crate) fn said(&self) -> String {
        let result = self.result();
        result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {result}")).to_owned()
    }
}

/// How the rest of a body is delimited.
enum Rest {
    Length(usize),
    Chunked,
    UntilClose,
}

/// One connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes of the open event stream that were decoded and not yet read.
    decoded: Vec<u8>,
    events: VecDeque<Told>,
    /// The id of the last event that was read.
    last_id: Option<String>,
}

/// One event as it was on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) text: String,
}

impl Told {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let value =
            |line: &'_ str| -> Option<usize> { line.strip_prefix(name)?.strip_prefix(": ").map(str::len) };
        self.text.lines().find_map(|line| value(line).map(|length| &line[line.len() - length..]))
    }

    /// The message, if there is one.
    pub(crate) fn message(&self) -> Option<Value> {
        data_of(&self.text)
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream =
            soon("a connection", TcpStream::connect(address)).await.expect("the gate takes connections");
        stream.set_nodelay(true).expect("TCP has this option");
        Self { stream, buffer: Vec::new(), decoded: Vec::new(), events: VecDeque::new(), last_id: None }
    }

    /// Sends bytes. A peer that already closed is no error here: what it said before is still to be read.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The peer may refuse in the middle of what is sent; the answer tells.
        let _ = soon("sending", self.stream.write_all(bytes)).await;
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        // The peer may have closed first.
        let _ = soon("closing", self.stream.shutdown()).await;
    }

    /// Reads a whole response.
    pub(crate) async fn response(&mut self) -> Response {
        self.try_response().await.unwrap_or_else(|| panic!("the connection closed without a response"))
    }

    /// Reads a whole response, or nothing if the connection closes first.
    pub(crate) async fn try_response(&mut self) -> Option<Response> {
        let mut response = self.head().await?;
        match rest(&response) {
            Rest::Length(length) => {
                while self.buffer.len() < length {
                    assert!(self.fill().await, "the body broke off");
                }
                response.body = self.buffer.drain(..length).collect();
            }
            Rest::Chunked => {
                while let Some(chunk) = self.chunk().await {
                    response.body.extend_from_slice(&chunk);
                }
            }
            Rest::UntilClose => {
                while self.fill().await {}
                response.body = std::mem::take(&mut self.buffer);
            }
        }
        Some(response)
    }

    /// Reads a head and leaves the body, for event streams.
    pub(crate) async fn head(&mut self) -> Option<Response> {
        loop {
            let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                let response = parse_head(&head);
                if response.status == 100 {
                    continue;
                }
                return Some(response);
            }
            if !self.fill().await {
                assert!(self.buffer.is_empty(), "half a head: {:?}", String::from_utf8_lossy(&self.buffer));
                return None;
            }
        }
    }

    /// The next event of a stream whose head was read; `None` at its proper end. Comments are skipped.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        // Comments come again and again, so a deadline for each read would be none.
        soon("an event", self.next_event()).await
    }

    async fn next_event(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.next_told().await?.message() {
                return Some(message);
            }
        }
    }

    /// The next event as it is on the wire, with or without data; `None` at the proper end of the stream.
    pub(crate) async fn told(&mut self) -> Option<Told> {
        soon("an event", self.next_told()).await
    }

    async fn next_told(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.events.pop_front() {
                self.last_id = told.field("id").map(str::to_owned).or(self.last_id.take());
                return Some(told);
            }
            let chunk = self.chunk().await?;
            self.decoded.extend_from_slice(&chunk);
            while let Some(end) = self.decoded.windows(2).position(|window| window == b"\n\n") {
                let event: Vec<u8> = self.decoded.drain(..end + 2).collect();
                let text = String::from_utf8(event).expect("events are UTF-8");
                if !text.starts_with(':') {
                    self.events.push_back(Told { text });
                }
            }
        }
    }

    /// The id of the last event that was read.
    pub(crate) fn last_id(&self) -> &str {
        self.last_id.as_deref().expect("events have ids")
    }

    /// The next piece of a stream as it is on the wire, comments included; `None` at its proper end.
    pub(crate) async fn piece(&mut self) -> Option<String> {
        self.chunk().await.map(|bytes| String::from_utf8(bytes).expect("streams are UTF-8"))
    }

    /// Every event until the end of the stream.
    pub(crate) async fn events(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(event) = self.event().await {
            all.push(event);
        }
        all
    }

    /// Whether the peer closes now, sending nothing more.
    pub(crate) async fn closes(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill().await
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            assert!(self.fill().await, "the stream broke off");
        };
        let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
        let size =
            std::str::from_utf8(&line[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.unwrap_or_else(|| panic!("no chunk size: {:?}", String::from_utf8_lossy(&line)));
        while self.buffer.len() < size + 2 {
            assert!(self.fill().await, "the chunk broke off");
        }
        let mut chunk: Vec<u8> = self.buffer.drain(..size + 2).collect();
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// Reads more; `false` at the end. A reset is an end: the peer refused to read what was still coming.
    async fn fill(&mut self) -> bool {
        let mut piece = [0_u8; 16 << 10];
        match soon("a response", self.stream.read(&mut piece)).await {
            Ok(0) => false,
            Ok(length) => {
                self.buffer.extend_from_slice(&piece[..length]);
                true
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) =>
            {
                false
            }
            Err(error) => panic!("cannot read: {error}"),
        }
    }
}

fn parse_head(head: &[u8]) -> Response {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end().split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Response { status, headers, body: Vec::new() }
}

fn rest(response: &Response) -> Rest {
    if matches!(response.status, 204 | 304) {
        return Rest::Length(0);
    }
    match (response.header("content-length"), response.header("transfer-encoding")) {
        (Some(length), _) => Rest::Length(length.parse().expect("a length is a number")),
        (None, Some("chunked")) => Rest::Chunked,
        (None, _) => Rest::UntilClose,
    }
}

/// The JSON of one event; comments and events without data have none.
fn data_of(event: &str) -> Option<Value> {
    let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let data = data.join("\n");
    (!data.is_empty()).then(|| serde_json::from_str(&data).expect("events carry JSON"))
}

//! The faulty server of the soak on its three transports: a pipe, Streamable HTTP, HTTP+SSE. What it says is `mind.rs`'s;
//! how it fails (a process that ends, a connection that breaks) is here.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, BufRead as _, Write as _};
use std::rc::Rc;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::mind::{Act, Era, Mind};
use crate::bench::http::Connection;
use crate::command::Outcome;

/// Messages that wait for a stream; a call here says at most a few dozen.
const QUEUE: usize = 256;

/// How the server is reached, and what it speaks.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    transport: Transport,
    #[arg(long, default_value = "legacy")]
    era: Era,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    Stdio,
    Http,
    Sse,
}

/// Serves until standard input ends.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if arguments.transport == Transport::Stdio {
        return pipe(arguments.era);
    }
    let (is_sse, era) = (arguments.transport == Transport::Sse, arguments.era);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let server = Rc::new(Server { is_sse, era, next: Cell::new(1), sessions: RefCell::default() });
        let mut life = tokio::io::stdin();
        let mut ignored = [0; 64];
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, server) = (accepted?.0, Rc::clone(&server));
                    // A connection that breaks is what this server is for.
                    tokio::task::spawn_local(async move { server.connection(stream).await.ok() });
                }
                read = tokio::io::AsyncReadExt::read(&mut life, &mut ignored) => if read? == 0 { return Ok(()) },
            }
        }
    })
}

fn pipe(era: Era) -> Outcome {
    let mut mind = Mind::new(era);
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        for act in mind.take(&serde_json::from_str(&line?)?) {
            match act {
                Act::Say(_, message) | Act::Answer(_, message) => writeln!(out, "{message}")?,
                Act::Junk(_) => writeln!(out, "Segmentation fault (not really) {{")?,
                Act::Cut(_) => {
                    write!(out, "{{\"jsonrpc\":\"2.0\",")?;
                    out.flush()?;
                    return Ok(());
                }
                Act::Die => return Err("asked to die".into()),
            }
        }
        out.flush()?;
    }
    Ok(())
}

/// What a stream is given.
enum Piece {
    Message(Value),
    Last(Value),
    Junk,
    Break,
}

/// One client's session, in both HTTP transports.
struct Session {
    mind: Mind,
    /// Streams by the JSON of their request's id; with HTTP+SSE the only one has the empty name.
    streams: HashMap<String, mpsc::Sender<Piece>>,
}

struct Server {
    is_sse: bool,
    era: Era,
    next: Cell<u64>,
    sessions: RefCell<HashMap<String, Session>>,
}

impl Server {
    async fn connection(&self, stream: TcpStream) -> io::Result<()> {
        let mut connection = Connection::new(stream)?;
        loop {
            let Some(message) = connection.receive().await? else { return Ok(()) };
            let line = String::from_utf8_lossy(message.request_line()).into_owned();
            let named = message.header("mcp-session-id").map(str::to_owned);
            let verb = line.split(' ').next().unwrap_or_default();
            match (verb, self.is_sse) {
                ("POST", true) => {
                    let session = line.split(['=', ' ']).nth(2).unwrap_or_default().to_owned();
                    let body = serde_json::from_slice(message.body)?;
                    connection.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await?;
                    self.take(&session, &body);
                }
                ("GET", true) => return self.event_stream(connection).await,
                ("POST", false) => {
                    let body = serde_json::from_slice(message.body)?;
                    self.post(named, &body, &mut connection).await?;
                }
                ("DELETE", false) => {
                    self.sessions.borrow_mut().remove(&named.unwrap_or_default());
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
                }
                _ => connection.send(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n").await?,
            }
        }
    }

    fn open(&self) -> String {
        let name = format!("s{}", self.next.replace(self.next.get() + 1));
        let session = Session { mind: Mind::new(self.era), streams: HashMap::new() };
        self.sessions.borrow_mut().insert(name.clone(), session);
        name
    }

    /// Gives a stream its name; `false` where there is no such session.
    fn attach(&self, session: &str, stream: &str, sender: mpsc::Sender<Piece>) -> bool {
        let mut sessions = self.sessions.borrow_mut();
        let found = sessions.get_mut(session);
        found.map(|session| session.streams.insert(stream.to_owned(), sender)).is_some()
    }

    /// Lets the mind think, and hands on what it says.
    fn take(&self, session: &str, message: &Value) {
        let mut sessions = self.sessions.borrow_mut();
        let Some(session) = sessions.get_mut(session) else { return };
        for act in session.mind.take(message) {
            let (id, piece) = match act {
                Act::Say(id, message) => (id, Piece::Message(message)),
                Act::Answer(id, message) => (id, Piece::Last(message)),
                Act::Junk(id) => (id, Piece::Junk),
                Act::Cut(id) => (id, Piece::Break),
                Act::Die => (message["id"].clone(), Piece::Break),
            };
            let name = if self.is_sse { String::new() } else { id.to_string() };
            if let Some(stream) = session.streams.get(&name) {
                // A reader who does not keep up has gone.
                let _ = stream.try_send(piece);
            }
        }
    }

    /// One POST of Streamable HTTP.
    async fn post(&self, named: Option<String>, body: &Value, out: &mut Connection) -> io::Result<()> {
        let opens = body["method"] == "initialize" || self.era == Era::Modern;
        let session = if opens { self.open() } else { named.unwrap_or_default() };
        let (sender, mut pieces) = mpsc::channel(QUEUE);
        let id = body["id"].to_string();
        if !self.attach(&session, &id, sender) {
            return out.send(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").await;
        }
        self.take(&session, body);
        let is_request = body.get("method").is_some() && body.get("id").is_some();
        let done = if !is_request {
            out.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await
        } else if streams(body) {
            stream_out(out, &mut pieces).await
        } else {
            answer_out(out, &mut pieces, &session).await
        };
        let mut sessions = self.sessions.borrow_mut();
        if self.era == Era::Modern {
            sessions.remove(&session);
        } else if let Some(session) = sessions.get_mut(&session) {
            session.streams.remove(&id);
        }
        done
    }

    /// The one stream of an HTTP+SSE session.
    async fn event_stream(&self, mut out: Connection) -> io::Result<()> {
        let session = self.open();
        let (sender, mut pieces) = mpsc::channel(QUEUE);
        self.attach(&session, "", sender);
        out.send(STREAM_HEAD).await?;
        send_event(&mut out, "endpoint", &format!("/message?session={session}")).await?;
        loop {
            let piece = tokio::select! {
                piece = pieces.recv() => piece,
                gone = out.receive() => { gone?; None }
            };
            match piece {
                Some(Piece::Message(message) | Piece::Last(message)) => {
                    send_event(&mut out, "message", &message.to_string()).await?;
                }
                Some(Piece::Junk) => send_event(&mut out, "message", "no { message").await?,
                Some(Piece::Break) | None => break,
            }
        }
        self.sessions.borrow_mut().remove(&session);
        Ok(())
    }
}

const STREAM_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Whether a call is answered with a stream.
fn streams(body: &Value) -> bool {
    matches!(body["params"]["arguments"]["fault"].as_str(), Some("progress" | "cut" | "ask"))
        && body["method"] == "tools/call"
}

async fn send_event(out: &mut Connection, kind: &str, data: &str) -> io::Result<()> {
    let event = format!("event: {kind}\ndata: {data}\n\n");
    out.send(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await
}

async fn stream_out(out: &mut Connection, pieces: &mut mpsc::Receiver<Piece>) -> io::Result<()> {
    out.send(STREAM_HEAD).await?;
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            gone = out.receive() => { gone?; None }
        };
        match piece {
            Some(Piece::Message(message)) => send_event(out, "message", &message.to_string()).await?,
            Some(Piece::Last(message)) => {
                send_event(out, "message", &message.to_string()).await?;
                return out.send(b"0\r\n\r\n").await;
            }
            Some(Piece::Junk | Piece::Break) | None => return Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

async fn answer_out(
    out: &mut Connection,
    pieces: &mut mpsc::Receiver<Piece>,
    session: &str,
) -> io::Result<()> {
    let piece = tokio::select! {
        piece = pieces.recv() => piece,
        gone = out.receive() => { gone?; None }
    };
    let body = match piece {
        Some(Piece::Message(message) | Piece::Last(message)) => message.to_string(),
        Some(Piece::Junk) => "no { message".to_owned(),
        Some(Piece::Break) | None => return Err(io::ErrorKind::ConnectionReset.into()),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: {session}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.send_both(head.as_bytes(), body.as_bytes()).await
}

//! Requests that no client should send, each with the exact answer that it gets, and the proof after each that nobody
//! else suffers: a call on another connection succeeds, and one on the same connection wherever HTTP permits it.
//! What is legal but refused for other reasons is not here; the checks have it.

mod callers;
mod doors;
mod http;
mod message;
mod together;

use crate::harness::{Connection, Gate, Post, Response, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DEMO: &str = "/mcp/demo";
/// The address of all servers.
const ALL: &str = "/mcp";
/// Limits of the gate under test: small, so that exceeding them costs nothing.
const BODY: usize = 64 << 10;
const HEAD: usize = 16 << 10;
const DEPTH: usize = 16;

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Framing,
    Headers,
    Json,
    Size,
    Era,
    Batch,
    Duplicate,
    Path,
    Scripts,
    Sse,
    Sealed,
    Stream,
    Caller,
    Together,
}

/// What the gate answers.
#[derive(Debug, Clone)]
enum Expected {
    /// Status and a JSON-RPC error: code, message, id.
    Rpc(u16, i64, String, Value),
    /// Status and `{"error": …}`.
    Problem(u16, String),
    /// Status and this JSON.
    Whole(u16, Value),
    /// Status and no body: HTTP itself refuses.
    Bare(u16),
    /// Nothing: the connection closes.
    Nothing,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Stays,
    Closes,
}

/// One request.
struct Row {
    kind: Kind,
    name: &'static str,
    bytes: Vec<u8>,
    /// Whether the client says that nothing more will come.
    finishes: bool,
    expected: Expected,
    after: After,
}

impl Row {
    fn new(kind: Kind, name: &'static str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Self {
        let after = match expected {
            Expected::Bare(_) | Expected::Nothing => After::Closes,
            _ => After::Stays,
        };
        Self { kind, name, bytes: bytes.into(), finishes: false, expected, after }
    }

    /// The connection cannot be used any more: what follows cannot be told from the rest of this request.
    fn closes(mut self) -> Self {
        self.after = After::Closes;
        self
    }

    /// The client stops sending in the middle.
    fn finishes(mut self) -> Self {
        self.finishes = true;
        self.closes()
    }
}

fn rpc(status: u16, code: i64, message: impl Into<String>, id: Value) -> Expected {
    Expected::Rpc(status, code, message.into(), id)
}

fn problem(status: u16, text: impl Into<String>) -> Expected {
    Expected::Problem(status, text.into())
}

/// What is right, for rows in which one thing is wrong.
struct Ground {
    /// A session of 2025-03-26, the one revision with batches.
    batches: Session,
    /// One of 2025-06-18.
    plain: Session,
    /// One at the address of all servers.
    together: Session,
    /// The answer to the good call.
    echoed: Value,
    /// Of a list of the demo.
    cursor: String,
    /// Of a call of the demo that asks.
    state: String,
    /// An event that something follows, of the session with batches.
    event: String,
}

impl Ground {
    async fn of(gate: &Gate) -> Self {
        let open = async |path, version| Session::open(gate.address, path, version, json!({})).await;
        let batches = open(DEMO, "2025-03-26").await;
        let first = gate.ask(DEMO, "tools/list", json!({})).await.result();
        let call = Post::call(DEMO, "ask_name", json!({})).capable(json!({"elicitation": {}}));
        let asked = gate.send(&call).await.result();
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned();
        Self {
            event: event(gate, &batches).await,
            batches,
            plain: open(DEMO, "2025-06-18").await,
            together: open(ALL, "2025-06-18").await,
            echoed: gate.send(&good()).await.json(),
            cursor: text(&first["nextCursor"]),
            state: text(&asked["requestState"]),
        }
    }

    /// What rows have changed still works as it was given.
    async fn holds(&self, gate: &Gate) {
        let page = gate.send(&list(DEMO, json!(self.cursor))).await.result();
        assert!(page["tools"].as_array().is_some_and(|tools| !tools.is_empty()), "{page}");
        let answered = gate.send(&again(DEMO, "ask_name", &self.state)).await;
        assert!(answered.said().contains("Ada"), "{}", answered.text());
        let (head, _) = self.batches.resume(&self.event).await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        for session in [&self.batches, &self.plain, &self.together] {
            assert_eq!(session.ask("ping", json!({})).await.result(), json!({}));
        }
    }
}

/// The id of an event that the answer of its call follows.
async fn event(gate: &Gate, session: &Session) -> String {
    let params = json!({
        "name": "countdown", "arguments": {"steps": 2, "interval_ms": 1}, "_meta": {"progressToken": "p"},
    });
    let (_, mut stream) = session.request("tools/call", params).open(gate.address).await;
    let first = stream.told().await.and_then(|told| told.field("id").map(str::to_owned));
    while stream.event().await.is_some() {}
    first.expect("every event has an id")
}

fn list(path: &str, cursor: Value) -> Post {
    Post::modern(path, "tools/list", json!({"cursor": cursor}))
}

/// A call that has asked for a name, made again with this state and the name.
fn again(path: &str, tool: &str, state: &str) -> Post {
    let params = json!({
        "name": tool, "arguments": {}, "requestState": state,
        "inputResponses": {"name": {"action": "accept", "content": {"name": "Ada"}}},
    });
    Post::modern(path, "tools/call", params).capable(json!({"elicitation": {}}))
}

fn good() -> Post {
    Post::call(DEMO, "echo", json!({"text": "still here"}))
}

#[tokio::test]
async fn malformed_requests_get_exact_answers_and_hurt_nobody_else() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .server("second", json!({"builtin": "demo"}))
        .set("mcp", json!({"page_size": 3}))
        .set("limits", json!({"body": "64KiB", "headers": "16KiB", "depth": DEPTH}))
        .start()
        .await;
    let ground = Ground::of(&gate).await;
    let rows = [http::rows(&ground), message::rows(&ground), doors::rows(&ground), together::rows(&ground)];
    let rows = rows.concat_rows();
    let mut faults = faults(&gate, &rows, &good()).await;
    ground.holds(&gate).await;
    let keyed = callers::gate().await;
    let callers = callers::rows();
    faults.extend(self::faults(&keyed, &callers, &callers::good()).await);
    let mut counts = BTreeMap::new();
    rows.iter().chain(&callers).for_each(|row| *counts.entry(row.kind).or_insert(0) += 1);
    let all = rows.len() + callers.len();
    assert!(faults.is_empty(), "{} of {all}:\n{}", faults.len(), faults.join("\n"));
    println!("{all} malformed requests: {counts:?}");
    assert_eq!(counts.len(), 14, "{counts:?}");
    assert!(counts.values().all(|count| *count >= 5), "{counts:?}");
}

/// Sends all rows, and this call after each.
async fn faults(gate: &Gate, rows: &[Row], good: &Post) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        let mut connection = Connection::open(gate.address).await;
        connection.send(&row.bytes).await;
        if row.finishes {
            connection.finish().await;
        }
        let got = connection.try_response().await;
        if let Some(fault) = differs(got.as_ref(), &row.expected) {
            faults.push(format!("{:?}, {}: {fault}", row.kind, row.name));
            continue;
        }
        match row.after {
            After::Closes => {
                if !connection.closes().await {
                    faults.push(format!("{:?}, {}: the connection stays open", row.kind, row.name));
                }
            }
            After::Stays => {
                let next = good.send_on(&mut connection).await;
                assert_eq!(next.said(), "still here", "{}: on the same connection", row.name);
            }
        }
        assert_eq!(gate.send(good).await.said(), "still here", "{}: on another connection", row.name);
    }
    faults
}

/// Joins tables.
trait Tables {
    fn concat_rows(self) -> Vec<Row>;
}

impl<const N: usize> Tables for [Vec<Row>; N] {
    fn concat_rows(self) -> Vec<Row> {
        self.into_iter().flatten().collect()
    }
}

fn differs(got: Option<&Response>, expected: &Expected) -> Option<String> {
    let Some(got) = got else {
        return (!matches!(expected, Expected::Nothing)).then(|| "closed without a response".to_owned());
    };
    let (status, body) = match expected {
        Expected::Rpc(status, code, message, id) => {
            let mut body = json!({"jsonrpc": "2.0", "error": {"code": code, "message": message}});
            if !id.is_null() {
                body["id"] = id.clone();
            }
            (*status, Some(body))
        }
        Expected::Problem(status, text) => (*status, Some(json!({"error": text}))),
        Expected::Whole(status, body) => (*status, Some(body.clone())),
        Expected::Bare(status) => (*status, None),
        Expected::Nothing => return Some(format!("answered with {}: {}", got.status, got.text())),
    };
    let mut said: Option<Value> = (!got.body.is_empty()).then(|| got.json());
    // Which versions are served is no part of what is wrong; check 7 compares them.
    let error = said.as_mut().and_then(|said| said.get_mut("error")).and_then(Value::as_object_mut);
    error.map(|error| error.remove("data"));
    let same = got.status == status && said == body;
    (!same).then(|| format!("expected {status} {body:?}, got {} {}", got.status, got.text()))
}

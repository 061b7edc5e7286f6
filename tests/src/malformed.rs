//! Requests that no client should send, each with the exact answer that it gets, and the proof after each that nobody
//! else suffers: a call on another connection succeeds, and one on the same connection wherever HTTP permits it.
//! What is legal but refused for other reasons is not here; the checks have it.

mod doors;
mod http;
mod message;

use crate::harness::{Connection, Gate, Post, Response, Session};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DEMO: &str = "/mcp/demo";
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

/// Sessions that rows are sent in.
struct Ground {
    /// 2025-03-26, the one revision with batches.
    batches: Session,
    /// 2025-06-18.
    plain: Session,
}

fn good() -> Post {
    Post::call(DEMO, "echo", json!({"text": "still here"}))
}

#[tokio::test]
async fn malformed_requests_get_exact_answers_and_hurt_nobody_else() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .set("limits", json!({"body": "64KiB", "headers": "16KiB", "depth": DEPTH}))
        .start()
        .await;
    let ground = Ground {
        batches: Session::open(gate.address, DEMO, "2025-03-26", json!({})).await,
        plain: Session::open(gate.address, DEMO, "2025-06-18", json!({})).await,
    };
    let rows = [http::rows(), message::rows(&ground), doors::rows(&ground)].concat_rows();
    let mut counts = BTreeMap::new();
    let mut faults = Vec::new();
    for row in &rows {
        *counts.entry(row.kind).or_insert(0) += 1;
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
                let next = good().send_on(&mut connection).await;
                assert_eq!(next.said(), "still here", "{}: on the same connection", row.name);
            }
        }
        assert_eq!(gate.send(&good()).await.said(), "still here", "{}: on another connection", row.name);
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
    println!("{} malformed requests: {counts:?}", rows.len());
    assert_eq!(counts.len(), 11, "{counts:?}");
    assert!(counts.values().all(|count| *count >= 5) && rows.len() >= 100, "{counts:?}");
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

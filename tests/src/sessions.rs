//! How many sessions a caller may have at the same time (`limits.sessions_per_principal`), at all doors that have sessions.

use crate::harness::{Connection, Gate, Post, Response, Session};
use serde_json::{Value, json};

const DEMO: &str = "/mcp/demo";
const ANNA: &str = "Bearer anna-0123456789abcdef";
const BEN: &str = "Bearer ben-00123456789abcdef";

async fn gate(most: u32, keys: Value) -> Gate {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .set("limits", json!({ "sessions_per_principal": most }));
    if keys.is_null() { gate.start().await } else { gate.set("keys", keys).start().await }
}

fn initialize() -> Post {
    Session::initialize(DEMO, "2025-11-25", &json!({}))
}

fn id(response: &Response) -> &str {
    response.header("mcp-session-id").expect("a session")
}

/// One session too many: a refusal that says what to do, and no session.
fn refused(response: &Response) {
    assert_eq!(response.refusal(), (200, -31002), "{}", response.text());
    assert!(response.text().contains("DELETE"), "{}", response.text());
    assert_eq!(response.header("mcp-session-id"), None);
}

async fn delete(gate: &Gate, caller: &str, session: &str) -> u16 {
    let request = format!(
        "DELETE {DEMO} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {caller}\r\nMcp-Session-Id: {session}\r\n\r\n"
    );
    gate.raw(request.as_bytes()).await.status
}

#[tokio::test]
async fn a_caller_has_as_many_sessions_as_the_limit_says_and_no_other_suffers() {
    let keys = json!([
        {"name": "anna", "secret": "anna-0123456789abcdef", "allow": [{"server": "*"}]},
        {"name": "ben", "secret": "ben-00123456789abcdef", "allow": [{"server": "*"}]},
    ]);
    let gate = gate(2, keys).await;
    let open = async |caller: &str| gate.send(&initialize().header("Authorization", caller)).await;
    let (first, second) = (open(ANNA).await, open(ANNA).await);
    assert_ne!(id(&first), id(&second));
    refused(&open(ANNA).await);
    refused(&open(ANNA).await);
    assert_eq!(open(BEN).await.status, 200, "another caller has a count of their own");

    let ping = Post::json(DEMO, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
        .header("Authorization", ANNA)
        .header("Mcp-Session-Id", id(&second));
    assert_eq!(gate.send(&ping).await.result(), json!({}), "what is open goes on");
    let modern = Post::call(DEMO, "echo", json!({"text": "x"})).header("Authorization", ANNA);
    assert_eq!(gate.send(&modern).await.said(), "x", "who needs no session has no limit of them");

    assert_eq!(delete(&gate, BEN, id(&first)).await, 404, "nobody ends another caller's session");
    refused(&open(ANNA).await);
    assert_eq!(delete(&gate, ANNA, id(&first)).await, 204);
    assert_eq!(delete(&gate, ANNA, id(&first)).await, 404, "it makes room once");
    assert_eq!(open(ANNA).await.status, 200);
    refused(&open(ANNA).await);
    gate.running.logs("\"code\":-31002").await;
}

#[tokio::test]
async fn callers_without_keys_are_one_and_a_stream_that_closes_makes_room() {
    let gate = gate(1, Value::Null).await;
    let mut stream = Connection::open(gate.address).await;
    stream.send(b"GET /sse/demo HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    assert_eq!(stream.head().await.map(|head| head.status), Some(200));
    let told = stream.told().await.expect("where to post");
    let endpoint = told.field("data").expect("an address").to_owned();
    assert_eq!(gate.send(&initialize().path(&endpoint)).await.status, 202);
    let answer = stream.event().await.expect("an answer");
    assert!(answer["result"].is_object(), "{answer}");
    refused(&gate.send(&initialize()).await);
    drop(stream);
    // When the gate notices is its own affair.
    let opened = async {
        while gate.send(&initialize()).await.header("mcp-session-id").is_none() {
            tokio::task::yield_now().await;
        }
    };
    crate::harness::soon("room for a session", opened).await;
}

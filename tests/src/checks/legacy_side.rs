//! The legacy door: sessions, streams, batches; and the gate as a client of legacy servers.

use crate::harness::{
    Answer, Connection, Does, Gate, Post, Scripted, ScriptedStdio, Session, legacy_answers, soon,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

const DEMO: &str = "/mcp/demo";
const UP: &str = "/mcp/up";

fn tools() -> Value {
    json!([{"name": "plain", "inputSchema": {"type": "object"}}])
}

fn ping(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "ping"})
}

#[tokio::test]
async fn check_148_session_ids_are_visible_and_unguessable() {
    let gate = Gate::demo().await;
    let mut ids = BTreeSet::new();
    for _ in 0..4 {
        let session = gate.session(DEMO, json!({"elicitation": {}})).await;
        assert!(session.id.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{}", session.id);
        assert!((32..=1024).contains(&session.id.len()), "{}", session.id.len());
        ids.insert(session.id);
    }
    assert_eq!(ids.len(), 4);
    // One changed character anywhere, and it is no session.
    let id = ids.pop_first().expect("there are four");
    for at in (0..id.len()).step_by(7).chain([id.len() - 1]) {
        let mut forged = id.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        let response = gate.send(&Post::json(DEMO, ping(1)).header("Mcp-Session-Id", &forged)).await;
        assert_eq!(response.status, 404, "changed at {at}");
    }
}

#[tokio::test]
async fn check_149_150_sessions_are_named_and_belong_to_one_caller_and_server() {
    let keys = json!([
        {"name": "one", "secret": "one-0123456789abcdef", "allow": [{"server": "*"}]},
        {"name": "two", "secret": "two-0123456789abcdef", "allow": [{"server": "*"}]},
    ]);
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .server("other", json!({"builtin": "demo"}))
        .set("keys", keys)
        .start()
        .await;
    let as_key =
        |post: Post, key: &str| post.header("Authorization", &format!("Bearer {key}-0123456789abcdef"));
    let hello = gate.send(&as_key(Session::initialize(DEMO, "2025-06-18", &json!({})), "one")).await;
    let id = hello.header("mcp-session-id").expect("a session").to_owned();
    let post = |path: &str| Post::json(path, ping(1)).header("Mcp-Session-Id", &id);
    assert_eq!(gate.send(&as_key(post(DEMO), "one")).await.result(), json!({}));
    let unknown = as_key(Post::json(DEMO, ping(1)).header("Mcp-Session-Id", "unknown"), "one");
    let unknown = gate.send(&unknown).await;
    let foreign = gate.send(&as_key(post(DEMO), "two")).await;
    let elsewhere = gate.send(&as_key(post("/mcp/other"), "one")).await;
    assert_eq!((unknown.status, foreign.status, elsewhere.status), (404, 404, 404));
    assert!(unknown.body == foreign.body && unknown.body == elsewhere.body, "they cannot be told apart");
    assert_eq!(gate.send(&as_key(Post::json(DEMO, ping(1)), "one")).await.status, 400, "no session");
    assert_eq!(gate.send(&post(DEMO)).await.status, 401, "a session is no credential");
}

#[tokio::test]
async fn check_151_delete_ends_a_session() {
    let gate = Gate::demo().await;
    let (session, other) = (gate.session(DEMO, json!({})).await, gate.session(DEMO, json!({})).await);
    let (head, mut stream) = session.listen().await;
    assert_eq!(head.status, 200);
    let ended = session.delete().await;
    assert!((200..300).contains(&ended.status), "{}", ended.status);
    assert_eq!(stream.event().await, None, "its stream ends");
    assert_eq!(session.post(ping(1)).await.status, 404);
    assert_eq!(session.delete().await.status, 404);
    assert_eq!(session.listen().await.0.status, 404);
    assert_eq!(other.post(ping(1)).await.result(), json!({}), "nobody else's");
}

#[tokio::test]
async fn check_152_the_version_header_of_a_session() {
    let gate = Gate::demo().await;
    let session = Session::open(gate.address, DEMO, "2025-06-18", json!({})).await;
    let post = session.message(ping(1));
    assert_eq!(gate.send(&post.clone().without_header("MCP-Protocol-Version")).await.result(), json!({}));
    assert_eq!(
        gate.send(&post.clone().header("MCP-Protocol-Version", "2025-11-25")).await.result(),
        json!({})
    );
    for wrong in ["2099-01-01", "latest", ""] {
        let response = gate.send(&post.clone().header("MCP-Protocol-Version", wrong)).await;
        assert_eq!(response.status, 400, "{wrong:?}");
    }
}

#[tokio::test]
async fn check_153_154_messages_go_to_one_stream_and_the_right_one() {
    let gate = Gate::demo().await;
    let session = gate.session(DEMO, json!({})).await;
    let (head, mut stream) = session.listen().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let progress = json!({
        "name": "countdown", "arguments": {"steps": 2, "interval_ms": 0}, "_meta": {"progressToken": "p"},
    });
    let counted = session.ask("tools/call", progress).await.messages();
    let changed = session.call("change_list", json!({"list": "tools"})).await.messages();
    let methods = |messages: &[Value]| -> Vec<String> {
        messages.iter().map(|message| message["method"].as_str().unwrap_or("answer").to_owned()).collect()
    };
    let mine = methods(&counted);
    assert!(mine.iter().filter(|method| *method == "notifications/progress").count() >= 1, "{mine:?}");
    assert!(
        mine.iter().all(|method| ["notifications/progress", "answer"].contains(&method.as_str())),
        "{mine:?}"
    );
    assert_eq!(methods(&changed), ["answer"]);
    let told = stream.event().await.expect("an event");
    assert_eq!(told["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn check_156_batches_belong_to_one_revision() {
    let gate = Gate::demo().await;
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}});
    let call = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "x"}}});
    let handshake = Session::initialize(DEMO, "2025-03-26", &json!({})).body().clone();
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = Session::open(gate.address, DEMO, version, json!({})).await;
        let response = session.post(json!([ping(1), note, call])).await;
        if version != "2025-03-26" {
            assert_eq!(response.status, 400, "{version}");
            continue;
        }
        let answers = response.json();
        let answers = answers.as_array().expect("a batch of answers");
        let by_id = |id: Value| answers.iter().find(|answer| answer["id"] == id).expect("an answer");
        assert_eq!((response.status, answers.len()), (200, 2));
        assert_eq!(by_id(json!(1))["result"], json!({}));
        assert_eq!(by_id(json!("c"))["result"]["content"][0]["text"], "x");
        let quiet = session.post(json!([note])).await;
        assert_eq!((quiet.status, quiet.body.len()), (202, 0), "nothing to answer");
        assert_eq!(session.post(json!([ping(1), handshake])).await.refusal(), (400, -32600));
    }
}

#[tokio::test]
async fn check_157_the_door_of_2024_11_05() {
    let gate = Gate::demo().await;
    let mut stream = Connection::open(gate.address).await;
    stream.send(b"GET /sse/demo HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    let head = stream.head().await.expect("a stream");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let first = stream.piece().await.expect("the first event");
    assert!(first.starts_with("event: endpoint\n"), "{first:?}");
    let endpoint = first.lines().find_map(|line| line.strip_prefix("data: ")).expect("an address").to_owned();
    let hello = Session::initialize(&endpoint, "2024-11-05", &json!({}));
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let call = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "x"}}});
    let post = |body: Value| Post::json(&endpoint, body);
    for (post, answer) in [(hello, Some(json!(0))), (post(note), None), (post(call), Some(json!("c")))] {
        let response = gate.send(&post).await;
        assert_eq!((response.status, response.body.len()), (202, 0), "answers come on the stream");
        if let Some(id) = answer {
            let event = stream.event().await.expect("an answer");
            assert_eq!((&event["id"], event["result"].is_object()), (&id, true), "{event}");
        }
    }
    let unknown = gate.send(&Post::json("/sse/demo?stream=unknown", ping(1))).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn check_157_the_end_of_the_stream_is_the_end_of_its_calls() {
    let gate = Gate::demo().await;
    let mut stream = Connection::open(gate.address).await;
    stream.send(b"GET /sse/demo HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    stream.head().await.expect("a stream");
    let first = stream.piece().await.expect("the first event");
    let endpoint = first.lines().find_map(|line| line.strip_prefix("data: ")).expect("an address").to_owned();
    let params = json!({"name": "countdown", "arguments": {"steps": 1000}, "_meta": {"progressToken": 1}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    for post in [Session::initialize(&endpoint, "2025-11-25", &json!({})), Post::json(&endpoint, call)] {
        assert_eq!(gate.send(&post).await.status, 202);
        assert!(stream.event().await.is_some(), "a result, then progress");
    }
    drop(stream);
    let ended = async {
        loop {
            let status = gate.call(DEMO, "status", json!({})).await.result()["structuredContent"].clone();
            if status["cancelled"] == 1 {
                return status;
            }
        }
    };
    assert_eq!(soon("the end of the call", ended).await["running"], 0);
    let ping = gate.send(&Post::json(&endpoint, ping(2))).await;
    assert_eq!(ping.status, 404, "the stream is no more");
}

#[tokio::test]
async fn check_158_ping_is_answered_while_a_call_waits() {
    let server = ScriptedStdio::start(|_, message| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }),
        )],
        Some("tools/list") => vec![Does::result(message, json!({"tools": tools()}))],
        _ => Vec::new(),
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, json!({})).await;
    let mut waiting = Connection::open(gate.address).await;
    waiting.send(&session.request("tools/call", json!({"name": "plain", "arguments": {}})).bytes()).await;
    server.until("the call", |message| message["method"] == "tools/call").await;
    assert_eq!(session.post(ping(77)).await.result(), json!({}));
    assert!(server.methods().iter().all(|(_, method)| method != "ping"), "answered by the gate itself");
}

#[tokio::test]
async fn check_159_fields_of_one_era_stay_in_it() {
    let server = Scripted::start(|seen| match seen.method() {
        "tools/call" => Answer::result(seen, json!({"content": [{"type": "text", "text": "old"}]})),
        _ => legacy_answers(seen, &tools()),
    })
    .await;
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .server("up", server.config("legacy"))
        .start()
        .await;
    let session = gate.session(DEMO, json!({})).await;
    for (method, params) in [
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": "demo://note"})),
        ("tools/call", json!({"name": "hello", "arguments": {}})),
    ] {
        let result = session.ask(method, params).await.result();
        for field in ["resultType", "ttlMs", "cacheScope"] {
            assert!(result[field].is_null(), "{method}: {field} in {result}");
        }
        assert!(!result.to_string().contains("x-mcp-header"), "{method}");
    }
    let post = Post::call(UP, "plain", json!({}))
        .capable(json!({"sampling": {}}))
        .meta("io.modelcontextprotocol/logLevel", json!("info"))
        .meta("com.example/mine", json!("kept"));
    assert_eq!(gate.send(&post).await.said(), "old");
    for seen in server.seen() {
        assert!(!seen.body.to_string().contains("io.modelcontextprotocol/"), "{seen:?}");
        assert_eq!((seen.header("mcp-method"), seen.header("mcp-name")), (None, None), "{seen:?}");
    }
    assert_eq!(server.of("tools/call")[0].meta("com.example/mine"), "kept");
}

#[tokio::test]
async fn check_160_a_lost_session_is_opened_anew_without_its_id() {
    let handshakes = Arc::new(AtomicUsize::new(0));
    let counted = handshakes.clone();
    let server = Scripted::start(move |seen| {
        let current = format!("session-{}", counted.load(Ordering::Relaxed));
        if seen.method() == "initialize" {
            let current = format!("session-{}", counted.fetch_add(1, Ordering::Relaxed) + 1);
            return match legacy_answers(seen, &tools()) {
                Answer::Json(status, _, body) => {
                    Answer::Json(status, vec![("mcp-session-id", current)], body)
                }
                other => other,
            };
        }
        match seen.method() {
            _ if seen.header("mcp-session-id") != Some(&current) => Answer::Empty(404),
            "tools/call" => Answer::result(seen, json!({"content": [{"type": "text", "text": "old"}]})),
            _ => legacy_answers(seen, &tools()),
        }
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old");
    let before = server.of("initialize").len();
    // The server forgets everything.
    handshakes.fetch_add(1, Ordering::Relaxed);
    let calls = server.of("tools/call").len();
    gate.call(UP, "plain", json!({})).await.message();
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old", "the gate has a session again");
    let hellos = server.of("initialize");
    assert_eq!(hellos.len(), before + 1);
    assert!(hellos.iter().all(|hello| hello.header("mcp-session-id").is_none()), "{hellos:?}");
    let said = server.of("tools/call").len() - calls;
    assert!((2..=3).contains(&said), "at most the refused one is repeated: {said}");
}

/// A legacy server whose answer breaks off after one event with these fields, and what it answers to a GET.
async fn breaking(fields: &'static str) -> Scripted {
    let waiting = Mutex::new(Value::Null);
    Scripted::start(move |seen| match (seen.verb.as_str(), seen.method()) {
        ("POST", "tools/call") => {
            waiting.lock().expect("not poisoned").clone_from(&seen.body["id"]);
            let (events, stream) = tokio::sync::mpsc::channel(1);
            events.try_send(format!("{fields}data: \n\n")).expect("there is room");
            Answer::Stream(stream)
        }
        ("GET", _) if seen.header("last-event-id") == Some("e-17") => {
            let result = json!({"content": [{"type": "text", "text": "resumed"}]});
            let id = waiting.lock().expect("not poisoned").clone();
            Answer::Events(vec![json!({"jsonrpc": "2.0", "id": id, "result": result})])
        }
        _ => legacy_answers(seen, &tools()),
    })
    .await
}

#[tokio::test]
async fn check_161_a_broken_stream_is_resumed_where_ids_allow_it() {
    let server = breaking("id: e-17\nretry: 10\n").await;
    let gate = Gate::before(server.config("legacy")).await;
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "resumed");
    assert_eq!(server.of("tools/call").len(), 1);
    let server = breaking("retry: 10\n").await;
    let gate = Gate::before(server.config("legacy")).await;
    let (status, code) = gate.call(UP, "plain", json!({})).await.refusal();
    assert!(status == 200 && (-31099..=-31000).contains(&code), "{status} {code}: it may have run");
    assert_eq!(server.of("tools/call").len(), 1, "never repeated");
    assert!(server.seen().iter().all(|seen| seen.header("last-event-id").is_none()));
}

#[tokio::test]
async fn check_162_initialized_comes_before_anything_else() {
    let server = Scripted::start(|seen| match seen.method() {
        "tools/call" => Answer::result(seen, json!({"content": [{"type": "text", "text": "old"}]})),
        _ => legacy_answers(seen, &tools()),
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.call("plain", json!({})).await.said(), "old");
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old");
    let mut sessions = 0;
    let posts: Vec<_> = server.seen().into_iter().filter(|seen| seen.verb == "POST").collect();
    for pair in posts.windows(2) {
        if pair[0].method() == "initialize" {
            sessions += 1;
            assert_eq!(pair[1].method(), "notifications/initialized", "{posts:#?}");
            assert_eq!(pair[1].header("mcp-session-id"), Some("scripted-session"));
        }
    }
    assert!(sessions >= 1, "{posts:#?}");
}

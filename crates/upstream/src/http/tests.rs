//! The HTTP connector against scripted servers: first the way that everything should go, then the hazards.

mod credentials;
mod fake;
mod hazards;
mod legacy;
mod lines;
mod probes;

use super::{Http, target::tests::config};
use crate::{
    HttpConfig,
    testing::{PATIENCE, askable, end, kind_of, next, plain, raw, request, result_of, runtime, tool},
};
use fake::{Answer, Fake, Seen, event};
use portreeve_mcp::{
    Event, Outcome, Version,
    service::{AskKind, FailureKind, Notice, WatchFilter},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn connect(fake: &Fake) -> Arc<Http> {
    connect_with(config(&fake.url))
}

fn connect_with(config: HttpConfig) -> Arc<Http> {
    Http::new(config, runtime()).unwrap()
}

fn discovered(seen: &Seen) -> Answer {
    let caps = json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}});
    seen.result(json!({
        "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": caps, "ttlMs": 0, "cacheScope": "private",
    }))
}

fn handshake(seen: &Seen, version: &str) -> Answer {
    let caps = json!({"tools": {}, "logging": {}, "resources": {"subscribe": true}});
    let info = json!({"name": "old", "version": "1"});
    seen.result(json!({"protocolVersion": version, "capabilities": caps, "serverInfo": info}))
        .with("mcp-session-id", "session-1")
}

/// A modern server: describes itself, lists one annotated tool, and leaves calls to the test.
async fn modern<F>(call: impl Fn(Seen) -> F + Send + Sync + 'static) -> Fake
where
    F: Future<Output = Answer> + Send + 'static,
{
    let call = Arc::new(call);
    Fake::start(move |seen| {
        let call = Arc::clone(&call);
        async move {
            match seen.method() {
                "server/discover" => discovered(&seen),
                "tools/list" => {
                    let region = json!({"type": "string", "x-mcp-header": "Region"});
                    let schema = json!({"type": "object", "properties": {"region": region}});
                    let tools = json!([{"name": "marked", "inputSchema": schema}]);
                    seen.result(json!({"resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private"}))
                }
                _ => call(seen).await,
            }
        }
    })
    .await
}

/// A legacy server: refuses the probe, agrees on a session, offers no GET stream, and leaves calls to the test.
async fn legacy<F>(call: impl Fn(Seen) -> F + Send + Sync + 'static) -> Fake
where
    F: Future<Output = Answer> + Send + 'static,
{
    let call = Arc::new(call);
    Fake::start(move |seen| {
        let call = Arc::clone(&call);
        async move {
            match (seen.verb.as_str(), seen.method()) {
                ("POST", "server/discover") => seen.error(400, -32600, Value::Null),
                ("POST", "initialize") => handshake(&seen, "2025-11-25"),
                ("POST", method) if method.starts_with("notifications/") => Answer::empty(202),
                ("DELETE", _) => Answer::empty(200),
                _ => call(seen).await,
            }
        }
    })
    .await
}

fn done(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

#[tokio::test]
async fn check_020_modern_requests_carry_their_envelope_and_headers() {
    let fake = modern(|seen| async move { seen.result(json!({"resultType": "complete", "x": 1})) }).await;
    let http = connect(&fake);
    let mut ctx = askable();
    ctx.wants_progress = true;
    ctx.log_level = Some(portreeve_mcp::LogLevel::Info);
    ctx.client_info = Some(raw(r#"{"name":"c","version":"2"}"#));
    ctx.param_headers = Arc::from([("Mcp-Param-Other".into(), "o".into()), ("Cookie".into(), "no".into())]);
    let call = request(
        "tools/call",
        r#"{"name":"marked","arguments":{"region":"süd"},"_meta":{"progressToken":"theirs"}}"#,
    );
    assert_eq!(result_of(end(http.open(ctx, call)).await), r#"{"resultType":"complete","x":1}"#);
    let sent = fake.wait(|seen| seen.method() == "tools/call").await;
    for (name, value) in [
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "marked"),
        ("mcp-param-region", "=?base64?c8O8ZA==?="),
        ("mcp-param-other", "o"),
    ] {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    assert_eq!(sent.header("cookie"), None);
    assert_eq!(sent.header("mcp-session-id"), None);
    let meta = &sent.body["params"]["_meta"];
    assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
    assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"]["sampling"], json!({}));
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "c");
    assert_eq!(meta["io.modelcontextprotocol/logLevel"], "info");
    assert_eq!(meta["progressToken"], sent.body["id"]);
    assert_eq!(fake.methods(), ["server/discover", "tools/list", "tools/call"]);
}

#[tokio::test]
async fn one_connection_serves_calls_one_after_another_whatever_form_their_answers_have() {
    let fake = modern(|seen| async move {
        if seen.header("mcp-name") == Some("events") {
            return Answer::event_text(event(
                &json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": done("e")}),
            ));
        }
        seen.result(done("j"))
    })
    .await;
    let http = connect(&fake);
    for name in ["json", "events", "json", "events", "json"] {
        result_of(end(http.open(plain(), tool(name))).await);
    }
    let connections: Vec<usize> = fake.seen().iter().map(|seen| seen.connection).collect();
    assert!(connections.iter().all(|number| *number == 0), "{connections:?}");
    assert_eq!(http.status().idle_connections, 1);
}

#[tokio::test]
async fn what_a_modern_server_says_on_the_way_comes_before_its_answer() {
    let fake = modern(|seen| async move {
        let id = &seen.body["id"];
        let progress = |token: &Value| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        let log = |level| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level, "data": 1}});
        let result = json!({"jsonrpc": "2.0", "id": id, "result": done("x")});
        let parts = [progress(id), progress(&json!("foreign")), log("debug"), log("error"), result];
        Answer::event_text(format!(": keep-alive\n\n{}", parts.iter().map(event).collect::<String>()))
    })
    .await;
    let mut ctx = plain();
    ctx.wants_progress = true;
    ctx.log_level = Some(portreeve_mcp::LogLevel::Warning);
    let mut leg = connect(&fake).open(ctx, tool("x"));
    let mut methods = Vec::new();
    loop {
        match next(&mut leg).await {
            Event::Notification(told) => methods.push(told.method.as_str().to_owned()),
            last => break drop(result_of(last)),
        }
    }
    assert_eq!(methods, ["notifications/progress", "notifications/message"]);
}

#[tokio::test]
async fn results_are_read_by_their_type() {
    let rows = [
        (json!({"resultType": "complete"}), "whole"),
        (json!({"content": []}), "whole"),
        (json!({"resultType": "task", "taskId": "t"}), "whole"),
        (json!({"resultType": "odd"}), "protocol"),
        (json!({"resultType": "input_required"}), "protocol"),
        (json!({"resultType": "input_required", "requestState": 5}), "protocol"),
        (
            json!({"resultType": "input_required", "inputRequests": {"a": {"method": "tools/call"}}}),
            "protocol",
        ),
        (json!({"resultType": "input_required", "requestState": ""}), "asks"),
        (json!({"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list"}}}), "asks"),
    ];
    for (result, expected) in rows {
        let given = result.clone();
        let fake = modern(move |seen| {
            let given = given.clone();
            async move { seen.result(given) }
        })
        .await;
        let got = match end(connect(&fake).open(askable(), tool("x"))).await {
            Event::Final(portreeve_mcp::service::Final::Whole(Outcome::Result(_))) => "whole",
            Event::InputRequired(_) => "asks",
            other => match kind_of(other) {
                FailureKind::Protocol => "protocol",
                _ => "another failure",
            },
        };
        assert_eq!(got, expected, "{result}");
    }
}

#[tokio::test]
async fn check_064_a_dropped_modern_leg_closes_its_connection() {
    let (gone, closed) = tokio::sync::oneshot::channel::<()>();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let fake = modern(move |_| {
        let gone = gone.lock().unwrap().take();
        async move {
            let (answer, pieces) = Answer::events();
            pieces.send(Ok(": begun\n\n".to_owned())).unwrap();
            // Resolved when hyper drops the body, that is when the client has closed the connection.
            fake::aside(async move {
                pieces.closed().await;
                drop(gone);
            });
            answer
        }
    })
    .await;
    let http = connect(&fake);
    let mut leg = http.open(plain(), tool("x"));
    let polled = futures_util::future::select(
        Box::pin(next(&mut leg)),
        Box::pin(fake.wait(|seen| seen.method() == "tools/call")),
    )
    .await;
    assert!(matches!(polled, futures_util::future::Either::Right(_)));
    drop(polled);
    drop(leg);
    let outcome = tokio::time::timeout(PATIENCE, closed).await;
    assert!(outcome.expect("the connection is closed").is_err());
}

#[tokio::test]
async fn check_162_a_legacy_session_is_agreed_on_before_the_call_and_used_again() {
    let fake = legacy(|seen| async move { seen.result(done("x")) }).await;
    let http = connect(&fake);
    let mut ctx = plain();
    ctx.wants_progress = true;
    for _ in 0..2 {
        assert_eq!(result_of(end(http.open(ctx.clone(), tool("x"))).await), done("x").to_string());
    }
    assert_eq!(
        fake.methods(),
        ["server/discover", "initialize", "notifications/initialized", "tools/call", "tools/call"]
    );
    let seen = fake.seen();
    assert_eq!(seen[1].body["params"]["capabilities"], json!({}));
    assert_eq!(seen[1].body["params"]["protocolVersion"], "2025-11-25");
    assert_eq!((seen[1].header("mcp-session-id"), seen[1].header("mcp-protocol-version")), (None, None));
    for later in &seen[2..] {
        assert_eq!(later.header("mcp-session-id"), Some("session-1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-11-25"));
    }
    assert_eq!(seen[3].body["params"]["_meta"], json!({"progressToken": seen[3].body["id"]}));
    assert_eq!(http.describe(&plain()).await.unwrap().version, Version::V2025_11_25);
}

fn ask_frame(id: &str, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"message": id}})
}

fn reply(result: &str) -> Outcome {
    Outcome::Result(raw(result))
}

async fn next_ask(leg: &mut portreeve_mcp::Leg) -> portreeve_mcp::service::Ask {
    match next(leg).await {
        Event::Ask(ask) => ask,
        other => panic!("not an ask: {other:?}"),
    }
}

/// Answers a call with two questions on its own stream; the answers release the result.
fn asking(seen: &Seen, answers: &Arc<tokio::sync::Notify>) -> Answer {
    let (answer, pieces) = Answer::events();
    for message in [
        ask_frame("q1", "elicitation/create"),
        ask_frame("q2", "sampling/createMessage"),
        ask_frame("p", "ping"),
    ] {
        pieces.send(Ok(event(&message))).unwrap();
    }
    let (id, answers) = (seen.body["id"].clone(), Arc::clone(answers));
    fake::aside(async move {
        for _ in 0..3 {
            answers.notified().await;
        }
        let _ = pieces.send(Ok(event(&json!({"jsonrpc": "2.0", "id": id, "result": done("asked")}))));
    });
    answer
}

#[tokio::test]
async fn questions_on_the_stream_of_a_call_are_answered_by_posts() {
    let answers = Arc::new(tokio::sync::Notify::new());
    let fake = legacy(move |seen| {
        let answers = Arc::clone(&answers);
        async move {
            match seen.verb.as_str() {
                "GET" => Answer::empty(405),
                _ if seen.method() == "tools/call" => asking(&seen, &answers),
                _ => {
                    answers.notify_one();
                    Answer::empty(202)
                }
            }
        }
    })
    .await;
    let mut leg = connect(&fake).open(askable(), tool("x"));
    let (first, second) = (next_ask(&mut leg).await, next_ask(&mut leg).await);
    assert_eq!((first.kind, second.kind), (AskKind::Elicit, AskKind::Sample));
    second.reply.answer(reply(r#"{"role":"assistant"}"#));
    first.reply.answer(reply(r#"{"action":"decline"}"#));
    assert_eq!(result_of(end(leg).await), done("asked").to_string());
    let answered = |id: &str| {
        let found = fake.seen().into_iter().find(|seen| seen.body["id"] == id && seen.method().is_empty());
        found.unwrap_or_else(|| panic!("no answer to {id}")).body["result"].clone()
    };
    assert_eq!(answered("q1"), json!({"action": "decline"}));
    assert_eq!(answered("q2"), json!({"role": "assistant"}));
    assert_eq!(answered("p"), json!({}));
}

#[tokio::test]
async fn modern_changes_are_watched_by_a_listen_stream() {
    let fake = modern(|seen| async move {
        let meta = json!({"io.modelcontextprotocol/subscriptionId": seen.body["id"]});
        let ack = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"_meta": meta, "notifications": {"resourceSubscriptions": ["a:1"]}}});
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": meta}});
        Answer::event_text(event(&ack) + &event(&changed))
    })
    .await;
    let filter = WatchFilter { resources: vec!["a:1".into(), "b:2".into()] };
    let mut watch = connect(&fake).watch(plain(), filter);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let notice = tokio::time::timeout(PATIENCE, futures_util::StreamExt::next(&mut watch)).await;
        heard.push(notice.unwrap().unwrap());
    }
    assert_eq!(heard, [Notice::Watching(vec!["a:1".into()]), Notice::ToolsChanged]);
    let sent = fake.wait(|seen| seen.method() == "subscriptions/listen").await;
    assert_eq!(sent.body["params"]["notifications"]["resourceSubscriptions"], json!(["a:1", "b:2"]));
}

#[tokio::test]
async fn a_call_is_a_small_future() {
    let fake = modern(|seen| async move { seen.result(done("x")) }).await;
    let http = connect(&fake);
    let emit = portreeve_mcp::service::Emitter::default();
    let (ctx, call) = (plain(), tool("x"));
    let size = std::mem::size_of_val(&http.run(&ctx, &call, &emit));
    assert!(size < 4096, "every call allocates {size} bytes for its state");
}

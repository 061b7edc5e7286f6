//! Discovery, versions, and how the gate finds out what a server speaks.

use crate::harness::{
    Answer, Does, Gate, MODERN, Post, Scripted, ScriptedStdio, Seen, Session, demo_http, demo_stdio,
    legacy_answers, modern_answers,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const UP: &str = "/mcp/up";

fn tools() -> Value {
    json!([{"name": "plain", "inputSchema": {"type": "object"}}])
}

fn old(seen: &Seen) -> Answer {
    match seen.method() {
        "tools/call" => Answer::result(seen, json!({"content": [{"type": "text", "text": "old"}]})),
        _ => legacy_answers(seen, &tools()),
    }
}

fn new(seen: &Seen) -> Answer {
    match seen.method() {
        "tools/call" => Answer::text(seen, "new"),
        _ => modern_answers(seen, &tools()),
    }
}

/// What a legacy server over stdio does about a message.
fn old_child(message: &Value) -> Vec<Does> {
    let text = json!({"content": [{"type": "text", "text": "old"}]});
    let answer = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "scripted", "version": "1"},
        }),
        "tools/list" => json!({"tools": tools()}),
        "tools/call" => text,
        _ => return Vec::new(),
    };
    vec![Does::result(message, answer)]
}

#[tokio::test]
async fn check_044_045_discover_tells_what_can_be_had() {
    let (_running, url) = demo_http("legacy").await;
    let server = Scripted::start(new).await;
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .server("child", demo_stdio("modern"))
        .server("http", json!({"url": url}))
        .server("up", server.config("auto"))
        .start()
        .await;
    for (name, has, has_not) in [
        ("demo", vec!["tools", "prompts", "resources", "completions"], vec!["tasks"]),
        ("child", vec!["tools", "prompts", "resources", "completions"], vec!["tasks"]),
        ("http", vec!["tools", "prompts", "resources", "completions"], vec!["tasks"]),
        ("up", vec!["tools"], vec!["prompts", "resources", "completions", "logging", "tasks"]),
    ] {
        let result = gate.ask(&format!("/mcp/{name}"), "server/discover", json!({})).await.result();
        assert_eq!(result["supportedVersions"], json!([MODERN]), "{name}");
        assert!(result["ttlMs"].as_u64().is_some(), "{name}: {result}");
        assert!(["public", "private"].contains(&result["cacheScope"].as_str().unwrap_or_default()), "{name}");
        assert!(has.iter().all(|key| result["capabilities"][key].is_object()), "{name}: {result}");
        assert!(has_not.iter().all(|key| result["capabilities"][key].is_null()), "{name}: {result}");
    }
}

#[tokio::test]
async fn check_046_methods_of_missing_capabilities_are_missing() {
    let server = Scripted::start(new).await;
    let gate = Gate::before(server.config("modern")).await;
    let session = gate.session(UP, json!({})).await;
    let offered = session.initialized["capabilities"].as_object().expect("capabilities");
    assert_eq!(offered.keys().collect::<Vec<_>>(), ["tools"]);
    for (method, params) in [
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "a://b"})),
        ("prompts/get", json!({"name": "a"})),
    ] {
        assert_eq!(gate.ask(UP, method, params.clone()).await.refusal(), (404, -32601), "{method}");
        assert_eq!(session.ask(method, params).await.refusal(), (200, -32601), "{method} in a session");
    }
}

#[tokio::test]
async fn check_047_048_children_are_asked_first_and_errors_and_silence_mean_legacy() {
    for code in [Some(-32601), Some(-32602), Some(-32600), Some(-32000), Some(0), None] {
        let child = ScriptedStdio::start(move |_, message| match message["method"].as_str() {
            // Some say nothing at all.
            Some("server/discover") => {
                code.map(|code| Does::error(message, code, "no")).into_iter().collect()
            }
            _ => old_child(message),
        })
        .await;
        let gate = Gate::before(child.config("auto")).await;
        assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old", "{code:?}");
        let methods = child.methods();
        assert_eq!(methods[0].1, "server/discover", "{code:?}");
        assert!(methods.iter().any(|(_, method)| method == "initialize"), "{code:?}: {methods:?}");
    }
}

#[tokio::test]
async fn check_049_050_a_modern_refusal_is_no_sign_of_a_legacy_server() {
    for code in [-32020, -32022] {
        let server = Scripted::start(move |seen| {
            let error = json!({"code": code, "message": "no", "data": {"supported": ["2099-01-01"], "requested": MODERN}});
            Answer::Json(400, Vec::new(), json!({"jsonrpc": "2.0", "id": seen.body["id"], "error": error}))
        })
        .await;
        let gate = Gate::before(server.config("auto")).await;
        let (_, own) = gate.call(UP, "plain", json!({})).await.refusal();
        assert!((-31099..=-31000).contains(&own), "{code}: {own}");
        assert_eq!(server.of("initialize").len(), 0, "{code}");
    }
    // A 400 with another body is one.
    let server = Scripted::start(old).await;
    let gate = Gate::before(server.config("auto")).await;
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old");
    assert_eq!(server.seen()[0].method(), "server/discover");
}

#[tokio::test]
async fn check_051_an_address_that_takes_no_posts_is_asked_for_an_endpoint() {
    for status in [400, 404, 405] {
        let server = Scripted::start(move |_| Answer::Empty(status)).await;
        let gate = Gate::before(server.config("auto")).await;
        let (_, own) = gate.call(UP, "plain", json!({})).await.refusal();
        assert!((-31099..=-31000).contains(&own), "{status}: {own}");
        let asked: Vec<_> = server.seen().into_iter().filter(|seen| seen.verb == "GET").collect();
        assert!(!asked.is_empty(), "{status}: {:?}", server.seen());
        assert!(
            asked.iter().all(|seen| seen.header("accept") == Some("text/event-stream")),
            "{status}: {asked:?}"
        );
    }
}

#[tokio::test]
async fn check_052_trouble_says_nothing_about_the_era() {
    for status in [401, 403, 429, 500, 503] {
        let asked = AtomicUsize::new(0);
        let server = Scripted::start(move |seen| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::Empty(status),
            _ => new(seen),
        })
        .await;
        let gate = Gate::before(server.config("auto")).await;
        let (_, own) = gate.call(UP, "plain", json!({})).await.refusal();
        assert!((-31099..=-31000).contains(&own), "{status}: {own}");
        // The server recovers, and so does the gate, at once or after its pause.
        let recovered =
            async { while gate.call(UP, "plain", json!({})).await.message()["result"].is_null() {} };
        crate::harness::soon("the recovery", recovered).await;
        assert_eq!(server.of("initialize").len(), 0, "{status}");
    }
}

#[tokio::test]
async fn check_053_a_child_that_dies_of_the_question_is_started_anew() {
    let child = ScriptedStdio::start(|_, message| match message["method"].as_str() {
        Some("server/discover") => vec![Does::Exits],
        _ => old_child(message),
    })
    .await;
    let gate = Gate::before(child.config("auto")).await;
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old");
    let methods = child.methods();
    let first: Vec<_> = methods.iter().filter(|(number, _)| *number == 0).map(|(_, method)| method).collect();
    assert_eq!(first, ["server/discover"]);
    let second = methods.iter().find(|(number, _)| *number == 1).expect("a second child");
    assert_eq!(second.1, "initialize");
}

#[tokio::test]
async fn check_054_a_discovery_without_a_modern_version_means_legacy() {
    let server = Scripted::start(|seen| match seen.method() {
        "server/discover" => Answer::complete(
            seen,
            json!({
                "supportedVersions": ["2025-11-25"], "capabilities": {}, "ttlMs": 0, "cacheScope": "private",
            }),
        ),
        _ => old(seen),
    })
    .await;
    let gate = Gate::before(server.config("auto")).await;
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "old");
    assert_eq!(server.of("initialize").len(), 1);
}

#[tokio::test]
async fn check_055_056_the_era_is_remembered_and_no_call_is_repeated() {
    let server = Scripted::start(new).await;
    let gate = Gate::before(server.config("auto")).await;
    for _ in 0..3 {
        assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "new");
    }
    assert_eq!(server.of("server/discover").len(), 1, "asked once");
    for what in ["closes", "keeps silent", "turns legacy"] {
        let server = Scripted::start(move |seen| match (seen.method(), what) {
            ("tools/call", "closes") => Answer::Close,
            ("tools/call", "keeps silent") => Answer::Silence,
            ("tools/call", _) => Answer::error(seen, 400, -32600, "initialize first"),
            _ => new(seen),
        })
        .await;
        let mut config = server.config("auto");
        config["timeouts"] = json!({"call": "500ms"});
        let gate = Gate::before(config).await;
        let response = gate.call(UP, "plain", json!({})).await;
        response.refusal();
        assert_eq!(server.of("tools/call").len(), 1, "{what}: it may have run: {}", response.text());
    }
}

#[tokio::test]
async fn check_057_both_eras_on_one_address_at_once() {
    let (_running, url) = demo_http("legacy").await;
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .server("child", demo_stdio("modern"))
        .server("http", json!({"url": url}))
        .start()
        .await;
    for name in ["demo", "child", "http"] {
        let path = format!("/mcp/{name}");
        let session = Session::open(gate.address, &path, "2025-06-18", json!({})).await;
        let (old, new) = tokio::join!(
            session.call("echo", json!({"text": "old"})),
            gate.call(&path, "echo", json!({"text": "new"}))
        );
        assert_eq!((old.said(), new.said()), ("old".to_owned(), "new".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn check_058_capabilities_alone_are_no_modern_claim() {
    let gate = Gate::demo().await;
    let session = gate.session("/mcp/demo", json!({})).await;
    let meta = json!({"io.modelcontextprotocol/clientCapabilities": {"sampling": {}}});
    let params = json!({"name": "connection", "arguments": {}, "_meta": meta});
    let result = session.ask("tools/call", params).await.result();
    assert_eq!(result["structuredContent"]["era"], "legacy");
    assert_eq!(result["structuredContent"]["capabilities"], json!({}), "the handshake counts");
}

#[tokio::test]
async fn check_059_060_the_handshake_agrees_on_a_legacy_version() {
    let gate = Gate::demo().await;
    let newest = "2025-11-25";
    for (asked, agreed) in [
        (MODERN, newest),
        ("2099-01-01", newest),
        ("1.0", newest),
        ("", newest),
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
    ] {
        let response = gate.send(&Session::initialize("/mcp/demo", asked, &json!({}))).await;
        assert_eq!(response.result()["protocolVersion"], agreed, "{asked}");
    }
    let modern: Post =
        Session::initialize("/mcp/demo", MODERN, &json!({})).header("MCP-Protocol-Version", newest);
    assert_eq!(gate.send(&modern).await.result()["protocolVersion"], newest);
}

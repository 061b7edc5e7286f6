//! Modern envelope, headers and versions, towards clients. What the gate does towards servers is in `upstream`.

use crate::harness::{Connection, Gate, MODERN, Post, Response};
use serde_json::{Value, json};

const DEMO: &str = "/mcp/demo";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

fn echo() -> Post {
    Post::call(DEMO, "echo", json!({"text": "x"}))
}

fn list() -> Post {
    Post::modern(DEMO, "tools/list", json!({}))
}

/// Sends each and compares HTTP status and code.
async fn refusals(gate: &Gate, rows: Vec<(&str, Post, (u16, i64))>) {
    for (what, post, expected) in rows {
        assert_eq!(gate.send(&post).await.refusal(), expected, "{what}");
    }
}

#[tokio::test]
async fn check_001_002_003_the_envelope_has_a_version_and_capabilities() {
    let gate = Gate::demo().await;
    let rows = vec![
        ("no version", list().without_meta(VERSION), (400, -32602)),
        ("no version in a call", echo().without_meta(VERSION), (400, -32602)),
        ("no capabilities", list().without_meta(CAPABILITIES), (400, -32602)),
        ("capabilities that are no object", list().meta(CAPABILITIES, json!([])), (400, -32602)),
        ("no envelope", list().param("_meta", json!({})), (400, -32602)),
    ];
    refusals(&gate, rows).await;
    let nameless = echo().without_meta("io.modelcontextprotocol/clientInfo");
    assert_eq!(gate.send(&nameless).await.said(), "x");
}

#[tokio::test]
async fn check_004_005_the_version_header_repeats_the_body() {
    let gate = Gate::demo().await;
    let header = |version: &str| list().header("MCP-Protocol-Version", version);
    let rows = vec![
        ("no header", list().without_header("MCP-Protocol-Version"), (400, -32020)),
        ("an unknown header", header("2099-01-01"), (400, -32020)),
        ("a legacy header", header("2025-11-25"), (400, -32020)),
        ("an unknown body", list().meta(VERSION, json!("2099-01-01")), (400, -32020)),
    ];
    refusals(&gate, rows).await;
}

#[tokio::test]
async fn check_006_007_an_unknown_version_is_told_the_known_ones() {
    let gate = Gate::demo().await;
    let discovered = gate.ask(DEMO, "server/discover", json!({})).await.result();
    let known = discovered["supportedVersions"].as_array().expect("a list").clone();
    for version in ["2099-01-01", "v999", "2025-11-25"] {
        let post = list().header("MCP-Protocol-Version", version).meta(VERSION, json!(version));
        let response = gate.send(&post).await;
        assert_eq!(response.refusal(), (400, -32022), "{version}");
        let data = response.message()["error"]["data"].clone();
        assert_eq!(data["requested"], version);
        let supported = data["supported"].as_array().expect("a list");
        assert!(supported.contains(&json!(MODERN)), "{data}");
        assert!(supported.iter().all(|version| known.contains(version)), "{data} against {known:?}");
    }
}

#[tokio::test]
async fn check_008_009_the_method_header_repeats_the_body() {
    let gate = Gate::demo().await;
    let rows = vec![
        ("none", list().without_header("Mcp-Method"), (400, -32020)),
        ("another", list().header("Mcp-Method", "prompts/list"), (400, -32020)),
        ("another case", list().header("Mcp-Method", "Tools/List"), (400, -32020)),
    ];
    refusals(&gate, rows).await;
}

#[tokio::test]
async fn check_010_011_the_name_header_repeats_name_or_uri() {
    let gate = Gate::demo().await;
    let prompts = gate.ask(DEMO, "prompts/list", json!({})).await.result();
    let prompts = prompts["prompts"].as_array().expect("a list");
    let prompt = prompts.iter().find(|prompt| prompt["arguments"].as_array().is_none_or(Vec::is_empty));
    let prompt = prompt.expect("a prompt without arguments")["name"].clone();
    for post in [
        echo(),
        Post::modern(DEMO, "prompts/get", json!({"name": prompt})),
        Post::modern(DEMO, "resources/read", json!({"uri": "demo://note"})),
    ] {
        let method = post.body()["method"].clone();
        assert_eq!(gate.send(&post).await.result()["resultType"], "complete", "{method}");
        let without = post.clone().without_header("Mcp-Name");
        assert_eq!(gate.send(&without).await.refusal(), (400, -32020), "{method} without");
        let other = post.clone().header("Mcp-Name", "demo://manual");
        assert_eq!(gate.send(&other).await.refusal(), (400, -32020), "{method} with another");
    }
    // The parameter that fits the method counts, not any of that name.
    let both = json!({"uri": "demo://note", "name": "echo"});
    let post = Post::modern(DEMO, "resources/read", both).header("Mcp-Name", "echo");
    assert_eq!(gate.send(&post).await.refusal(), (400, -32020));
}

#[tokio::test]
async fn check_012_013_014_the_sentinel_is_decoded_if_it_is_one() {
    let gate = Gate::demo().await;
    let named = |value: &str| echo().header("Mcp-Name", value);
    assert_eq!(gate.send(&named("=?base64?ZWNobw==?=")).await.said(), "x");
    let rows = vec![
        ("upper case is a literal", named("=?BASE64?ZWNobw==?="), (400, -32020)),
        ("one marker is a literal", named("=?base64?ZWNobw=="), (400, -32020)),
        ("broken base64", named("=?base64?ZWNobw?="), (400, -32020)),
        ("no base64 at all", named("=?base64?***?="), (400, -32020)),
    ];
    refusals(&gate, rows).await;
    // A literal equals itself, so the header agrees and the tool is what is missing.
    for literal in ["=?BASE64?ZWNobw==?=", "=?base64?ZWNobw=="] {
        let post = Post::call(DEMO, literal, json!({})).header("Mcp-Name", literal);
        assert_eq!(gate.send(&post).await.refusal(), (200, -32602), "{literal}");
    }
}

#[tokio::test]
async fn check_015_header_names_have_no_case() {
    let gate = Gate::demo().await;
    let post = echo()
        .without_header("Mcp-Method")
        .without_header("Mcp-Name")
        .without_header("MCP-Protocol-Version")
        .header("MCP-METHOD", "tools/call")
        .header("mcp-name", "echo")
        .header("mCP-pROTOCOL-vERSION", MODERN);
    assert_eq!(gate.send(&post).await.said(), "x");
}

#[tokio::test]
async fn check_016_017_018_mirrored_arguments_agree_with_their_headers() {
    let gate = Gate::demo().await;
    let call = |arguments: Value| Post::call(DEMO, "query_region", arguments);
    let limit = |header: &str| call(json!({"limit": 42})).header("Mcp-Param-Limit", header);
    for same in ["42", "42.0", "4.2e1"] {
        let said = gate.send(&limit(same)).await.said();
        assert!(said.contains("at most 42"), "{same}: {said}");
    }
    let null = gate.send(&call(json!({"region": null}))).await;
    assert_eq!(null.status, 200, "a null argument needs no header: {}", null.text());
    assert!(gate.send(&call(json!({}))).await.said().contains("everywhere"));
    let region = || call(json!({"region": "north"}));
    assert!(gate.send(&region().header("mcp-param-region", "north")).await.said().contains("north"));
    let rows = vec![
        ("another number", limit("43"), (400, -32020)),
        ("no number", limit("many"), (400, -32020)),
        ("no header", region(), (400, -32020)),
        ("another text", region().header("Mcp-Param-Region", "North"), (400, -32020)),
        (
            "a header for null",
            call(json!({"region": null})).header("Mcp-Param-Region", "north"),
            (400, -32020),
        ),
        ("a header for nothing", call(json!({})).header("Mcp-Param-Region", "north"), (400, -32020)),
    ];
    refusals(&gate, rows).await;
}

#[tokio::test]
async fn check_027_028_methods_that_are_not_there() {
    let gate = Gate::demo().await;
    for method in [
        "tools/unknown",
        "Tools/List",
        "ping",
        "initialize",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
    ] {
        let response = gate.ask(DEMO, method, json!({"level": "info", "uri": "demo://note"})).await;
        assert_eq!(response.refusal(), (404, -32601), "{method}");
        assert_eq!(response.message()["id"], 1, "{method}");
    }
}

#[tokio::test]
async fn check_029_042_ids_keep_their_type() {
    let gate = Gate::demo().await;
    let errors: [fn() -> Post; 5] = [
        || Post::modern(DEMO, "nothing", json!({})),
        || echo().without_header("Mcp-Name"),
        || echo().without_meta(CAPABILITIES),
        || Post::call(DEMO, "nothing", json!({})),
        || list().param("cursor", json!("foreign")),
    ];
    for id in
        [json!("a"), json!(""), json!("7"), json!(7), json!(0), json!(-3), json!(9_007_199_254_740_993_i64)]
    {
        for make in errors {
            let response = gate.send(&make().id(id.clone())).await;
            response.refusal();
            assert_eq!(response.message()["id"], id, "{}", response.text());
        }
        assert_eq!(gate.send(&echo().id(id.clone())).await.message()["id"], id);
    }
    for id in [json!(null), json!(1.5), json!(true), json!([1]), json!({})] {
        assert_eq!(gate.send(&echo().id(id.clone())).await.refusal(), (400, -32600), "{id}");
    }
}

#[tokio::test]
async fn check_030_031_032_what_modern_clients_may_not_send() {
    let gate = Gate::demo().await;
    let batch = list().raw(format!("[{}]", list().body()));
    let answer = Post::json(DEMO, json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    let modern_answer = answer.clone().header("MCP-Protocol-Version", MODERN);
    for (what, post) in [("a batch", batch), ("an answer", answer), ("a modern answer", modern_answer)] {
        assert_eq!(gate.send(&post).await.status, 400, "{what}");
    }
    for verb in ["GET", "DELETE"] {
        let bytes = format!("{verb} {DEMO} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
        let response = gate.raw(bytes.as_bytes()).await;
        assert_eq!(response.status, 405, "{verb}");
        assert!(response.header("allow").is_some_and(|allow| allow.contains("POST")), "{verb}");
    }
}

#[tokio::test]
async fn check_033_034_no_sessions_and_no_answers_to_notifications() {
    let gate = Gate::demo().await;
    let post = echo().header("Mcp-Session-Id", "whatever").header("Last-Event-ID", "17");
    let response = gate.send(&post).await;
    assert_eq!(response.said(), "x");
    assert_eq!((response.header("mcp-session-id"), response.header("last-event-id")), (None, None));
    let streamed = Post::call(DEMO, "countdown", json!({"steps": 2, "interval_ms": 0}))
        .meta("progressToken", json!("p"))
        .header("Last-Event-ID", "17");
    let streamed = gate.send(&streamed).await;
    assert!(!streamed.text().lines().any(|line| line.starts_with("id:")), "{}", streamed.text());
    let note = |method: &str| {
        Post::json(DEMO, json!({"jsonrpc": "2.0", "method": method, "params": {"requestId": 1}}))
            .header("MCP-Protocol-Version", MODERN)
            .header("Mcp-Method", method)
    };
    for method in ["notifications/cancelled", "notifications/unknown"] {
        let response: Response = gate.send(&note(method)).await;
        assert_eq!((response.status, response.body.len()), (202, 0), "{method}");
    }
}

#[tokio::test]
async fn check_037_a_missing_capability_is_named() {
    let gate = Gate::demo().await;
    for (tool, arguments, needed) in [
        ("ask_name", json!({}), "elicitation"),
        ("ask_model", json!({"prompt": "x"}), "sampling"),
        ("list_roots", json!({}), "roots"),
    ] {
        let response = gate.call(DEMO, tool, arguments).await;
        assert_eq!(response.refusal(), (400, -32021), "{tool}: {}", response.text());
        let required = response.message()["error"]["data"]["requiredCapabilities"].clone();
        assert!(required[needed].is_object(), "{tool}: {required}");
    }
}

#[tokio::test]
async fn check_038_every_result_says_what_it_is() {
    let gate = Gate::demo().await;
    let reference = json!({"type": "ref/prompt", "name": "plan_trip"});
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", json!({"uri": "demo://note"})),
        ("tools/call", json!({"name": "hello", "arguments": {}})),
        ("tools/call", json!({"name": "fail", "arguments": {}})),
        ("completion/complete", json!({"ref": reference, "argument": {"name": "country", "value": "A"}})),
    ] {
        let message = gate.ask(DEMO, method, params).await.message();
        assert_eq!(message["result"]["resultType"], "complete", "{method}: {message}");
    }
    let asked = Post::call(DEMO, "ask_name", json!({})).capable(json!({"elicitation": {}}));
    assert_eq!(gate.send(&asked).await.result()["resultType"], "input_required");
}

#[tokio::test]
async fn check_040_041_requests_stand_alone_and_names_decide_nothing() {
    let gate = Gate::demo().await;
    let look = || Post::call(DEMO, "connection", json!({}));
    let full = look()
        .capable(json!({"elicitation": {}, "sampling": {}}))
        .meta("io.modelcontextprotocol/logLevel", json!("debug"));
    let mut connection = Connection::open(gate.address).await;
    let first = full.send_on(&mut connection).await.result()["structuredContent"].clone();
    assert_eq!((&first["logLevel"], first["capabilities"]["sampling"].is_object()), (&json!("debug"), true));
    let second = look().send_on(&mut connection).await.result()["structuredContent"].clone();
    assert_eq!((&second["logLevel"], &second["capabilities"]), (&json!(null), &json!({})));
    let bare = look().without_meta(VERSION).send_on(&mut connection).await;
    assert_eq!(bare.refusal(), (400, -32602), "the version is not remembered");
    let mut lists = Vec::new();
    for name in ["claude-ai", "portreeve-demo", ""] {
        let info = json!({"name": name, "version": "1"});
        let post = list().meta("io.modelcontextprotocol/clientInfo", info);
        lists.push(gate.send(&post).await.result());
    }
    assert!(lists.iter().all(|list| *list == lists[0]));
}

#[tokio::test]
async fn check_043_what_handlers_refuse_is_no_http_error() {
    let gate = Gate::demo().await;
    for (what, post) in [
        ("an unknown tool", Post::call(DEMO, "nothing", json!({}))),
        ("an unknown prompt", Post::modern(DEMO, "prompts/get", json!({"name": "nothing"}))),
        ("an unknown resource", Post::modern(DEMO, "resources/read", json!({"uri": "demo://nothing"}))),
        ("a foreign cursor", list().param("cursor", json!("foreign"))),
        ("a forged state", echo().param("requestState", json!("forged"))),
        ("an unknown level", echo().meta("io.modelcontextprotocol/logLevel", json!("loud"))),
    ] {
        assert_eq!(gate.send(&post).await.refusal(), (200, -32602), "{what}");
    }
}

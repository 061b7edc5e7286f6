//! Modern envelope, headers and codes, towards servers behind the gate: what they are sent and how their answers are read.

use crate::harness::{Answer, Gate, MODERN, Post, Scripted, Seen, legacy_answers, modern_answers};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const UP: &str = "/mcp/up";

/// A tool with arguments that are mirrored into headers, two of them below another.
fn deep() -> Value {
    json!({"name": "deep", "inputSchema": {"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limit": {"type": "integer", "x-mcp-header": "Limit"},
        "plain": {"type": "string"},
        "where": {"type": "object", "properties": {
            "zone": {"type": "string", "x-mcp-header": "Zone"},
            "open": {"type": "boolean", "x-mcp-header": "Open"},
        }},
    }}})
}

fn tools() -> Value {
    json!([{"name": "plain", "inputSchema": {"type": "object"}}, deep()])
}

/// A modern server that says `done` to every call.
async fn modern() -> Scripted {
    Scripted::start(|seen| match seen.method() {
        "tools/call" => Answer::text(seen, "done"),
        _ => modern_answers(seen, &tools()),
    })
    .await
}

fn params(seen: &Seen) -> Vec<(&str, &str)> {
    let own = seen.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("mcp-param-")?, value)));
    let mut own: Vec<_> = own.map(|(name, value)| (name, value.as_str())).collect();
    own.sort_unstable();
    own
}

#[tokio::test]
async fn check_020_modern_servers_are_sent_every_header() {
    let server = modern().await;
    let gate = Gate::before(server.config("auto")).await;
    assert_eq!(gate.call(UP, "plain", json!({})).await.said(), "done");
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.call("plain", json!({})).await.said(), "done");
    let seen = server.seen();
    assert_eq!(seen.iter().filter(|seen| seen.method() == "tools/call").count(), 2);
    for seen in seen {
        let shown = format!("{seen:?}");
        assert_eq!((seen.verb.as_str(), seen.path.as_str()), ("POST", "/mcp"), "{shown}");
        assert_eq!(seen.header("mcp-method"), Some(seen.method()), "{shown}");
        assert_eq!(seen.header("mcp-protocol-version"), Some(MODERN), "{shown}");
        assert_eq!(seen.header("mcp-name"), seen.body["params"]["name"].as_str(), "{shown}");
        assert_eq!(seen.meta("io.modelcontextprotocol/protocolVersion"), MODERN, "{shown}");
        let accept = seen.header("accept").expect("Accept");
        assert!(accept.contains("application/json") && accept.contains("text/event-stream"), "{shown}");
    }
}

#[tokio::test]
async fn check_022_023_024_arguments_are_mirrored() {
    let server = modern().await;
    let gate = Gate::before(server.config("modern")).await;
    let session = gate.session(UP, json!({})).await;
    let rows: [(Value, &[(&str, &str)]); 7] = [
        (
            json!({"region": "north", "limit": 7, "plain": "p", "where": {"zone": "a", "open": true}}),
            &[("limit", "7"), ("open", "true"), ("region", "north"), ("zone", "a")],
        ),
        (json!({"region": null, "where": {"zone": null}}), &[]),
        (json!({}), &[]),
        (json!({"region": "gr\u{fc}n"}), &[("region", "=?base64?Z3LDvG4=?=")]),
        (json!({"region": " a "}), &[("region", "=?base64?IGEg?=")]),
        (json!({"region": "a\nb"}), &[("region", "=?base64?YQpi?=")]),
        (json!({"region": "=?base64?YQ==?="}), &[("region", "=?base64?PT9iYXNlNjQ/WVE9PT89?=")]),
    ];
    for (round, (arguments, expected)) in rows.into_iter().enumerate() {
        assert_eq!(session.call("deep", arguments.clone()).await.said(), "done", "{arguments}");
        let calls = server.of("tools/call");
        assert_eq!(calls.len(), round + 1);
        assert_eq!(params(&calls[round]), expected, "{arguments}");
        assert_eq!(calls[round].body["params"]["arguments"], arguments);
    }
}

#[tokio::test]
async fn check_019_unknown_parameter_headers_go_on_to_modern_servers_only() {
    let post = || Post::call(UP, "plain", json!({})).header("Mcp-Param-Later", "a");
    let server = modern().await;
    let gate = Gate::before(server.config("auto")).await;
    assert_eq!(gate.send(&post()).await.said(), "done");
    assert_eq!(params(&server.of("tools/call")[0]), [("later", "a")]);
    let legacy = Scripted::start(|seen| match seen.method() {
        "tools/call" => Answer::result(seen, json!({"content": [{"type": "text", "text": "old"}]})),
        _ => legacy_answers(seen, &tools()),
    })
    .await;
    let gate = Gate::before(legacy.config("legacy")).await;
    assert_eq!(gate.send(&post()).await.said(), "old");
    assert_eq!(params(&legacy.of("tools/call")[0]), []);
}

#[tokio::test]
async fn check_025_tools_with_wrong_annotations_are_left_out() {
    let tool = |name: &str, properties: Value| json!({"name": name, "inputSchema": {"type": "object", "properties": properties}});
    let text = |header: &str| json!({"type": "string", "x-mcp-header": header});
    let offered = json!([
        tool("good", json!({"a": text("A")})),
        tool("empty", json!({"a": text("")})),
        tool("no_token", json!({"a": text("a b")})),
        tool("twice", json!({"a": text("Same"), "b": text("sAME")})),
        tool("number", json!({"a": {"type": "number", "x-mcp-header": "A"}})),
        tool("items", json!({"a": {"type": "array", "items": text("A")}})),
        tool("one_of", json!({"a": {"oneOf": [text("A")]}})),
        deep(),
    ]);
    let server = Scripted::start(move |seen| modern_answers(seen, &offered)).await;
    let gate = Gate::before(server.config("modern")).await;
    let listed = gate.ask(UP, "tools/list", json!({})).await.result();
    let names: Vec<_> =
        listed["tools"].as_array().expect("a list").iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["good", "deep"]);
    for left_out in ["empty", "no_token", "twice", "number", "items", "one_of"] {
        gate.running.logs(left_out).await;
        assert_eq!(gate.call(UP, left_out, json!({})).await.refusal(), (200, -32602), "{left_out}");
    }
}

#[tokio::test]
async fn check_026_a_header_mismatch_is_mended_once() {
    for (mismatches, said) in [(1, Some("done")), (usize::MAX, None)] {
        let calls = AtomicUsize::new(0);
        let server = Scripted::start(move |seen| match seen.method() {
            "tools/call" if calls.fetch_add(1, Ordering::Relaxed) < mismatches => {
                Answer::error(seen, 400, -32020, "a header differs")
            }
            "tools/call" => Answer::text(seen, "done"),
            _ => modern_answers(seen, &tools()),
        })
        .await;
        let gate = Gate::before(server.config("modern")).await;
        let response = gate.call(UP, "plain", json!({})).await;
        assert_eq!(server.of("tools/call").len(), 2, "once more and no more");
        assert_eq!(server.of("tools/list").len(), 2, "listed anew in between");
        match said {
            Some(said) => assert_eq!(response.said(), said),
            None => {
                assert_eq!(response.refusal().0, 200, "ours to solve, not the client's: {}", response.text());
            }
        }
    }
}

#[tokio::test]
async fn check_035_036_codes_of_servers_and_of_the_gate() {
    let server = Scripted::start(|seen| match (seen.method(), seen.body["params"]["name"].as_str()) {
        ("tools/call", Some(code)) => Answer::error(seen, 200, code.parse().unwrap_or(0), "no"),
        _ => {
            let names = ["-32002", "-32042", "-32000", "-32019", "-32050", "-32099", "-32602", "-5"];
            let tools = names.map(|name| json!({"name": name, "inputSchema": {"type": "object"}}));
            legacy_answers(seen, &json!(tools))
        }
    })
    .await;
    let gate = Gate::of()
        .server("up", server.config("legacy"))
        .server("down", json!({"url": "http://127.0.0.1:9/mcp", "era": "modern"}))
        .start()
        .await;
    for code in ["-32002", "-32042", "-32000", "-32019", "-32050", "-32099", "-32602", "-5"] {
        let (_, got) = gate.call(UP, code, json!({})).await.refusal();
        let undefined = (-32099..=-32020).contains(&got) && ![-32020, -32021, -32022].contains(&got);
        assert!(!undefined && ![-32002, -32042].contains(&got), "{code} became {got}");
        assert!(!(-32019..=-32000).contains(&got), "{code} became {got}");
    }
    let (_, own) = gate.call("/mcp/down", "any", json!({})).await.refusal();
    assert!((-31099..=-31000).contains(&own), "{own}");
}

#[tokio::test]
async fn check_039_results_without_a_type_are_complete_and_unknown_ones_are_errors() {
    let server = Scripted::start(|seen| match (seen.method(), seen.body["params"]["name"].as_str()) {
        ("tools/call", Some("plain")) => {
            Answer::result(seen, json!({"content": [{"type": "text", "text": "bare"}]}))
        }
        ("tools/call", _) => Answer::result(seen, json!({"resultType": "novel", "content": []})),
        _ => modern_answers(seen, &tools()),
    })
    .await;
    let gate = Gate::before(server.config("modern")).await;
    let result = gate.call(UP, "plain", json!({})).await.result();
    assert_eq!((&result["resultType"], &result["content"][0]["text"]), (&json!("complete"), &json!("bare")));
    let response = gate.call(UP, "deep", json!({})).await;
    assert_eq!(response.refusal().0, 200, "{}", response.text());
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.call("deep", json!({})).await.refusal().0, 200);
}

//! Lists, tools, resources and prompts of single servers (checks 130–146), towards clients and servers of both eras.

use super::scripts::{legacy_child, modern_child, remote, text, tools};
use crate::harness::{
    Answer, Does, Gate, Place, Places, Post, Response, Scripted, ScriptedStdio, Seen, Session, demo_http,
};
use serde_json::{Value, json};

const UP: &str = "/mcp/up";
const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
];

#[tokio::test]
async fn check_130_131_lists_are_the_same_everywhere_and_after_everything() {
    let (_server, url) = demo_http("modern").await;
    let config = || Gate::of().server("up", json!({"url": url})).server("demo", json!({"builtin": "demo"}));
    let (one, other) = (config().start().await, config().start().await);
    for path in [UP, "/mcp/demo"] {
        for (method, key) in LISTS {
            let first = one.ask(path, method, json!({})).await.result()[key].clone();
            assert!(first.as_array().is_some_and(|items| items.len() > 1), "{path} {method}");
            one.call(path, "echo", json!({"text": "x"})).await.said();
            let capable =
                Post::modern(path, method, json!({})).capable(json!({"elicitation": {}, "roots": {}}));
            let session = one.session(path, json!({"sampling": {}})).await;
            let legacy: Vec<Value> = names(&session.ask(method, json!({})).await.result()[key]);
            for again in [one.ask(path, method, json!({})).await, one.send(&capable).await] {
                assert_eq!(again.result()[key].to_string(), first.to_string(), "{path} {method}");
            }
            let there = other.ask(path, method, json!({})).await.result()[key].clone();
            assert_eq!(there.to_string(), first.to_string(), "{path} {method}: another replica");
            assert_eq!(names(&first), legacy, "{path} {method}: another era");
        }
    }
}

fn names(list: &Value) -> Vec<Value> {
    list.as_array().expect("a list").iter().map(|item| item["name"].clone()).collect()
}

/// A child of this era whose tools come on pages: each row is a cursor, its tools, and the next cursor.
async fn paged(era: &'static str, pages: Vec<(Value, Vec<&'static str>, Value)>) -> ScriptedStdio {
    ScriptedStdio::start(move |_, message: &Value| {
        if message["method"] == "tools/list" {
            let cursor = message["params"].get("cursor").cloned().unwrap_or(Value::Null);
            let Some((_, names, next)) = pages.iter().find(|(known, ..)| *known == cursor) else {
                return vec![Does::error(message, -32602, "no such page")];
            };
            let all: Vec<Value> =
                names.iter().map(|name| json!({"name": name, "inputSchema": {"type": "object"}})).collect();
            let mut result =
                json!({"resultType": "complete", "tools": all, "ttlMs": 60_000, "cacheScope": "private"});
            if !next.is_null() {
                result["nextCursor"] = next.clone();
            }
            return vec![Does::result(message, result)];
        }
        if message["method"] == "tools/call" {
            return vec![Does::result(message, text(message["params"]["name"].as_str().unwrap_or("none")))];
        }
        let known =
            if era == "legacy" { legacy_child(message, &tools()) } else { modern_child(message, &tools()) };
        known.unwrap_or_default()
    })
    .await
}

#[tokio::test]
async fn check_133_every_page_is_visited_and_an_empty_cursor_is_one() {
    let rows = [
        vec![(json!(null), vec!["a"], json!("")), (json!(""), vec!["b"], json!(null))],
        vec![
            (json!(null), vec!["a"], json!("2")),
            (json!("2"), vec![], json!(" \u{e4}\"")),
            (json!(" \u{e4}\""), vec!["b"], json!(null)),
        ],
        // One that goes round in circles ends all the same.
        vec![(json!(null), vec!["a"], json!("2")), (json!("2"), vec!["b"], json!("2"))],
    ];
    for era in ["legacy", "modern"] {
        for pages in &rows {
            let server = paged(era, pages.clone()).await;
            let gate = Gate::before(server.config(era)).await;
            let result = gate.ask(UP, "tools/list", json!({})).await.result();
            assert_eq!(names(&result["tools"]), ["a", "b"], "{era} {pages:?}");
            assert!(result.get("nextCursor").is_none());
            assert_eq!(gate.call(UP, "b", json!({})).await.said(), "b");
            let lines = server.lines();
            let lists = lines.iter().filter(|(_, line)| line["method"] == "tools/list");
            let asked: Vec<Value> =
                lists.map(|(_, line)| line["params"].get("cursor").cloned().unwrap_or(Value::Null)).collect();
            let expected: Vec<Value> = pages.iter().map(|(cursor, ..)| cursor.clone()).collect();
            assert_eq!(asked, expected, "{era}: each once and in order");
        }
    }
}

#[tokio::test]
async fn check_134_cursors_that_are_not_ours_are_refused() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        for (method, _) in LISTS {
            for cursor in [json!("forged"), json!(""), json!("AAAA"), json!(1), json!(null), json!({})] {
                let params = json!({"cursor": cursor});
                let modern = places.gate.ask(&place.path(), method, params.clone()).await;
                let legacy = session.ask(method, params).await;
                assert_eq!(modern.refusal(), (200, -32602), "{place:?} {method} {cursor}");
                assert_eq!(legacy.refusal(), (200, -32602), "{place:?} {method} {cursor}");
            }
        }
    }
}

#[tokio::test]
async fn check_136_names_that_differ_by_case_are_different_tools() {
    for era in ["legacy", "modern"] {
        let server = paged(era, vec![(json!(null), vec!["get", "Get", "GET"], json!(null))]).await;
        let gate = Gate::before(server.config(era)).await;
        let session = gate.session(UP, json!({})).await;
        for name in ["GET", "get", "Get"] {
            assert_eq!(gate.call(UP, name, json!({})).await.said(), name, "{era}");
            assert_eq!(session.call(name, json!({})).await.said(), name, "{era}");
        }
        assert_eq!(gate.call(UP, "gET", json!({})).await.refusal().1, -32602, "{era}");
    }
}

const CARL: &str = "Bearer carl-0123456789abcdef";

fn carl(patterns: &Value) -> Value {
    json!([{"name": "carl", "secret": &CARL[7..], "allow": [{"server": "*", "tools": patterns}]}])
}

#[tokio::test]
async fn check_138_hidden_and_unknown_tools_look_alike() {
    let keys = json!({"tools": {"deny": ["fail", "failing_job"]}});
    let gate = Gate::of().set("keys", carl(&json!(["e*", "f*"])));
    let places = Places::with(gate, &Place::ALL, &keys).await;
    for place in Place::ALL {
        let path = place.path();
        let initialize = Session::initialize(&path, "2025-11-25", &json!({})).header("Authorization", CARL);
        let opened = places.gate.send(&initialize).await;
        let id = opened.header("mcp-session-id").expect("a session").to_owned();
        let mut seen = Vec::new();
        // Hidden from this key, hidden from everybody, and not there at all.
        for name in ["hello", "fail", "no_such_tool"] {
            let modern = Post::call(&path, name, json!({})).header("Authorization", CARL);
            let params = json!({"name": name, "arguments": {}});
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            let legacy = Post::json(&path, call).header("Authorization", CARL).header("Mcp-Session-Id", &id);
            for post in [modern, legacy] {
                let response = places.gate.send(&post).await;
                assert_eq!(response.refusal(), (200, -32602), "{place:?} {name}");
                seen.push(response.text().replace(name, "NAME"));
            }
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{place:?} {seen:?}");
        let allowed = Post::call(&path, "echo", json!({"text": "x"})).header("Authorization", CARL);
        assert_eq!(places.gate.send(&allowed).await.said(), "x", "{place:?}");
        let list = Post::modern(&path, "tools/list", json!({})).header("Authorization", CARL);
        let list = names(&places.gate.send(&list).await.result()["tools"]);
        assert_eq!(list, ["echo"], "{place:?}");
    }
}

#[tokio::test]
async fn check_139_what_a_server_finds_wrong_with_arguments_arrives_as_it_was_said() {
    let wrong = json!({
        "resultType": "complete",
        "content": [{"type": "text", "text": "`a` must be a number", "annotations": {"priority": 0.5}}],
        "isError": true,
        "unknown": {"stays": [1, null]},
    });
    for era in ["legacy", "modern"] {
        let given = wrong.clone();
        let server =
            Scripted::start(remote(era, move |request: &Seen| Answer::result(request, given.clone()))).await;
        let gate = Gate::before(server.config(era)).await;
        assert_eq!(gate.call(UP, "tool", json!({"a": "x"})).await.result(), wrong, "{era}");
        let legacy = gate.session(UP, json!({})).await.call("tool", json!({"a": "x"})).await.result();
        let mut expected = wrong.clone();
        expected.as_object_mut().expect("an object").remove("resultType");
        assert_eq!(legacy, expected, "{era}");
    }
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        for arguments in [json!({"a": "x", "b": 1}), json!({"a": 1}), json!({})] {
            let modern = places.gate.call(&place.path(), "add", arguments.clone()).await;
            let legacy = session.call("add", arguments.clone()).await;
            for response in [modern, legacy] {
                assert_eq!(response.result()["isError"], true, "{place:?} {arguments}");
                assert!(response.said().starts_with("invalid arguments"), "{place:?} {}", response.said());
            }
        }
    }
}

#[tokio::test]
async fn check_140_a_missing_resource_is_told_in_the_words_of_the_era() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let params = json!({"uri": "demo://nowhere"});
        let modern = places.gate.ask(&place.path(), "resources/read", params.clone()).await;
        assert_eq!(modern.refusal(), (200, -32602), "{place:?}");
        let session = places.gate.session(&place.path(), json!({})).await;
        let legacy = session.ask("resources/read", params).await;
        assert_eq!(legacy.refusal(), (200, -32002), "{place:?}");
        for response in [modern, legacy] {
            assert_eq!(response.message()["error"]["data"]["uri"], "demo://nowhere", "{place:?}");
        }
    }
}

#[tokio::test]
async fn check_141_legacy_servers_say_not_found_in_several_ways() {
    for data in [json!(null), json!({"uri": "x://gone"}), json!({"why": "deleted"}), json!("gone")] {
        let given = data.clone();
        let server = ScriptedStdio::start(move |_, message: &Value| match message["method"].as_str() {
            Some("resources/read" | "prompts/get") => {
                let mut error = json!({"code": -32002, "message": "Resource not found"});
                if !given.is_null() {
                    error["data"] = given.clone();
                }
                vec![Does::Says(json!({"jsonrpc": "2.0", "id": message["id"], "error": error}))]
            }
            _ => legacy_child(message, &tools()).unwrap_or_default(),
        })
        .await;
        let gate = Gate::before(server.config("legacy")).await;
        let params = json!({"uri": "x://gone"});
        let modern = gate.ask(UP, "resources/read", params.clone()).await;
        assert_eq!(modern.refusal(), (200, -32602), "{data}");
        assert_eq!(modern.message()["error"]["data"]["uri"], "x://gone", "{data}");
        let legacy = gate.session(UP, json!({})).await.ask("resources/read", params).await;
        assert_eq!(legacy.refusal(), (200, -32002), "{data}");
        // Elsewhere the code has no such meaning.
        let prompt = gate.ask(UP, "prompts/get", json!({"name": "p"})).await;
        assert_eq!(prompt.refusal(), (200, -32603), "{data}");
    }
}

/// A modern server with one tool whose output is an object and one whose output is not; neither gives text.
async fn structured() -> Scripted {
    let listed = json!([
        {"name": "object", "inputSchema": {"type": "object"}, "outputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}}},
        {"name": "array", "inputSchema": {"type": "object"}, "outputSchema": {"type": "array", "items": {"type": "integer"}}},
    ]);
    Scripted::start(move |request: &Seen| match request.method() {
        "tools/call" => {
            let value =
                if request.body["params"]["name"] == "object" { json!({"a": 1}) } else { json!([1, 2]) };
            Answer::complete(request, json!({"content": [], "structuredContent": value}))
        }
        _ => crate::harness::modern_answers(request, &listed),
    })
    .await
}

#[tokio::test]
async fn check_142_143_structured_content_and_its_schema_go_together() {
    let server = structured().await;
    let gate = Gate::before(server.config("modern")).await;
    let values = [("object", json!({"a": 1})), ("array", json!([1, 2]))];
    // What a revision may see: of the object, of the array.
    let rows = [
        ("2024-11-05", [false, false]),
        ("2025-03-26", [false, false]),
        ("2025-06-18", [true, false]),
        ("2025-11-25", [true, false]),
    ];
    for (version, shown) in rows {
        let session = Session::open(gate.address, UP, version, json!({})).await;
        let list = session.ask("tools/list", json!({})).await.result();
        for ((name, value), shown) in values.iter().zip(shown) {
            let all = list["tools"].as_array().expect("tools");
            let tool = all.iter().find(|tool| tool["name"] == *name).expect("the tool");
            let result = session.call(name, json!({})).await.result();
            assert_eq!(tool.get("outputSchema").is_some(), shown, "{version} {tool}");
            assert_eq!(result.get("structuredContent"), shown.then_some(value), "{version} {name} {result}");
            let copy = result["content"].as_array().expect("content").iter().any(|block| {
                let text = block["text"].as_str().unwrap_or_default();
                serde_json::from_str::<Value>(text).is_ok_and(|copy| copy == *value)
            });
            assert!(copy || shown, "{version} {name}: a text copy, {result}");
        }
    }
    let list = gate.ask(UP, "tools/list", json!({})).await.result();
    assert!(list["tools"].as_array().expect("tools").iter().all(|tool| tool["outputSchema"].is_object()));
    for (name, value) in values {
        let result = gate.call(UP, name, json!({})).await.result();
        assert_eq!((&result["structuredContent"], &result["content"]), (&value, &json!([])), "as it came");
    }
}

#[tokio::test]
async fn check_144_schemas_are_passed_never_fetched_and_bounded() {
    let bait = Scripted::start(|_: &Seen| Answer::Empty(500)).await;
    let reference = format!("http://{}/schema.json", bait.address);
    let depth = 2000;
    let (open, close) = (r#"{"type":"object","properties":{"a":"#.repeat(depth), "}}".repeat(depth));
    // A server whose list cannot be held is that server's trouble alone. As text: nothing here may walk into it either.
    let abyss = format!(r#"[{{"name":"deep","inputSchema":{open}{{}}{close}}}]"#);
    let list = json!([
        {"name": "fetch", "inputSchema": {"$schema": reference, "type": "object", "properties": {"a": {"$ref": reference}}}, "outputSchema": {"$ref": reference, "type": "object"}},
    ]);
    for era in ["legacy", "modern"] {
        let (shown, text) = (list.clone(), abyss.clone());
        let server = ScriptedStdio::start(move |_, message: &Value| {
            let known =
                if era == "legacy" { legacy_child(message, &shown) } else { modern_child(message, &shown) };
            known.unwrap_or_else(|| {
                vec![Does::result(
                    message,
                    json!({"resultType": "complete", "content": [], "structuredContent": {"a": "x"}}),
                )]
            })
        })
        .await;
        let deep = ScriptedStdio::start(move |_, message: &Value| {
            if message["method"] == "tools/list" {
                let line = format!(
                    r#"{{"jsonrpc":"2.0","id":{},"result":{{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":{text}}}}}"#,
                    message["id"]
                );
                return vec![Does::Writes(line)];
            }
            let known = if era == "legacy" { legacy_child(message, &tools()) } else { modern_child(message, &tools()) };
            known.unwrap_or_default()
        })
        .await;
        let mut config = deep.config(era);
        config["timeouts"] = json!({"call": "2s"});
        let gate = Gate::of().server("up", server.config(era)).server("deep", config).start().await;
        let result = gate.ask(UP, "tools/list", json!({})).await.result();
        assert_eq!(result["tools"][0]["inputSchema"], list[0]["inputSchema"], "{era}");
        gate.call(UP, "fetch", json!({"a": "x"})).await.result();
        let refused = gate.ask("/mcp/deep", "tools/list", json!({})).await.message();
        assert!(refused["error"]["code"].is_i64() || refused["result"]["tools"].is_array(), "{era}");
        gate.call(UP, "fetch", json!({"a": "x"})).await.result();
    }
    assert!(bait.seen().is_empty(), "nothing was fetched: {:?}", bait.seen());
}

#[tokio::test]
async fn check_145_completion_needs_its_capability_and_old_servers_get_no_context() {
    let rows = [("2024-11-05", false), ("2025-03-26", false), ("2025-06-18", true), ("2025-11-25", true)];
    for (version, kept) in rows {
        let server = ScriptedStdio::start(move |_, message: &Value| match message["method"].as_str() {
            Some("initialize") => vec![Does::result(
                message,
                json!({"protocolVersion": version, "capabilities": {"completions": {}, "prompts": {}}, "serverInfo": {"name": "s", "version": "1"}}),
            )],
            Some("completion/complete") => vec![Does::result(message, json!({"completion": {"values": ["v"]}}))],
            _ => legacy_child(message, &tools()).unwrap_or_default(),
        })
        .await;
        let gate = Gate::before(server.config("legacy")).await;
        let session = gate.session(UP, json!({})).await;
        for response in [complete(&gate, UP).await, session.ask("completion/complete", completion()).await] {
            assert_eq!(response.result()["completion"]["values"], json!(["v"]), "{version}");
        }
        for (_, line) in server.lines().iter().filter(|(_, line)| line["method"] == "completion/complete") {
            let mut expected = completion();
            if !kept {
                expected.as_object_mut().expect("an object").remove("context");
            }
            assert_eq!(line["params"], expected, "{version}");
        }
    }
}

fn completion() -> Value {
    json!({
        "ref": {"type": "ref/prompt", "name": "p"},
        "argument": {"name": "a", "value": ""},
        "context": {"arguments": {"b": "c"}},
    })
}

async fn complete(gate: &Gate, path: &str) -> Response {
    gate.ask(path, "completion/complete", completion()).await
}

#[tokio::test]
async fn check_145_a_server_without_completion_is_asked_for_none() {
    let server = Scripted::start(remote("modern", |request: &Seen| Answer::text(request, "x"))).await;
    let old = Scripted::start(remote("legacy", |request: &Seen| Answer::text(request, "x"))).await;
    let gate =
        Gate::of().server("new", server.config("modern")).server("old", old.config("legacy")).start().await;
    for path in ["/mcp/new", "/mcp/old"] {
        assert_eq!(complete(&gate, path).await.refusal(), (404, -32601), "{path}");
        let session = gate.session(path, json!({})).await;
        let legacy = session.ask("completion/complete", completion()).await;
        assert_eq!(legacy.refusal(), (200, -32601), "{path}");
    }
}

#[tokio::test]
async fn check_146_annotations_pass_and_decide_nothing() {
    let list = json!([
        {"name": "wipe", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": true, "readOnlyHint": false, "odd": 1}},
        {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true, "title": "Look"}},
    ]);
    for era in ["legacy", "modern"] {
        let shown = list.clone();
        let server = ScriptedStdio::start(move |_, message: &Value| {
            let known =
                if era == "legacy" { legacy_child(message, &shown) } else { modern_child(message, &shown) };
            known.unwrap_or_else(|| vec![Does::result(message, text("done"))])
        })
        .await;
        let config = Gate::of().server("up", server.config(era)).set("keys", carl(&json!(["wipe"])));
        let gate = config.start().await;
        let send = |post: Post| {
            let address = gate.address;
            async move { post.header("Authorization", CARL).send(address).await }
        };
        let tools = send(Post::modern(UP, "tools/list", json!({}))).await.result()["tools"].clone();
        assert_eq!(tools, json!([list[0]]), "{era}");
        assert_eq!(send(Post::call(UP, "wipe", json!({}))).await.said(), "done", "{era}");
        assert_eq!(send(Post::call(UP, "look", json!({}))).await.refusal(), (200, -32602), "{era}");
    }
}

//! The address of all servers together (reference: mcp.md 5): names, lists, calls, and servers that are down.

use crate::harness::{Answer, Gate, Post, Scripted, Seen, demo_stdio, modern_answers};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ALL: &str = "/mcp";

/// A modern server with these tools that says what it was called with.
async fn echoing(tools: Value) -> Scripted {
    Scripted::start(move |request: &Seen| match request.method() {
        "tools/call" => Answer::text(request, request.header("mcp-name").unwrap_or_default()),
        "resources/read" => {
            let contents = json!([{"uri": request.body["params"]["uri"], "text": "<p>hello</p>"}]);
            let hints = json!({"contents": contents, "ttlMs": 0, "cacheScope": "private"});
            Answer::complete(request, hints)
        }
        "server/discover" => Answer::complete(
            request,
            json!({
                "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                "capabilities": {"tools": {}, "resources": {}},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
            }),
        ),
        "resources/list" | "resources/templates/list" => {
            let member = if request.method() == "resources/list" { "resources" } else { "resourceTemplates" };
            Answer::complete(request, json!({member: [], "ttlMs": 0, "cacheScope": "private"}))
        }
        _ => modern_answers(request, &tools),
    })
    .await
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["tools"].as_array().expect("a list");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn check_021_137_a_call_goes_to_its_server_under_its_own_name() {
    // Both servers say that they are called `scripted`, and both have this tool.
    let (one, two) =
        (echoing(json!([tool("look")])).await, echoing(json!([tool("look"), tool("großes.bild")])).await);
    let gate = Gate::of().server("one", one.config("auto")).server("two", two.config("auto")).start().await;
    let list = gate.ask(ALL, "tools/list", json!({})).await.result();
    let listed = names(&list);
    assert_eq!(listed[..2], ["one_look", "two_look"]);
    assert!(listed[2].starts_with("two_gro_es_bild_"), "{listed:?}");
    for (called, server, own) in [("one_look", &one, "look"), ("two_look", &two, "look")] {
        let before = server.of("tools/call").len();
        assert_eq!(gate.call(ALL, called, json!({})).await.said(), own, "the header is made anew");
        let seen = server.until("tools/call", before + 1).await;
        assert_eq!(seen[before].body["params"]["name"], own);
    }
    assert_eq!(gate.call(ALL, &listed[2], json!({})).await.said(), "=?base64?Z3Jvw59lcy5iaWxk?=");
    for unknown in ["look", "one_nothing", "three_look", "one_"] {
        let refused = gate.call(ALL, unknown, json!({})).await;
        assert_eq!(refused.refusal().1, -32602, "{unknown}");
    }
}

#[tokio::test]
async fn check_132_pages_show_each_tool_of_each_server_once() {
    let many: Vec<Value> = (0..23).map(|number| tool(&format!("tool_{number}"))).collect();
    let (a, b) = (echoing(json!(many)).await, echoing(json!(many[..9])).await);
    let gate = Gate::of()
        .server("a", a.config("auto"))
        .server("b", b.config("auto"))
        .set("mcp", json!({"page_size": 7}))
        .start()
        .await;
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let params = cursor.map_or(json!({}), |cursor: Value| json!({"cursor": cursor}));
        let page = gate.ask(ALL, "tools/list", params).await.result();
        assert!((1..=7).contains(&names(&page).len()));
        all.extend(names(&page));
        match page.get("nextCursor") {
            Some(next) => cursor = Some(next.clone()),
            None => break,
        }
    }
    let expected: Vec<String> = [("a", 23), ("b", 9)]
        .iter()
        .flat_map(|(server, count)| (0..*count).map(move |number| format!("{server}_tool_{number}")))
        .collect();
    assert_eq!(all, expected);
    let foreign = gate.ask("/mcp/a", "tools/list", json!({})).await.result()["nextCursor"].clone();
    let refused = gate.ask(ALL, "tools/list", json!({"cursor": foreign})).await;
    assert_eq!(refused.refusal().1, -32602, "a cursor of another address");
}

#[tokio::test]
async fn check_147_a_renamed_tool_shows_a_page_that_can_be_read() {
    let shown = json!({
        "name": "show", "inputSchema": {"type": "object"}, "_meta": {"ui": {"resourceUri": "ui://show/page.html"}},
    });
    let with_ui = echoing(json!([shown])).await;
    let gate = Gate::of()
        .server("ui", with_ui.config("auto"))
        .server("other", json!({"command": "/nonexistent"}))
        .start()
        .await;
    let list = gate.ask(ALL, "tools/list", json!({})).await.result();
    let uri = &list["tools"][0]["_meta"]["ui"]["resourceUri"];
    assert_eq!((&list["tools"][0]["name"], uri), (&json!("ui_show"), &json!("ui://show/page.html")));
    let page = gate.ask(ALL, "resources/read", json!({"uri": uri})).await.result();
    assert_eq!(page["contents"][0]["text"], "<p>hello</p>");
}

#[tokio::test]
async fn check_198_a_server_that_is_down_is_named_and_changes_nothing_for_the_rest() {
    let gate = Gate::of()
        .server("down", json!({"command": "/nonexistent"}))
        .server("demo", json!({"builtin": "demo"}))
        .server("child", demo_stdio("legacy"))
        .start()
        .await;
    let list = gate.ask(ALL, "tools/list", json!({})).await.result();
    assert_eq!(list["_meta"]["portreeve/unavailable"], json!(["down"]));
    let listed: BTreeSet<String> = names(&list).into_iter().collect();
    assert!(listed.contains("demo_echo") && listed.contains("child_echo"), "{listed:?}");
    for server in ["demo", "child"] {
        let said = gate.call(ALL, &format!("{server}_echo"), json!({"text": server})).await.said();
        assert_eq!(said, server);
    }
    let session = gate.session(ALL, json!({})).await;
    assert_eq!(session.call("child_echo", json!({"text": "x"})).await.said(), "x");
    assert_eq!(
        session.ask("tools/list", json!({})).await.result()["tools"].as_array().map(Vec::len),
        Some(listed.len())
    );
    let down = gate.call(ALL, "down_anything", json!({})).await;
    assert_eq!(down.refusal().1, -31001, "nothing was run");
}

#[tokio::test]
async fn what_is_given_at_one_address_is_worth_nothing_at_another() {
    let gate = Gate::of()
        .server("child", demo_stdio("legacy"))
        .server("demo", json!({"builtin": "demo"}))
        .start()
        .await;
    let session = gate.session(ALL, json!({})).await;
    let ping = session.message(json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    assert_eq!(gate.send(&ping).await.status, 200);
    assert_eq!(gate.send(&ping.path("/mcp/demo")).await.status, 404);
    let capable = json!({"elicitation": {"form": {}}});
    let asked = Post::call(ALL, "child_ask_name", json!({}))
        .capable(capable.clone())
        .send(gate.address)
        .await
        .result();
    assert_eq!(asked["resultType"], "input_required");
    let answers: Value = asked["inputRequests"]
        .as_object()
        .expect("questions")
        .keys()
        .map(|key| (key.clone(), json!({"action": "accept", "content": {"name": "Ada"}})))
        .collect();
    let retry = |path: &str, name: &str| {
        let retry = Post::call(path, name, json!({})).capable(capable.clone());
        retry.param("inputResponses", answers.clone()).param("requestState", asked["requestState"].clone())
    };
    for (path, name) in [("/mcp/child", "ask_name"), (ALL, "demo_ask_name")] {
        assert_eq!(gate.send(&retry(path, name)).await.refusal().1, -32602, "{path} {name}");
    }
    assert!(gate.send(&retry(ALL, "child_ask_name")).await.said().contains("Ada"));
}

#[tokio::test]
async fn one_server_alone_has_no_prefix() {
    let gate = Gate::demo().await;
    assert_eq!(gate.call(ALL, "echo", json!({"text": "x"})).await.said(), "x");
}

#[tokio::test]
async fn at_the_address_of_all_a_tool_gives_its_result_and_no_task() {
    let gate = Gate::of()
        .server("child", demo_stdio("legacy"))
        .server("demo", json!({"builtin": "demo"}))
        .start()
        .await;
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    for server in ["child", "demo"] {
        let call = Post::call(ALL, &format!("{server}_slow_compute"), json!({"seconds": 0}));
        let result = gate.send(&call.capable(tasks.clone())).await.result();
        assert_eq!(result["resultType"], "complete", "{server}: {result}");
    }
}

#[tokio::test]
async fn a_hidden_tool_looks_like_one_that_is_not_there() {
    let gate = Gate::of()
        .server("child", demo_stdio("legacy"))
        .server("demo", json!({"builtin": "demo", "tools": {"deny": ["echo"]}}))
        .start()
        .await;
    let told = async |tool: &str| gate.call(ALL, tool, json!({})).await.message()["error"].clone();
    let (hidden, absent) = (told("demo_echo").await, told("demo_nothing").await);
    assert_eq!(hidden["message"], "Unknown tool: demo_echo");
    assert_eq!(absent["message"], "Unknown tool: demo_nothing");
    assert_eq!(hidden["code"], absent["code"]);
}

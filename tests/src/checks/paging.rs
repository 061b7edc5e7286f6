//! Lists in pages under cursors of the gate (checks 127, 128, 132–134).

use super::scripts::{child, legacy_child, modern_child};
use crate::harness::{Does, Gate, Post, ScriptedStdio, Session};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const UP: &str = "/mcp/up";
const ANNA: &str = "Bearer anna-0123456789abcdef";
const CARL: &str = "Bearer carl-0123456789abcdef";

type Names = Arc<Mutex<Vec<String>>>;

/// A child of this era whose tools are these names at any time, and are asked for again each time.
async fn listing(era: &'static str, names: Names, ttl: u64) -> ScriptedStdio {
    ScriptedStdio::start(move |_, message: &Value| {
        let tool = |name: &String| json!({"name": name, "inputSchema": {"type": "object"}});
        let all: Value = names.lock().unwrap().iter().map(tool).collect();
        if message["method"] == "tools/list" {
            let result =
                json!({"resultType": "complete", "tools": all, "ttlMs": ttl, "cacheScope": "public"});
            return vec![Does::result(message, result)];
        }
        let known = if era == "legacy" { legacy_child(message, &all) } else { modern_child(message, &all) };
        known.unwrap_or_default()
    })
    .await
}

fn names(count: usize) -> Names {
    Arc::new(Mutex::new((0..count).map(|number| format!("t{:02}", count - number)).collect()))
}

fn shown(result: &Value) -> Vec<String> {
    let tools = result["tools"].as_array().expect("a list");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

fn list(cursor: Option<&Value>) -> Post {
    let params = cursor.map_or(json!({}), |cursor| json!({"cursor": cursor}));
    Post::modern(UP, "tools/list", params)
}

/// All pages that somebody with this key gets.
async fn pages(gate: &Gate, key: Option<&str>) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    loop {
        let mut post = list(pages.last().map(|page| &page["nextCursor"]));
        if let Some(key) = key {
            post = post.header("Authorization", key);
        }
        pages.push(gate.send(&post).await.result());
        let next = pages.last().and_then(|page| page.get("nextCursor"));
        if next.is_none() {
            return pages;
        }
        assert!(next.is_some_and(Value::is_string) && pages.len() < 100, "{next:?}");
    }
}

#[tokio::test]
async fn check_132_133_pages_have_every_item_once_in_order_and_the_last_has_no_cursor() {
    for era in ["legacy", "modern"] {
        for count in [0, 1, 3, 4, 6, 7] {
            let all = names(count);
            let server = listing(era, all.clone(), 60_000).await;
            let gate = Gate::of().server("up", server.config(era)).set("mcp", json!({"page_size": 3}));
            let gate = gate.start().await;
            let given = pages(&gate, None).await;
            let sizes: Vec<usize> = given.iter().map(|page| shown(page).len()).collect();
            assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == 3), "{era} {count} {sizes:?}");
            assert!(count == 0 || sizes.last() != Some(&0), "{era} {count} {sizes:?}");
            let items: Vec<String> = given.iter().flat_map(shown).collect();
            assert_eq!(items, *all.lock().unwrap(), "{era}");
            let session = gate.session(UP, json!({})).await;
            let mut items = Vec::new();
            let mut params = json!({});
            loop {
                let page = session.ask("tools/list", params).await.result();
                items.extend(shown(&page));
                let Some(next) = page.get("nextCursor") else { break };
                params = json!({"cursor": next});
            }
            assert_eq!(items, *all.lock().unwrap(), "{era}: a legacy client");
        }
    }
}

#[tokio::test]
async fn check_132_a_list_goes_on_when_it_changes_meanwhile_and_at_another_process() {
    let all = names(9);
    let before = all.lock().unwrap().clone();
    let server = listing("modern", all.clone(), 0).await;
    let config = || Gate::of().server("up", server.config("modern")).set("mcp", json!({"page_size": 3}));
    let gate = config().start().await;
    let first = gate.send(&list(None)).await.result();
    assert_eq!(shown(&first), before[..3]);
    // The item that the cursor names has gone, and another one before it.
    all.lock().unwrap().retain(|name| *name != before[2]);
    let second = gate.send(&list(Some(&first["nextCursor"]))).await.result();
    assert_eq!(shown(&second), before[3..6]);
    all.lock().unwrap().insert(0, "new".to_owned());
    let gate = config().start_in(gate.end().await).await;
    let third = gate.send(&list(Some(&second["nextCursor"]))).await.result();
    assert_eq!((shown(&third), third.get("nextCursor")), (before[6..].to_vec(), None));
}

#[tokio::test]
async fn check_127_128_filtered_pages_are_full_private_and_kept_by_cursor() {
    let all: Vec<String> = (0..12).map(|number| format!("{}{number}", ["a", "e"][number % 2])).collect();
    let server = listing("modern", Arc::new(Mutex::new(all.clone())), 60_000).await;
    let keys = json!([
        {"name": "anna", "secret": &ANNA[7..], "allow": [{"server": "*"}]},
        {"name": "carl", "secret": &CARL[7..], "allow": [{"server": "up", "tools": ["e*"]}]},
    ]);
    let mut config = server.config("modern");
    config["isolation"] = json!("shared");
    let gate = Gate::of().server("up", config).set("keys", keys).set("mcp", json!({"page_size": 3}));
    let gate = gate.start().await;
    for _ in 0..2 {
        let carl = pages(&gate, Some(CARL)).await;
        assert_eq!(carl.iter().map(|page| shown(page).len()).collect::<Vec<_>>(), [3, 3]);
        assert!(carl.iter().flat_map(shown).all(|name| name.starts_with('e')));
        let anna = pages(&gate, Some(ANNA)).await;
        assert_eq!(anna.iter().flat_map(shown).collect::<Vec<_>>(), all);
        let scopes = carl.iter().chain(&anna).map(|page| &page["cacheScope"]);
        assert!(scopes.into_iter().all(|scope| scope == "private"));
        let foreign = list(Some(&anna[0]["nextCursor"])).header("Authorization", CARL);
        assert_eq!(gate.send(&foreign).await.refusal(), (200, -32602), "somebody else's cursor");
    }
    assert_eq!(server.methods().iter().filter(|(_, method)| method == "tools/list").count(), 1);
}

#[tokio::test]
async fn check_134_cursors_of_another_list_or_server_and_changed_ones_are_refused() {
    let server = listing("modern", names(5), 60_000).await;
    let other = ScriptedStdio::start(child("modern", |_| Vec::new())).await;
    let gate = Gate::of()
        .server("up", server.config("modern"))
        .server("other", other.config("modern"))
        .set("mcp", json!({"page_size": 2}))
        .start()
        .await;
    let cursor = gate.send(&list(None)).await.result()["nextCursor"].clone();
    let text = cursor.as_str().expect("a cursor");
    for wrong in ["", "forged", &text[1..], &text[..text.len() - 1], &format!("{text}A")] {
        let response = gate.ask(UP, "tools/list", json!({"cursor": wrong})).await;
        assert_eq!(response.refusal(), (200, -32602), "{wrong}");
    }
    let params = json!({"cursor": cursor});
    for (path, method) in [(UP, "prompts/list"), (UP, "resources/list"), ("/mcp/other", "tools/list")] {
        assert_eq!(gate.ask(path, method, params.clone()).await.refusal(), (200, -32602), "{path} {method}");
    }
    let session = Session::open(gate.address, UP, "2025-06-18", json!({})).await;
    assert_eq!(session.ask("tools/list", params).await.result()["tools"].as_array().map(Vec::len), Some(2));
}

//! Who is shown a list that is kept (checks 126–129).

use super::{ANNA, CARL, DORA, UP, keyed, list_as, tool};
use crate::{
    checks::scripts::{modern_child, text, tools},
    harness::{Does, Gate, Post, ScriptedStdio},
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A modern child whose list is different each time, and good for a minute.
async fn counting(scope: &'static str) -> ScriptedStdio {
    let lists = AtomicUsize::new(0);
    ScriptedStdio::start(move |_, message: &Value| match message["method"].as_str() {
        Some("tools/list") => {
            let mut all = tool(lists.fetch_add(1, Ordering::SeqCst));
            all.as_array_mut()
                .expect("a list")
                .push(json!({"name": "echo", "inputSchema": {"type": "object"}}));
            let result =
                json!({"resultType": "complete", "tools": all, "ttlMs": 60_000, "cacheScope": scope});
            vec![Does::result(message, result)]
        }
        Some("tools/call") => vec![Does::result(message, text("called"))],
        _ => modern_child(message, &tools()).unwrap_or_default(),
    })
    .await
}

#[tokio::test]
async fn check_126_a_private_list_stays_with_the_key_that_it_was_fetched_for() {
    let server = counting("private").await;
    let gate = Gate::of()
        .server("up", server.config("modern"))
        .set(
            "keys",
            json!([
                {"name": "anna", "secret": &ANNA[7..], "allow": [{"server": "*"}]},
                {"name": "dora", "secret": &DORA[7..], "allow": [{"server": "*"}]},
            ]),
        )
        .start()
        .await;
    let mut seen = Vec::new();
    for key in [ANNA, DORA, ANNA, DORA] {
        seen.push(list_as(&gate, key, "tools/list").await.result()["tools"][0]["name"].clone());
    }
    assert_eq!(seen, ["tool0", "tool1", "tool0", "tool1"]);
}

#[tokio::test]
async fn check_127_lists_that_were_filtered_for_somebody_are_private() {
    let server = counting("public").await;
    let gate = keyed(server.config("modern")).await;
    let (anna, carl) = (list_as(&gate, ANNA, "tools/list").await, list_as(&gate, CARL, "tools/list").await);
    assert_eq!(anna.result()["cacheScope"], "public");
    assert_eq!(anna.result()["tools"].as_array().map(Vec::len), Some(2));
    assert_eq!(carl.result()["cacheScope"], "private");
    assert_eq!(carl.result()["tools"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn check_128_what_is_kept_is_kept_by_cursor_and_uri() {
    let server = ScriptedStdio::start(|_, message: &Value| match message["method"].as_str() {
        Some("resources/read") => {
            let uri = &message["params"]["uri"];
            let contents = json!([{"uri": uri, "text": format!("text of {uri}")}]);
            vec![Does::result(message, json!({"resultType": "complete", "contents": contents, "ttlMs": 60_000, "cacheScope": "public"}))]
        }
        _ => modern_child(message, &tools()).unwrap_or_default(),
    })
    .await;
    let gate = Gate::before(server.config("modern")).await;
    for uri in ["x://a", "x://b", "x://a", "x://A", "x://a?"] {
        let read = gate.ask(UP, "resources/read", json!({"uri": uri})).await.result();
        assert_eq!(read["contents"][0]["text"], format!("text of {uri:?}"));
    }
    gate.ask(UP, "tools/list", json!({})).await.result();
    let other = gate.ask(UP, "tools/list", json!({"cursor": "another page"})).await;
    assert_eq!(other.refusal(), (200, -32602), "not the page that is kept");
}

#[tokio::test]
async fn check_129_what_is_kept_is_shown_only_to_those_who_may_see_it() {
    let server = counting("public").await;
    let mut config = server.config("modern");
    config["isolation"] = json!("shared");
    let gate = keyed(config).await;
    let anna = list_as(&gate, ANNA, "tools/list").await.result();
    assert_eq!(anna["tools"].as_array().map(Vec::len), Some(2));
    for _ in 0..2 {
        let carl = list_as(&gate, CARL, "tools/list").await.result();
        assert_eq!(carl["tools"], json!([{"name": "echo", "inputSchema": {"type": "object"}}]));
        assert_eq!(list_as(&gate, DORA, "tools/list").await.status, 404);
        assert_eq!(list_as(&gate, "Bearer nobody-0123456789abcdef", "tools/list").await.status, 401);
        let hidden = Post::call(UP, "tool0", json!({})).header("Authorization", CARL);
        assert_eq!(gate.send(&hidden).await.refusal(), (200, -32602));
    }
    assert!(server.methods().iter().all(|(_, method)| method != "tools/call"));
}

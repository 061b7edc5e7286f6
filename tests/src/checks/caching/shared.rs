//! One watch of a server for all who listen (checks 118, 120, 121).

use super::{UP, acknowledge, changing, listen, opened, until_method};
use crate::{
    checks::scripts::{legacy_child, tools},
    harness::{Answer, Does, Gate, Scripted, ScriptedStdio, Seen, modern_answers},
};
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::sync::mpsc;

fn wants(uris: &[&str]) -> Value {
    json!({"toolsListChanged": true, "resourceSubscriptions": uris})
}

/// A modern server that grants whatever a listen stream wants and holds it open.
async fn granting() -> Scripted {
    let writers = Mutex::new(Vec::new());
    Scripted::start(move |request: &Seen| match request.method() {
        "server/discover" => changing(request),
        "subscriptions/listen" => {
            let (writer, reader) = mpsc::channel(4);
            writer.try_send(acknowledge(request)).expect("there is room");
            writers.lock().unwrap().push(writer);
            Answer::Stream(reader)
        }
        _ => modern_answers(request, &tools()),
    })
    .await
}

fn wanted(seen: &Seen) -> Vec<&str> {
    let uris = seen.body["params"]["notifications"]["resourceSubscriptions"].as_array();
    let mut uris: Vec<&str> = uris.into_iter().flatten().filter_map(Value::as_str).collect();
    uris.sort_unstable();
    uris
}

#[tokio::test]
async fn check_118_121_many_listeners_are_one_watch_of_the_server() {
    let server = granting().await;
    let gate = Gate::before(server.config("modern")).await;
    let mut streams = Vec::new();
    for id in 0..5 {
        let (honoured, stream) = opened(&gate, &listen(UP, json!(id), wants(&["x://a"]))).await;
        assert_eq!(honoured, wants(&["x://a"]));
        streams.push(stream);
    }
    let listens = server.of("subscriptions/listen");
    assert_eq!(listens.iter().map(wanted).collect::<Vec<_>>(), [["x://a"]], "asked of the server once");
    // A legacy client wants another resource: the next watch is for all of them.
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.ask("resources/subscribe", json!({"uri": "x://b"})).await.result(), json!({}));
    let listens = server.of("subscriptions/listen");
    assert_eq!(listens.iter().map(wanted).collect::<Vec<_>>(), [vec!["x://a"], vec!["x://a", "x://b"]]);
    // It no longer does, and nobody else did.
    assert_eq!(session.ask("resources/unsubscribe", json!({"uri": "x://b"})).await.result(), json!({}));
    let listens = server.until("subscriptions/listen", 3).await;
    assert_eq!(wanted(&listens[2]), ["x://a"]);
}

/// A legacy child that can be subscribed to, and exits when it is called.
async fn subscribable() -> ScriptedStdio {
    ScriptedStdio::start(|_, message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}}, "serverInfo": {"name": "s", "version": "1"}}),
        )],
        Some("resources/subscribe" | "resources/unsubscribe") => vec![Does::result(message, json!({}))],
        Some("tools/call") => vec![Does::Exits],
        _ => legacy_child(message, &tools()).unwrap_or_default(),
    })
    .await
}

#[tokio::test]
async fn check_121_a_legacy_server_hears_of_a_resource_once_and_when_nobody_wants_it_any_more() {
    let server = subscribable().await;
    let gate = Gate::before(server.config("legacy")).await;
    let sessions = [gate.session(UP, json!({})).await, gate.session(UP, json!({})).await];
    let uri = json!({"uri": "x://a"});
    for session in &sessions {
        assert_eq!(session.ask("resources/subscribe", uri.clone()).await.result(), json!({}));
    }
    assert_eq!(sessions[0].ask("resources/unsubscribe", uri.clone()).await.result(), json!({}));
    let count = |method: &str| server.methods().iter().filter(|(_, known)| known == method).count();
    assert_eq!(count("resources/unsubscribe"), 0, "the other one still wants it");
    assert_eq!(sessions[1].ask("resources/unsubscribe", uri).await.result(), json!({}));
    let ended = server.until("the end", |line| line["method"] == "resources/unsubscribe").await;
    assert_eq!(ended["params"]["uri"], "x://a");
    assert_eq!(count("resources/subscribe"), 1);
}

#[tokio::test]
async fn check_118_a_stream_is_acknowledged_when_the_server_has_confirmed_the_resource() {
    let server = ScriptedStdio::start(|_, message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"resources": {"subscribe": true}}, "serverInfo": {"name": "s", "version": "1"}}),
        )],
        // Answered by the test.
        Some("resources/subscribe") => Vec::new(),
        _ => legacy_child(message, &tools()).unwrap_or_default(),
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let post = listen(UP, json!("l"), wants(&["x://a"]));
    let mut opening = std::pin::pin!(opened(&gate, &post));
    let asked = tokio::select! {
        biased;
        (honoured, _) = opening.as_mut() => panic!("acknowledged before the server has answered: {honoured}"),
        asked = server.until("the subscription", |line| line["method"] == "resources/subscribe") => asked,
    };
    assert!(opening.as_mut().now_or_never().is_none());
    server.say(0, json!({"jsonrpc": "2.0", "id": asked["id"], "result": {}}));
    server.say(
        0,
        json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "x://a"}}),
    );
    let (honoured, mut stream) = opening.await;
    assert_eq!(honoured["resourceSubscriptions"], json!(["x://a"]));
    let told = stream.event().await.expect("the change");
    assert_eq!(
        (&told["method"], &told["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("x://a"))
    );
}

#[tokio::test]
async fn check_120_a_new_child_is_a_change_for_listeners_of_both_eras() {
    let server = subscribable().await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.ask("resources/subscribe", json!({"uri": "x://a"})).await.result(), json!({}));
    let (_, mut legacy) = session.listen().await;
    let (honoured, mut modern) = opened(&gate, &listen(UP, json!("m"), wants(&["x://a"]))).await;
    assert_eq!(honoured, wants(&["x://a"]));
    assert_eq!(gate.call(UP, "tool", json!({})).await.refusal(), (200, -31004));
    for stream in [&mut legacy, &mut modern] {
        until_method(stream, "notifications/tools/list_changed").await;
        let updated = until_method(stream, "notifications/resources/updated").await;
        assert_eq!(updated["params"]["uri"], "x://a");
    }
    let subscribed: Vec<usize> = server
        .lines()
        .iter()
        .filter_map(|(child, line)| (line["method"] == "resources/subscribe").then_some(*child))
        .collect();
    assert_eq!(subscribed.len(), 2, "at the new child as well: {subscribed:?}");
    assert_ne!(subscribed[0], subscribed[1]);
}

//! Sessions, streams and parked calls across replicas, one by one.

use super::{Redis, Replica, demo_config};
use crate::harness::{Connection, Post, Session};
use serde_json::{Value, json};

const DEMO: &str = "/mcp/demo";

async fn two(redis: Option<&Redis>) -> [Replica; 2] {
    [Replica::start(demo_config(), redis).await, Replica::start(demo_config(), redis).await]
}

/// The same session, spoken to at another replica.
async fn ping(replica: &Replica, session: &Session) -> u16 {
    let message = session.message(json!({"jsonrpc": "2.0", "id": 7, "method": "ping"}));
    message.send(replica.address).await.status
}

#[tokio::test]
async fn check_151_a_session_works_at_every_replica_and_its_end_holds_at_every_replica() {
    let [a, b] = two(None).await;
    let session = Session::open(a.address, DEMO, "2025-11-25", json!({})).await;
    assert_eq!(ping(&b, &session).await, 200);
    let list =
        session.message(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).send(b.address).await;
    assert!(list.result()["tools"].as_array().expect("a list").len() > 5);
    let mut connection = Connection::open(b.address).await;
    connection.send(&session.bare("DELETE", "*/*")).await;
    assert_eq!(connection.response().await.status, 204);
    for replica in [&a, &b] {
        assert_eq!(ping(replica, &session).await, 404);
    }
}

#[tokio::test]
#[ignore = "needs redis-server or valkey-server: cargo test -- --ignored replicas::"]
async fn the_end_of_a_session_holds_when_its_owner_is_gone() {
    let redis = Redis::start().await.expect("redis-server or valkey-server is installed");
    let [mut a, b] = two(Some(&redis)).await;
    let (ended, alive) = (
        Session::open(a.address, DEMO, "2025-11-25", json!({})).await,
        Session::open(a.address, DEMO, "2025-11-25", json!({})).await,
    );
    let mut connection = Connection::open(b.address).await;
    connection.send(&ended.bare("DELETE", "*/*")).await;
    assert_eq!(connection.response().await.status, 204);
    a.kill().await;
    assert_eq!(ping(&b, &ended).await, 404, "its client ended it");
    assert_eq!(ping(&b, &alive).await, 200, "it held nothing and goes on where it is asked for");
}

#[tokio::test]
#[ignore = "needs redis-server or valkey-server: cargo test -- --ignored replicas::"]
async fn a_session_that_held_something_is_gone_with_its_owner() {
    let redis = Redis::start().await.expect("redis-server or valkey-server is installed");
    let [mut a, b] = two(Some(&redis)).await;
    let levelled = Session::open(a.address, DEMO, "2025-11-25", json!({})).await;
    let set = json!({"jsonrpc": "2.0", "id": 1, "method": "logging/setLevel", "params": {"level": "info"}});
    assert_eq!(levelled.message(set).send(b.address).await.status, 200);
    a.kill().await;
    assert_eq!(ping(&b, &levelled).await, 404, "what it held is lost, and its client has to know");
}

#[tokio::test]
async fn without_a_coordinator_nobody_takes_over_what_a_lost_replica_held() {
    let [mut a, b] = two(None).await;
    let session = Session::open(a.address, DEMO, "2025-11-25", json!({})).await;
    a.kill().await;
    assert_eq!(ping(&b, &session).await, 404);
}

fn ask_name() -> Post {
    Post::call("/mcp/child", "ask_name", json!({})).capable(json!({"elicitation": {"form": {}}}))
}

fn retry(asked: &Value) -> Post {
    let answers: Value = asked["inputRequests"]
        .as_object()
        .expect("questions")
        .keys()
        .map(|key| (key.clone(), json!({"action": "accept", "content": {"name": "Ada"}})))
        .collect();
    ask_name()
        .id(json!(2))
        .param("inputResponses", answers)
        .param("requestState", asked["requestState"].clone())
}

#[tokio::test]
async fn check_100_102_a_retry_at_another_replica_is_served_by_the_owner_once() {
    let [a, b] = two(None).await;
    let asked = ask_name().send(a.address).await.result();
    assert_eq!(asked["resultType"], "input_required");
    let again = retry(&asked);
    let (first, second) = tokio::join!(again.send(b.address), again.send(b.address));
    assert_eq!(first.result(), second.result(), "the same retry twice has one answer");
    assert!(first.said().contains("Ada"), "{:?}", first.result());
    assert_eq!(retry(&asked).send(a.address).await.result(), first.result());
}

#[tokio::test]
async fn check_101_a_retry_whose_owner_is_gone_is_refused_like_any_state_that_is_not_good() {
    let [mut a, b] = two(None).await;
    let asked = ask_name().send(a.address).await.result();
    a.kill().await;
    let lost = retry(&asked).send(b.address).await;
    assert_eq!(lost.refusal().1, -32602);
    // The same address, another process: it does not take the call for its own.
    a.again().await;
    for replica in [&a, &b] {
        let lost = retry(&asked).send(replica.address).await;
        assert_eq!(lost.refusal().1, -32602);
    }
}

#[tokio::test]
async fn a_stream_of_a_session_is_served_through_another_replica() {
    let [a, b] = two(None).await;
    let session = Session::open(a.address, DEMO, "2025-11-25", json!({})).await;
    let mut stream = Connection::open(b.address).await;
    stream.send(&session.bare("GET", "text/event-stream")).await;
    let head = stream.head().await.expect("an answer");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let change = json!({"name": "change_list", "arguments": {"list": "tools"}});
    let change =
        session.message(json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": change}));
    assert_eq!(change.send(b.address).await.status, 200);
    let told = stream.event().await.expect("a message");
    assert_eq!(told["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn check_155_a_broken_stream_is_taken_up_at_another_replica() {
    let [a, b] = two(None).await;
    let session = Session::open(a.address, DEMO, "2025-11-25", json!({})).await;
    let arguments = json!({"steps": 20, "interval_ms": 20});
    let params = json!({"name": "countdown", "arguments": arguments, "_meta": {"progressToken": 1}});
    let call = session.request("tools/call", params);
    for [first, second] in [[&a, &b], [&b, &a]] {
        let (_, mut stream) = call.open(first.address).await;
        stream.event().await.expect("progress");
        let last = stream.last_id().to_owned();
        drop(stream);
        let mut stream = Connection::open(second.address).await;
        stream.send(&session.resuming(&last)).await;
        assert_eq!(stream.head().await.expect("an answer").status, 200);
        let messages = stream.events().await;
        assert_eq!(messages[0]["params"]["progress"], 2, "what follows the first");
        assert_eq!(messages.last().expect("an answer")["result"]["content"][0]["text"], "Counted 20 steps.");
    }
}

#[tokio::test]
async fn check_157_a_post_to_another_replica_reaches_the_stream_where_it_ends() {
    let [a, b] = two(None).await;
    let mut stream = Connection::open(a.address).await;
    stream.send(b"GET /sse/demo HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n").await;
    assert_eq!(stream.head().await.expect("an answer").status, 200);
    let first = stream.piece().await.expect("an event");
    let target = first.split("data: ").nth(1).expect("an address").trim().to_owned();
    let ping = Post::json(&target, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    // Before the handshake only a refusal comes, but it comes on the stream.
    assert_eq!(ping.send(b.address).await.status, 202);
    let message = stream.event().await.expect("an answer on the stream");
    assert_eq!(message["id"], 1);
    let foreign =
        Post::json("/sse/demo?stream=nonsense", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    assert_eq!(foreign.send(b.address).await.status, 404);
}

#[tokio::test]
async fn nobody_but_a_replica_is_served_at_the_replicas_listener() {
    let [a, _b] = two(None).await;
    let address = a.peers;
    for (version, body) in [("1", "not sealed"), ("99", "not sealed"), ("1", "")] {
        let post = Post::json("/hop", json!({})).raw(body).header("portreeve-hop", version);
        let response = post.send(address).await;
        assert!(matches!(response.status, 421 | 426), "{version} {body:?}: {}", response.status);
    }
    assert_eq!(Post::json(DEMO, json!({})).send(address).await.status, 404);
}

#[tokio::test]
async fn a_task_is_reached_through_every_replica() {
    let [mut a, b] = two(None).await;
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let call = Post::call("/mcp/child", "slow_compute", json!({"seconds": 1})).capable(tasks.clone());
    let made = call.send(a.address).await.result();
    assert_eq!(made["resultType"], "task", "{made}");
    let id = made["taskId"].as_str().expect("an id");
    let get = Post::modern("/mcp/child", "tasks/get", json!({"taskId": id})).capable(tasks);
    let get = get.header("Mcp-Name", id);
    let known = get.send(b.address).await.result();
    assert_eq!(known["taskId"], id, "{known}");
    a.kill().await;
    assert_eq!(get.send(b.address).await.refusal().1, -32602, "it went with the child that ran it");
}

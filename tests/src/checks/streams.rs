//! Streams, cancellation, progress, logs and deadlines (checks 61–78), towards clients and servers of both eras.

#![expect(clippy::needless_pass_by_value, reason = "JSON is made where it is passed")]

use super::scripts::{self, child, event, progress, remote, response, text, tools};
use crate::harness::{
    Answer, Connection, Does, Gate, PATIENCE, Place, Places, Post, Scripted, ScriptedStdio, Seen, Session,
    soon,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const UP: &str = "/mcp/up";
const PROGRESS: &str = "notifications/progress";
const LOG: &str = "notifications/message";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const CANCELLED: &str = "notifications/cancelled";

/// A modern call that takes `steps` of this many milliseconds and reports each under this token.
fn countdown(path: &str, steps: u64, interval: u64, token: Value) -> Post {
    let arguments = json!({"steps": steps, "interval_ms": interval});
    Post::call(path, "countdown", arguments).meta("progressToken", token)
}

/// The same from a legacy client.
fn legacy_countdown(session: &Session, steps: u64, interval: u64, token: Value) -> Post {
    let arguments = json!({"steps": steps, "interval_ms": interval});
    let params = json!({"name": "countdown", "arguments": arguments, "_meta": {"progressToken": token}});
    session.request("tools/call", params)
}

/// Asks the demo until it says that this many calls are in this state, and gives its last word.
async fn until_status(gate: &Gate, path: &str, key: &str, wanted: u64) -> Value {
    let asked = async {
        loop {
            let status = gate.call(path, "status", json!({})).await.result()["structuredContent"].clone();
            if status[key] == wanted {
                return status;
            }
        }
    };
    soon(&format!("{key} = {wanted} at {path}"), asked).await
}

fn of<'a>(messages: &'a [Value], method: &str) -> Vec<&'a Value> {
    messages.iter().filter(|message| message["method"] == method).collect()
}

fn cancel_of(id: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": CANCELLED, "params": {"requestId": id}})
}

fn id_of_call(lines: &[(usize, Value)]) -> Value {
    let call = lines.iter().find(|(_, line)| line["method"] == "tools/call");
    call.expect("a call went to the server").1["id"].clone()
}

#[tokio::test]
async fn check_061_062_063_streams_carry_notifications_and_end_with_the_answer() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let path = place.path();
        let plain = countdown(&path, 3, 20, json!("p"));
        let asking = Post::call(&path, "test_streaming_elicitation", json!({}));
        let asking = asking.meta("progressToken", json!("p")).capable(json!({"elicitation": {}}));
        for (post, kind) in [(plain, "complete"), (asking, "input_required")] {
            let response = places.gate.send(&post.id(json!("call"))).await;
            assert_eq!(response.header("content-type"), Some("text/event-stream"), "{place:?}");
            assert_eq!(response.header("x-accel-buffering"), Some("no"), "{place:?}");
            let messages = response.messages();
            let (last, before) = messages.split_last().expect("a stream has an answer");
            assert_eq!(
                (&last["id"], &last["result"]["resultType"]),
                (&json!("call"), &json!(kind)),
                "{place:?}"
            );
            assert!(!before.is_empty(), "{place:?} {kind}");
            for message in before {
                assert!(message["method"] == PROGRESS && message.get("id").is_none(), "{place:?} {message}");
            }
        }
    }
}

#[tokio::test]
async fn check_061_listen_and_session_streams_are_not_buffered_either() {
    let gate = Gate::demo().await;
    let listen = Post::modern("/mcp/demo", "subscriptions/listen", json!({"notifications": {}}));
    let (head, _stream) = listen.open(gate.address).await;
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    let session = gate.session("/mcp/demo", json!({})).await;
    let (head, _stream) = session.listen().await;
    assert_eq!((head.status, head.header("x-accel-buffering")), (200, Some("no")));
}

#[tokio::test]
async fn check_064_a_modern_client_that_closes_its_stream_cancels_at_the_server() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let (_, mut stream) = countdown(&place.path(), 1000, 20, json!(1)).open(places.gate.address).await;
        assert_eq!(stream.event().await.expect("progress")["method"], PROGRESS);
        drop(stream);
        until_status(&places.gate, &place.path(), "cancelled", 1).await;
    }
}

#[tokio::test]
async fn check_064_closing_becomes_a_cancelled_notification_on_pipes() {
    for era in ["legacy", "modern"] {
        let server = ScriptedStdio::start(child(era, |_| Vec::new())).await;
        let gate = Gate::before(server.config(era)).await;
        let mut connection = Connection::open(gate.address).await;
        connection.send(&Post::call(UP, "tool", json!({})).bytes()).await;
        server.until("the call", |line| line["method"] == "tools/call").await;
        drop(connection);
        let told = server.until("the cancellation", |line| line["method"] == CANCELLED).await;
        assert_eq!(told["params"]["requestId"], id_of_call(&server.lines()), "{era}");
        assert!(told.get("id").is_none(), "{era}");
    }
}

#[tokio::test]
async fn check_064_closing_becomes_a_cancelled_notification_or_a_closed_stream_over_http() {
    for era in ["legacy", "modern"] {
        let (writer, reader) = mpsc::channel(1);
        let reader = Mutex::new(Some(reader));
        let stream = move |_: &Seen| Answer::Stream(reader.lock().unwrap().take().expect("one call"));
        let server = Scripted::start(remote(era, stream)).await;
        let gate = Gate::before(server.config(era)).await;
        let mut connection = Connection::open(gate.address).await;
        connection.send(&Post::call(UP, "tool", json!({})).bytes()).await;
        let call = server.until("tools/call", 1).await.remove(0);
        drop(connection);
        soon("the end of the stream to the server", writer.closed()).await;
        let expected = if era == "legacy" { 1 } else { 0 };
        let told = server.until(CANCELLED, expected).await;
        assert_eq!(told.len(), expected, "{era}");
        assert!(told.iter().all(|told| told.body["params"]["requestId"] == call.body["id"]), "{era}");
    }
}

#[tokio::test]
async fn check_065_nothing_follows_a_cancellation() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        let post = legacy_countdown(&session, 1000, 20, json!("p"));
        let (_, mut stream) = post.open(places.gate.address).await;
        stream.event().await.expect("progress");
        let accepted = session.post(cancel_of(&post.body()["id"])).await;
        assert_eq!((accepted.status, accepted.body.len()), (202, 0), "{place:?}");
        // The stream ends, and what it had on its way was progress.
        let rest = stream.events().await;
        assert!(rest.iter().all(|message| message["method"] == PROGRESS), "{place:?}: {rest:?}");
        until_status(&places.gate, &place.path(), "cancelled", 1).await;
    }
}

#[tokio::test]
async fn check_066_a_disconnect_of_a_legacy_client_cancels_nothing() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        let (_, mut stream) = legacy_countdown(&session, 20, 20, json!("p")).open(places.gate.address).await;
        stream.event().await.expect("progress");
        drop(stream);
        let status = until_status(&places.gate, &place.path(), "running", 0).await;
        assert_eq!(status["cancelled"], 0, "{place:?}");
        assert!(status["finished"].as_u64() >= Some(1), "{place:?}");
    }
}

#[tokio::test]
async fn check_067_cancelling_what_is_unknown_or_over_is_silent() {
    let server = ScriptedStdio::start(child("legacy", |message| {
        // The server cancels something that it never asked, too.
        vec![Does::Says(cancel_of(&json!("never asked"))), Does::result(message, text("done"))]
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, json!({"elicitation": {}})).await;
    let call = session.request("tools/call", json!({"name": "tool", "arguments": {}}));
    assert_eq!(gate.send(&call).await.said(), "done");
    for id in [json!(4711), json!("unknown"), call.body()["id"].clone(), json!(null)] {
        let response = session.post(cancel_of(&id)).await;
        assert_eq!((response.status, response.body.len()), (202, 0), "{id}");
    }
    let modern = Post::json(UP, cancel_of(&json!(1))).header("MCP-Protocol-Version", crate::harness::MODERN);
    assert_eq!(gate.send(&modern).await.status, 202);
    assert_eq!(session.call("tool", json!({})).await.said(), "done");
    assert!(server.methods().iter().all(|(_, method)| method != CANCELLED), "{:?}", server.methods());
}

#[tokio::test]
async fn check_068_initialize_is_never_cancelled() {
    let pipe = ScriptedStdio::start(|_, message: &Value| match message["method"].as_str() {
        Some("server/discover") => vec![Does::error(message, -32601, "Method not found")],
        _ => Vec::new(),
    })
    .await;
    let http = Scripted::start(|request: &Seen| match request.method() {
        "initialize" => Answer::Silence,
        _ => Answer::Empty(202),
    })
    .await;
    let mut slow = [pipe.config("legacy"), http.config("legacy")];
    slow.iter_mut().for_each(|config| config["timeouts"] = json!({"call": "500ms", "connect": "500ms"}));
    let [pipe_config, http_config] = slow;
    let gate = Gate::of().server("pipe", pipe_config).server("http", http_config).start().await;
    let paths = ["/mcp/pipe", "/mcp/http"];
    // One client goes away, another waits until the gate gives up.
    for path in paths {
        let mut connection = Connection::open(gate.address).await;
        connection.send(&Post::call(path, "tool", json!({})).bytes()).await;
        let refused = gate.call(path, "tool", json!({})).await;
        assert!(refused.message()["error"]["code"].is_i64(), "{path}");
    }
    gate.end().await;
    assert!(pipe.methods().iter().any(|(_, method)| method == "initialize"));
    assert!(pipe.methods().iter().all(|(_, method)| method != CANCELLED), "{:?}", pipe.methods());
    assert!(!http.of("initialize").is_empty() && http.of(CANCELLED).is_empty());
}

#[tokio::test]
async fn check_069_a_late_answer_to_a_cancelled_request_is_dropped() {
    for era in ["legacy", "modern"] {
        let open = Mutex::new(Value::Null);
        let server = ScriptedStdio::start(child(era, move |message| match message["method"].as_str() {
            Some("tools/call") if open.lock().unwrap().is_null() => {
                *open.lock().unwrap() = message["id"].clone();
                Vec::new()
            }
            Some(CANCELLED) => vec![Does::Says(response(&open.lock().unwrap(), text("late")))],
            Some("tools/call") => vec![Does::result(message, text("second"))],
            _ => Vec::new(),
        }))
        .await;
        let gate = Gate::before(server.config(era)).await;
        let mut connection = Connection::open(gate.address).await;
        connection.send(&Post::call(UP, "tool", json!({})).bytes()).await;
        server.until("the call", |line| line["method"] == "tools/call").await;
        drop(connection);
        server.until("the cancellation", |line| line["method"] == CANCELLED).await;
        assert_eq!(gate.call(UP, "tool", json!({})).await.said(), "second", "{era}");
        assert_eq!(gate.call(UP, "tool", json!({})).await.said(), "second", "{era}");
    }
}

#[tokio::test]
async fn check_070_progress_tokens_are_unique_upstream_and_mapped_back() {
    for era in ["legacy", "modern"] {
        let first = Mutex::new(None::<Value>);
        // Both calls are open before either is told anything; then the second goes first.
        let server = ScriptedStdio::start(child(era, move |message| {
            let Some(earlier) = first.lock().unwrap().take() else {
                *first.lock().unwrap() = Some(message.clone());
                return Vec::new();
            };
            vec![
                Does::Says(progress(message, 2)),
                Does::Says(progress(&earlier, 1)),
                Does::result(message, text("2")),
                Does::result(&earlier, text("1")),
            ]
        }))
        .await;
        let gate = Gate::before(server.config(era)).await;
        for tokens in [[json!("same"), json!("same")], [json!(7), json!("7")]] {
            let posts =
                tokens.clone().map(|token| Post::call(UP, "tool", json!({})).meta("progressToken", token));
            let answers = join_all(posts.iter().map(|post| gate.send(post))).await;
            for (answer, token) in answers.iter().zip(&tokens) {
                let messages = answer.messages();
                let told = of(&messages, PROGRESS);
                assert_eq!(told.len(), 1, "{era} {messages:?}");
                assert_eq!(&told[0]["params"]["progressToken"], token, "{era}");
                assert_eq!(
                    told[0]["params"]["progress"].to_string(),
                    answer.said(),
                    "{era}: the other's progress"
                );
            }
        }
        let calls = server.lines().into_iter().filter(|(_, line)| line["method"] == "tools/call");
        let mut tokens: Vec<String> =
            calls.map(|(_, line)| line["params"]["_meta"]["progressToken"].to_string()).collect();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 4, "{era}");
    }
}

#[tokio::test]
async fn check_071_072_progress_only_goes_forward_and_stops_with_the_answer() {
    let server = ScriptedStdio::start(child("legacy", |message| match message["method"].as_str() {
        Some("tools/call") => [1, 5, 3, 5]
            .map(|value| Does::Says(progress(message, value)))
            .into_iter()
            .chain([Does::Says(question(message))])
            .collect(),
        // The answer to the question: its id is the call's, and so is the token.
        _ if message["result"].is_object() => {
            let call = json!({"id": message["id"], "params": {"_meta": {"progressToken": message["id"]}}});
            let told = [2, 6, 4, 9].map(|value| Does::Says(progress(&call, value)));
            let end = [Does::result(&call, text("end")), Does::Says(progress(&call, 10))];
            told.into_iter().chain(end).collect()
        }
        _ => Vec::new(),
    }))
    .await;
    fn question(call: &Value) -> Value {
        scripts::question(call["id"].clone(), "Who?")
    }
    let gate = Gate::before(server.config("legacy")).await;
    let call = Post::call(UP, "tool", json!({})).capable(json!({"elicitation": {}}));
    let first = gate.send(&call.clone().meta("progressToken", json!("a"))).await;
    let asked = first.result();
    let key = asked["inputRequests"].as_object().expect("questions").keys().next().expect("one").clone();
    let retry = call.clone().id(json!(2)).meta("progressToken", json!("b"));
    let retry = retry.param("requestState", asked["requestState"].clone());
    let second = gate.send(&retry.param("inputResponses", json!({key: scripts::accept("x")}))).await;
    let values = |response: &crate::harness::Response, token: &str| -> Vec<Value> {
        let messages = response.messages();
        let told = of(&messages, PROGRESS);
        assert!(told.iter().all(|message| message["params"]["progressToken"] == token), "{messages:?}");
        told.iter().map(|message| message["params"]["progress"].clone()).collect()
    };
    assert_eq!(values(&first, "a"), [1, 5]);
    assert_eq!(values(&second, "b"), [6, 9]);
    assert_eq!(second.said(), "end");
    assert!(second.message()["result"].is_object(), "the answer comes last");
}

#[tokio::test]
async fn check_072_no_progress_after_the_answer_of_a_remote_server() {
    for era in ["legacy", "modern"] {
        let server = Scripted::start(remote(era, |request: &Seen| {
            let told = |value| progress(&request.body, value);
            Answer::Events(vec![told(1), response(&request.body["id"], text("end")), told(2)])
        }))
        .await;
        let gate = Gate::before(server.config(era)).await;
        let call = Post::call(UP, "tool", json!({})).meta("progressToken", json!("p"));
        let session = gate.session(UP, json!({})).await;
        let params = json!({"name": "tool", "arguments": {}, "_meta": {"progressToken": "p"}});
        for response in [gate.send(&call).await, session.ask("tools/call", params).await] {
            let messages = response.messages();
            assert_eq!(messages.len(), 2, "{era} {messages:?}");
            assert_eq!((response.said(), &messages[0]["params"]["progress"]), ("end".to_owned(), &json!(1)));
        }
    }
}

fn levels(messages: &[Value]) -> Vec<String> {
    of(messages, LOG).iter().map(|log| log["params"]["level"].as_str().unwrap_or("none").to_owned()).collect()
}

#[tokio::test]
async fn check_073_074_log_messages_come_only_as_asked_for() {
    let places = Places::start(&Place::ALL).await;
    let rows: [(Option<&str>, usize); 5] =
        [(None, 0), (Some("debug"), 8), (Some("warning"), 5), (Some("emergency"), 1), (None, 0)];
    for place in Place::ALL {
        // One after another on the same session: the level of one request must not stay for the next.
        for (level, count) in rows {
            let post = Post::call(&place.path(), "log_messages", json!({}));
            let post = level.map_or(post.clone(), |level| post.meta(LOG_LEVEL, json!(level)));
            let messages = places.gate.send(&post).await.messages();
            assert_eq!(levels(&messages).len(), count, "{place:?} {level:?} {messages:?}");
        }
        let session = places.gate.session(&place.path(), json!({})).await;
        session.ask("logging/setLevel", json!({"level": "error"})).await.result();
        let messages = session.call("log_messages", json!({})).await.messages();
        assert_eq!(levels(&messages), ["error", "critical", "alert", "emergency"], "{place:?}");
    }
}

#[tokio::test]
async fn check_075_log_messages_keep_to_the_stream_of_their_request() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let notifications = json!({"notifications": {"toolsListChanged": true}});
        let listen = Post::modern(&place.path(), "subscriptions/listen", notifications);
        let (_, mut stream) = listen.meta(LOG_LEVEL, json!("debug")).open(places.gate.address).await;
        let first = stream.event().await.expect("an acknowledgement");
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{place:?}");
        let log = Post::call(&place.path(), "log_messages", json!({})).meta(LOG_LEVEL, json!("debug"));
        assert_eq!(levels(&places.gate.send(&log).await.messages()).len(), 8, "{place:?}");
        places.gate.call(&place.path(), "change_list", json!({"list": "tools"})).await.said();
        let next = stream.event().await.expect("a change");
        assert_eq!(next["method"], "notifications/tools/list_changed", "{place:?}: {next}");
    }
}

#[tokio::test]
async fn check_075_a_log_message_that_may_be_about_another_call_is_shown_to_nobody() {
    let first = Mutex::new(None::<Value>);
    let server = ScriptedStdio::start(child("legacy", move |message| {
        let Some(earlier) = first.lock().unwrap().take() else {
            *first.lock().unwrap() = Some(message.clone());
            return Vec::new();
        };
        let log = json!({"jsonrpc": "2.0", "method": LOG, "params": {"level": "error", "data": "whose?"}});
        vec![Does::Says(log), Does::result(message, text("2")), Does::result(&earlier, text("1"))]
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let post = Post::call(UP, "tool", json!({})).meta(LOG_LEVEL, json!("debug"));
    let answers = join_all([gate.send(&post), gate.send(&post)]).await;
    let mut said: Vec<String> = answers.iter().map(crate::harness::Response::said).collect();
    said.sort();
    assert_eq!(said, ["1", "2"]);
    assert!(answers.iter().all(|answer| levels(&answer.messages()).is_empty()), "{answers:?}");
}

#[tokio::test]
async fn check_076_an_unknown_log_level_is_refused() {
    let gate = Gate::demo().await;
    let session = gate.session("/mcp/demo", json!({})).await;
    for level in [json!("loud"), json!("WARNING"), json!(""), json!(3), json!(null)] {
        let post = Post::call("/mcp/demo", "hello", json!({})).meta(LOG_LEVEL, level.clone());
        assert_eq!(gate.send(&post).await.refusal(), (200, -32602), "{level}");
        let set = session.ask("logging/setLevel", json!({"level": level})).await;
        assert_eq!(set.refusal(), (200, -32602), "{level}");
    }
}

#[tokio::test]
async fn check_077_a_call_ends_at_its_cap_though_progress_keeps_coming() {
    let keys = json!({"timeouts": {"call": "2s", "progress_cap": "4s"}});
    let places = Places::with(Gate::of(), &Place::OUTSIDE, &keys).await;
    for place in Place::OUTSIDE {
        // Warm, so that the deadline is the call's own.
        places.gate.call(&place.path(), "hello", json!({})).await.said();
    }
    let gate = &places.gate;
    join_all(Place::OUTSIDE.map(|place| Box::pin(capped(gate, place)))).await;
}

async fn capped(gate: &Gate, place: Place) {
    let path = place.path();
    let session = gate.session(&path, json!({})).await;
    let posts = [countdown(&path, 1000, 100, json!("m")), legacy_countdown(&session, 1000, 100, json!("l"))];
    let began = Instant::now();
    for response in join_all(posts.iter().map(|post| Box::pin(gate.send(post)))).await {
        assert_eq!(response.refusal().1, -31003, "{place:?}");
        assert!(!of(&response.messages(), PROGRESS).is_empty(), "{place:?}");
    }
    assert!(began.elapsed() >= Duration::from_secs(4), "{place:?}: progress extends the call up to its cap");
    // The server was told of both.
    until_status(gate, &path, "cancelled", 2).await;
}

#[tokio::test]
async fn check_077_without_progress_the_plain_deadline_holds() {
    let keys = json!({"timeouts": {"call": "1s"}});
    let places = Places::with(Gate::of(), &Place::OUTSIDE, &keys).await;
    for place in Place::OUTSIDE {
        // Warm, so that the deadline is the call's own.
        places.gate.call(&place.path(), "hello", json!({})).await.said();
        let slow = json!({"steps": 1, "interval_ms": 10_000});
        let response = places.gate.call(&place.path(), "countdown", slow).await;
        assert_eq!(response.refusal(), (200, -31003), "{place:?}");
        until_status(&places.gate, &place.path(), "cancelled", 1).await;
    }
}

#[tokio::test]
async fn check_078_idle_streams_are_kept_alive_by_comments() {
    let gate = Gate::of()
        .server("demo", json!({"builtin": "demo"}))
        .set("mcp", json!({"sse_after": "100ms"}))
        .start()
        .await;
    // A silent call becomes a stream whose only message is the answer.
    let slow = json!({"steps": 1, "interval_ms": 1000});
    let response = gate.call("/mcp/demo", "countdown", slow).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!((response.messages().len(), response.said()), (1, "Counted 1 steps.".to_owned()));
    let listen = Post::modern("/mcp/demo", "subscriptions/listen", json!({"notifications": {}}));
    let (_, mut stream) = listen.open(gate.address).await;
    stream.event().await.expect("an acknowledgement");
    let piece = soon("a comment", stream.piece()).await.expect("the stream stands");
    assert!(piece.starts_with(':') && piece.ends_with("\n\n"), "{piece:?}");
    assert!(PATIENCE > Duration::from_secs(15), "the comment comes every 15 s");
}

#[tokio::test]
async fn check_078_comments_of_servers_are_ignored() {
    for era in ["legacy", "modern"] {
        let server = Scripted::start(remote(era, |request: &Seen| {
            let (writer, reader) = mpsc::channel(8);
            let answer = event(&response(&request.body["id"], text("said")));
            for piece in [": one\n\n".to_owned(), ":\n\n".to_owned(), format!(": x\n{answer}")] {
                writer.try_send(piece).expect("there is room");
            }
            Answer::Stream(reader)
        }))
        .await;
        let gate = Gate::before(server.config(era)).await;
        let response = gate.call(UP, "tool", json!({})).await;
        assert_eq!((response.said(), response.messages().len()), ("said".to_owned(), 1), "{era}");
        assert_eq!(
            tools()[0]["name"],
            gate.ask(UP, "tools/list", json!({})).await.result()["tools"][0]["name"]
        );
    }
}

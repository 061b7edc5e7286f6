//! Streams of legacy sessions that break and are taken up again (checks 66, 153, 155, 161): what follows the client's last
//! event comes, from that stream of that session and no other, whatever happened to the call meanwhile.

use super::scripts::{child, progress, response, text};
use crate::harness::{
    Answer, Connection, Does, Gate, Place, Places, Post, Response, Scripted, ScriptedStdio, Session, Told,
    legacy_answers, soon,
};
use serde_json::{Value, json};

const DEMO: &str = "/mcp/demo";
const PROGRESS: &str = "notifications/progress";

/// A call that reports this many steps.
fn countdown(session: &Session, steps: u64, interval: u64) -> Post {
    let arguments = json!({"steps": steps, "interval_ms": interval});
    session.request(
        "tools/call",
        json!({"name": "countdown", "arguments": arguments, "_meta": {"progressToken": "p"}}),
    )
}

/// Waits until no call runs at the demo.
async fn until_still(gate: &Gate, path: &str) -> Value {
    let asked = async {
        loop {
            let status = gate.call(path, "status", json!({})).await.result()["structuredContent"].clone();
            if status["running"] == 0 {
                return status;
            }
        }
    };
    soon("the end of all calls", asked).await
}

fn steps(messages: &[Value]) -> Vec<u64> {
    let told = messages.iter().filter(|message| message["method"] == PROGRESS);
    told.map(|message| message["params"]["progress"].as_u64().expect("a number")).collect()
}

/// Everything after this event.
async fn rest(session: &Session, last: &str) -> Vec<Value> {
    let (head, mut stream) = session.resume(last).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "after {last}");
    stream.events().await
}

async fn refused(session: &Session, last: &str) -> Response {
    let mut connection = session.resume_raw(last).await;
    connection.response().await
}

#[tokio::test]
async fn check_155_a_stream_goes_on_after_the_last_event() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        let post = countdown(&session, 20, 20);
        let (_, mut stream) = post.open(places.gate.address).await;
        assert_eq!(steps(&[stream.event().await.expect("progress")]), [1], "{place:?}");
        assert_eq!(steps(&[stream.event().await.expect("progress")]), [2], "{place:?}");
        let last = stream.last_id().to_owned();
        drop(stream);
        let messages = rest(&session, &last).await;
        assert_eq!(steps(&messages), (3..=20).collect::<Vec<_>>(), "{place:?}: each once, in order");
        let answer = messages.last().expect("an answer");
        assert_eq!(answer["id"], post.body()["id"], "{place:?}");
        assert_eq!(answer["result"]["content"][0]["text"], "Counted 20 steps.", "{place:?}");
        // What was read is kept for a while: the connection may have broken before it arrived.
        assert_eq!(rest(&session, &last).await, messages, "{place:?}");
    }
}

#[tokio::test]
async fn check_155_ids_name_one_stream_of_one_session() {
    let gate = Gate::demo().await;
    let [one, two] = [gate.session(DEMO, json!({})).await, gate.session(DEMO, json!({})).await];
    let mut ids = Vec::new();
    for post in [countdown(&one, 3, 5), countdown(&one, 3, 5)] {
        let (_, mut stream) = post.open(gate.address).await;
        while let Some(told) = stream.told().await {
            ids.push((
                post.body()["id"].clone(),
                told.field("id").expect("every event has an id").to_owned(),
            ));
        }
    }
    let mut unique: Vec<_> = ids.iter().map(|(_, id)| id.clone()).collect();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "an id names one event: {ids:?}");
    for (call, id) in &ids {
        let is_last = ids.iter().rfind(|(other, _)| other == call).is_some_and(|(_, last)| last == id);
        match is_last {
            true => assert_eq!(refused(&one, id).await.status, 405, "{id}: nothing follows it"),
            false => assert_eq!(rest(&one, id).await.last().expect("the answer")["id"], *call, "{id}"),
        }
        // In another session there is no such event, nor one that was made up.
        let foreign = refused(&two, id).await;
        let unknown = refused(&two, &id.replace('c', "c1")).await;
        assert_eq!((foreign.refusal(), foreign.body), ((400, -32600), unknown.body));
    }
    let far = ids[0].1.rsplit_once('-').expect("a number at the end").0.to_owned() + "-4711";
    for wrong in [far.as_str(), "", "-", "c-1", "xyz", "c1", "c1-", "s1-x", "\u{7f}"] {
        assert_eq!(refused(&one, wrong).await.status, 400, "{wrong:?}");
    }
}

#[tokio::test]
async fn check_155_nothing_follows_the_last_event_of_a_call_that_is_over() {
    let gate = Gate::demo().await;
    let session = gate.session(DEMO, json!({})).await;
    let post = countdown(&session, 1000, 20);
    let (_, mut stream) = post.open(gate.address).await;
    assert_eq!(steps(&[stream.event().await.expect("progress")]), [1]);
    let params = json!({"requestId": post.body()["id"]});
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    assert_eq!(session.post(cancelled).await.status, 202);
    let told = stream.events().await;
    assert!(told.iter().all(|message| message["method"] == PROGRESS), "no answer comes: {told:?}");
    // A stream that ends at once would be taken up again and again.
    let over = refused(&session, stream.last_id()).await;
    assert_eq!(over.refusal(), (405, -32600));
    assert_eq!(over.header("allow"), Some("GET, POST, DELETE"));
    let answered = countdown(&session, 2, 1);
    let (_, mut stream) = answered.open(gate.address).await;
    let first = stream.told().await.and_then(|told| told.field("id").map(str::to_owned)).expect("an id");
    assert_eq!(stream.events().await.last().expect("the answer")["id"], answered.body()["id"]);
    assert_eq!(refused(&session, stream.last_id()).await.status, 405);
    assert_eq!(rest(&session, &first).await.last().expect("the answer")["id"], answered.body()["id"]);
}

#[tokio::test]
async fn check_155_nobody_else_can_take_a_stream_up() {
    let keys = json!([
        {"name": "one", "secret": "one-0123456789abcdef", "allow": [{"server": "*"}]},
        {"name": "two", "secret": "two-0123456789abcdef", "allow": [{"server": "*"}]},
    ]);
    let gate = Gate::of().server("demo", json!({"builtin": "demo"})).set("keys", keys).start().await;
    let bearer = |key: &str| format!("Bearer {key}-0123456789abcdef");
    let hello = Session::initialize(DEMO, "2025-11-25", &json!({})).header("Authorization", &bearer("one"));
    let id = gate.send(&hello).await.header("mcp-session-id").expect("a session").to_owned();
    let params = json!({"name": "countdown", "arguments": {"steps": 2, "interval_ms": 1}, "_meta": {"progressToken": 1}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let call = Post::json(DEMO, call).header("Mcp-Session-Id", &id).header("Authorization", &bearer("one"));
    let (_, mut stream) = call.open(gate.address).await;
    stream.event().await.expect("progress");
    let last = stream.last_id().to_owned();
    let get = |key: &str| {
        format!(
            "GET {DEMO} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {id}\r\n\
             Last-Event-ID: {last}\r\nAuthorization: {}\r\n\r\n",
            bearer(key)
        )
    };
    assert_eq!(gate.raw(get("two").as_bytes()).await.status, 404, "to others the session does not exist");
    assert_eq!(gate.raw(get("one").as_bytes()).await.message()["id"], 1);
}

#[tokio::test]
async fn check_066_155_what_ended_while_nobody_read_is_told_later() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        let (_, mut stream) = countdown(&session, 10, 10).open(places.gate.address).await;
        stream.event().await.expect("progress");
        let last = stream.last_id().to_owned();
        drop(stream);
        until_still(&places.gate, &place.path()).await;
        let messages = rest(&session, &last).await;
        assert_eq!(steps(&messages), (2..=10).collect::<Vec<_>>(), "{place:?}");
        assert!(messages.last().is_some_and(|answer| answer["result"].is_object()), "{place:?}");
    }
}

#[tokio::test]
async fn check_155_a_question_waits_for_a_client_that_comes_back() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        let (_, mut stream) = session.open_call("ask_name", json!({})).await;
        let start = stream.told().await.expect("the beginning").field("id").expect("an id").to_owned();
        let asked = stream.event().await.expect("a question");
        drop(stream);
        // It comes again, as it was, and its answer goes to the call.
        let (_, mut stream) = session.resume(&start).await;
        assert_eq!(stream.event().await.as_ref(), Some(&asked), "{place:?}");
        let accepted = session.answer(&asked, json!({"action": "accept", "content": {"name": "Ada"}})).await;
        assert_eq!(accepted.status, 202, "{place:?}");
        let answer = stream.events().await.pop().expect("an answer");
        assert_eq!(answer["result"]["content"][0]["text"], "Hello, Ada!", "{place:?}");
    }
}

#[tokio::test]
async fn check_155_a_question_is_answered_whose_stream_is_gone() {
    let gate = Gate::demo().await;
    let session = gate.session(DEMO, json!({"elicitation": {}})).await;
    let (_, mut stream) = session.open_call("ask_name", json!({})).await;
    let asked = stream.event().await.expect("a question");
    let last = stream.last_id().to_owned();
    drop(stream);
    session.answer(&asked, json!({"action": "accept", "content": {"name": "Ada"}})).await;
    until_still(&gate, DEMO).await;
    let messages = rest(&session, &last).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["result"]["content"][0]["text"], "Hello, Ada!");
}

#[tokio::test]
async fn check_155_a_question_that_nobody_comes_back_for_is_given_up() {
    let gate = Gate::of().set("limits", json!({"replay_wait": "200ms"}));
    // Where one process waits and tells about all its calls, it can be seen how this one ends.
    let all = [Place::BuiltIn, Place::HttpLegacy];
    let places = Places::with(gate, &all, &json!({})).await;
    for place in all {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        let (_, mut stream) = session.open_call("ask_name", json!({})).await;
        stream.event().await.expect("a question");
        let last = stream.last_id().to_owned();
        drop(stream);
        // The call itself goes on.
        assert_eq!(until_still(&places.gate, &place.path()).await["cancelled"], 0, "{place:?}");
        let messages = rest(&session, &last).await;
        let answer = messages.last().expect("an answer");
        assert_eq!(answer["result"]["isError"], true, "{place:?} {messages:?}");
    }
}

#[tokio::test]
async fn check_153_155_a_newer_connection_takes_the_stream_over() {
    let gate = Gate::demo().await;
    let session = gate.session(DEMO, json!({})).await;
    let (_, mut first) = countdown(&session, 40, 20).open(gate.address).await;
    first.event().await.expect("progress");
    let last = first.last_id().to_owned();
    let (_, mut second) = session.resume(&last).await;
    let before = second.event().await.expect("progress");
    let early = first.events().await;
    let (_, mut third) = session.resume(second.last_id()).await;
    let late = third.events().await;
    let middle = second.events().await;
    assert!(!steps(&early).contains(&40) && !steps(&middle).contains(&40), "older connections end");
    let all = [steps(&[before]), steps(&middle), steps(&late)].concat();
    assert_eq!(late.last().expect("an answer")["result"]["content"][0]["text"], "Counted 40 steps.");
    assert!(all.is_sorted() && all.ends_with(&[40]), "{all:?}");
}

#[tokio::test]
async fn check_155_a_full_ring_forgets_the_oldest() {
    let limits = json!({"replay_events": 16});
    let gate = Gate::of().server("demo", json!({"builtin": "demo"})).set("limits", limits).start().await;
    let session = gate.session(DEMO, json!({})).await;
    let (_, mut stream) = countdown(&session, 200, 0).open(gate.address).await;
    let start = stream.told().await.expect("the beginning").field("id").expect("an id").to_owned();
    drop(stream);
    until_still(&gate, DEMO).await;
    let messages = rest(&session, &start).await;
    assert_eq!(steps(&messages), (186..=200).collect::<Vec<_>>());
    assert!(messages.last().is_some_and(|answer| answer["result"].is_object()));
}

#[tokio::test]
async fn check_155_an_answer_that_is_too_large_to_keep_says_so() {
    let server = ScriptedStdio::start(child("legacy", |message| match message["method"].as_str() {
        Some("tools/call") => {
            vec![Does::Says(progress(message, 1)), Does::result(message, text(&"x".repeat(64 << 10)))]
        }
        _ => Vec::new(),
    }))
    .await;
    let gate =
        Gate::of().server("up", server.config("legacy")).set("limits", json!({"replay_bytes": "16KiB"}));
    let gate = gate.start().await;
    let session = gate.session("/mcp/up", json!({})).await;
    let params = json!({"name": "tool", "arguments": {}, "_meta": {"progressToken": 1}});
    let post = session.request("tools/call", params);
    let (_, mut stream) = post.open(gate.address).await;
    let start = stream.told().await.expect("the beginning").field("id").expect("an id").to_owned();
    let messages = stream.events().await;
    assert!(messages.last().is_some_and(|answer| answer["result"].is_object()), "read at once it is whole");
    let again = rest(&session, &start).await;
    let answer = again.last().expect("an answer");
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&post.body()["id"], &json!(-31011)));
}

#[tokio::test]
async fn check_151_155_nothing_is_left_of_a_session_that_ended() {
    let gate = Gate::demo().await;
    let session = gate.session(DEMO, json!({})).await;
    let (_, mut stream) = countdown(&session, 1000, 20).open(gate.address).await;
    stream.event().await.expect("progress");
    let last = stream.last_id().to_owned();
    drop(stream);
    let (_, mut again) = session.resume(&last).await;
    again.event().await.expect("progress");
    session.delete().await;
    // The stream ends without an answer, the call is cancelled, and the session is no more.
    assert!(again.events().await.iter().all(|message| message["method"] == PROGRESS));
    assert_eq!(until_still(&gate, DEMO).await["cancelled"], 1);
    assert_eq!(refused(&session, &last).await.status, 404);
}

#[tokio::test]
async fn check_155_the_sessions_own_stream_is_taken_up_too() {
    let gate = Gate::demo().await;
    let session = gate.session(DEMO, json!({})).await;
    let (_, mut stream) = session.listen().await;
    let change = async |list: &str| drop(session.call("change_list", json!({"list": list})).await);
    let changed = |list: &str| format!("notifications/{list}/list_changed");
    change("tools").await;
    assert_eq!(stream.event().await.expect("a change")["method"], changed("tools"));
    let last = stream.last_id().to_owned();
    change("prompts").await;
    assert_eq!(stream.event().await.expect("a change")["method"], changed("prompts"));
    drop(stream);
    let (_, mut stream) = session.resume(&last).await;
    assert_eq!(stream.event().await.expect("what was sent before")["method"], changed("prompts"));
    change("resources").await;
    until(&mut stream, &changed("resources")).await;
    // Where nothing is known of it, it begins anew.
    let other = gate.session(DEMO, json!({})).await;
    let (head, mut stream) = other.resume(&last).await;
    assert_eq!(head.status, 200);
    change("prompts").await;
    until(&mut stream, &changed("prompts")).await;
}

async fn until(stream: &mut Connection, method: &str) {
    while stream.event().await.expect("the stream stands")["method"] != method {}
}

#[tokio::test]
async fn check_155_older_revisions_have_ids_and_no_empty_event() {
    let gate = Gate::demo().await;
    for (version, first) in [("2025-11-25", true), ("2025-06-18", false), ("2025-03-26", false)] {
        let session = Session::open(gate.address, DEMO, version, json!({})).await;
        let (_, mut stream) = countdown(&session, 3, 5).open(gate.address).await;
        let told = stream.told().await.expect("an event");
        assert_eq!((told.message().is_none(), told.field("retry").is_some()), (first, first), "{version}");
        let last = told.field("id").expect("an id").to_owned();
        drop(stream);
        let messages = rest(&session, &last).await;
        assert_eq!(steps(&messages).first(), Some(&if first { 1 } else { 2 }), "{version}");
        assert!(messages.last().is_some_and(|answer| answer["result"].is_object()), "{version}");
    }
}

#[tokio::test]
async fn check_155_a_server_may_close_a_stream_and_be_asked_again() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({})).await;
        let post = session.request("tools/call", json!({"name": "test_reconnection", "arguments": {}}));
        let (head, mut stream) = post.open(places.gate.address).await;
        // Pipes and modern servers have no such streams: the answer just comes.
        if !matches!(place, Place::BuiltIn | Place::HttpLegacy) {
            assert_eq!(head.header("content-type"), Some("application/json"), "{place:?}");
            continue;
        }
        let first = stream.told().await.expect("the beginning");
        assert!(first.message().is_none() && first.field("id").is_some(), "{place:?} {}", first.text);
        let second = stream.told().await.expect("when to come back");
        assert_eq!((second.message(), second.field("retry")), (None, Some("50")), "{place:?}");
        assert!(stream.told().await.is_none(), "{place:?}: the stream ends without the answer");
        let messages = rest(&session, first.field("id").expect("an id")).await;
        assert_eq!(messages.len(), 1, "{place:?} {messages:?}");
        assert_eq!(messages[0]["id"], post.body()["id"], "{place:?}");
        assert_eq!(messages[0]["result"]["content"][0]["text"], "Still here.", "{place:?}");
    }
}

#[tokio::test]
async fn check_155_161_a_closed_stream_is_passed_on_to_those_who_know_it() {
    let waiting = std::sync::Mutex::new(Value::Null);
    let server = Scripted::start(move |seen| match (seen.verb.as_str(), seen.method()) {
        ("POST", "tools/call") => {
            waiting.lock().expect("not poisoned").clone_from(&seen.body["id"]);
            let (events, stream) = tokio::sync::mpsc::channel(1);
            events.try_send("id: theirs-17\nretry: 20\ndata: \n\n".to_owned()).expect("there is room");
            Answer::Stream(stream)
        }
        ("GET", _) if seen.header("last-event-id") == Some("theirs-17") => {
            let id = waiting.lock().expect("not poisoned").clone();
            Answer::Events(vec![response(&id, text("resumed"))])
        }
        _ => legacy_answers(seen, &super::scripts::tools()),
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    assert_eq!(gate.call("/mcp/up", "tool", json!({})).await.said(), "resumed", "a modern client");
    for (version, closed) in [("2025-06-18", false), ("2025-11-25", true)] {
        let session = Session::open(gate.address, "/mcp/up", version, json!({})).await;
        let post = session.request("tools/call", json!({"name": "tool", "arguments": {}}));
        let (_, mut stream) = post.open(gate.address).await;
        let mut all = Vec::new();
        while let Some(told) = stream.told().await {
            all.push(told);
        }
        let last = stream.last_id().to_owned();
        assert!(all.iter().all(|told| !told.text.contains("theirs")), "{all:?}");
        assert_eq!(all.iter().any(|told| told.field("retry") == Some("20")), closed, "{all:?}");
        let answers: Vec<_> = all.iter().filter_map(Told::message).collect();
        let answers = if closed { rest(&session, &last).await } else { answers };
        assert_eq!(answers.last().expect("an answer")["result"]["content"][0]["text"], "resumed");
    }
}

#[tokio::test]
async fn check_161_a_server_that_wants_to_be_asked_again_is_asked() {
    let waiting = std::sync::Mutex::new(Value::Null);
    let closing = |event: u32| {
        let (events, stream) = tokio::sync::mpsc::channel(1);
        events.try_send(format!("id: e-{event}\nretry: 1\ndata: \n\n")).expect("there is room");
        Answer::Stream(stream)
    };
    let server = Scripted::start(move |seen| {
        let after = seen.header("last-event-id").and_then(|id| id.strip_prefix("e-")?.parse::<u32>().ok());
        match (seen.verb.as_str(), seen.method(), after) {
            ("POST", "tools/call", _) => {
                waiting.lock().expect("not poisoned").clone_from(&seen.body["id"]);
                closing(0)
            }
            ("GET", _, Some(12)) => {
                let id = waiting.lock().expect("not poisoned").clone();
                Answer::Events(vec![response(&id, text("at last"))])
            }
            ("GET", _, Some(event)) => closing(event + 1),
            _ => legacy_answers(seen, &super::scripts::tools()),
        }
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    assert_eq!(gate.call("/mcp/up", "tool", json!({})).await.said(), "at last");
    assert_eq!(server.of("tools/call").len(), 1);
}

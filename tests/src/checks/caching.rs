//! Subscriptions and caches (checks 114–129), towards clients and servers of both eras.

#![expect(clippy::needless_pass_by_value, reason = "JSON is made where it is passed")]

mod kept;
mod shared;

use super::scripts::{child, legacy_child, modern_child, tools};
use crate::harness::{
    Answer, Connection, Does, Gate, Place, Places, Post, Response, Scripted, ScriptedStdio, Seen,
    legacy_answers, modern_answers, soon,
};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc;

const UP: &str = "/mcp/up";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

fn listen(path: &str, id: Value, notifications: Value) -> Post {
    Post::modern(path, "subscriptions/listen", json!({"notifications": notifications})).id(id)
}

/// Opens a stream and reads its first message, which has to be the acknowledgement.
async fn opened(gate: &Gate, post: &Post) -> (Value, Connection) {
    let (head, mut stream) = post.open(gate.address).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let first = stream.event().await.expect("an acknowledgement");
    assert_eq!(first["method"], ACKNOWLEDGED, "{first}");
    assert_eq!(subscription(&first), &post.body()["id"], "{first}");
    (first["params"]["notifications"].clone(), stream)
}

fn subscription(message: &Value) -> &Value {
    &message["params"]["_meta"][SUBSCRIPTION]
}

async fn call(gate: &Gate, path: &str, tool: &str, arguments: Value) {
    gate.call(path, tool, arguments).await.said();
}

fn everything() -> Value {
    json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": ["demo://note"]})
}

/// Where a subscription that follows another one is certain to stand.
const SURE: [Place; 4] = [Place::BuiltIn, Place::StdioLegacy, Place::StdioModern, Place::HttpModern];

#[tokio::test]
async fn check_114_115_116_streams_begin_with_their_acknowledgement_and_carry_only_what_was_asked_for() {
    acknowledged(&SURE).await;
}

#[tokio::test]
async fn check_114_115_116_the_same_before_a_legacy_server_over_http() {
    acknowledged(&[Place::HttpLegacy]).await;
}

async fn acknowledged(places: &[Place]) {
    let started = Places::start(places).await;
    let gate = &started.gate;
    for place in places {
        let path = &place.path();
        for id in [json!(7), json!("seven"), json!("7")] {
            let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["demo://note"], "promptsListChanged": false, "taskIds": ["t"]});
            let (honoured, mut stream) = opened(gate, &listen(path, id.clone(), wanted)).await;
            let expected = json!({"toolsListChanged": true, "resourceSubscriptions": ["demo://note"]});
            assert_eq!(honoured, expected, "{place:?}");
            call(gate, path, "change_list", json!({"list": "prompts"})).await;
            call(gate, path, "change_list", json!({"list": "resources"})).await;
            call(gate, path, "update_resource", json!({"uri": "test://watched-resource", "text": "x"})).await;
            call(gate, path, "update_resource", json!({"text": "x"})).await;
            call(gate, path, "change_list", json!({"list": "tools"})).await;
            let (first, second) =
                (stream.event().await.expect("an update"), stream.event().await.expect("a change"));
            assert_eq!(first["method"], "notifications/resources/updated", "{place:?} {first}");
            assert_eq!(first["params"]["uri"], "demo://note", "{place:?}");
            assert_eq!(second["method"], "notifications/tools/list_changed", "{place:?} {second}");
            assert!([&first, &second].iter().all(|message| *subscription(message) == id), "{place:?}");
            assert!(first.get("id").is_none() && second.get("id").is_none(), "{place:?}");
        }
    }
}

#[tokio::test]
async fn check_117_what_a_server_cannot_tell_is_missing_from_the_acknowledgement() {
    let plain = |message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}),
        )],
        _ => legacy_child(message, &tools()).unwrap_or_default(),
    };
    let old = Scripted::start(|request: &Seen| legacy_answers(request, &tools())).await;
    let new = Scripted::start(|request: &Seen| modern_answers(request, &tools())).await;
    let pipe = ScriptedStdio::start(move |_, message: &Value| plain(message)).await;
    let gone = json!({"url": "http://127.0.0.1:9/mcp"});
    let gate = Gate::of()
        .server("old", old.config("legacy"))
        .server("new", new.config("modern"))
        .server("pipe", pipe.config("legacy"))
        .server("gone", gone)
        .start()
        .await;
    let mut streams = Vec::new();
    for path in ["/mcp/old", "/mcp/new", "/mcp/pipe", "/mcp/gone"] {
        let (honoured, stream) = opened(&gate, &listen(path, json!("l"), everything())).await;
        assert_eq!(honoured, json!({}), "{path}");
        streams.push(stream);
    }
    // They stood open all the time: each ends properly with the gate.
    gate.end().await;
    for mut stream in streams {
        let last = stream.event().await.expect("a result");
        assert_eq!((&last["id"], &last["result"]["_meta"][SUBSCRIPTION]), (&json!("l"), &json!("l")));
        assert!(stream.event().await.is_none());
    }
}

#[tokio::test]
async fn check_118_two_streams_hear_each_its_own() {
    let places = Places::start(&Place::ALL).await;
    let gate = &places.gate;
    for place in Place::ALL {
        let path = &place.path();
        let (_, mut tools) = opened(gate, &listen(path, json!(1), json!({"toolsListChanged": true}))).await;
        let notes = json!({"resourceSubscriptions": ["demo://note"]});
        let (_, mut notes) = opened(gate, &listen(path, json!("1"), notes)).await;
        for _ in 0..2 {
            call(gate, path, "change_list", json!({"list": "tools"})).await;
            call(gate, path, "update_resource", json!({"text": "x"})).await;
            let change = tools.event().await.expect("a change");
            assert_eq!(
                (&change["method"], subscription(&change)),
                (&json!("notifications/tools/list_changed"), &json!(1))
            );
            let update = notes.event().await.expect("an update");
            assert_eq!(
                (&update["method"], subscription(&update)),
                (&json!("notifications/resources/updated"), &json!("1"))
            );
        }
    }
}

#[tokio::test]
async fn check_119_a_gate_that_ends_closes_its_streams_with_their_result() {
    let places = Places::start(&Place::ALL).await;
    let mut streams = Vec::new();
    let mut sessions = Vec::new();
    for place in Place::ALL {
        streams.push(opened(&places.gate, &listen(&place.path(), json!(place.path()), everything())).await.1);
        let session = places.gate.session(&place.path(), json!({})).await;
        sessions.push(session.listen().await.1);
    }
    places.gate.running.terminate();
    for (mut stream, place) in streams.into_iter().zip(Place::ALL) {
        let id = json!(place.path());
        let result = json!({"resultType": "complete", "_meta": {SUBSCRIPTION: id}});
        assert_eq!(stream.event().await, Some(json!({"jsonrpc": "2.0", "id": id, "result": result})));
        assert_eq!(stream.event().await, None, "{place:?}");
    }
    for mut stream in sessions {
        assert_eq!(stream.event().await, None);
    }
}

/// Lists until the first tool has this name.
async fn until_tool(gate: &Gate, name: &str) {
    let listed = async {
        while gate.ask(UP, "tools/list", json!({})).await.result()["tools"][0]["name"] != name {
            tokio::task::yield_now().await;
        }
    };
    soon(&format!("the tool {name}"), listed).await;
}

fn tool(number: usize) -> Value {
    json!([{"name": format!("tool{number}"), "inputSchema": {"type": "object"}}])
}

/// A legacy child whose list names the child, and which exits when it is called.
async fn mortal() -> ScriptedStdio {
    ScriptedStdio::start(|number, message: &Value| match message["method"].as_str() {
        Some("tools/call") => vec![Does::Exits],
        _ => legacy_child(message, &tool(number)).unwrap_or_default(),
    })
    .await
}

#[tokio::test]
async fn check_120_a_new_child_is_watched_again_and_its_lists_are_fetched_anew() {
    let server = mortal().await;
    let gate = Gate::before(server.config("legacy")).await;
    until_tool(&gate, "tool0").await;
    assert_eq!(gate.call(UP, "tool0", json!({})).await.refusal(), (200, -31004));
    until_tool(&gate, "tool1").await;
}

/// A modern server that counts the streams that were opened to it; its list names the count. The second is what holds
/// the streams open.
async fn counting_streams() -> (Scripted, Arc<Mutex<Vec<mpsc::Sender<String>>>>) {
    let (writers, listens) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let kept = writers.clone();
    let server = Scripted::start(move |request: &Seen| match request.method() {
        "server/discover" => changing(request),
        "subscriptions/listen" => {
            listens.fetch_add(1, Ordering::SeqCst);
            let (writer, reader) = mpsc::channel(4);
            writer.try_send(acknowledge(request)).expect("there is room");
            kept.lock().unwrap().push(writer);
            Answer::Stream(reader)
        }
        _ => modern_answers(request, &tool(listens.load(Ordering::SeqCst))),
    })
    .await;
    (server, writers)
}

#[tokio::test]
async fn check_120_a_stream_that_broke_is_opened_again_and_lists_are_fetched_anew() {
    let (server, writers) = counting_streams().await;
    let gate = Gate::before(server.config("modern")).await;
    gate.ask(UP, "tools/list", json!({})).await.result();
    server.until("subscriptions/listen", 1).await;
    writers.lock().unwrap().clear();
    server.until("subscriptions/listen", 2).await;
    until_tool(&gate, "tool2").await;
}

/// `server/discover` of a server whose tools may change.
fn changing(request: &Seen) -> Answer {
    let result = json!({"supportedVersions": [crate::harness::MODERN], "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}}, "ttlMs": 60_000, "cacheScope": "private"});
    Answer::complete(request, result)
}

/// The acknowledgement of everything that this request wants.
fn acknowledge(request: &Seen) -> String {
    let meta = json!({SUBSCRIPTION: request.body["id"]});
    let params = json!({"notifications": request.body["params"]["notifications"], "_meta": meta});
    super::scripts::event(&json!({"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": params}))
}

#[tokio::test]
async fn check_120_listeners_hear_that_they_may_have_missed_something() {
    let wanted = json!({"toolsListChanged": true});
    let (server, writers) = counting_streams().await;
    let gate = Gate::before(server.config("modern")).await;
    let (honoured, mut stream) = opened(&gate, &listen(UP, json!(1), wanted.clone())).await;
    assert_eq!(honoured, wanted);
    writers.lock().unwrap().clear();
    let change = stream.event().await.expect("a change");
    assert_eq!(
        (&change["method"], subscription(&change)),
        (&json!("notifications/tools/list_changed"), &json!(1))
    );
    // A child that is gone ends the stream: whoever listens anew lists anew.
    let server = mortal().await;
    let gate = Gate::before(server.config("legacy")).await;
    let (honoured, mut stream) = opened(&gate, &listen(UP, json!(1), wanted.clone())).await;
    assert_eq!(honoured, wanted);
    assert_eq!(gate.call(UP, "tool0", json!({})).await.refusal(), (200, -31004));
    let last = stream.event().await.expect("a change or the end");
    assert!(last["method"] == "notifications/tools/list_changed" || last["id"] == 1, "{last}");
}

#[tokio::test]
async fn check_121_a_subscription_is_confirmed_when_the_server_confirmed_it() {
    let pipe = ScriptedStdio::start(|_, message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"resources": {"subscribe": true}}, "serverInfo": {"name": "s", "version": "1"}}),
        )],
        Some("resources/subscribe") if message["params"]["uri"] == "x://yes" => {
            vec![Does::result(message, json!({}))]
        }
        Some("resources/subscribe") => vec![Does::error(message, -32002, "no")],
        _ => legacy_child(message, &tools()).unwrap_or_default(),
    })
    .await;
    let writers = Mutex::new(Vec::new());
    let http = Scripted::start(move |request: &Seen| match request.method() {
        "server/discover" => changing(request),
        "subscriptions/listen" => {
            let mut seen = request.clone();
            let uris = &mut seen.body["params"]["notifications"]["resourceSubscriptions"];
            let granted = uris.as_array().into_iter().flatten().filter(|uri| *uri == "x://yes").cloned();
            *uris = granted.collect();
            let (writer, reader) = mpsc::channel(4);
            writer.try_send(acknowledge(&seen)).expect("there is room");
            // The stream stands as long as its writer.
            writers.lock().unwrap().push(writer);
            Answer::Stream(reader)
        }
        _ => modern_answers(request, &tools()),
    })
    .await;
    let gate =
        Gate::of().server("pipe", pipe.config("legacy")).server("http", http.config("modern")).start().await;
    for path in ["/mcp/pipe", "/mcp/http"] {
        let session = gate.session(path, json!({})).await;
        let yes = session.ask("resources/subscribe", json!({"uri": "x://yes"})).await;
        assert_eq!(yes.result(), json!({}), "{path}");
        let no = session.ask("resources/subscribe", json!({"uri": "x://no"})).await;
        assert_eq!(no.refusal(), (200, -32602), "{path}");
        assert_eq!(session.ask("resources/unsubscribe", json!({"uri": "x://yes"})).await.result(), json!({}));
    }
    let asked = |uri: &str| {
        pipe.lines()
            .iter()
            .any(|(_, line)| line["method"] == "resources/subscribe" && line["params"]["uri"] == uri)
    };
    assert!(asked("x://yes") && asked("x://no"));
    let listens = http.of("subscriptions/listen");
    let named = |uri: &str| {
        listens.iter().any(|seen| {
            let uris = &seen.body["params"]["notifications"]["resourceSubscriptions"];
            uris.as_array().is_some_and(|uris| uris.contains(&json!(uri)))
        })
    };
    assert!(named("x://yes") && named("x://no"));
}

#[tokio::test]
async fn check_121_a_server_that_cannot_watch_is_not_asked_to() {
    let server = ScriptedStdio::start(child("legacy", |_| Vec::new())).await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.ask("resources/subscribe", json!({"uri": "x://yes"})).await.refusal(), (200, -32601));
    assert!(server.methods().iter().all(|(_, method)| method != "resources/subscribe"));
}

#[tokio::test]
async fn check_121_subscribed_sessions_are_told_and_others_are_not() {
    told(&SURE).await;
}

#[tokio::test]
async fn check_121_the_same_before_a_legacy_server_over_http() {
    told(&[Place::HttpLegacy]).await;
}

async fn told(started: &[Place]) {
    let places = Places::start(started).await;
    for place in started {
        let session = places.gate.session(&place.path(), json!({})).await;
        let note = json!({"uri": "demo://note"});
        assert_eq!(session.ask("resources/subscribe", note.clone()).await.result(), json!({}), "{place:?}");
        let (_, mut stream) = session.listen().await;
        let other = places.gate.session(&place.path(), json!({})).await;
        let (_, mut silent) = other.listen().await;
        // The streams stand once they carry a change of a list, which needs no subscription.
        for stream in [&mut stream, &mut silent] {
            toggled(&session, stream).await;
        }
        session.call("update_resource", json!({"text": "new"})).await.said();
        session.call("change_list", json!({"list": "prompts"})).await.said();
        let updated = until_method(&mut stream, "notifications/resources/updated").await;
        assert_eq!(updated["params"]["uri"], "demo://note", "{place:?}");
        let before = until_method(&mut silent, "notifications/prompts/list_changed").await;
        assert!(before["seen"].is_null(), "{place:?}: told without a subscription");
    }
}

/// Changes the list of tools until this stream says so.
async fn toggled(session: &crate::harness::Session, stream: &mut Connection) {
    let changes = async {
        loop {
            session.call("change_list", json!({"list": "tools"})).await.said();
        }
    };
    let event = tokio::select! {
        event = stream.event() => event.expect("an event"),
        () = changes => unreachable!("it goes on and on"),
    };
    assert_eq!(event["method"], "notifications/tools/list_changed");
}

/// The next message of this method; says in `seen` whether an update came before it.
async fn until_method(stream: &mut Connection, method: &str) -> Value {
    let mut update = false;
    loop {
        let mut event = stream.event().await.expect("an event");
        if event["method"] == method {
            if update {
                event["seen"] = json!(true);
            }
            return event;
        }
        update |= event["method"] == "notifications/resources/updated";
    }
}

const ANNA: &str = "Bearer anna-0123456789abcdef";
const CARL: &str = "Bearer carl-0123456789abcdef";
const DORA: &str = "Bearer dora-0123456789abcdef";

/// Anna may do everything, Carl may use what begins with `e`, Dora is at home elsewhere.
fn people() -> Value {
    json!([
        {"name": "anna", "secret": &ANNA[7..], "allow": [{"server": "*"}]},
        {"name": "carl", "secret": &CARL[7..], "allow": [{"server": "up", "tools": ["e*"]}]},
        {"name": "dora", "secret": &DORA[7..], "allow": [{"server": "other"}]},
    ])
}

async fn keyed(server: Value) -> Gate {
    Gate::of()
        .server("up", server)
        .server("other", json!({"builtin": "demo"}))
        .set("keys", people())
        .start()
        .await
}

async fn list_as(gate: &Gate, key: &str, method: &str) -> Response {
    Post::modern(UP, method, json!({})).header("Authorization", key).send(gate.address).await
}

#[tokio::test]
async fn check_122_updates_go_only_to_those_who_may_read() {
    let gate = keyed(json!({"builtin": "demo"})).await;
    for (key, allowed) in [(ANNA, true), (CARL, false)] {
        let read = Post::modern(UP, "resources/read", json!({"uri": "demo://note"}));
        let read = read.header("Authorization", key).send(gate.address).await;
        assert_eq!(read.message()["result"].is_object(), allowed, "{}", read.message());
        let post =
            listen(UP, json!(1), json!({"resourceSubscriptions": ["demo://note"], "toolsListChanged": true}));
        let (honoured, mut stream) = opened(&gate, &post.header("Authorization", key)).await;
        assert_eq!(honoured.get("resourceSubscriptions").is_some(), allowed, "{honoured}");
        for (tool, arguments) in
            [("update_resource", json!({"text": "x"})), ("change_list", json!({"list": "tools"}))]
        {
            let post = Post::call(UP, tool, arguments).header("Authorization", ANNA);
            gate.send(&post).await.said();
        }
        let first = stream.event().await.expect("an event");
        let expected =
            if allowed { "notifications/resources/updated" } else { "notifications/tools/list_changed" };
        assert_eq!(first["method"], expected);
        let session =
            Post::json(UP, crate::harness::Session::initialize(UP, "2025-11-25", &json!({})).body().clone());
        let session = session.header("Authorization", key).send(gate.address).await;
        let id = session.header("mcp-session-id").expect("a session").to_owned();
        let subscribe = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "demo://note"}});
        let subscribe = Post::json(UP, subscribe).header("Authorization", key).header("Mcp-Session-Id", &id);
        assert_eq!(gate.send(&subscribe).await.message()["result"].is_object(), allowed);
    }
}

#[tokio::test]
async fn check_123_a_change_is_seen_at_once_by_whoever_heard_of_it() {
    let places = Places::start(&Place::ALL).await;
    let rows = [("tools", "name"), ("prompts", "name"), ("resources", "name")];
    for place in Place::ALL {
        let path = &place.path();
        let gate = &places.gate;
        let session = gate.session(path, json!({})).await;
        let (_, mut stream) = opened(gate, &listen(path, json!(1), everything())).await;
        for (list, key) in rows {
            let method = format!("{list}/list");
            let has = |response: Response| {
                response.result()[list].as_array().expect("a list").iter().any(|item| item[key] == "extra")
            };
            for expected in [true, false] {
                assert_eq!(has(gate.ask(path, &method, json!({})).await), !expected, "{place:?} {list}");
                assert_eq!(has(session.ask(&method, json!({})).await), !expected, "{place:?} {list}");
                call(gate, path, "change_list", json!({"list": list})).await;
                let change = stream.event().await.expect("a change");
                assert_eq!(change["method"], format!("notifications/{list}/list_changed"), "{place:?}");
                assert_eq!(has(gate.ask(path, &method, json!({})).await), expected, "{place:?} {list}");
                assert_eq!(has(session.ask(&method, json!({})).await), expected, "{place:?} {list}");
            }
        }
    }
}

#[tokio::test]
async fn check_124_cache_hints_are_on_all_six_and_on_nothing_else() {
    let places = Places::start(&Place::ALL).await;
    let rows = [
        ("server/discover", json!({}), true),
        ("tools/list", json!({}), true),
        ("prompts/list", json!({}), true),
        ("resources/list", json!({}), true),
        ("resources/templates/list", json!({}), true),
        ("resources/read", json!({"uri": "demo://manual"}), true),
        ("tools/call", json!({"name": "hello", "arguments": {}}), false),
        ("prompts/get", json!({"name": "test_simple_prompt"}), false),
    ];
    for place in Place::ALL {
        for (method, params, cacheable) in &rows {
            let result = places.gate.ask(&place.path(), method, params.clone()).await.result();
            assert_eq!(result["resultType"], "complete", "{place:?} {method}");
            assert_eq!(result["ttlMs"].is_u64(), *cacheable, "{place:?} {method} {result}");
            let scoped = result["cacheScope"] == "private" || result["cacheScope"] == "public";
            assert_eq!(scoped, *cacheable, "{place:?} {method} {result}");
        }
        let session = places.gate.session(&place.path(), json!({})).await;
        for (method, params, _) in &rows[1..] {
            let result = session.ask(method, params.clone()).await.result();
            let hints = ["ttlMs", "cacheScope", "resultType"].map(|key| result.get(key).is_some());
            assert_eq!(hints, [false; 3], "{place:?} {method}");
        }
    }
}

#[tokio::test]
async fn check_125_negative_and_absent_lifetimes_are_none() {
    for (ttl, cached) in [(json!(60_000), true), (json!(0), false), (json!(-5), false), (Value::Null, false)]
    {
        let given = ttl.clone();
        let server = ScriptedStdio::start(move |_, message: &Value| match message["method"].as_str() {
            Some(method @ ("tools/list" | "resources/read")) => {
                let mut result = json!({"resultType": "complete", "cacheScope": "private"});
                match method {
                    "tools/list" => result["tools"] = tools(),
                    _ => result["contents"] = json!([{"uri": "x://y", "text": "z"}]),
                }
                if !given.is_null() {
                    result["ttlMs"] = given.clone();
                }
                vec![Does::result(message, result)]
            }
            _ => modern_child(message, &tools()).unwrap_or_default(),
        })
        .await;
        let gate = Gate::before(server.config("modern")).await;
        for _ in 0..3 {
            let shown = gate.ask(UP, "tools/list", json!({})).await.result()["ttlMs"].clone();
            assert_eq!(shown, if cached { json!(60_000) } else { json!(0) }, "{ttl}");
        }
        let lists = server.methods().iter().filter(|(_, method)| method == "tools/list").count();
        assert_eq!(lists, if cached { 1 } else { 3 }, "{ttl}");
        let read = gate.ask(UP, "resources/read", json!({"uri": "x://y"})).await.result();
        assert_eq!(read["ttlMs"], if cached { json!(60_000) } else { json!(0) }, "{ttl}");
    }
}

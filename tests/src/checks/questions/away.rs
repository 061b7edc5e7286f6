//! Calls that are left open at a legacy server that keeps its events (check 103, mcp.md 4.3.4): nothing waits in the gate,
//! so the answers find the call again after a restart, from any replica, and once.

use super::{UP, accept, asked, asking, converse, keys, retry, retry_all};
use crate::{
    checks::scripts::{question, response, text, tools},
    harness::{Answer, Gate, Scripted, Seen, legacy_answers},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

fn event(id: &str, message: &Value) -> String {
    format!("id: {id}\nevent: message\ndata: {message}\n\n")
}

/// A legacy server that asks these questions in its call, keeps every event, and answers with what it heard.
#[derive(Default)]
struct Store {
    call: Value,
    heard: Vec<(Value, Value)>,
    /// Streams that are open, as a server keeps them.
    open: Vec<mpsc::Sender<String>>,
}

impl Store {
    fn answer(&self) -> Value {
        let heard: Vec<Value> = self.heard.iter().map(|(_, answer)| answer.clone()).collect();
        response(&self.call["id"], text(&Value::from(heard).to_string()))
    }
}

async fn keeping(questions: Vec<Value>) -> (Scripted, Arc<Mutex<Store>>) {
    let store = Arc::new(Mutex::new(Store::default()));
    let kept = store.clone();
    let server = Scripted::start(move |request: &Seen| {
        let mut store = kept.lock().unwrap();
        let last = request.header("last-event-id").map(ToOwned::to_owned);
        match (request.method(), last) {
            ("tools/call", _) => {
                store.call = request.body.clone();
                let (writer, reader) = mpsc::channel(16);
                writer.try_send("id: p\ndata: \n\n".to_owned()).expect("there is room");
                for question in &questions {
                    let id = question["id"].as_str().expect("a text");
                    writer.try_send(event(id, question)).expect("there is room");
                }
                store.open.push(writer);
                Answer::Stream(reader)
            }
            ("", Some(last)) if request.verb == "GET" => {
                assert_eq!(last, questions.last().expect("a question")["id"].as_str().unwrap());
                let (writer, reader) = mpsc::channel(16);
                if store.heard.len() == questions.len() {
                    writer.try_send(event("end", &store.answer())).expect("there is room");
                }
                store.open.push(writer);
                Answer::Stream(reader)
            }
            ("", None) if request.body["result"].is_object() => {
                let id = request.body["id"].clone();
                if store.heard.iter().all(|(known, _)| *known != id) {
                    store.heard.push((id, request.body["result"].clone()));
                }
                Answer::Empty(202)
            }
            _ => legacy_answers(request, &tools()),
        }
    })
    .await;
    (server, store)
}

fn keeps(server: &Scripted) -> Value {
    let mut config = server.config("legacy");
    config["replay"] = json!(true);
    config
}

fn answered(server: &Scripted) -> usize {
    server.seen().iter().filter(|seen| seen.body["result"].is_object()).count()
}

#[tokio::test]
async fn check_103_a_call_that_its_server_keeps_outlives_the_gate() {
    let (server, _) = keeping(vec![question(json!("q"), "Who?")]).await;
    let config = || Gate::of().server("up", keeps(&server));
    let gate = config().start().await;
    let call = asking(UP, "tool");
    let result = asked(&gate.send(&call).await);
    assert_eq!(result["inputRequests"][&keys(&result)[0]]["params"]["message"], "Who?");
    let post = retry_all(&call, &result, &accept("name", "Ada"));
    let gate = config().start_in(gate.end().await).await;
    let expected = json!([accept("name", "Ada")]).to_string();
    assert_eq!(gate.send(&post).await.said(), expected);
    // The same once more, in the same process and in another one.
    assert_eq!(gate.send(&post.clone().id(json!("again"))).await.said(), expected);
    assert_eq!(answered(&server), 1, "the gate knows the retry");
    let gate = config().start_in(gate.end().await).await;
    assert_eq!(gate.send(&post).await.said(), expected);
    assert_eq!(server.of("tools/call").len(), 1, "the call ran once");
    assert!(server.of("notifications/cancelled").is_empty(), "it was left, not cancelled");
    assert!(server.seen().iter().all(|seen| seen.verb != "DELETE"), "the session is not ended under it");
}

#[tokio::test]
async fn check_092_103_what_is_not_answered_yet_is_asked_again_without_the_server() {
    let (server, _) = keeping(vec![question(json!("a"), "A?"), question(json!("b"), "B?")]).await;
    let gate = Gate::before(keeps(&server)).await;
    let call = asking(UP, "tool");
    let first = asked(&gate.send(&call).await);
    let [a, b] = <[String; 2]>::try_from(keys(&first)).expect("two questions");
    let second = asked(&gate.send(&retry(&call, &first, json!({ &b: accept("name", "b") }))).await);
    assert_eq!(keys(&second), [a.as_str()]);
    assert_eq!(answered(&server), 0);
    let bad = gate.send(&retry(&call, &second, json!({ &a: {"action": "perhaps"} }))).await;
    assert_eq!(bad.refusal().1, -32602);
    let lacking = retry(&call, &second, json!({ &a: accept("name", "a") })).capable(json!({}));
    assert_eq!(gate.send(&lacking).await.refusal(), (400, -32021));
    let done = gate.send(&retry(&call, &second, json!({ &a: accept("name", "a") }))).await.said();
    assert_eq!(done, json!([accept("name", "b"), accept("name", "a")]).to_string());
    let heard: Vec<Value> = server
        .seen()
        .iter()
        .filter(|seen| seen.body["result"].is_object())
        .map(|seen| seen.body["id"].clone())
        .collect();
    assert_eq!(heard, ["b", "a"], "each under its own id");
}

#[tokio::test]
async fn check_103_a_server_that_has_forgotten_the_call_is_not_called_again() {
    let (server, _) = keeping(vec![question(json!("q"), "Who?")]).await;
    let forgetful = Scripted::start(|request: &Seen| match request.method() {
        "" => Answer::Empty(404),
        _ => legacy_answers(request, &tools()),
    })
    .await;
    let config = |server: &Scripted| Gate::of().server("up", keeps(server));
    let gate = config(&server).start().await;
    let call = asking(UP, "tool");
    let post = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    let gate = config(&forgetful).start_in(gate.end().await).await;
    assert_eq!(gate.send(&post).await.refusal(), (200, -31004));
    assert!(forgetful.of("tools/call").is_empty());
}

#[tokio::test]
async fn check_101_103_a_server_that_gives_no_event_ids_is_held_as_ever() {
    let open = Mutex::new(Vec::new());
    let server = Scripted::start(move |request: &Seen| match request.method() {
        "tools/call" => {
            let (writer, reader) = mpsc::channel(1);
            let message = question(json!("q"), "Who?");
            writer.try_send(crate::checks::scripts::event(&message)).expect("there is room");
            open.lock().unwrap().push(writer);
            Answer::Stream(reader)
        }
        _ => legacy_answers(request, &tools()),
    })
    .await;
    let config = || Gate::of().server("up", keeps(&server));
    let gate = config().start().await;
    let call = asking(UP, "tool");
    let post = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    let gate = config().start_in(gate.end().await).await;
    assert_eq!(gate.send(&post).await.refusal().1, -32602);
    assert_eq!(server.of("tools/call").len(), 1);
}

/// A gate before a gate before the demo: the inner one speaks the legacy era and keeps its events.
async fn chain() -> (Gate, Value) {
    let inner = Gate::demo().await;
    let url = format!("http://{}/mcp/demo", inner.address);
    (inner, json!({"url": url, "era": "legacy", "replay": true}))
}

#[tokio::test]
async fn check_095_097_103_a_real_server_that_keeps_its_calls_is_left_and_found_again() {
    let (inner, config) = chain().await;
    let gate = Gate::before(config).await;
    let person = |_: &str, params: &Value| {
        let field = super::field(params);
        accept(&field, &format!("my {field}"))
    };
    let rows = [
        ("ask_name", "Hello, my name!", 1),
        ("interview", "my name likes my colour.", 2),
        ("ask_two", "Hello, my first my last!", 1),
    ];
    for (tool, expected, rounds) in rows {
        let (answer, asked) = converse(&gate, asking(UP, tool), person).await;
        assert_eq!(answer.said(), expected, "{tool}");
        assert!(asked >= rounds, "{tool} {asked}");
    }
    let status = inner.call("/mcp/demo", "status", json!({})).await.result()["structuredContent"].clone();
    assert_eq!((&status["running"], &status["cancelled"]), (&json!(0), &json!(0)), "{status}");
}

#[tokio::test]
async fn check_102_103_a_real_server_answers_the_same_retry_of_two_gates_once() {
    let (inner, config) = chain().await;
    let of = || Gate::of().server("up", config.clone());
    let gate = of().start().await;
    let call = asking(UP, "ask_name").meta("progressToken", json!("p"));
    let post = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    let gate = of().start_in(gate.end().await).await;
    let (one, two) = tokio::join!(gate.send(&post), gate.send(&post));
    assert_eq!((one.said(), two.said()), ("Hello, Ada!".to_owned(), "Hello, Ada!".to_owned()));
    let gate = of().start_in(gate.end().await).await;
    assert_eq!(gate.send(&post).await.said(), "Hello, Ada!");
    let status = inner.call("/mcp/demo", "status", json!({})).await.result()["structuredContent"].clone();
    assert_eq!((&status["running"], &status["cancelled"]), (&json!(0), &json!(0)), "{status}");
}

//! Legacy servers that ask modern clients (checks 95–104, 112, 113), with servers that the demo cannot play.

use super::{UP, accept, asked, asking, converse, everything, keys, retry_all};
use crate::{
    checks::scripts::{child, event, question, remote, response, text},
    harness::{Answer, Does, Gate, Post, Scripted, ScriptedStdio, Seen, demo_stdio},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

type Writers = Arc<Mutex<Vec<mpsc::Sender<String>>>>;

/// A legacy server over HTTP that asks this at once in every call; the test writes what follows.
async fn asking_stream(questions: Vec<Value>) -> (Scripted, Writers) {
    let writers = Writers::default();
    let known = writers.clone();
    let server = Scripted::start(remote("legacy", move |_: &Seen| {
        let (writer, reader) = mpsc::channel(16);
        questions.iter().for_each(|question| writer.try_send(event(question)).expect("there is room"));
        known.lock().unwrap().push(writer);
        Answer::Stream(reader)
    }))
    .await;
    (server, writers)
}

async fn write(writers: &Writers, message: &Value) {
    let writer = writers.lock().unwrap().last().expect("a call").clone();
    writer.send(event(message)).await.expect("the gate reads");
}

/// The answers that the gate has posted to the server so far, at least this many.
async fn answers(server: &Scripted, count: usize) -> Vec<Value> {
    let mut wanted = count;
    loop {
        // What has no method is an answer, or an attempt to open the GET stream.
        let all = server.until("", wanted).await;
        wanted = all.len() + 1;
        let posted: Vec<Value> =
            all.into_iter().filter(|seen| seen.verb == "POST").map(|seen| seen.body).collect();
        if posted.len() >= count {
            return posted;
        }
    }
}

fn call_id(server: &Scripted) -> Value {
    server.of("tools/call").last().expect("a call").body["id"].clone()
}

#[tokio::test]
async fn check_095_answers_carry_the_id_of_their_question_over_http() {
    for id in [json!("q-7"), json!(0), json!(41), json!("0")] {
        let (server, writers) = asking_stream(vec![question(id.clone(), "Who?")]).await;
        let gate = Gate::before(server.config("legacy")).await;
        let call = asking(UP, "tool");
        let result = asked(&gate.send(&call).await);
        let key = &keys(&result)[0];
        assert_eq!(result["inputRequests"][key]["method"], "elicitation/create");
        assert_eq!(result["inputRequests"][key]["params"]["message"], "Who?");
        assert!(result["inputRequests"][key].get("id").is_none(), "{result}");
        let post = retry_all(&call, &result, &accept("name", "Ada"));
        let finish = async {
            let posted = answers(&server, 1).await;
            assert_eq!(posted, [response(&id, accept("name", "Ada"))]);
            write(&writers, &response(&call_id(&server), text("done"))).await;
        };
        let (answer, ()) = tokio::join!(gate.send(&post), finish);
        assert_eq!(answer.said(), "done");
    }
}

#[tokio::test]
async fn check_095_answers_carry_the_id_of_their_question_on_pipes() {
    let call = Mutex::new(Value::Null);
    let server = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") => {
            *call.lock().unwrap() = message.clone();
            vec![Does::Says(question(json!(0), "one")), Does::Says(question(json!("0"), "two"))]
        }
        _ if message["id"] == "0" => {
            vec![Does::result(&call.lock().unwrap(), text(&message["result"].to_string()))]
        }
        _ => Vec::new(),
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let answer = |_: &str, params: &Value| accept("name", params["message"].as_str().expect("a message"));
    // One round, or two where the second question took its time.
    let (end, _) = converse(&gate, asking(UP, "tool"), answer).await;
    assert_eq!(end.said(), accept("name", "two").to_string());
    let one = server.until("the other answer", |line| line["id"] == 0 && line["result"].is_object()).await;
    assert_eq!(one["result"], accept("name", "one"));
}

#[tokio::test]
async fn check_096_a_question_that_comes_while_another_is_with_the_person_is_the_next_round() {
    let (server, writers) = asking_stream(vec![question(json!("a"), "A?")]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = asking(UP, "tool");
    let first = asked(&gate.send(&call).await);
    write(&writers, &question(json!("b"), "B?")).await;
    let second = asked(&gate.send(&retry_all(&call, &first, &accept("name", "a"))).await);
    let key = &keys(&second)[0];
    assert_eq!(second["inputRequests"][key]["params"]["message"], "B?");
    assert_ne!(first["requestState"], second["requestState"]);
    let post = retry_all(&call, &second, &accept("name", "b"));
    let finish = async {
        let posted = answers(&server, 2).await;
        assert_eq!(posted[0], response(&json!("a"), accept("name", "a")));
        assert_eq!(posted[1], response(&json!("b"), accept("name", "b")));
        write(&writers, &response(&call_id(&server), text("done"))).await;
    };
    let (answer, ()) = tokio::join!(gate.send(&post), finish);
    assert_eq!(answer.said(), "done");
    // The first round is over; its state opens nothing any more.
    let late = gate.send(&retry_all(&call, &first, &accept("name", "c"))).await;
    assert_eq!(late.refusal().1, -32602);
    assert_eq!(server.of("tools/call").len(), 1);
}

#[tokio::test]
async fn check_098_an_answer_that_comes_while_nobody_waits_is_kept_for_the_retry() {
    let withdrawal =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q"}});
    for before in [None, Some(withdrawal)] {
        let (server, writers) = asking_stream(vec![question(json!("q"), "Who?")]).await;
        let gate = Gate::before(server.config("legacy")).await;
        let call = asking(UP, "tool");
        let result = asked(&gate.send(&call).await);
        if let Some(message) = &before {
            write(&writers, message).await;
        }
        write(&writers, &response(&call_id(&server), text("went on alone"))).await;
        let answer = gate.send(&retry_all(&call, &result, &accept("name", "Ada"))).await;
        assert_eq!(answer.said(), "went on alone", "withdrawn: {}", before.is_some());
        assert_eq!(server.of("tools/call").len(), 1);
    }
}

#[tokio::test]
async fn check_099_time_runs_out_on_pipes_question_call_and_lease_in_this_order() {
    let sampling = json!({"jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}});
    let roots = json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"});
    for ask in [question(json!("q"), "Who?"), sampling, roots] {
        let elicits = ask["method"] == "elicitation/create";
        let asks = ask.clone();
        let server = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
            Some("tools/call") => vec![Does::Says(asks.clone())],
            _ => Vec::new(),
        }))
        .await;
        let mut config = server.config("legacy");
        config["timeouts"] = json!({"ask": "1s"});
        config["max_children"] = json!(2);
        let gate = Gate::before(config).await;
        let call = Post::call(UP, "tool", json!({})).capable(everything());
        asked(&gate.send(&call).await);
        server.until("the cancellation", |line| line["method"] == "notifications/cancelled").await;
        let lines = server.lines();
        let at = |wanted: &dyn Fn(&Value) -> bool| lines.iter().position(|(_, line)| wanted(line));
        let refused = at(&|line| line["id"] == "q" && line["method"].is_null()).expect("an answer");
        let refusal = &lines[refused].1;
        assert_eq!(refusal["result"]["action"] == "cancel", elicits, "{refusal}");
        assert_eq!(refusal["error"]["code"].is_i64(), !elicits, "{refusal}");
        let called = at(&|line| line["method"] == "tools/call").expect("a call");
        let cancelled = at(&|line| line["method"] == "notifications/cancelled").expect("a cancellation");
        assert!(refused < cancelled, "{lines:?}");
        assert_eq!(lines[cancelled].1["params"]["requestId"], lines[called].1["id"]);
        // The place is free: one child was the catalogue's, the other serves the next call.
        asked(&gate.send(&call).await);
    }
}

#[tokio::test]
async fn check_099_time_runs_out_over_http() {
    let (server, _writers) = asking_stream(vec![question(json!("q"), "Who?")]).await;
    let mut config = server.config("legacy");
    config["timeouts"] = json!({"ask": "1s"});
    let gate = Gate::before(config).await;
    asked(&gate.send(&asking(UP, "tool")).await);
    let told = server.until("notifications/cancelled", 1).await;
    assert_eq!(told[0].body["params"]["requestId"], call_id(&server));
    assert_eq!(answers(&server, 1).await, [response(&json!("q"), json!({"action": "cancel"}))]);
}

#[tokio::test]
async fn check_064_cancelling_a_call_that_is_asked_something_reaches_a_remote_server() {
    let (server, _writers) = asking_stream(vec![question(json!("q"), "Who?")]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, json!({"elicitation": {}})).await;
    let post = session.request("tools/call", json!({"name": "tool", "arguments": {}}));
    let (_, mut stream) = post.open(gate.address).await;
    assert_eq!(stream.event().await.expect("a question")["method"], "elicitation/create");
    let params = json!({"requestId": post.body()["id"]});
    session.post(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
    let told = server.until("notifications/cancelled", 1).await;
    assert_eq!(told[0].body["params"]["requestId"], call_id(&server));
}

#[tokio::test]
async fn check_102_the_same_retry_twice_runs_once() {
    let (server, writers) = asking_stream(vec![question(json!("q"), "Who?")]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = asking(UP, "tool");
    let post = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    let finish = async {
        answers(&server, 1).await;
        write(&writers, &response(&call_id(&server), text("once"))).await;
    };
    let again = post.clone().id(json!("again"));
    let (first, second, ()) = tokio::join!(gate.send(&post), gate.send(&again), finish);
    let third = gate.send(&post).await;
    assert_eq!([first.said(), second.said(), third.said()], ["once", "once", "once"]);
    assert_eq!(second.message()["id"], "again");
    assert_eq!((server.of("tools/call").len(), answers(&server, 1).await.len()), (1, 1));
}

const ANNA: &str = "Bearer anna-0123456789abcdef";
const BEN: &str = "Bearer ben-0123456789abcdef";

fn two_people() -> Value {
    json!([
        {"name": "anna", "secret": &ANNA[7..], "allow": [{"server": "*"}]},
        {"name": "ben", "secret": &BEN[7..], "allow": [{"server": "*"}]},
    ])
}

#[tokio::test]
async fn check_104_calls_that_may_ask_never_share_a_session() {
    let server = ScriptedStdio::start(child("legacy", |message| match message["method"].as_str() {
        Some("tools/call") => vec![Does::Says(question(json!("q"), "Who?"))],
        _ => Vec::new(),
    }))
    .await;
    let mut config = server.config("legacy");
    config["isolation"] = json!("shared");
    let gate = Gate::of().server("up", config).set("keys", two_people()).start().await;
    let posts: Vec<Post> =
        [ANNA, BEN, ANNA, BEN].map(|key| asking(UP, "tool").header("Authorization", key)).into();
    let parked = join_all(posts.iter().map(|post| gate.send(post))).await;
    parked.iter().for_each(|response| drop(asked(response)));
    let mut children: Vec<usize> = server
        .methods()
        .iter()
        .filter(|(_, method)| method == "tools/call")
        .map(|(child, _)| *child)
        .collect();
    children.sort_unstable();
    children.dedup();
    assert_eq!(children.len(), 4, "{children:?}");
}

#[tokio::test]
async fn check_112_questions_outside_calls_are_refused_and_roots_wait_for_a_call() {
    let call = Mutex::new(Value::Null);
    let server = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") if message["params"]["arguments"]["at once"] == true => {
            vec![Does::result(message, text("done"))]
        }
        Some("tools/call") => {
            *call.lock().unwrap() = message.clone();
            Vec::new()
        }
        _ if message["id"] == "roots" => {
            let uri = message["result"]["roots"][0]["uri"].as_str().unwrap_or("none");
            vec![Does::result(&call.lock().unwrap(), text(uri))]
        }
        _ => Vec::new(),
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let at_once = Post::call(UP, "tool", json!({"at once": true})).capable(everything());
    assert_eq!(gate.send(&at_once).await.said(), "done");
    let lines = server.lines();
    let child = lines.iter().find(|(_, line)| line["method"] == "tools/call").expect("a call").0;
    server.say(child, question(json!("form"), "Who?"));
    let refusal = server.until("a refusal", |line| line["id"] == "form" && line["method"].is_null()).await;
    assert_eq!(refusal["result"], json!({"action": "cancel"}));
    let params = json!({"messages": [], "maxTokens": 1});
    let sampling =
        json!({"jsonrpc": "2.0", "id": "text", "method": "sampling/createMessage", "params": params});
    server.say(child, sampling);
    let refusal = server.until("a refusal", |line| line["id"] == "text" && line["method"].is_null()).await;
    assert!(refusal["error"]["code"].is_i64(), "{refusal}");
    server.say(child, json!({"jsonrpc": "2.0", "id": "roots", "method": "roots/list"}));
    let call = Post::call(UP, "tool", json!({})).capable(everything());
    let result = asked(&gate.send(&call).await);
    let roots = json!({"roots": [{"uri": "file:///srv"}]});
    assert_eq!(gate.send(&retry_all(&call, &result, &roots)).await.said(), "file:///srv");
}

#[tokio::test]
async fn check_113_parked_calls_of_one_caller_are_limited() {
    let mut config = demo_stdio("legacy");
    config["isolation"] = json!("principal");
    let gate = Gate::of()
        .server("up", config)
        .set("keys", two_people())
        .set("limits", json!({"parked_per_principal": 2}))
        .start()
        .await;
    let ask = |key: &str| asking(UP, "ask_name").header("Authorization", key);
    let first = asked(&gate.send(&ask(ANNA)).await);
    asked(&gate.send(&ask(ANNA)).await);
    let third = gate.send(&ask(ANNA)).await;
    assert_eq!(
        (third.said(), &third.result()["isError"]),
        ("You closed the question.".to_owned(), &json!(true))
    );
    asked(&gate.send(&ask(BEN)).await);
    let answer = gate.send(&retry_all(&ask(ANNA), &first, &accept("name", "Anna"))).await;
    assert_eq!(answer.said(), "Hello, Anna!");
    asked(&gate.send(&ask(ANNA)).await);
}

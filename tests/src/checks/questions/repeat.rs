//! Modern servers that end a leg with questions (checks 86, 87, 109, 110): how the request goes out again, and when it
//! does not any more.

use super::{UP, accept, asked, asking, converse, converse_legacy, retry, retry_all};
use crate::{
    checks::scripts::{child, question, remote, text},
    harness::{Answer, Does, Gate, Post, Scripted, ScriptedStdio, Seen},
};
use serde_json::{Value, json};
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

fn form() -> Value {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    json!({"method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": schema}})
}

fn sampling() -> Value {
    let message = json!({"role": "user", "content": {"type": "text", "text": "Say it"}});
    json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 9}})
}

/// A modern server that asks this until it has an answer, with this state or none.
async fn asking_once(ask: Option<Value>, state: Value) -> Scripted {
    Scripted::start(remote("modern", move |request: &Seen| {
        let params = &request.body["params"];
        if !params["inputResponses"].is_null() || (ask.is_none() && !params["requestState"].is_null()) {
            return Answer::text(request, "done");
        }
        let mut result = json!({"resultType": "input_required"});
        if let Some(ask) = &ask {
            result["inputRequests"] = json!({"q": ask});
        }
        if !state.is_null() {
            result["requestState"] = state.clone();
        }
        Answer::result(request, result)
    }))
    .await
}

/// `params` as the tool sees them.
fn bare(request: &Seen) -> Value {
    let mut params = request.body["params"].clone();
    let members = params.as_object_mut().expect("params");
    members.retain(|key, _| !["_meta", "inputResponses", "requestState"].contains(&key.as_str()));
    params
}

#[tokio::test]
async fn check_086_087_the_request_goes_again_with_a_new_id_the_same_params_and_the_exact_state() {
    for state in [Value::Null, json!(""), json!("st\u{e4}te +/=\n\"\\\" \u{2028}")] {
        let server = asking_once(Some(form()), state.clone()).await;
        let gate = Gate::before(server.config("modern")).await;
        let session = gate.session(UP, json!({"elicitation": {}})).await;
        let answer = |_: &str, _: &Value| json!({"result": accept("name", "Ada")});
        converse_legacy(&gate, &session, "tool", answer).await;
        let call = Post::call(UP, "tool", json!({"a": [1, {"b": null}], "c": "\u{e9}"}));
        let call = call.capable(json!({"elicitation": {}}));
        let (response, _) = converse(&gate, call, |_, _| accept("name", "Ada")).await;
        assert_eq!(response.said(), "done");
        let calls = server.of("tools/call");
        assert_eq!(calls.len(), 4, "{state}");
        for pair in calls.chunks(2) {
            let [first, second] = pair else { unreachable!("four are two pairs") };
            assert_ne!(first.body["id"], second.body["id"]);
            assert_eq!(bare(first), bare(second), "{state}");
            assert!(first.body["params"].get("requestState").is_none());
            assert_eq!(second.body["params"]["requestState"], state, "absent reads as null here");
            assert_eq!(second.body["params"].get("requestState").is_some(), !state.is_null());
            assert_eq!(second.body["params"]["inputResponses"], json!({"q": accept("name", "Ada")}));
        }
    }
}

#[tokio::test]
async fn check_080_087_a_state_alone_passes_and_comes_back() {
    let server = asking_once(None, json!("later")).await;
    let gate = Gate::before(server.config("modern")).await;
    let call = asking(UP, "tool");
    let result = asked(&gate.send(&call).await);
    assert!(result.get("inputRequests").is_none(), "{result}");
    let post = call.clone().id(json!(2)).param("requestState", result["requestState"].clone());
    assert_eq!(gate.send(&post).await.said(), "done");
    let session = gate.session(UP, json!({})).await;
    assert_eq!(session.call("tool", json!({})).await.said(), "done");
    let states: Vec<Value> =
        server.of("tools/call").iter().map(|seen| seen.body["params"]["requestState"].clone()).collect();
    assert_eq!(states, [json!(null), json!("later"), json!(null), json!("later")]);
}

#[tokio::test]
async fn check_109_a_client_that_fails_to_sample_ends_the_call() {
    let server = asking_once(Some(sampling()), json!("s")).await;
    let gate = Gate::before(server.config("modern")).await;
    let session = gate.session(UP, super::everything()).await;
    let refuse = |_: &str, _: &Value| json!({"error": {"code": -1, "message": "User rejected sampling"}});
    let all = converse_legacy(&gate, &session, "tool", refuse).await;
    let last = &all[all.len() - 1]["result"];
    assert_eq!(last["isError"], true);
    assert!(super::said(&all[all.len() - 1]).contains("User rejected sampling"), "{last}");
    assert_eq!(server.of("tools/call").len(), 1);
}

#[tokio::test]
async fn check_109_an_error_to_a_form_is_a_cancel_for_a_modern_server() {
    let server = asking_once(Some(form()), json!("s")).await;
    let gate = Gate::before(server.config("modern")).await;
    let session = gate.session(UP, super::everything()).await;
    let fail = |_: &str, _: &Value| json!({"error": {"code": -32603, "message": "no window"}});
    converse_legacy(&gate, &session, "tool", fail).await;
    let answered = &server.of("tools/call")[1].body["params"]["inputResponses"];
    assert_eq!(answered, &json!({"q": {"action": "cancel"}}));
}

#[tokio::test]
async fn check_109_a_legacy_server_hears_the_error_itself() {
    let call = Mutex::new(Value::Null);
    let server = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") => {
            *call.lock().unwrap() = message.clone();
            let mut ask = sampling();
            ask["jsonrpc"] = json!("2.0");
            ask["id"] = json!("q");
            vec![Does::Says(ask)]
        }
        _ if message["id"] == "q" => {
            vec![Does::result(&call.lock().unwrap(), text(&message["error"]["code"].to_string()))]
        }
        _ => Vec::new(),
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let session = gate.session(UP, super::everything()).await;
    let refuse = |_: &str, _: &Value| json!({"error": {"code": -1, "message": "User rejected sampling"}});
    let all = converse_legacy(&gate, &session, "tool", refuse).await;
    assert_eq!(super::said(&all[all.len() - 1]), "-1");
}

/// A modern server that never has enough.
async fn insatiable(ask: Option<Value>) -> Scripted {
    Scripted::start(remote("modern", move |request: &Seen| {
        let mut result = json!({"resultType": "input_required", "requestState": "more"});
        if let Some(ask) = &ask {
            result["inputRequests"] = json!({"q": ask});
        }
        Answer::result(request, result)
    }))
    .await
}

async fn impatient(config: Value) -> Gate {
    Gate::of().server("up", config).set("limits", json!({"rounds": 3})).start().await
}

#[tokio::test]
async fn check_110_rounds_of_a_modern_server_are_capped() {
    let server = insatiable(Some(form())).await;
    let gate = impatient(server.config("modern")).await;
    let session = gate.session(UP, json!({"elicitation": {}})).await;
    let post = session.request("tools/call", json!({"name": "tool", "arguments": {}}));
    let (_, mut stream) = post.open(gate.address).await;
    let mut questions = 0;
    let end = loop {
        let message = stream.event().await.expect("an end");
        if message.get("method").is_none() {
            break message;
        }
        questions += 1;
        assert_eq!(session.answer(&message, accept("name", "x")).await.status, 202);
    };
    assert_eq!((&end["error"]["code"], questions), (&json!(-31010), 3), "{end}");
    let (end, rounds) = converse(&gate, asking(UP, "tool"), |_, _| accept("name", "x")).await;
    assert_eq!((end.refusal().1, rounds), (-31010, 3));
    assert_eq!(server.of("tools/call").len(), 8, "four each");
}

#[tokio::test]
async fn check_110_rounds_without_questions_are_capped_and_paced() {
    let server = insatiable(None).await;
    let gate = impatient(server.config("modern")).await;
    let session = gate.session(UP, json!({})).await;
    let began = Instant::now();
    assert_eq!(session.call("tool", json!({})).await.refusal().1, -31010);
    assert!(began.elapsed() >= Duration::from_secs(1), "each round waits longer than the one before");
    assert_eq!(server.of("tools/call").len(), 4);
}

#[tokio::test]
async fn check_110_a_legacy_server_that_asks_on_and_on_is_refused() {
    let call = Mutex::new(Value::Null);
    let server = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") => {
            *call.lock().unwrap() = message.clone();
            vec![Does::Says(question(json!(1), "More?"))]
        }
        None if message["result"]["action"] == "accept" => {
            let next = message["id"].as_u64().unwrap_or_default() + 1;
            vec![Does::Says(question(json!(next), "More?"))]
        }
        None => {
            vec![Does::result(&call.lock().unwrap(), text(&format!("refused question {}", message["id"])))]
        }
        Some(_) => Vec::new(),
    }))
    .await;
    let gate = impatient(server.config("legacy")).await;
    let (end, rounds) = converse(&gate, asking(UP, "tool"), |_, _| accept("name", "x")).await;
    assert_eq!((end.said(), rounds), ("refused question 4".to_owned(), 3));
    let session = gate.session(UP, json!({"elicitation": {}})).await;
    let answer = |_: &str, _: &Value| json!({"result": accept("name", "x")});
    let all = converse_legacy(&gate, &session, "tool", answer).await;
    assert_eq!(super::said(&all[all.len() - 1]), "refused question 4");
}

#[tokio::test]
async fn check_094_a_modern_server_judges_answers_itself() {
    let server = asking_once(Some(form()), json!("s")).await;
    let gate = Gate::before(server.config("modern")).await;
    let call = asking(UP, "tool");
    let result = asked(&gate.send(&call).await);
    let odd = json!({"q": {"action": "perhaps"}, "other": [1]});
    gate.send(&retry(&call, &result, odd.clone())).await.said();
    assert_eq!(server.of("tools/call")[1].body["params"]["inputResponses"], odd, "relayed as it came");
    gate.send(&retry_all(&call, &result, &accept("name", "Ada"))).await.said();
}

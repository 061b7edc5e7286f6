//! Questions that servers ask in the middle of a call (checks 79–113), by the four ways of the bridge. The submodules:
//! `ways` (whole conversations in every pairing), `states` (what clients bring back), `park` (legacy servers, modern
//! clients), `repeat` (modern servers), `rights` (who may be asked what).

mod away;
mod newer;
mod pages;
mod park;
mod repeat;
mod rights;
mod states;
mod ways;

use crate::harness::{Gate, Post, Response, Session};
use serde_json::{Value, json};

const UP: &str = "/mcp/up";

/// What a person or client can do that answers everything.
fn everything() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {}})
}

/// A modern call of a client that can fill in forms.
fn asking(path: &str, tool: &str) -> Post {
    Post::call(path, tool, json!({})).capable(json!({"elicitation": {}}))
}

/// The result that asks, checked to be one.
fn asked(response: &Response) -> Value {
    let result = response.result();
    assert_eq!(result["resultType"], "input_required", "{result}");
    assert!(result["inputRequests"].is_object() || result["requestState"].is_string(), "{result}");
    result
}

/// The keys of the questions, in their order.
fn keys(result: &Value) -> Vec<String> {
    let questions = result["inputRequests"].as_object();
    questions.unwrap_or_else(|| panic!("no questions: {result}")).keys().cloned().collect()
}

/// The same call again, as clients do: a new id, the state that came, and these answers.
fn retry(call: &Post, result: &Value, answers: Value) -> Post {
    let id = call.body()["id"].as_u64().unwrap_or_default() + 1;
    let post = call.clone().id(json!(id));
    let post = match &result["requestState"] {
        Value::Null => post,
        state => post.param("requestState", state.clone()),
    };
    post.param("inputResponses", answers)
}

/// The same call again with one answer to all questions.
fn retry_all(call: &Post, result: &Value, answer: &Value) -> Post {
    let answers: Value = keys(result).into_iter().map(|key| (key, answer.clone())).collect();
    retry(call, result, answers)
}

fn accept(field: &str, value: &str) -> Value {
    json!({"action": "accept", "content": {field: value}})
}

/// The only field of a question's form.
fn field(params: &Value) -> String {
    let properties = params["requestedSchema"]["properties"].as_object();
    properties.and_then(|fields| fields.keys().next()).unwrap_or_else(|| panic!("no form: {params}")).clone()
}

/// Calls until the answer is there, as a modern client does, and gives the answer and the number of rounds.
async fn converse(gate: &Gate, call: Post, answer: impl Fn(&str, &Value) -> Value) -> (Response, usize) {
    let mut post = call.clone();
    for round in 0.. {
        let response = gate.send(&post).await;
        let message = response.message();
        if message["result"]["resultType"] != "input_required" {
            return (response, round);
        }
        let result = asked(&response);
        let questions = result["inputRequests"].as_object().expect("questions");
        let answers = questions.iter().map(|(key, question)| {
            (key.clone(), answer(question["method"].as_str().expect("a method"), &question["params"]))
        });
        let next = retry(&call, &result, answers.collect());
        post = next.id(json!(round + 2));
        assert!(round < 20, "it never ends");
    }
    unreachable!("the loop returns");
}

/// Calls as a legacy client does, answers each question that comes on the call's stream, and gives all messages.
async fn converse_legacy(
    gate: &Gate,
    session: &Session,
    tool: &str,
    answer: impl Fn(&str, &Value) -> Value,
) -> Vec<Value> {
    let post = session.request("tools/call", json!({"name": tool, "arguments": {}}));
    let (head, mut stream) = post.open(gate.address).await;
    assert_eq!(head.header("content-type"), Some("text/event-stream"), "{tool} asks on a stream");
    let mut all = Vec::new();
    while let Some(message) = stream.event().await {
        if let (Some(method), true) = (message["method"].as_str(), message.get("id").is_some()) {
            let mut reply = answer(method, &message["params"]);
            reply["jsonrpc"] = json!("2.0");
            reply["id"] = message["id"].clone();
            let accepted = session.post(reply).await;
            assert_eq!((accepted.status, accepted.body.len()), (202, 0), "{tool}: {}", accepted.text());
        }
        all.push(message);
    }
    let last = all.last().expect("an answer");
    assert_eq!(last["id"], post.body()["id"], "the answer is the last message");
    assert!(last["result"].get("resultType").is_none(), "{last}");
    all
}

fn said(message: &Value) -> &str {
    message["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {message}"))
}

//! Who may be asked what (checks 81–83, 105, 106, 111): a server learns what the client declared on this very request,
//! and nothing else ever reaches the client.

use super::{UP, accept, asked, keys, retry_all};
use crate::{
    checks::scripts::{child, progress, remote, text},
    harness::{Answer, Does, Gate, Place, Places, Post, Scripted, ScriptedStdio, Seen},
};
use serde_json::{Value, json};
use std::sync::Mutex;

const ALL: [(&str, &str); 3] =
    [("elicitation", "elicitation/create"), ("sampling", "sampling/createMessage"), ("roots", "roots/list")];

/// Every set of the three capabilities, with the methods that they allow.
fn sets() -> impl Iterator<Item = (Value, Vec<&'static str>)> {
    (0..8_u8).map(|bits| {
        let chosen = ALL.iter().enumerate().filter(move |(at, _)| bits & (1 << at) != 0);
        let capabilities = chosen.clone().map(|(_, (key, _))| ((*key).to_owned(), json!({}))).collect();
        (capabilities, chosen.map(|(_, (_, method))| *method).collect())
    })
}

#[tokio::test]
async fn check_081_questions_are_only_what_this_request_declared() {
    // Every question at a legacy server leaves a parked call behind.
    let gate = Gate::of().set("limits", json!({"parked_per_principal": 64}));
    let places = Places::with(gate, &Place::ALL, &json!({})).await;
    for place in Place::ALL {
        let tool = "test_input_required_result_capabilities";
        for (capabilities, expected) in sets() {
            let call = Post::call(&place.path(), tool, json!({})).capable(capabilities.clone());
            let response = places.gate.send(&call).await;
            if expected.is_empty() {
                assert_eq!(response.refusal(), (400, -32021), "{place:?}");
                continue;
            }
            let result = asked(&response);
            let questions = result["inputRequests"].as_object().expect("questions");
            let mut methods: Vec<&str> =
                questions.values().map(|question| question["method"].as_str().expect("a method")).collect();
            methods.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            assert_eq!(methods, expected, "{place:?} {capabilities}");
        }
    }
}

#[tokio::test]
async fn check_081_a_server_that_insists_does_not_reach_a_client_that_did_not_offer() {
    let places = Places::start(&Place::ALL).await;
    let rows = [
        ("ask_name", json!({"sampling": {}, "roots": {}}), "elicitation"),
        ("ask_model", json!({"elicitation": {}, "roots": {}}), "sampling"),
        ("list_roots", json!({"elicitation": {}, "sampling": {}}), "roots"),
    ];
    for place in Place::ALL {
        for (tool, capabilities, missing) in &rows {
            let arguments = if *tool == "ask_model" { json!({"prompt": "x"}) } else { json!({}) };
            let call = Post::call(&place.path(), tool, arguments).capable(capabilities.clone());
            let response = places.gate.send(&call).await;
            let message = response.message();
            if Place::LEGACY.contains(&place) {
                // The demo looks first what it may ask, and says so in its own words.
                assert_eq!(message["result"]["isError"], true, "{place:?} {message}");
                assert!(response.said().contains("does not offer"), "{place:?} {message}");
            } else {
                assert_eq!(response.refusal(), (400, -32021), "{place:?} {tool}");
                assert!(message["error"]["data"]["requiredCapabilities"][missing].is_object(), "{message}");
            }
        }
    }
}

/// A legacy server that asks this in every call, and answers with what it got: an error if it got one.
async fn asking_legacy(ask: Value) -> ScriptedStdio {
    let call = Mutex::new(Value::Null);
    ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") => {
            *call.lock().unwrap() = message.clone();
            let mut ask = ask.clone();
            ask["jsonrpc"] = json!("2.0");
            ask["id"] = json!("q");
            vec![Does::Says(ask)]
        }
        _ if message["id"] == "q" && message["error"].is_object() => {
            vec![Does::error(&call.lock().unwrap(), -32603, "could not ask")]
        }
        _ if message["id"] == "q" => {
            vec![Does::result(&call.lock().unwrap(), text(&message["result"].to_string()))]
        }
        _ => Vec::new(),
    }))
    .await
}

/// A modern server that asks this in every call.
async fn asking_modern(ask: Value) -> Scripted {
    Scripted::start(remote("modern", move |request: &Seen| match &request.body["params"]["inputResponses"] {
        Value::Null => Answer::result(
            request,
            json!({"resultType": "input_required", "inputRequests": {"q": ask}, "requestState": "s"}),
        ),
        answers => Answer::text(request, &answers["q"].to_string()),
    }))
    .await
}

/// What a client with each set of capabilities meets when servers of both eras ask this: asked, or told what lacks.
async fn table(ask: Value, answer: Value, rows: &[(Value, bool)]) {
    let (old, new) = (asking_legacy(ask.clone()).await, asking_modern(ask.clone()).await);
    let gate =
        Gate::of().server("old", old.config("legacy")).server("new", new.config("modern")).start().await;
    for path in ["/mcp/old", "/mcp/new"] {
        for (capabilities, allowed) in rows {
            let call = Post::call(path, "tool", json!({})).capable(capabilities.clone());
            let response = gate.send(&call).await;
            if !allowed {
                let (status, code) = response.refusal();
                // What a legacy server makes of the refusal is its own; this one fails the call.
                let legacy = path == "/mcp/old" && (status, code) == (200, -32603);
                assert!(legacy || (status, code) == (400, -32021), "{path} {capabilities} {code}");
                continue;
            }
            let result = asked(&response);
            let question = &result["inputRequests"][&keys(&result)[0]];
            assert_eq!(question["method"], ask["method"], "{path} {capabilities}");
            for (key, value) in ask["params"].as_object().expect("params") {
                assert_eq!(&question["params"][key], value, "{path} {capabilities} {key}");
            }
            let answered = gate.send(&retry_all(&call, &result, &answer)).await;
            assert_eq!(answered.said(), answer.to_string(), "{path} {capabilities}");
        }
    }
}

#[tokio::test]
async fn check_081_a_call_that_fails_for_a_refused_question_says_what_lacks() {
    let form = json!({"method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}});
    let server = asking_legacy(form).await;
    let gate = Gate::before(server.config("legacy")).await;
    for capabilities in [json!({"sampling": {}}), json!({"elicitation": {"url": {}}})] {
        let call = Post::call(UP, "tool", json!({})).capable(capabilities);
        let response = gate.send(&call).await;
        assert_eq!(response.refusal(), (400, -32021));
        let required = &response.message()["error"]["data"]["requiredCapabilities"];
        assert!(required["elicitation"].is_object(), "{required}");
    }
}

#[tokio::test]
async fn check_082_an_empty_elicitation_means_forms_only() {
    let form = json!({"method": "elicitation/create", "params": {"mode": "form", "message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}});
    let url = json!({"method": "elicitation/create", "params": {"mode": "url", "message": "Open", "url": "https://example.com/x"}});
    let elicits = |modes: Value| json!({"elicitation": modes});
    let (none, with_form) = (elicits(json!({})), elicits(json!({"form": {}})));
    let (with_url, both) = (elicits(json!({"url": {}})), elicits(json!({"form": {}, "url": {}})));
    let none_at_all = json!({"sampling": {}});
    table(
        form,
        accept("name", "Ada"),
        &[
            (none.clone(), true),
            (with_form.clone(), true),
            (both.clone(), true),
            (with_url.clone(), false),
            (none_at_all.clone(), false),
        ],
    )
    .await;
    table(
        url,
        json!({"action": "accept"}),
        &[(none, false), (with_form, false), (both, true), (with_url, true), (none_at_all, false)],
    )
    .await;
}

#[tokio::test]
async fn check_083_tools_in_sampling_need_their_own_capability() {
    let message = json!({"role": "user", "content": {"type": "text", "text": "x"}});
    let tools = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    let params = json!({"messages": [message], "maxTokens": 9, "tools": tools});
    let sampled = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "y"}});
    let rows = [
        (json!({"sampling": {}}), false),
        (json!({"sampling": {"context": {}}}), false),
        (json!({"sampling": {"tools": {}}}), true),
    ];
    table(json!({"method": "sampling/createMessage", "params": params}), sampled, &rows).await;
}

#[tokio::test]
async fn check_111_servers_hear_exactly_what_the_client_declared() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        for (capabilities, _) in sets() {
            let call = Post::call(&place.path(), "connection", json!({})).capable(capabilities.clone());
            let session = places.gate.session(&place.path(), capabilities.clone()).await;
            let modern = places.gate.send(&call).await.result();
            let legacy = session.call("connection", json!({})).await.result();
            for seen in [modern, legacy] {
                let mut seen = seen["structuredContent"]["capabilities"].clone();
                // The same said in full.
                if seen["elicitation"] == json!({"form": {}}) {
                    seen["elicitation"] = json!({});
                }
                let mut expected = capabilities.clone();
                if seen.get("elicitation").is_some_and(Value::is_null) {
                    seen.as_object_mut().expect("an object").remove("elicitation");
                }
                if expected["elicitation"].is_null() {
                    expected.as_object_mut().expect("an object").remove("elicitation");
                }
                assert_eq!(seen, expected, "{place:?}");
            }
        }
    }
}

#[tokio::test]
async fn check_111_what_the_configuration_withholds_is_not_declared() {
    let keys = json!({"offer": {"sampling": false, "roots": false}});
    let places = Places::with(Gate::of(), &Place::OUTSIDE, &keys).await;
    for place in Place::OUTSIDE {
        let call = Post::call(&place.path(), "connection", json!({})).capable(super::everything());
        let seen = places.gate.send(&call).await.result()["structuredContent"]["capabilities"].clone();
        assert!(seen["elicitation"].is_object(), "{place:?} {seen}");
        assert!(seen.get("sampling").is_none() && seen.get("roots").is_none(), "{place:?} {seen}");
    }
}

#[tokio::test]
async fn check_037_081_what_lacks_is_said_in_band_once_a_stream_has_begun() {
    let server = ScriptedStdio::start(child("legacy", |message| match message["method"].as_str() {
        Some("tools/call") => {
            let form = json!({"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}});
            let ask = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": form});
            vec![
                Does::Says(progress(message, 1)),
                Does::Says(ask),
                Does::error(message, -32603, "could not ask"),
            ]
        }
        _ => Vec::new(),
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = Post::call(UP, "tool", json!({})).capable(json!({"sampling": {}}));
    let call = call.meta("progressToken", json!("p"));
    let response = gate.send(&call).await;
    assert_eq!(response.status, 200, "the status has gone out with the progress");
    let messages = response.messages();
    assert_eq!(messages[0]["method"], "notifications/progress");
    let error = &messages[messages.len() - 1]["error"];
    assert_eq!(error["code"], -32021, "{messages:?}");
    assert!(error["data"]["requiredCapabilities"]["elicitation"].is_object(), "{error}");
}

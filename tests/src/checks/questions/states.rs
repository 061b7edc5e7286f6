//! What clients bring back: forged, foreign, misplaced, expired and outlived states (checks 84–91, 101), towards servers
//! of both eras.

use super::{UP, accept, asked, asking, converse, retry_all};
use crate::{
    checks::scripts::{child, question},
    harness::{
        Answer, Does, Gate, Place, Places, Post, Response, Scripted, ScriptedStdio, Seen, modern_answers,
    },
};
use serde_json::{Value, json};

/// What every bad state is answered, whatever is wrong with it.
fn refusal_text(response: &Response) -> String {
    assert_eq!(response.refusal(), (200, -32602), "{}", response.message());
    response.message()["error"]["message"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn check_088_090_forged_and_misplaced_states_are_refused_alike() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let path = place.path();
        let call = asking(&path, "ask_name");
        let result = asked(&places.gate.send(&call).await);
        let good = retry_all(&call, &result, &accept("name", "Ada"));
        let state = result["requestState"].as_str().expect("a state").to_owned();
        let changed = |at: usize| {
            let mut bytes = state.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            json!(String::from_utf8(bytes).expect("ASCII"))
        };
        let mut texts = Vec::new();
        let forged = [
            changed(0),
            changed(state.len() / 2),
            changed(state.len() - 2),
            json!(state[..state.len() - 1]),
            json!(format!("{state}x")),
            json!(""),
            json!("garbage"),
            json!({"state": state}),
            json!(null),
        ];
        for forged in forged {
            let response = places.gate.send(&good.clone().param("requestState", forged)).await;
            texts.push(refusal_text(&response));
        }
        // Another tool, other arguments, another method.
        let other_tool = retry_all(&asking(&path, "interview"), &result, &accept("name", "Ada"));
        let other_arguments = good.clone().param("arguments", json!({"name": "x"}));
        let prompt = Post::modern(&path, "prompts/get", json!({"name": "test_input_required_result_prompt"}));
        let other_method =
            retry_all(&prompt.capable(json!({"elicitation": {}})), &result, &accept("name", "Ada"));
        for post in [other_tool, other_arguments, other_method] {
            texts.push(refusal_text(&places.gate.send(&post).await));
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{place:?}: one text for all: {texts:?}");
        assert_eq!(places.gate.send(&good).await.said(), "Hello, Ada!", "{place:?}: nothing was harmed");
    }
}

const ANNA: &str = "Bearer anna-0123456789abcdef";
const BEN: &str = "Bearer ben-0123456789abcdef";

fn keys() -> Value {
    json!([
        {"name": "anna", "secret": &ANNA[7..], "allow": [{"server": "*"}]},
        {"name": "ben", "secret": &BEN[7..], "allow": [{"server": "*"}]},
    ])
}

#[tokio::test]
async fn check_089_a_state_is_worth_nothing_in_other_hands() {
    for isolation in ["shared", "principal"] {
        let keyed = Gate::of().set("keys", keys());
        let places = Places::with(keyed, &Place::ALL, &json!({"isolation": isolation})).await;
        for place in Place::ALL {
            let call = asking(&place.path(), "ask_name");
            let first = places.gate.send(&call.clone().header("Authorization", ANNA)).await;
            let post = retry_all(&call, &asked(&first), &accept("name", "Ada"));
            let stolen = places.gate.send(&post.clone().header("Authorization", BEN)).await;
            let forged = post.clone().param("requestState", json!("forged")).header("Authorization", BEN);
            assert_eq!(refusal_text(&stolen), refusal_text(&places.gate.send(&forged).await), "{place:?}");
            let own = places.gate.send(&post.header("Authorization", ANNA)).await;
            assert_eq!(own.said(), "Hello, Ada!", "{place:?} {isolation}");
        }
    }
}

#[tokio::test]
async fn check_091_101_a_state_outlives_neither_its_time_nor_its_gate() {
    let ask = |message: &Value| match message["method"].as_str() {
        Some("tools/call") => vec![Does::Says(question(json!("q"), "Who?"))],
        _ => Vec::new(),
    };
    let server = ScriptedStdio::start(child("legacy", ask)).await;
    let mut config = server.config("legacy");
    config["timeouts"] = json!({"ask": "1s"});
    let gate = Gate::of().server("up", config.clone()).start().await;
    let call = asking(UP, "tool");
    let expired = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    server.until("the refusal of the question", |line| line["result"]["action"] == "cancel").await;
    let text = refusal_text(&gate.send(&expired).await);
    let forged = expired.clone().param("requestState", json!("forged"));
    assert_eq!(text, refusal_text(&gate.send(&forged).await));
    // A gate of the same data knows the seal, but not the call.
    let outlived = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    let calls = || server.methods().iter().filter(|(_, method)| method == "tools/call").count();
    let before = calls();
    let directory = gate.end().await;
    let gate = Gate::of().server("up", config).start_in(directory).await;
    assert_eq!(refusal_text(&gate.send(&outlived).await), text);
    assert_eq!(calls(), before, "nothing was run again");
}

#[tokio::test]
async fn check_101_a_relayed_state_outlives_the_gate_since_it_points_at_nothing_there() {
    let (_server, url) = crate::harness::demo_http("modern").await;
    let config = || Gate::of().server("up", json!({"url": url}));
    let gate = config().start().await;
    let call = asking(UP, "ask_name");
    let post = retry_all(&call, &asked(&gate.send(&call).await), &accept("name", "Ada"));
    let gate = config().start_in(gate.end().await).await;
    assert_eq!(gate.send(&post).await.said(), "Hello, Ada!");
    // A gate with another seal cannot read it.
    let stranger = config().start().await;
    refusal_text(&stranger.send(&post).await);
}

/// A modern server whose resource asks before it is read.
fn asking_resource(request: &Seen) -> Answer {
    let params = &request.body["params"];
    match request.method() {
        "server/discover" => Answer::complete(
            request,
            json!({"supportedVersions": [crate::harness::MODERN], "capabilities": {"resources": {}, "tools": {}}, "ttlMs": 60_000, "cacheScope": "public"}),
        ),
        "resources/read" if params["inputResponses"].is_null() => {
            let form = json!({"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}});
            // Hints do not belong here; some server will send them all the same.
            let hints = json!({"resultType": "input_required", "inputRequests": {"q": form}, "ttlMs": 60_000, "cacheScope": "public"});
            Answer::result(request, hints)
        }
        "resources/read" => {
            let contents =
                json!([{"uri": params["uri"], "text": params["inputResponses"]["q"]["content"]["name"]}]);
            Answer::complete(request, json!({"contents": contents, "ttlMs": 60_000, "cacheScope": "public"}))
        }
        _ => modern_answers(request, &json!([])),
    }
}

#[tokio::test]
async fn check_084_085_what_is_asked_or_answered_on_the_way_is_never_kept() {
    let server = Scripted::start(asking_resource).await;
    let gate = Gate::before(server.config("modern")).await;
    let call =
        Post::modern(UP, "resources/read", json!({"uri": "x://y"})).capable(json!({"elicitation": {}}));
    for round in 1..=2 {
        let result = asked(&gate.send(&call).await);
        assert!(result.get("ttlMs").is_none() && result.get("cacheScope").is_none(), "{result}");
        for name in ["Ada", "Grace"] {
            let response = gate.send(&retry_all(&call, &result, &accept("name", name))).await;
            assert_eq!(response.result()["contents"][0]["text"], name, "round {round}");
        }
    }
    assert_eq!(server.of("resources/read").len(), 6, "each went to the server");
}

#[tokio::test]
async fn check_084_a_legacy_server_may_ask_while_a_resource_is_read() {
    let contents = |name: &Value| json!({"contents": [{"uri": "x://y", "text": name}]});
    let call = std::sync::Mutex::new(Value::Null);
    let server = ScriptedStdio::start(move |_, message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"resources": {}}, "serverInfo": {"name": "s", "version": "1"}}),
        )],
        Some("resources/read") => {
            *call.lock().unwrap() = message.clone();
            vec![Does::Says(question(json!(0), "Who?"))]
        }
        _ if message["id"] == 0 => {
            vec![Does::result(&call.lock().unwrap(), contents(&message["result"]["content"]["name"]))]
        }
        _ => Vec::new(),
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let call =
        Post::modern(UP, "resources/read", json!({"uri": "x://y"})).capable(json!({"elicitation": {}}));
    let result = asked(&gate.send(&call).await);
    assert!(result.get("ttlMs").is_none() && result.get("cacheScope").is_none(), "{result}");
    let (answer, rounds) = converse(&gate, call, |_, _| accept("name", "Ada")).await;
    let result = answer.result();
    assert_eq!((&result["contents"][0]["text"], rounds), (&json!("Ada"), 1));
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(0), &json!("private")));
}

#[tokio::test]
async fn check_079_only_three_methods_may_ask() {
    // A modern server that answers everything with a question.
    let server = Scripted::start(|request: &Seen| match request.method() {
        "server/discover" => modern_answers(request, &json!([])),
        _ => Answer::result(request, json!({"resultType": "input_required", "requestState": "s"})),
    })
    .await;
    let reference = json!({"type": "ref/prompt", "name": "p"});
    let completion = json!({"ref": reference, "argument": {"name": "a", "value": ""}});
    // A legacy server that asks while it completes, and answers when it was refused.
    let call = std::sync::Mutex::new(Value::Null);
    let pipe = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("completion/complete") => {
            *call.lock().unwrap() = message.clone();
            vec![Does::Says(question(json!("q"), "Who?"))]
        }
        _ if message["id"] == "q" => {
            let values = json!([message["result"]["action"]]);
            vec![Does::result(&call.lock().unwrap(), json!({"completion": {"values": values}}))]
        }
        _ => Vec::new(),
    }))
    .await;
    let gate =
        Gate::of().server("up", server.config("modern")).server("pipe", pipe.config("legacy")).start().await;
    let rows = [
        ("completion/complete", completion.clone()),
        ("tools/list", json!({})),
        ("resources/list", json!({})),
    ];
    for (method, params) in rows {
        let post = Post::modern(UP, method, params).capable(super::everything());
        let message = gate.send(&post).await.message();
        assert_ne!(message["result"]["resultType"], "input_required", "{method}: {message}");
        assert!(message["result"].get("requestState").is_none(), "{method}: {message}");
    }
    let post = Post::modern("/mcp/pipe", "completion/complete", completion).capable(super::everything());
    assert_eq!(gate.send(&post).await.result()["completion"]["values"], json!(["cancel"]));
}

#[tokio::test]
async fn check_080_a_question_without_questions_or_state_is_no_answer() {
    let server = Scripted::start(crate::checks::scripts::remote("modern", |request: &Seen| {
        Answer::result(request, json!({"resultType": "input_required"}))
    }))
    .await;
    let gate = Gate::before(server.config("modern")).await;
    let response = gate.send(&asking(UP, "tool")).await;
    assert!(response.message()["error"]["code"].is_i64(), "{}", response.message());
}

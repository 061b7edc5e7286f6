//! Whole conversations: direct, relay, loop and park, with the demo in every place; many at once; refusals; the end of
//! the gate in the middle of one.

use super::{UP, accept, asked, asking, converse, converse_legacy, field, keys, retry, retry_all, said};
use crate::harness::{Gate, Place, Places, Post, demo_stdio, soon};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// What the person answers: what the form asks for, with a mark.
fn person(_method: &str, params: &Value) -> Value {
    let field = field(params);
    accept(&field, &format!("my {field}"))
}

fn person_legacy(method: &str, params: &Value) -> Value {
    json!({"result": person(method, params)})
}

#[tokio::test]
async fn check_095_096_097_a_modern_client_is_asked_by_every_server() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let path = place.path();
        let (answer, rounds) = converse(&places.gate, asking(&path, "ask_two"), person).await;
        assert_eq!(answer.said(), "Hello, my first my last!", "{place:?}");
        assert!((1..=2).contains(&rounds), "{place:?} {rounds}");
        let (answer, rounds) = converse(&places.gate, asking(&path, "interview"), person).await;
        assert_eq!((answer.said(), rounds), ("my name likes my colour.".to_owned(), 2), "{place:?}");
    }
}

#[tokio::test]
async fn check_107_a_legacy_client_is_asked_by_every_server_on_the_stream_of_its_call() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        for version in ["2025-06-18", "2025-11-25"] {
            let gate = &places.gate;
            let capabilities = json!({"elicitation": {}});
            let session =
                crate::harness::Session::open(gate.address, &place.path(), version, capabilities).await;
            let rows = [
                ("ask_two", "Hello, my first my last!", 2),
                ("interview", "my name likes my colour.", 2),
                ("ask_name", "Hello, my name!", 1),
            ];
            for (tool, expected, questions) in rows {
                let all = converse_legacy(gate, &session, tool, person_legacy).await;
                assert_eq!(said(&all[all.len() - 1]), expected, "{place:?} {version}");
                let asked = all.iter().filter(|message| message["method"] == "elicitation/create").count();
                assert_eq!((asked, all.len()), (questions, questions + 1), "{place:?} {version} {tool}");
            }
        }
    }
}

#[tokio::test]
async fn check_096_forms_sampling_and_roots_at_once_in_all_ways() {
    let places = Places::start(&Place::ALL).await;
    let answer = |method: &str, params: &Value| match method {
        "elicitation/create" => person(method, params),
        "sampling/createMessage" => {
            json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "Ahoy"}})
        }
        "roots/list" => json!({"roots": [{"uri": "file:///srv", "name": "srv"}]}),
        other => panic!("asked {other}"),
    };
    const TOOL: &str = "test_input_required_result_multiple_inputs";
    const EXPECTED: &str = "my name: Ahoy Roots:\nsrv: file:///srv";
    for place in Place::ALL {
        let call = Post::call(&place.path(), TOOL, json!({})).capable(super::everything());
        let (response, _) = converse(&places.gate, call, answer).await;
        assert_eq!(response.said(), EXPECTED, "{place:?}");
        let session = places.gate.session(&place.path(), super::everything()).await;
        let legacy = |method: &str, params: &Value| json!({"result": answer(method, params)});
        let all = converse_legacy(&places.gate, &session, TOOL, legacy).await;
        assert_eq!(said(&all[all.len() - 1]), EXPECTED, "{place:?}");
    }
}

#[tokio::test]
async fn check_108_refusals_arrive_as_such() {
    let places = Places::start(&Place::ALL).await;
    let rows = [("decline", "You declined to answer."), ("cancel", "You closed the question.")];
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        for (action, expected) in rows {
            let refuse = |_: &str, _: &Value| json!({"action": action});
            let (response, _) = converse(&places.gate, asking(&place.path(), "ask_name"), refuse).await;
            assert_eq!((response.said(), &response.result()["isError"]), (expected.to_owned(), &json!(true)));
            let refuse = |_: &str, _: &Value| json!({"result": {"action": action}});
            let all = converse_legacy(&places.gate, &session, "ask_name", refuse).await;
            let last = &all[all.len() - 1];
            assert_eq!((said(last), &last["result"]["isError"]), (expected, &json!(true)), "{place:?}");
        }
    }
}

#[tokio::test]
async fn check_070_104_eight_calls_at_once_ask_and_report_each_for_itself() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        join_all((0..8).map(|number| Box::pin(one_of_eight(&places.gate, place, number)))).await;
    }
}

async fn one_of_eight(gate: &Gate, place: Place, number: u32) {
    let token = format!("token-{number}");
    let call = asking(&place.path(), "test_streaming_elicitation").meta("progressToken", json!(token));
    let first = gate.send(&call.id(json!(number * 10))).await;
    let call = asking(&place.path(), "test_streaming_elicitation").meta("progressToken", json!(token));
    let messages = first.messages();
    assert_eq!(messages.len(), 2, "{place:?} {messages:?}");
    assert_eq!(messages[0]["params"]["progressToken"], token, "{place:?}");
    let answer = accept("name", &format!("person {number}"));
    let second = gate.send(&retry_all(&call, &asked(&first), &answer)).await;
    let expected = format!("Streamed: action=accept, content={{\"name\":\"person {number}\"}}");
    assert_eq!(second.said(), expected, "{place:?}");
}

#[tokio::test]
async fn check_107_eight_legacy_calls_at_once_are_asked_each_for_itself() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        let (gate, session) = (&places.gate, &session);
        let calls = (0..8).map(|number| {
            let name = format!("person {number}");
            Box::pin(async move {
                let answer = |_: &str, _: &Value| json!({"result": accept("name", &name)});
                let all = converse_legacy(gate, session, "ask_name", answer).await;
                assert_eq!(said(&all[all.len() - 1]), format!("Hello, {name}!"), "{place:?}");
            })
        });
        join_all(calls).await;
    }
}

#[tokio::test]
async fn check_102_the_same_retry_twice_at_the_same_moment_gives_the_same_answer() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let call = asking(&place.path(), "ask_name");
        let result = asked(&places.gate.send(&call).await);
        let post = retry_all(&call, &result, &accept("name", "Ada"));
        let answers = join_all([places.gate.send(&post), places.gate.send(&post)]).await;
        for answer in answers {
            assert_eq!(answer.said(), "Hello, Ada!", "{place:?}");
        }
    }
}

#[tokio::test]
async fn check_095_prompts_ask_too() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let params = json!({"name": "test_input_required_result_prompt"});
        let call = Post::modern(&place.path(), "prompts/get", params).capable(json!({"elicitation": {}}));
        let (response, rounds) = converse(&places.gate, call, person).await;
        let text = &response.result()["messages"][0]["content"]["text"];
        assert_eq!((text, rounds), (&json!("Answer in this context: my context"), 1), "{place:?}");
    }
}

/// The processes below this one, as the kernel knows them.
fn descendants(pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children: Vec<i32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
            next.extend(&children);
            all.extend(children);
        }
    }
    all
}

#[tokio::test]
async fn check_099_a_gate_that_ends_answers_what_is_parked_and_leaves_no_child() {
    let mut gate = Gate::of().server("up", demo_stdio("legacy")).start().await;
    let calls: Vec<Post> = (0..2).map(|_| asking(UP, "ask_name")).collect();
    let parked = join_all(calls.iter().map(|call| gate.send(call))).await;
    parked.iter().for_each(|response| drop(asked(response)));
    let session = gate.session(UP, json!({"elicitation": {}})).await;
    let (_, mut stream) = session.open_call("ask_name", json!({})).await;
    assert_eq!(stream.event().await.expect("a question")["method"], "elicitation/create");
    let children = descendants(gate.running.pid());
    assert!(children.len() >= 3, "three calls that can be asked have a child each: {children:?}");
    gate.running.terminate();
    let status = gate.running.ended().await;
    assert!(status.success(), "{status}");
    let alive = |pid: &i32| std::path::Path::new(&format!("/proc/{pid}")).exists();
    let gone = async {
        while children.iter().any(alive) {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of every child", gone).await;
}

#[tokio::test]
async fn check_092_093_unanswered_questions_come_again_and_surplus_answers_do_not_matter() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let call = asking(&place.path(), "ask_two");
        let result = asked(&places.gate.send(&call).await);
        assert_eq!(keys(&result), ["first", "last"], "{place:?}");
        let mut answers = json!({"first": accept("first", "Ada"), "surplus": {"action": "accept"}, "": 1});
        let result = asked(&places.gate.send(&retry(&call, &result, answers.clone())).await);
        assert_eq!(keys(&result), ["last"], "{place:?}");
        // No answer at all asks the same again.
        let result = asked(&places.gate.send(&retry(&call, &result, json!({}))).await);
        assert_eq!(keys(&result), ["last"], "{place:?}");
        answers = json!({"last": accept("last", "Lovelace"), "first": accept("first", "too late")});
        let answer = places.gate.send(&retry(&call, &result, answers)).await.said();
        let expected = ["Hello, Ada Lovelace!", "Hello, too late Lovelace!"];
        // A modern server decides itself what an answer to an earlier question means.
        let both = matches!(place, Place::BuiltIn | Place::StdioModern | Place::HttpModern);
        assert!(answer == expected[0] || both && answer == expected[1], "{place:?} {answer}");
    }
}

#[tokio::test]
async fn check_094_malformed_answers_are_errors_and_the_call_survives() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let call = asking(&place.path(), "ask_name");
        let result = asked(&places.gate.send(&call).await);
        let bad = [
            json!([]),
            json!("name"),
            json!(7),
            json!({"name": null}),
            json!({"name": "Ada"}),
            json!({"name": {}}),
            json!({"name": {"action": "perhaps"}}),
            json!({"name": {"action": ["accept"]}}),
        ];
        for answers in bad {
            let response = places.gate.send(&retry(&call, &result, answers.clone())).await;
            assert_eq!(response.refusal().1, -32602, "{place:?} {answers}");
        }
        let good = retry_all(&call, &result, &accept("name", "Ada"));
        assert_eq!(places.gate.send(&good).await.said(), "Hello, Ada!", "{place:?}");
    }
}

#[tokio::test]
async fn check_064_a_cancelled_call_that_waits_for_an_answer_ends_at_the_server() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        let post = session.request("tools/call", json!({"name": "ask_name", "arguments": {}}));
        let (_, mut stream) = post.open(places.gate.address).await;
        let question = stream.event().await.expect("a question");
        let params = json!({"requestId": post.body()["id"]});
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        assert_eq!(session.post(cancel).await.status, 202);
        let rest = stream.events().await;
        assert!(rest.iter().all(|message| message["method"].is_string()), "{place:?}: {rest:?}");
        // The question is gone with its call: an answer to it is late, which is no fault.
        let late = session.answer(&question, accept("name", "late")).await;
        assert_eq!((late.status, late.body.len()), (202, 0), "{place:?}");
        // A server that asked in the middle counts it, one that ended the leg has nothing left to cancel. Over HTTP the
        // closed stream may be noticed first: then nobody answers there, and the call ends by itself.
        let counted = async {
            loop {
                let status = session.call("status", json!({})).await.result()["structuredContent"].clone();
                if status["running"] == 0 {
                    return status;
                }
            }
        };
        let status = soon("the end of the call", counted).await;
        if matches!(place, Place::StdioLegacy | Place::BuiltIn) {
            assert_eq!(status["cancelled"], 1, "{place:?}");
        }
    }
}

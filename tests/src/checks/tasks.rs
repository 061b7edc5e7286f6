//! Tools that run as tasks (checks 163–172), with the demo in every place: the extension of the newest revision, the core
//! feature of 2025-11-25, and what the gate does where one side knows neither.

use crate::harness::{Gate, Place, Places, Post, Response, Session, soon};
use serde_json::{Value, json};
use std::time::Duration;

const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const RELATED: &str = "io.modelcontextprotocol/related-task";
const CORE: [Place; 4] = [Place::BuiltIn, Place::StdioLegacy, Place::HttpLegacy, Place::SseLegacy];
const MODERN: [Place; 2] = [Place::StdioModern, Place::HttpModern];

/// What a client declares that knows tasks and can fill in forms.
fn knows() -> Value {
    json!({"elicitation": {}, "extensions": {EXTENSION: {}}})
}

fn call(place: Place, tool: &str, arguments: Value) -> Post {
    Post::call(&place.path(), tool, arguments).capable(knows())
}

fn about(place: Place, method: &str, id: &str) -> Post {
    Post::modern(&place.path(), method, json!({"taskId": id})).capable(knows())
}

async fn made(gate: &Gate, place: Place, tool: &str, arguments: Value) -> Value {
    let task = gate.send(&call(place, tool, arguments)).await.result();
    assert_eq!(task["resultType"], "task", "{place:?} {tool}: {task}");
    task
}

fn id(task: &Value) -> &str {
    task["taskId"].as_str().unwrap_or_else(|| panic!("no task: {task}"))
}

/// Looks at a task as often as its server suggests, until it stands there or has ended.
async fn reaches(gate: &Gate, place: Place, task: &Value, status: &str) -> Value {
    let look = async {
        loop {
            let now = gate.send(&about(place, "tasks/get", id(task))).await.result();
            assert_eq!(now["taskId"], task["taskId"], "{place:?}");
            assert_eq!(now["resultType"], "complete", "{place:?}");
            let at = now["status"].as_str().expect("a status");
            if at == status || ["completed", "failed", "cancelled"].contains(&at) {
                assert_eq!(at, status, "{place:?} {now}");
                return now;
            }
            let pause = now["pollIntervalMs"].as_u64().expect("the demo suggests a pace");
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    };
    soon(&format!("{status} in {place:?}"), look).await
}

fn said(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

#[tokio::test]
async fn check_163_only_who_declares_the_extension_gets_a_task() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let plain = places.gate.call(&place.path(), "slow_compute", json!({"seconds": 0.01})).await.result();
        assert_eq!(plain["resultType"], "complete", "{place:?}");
        assert!(plain.get("taskId").is_none() && said(&plain).starts_with("Computed"), "{place:?} {plain}");
        let task = made(&places.gate, place, "slow_compute", json!({"seconds": 0.01})).await;
        assert!(task["ttlMs"].as_u64().is_some() && task["createdAt"].is_string(), "{place:?} {task}");
        assert!(
            ["ttl", "pollInterval", "task", "result"].iter().all(|key| task.get(key).is_none()),
            "{task}"
        );
        let end = reaches(&places.gate, place, &task, "completed").await;
        assert!(said(&end["result"]).starts_with("Computed"), "{place:?} {end}");
        assert!(end["result"]["_meta"].get(RELATED).is_none(), "{place:?} {end}");
        // A tool that runs here and now does so for everybody.
        let greeting = places.gate.send(&call(place, "greet", json!({"name": "Ada"}))).await;
        assert_eq!(greeting.said(), "Hello, Ada!", "{place:?}");
    }
}

#[tokio::test]
async fn check_164_tasks_need_the_extension_on_each_request() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let task = made(&places.gate, place, "slow_compute", json!({"seconds": 0.01})).await;
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let refused = places.gate.send(&about(place, method, id(&task)).capable(json!({}))).await;
            assert_eq!(refused.refusal(), (400, -32021), "{place:?} {method}");
            let needed = &refused.json()["error"]["data"]["requiredCapabilities"]["extensions"];
            assert!(needed[EXTENSION].is_object(), "{place:?} {}", refused.text());
        }
    }
}

#[tokio::test]
async fn check_165_unknown_and_foreign_tasks_look_alike() {
    let key = |name: &str| {
        let allow = json!([{"server": "*", "tools": ["*"]}]);
        json!({"name": name, "secret": format!("key-of-{name}-0123456789abcdef"), "allow": allow})
    };
    let keys = json!([key("ada"), key("bob")]);
    let bearer = |name: &str| format!("Bearer key-of-{name}-0123456789abcdef");
    let places = Places::with(Gate::of().set("keys", keys), &Place::ALL, &json!({})).await;
    for place in Place::ALL {
        let post =
            call(place, "slow_compute", json!({"seconds": 0.01})).header("Authorization", &bearer("ada"));
        let task = places.gate.send(&post).await.result();
        let other = Place::ALL[usize::from(place == Place::ALL[0])];
        let known = about(place, "tasks/get", id(&task)).header("Authorization", &bearer("ada"));
        assert_eq!(places.gate.send(&known).await.result()["taskId"], task["taskId"], "{place:?}");
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let ask = |place, id: &str, name: &str| {
                let post = about(place, method, id).param("inputResponses", json!({}));
                post.header("Authorization", &bearer(name))
            };
            let mut heard = Vec::new();
            for post in [
                ask(place, "nothing", "ada"),
                ask(place, id(&task), "bob"),
                ask(other, id(&task), "ada"),
                ask(place, &id(&task)[1..], "ada"),
            ] {
                let refused = places.gate.send(&post).await;
                assert_eq!(refused.refusal().1, -32602, "{place:?} {method}");
                heard.push(refused.json()["error"].clone());
            }
            heard.dedup();
            assert_eq!(heard.len(), 1, "{place:?} {method}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn check_166_a_cancel_is_acknowledged_and_stops_the_work() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let task = made(&places.gate, place, "slow_compute", json!({"seconds": 600})).await;
        for _ in 0..2 {
            let done = places.gate.send(&about(place, "tasks/cancel", id(&task))).await.result();
            assert_eq!(done["resultType"], "complete", "{place:?}");
            assert!(["taskId", "status", "task"].iter().all(|key| done.get(key).is_none()), "{done}");
            reaches(&places.gate, place, &task, "cancelled").await;
        }
        let status = places.gate.send(&call(place, "status", json!({}))).await.result();
        let counts = &status["structuredContent"];
        assert_eq!((&counts["cancelled"], &counts["running"]), (&json!(1), &json!(0)), "{place:?}");
        let ended = made(&places.gate, place, "slow_compute", json!({"seconds": 0})).await;
        reaches(&places.gate, place, &ended, "completed").await;
        let done = places.gate.send(&about(place, "tasks/cancel", id(&ended))).await.result();
        assert_eq!(done["resultType"], "complete", "{place:?}");
        reaches(&places.gate, place, &ended, "completed").await;
    }
}

#[tokio::test]
async fn check_167_a_tool_error_completes_its_task_and_a_protocol_error_fails_it() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let task = made(&places.gate, place, "failing_job", json!({})).await;
        let end = reaches(&places.gate, place, &task, "completed").await;
        assert_eq!(end["result"]["isError"], true, "{place:?} {end}");
        assert!(end.get("error").is_none(), "{place:?} {end}");
        let task = made(&places.gate, place, "protocol_error_job", json!({})).await;
        let end = reaches(&places.gate, place, &task, "failed").await;
        assert_eq!(end["error"]["code"], -32603, "{place:?} {end}");
        assert!(end.get("result").is_none(), "{place:?} {end}");
    }
}

#[tokio::test]
async fn check_168_what_the_extension_has_not_is_not_there() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        for method in ["tasks/list", "tasks/result"] {
            let refused = places.gate.send(&about(place, method, "any")).await;
            assert_eq!(refused.refusal(), (404, -32601), "{place:?} {method}");
        }
    }
}

#[tokio::test]
async fn check_169_a_tool_that_only_runs_as_a_task_works_for_who_knows_none() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::LEGACY {
        let result = places.gate.call(&place.path(), "failing_job", json!({})).await.result();
        assert_eq!(
            (&result["resultType"], &result["isError"]),
            (&json!("complete"), &json!(true)),
            "{place:?}"
        );
        assert_eq!(said(&result), "This job always fails.", "{place:?}");
        assert!(result.get("_meta").is_none_or(|meta| meta.get(RELATED).is_none()), "{result}");
    }
    for place in MODERN {
        let refused = places.gate.call(&place.path(), "failing_job", json!({})).await;
        assert_eq!(refused.refusal(), (400, -32021), "{place:?}");
        // A legacy client cannot be told so; the gate looks after the task in its place.
        for version in ["2025-06-18", "2025-11-25"] {
            let session = Session::open(places.gate.address, &place.path(), version, json!({})).await;
            assert!(session.initialized["capabilities"].get("tasks").is_none(), "{place:?}");
            let result = session.call("failing_job", json!({})).await.result();
            assert_eq!(
                (said(&result), &result["isError"]),
                ("This job always fails.", &json!(true)),
                "{place:?}"
            );
            assert!(result.get("resultType").is_none(), "{place:?} {result}");
        }
    }
    for place in Place::LEGACY {
        let session = Session::open(places.gate.address, &place.path(), "2025-06-18", json!({})).await;
        let result = session.call("failing_job", json!({})).await.result();
        assert_eq!(
            (said(&result), &result["isError"]),
            ("This job always fails.", &json!(true)),
            "{place:?}"
        );
    }
}

#[tokio::test]
async fn check_170_a_task_that_waits_shows_its_questions_and_takes_answers_one_by_one() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let task = made(&places.gate, place, "multi_input", json!({})).await;
        let open = reaches(&places.gate, place, &task, "input_required").await;
        assert_eq!(open["inputRequests"]["first"]["method"], "elicitation/create", "{place:?} {open}");
        assert!(open["inputRequests"]["second"]["params"]["message"].is_string(), "{place:?} {open}");
        let update =
            |answers: Value| about(place, "tasks/update", id(&task)).param("inputResponses", answers);
        let accept = |name: &str| json!({"action": "accept", "content": {"name": name}});
        let wrong = places.gate.send(&update(json!({"first": {"action": "perhaps"}}))).await;
        assert_eq!(wrong.refusal().1, -32602, "{place:?}");
        let done = places.gate.send(&update(json!({"first": accept("Ada"), "unknown": {}}))).await.result();
        assert_eq!(done["resultType"], "complete", "{place:?}");
        let rest = reaches(&places.gate, place, &task, "input_required").await;
        let keys: Vec<_> = rest["inputRequests"].as_object().expect("questions").keys().collect();
        assert_eq!(keys, ["second"], "{place:?}");
        places.gate.send(&update(json!({"second": accept("Bob")}))).await.result();
        let end = reaches(&places.gate, place, &task, "completed").await;
        assert_eq!(said(&end["result"]), "Ada and Bob.", "{place:?}");
    }
}

#[tokio::test]
async fn check_171_tasks_are_told_in_the_words_of_each_revision() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let found = places.gate.ask(&place.path(), "server/discover", json!({})).await.result();
        assert!(found["capabilities"].get("tasks").is_none(), "{place:?} {found}");
        assert!(found["capabilities"]["extensions"][EXTENSION].is_object(), "{place:?} {found}");
        let list = places.gate.ask(&place.path(), "tools/list", json!({})).await.result();
        assert!(!list.to_string().contains("taskSupport"), "{place:?}");
        for version in ["2025-06-18", "2025-11-25"] {
            let relayed = version == "2025-11-25" && CORE.contains(&place);
            let session = Session::open(places.gate.address, &place.path(), version, json!({})).await;
            let capabilities = &session.initialized["capabilities"];
            assert_eq!(capabilities["tasks"]["requests"]["tools"]["call"].is_object(), relayed, "{place:?}");
            assert!(capabilities["extensions"].get(EXTENSION).is_none(), "{place:?} {capabilities}");
            let list = session.ask("tools/list", json!({})).await.result();
            assert_eq!(list.to_string().contains("taskSupport"), relayed, "{place:?} {version}");
            if !relayed {
                let refused = session.ask("tasks/get", json!({"taskId": "any"})).await;
                assert_eq!(refused.refusal().1, -32601, "{place:?} {version}");
            }
        }
    }
}

#[tokio::test]
async fn check_172_the_name_header_is_the_id_of_the_task() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let task = made(&places.gate, place, "slow_compute", json!({"seconds": 600})).await;
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let post = about(place, method, id(&task)).param("inputResponses", json!({}));
            let other = places.gate.send(&post.clone().header("Mcp-Name", "another")).await;
            assert_eq!(other.refusal(), (400, -32020), "{place:?} {method}");
            let none = places.gate.send(&post.clone().without_header("Mcp-Name")).await;
            assert_eq!(none.refusal(), (400, -32020), "{place:?} {method}");
            // Behind the gate it is the server's id, which its own door compares as well.
            assert_eq!(
                places.gate.send(&post).await.result()["resultType"],
                "complete",
                "{place:?} {method}"
            );
        }
    }
}

#[tokio::test]
async fn a_task_may_begin_with_a_question_in_every_pairing() {
    let places = Places::start(&Place::ALL).await;
    for place in Place::ALL {
        let post = call(place, "test_tool_with_task", json!({}));
        let asked = places.gate.send(&post).await.result();
        assert_eq!(asked["resultType"], "input_required", "{place:?} {asked}");
        let answer = json!({"user_name": {"action": "accept", "content": {"name": "Ada"}}});
        let again = post.id(json!(2)).param("inputResponses", answer);
        let again = again.param("requestState", asked["requestState"].clone());
        let task = places.gate.send(&again).await.result();
        assert_eq!(task["resultType"], "task", "{place:?} {task}");
        let end = reaches(&places.gate, place, &task, "completed").await;
        assert_eq!(said(&end["result"]), "Hello, Ada!", "{place:?}");
    }
}

/// Asks as a legacy client and answers every question that comes on the stream.
async fn converse(session: &Session, gate: &Gate, post: Post, answer: &Value) -> (Vec<Value>, Value) {
    let (_, mut stream) = post.open(gate.address).await;
    let mut asked = Vec::new();
    while let Some(message) = soon("a message", stream.event()).await {
        if message.get("method").is_none() {
            return (asked, message["result"].clone());
        }
        session.answer(&message, answer.clone()).await;
        asked.push(message);
    }
    panic!("the stream ended without an answer");
}

#[tokio::test]
async fn tasks_of_2025_11_25_pass_with_ids_of_the_gate() {
    let places = Places::start(&CORE).await;
    for place in CORE {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        Box::pin(asks_and_ends(&places.gate, &session, place)).await;
        Box::pin(is_cancelled(&session, place)).await;
        Box::pin(assert_wrong(&session, place)).await;
    }
}

async fn asks_and_ends(gate: &Gate, session: &Session, place: Place) {
    let accept = json!({"action": "accept", "content": {"confirm": true}});
    let params = json!({"name": "confirm_delete", "arguments": {"filename": "a"}, "task": {"ttl": 60000}});
    let made = session.ask("tools/call", params).await.result();
    let task = made["task"].clone();
    let about = json!({"taskId": id(&task)});
    assert_eq!((&task["ttl"], made.get("content")), (&json!(60000), None), "{place:?} {made}");
    let now = session.ask("tasks/get", about.clone()).await.result();
    assert_eq!(now["taskId"], task["taskId"], "{place:?}");
    let post = session.request("tasks/result", about.clone());
    let (asked, result) = converse(session, gate, post, &accept).await;
    assert_eq!(asked[0]["params"]["_meta"][RELATED], about, "{place:?} {asked:?}");
    assert_eq!((said(&result), &result["_meta"][RELATED]), ("a would be gone now.", &about), "{place:?}");
    let all = session.ask("tasks/list", json!({})).await.result();
    assert_eq!(all["tasks"][0]["taskId"], task["taskId"], "{place:?} {all}");
    assert_eq!(session.ask("tasks/cancel", about).await.refusal().1, -32602, "{place:?}");
}

async fn is_cancelled(session: &Session, place: Place) {
    let long = json!({"name": "slow_compute", "arguments": {"seconds": 600}, "task": {}});
    let long = session.ask("tools/call", long).await.result()["task"].clone();
    let ended = session.ask("tasks/cancel", json!({"taskId": id(&long)})).await.result();
    assert_eq!((&ended["status"], &ended["taskId"]), (&json!("cancelled"), &long["taskId"]), "{place:?}");
}

async fn assert_wrong(session: &Session, place: Place) {
    let code = |response: Response| response.refusal().1;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        assert_eq!(
            code(session.ask(method, json!({"taskId": "nothing"})).await),
            -32602,
            "{place:?} {method}"
        );
    }
    let forbidden = json!({"name": "hello", "arguments": {}, "task": {}});
    assert_eq!(code(session.ask("tools/call", forbidden).await), -32601, "{place:?}");
    let required = json!({"name": "failing_job", "arguments": {}});
    assert_eq!(code(session.ask("tools/call", required).await), -32601, "{place:?}");
    assert_eq!(code(session.ask("tasks/list", json!({"cursor": "nothing"})).await), -32602, "{place:?}");
}

#[tokio::test]
async fn a_driven_task_asks_and_reports_on_the_stream_of_its_call() {
    let places = Places::start(&Place::ALL).await;
    let accept = json!({"action": "accept", "content": {"name": "Ada"}});
    for place in MODERN {
        let session = places.gate.session(&place.path(), json!({"elicitation": {}})).await;
        let params = json!({"name": "test_tool_with_task", "arguments": {}});
        let (asked, result) =
            converse(&session, &places.gate, session.request("tools/call", params), &accept).await;
        assert_eq!((asked.len(), said(&result)), (1, "Hello, Ada!"), "{place:?}");
    }
}

//! Pages that a person has to open (checks 105, 106 and mcp.md 4.3.7, 4.4.4): a call that a 2025-11-25 server refuses until
//! that has happened, and URL questions of modern servers to legacy clients.

use super::{UP, accept, asked, asking, keys, retry, retry_all};
use crate::{
    checks::scripts::{child, legacy_child, remote, text},
    harness::{Answer, Does, Gate, Post, Scripted, ScriptedStdio, Seen, Session},
};
use serde_json::{Value, json};
use std::sync::Mutex;

fn page(id: &str) -> Value {
    json!({"mode": "url", "elicitationId": id, "url": format!("https://example.com/{id}"), "message": format!("Open {id}")})
}

/// The refusal of a server that wants these pages opened.
fn refusal(request: &Value, ids: &[&str]) -> Does {
    let pages: Vec<Value> = ids.iter().map(|id| page(id)).collect();
    let error = json!({"code": -32042, "message": "a page is needed", "data": {"elicitations": pages}});
    Does::Says(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
}

/// A legacy server that refuses its first calls until these pages have been opened, one list after another.
async fn wanting(rounds: Vec<Vec<&'static str>>) -> ScriptedStdio {
    let rounds = Mutex::new(rounds.into_iter());
    ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") => match rounds.lock().unwrap().next() {
            Some(ids) => vec![refusal(message, &ids)],
            None => vec![Does::result(message, text("opened"))],
        },
        _ => Vec::new(),
    }))
    .await
}

fn done(id: &str) -> Value {
    let params = json!({"elicitationId": id});
    json!({"jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": params})
}

fn opening(tool: &str) -> Post {
    asking(UP, tool).capable(json!({"elicitation": {"url": {}}}))
}

fn agree() -> Value {
    json!({"action": "accept"})
}

fn calls(server: &ScriptedStdio) -> usize {
    server.methods().iter().filter(|(_, method)| method == "tools/call").count()
}

#[tokio::test]
async fn check_105_a_page_that_a_legacy_server_wants_is_asked_for_and_the_call_sent_again() {
    let server = wanting(vec![vec!["e1"]]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = opening("tool");
    let result = asked(&gate.send(&call).await);
    assert!(result.get("ttlMs").is_none() && result["requestState"].is_string(), "{result}");
    let question = &result["inputRequests"][&keys(&result)[0]];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(
        question["params"],
        json!({"mode": "url", "url": "https://example.com/e1", "message": "Open e1"}),
        "the id is the old revision's own"
    );
    let answer = gate.send(&retry_all(&call, &result, &agree())).await;
    assert_eq!((answer.said(), calls(&server)), ("opened".to_owned(), 2));
}

#[tokio::test]
async fn check_105_a_page_that_a_remote_legacy_server_wants_is_asked_for_too() {
    let calls = Mutex::new(0);
    let server = Scripted::start(remote("legacy", move |request: &Seen| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls > 1 {
            return Answer::text(request, "opened");
        }
        let error = json!({"code": -32042, "message": "a page", "data": {"elicitations": [page("e1")]}});
        Answer::Json(200, Vec::new(), json!({"jsonrpc": "2.0", "id": request.body["id"], "error": error}))
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = opening("tool");
    let result = asked(&gate.send(&call).await);
    assert_eq!(gate.send(&retry_all(&call, &result, &agree())).await.said(), "opened");
    let sent = server.of("tools/call");
    assert_eq!(sent[0].body["params"]["name"], sent[1].body["params"]["name"]);
    assert!(sent[1].body["params"].get("inputResponses").is_none(), "an older server knows no such thing");
    assert!(sent[1].body["params"].get("requestState").is_none());
}

#[tokio::test]
async fn check_105_a_person_who_opens_no_page_ends_the_call() {
    for action in ["decline", "cancel"] {
        let server = wanting(vec![vec!["e1"]]).await;
        let gate = Gate::before(server.config("legacy")).await;
        let call = opening("tool");
        let result = asked(&gate.send(&call).await);
        let answer = gate.send(&retry_all(&call, &result, &json!({"action": action}))).await;
        assert_eq!(answer.result()["isError"], true, "{}", answer.text());
        assert_eq!(answer.result()["resultType"], "complete");
        assert_eq!(calls(&server), 1, "nothing is sent again");
    }
}

#[tokio::test]
async fn check_092_105_a_page_without_an_answer_is_asked_for_again() {
    let server = wanting(vec![vec!["e1", "e2"]]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = opening("tool");
    let first = asked(&gate.send(&call).await);
    let [one, two] = <[String; 2]>::try_from(keys(&first)).expect("two pages");
    let second = asked(&gate.send(&retry(&call, &first, json!({ &one: agree() }))).await);
    assert_eq!(keys(&second), [two.as_str()]);
    assert_eq!(second["inputRequests"][&two], first["inputRequests"][&two]);
    let bad = gate.send(&retry(&call, &second, json!({ &two: {"action": "perhaps"} }))).await;
    assert_eq!(bad.refusal().1, -32602);
    assert_eq!(calls(&server), 1);
    assert_eq!(gate.send(&retry_all(&call, &second, &agree())).await.said(), "opened");
}

#[tokio::test]
async fn check_105_a_page_that_is_not_done_is_waited_for_and_not_asked_for_again() {
    let calls = Mutex::new(0);
    let server = ScriptedStdio::start(child("legacy", move |message| match message["method"].as_str() {
        Some("tools/call") => {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            match *calls {
                1 => vec![refusal(message, &["e1"])],
                2 => vec![refusal(message, &["e1"]), Does::Says(done("e1"))],
                _ => vec![Does::result(message, text("opened"))],
            }
        }
        _ => Vec::new(),
    }))
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = opening("tool");
    let result = asked(&gate.send(&call).await);
    let answer = gate.send(&retry_all(&call, &result, &agree())).await;
    assert_eq!((answer.said(), self::calls(&server)), ("opened".to_owned(), 3));
}

#[tokio::test]
async fn check_105_another_page_is_another_round() {
    let server = wanting(vec![vec!["e1"], vec!["e2"]]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let call = opening("tool");
    let first = asked(&gate.send(&call).await);
    let second = asked(&gate.send(&retry_all(&call, &first, &agree())).await);
    assert_eq!(second["inputRequests"][&keys(&second)[0]]["params"]["url"], "https://example.com/e2");
    assert_eq!(gate.send(&retry_all(&call, &second, &agree())).await.said(), "opened");
}

#[tokio::test]
async fn check_106_a_client_that_opens_no_pages_hears_what_it_lacks() {
    let server = wanting(vec![vec!["e1"]; 2]).await;
    let gate = Gate::before(server.config("legacy")).await;
    for capabilities in [json!({}), json!({"elicitation": {}})] {
        let response = gate.send(&asking(UP, "tool").capable(capabilities)).await;
        assert_eq!(response.refusal(), (400, -32021));
        let required = &response.message()["error"]["data"]["requiredCapabilities"];
        assert_eq!(required, &json!({"elicitation": {"url": {}}}));
    }
}

#[tokio::test]
async fn check_106_a_legacy_client_that_opens_no_pages_gets_a_tools_error() {
    let server = wanting(vec![vec!["e1"]; 2]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let rows =
        [("2025-06-18", json!({"elicitation": {}})), ("2025-11-25", json!({"elicitation": {"form": {}}}))];
    for (version, capabilities) in rows {
        let session = Session::open(gate.address, UP, version, capabilities).await;
        let answer = session.call("tool", json!({})).await;
        assert_eq!(answer.result()["isError"], true, "{version}");
        assert!(answer.said().contains("elicitation.url"), "{version}: {}", answer.said());
    }
}

#[tokio::test]
async fn check_105_the_same_era_hears_the_refusal_itself_and_that_the_page_is_done() {
    let server = wanting(vec![vec!["e1"]]).await;
    let gate = Gate::before(server.config("legacy")).await;
    let capabilities = json!({"elicitation": {"url": {}}});
    let session = gate.session(UP, capabilities.clone()).await;
    let other = gate.session(UP, capabilities).await;
    let (_, mut stream) = session.listen().await;
    let (_, mut elsewhere) = other.listen().await;
    let answer = session.call("tool", json!({})).await.message();
    assert_eq!(answer["error"]["code"], -32042, "{answer}");
    assert_eq!(answer["error"]["data"]["elicitations"], json!([page("e1")]));
    let child = server.lines().iter().find(|(_, line)| line["method"] == "tools/call").expect("a call").0;
    for id in ["unknown", "e1", "e1"] {
        server.say(child, done(id));
    }
    assert_eq!(stream.event().await.expect("the end of the page"), done("e1"));
    // The child that serves the calls is the one that is watched.
    server.say(child, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    assert_eq!(stream.event().await.expect("a change")["method"], "notifications/tools/list_changed");
    let next = elsewhere.event().await.expect("a change");
    assert_eq!(next["method"], "notifications/tools/list_changed", "another session was not asked");
}

/// A modern server that wants this page opened in so many legs of a call.
async fn insisting(legs: usize) -> Scripted {
    let asked = Mutex::new(0);
    Scripted::start(remote("modern", move |request: &Seen| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked > legs {
            let said = request.body["params"]["inputResponses"]["q"]["action"].as_str();
            return Answer::text(request, said.unwrap_or("unasked"));
        }
        let params = json!({"mode": "url", "url": "https://example.com/x", "message": "Open"});
        let questions = json!({"q": {"method": "elicitation/create", "params": params}});
        let state = format!("leg {asked}");
        Answer::result(
            request,
            json!({"resultType": "input_required", "inputRequests": questions, "requestState": state}),
        )
    }))
    .await
}

#[tokio::test]
async fn check_107_a_legacy_client_is_asked_for_a_page_once_and_hears_that_it_is_done() {
    let server = insisting(2).await;
    let gate = Gate::before(server.config("modern")).await;
    let session = gate.session(UP, json!({"elicitation": {"form": {}, "url": {}}})).await;
    let all = super::converse_legacy(&gate, &session, "tool", |_, _| json!({"result": agree()})).await;
    let [question, done, answer] = all.as_slice() else { panic!("{all:?}") };
    let id = &question["params"]["elicitationId"];
    assert!(id.as_str().is_some_and(|id| !id.is_empty()), "{question}");
    assert_eq!(question["params"]["url"], "https://example.com/x");
    assert_eq!(done["method"], "notifications/elicitation/complete");
    assert_eq!(&done["params"]["elicitationId"], id);
    assert_eq!(super::said(answer), "accept");
    let sent = server.of("tools/call");
    let states: Vec<&Value> = sent.iter().map(|seen| &seen.body["params"]["requestState"]).collect();
    assert_eq!(states, [&Value::Null, &json!("leg 1"), &json!("leg 2")]);
    assert_eq!(sent[2].body["params"]["inputResponses"], json!({"q": agree()}));
}

#[tokio::test]
async fn check_108_a_refused_page_is_not_waited_for() {
    let server = insisting(1).await;
    let gate = Gate::before(server.config("modern")).await;
    let session = gate.session(UP, json!({"elicitation": {"url": {}}})).await;
    let refuse = |_: &str, _: &Value| json!({"result": {"action": "decline"}});
    let all = super::converse_legacy(&gate, &session, "tool", refuse).await;
    assert_eq!(super::said(&all[1]), "decline");
    assert_eq!(all.len(), 2, "no page was opened, so none is done: {all:?}");
}

#[tokio::test]
async fn check_081_111_clients_before_2025_11_25_are_never_asked_for_pages() {
    let (old, new) = (wanting(Vec::new()).await, insisting(1).await);
    let gate =
        Gate::of().server("old", old.config("legacy")).server("new", new.config("modern")).start().await;
    let offered = json!({"elicitation": {"url": {}}});
    let session = Session::open(gate.address, "/mcp/new", "2025-06-18", offered.clone()).await;
    let answer = session.call("tool", json!({})).await;
    assert_eq!(answer.result()["isError"], true);
    assert!(answer.said().contains("elicitation.url"), "{}", answer.said());
    let declared =
        &new.of("tools/call")[0].body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert!(declared["elicitation"].get("url").is_none(), "{declared}");
    let session = Session::open(gate.address, "/mcp/old", "2025-06-18", offered).await;
    session.call("tool", json!({})).await.said();
    let hello = old.until("a handshake", |line| {
        line["method"] == "initialize" && line["params"]["capabilities"]["elicitation"].is_object()
    });
    let hello = hello.await;
    assert!(hello["params"]["capabilities"]["elicitation"].get("url").is_none(), "{hello}");
}

#[tokio::test]
async fn check_105_a_prompt_is_refused_where_a_tool_says_so_itself() {
    let prompts = json!([{"name": "p"}]);
    let server = ScriptedStdio::start(move |_, message: &Value| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({"protocolVersion": "2025-11-25", "capabilities": {"prompts": {}}, "serverInfo": {"name": "s", "version": "1"}}),
        )],
        Some("prompts/list") => vec![Does::result(message, json!({"prompts": prompts}))],
        Some("prompts/get") => vec![refusal(message, &["e1"])],
        _ => legacy_child(message, &json!([])).unwrap_or_default(),
    })
    .await;
    let gate = Gate::before(server.config("legacy")).await;
    let call =
        Post::modern(UP, "prompts/get", json!({"name": "p"})).capable(json!({"elicitation": {"url": {}}}));
    let result = asked(&gate.send(&call).await);
    let answer = gate.send(&retry_all(&call, &result, &json!({"action": "decline"}))).await;
    assert_eq!(answer.refusal(), (200, -32602));
    let answer = gate.send(&retry_all(&call, &result, &accept("name", "x"))).await;
    // Content in the agreement to a page means nothing.
    assert!(answer.message()["error"].is_null() || answer.refusal().1 == -32602);
}

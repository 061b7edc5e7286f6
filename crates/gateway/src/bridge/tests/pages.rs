//! Pages that a person has to open.

use super::*;
use portreeve_mcp::{Code, RpcError};

fn refusal(ids: &[&str]) -> Event {
    let page = |id: &&str| json!({"url": format!("https://e/{id}"), "message": "m", "elicitationId": id});
    let data = json!({"elicitations": ids.iter().map(page).collect::<Vec<_>>()});
    Event::error(RpcError::new(Code(-32042), "pages").with_data(raw(&data)))
}

fn agree() -> Value {
    json!({"action": "accept"})
}

fn answers(keys: &[String], answer: &Value) -> Value {
    keys.iter().map(|key| (key.clone(), answer.clone())).collect()
}

fn wanting(calls: usize) -> Bench {
    Shape::legacy().start(move |number, _, _, _| async move {
        if number <= calls { refusal(&["a"]) } else { text("opened") }
    })
}

#[tokio::test(start_paused = true)]
async fn a_page_that_stays_wanted_is_waited_for_and_then_asked_for_again() {
    let bench = wanting(usize::MAX);
    let (keys, state) = bench.call().await.asked();
    assert_eq!(keys, ["r1.0"]);
    let began = tokio::time::Instant::now();
    let (keys, state) = bench.retry(&state, answers(&keys, &agree())).await.asked();
    assert_eq!((keys, began.elapsed().as_secs()), (vec!["r2.0".to_owned()], 1 + 2 + 4 + 8));
    assert_eq!(bench.calls(), 1 + 5);
    assert!(bench.params(1).get("inputResponses").is_none());
    let declined = bench.retry(&state, json!({"r2.0": {"action": "decline"}})).await;
    assert_eq!((&declined.end()["isError"], bench.calls()), (&json!(true), 6));
    assert_eq!(bench.records(), [("input_required", 0), ("input_required", 1), ("tool_error", 0)]);
}

#[tokio::test(start_paused = true)]
async fn rounds_of_pages_are_capped() {
    let bench = Shape::legacy().rounds(1).start(|_, _, _, _| async { refusal(&["a"]) });
    let (keys, state) = bench.call().await.asked();
    assert_eq!(bench.retry(&state, answers(&keys, &agree())).await.code(), -31010);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_the_server_says_is_done_is_waited_for_no_longer() {
    let bench = Shape::legacy().start(|number, _, _, _| async move {
        if number <= 2 { refusal(&["a", "b"]) } else { text("opened") }
    });
    let (keys, state) = bench.call().await.asked();
    let began = tokio::time::Instant::now();
    let retry = bench.retry(&state, answers(&keys, &agree()));
    let tell = async {
        for id in ["x", "b", "a"] {
            tokio::time::sleep(Duration::from_millis(100)).await;
            bench.server.completed.send(Text::from(id)).unwrap();
        }
    };
    let (got, ()) = tokio::join!(retry, tell);
    assert_eq!((got.said(), began.elapsed().as_millis()), ("opened", 300));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_of_pages_is_an_error_like_others() {
    let rows =
        [json!({}), json!({"elicitations": []}), json!({"elicitations": [{"message": "no address"}, 7]})];
    for data in rows {
        let bench = Shape::legacy().start(move |_, _, _, _| {
            let error = RpcError::new(Code(-32042), "pages").with_data(raw(&data));
            async { Event::error(error) }
        });
        let got = bench.call().await;
        assert_eq!(got.code(), -32603, "-32042 means nothing to a modern client");
        assert_eq!(got.end()["error"]["data"]["original"]["code"], -32042);
    }
    // The newer revision has no such code.
    let bench = Shape::modern().start(|_, _, _, _| async { refusal(&["a"]) });
    assert_eq!(bench.call().await.code(), -32603);
    // A method that may not be answered with a question.
    let bench = wanting(1);
    let params = json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}});
    assert_eq!(bench.ask(Method::Complete, &params, &everything()).await.code(), -32603);
}

#[tokio::test(start_paused = true)]
async fn at_most_eight_pages_are_asked_for_at_once() {
    let ids: Vec<String> = (0..9).map(|number| format!("p{number}")).collect();
    let bench = Shape::legacy().start(move |_, _, _, _| {
        let ids = ids.clone();
        async move { refusal(&ids.iter().map(String::as_str).collect::<Vec<_>>()) }
    });
    assert_eq!(bench.call().await.asked().0.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_has_no_result_that_refuses() {
    let bench = wanting(1);
    let prompt = json!({"name": "p"});
    let (keys, state) = bench.ask(Method::PromptsGet, &prompt, &everything()).await.asked();
    let params = json!({"name": "p", "requestState": state, "inputResponses": answers(&keys, &json!({"action": "cancel"}))});
    assert_eq!(bench.ask(Method::PromptsGet, &params, &everything()).await.code(), -32602);
}

#[tokio::test(start_paused = true)]
async fn who_opens_no_pages_hears_what_lacks() {
    let bench = wanting(usize::MAX);
    let call = json!({"name": "t"});
    let got = bench.ask(Method::ToolsCall, &call, &json!({"elicitation": {}})).await;
    assert_eq!(got.end()["error"]["data"]["requiredCapabilities"], json!({"elicitation": {"url": {}}}));
    let (_, state) = bench.call().await.asked();
    let params = json!({"name": "t", "requestState": state});
    assert_eq!(bench.ask(Method::ToolsCall, &params, &json!({"elicitation": {}})).await.code(), -32021);
    for (version, capabilities) in [
        (Version::V2025_11_25, json!({"elicitation": {}})),
        (Version::V2025_06_18, everything()),
        (Version::V2024_11_05, json!({})),
    ] {
        let session = bench.session(version, &capabilities);
        let got = bench.legacy(&session, Method::ToolsCall, &call, accepts).await;
        assert_eq!(got.end()["isError"], true, "{version}");
    }
    let got = bench.legacy_call(accepts).await;
    assert_eq!(got.code(), -32042, "the same era has the word itself");
}

/// A modern server that wants this page in so many legs.
fn insisting(legs: usize) -> Bench {
    Shape::modern().start(move |number, _, request, _| async move {
        let params = json!({"mode": "url", "url": "https://e", "message": "m"});
        let question = json!({"q": {"method": "elicitation/create", "params": params}});
        if number <= legs {
            return asks(question, Some("s"));
        }
        text(request.params.get("inputResponses").unwrap().as_str())
    })
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_is_asked_once_while_the_server_is_given_time() {
    let bench = insisting(5);
    let began = tokio::time::Instant::now();
    let got = bench.legacy_call(|_| result(&agree())).await;
    assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4 + 8);
    let [question, done] = got.messages.as_slice() else { panic!("{got:?}") };
    assert_eq!(done["method"], "notifications/elicitation/complete");
    assert_eq!(done["params"]["elicitationId"], question["params"]["elicitationId"]);
    assert_eq!(got.said(), json!({"q": agree()}).to_string());
    assert_eq!(bench.records(), [("ok", 1)], "time that is given is no round");
}

#[tokio::test(start_paused = true)]
async fn the_server_hears_in_the_end_that_the_page_is_given_up() {
    let bench = insisting(usize::MAX);
    let began = tokio::time::Instant::now();
    let got = bench.legacy_call(|_| result(&agree())).await;
    assert_eq!((got.code(), got.messages.len()), (-31010, 1));
    let waited = began.elapsed();
    assert!(waited >= TTL && waited < TTL + Duration::from_secs(9), "{waited:?}");
    let last = bench.params(bench.calls() - 1);
    assert_eq!(last["inputResponses"], json!({"q": {"action": "cancel"}}));
}

#[tokio::test(start_paused = true)]
async fn a_page_is_done_when_the_server_goes_on_with_something_else() {
    let bench = Shape::modern().start(|number, _, request, _| async move {
        let page = |url: &str| json!({"method": "elicitation/create", "params": {"mode": "url", "url": url, "message": "m"}});
        match number {
            1 => asks(json!({"a": page("https://a")}), None),
            2 => asks(json!({"a": page("https://a"), "b": page("https://b")}), None),
            3 => asks(json!({"c": {"method": "roots/list"}}), None),
            _ => text(request.params.get("inputResponses").unwrap().as_str()),
        }
    });
    let got = bench
        .legacy_call(|it| match it["method"].as_str().unwrap() {
            "roots/list" => result(&json!({"roots": []})),
            _ => result(&agree()),
        })
        .await;
    let told: Vec<&str> = got.messages.iter().map(|it| it["method"].as_str().unwrap()).collect();
    let done = "notifications/elicitation/complete";
    assert_eq!(told, ["elicitation/create", "elicitation/create", done, done, "roots/list"]);
    assert_eq!(bench.params(2)["inputResponses"], json!({"a": agree(), "b": agree()}));
    let id = |at: usize| &got.messages[at]["params"]["elicitationId"];
    assert_eq!((id(2), id(3)), (id(0), id(1)));
    assert_ne!(id(0), id(1));
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_call_fails_is_not_said_to_be_done() {
    let bench = Shape::modern().start(|number, _, _, _| async move {
        if number == 1 {
            let params = json!({"mode": "url", "url": "https://e", "message": "m"});
            return asks(json!({"q": {"method": "elicitation/create", "params": params}}), None);
        }
        Event::error(RpcError::new(Code(-32603), "broken"))
    });
    let got = bench.legacy_call(|_| result(&agree())).await;
    assert_eq!((got.code(), got.messages.len()), (-32603, 1));
}

#[tokio::test(start_paused = true)]
async fn a_session_hears_once_that_its_page_is_done() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let page = json!({"mode": "url", "url": "https://e", "message": "m", "elicitationId": "e1"});
        let _ = ask(&emit, 1, AskKind::Elicit, Some(page), None).await.await;
        for id in ["other", "e1", "e1"] {
            let params = Some(raw(&json!({"elicitationId": id})));
            emit.emit(Event::Notification(Notification { method: Method::ElicitationComplete, params }))
                .await;
        }
        text("done")
    });
    let got = bench.legacy_call(|_| result(&agree())).await;
    assert_eq!(got.messages.len(), 2);
    assert_eq!(got.messages[0]["params"]["elicitationId"], "e1", "within one era the server's own id passes");
    assert_eq!(got.messages[1]["params"], json!({"elicitationId": "e1"}));
    // Modern clients have no such notification.
    let (keys, state) = bench.call().await.asked();
    assert!(bench.retry(&state, answers(&keys, &agree())).await.messages.is_empty());
}

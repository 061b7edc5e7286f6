//! *Loop*: a modern server asks a legacy client between the legs of its call.

use super::*;

fn question(kind: AskKind, params: Option<Value>) -> Value {
    let mut question = json!({"method": kind.method().as_str()});
    if let Some(params) = params {
        question["params"] = params;
    }
    question
}

/// A server that asks these once, and then says what it got.
fn once(questions: Value, state: Option<&'static str>) -> Bench {
    Shape::modern().start(move |number, _, request, _| {
        let questions = questions.clone();
        async move {
            match (number, request.params.get("inputResponses")) {
                (1, _) => asks(questions, state),
                (_, Some(answers)) => text(answers.as_str()),
                _ => text("nothing"),
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn questions_go_out_at_once_and_the_request_again_with_all_answers() {
    for state in [None, Some(""), Some("s")] {
        let bench = once(
            json!({"a": question(AskKind::Elicit, Some(form("?"))), "b": question(AskKind::Roots, None)}),
            state,
        );
        let got = bench
            .legacy_call(|it| match it["method"].as_str().unwrap() {
                "roots/list" => result(&json!({"roots": [], "_meta": {"io.modelcontextprotocol/x": 1}})),
                _ => result(&accept("Ada")),
            })
            .await;
        assert_eq!(got.messages.len(), 2);
        assert_eq!(got.said(), json!({"a": accept("Ada"), "b": {"roots": []}}).to_string());
        let sent = bench.params(1);
        assert_eq!(sent.get("requestState").and_then(Value::as_str), state);
        assert_eq!(bench.params(0), json!({"name": "t"}));
        assert_eq!(bench.records(), [("ok", 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_end_the_call_except_to_forms() {
    let refuse =
        |_: &Value| Some(Outcome::Error(portreeve_mcp::RpcError::new(portreeve_mcp::Code(-1), "not me")));
    let bench = once(json!({"q": question(AskKind::Elicit, Some(form("?")))}), None);
    assert_eq!(bench.legacy_call(refuse).await.said(), json!({"q": {"action": "cancel"}}).to_string());
    for kind in [AskKind::Sample, AskKind::Roots] {
        let bench = once(json!({"q": question(kind, Some(json!({"messages": []})))}), None);
        let got = bench.legacy_call(refuse).await;
        assert_eq!(got.end()["isError"], true);
        assert!(
            got.said().contains("not me") && got.said().contains(kind.method().as_str()),
            "{}",
            got.said()
        );
        assert_eq!((bench.calls(), bench.records()), (1, vec![("tool_error", 1)]));
    }
    let bench = once(json!({"q": question(AskKind::Roots, None)}), None);
    let session = bench.session(Version::V2025_11_25, &everything());
    let got = bench.legacy(&session, Method::PromptsGet, &json!({"name": "p"}), refuse).await;
    assert_eq!(got.code(), -32603, "only tools have results that say so");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lacks_it_gets_a_tools_error_that_names_it() {
    let bench = once(json!({"q": question(AskKind::Sample, Some(json!({"messages": []})))}), None);
    let session = bench.session(Version::V2025_11_25, &json!({"elicitation": {}}));
    let got = bench.legacy(&session, Method::ToolsCall, &json!({"name": "t"}), accepts).await;
    assert_eq!(got.end()["isError"], true);
    assert!(got.said().contains("sampling"), "{}", got.said());
    let bench = Shape::modern().start(|_, _, _, _| async {
        Event::error(portreeve_mcp::RpcError::new(portreeve_mcp::Code(-32021), "needs x"))
    });
    let got = bench.legacy_call(accepts).await;
    assert_eq!((got.said(), &got.end()["isError"]), ("needs x", &json!(true)));
    let session = bench.session(Version::V2025_11_25, &everything());
    let got = bench.legacy(&session, Method::PromptsGet, &json!({"name": "p"}), accepts).await;
    assert_eq!(got.code(), -32603);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_the_revision_cannot_express_is_no_answer_and_no_hang() {
    let nested = json!({"mode": "form", "message": "?", "requestedSchema": {"type": "object", "properties": {"m": {"type": "array"}}}});
    let bench = once(json!({"q": question(AskKind::Elicit, Some(nested))}), None);
    let session = bench.session(Version::V2025_06_18, &json!({"elicitation": {}}));
    let got = bench.legacy(&session, Method::ToolsCall, &json!({"name": "t"}), accepts).await;
    assert_eq!((&got.end()["isError"], got.messages.len(), bench.calls()), (&json!(true), 0, 1));
}

#[tokio::test(start_paused = true)]
async fn roots_of_the_configuration_answer_in_the_loop_too() {
    let mut shape = Shape::modern();
    shape.roots = Some(json!({"roots": []}));
    let bench = shape.start(|number, _, request, _| async move {
        if number == 1 {
            return asks(json!({"q": {"method": "roots/list"}}), None);
        }
        text(request.params.get("inputResponses").unwrap().as_str())
    });
    let got = bench.legacy_call(|_| None).await;
    assert_eq!((got.said(), got.messages.len()), (json!({"q": {"roots": []}}).to_string().as_str(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_state_alone_is_brought_back_ever_more_slowly_and_not_for_ever() {
    let bench = Shape::modern().start(|number, _, request, _| async move {
        if number <= 6 {
            asks(json!({}), Some("again"))
        } else {
            text(&request.params.text("requestState").unwrap())
        }
    });
    let began = tokio::time::Instant::now();
    assert_eq!(bench.legacy_call(|_| None).await.said(), "again");
    let pauses = [200, 400, 800, 1600, 3200, 5000];
    assert_eq!(began.elapsed().as_millis(), pauses.iter().sum::<u128>());
    assert!(bench.params(6).get("inputResponses").is_none());
    let bench = Shape::modern().start(|_, _, _, _| async { asks(json!({}), Some("again")) });
    assert_eq!(bench.legacy_call(|_| None).await.code(), -31010);
    assert_eq!(bench.calls(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_question_of_the_loop_that_nobody_answers_is_given_up() {
    let bench = once(json!({"q": question(AskKind::Elicit, Some(form("?")))}), None);
    let began = tokio::time::Instant::now();
    let got = bench.legacy_call(|_| None).await;
    assert_eq!(got.said(), json!({"q": {"action": "cancel"}}).to_string());
    assert_eq!(began.elapsed(), TTL);
    assert_eq!(got.messages[1]["params"]["requestId"], got.messages[0]["id"], "the client need not ask on");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_in_the_loop_is_not_asked_any_more() {
    let bench = once(json!({"q": question(AskKind::Elicit, Some(form("?")))}), None);
    let session = bench.session(Version::V2025_11_25, &everything());
    let inbound = bench.inbound(Method::ToolsCall, &json!({"name": "t"}), 7);
    let Reply::Call(mut exchange) = bench.gate.legacy(inbound, Meta::default(), &session).await else {
        panic!("a call")
    };
    assert!(matches!(exchange.next().await, Some(Out::Message(_))));
    drop(exchange);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.params(1)["inputResponses"], json!({"q": {"action": "cancel"}}));
    assert_eq!(bench.records(), [("ok", 1)]);
    // Nobody reads from the beginning.
    let bench = once(json!({"q": question(AskKind::Elicit, Some(form("?")))}), None);
    let session = bench.session(Version::V2025_11_25, &everything());
    let inbound = bench.inbound(Method::ToolsCall, &json!({"name": "t"}), 7);
    let reply = bench.gate.legacy(inbound, Meta::default(), &session).await;
    let outcome = reply.into_outcome().await.unwrap();
    assert_eq!(value(&outcome)["content"][0]["text"], json!({"q": {"action": "cancel"}}).to_string());
}

//! *Direct*: a legacy server asks a legacy client on the call's own stream.

use super::*;

fn error(code: i64) -> Option<Outcome> {
    Some(Outcome::Error(portreeve_mcp::RpcError::new(portreeve_mcp::Code(code), "no")))
}

#[tokio::test(start_paused = true)]
async fn questions_go_out_as_requests_and_answers_come_back() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let one = ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await;
        let two = ask(&emit, 2, AskKind::Sample, Some(json!({"messages": [], "maxTokens": 1})), None).await;
        let (one, two) = (one.await.unwrap(), two.await.unwrap());
        text(&format!("{} {}", value(&one), value(&two)))
    });
    let got = bench
        .legacy_call(|question| match question["method"].as_str().unwrap() {
            "elicitation/create" => result(&accept("Ada")),
            _ => error(-1),
        })
        .await;
    assert_eq!(got.messages.len(), 2);
    assert_eq!(got.messages[0]["params"], form("1"));
    assert_ne!(got.messages[0]["id"], got.messages[1]["id"]);
    assert_eq!(got.said(), format!("{} {}", accept("Ada"), json!({"error": {"code": -1, "message": "no"}})));
    assert_eq!(bench.records(), [("ok", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_question_is_cancelled_at_the_client() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let _open = ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await;
        emit.emit(Event::AskWithdrawn(AskKey(1))).await;
        text("alone")
    });
    let got = bench.legacy_call(|_| None).await;
    let [question, cancelled] = got.messages.as_slice() else { panic!("{got:?}") };
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], question["id"]);
    assert_eq!(got.said(), "alone");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_wait_for_its_answer_frees_the_person() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let _open = ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await;
        text("alone")
    });
    let got = bench.legacy_call(|_| None).await;
    let [question, cancelled] = got.messages.as_slice() else { panic!("{got:?}") };
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], question["id"]);
    assert_eq!(got.said(), "alone");
}

#[tokio::test(start_paused = true)]
async fn context_of_other_servers_is_asked_only_of_those_who_offer_it() {
    let params = json!({"messages": [], "maxTokens": 1, "includeContext": "allServers"});
    let rows =
        [(json!({"sampling": {}}), Value::Null), (json!({"sampling": {"context": {}}}), json!("allServers"))];
    for (capabilities, expected) in rows {
        let asked = params.clone();
        let bench = Shape::legacy().start(move |_, _, _, emit| {
            let asked = asked.clone();
            async move { echo(ask(&emit, 1, AskKind::Sample, Some(asked), None).await.await) }
        });
        let session = bench.session(Version::V2025_11_25, &capabilities);
        let got = bench.legacy(&session, Method::ToolsCall, &json!({"name": "t"}), |_| error(-1)).await;
        assert_eq!(got.messages[0]["params"]["includeContext"], expected);
        assert_eq!(got.messages[0]["params"]["maxTokens"], 1);
        let got = bench.ask(Method::ToolsCall, &json!({"name": "t"}), &capabilities).await;
        assert_eq!(got.end()["inputRequests"]["r1.0"]["params"]["includeContext"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_is_given_up_in_time() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        echo(ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await.await)
    });
    let began = tokio::time::Instant::now();
    let got = bench.legacy_call(|_| None).await;
    assert_eq!(got.said(), json!({"action": "cancel"}).to_string());
    assert_eq!(began.elapsed(), TTL);
    assert_eq!(got.messages[1]["params"]["requestId"], got.messages[0]["id"], "the client need not ask on");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_lacks_it_is_not_asked_and_rounds_are_capped() {
    let asks_twice = |_, _, _, emit: Emitter| async move {
        let one = echo(ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await.await);
        let _ = one;
        echo(ask(&emit, 2, AskKind::Elicit, Some(form("2")), None).await.await)
    };
    let bench = Shape::legacy().start(asks_twice);
    let session = bench.session(Version::V2025_06_18, &json!({}));
    let got = bench.legacy(&session, Method::ToolsCall, &json!({"name": "t"}), accepts).await;
    assert_eq!((got.said(), got.messages.len()), ("error -32601", 0));
    let bench = Shape::legacy().rounds(1).start(asks_twice);
    let got = bench.legacy_call(accepts).await;
    assert_eq!((got.said(), got.messages.len()), (json!({"action": "cancel"}).to_string().as_str(), 1));
}

/// A server that asks with this form, in the way of its era, and says what it was answered.
fn asking_form(shape: Shape, params: &Value) -> Bench {
    let (modern, params) = (shape.version.era() == Era::Modern, params.clone());
    shape.start(move |number, _, request, emit| {
        let params = params.clone();
        async move {
            if !modern {
                return echo(ask(&emit, 1, AskKind::Elicit, Some(params), None).await.await);
            }
            if number == 1 {
                return asks(json!({"q": {"method": "elicitation/create", "params": params}}), Some("s"));
            }
            text(request.params.get("inputResponses").unwrap().get("q").unwrap().as_str())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_multi_select_is_taken_apart_for_an_older_client_and_asked_again_if_its_limits_are_broken() {
    let items = json!({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1});
    let params = json!({"mode": "form", "message": "Which?", "requestedSchema": {"type": "object", "properties": {"m": items}, "required": ["m"]}});
    for shape in [Shape::legacy(), Shape::modern()] {
        let modern = shape.version.era() == Era::Modern;
        let bench = asking_form(shape, &params);
        let session = bench.session(Version::V2025_06_18, &json!({"elicitation": {}}));
        let tries = Mutex::new(0);
        let got = bench
            .legacy(&session, Method::ToolsCall, &json!({"name": "t"}), |_| {
                *tries.lock().unwrap() += 1;
                let second = *tries.lock().unwrap() > 1;
                result(&json!({"action": "accept", "content": {"m_1": false, "m_2": second}}))
            })
            .await;
        let messages: Vec<&str> =
            got.messages.iter().map(|it| it["params"]["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["Which?", "Choose at least 1 for \"m\".\n\nWhich?"], "modern: {modern}");
        assert!(got.messages[0]["params"].get("mode").is_none());
        assert_eq!(got.said(), json!({"action": "accept", "content": {"m": ["b"]}}).to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_the_limits_every_time_is_not_asked_for_ever() {
    let items = json!({"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 1});
    let params =
        json!({"message": "Which?", "requestedSchema": {"type": "object", "properties": {"m": items}}});
    for shape in [Shape::legacy(), Shape::modern()] {
        let modern = shape.version.era() == Era::Modern;
        let bench = asking_form(shape.rounds(3), &params);
        let session = bench.session(Version::V2025_06_18, &json!({"elicitation": {}}));
        let both = |_: &Value| result(&json!({"action": "accept", "content": {"m_1": true, "m_2": true}}));
        let got = bench.legacy(&session, Method::ToolsCall, &json!({"name": "t"}), both).await;
        assert_eq!(got.said(), json!({"action": "cancel"}).to_string(), "modern: {modern}");
        assert_eq!(got.messages.len(), 3, "modern: {modern}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_does_not_cancel_and_is_not_asked() {
    let said = Arc::new(Mutex::new(None));
    let tells = said.clone();
    let bench = Shape::legacy().start(move |_, _, _, emit| {
        let tells = tells.clone();
        async move {
            for key in [1, 2] {
                let answer = ask(&emit, key, AskKind::Elicit, Some(form("1")), None).await.await;
                *tells.lock().unwrap() = Some((key, value(&answer.unwrap())));
            }
            text("done")
        }
    });
    let session = bench.session(Version::V2025_11_25, &everything());
    let inbound = bench.inbound(Method::ToolsCall, &json!({"name": "t"}), 7);
    let Reply::Call(mut exchange) = bench.gate.legacy(inbound, Meta::default(), &session).await else {
        panic!("a call")
    };
    let Some(Out::Message(question)) = exchange.next().await else { panic!("a question") };
    drop(exchange);
    let question: Value = serde_json::from_slice(&question).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*said.lock().unwrap(), Some((2, json!({"action": "cancel"}))));
    assert_eq!(bench.records(), [("ok", 1)]);
    // A late answer is no fault.
    let id = Id::from_raw(&raw(&question["id"])).unwrap();
    assert!(bench.gate.answer(&session, Some(&id), Outcome::Result(raw(&accept("late")))));
    assert!(!bench.gate.answer(&session, Some(&Id::text("forged")), Outcome::Result(raw(&accept("x")))));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_no_question() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        echo(ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await.await)
    });
    let session = bench.session(Version::V2025_11_25, &everything());
    let got = bench
        .legacy(&session, Method::ToolsCall, &json!({"name": "t"}), |_| {
            session.cancel(&Id::number(7));
            None
        })
        .await;
    assert!(got.end.is_none(), "{got:?}");
    assert_eq!(bench.records(), [("cancelled", 1)]);
}

#[tokio::test(start_paused = true)]
async fn log_messages_reach_those_who_want_them() {
    let log = |level: &str| {
        let params = Some(raw(&json!({"level": level, "data": level})));
        Event::Notification(Notification { method: Method::LogMessage, params })
    };
    let bench = Shape::legacy().start(move |_, _, _, emit| async move {
        for level in ["debug", "info", "error", "odd"] {
            emit.emit(log(level)).await;
        }
        text("done")
    });
    let levels = |got: &Got| -> Vec<String> {
        got.messages.iter().map(|it| it["params"]["data"].as_str().unwrap().to_owned()).collect()
    };
    let session = bench.session(Version::V2025_11_25, &json!({}));
    let call = json!({"name": "t"});
    let got = bench.legacy(&session, Method::ToolsCall, &call, accepts).await;
    assert_eq!(
        levels(&got),
        ["debug", "info", "error", "odd"],
        "a client that sets no level leaves it to the server"
    );
    session.set_log_level(portreeve_mcp::LogLevel::Info);
    let got = bench.legacy(&session, Method::ToolsCall, &call, accepts).await;
    assert_eq!(levels(&got), ["info", "error"]);
    assert!(bench.call().await.messages.is_empty(), "a modern request that asks for none gets none");
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_is_small_and_keeps_nothing_of_the_request_that_opened_it() {
    let bench = Shape::legacy().start(|_, _, _, _| async { text("") });
    let hello = json!({
        "protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "n", "version": "1"},
    });
    let body = bytes::Bytes::from(hello.to_string().into_bytes());
    let params = Params::parse(Some(&RawJson::parse(&body, 8).unwrap())).unwrap();
    let opened = bench.gate.initialize(&bench.principal, &bench.up(), &params).await;
    let (session, _) = opened.unwrap_or_else(|refusal| panic!("{:?}", refusal.error));
    drop(params);
    assert!(body.is_unique(), "a slice holds the whole buffer of its message");
    assert_eq!(session.client_info, Some(raw(&hello["clientInfo"])));
    assert_eq!(session.capabilities.raw(), &raw(&hello["capabilities"]));
    assert!(size_of::<Session>() <= 384, "{}", size_of::<Session>());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_leaves_unused_makes_room_and_comes_back_only_where_there_is_some() {
    let mut shape = Shape::legacy();
    shape.limits.sessions_per_principal = 1;
    let bench = shape.start(|_, _, _, _| async { text("") });
    let open = || bench.session(Version::V2025_11_25, &json!({}));
    let find = |id: &str| bench.gate.find_session(&bench.principal, &bench.up(), id);
    let first = open().id().to_owned();
    bench.gate.sessions.sweep(bench.gate.now().plus(Duration::from_secs(31 * 60)).0);
    let second = open();
    assert!(matches!(find(&first), crate::Whereabouts::Nowhere), "there is no room for both");
    bench.gate.end_session(&second);
    assert!(matches!(find(&first), crate::Whereabouts::Here(_)));
    assert_eq!(bench.gate.sessions(), 1);
}

//! *Park* and *relay*: modern clients.

use super::*;

fn asking(
    kind: AskKind,
    params: Option<Value>,
) -> impl Fn(usize, Ctx, Request, Emitter) -> BoxFuture<'static, Event> + Send + Sync {
    move |_, _, _, emit| {
        let params = params.clone();
        Box::pin(async move { echo(ask(&emit, 1, kind, params, None).await.await) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_is_parked_and_its_answer_reaches_the_server_once() {
    let bench = Shape::legacy().start(asking(AskKind::Elicit, Some(form("Who?"))));
    let (keys, state) = bench.call().await.asked();
    assert_eq!(keys, ["r1.0"]);
    let done = bench.retry(&state, json!({"r1.0": accept("Ada")})).await;
    assert_eq!(done.said(), accept("Ada").to_string());
    assert_eq!(done.end()["resultType"], "complete");
    // Within the grace the same retry gets the same answer; later, nothing.
    let again = bench.retry(&state, json!({"r1.0": accept("Ada")})).await;
    assert_eq!(again.end, done.end);
    assert_eq!(bench.calls(), 1);
    assert_eq!(bench.records(), [("input_required", 1), ("ok", 1)]);
}

#[tokio::test(start_paused = true)]
async fn answers_of_ended_calls_are_forgotten_after_a_while() {
    let bench = Shape::legacy().start(asking(AskKind::Elicit, Some(form("Who?"))));
    let (_, first) = bench.call().await.asked();
    bench.retry(&first, json!({"r1.0": accept("Ada")})).await;
    tokio::time::advance(Duration::from_secs(61)).await;
    // Another end clears the old ones away.
    let (_, second) = bench.call().await.asked();
    bench.retry(&second, json!({"r1.0": accept("Ada")})).await;
    assert_eq!(bench.retry(&first, json!({"r1.0": accept("Ada")})).await.code(), -32602);
    assert_eq!(bench.retry(&second, json!({"r1.0": accept("Ada")})).await.said(), accept("Ada").to_string());
}

#[tokio::test(start_paused = true)]
async fn siblings_are_asked_together_under_names_of_the_servers_or_ours() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let long = "x".repeat(65);
        let names = [json!("first"), json!("first"), json!(""), json!(long), json!("x".repeat(64)), json!(7)];
        let mut answers = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let mut params = form("?");
            params["_meta"] = json!({ (super::super::ASK_NAME): name });
            answers.push(ask(&emit, at as u64, AskKind::Elicit, Some(params), None).await);
        }
        let mut said = Vec::new();
        for answer in answers {
            let Ok(Outcome::Result(result)) = answer.await else { return text("refused") };
            said.push(result.to_value()["content"]["name"].clone());
        }
        text(&Value::from(said).to_string())
    });
    let got = bench.call().await;
    let (mut keys, state) = got.asked();
    let answers: Value = keys.iter().map(|key| (key.clone(), accept(key))).collect();
    assert_eq!(
        bench.retry(&state, answers).await.said(),
        json!(["first", "r1.1", "r1.2", "r1.3", "x".repeat(64), "r1.5"]).to_string()
    );
    keys.sort();
    assert_eq!(keys, ["first", "r1.1", "r1.2", "r1.3", "r1.5", &"x".repeat(64)]);
}

#[tokio::test(start_paused = true)]
async fn siblings_have_a_moment_and_a_withdrawn_one_is_not_waited_for() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let mut open = Vec::new();
        for key in 1..=3 {
            open.push(ask(&emit, key, AskKind::Elicit, Some(form("?")), None).await);
            tokio::time::sleep(Duration::from_millis(10 * key)).await;
        }
        emit.emit(Event::AskWithdrawn(AskKey(1))).await;
        let late = ask(&emit, 4, AskKind::Roots, None, None).await;
        for answer in open.into_iter().skip(1) {
            let _ = answer.await;
        }
        echo(late.await)
    });
    let (keys, state) = bench.call().await.asked();
    assert_eq!(keys, ["r1.0", "r1.1", "r1.2"], "what comes within the moment is asked with it");
    let answers = keys.iter().map(|key| (key.clone(), accept("x"))).collect();
    let (keys, state) = bench.retry(&state, answers).await.asked();
    assert_eq!(keys.len(), 1, "the fourth came too late");
    let answers = keys.iter().map(|key| (key.clone(), json!({"roots": []}))).collect();
    assert_eq!(bench.retry(&state, answers).await.said(), json!({"roots": []}).to_string());
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let _one = ask(&emit, 1, AskKind::Elicit, Some(form("?")), None).await;
        let two = ask(&emit, 2, AskKind::Elicit, Some(form("?")), None).await;
        emit.emit(Event::AskWithdrawn(AskKey(1))).await;
        echo(two.await)
    });
    let (keys, state) = bench.call().await.asked();
    assert_eq!(keys, ["r1.1"]);
    assert_eq!(bench.retry(&state, json!({"r1.1": accept("x")})).await.said(), accept("x").to_string());
}

#[tokio::test(start_paused = true)]
async fn what_runs_or_has_ended_does_not_give_way() {
    let mut shape = Shape::legacy();
    shape.holds_children = true;
    let bench = shape.start(|number, _, _, emit| async move {
        if number == 1 {
            return echo(ask(&emit, 1, AskKind::Elicit, Some(form("Who?")), None).await.await);
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        text("slow")
    });
    let (_, state) = bench.call().await.asked();
    bench.retry(&state, json!({"r1.0": accept("Ada")})).await;
    assert_eq!(bench.call().await.said(), "slow");
    let again = bench.retry(&state, json!({"r1.0": accept("Ada")})).await;
    assert_eq!(again.said(), accept("Ada").to_string(), "the answer is still kept");
}

#[tokio::test(start_paused = true)]
async fn unanswered_questions_come_again_and_bad_answers_leave_the_call_as_it_is() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let one = ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await;
        let two = ask(&emit, 2, AskKind::Roots, None, None).await;
        let _ = one.await;
        echo(two.await)
    });
    let (keys, first) = bench.call().await.asked();
    assert_eq!(keys, ["r1.0", "r1.1"]);
    for bad in [json!([]), json!({"r1.0": {"action": "x"}}), json!({"r1.1": {"roots": 1}})] {
        assert_eq!(bench.retry(&first, bad).await.code(), -32602);
    }
    let (keys, second) = bench.retry(&first, json!({"r1.0": accept("Ada"), "r1.9": 1})).await.asked();
    assert_eq!(keys, ["r1.1"]);
    let params = json!({"name": "t", "requestState": second, "inputResponses": {"r1.1": {"roots": []}}});
    let lacking = bench.ask(Method::ToolsCall, &params, &json!({"elicitation": {}})).await;
    assert_eq!(lacking.code(), -32021);
    assert_eq!(lacking.end()["error"]["data"]["requiredCapabilities"], json!({"roots": {}}));
    assert_eq!(
        bench.retry(&second, json!({"r1.1": {"roots": []}})).await.said(),
        json!({"roots": []}).to_string()
    );
    assert_eq!(bench.records(), [("input_required", 1), ("input_required", 2), ("ok", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_state_fits_one_round_of_one_call_of_one_form() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let _ = ask(&emit, 1, AskKind::Elicit, Some(form("1")), None).await.await;
        echo(ask(&emit, 2, AskKind::Elicit, Some(form("2")), None).await.await)
    });
    let (_, first) = bench.call().await.asked();
    let (keys, second) = bench.retry(&first, json!({"r1.0": accept("a")})).await.asked();
    assert_eq!(keys, ["r2.0"]);
    // Whoever comes with the first round again is told how it went on.
    let again = bench.retry(&first, json!({"r1.0": accept("b")})).await;
    assert_eq!(again.asked(), (keys, second.clone()));
    let other = json!({"name": "t", "arguments": {"x": 1}, "requestState": second, "inputResponses": {}});
    assert_eq!(bench.ask(Method::ToolsCall, &other, &everything()).await.code(), -32602);
    for state in [json!("forged"), json!(7), Value::Null] {
        let forged = json!({"name": "t", "requestState": state, "inputResponses": {}});
        assert_eq!(bench.ask(Method::ToolsCall, &forged, &everything()).await.code(), -32602);
    }
    assert_eq!(bench.retry(&second, json!({"r2.0": accept("c")})).await.said(), accept("c").to_string());
    assert_eq!(
        bench.retry(&first, json!({"r1.0": accept("b")})).await.code(),
        -32602,
        "a round before the last"
    );
}

#[tokio::test(start_paused = true)]
async fn time_runs_out_question_then_call() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let bench = Shape::legacy().start(move |_, _, _, emit| {
        let hears = hears.clone();
        async move {
            let answer = ask(&emit, 1, AskKind::Elicit, Some(form("Who?")), None).await.await;
            hears.lock().unwrap().push(format!("{:?}", answer.map(|outcome| value(&outcome))));
            // It does not end by itself.
            std::future::pending().await
        }
    });
    let (_, state) = bench.call().await.asked();
    tokio::time::sleep(TTL - Duration::from_secs(1)).await;
    assert!(heard.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(heard.lock().unwrap()[0].contains("cancel"), "{heard:?}");
    assert_eq!(bench.retry(&state, json!({"r1.0": accept("Ada")})).await.code(), -32602);
    tokio::time::sleep(super::super::park::WIND_UP).await;
    assert_eq!(bench.records().last(), Some(&("cancelled", 1)));
    assert_eq!(bench.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_offered_is_refused_and_said() {
    let page = json!({"mode": "url", "url": "https://e", "message": "m"});
    let sample = json!({"messages": [], "maxTokens": 1});
    let tools = json!({"messages": [], "maxTokens": 1, "tools": []});
    let choice = json!({"messages": [], "maxTokens": 1, "toolChoice": {}});
    let rows = [
        (AskKind::Elicit, Some(form("?")), json!({}), -32601, json!({"elicitation": {"form": {}}})),
        (
            AskKind::Elicit,
            Some(form("?")),
            json!({"elicitation": {"url": {}}}),
            -32602,
            json!({"elicitation": {"form": {}}}),
        ),
        (
            AskKind::Elicit,
            Some(page),
            json!({"elicitation": {}}),
            -32602,
            json!({"elicitation": {"url": {}}}),
        ),
        (AskKind::Sample, Some(sample), json!({"roots": {}}), -32601, json!({"sampling": {}})),
        (AskKind::Sample, Some(tools), json!({"sampling": {}}), -32602, json!({"sampling": {"tools": {}}})),
        (AskKind::Sample, Some(choice), json!({"sampling": {}}), -32602, json!({"sampling": {"tools": {}}})),
        (AskKind::Roots, None, json!({"sampling": {}}), -32601, json!({"roots": {}})),
    ];
    for (kind, params, capabilities, code, needed) in rows {
        let heard = Arc::new(Mutex::new(0));
        let (hears, asked) = (heard.clone(), params.clone());
        let bench = Shape::legacy().start(move |_, _, _, emit| {
            let (hears, params) = (hears.clone(), asked.clone());
            async move {
                if let Ok(Outcome::Error(error)) = ask(&emit, 1, kind, params, None).await.await {
                    *hears.lock().unwrap() = error.code.0;
                }
                Event::error(portreeve_mcp::RpcError::new(portreeve_mcp::Code(-32000), "could not ask"))
            }
        });
        let got = bench.ask(Method::ToolsCall, &json!({"name": "t"}), &capabilities).await;
        assert_eq!((got.code(), *heard.lock().unwrap()), (-32021, code), "{kind:?} {capabilities}");
        assert_eq!(got.end()["error"]["data"]["requiredCapabilities"], needed, "{kind:?} {capabilities}");
        assert_eq!(got.end()["error"]["message"], "could not ask");
        // A server of the other era insists with a result.
        let asked = params.map_or(
            json!({"method": kind.method().as_str()}),
            |params| json!({"method": kind.method().as_str(), "params": params}),
        );
        let bench = Shape::modern().start(move |_, _, _, _| {
            let asked = asked.clone();
            async move { asks(json!({ "q": asked }), None) }
        });
        let got = bench.ask(Method::ToolsCall, &json!({"name": "t"}), &capabilities).await;
        assert_eq!(got.code(), -32021, "{kind:?} {capabilities}");
        assert_eq!(got.end()["error"]["data"]["requiredCapabilities"], needed, "{kind:?} {capabilities}");
    }
}

#[tokio::test(start_paused = true)]
async fn roots_of_the_configuration_and_early_answers_ask_nobody() {
    let mut shape = Shape::legacy();
    shape.roots = Some(json!({"roots": [{"uri": "file:///x"}]}));
    let bench = shape.start(asking(AskKind::Roots, None));
    assert_eq!(
        bench.ask(Method::ToolsCall, &json!({"name": "t"}), &json!({})).await.said(),
        json!({"roots": [{"uri": "file:///x"}]}).to_string()
    );
    let mut params = form("?");
    params["_meta"] = json!({ (super::super::ASK_NAME): "early" });
    let bench = Shape::legacy().start(asking(AskKind::Elicit, Some(params)));
    let early = |answer: Value| json!({"name": "t", "inputResponses": {"early": answer}});
    let got = bench.ask(Method::ToolsCall, &early(accept("Ada")), &everything()).await;
    assert_eq!(got.said(), accept("Ada").to_string());
    assert_eq!(bench.params(0), json!({"name": "t"}), "an older server knows no such member");
    let got = bench.ask(Method::ToolsCall, &early(json!({"action": "x"})), &everything()).await;
    assert_eq!(got.asked().0, ["early"], "an answer of the wrong shape is none");
}

#[tokio::test(start_paused = true)]
async fn questions_beyond_the_limits_are_declined() {
    let cancelled = json!({"action": "cancel"}).to_string();
    let mut shape = Shape::legacy();
    shape.limits.parked_per_principal = 1;
    let bench = shape.start(asking(AskKind::Elicit, Some(form("Who?"))));
    bench.call().await.asked();
    assert_eq!(bench.call().await.said(), cancelled, "one waits already");
    let mut shape = Shape::legacy();
    shape.limits.parked_total = 1;
    let bench = shape.start(asking(AskKind::Elicit, Some(form("Who?"))));
    let (_, state) = bench.call().await.asked();
    assert_eq!(bench.call().await.said(), cancelled);
    bench.retry(&state, json!({"r1.0": accept("Ada")})).await;
    bench.call().await.asked();
    let bench = Shape::legacy().start(asking(AskKind::Elicit, Some(form("Who?"))));
    let (_, state) = bench.call().await.asked();
    bench.gate.close();
    assert_eq!(bench.call().await.said(), cancelled, "nothing is parked at the end");
    bench.gate.wound_up().await;
    assert_eq!(bench.retry(&state, json!({"r1.0": accept("Ada")})).await.code(), -32602);
    // A method that may not be answered with a question.
    let bench = Shape::legacy().start(asking(AskKind::Elicit, Some(form("Who?"))));
    let params = json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}});
    assert_eq!(bench.ask(Method::Complete, &params, &everything()).await.said(), cancelled);
    for (kind, refusal) in [(AskKind::Sample, "error -1"), (AskKind::Roots, "error -32603")] {
        let bench = Shape::legacy().rounds(0).start(asking(kind, Some(json!({"messages": []}))));
        assert_eq!(bench.call().await.said(), refusal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_child_makes_the_oldest_question_give_way() {
    let mut shape = Shape::legacy();
    shape.holds_children = true;
    let free = Arc::new(tokio::sync::Notify::new());
    let freed = free.clone();
    let bench = shape.start(move |number, _, _, emit| {
        let free = freed.clone();
        async move {
            if number == 1 {
                let end = echo(ask(&emit, 1, AskKind::Elicit, Some(form("Who?")), None).await.await);
                free.notify_one();
                return end;
            }
            free.notified().await;
            text("a child at last")
        }
    });
    let (_, state) = bench.call().await.asked();
    let began = tokio::time::Instant::now();
    assert_eq!(bench.call().await.said(), "a child at last");
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(bench.retry(&state, json!({"r1.0": accept("Ada")})).await.code(), -32602);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_question_is_not_asked() {
    let bench = Shape::legacy().start(|_, _, _, emit| async move {
        let _kept = ask(&emit, 1, AskKind::Elicit, Some(form("Who?")), None).await;
        emit.emit(Event::AskWithdrawn(AskKey(9))).await;
        emit.emit(Event::AskWithdrawn(AskKey(1))).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        text("alone")
    });
    assert_eq!(bench.call().await.said(), "alone");
    assert_eq!(bench.records(), [("ok", 0)]);
}

#[tokio::test(start_paused = true)]
async fn relay_passes_the_questions_and_wraps_the_state() {
    for state in [None, Some(""), Some("theirs")] {
        let question = json!({"method": "elicitation/create", "params": form("Who?"), "x": 1});
        let asked = question.clone();
        let bench = Shape::modern().start(move |number, _, _, _| {
            let asked = asked.clone();
            async move { if number == 1 { asks(json!({ "q": asked }), state) } else { text("done") } }
        });
        let got = bench.call().await;
        let (keys, ours) = got.asked();
        assert_eq!((keys, &got.end()["inputRequests"]["q"]), (vec!["q".to_owned()], &question));
        assert!(got.end().get("ttlMs").is_none());
        assert_ne!(Some(ours.as_str()), state);
        assert_eq!(bench.retry(&ours, json!({"q": {"any": 1}})).await.said(), "done");
        let sent = bench.params(1);
        assert_eq!(
            (sent.get("requestState").and_then(Value::as_str), &sent["inputResponses"]),
            (state, &json!({"q": {"any": 1}}))
        );
        assert_eq!(bench.records(), [("input_required", 0), ("ok", 1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn relayed_rounds_are_capped() {
    let bench = Shape::modern()
        .rounds(2)
        .start(|_, _, _, _| async { asks(json!({"q": {"method": "roots/list"}}), Some("s")) });
    let (_, state) = bench.call().await.asked();
    let (_, state) = bench.retry(&state, json!({"q": {"roots": []}})).await.asked();
    assert_eq!(bench.retry(&state, json!({"q": {"roots": []}})).await.code(), -31010);
    let params = json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}});
    assert_eq!(
        bench.ask(Method::Complete, &params, &everything()).await.code(),
        -31005,
        "it may not ask there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_that_goes_away_ends_its_call_unless_another_waits() {
    let gone = Arc::new(Mutex::new(0));
    struct Guard(Arc<Mutex<i32>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let counts = gone.clone();
    let bench = Shape::legacy().start(move |_, _, _, emit| {
        let guard = Guard(counts.clone());
        async move {
            let _guard = guard;
            let _ = ask(&emit, 1, AskKind::Elicit, Some(form("Who?")), None).await.await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            text("done")
        }
    });
    let (_, state) = bench.call().await.asked();
    let params = json!({"name": "t", "requestState": state, "inputResponses": {"r1.0": accept("Ada")}});
    let Reply::Call(first) = bench.reply(Method::ToolsCall, &params, &everything()).await else {
        panic!("a call")
    };
    let second = bench.retry(&state, json!({"r1.0": accept("Ada")}));
    tokio::pin!(second);
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(second.await.said(), "done", "the first is detached, not cancelled");
    let (_, state) = bench.call().await.asked();
    let params = json!({"name": "t", "requestState": state, "inputResponses": {"r1.0": accept("Ada")}});
    let Reply::Call(only) = bench.reply(Method::ToolsCall, &params, &everything()).await else {
        panic!("a call")
    };
    let before = *gone.lock().unwrap();
    drop(only);
    assert_eq!(*gone.lock().unwrap(), before + 1, "nobody waits any more");
    assert_eq!(bench.retry(&state, json!({"r1.0": accept("Ada")})).await.code(), -32602);
}

//! The demo server through its public door, in both eras. Time is paused, so slow calls take none.

mod asking;

use super::*;
use futures_util::{FutureExt, StreamExt};
use portreeve_mcp::{
    ClientCapabilities, LogLevel, Outcome,
    service::{AskKind, Final, Notice},
};
use portreeve_model::IsolationKey;
use std::collections::VecDeque;

const LEGACY: Version = Version::V2025_11_25;
const MODERN: Version = Version::V2026_07_28;
const BOTH: [Version; 2] = [LEGACY, MODERN];
const EVERYTHING: &str = r#"{"elicitation":{},"sampling":{},"roots":{}}"#;

fn ctx(version: Version, capabilities: &str) -> Ctx {
    let raw = RawJson::from_text(capabilities).unwrap();
    Ctx {
        version,
        capabilities: ClientCapabilities::read(&raw, version).unwrap(),
        ..Ctx::system(IsolationKey::new("somebody"), None)
    }
}

fn request(method: &str, params: &Value) -> Request {
    Request {
        method: Method::from_text(&Text::from(method)),
        params: Params::parse(Some(&params.clone().into())).unwrap(),
    }
}

/// Everything that was said on a call, rounds included.
#[derive(Default)]
struct Story {
    notifications: Vec<(String, Value)>,
    /// What was asked: method and parameters, in order.
    asked: Vec<(String, Value)>,
    rounds: usize,
    end: Option<Result<Value, RpcError>>,
}

impl Story {
    fn result(&self) -> &Value {
        self.end.as_ref().unwrap().as_ref().unwrap()
    }

    fn text(&self) -> &str {
        self.result()["content"][0]["text"].as_str().unwrap()
    }

    fn code(&self) -> i64 {
        self.end.as_ref().unwrap().as_ref().unwrap_err().code.0
    }
}

/// Runs a request to its end and answers what is asked, in the way of the era.
async fn run(demo: &Demo, ctx: Ctx, method: &str, params: Value, answers: &[Value]) -> Story {
    let mut story = Story::default();
    let mut answers: VecDeque<_> = answers.iter().cloned().collect();
    let mut params = params;
    while story.end.is_none() {
        story.rounds += 1;
        let mut leg = demo.open(ctx.clone(), request(method, &params));
        let mut given = json!({});
        while let Some(event) = leg.next().await {
            match event {
                Event::Notification(note) => {
                    story
                        .notifications
                        .push((note.method.as_str().to_owned(), note.params.unwrap().to_value()));
                }
                Event::Ask(ask) => {
                    story.asked.push((ask.kind.method().as_str().to_owned(), ask.params.unwrap().to_value()));
                    ask.reply.answer(Outcome::Result(answers.pop_front().unwrap().into()));
                }
                Event::InputRequired(required) => {
                    assert_eq!(required.raw.to_value()["resultType"], "input_required");
                    for ask in required.asks {
                        story
                            .asked
                            .push((ask.kind.method().as_str().to_owned(), ask.params.unwrap().to_value()));
                        given[ask.key.as_str()] = answers.pop_front().unwrap();
                    }
                    params["requestState"] = Value::from(required.state.unwrap().as_str());
                }
                Event::Final(Final::Whole(Outcome::Result(result))) => {
                    story.end = Some(Ok(result.to_value()));
                }
                Event::Final(Final::Whole(Outcome::Error(error))) => story.end = Some(Err(error)),
                other => panic!("{other:?}"),
            }
        }
        params["inputResponses"] = given;
    }
    assert!(answers.is_empty(), "not asked for: {answers:?}");
    story
}

async fn call(demo: &Demo, version: Version, tool: &str, arguments: Value, answers: &[Value]) -> Story {
    let params = json!({"name": tool, "arguments": arguments});
    run(demo, ctx(version, EVERYTHING), "tools/call", params, answers).await
}

fn accept(content: &Value) -> Value {
    json!({"action": "accept", "content": content})
}

fn sample(text: &str) -> Value {
    json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": text}})
}

fn roots() -> Value {
    json!({"roots": [{"uri": "file:///srv", "name": "srv"}]})
}

#[tokio::test(start_paused = true)]
async fn questions_reach_the_caller_in_the_way_of_its_era() {
    let ada = || accept(&json!({"name": "Ada"}));
    let rows = [
        ("ask_name", json!({}), vec![ada()], "Hello, Ada!", 2),
        ("ask_name", json!({}), vec![json!({"action": "decline"})], "You declined to answer.", 2),
        ("ask_name", json!({}), vec![json!({"action": "cancel"})], "You closed the question.", 2),
        (
            "ask_two",
            json!({}),
            vec![accept(&json!({"first": "Ada"})), accept(&json!({"last": "Lovelace"}))],
            "Hello, Ada Lovelace!",
            2,
        ),
        ("interview", json!({}), vec![ada(), accept(&json!({"colour": "blue"}))], "Ada likes blue.", 3),
        ("ask_model", json!({"prompt": "why"}), vec![sample("because")], "Your model says: because", 2),
        ("list_roots", json!({}), vec![roots()], "Roots:\nsrv: file:///srv", 2),
        ("test_sampling", json!({"prompt": "p"}), vec![sample("s")], "LLM response: s", 2),
        (
            "test_elicitation",
            json!({"message": "m"}),
            vec![ada()],
            "User response: action=accept, content={\"name\":\"Ada\"}",
            2,
        ),
        ("test_missing_capability", json!({}), vec![sample("s")], "s", 2),
        ("test_input_required_result_elicitation", json!({}), vec![ada()], "Hello, Ada!", 2),
        (
            "test_input_required_result_multi_round",
            json!({}),
            vec![ada(), accept(&json!({"color": "red"}))],
            "Ada likes red.",
            3,
        ),
        (
            "test_input_required_result_multiple_inputs",
            json!({}),
            vec![ada(), sample("Hi"), roots()],
            "Ada: Hi Roots:\nsrv: file:///srv",
            2,
        ),
        (
            "test_input_required_result_request_state",
            json!({}),
            vec![accept(&json!({"ok": true}))],
            "state-ok: action=accept, content={\"ok\":true}",
            2,
        ),
    ];
    for (tool, arguments, answers, text, rounds) in rows {
        for version in BOTH {
            let demo = Demo::new().unwrap();
            let story = call(&demo, version, tool, arguments.clone(), &answers).await;
            assert_eq!(story.text(), text, "{tool} for {version}");
            assert_eq!(story.asked.len(), answers.len(), "{tool} for {version}");
            assert_eq!(story.rounds, if version == MODERN { rounds } else { 1 }, "{tool} for {version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_question_knows_the_first_answer() {
    for version in BOTH {
        let answers = [accept(&json!({"name": "Ada"})), accept(&json!({"colour": "blue"}))];
        let story = call(&Demo::new().unwrap(), version, "interview", json!({}), &answers).await;
        assert_eq!(story.asked[1].1["message"], "What is your favourite colour, Ada?", "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_that_was_not_declared() {
    let demo = Demo::new().unwrap();
    for (tool, arguments, capability) in [
        ("ask_name", json!({}), "elicitation"),
        ("ask_model", json!({"prompt": ""}), "sampling"),
        ("list_roots", json!({}), "roots"),
        ("test_missing_capability", json!({}), "sampling"),
    ] {
        let params = json!({"name": tool, "arguments": arguments});
        let story = run(&demo, ctx(MODERN, "{}"), "tools/call", params.clone(), &[]).await;
        assert_eq!(story.code(), -32021, "{tool}");
        let data = story.end.unwrap().unwrap_err().data.unwrap().to_value();
        assert!(data["requiredCapabilities"][capability].is_object(), "{tool}: {data}");
        let story = run(&demo, ctx(LEGACY, "{}"), "tools/call", params, &[]).await;
        if tool == "test_missing_capability" {
            assert_eq!(story.code(), -32021);
        } else {
            assert_eq!(story.result()["isError"], true, "{tool}");
        }
    }
    let params = json!({"name": "test_input_required_result_capabilities"});
    for version in BOTH {
        let declared = ctx(version, r#"{"sampling":{}}"#);
        let story = run(&demo, declared, "tools/call", params.clone(), &[sample("x")]).await;
        assert_eq!(story.asked[0].0, "sampling/createMessage", "{version}");
    }
}

/// The first end of a modern call with these parameters: questions by key, a result, or an error.
async fn first_end(demo: &Demo, params: Value) -> Result<Vec<String>, i64> {
    let leg = demo.open(ctx(MODERN, EVERYTHING), request("tools/call", &params));
    match leg.collect::<Vec<_>>().await.pop() {
        Some(Event::InputRequired(required)) => {
            Ok(required.asks.iter().map(|ask| ask.key.as_str().to_owned()).collect())
        }
        Some(Event::Final(Final::Whole(Outcome::Result(_)))) => Ok(vec!["done".to_owned()]),
        Some(Event::Final(Final::Whole(Outcome::Error(error)))) => Err(error.code.0),
        other => panic!("{other:?}"),
    }
}

async fn state_of(demo: &Demo, params: &Value, who: &str) -> String {
    let ctx = Ctx { isolation: IsolationKey::new(who), ..ctx(MODERN, EVERYTHING) };
    match demo.open(ctx, request("tools/call", params)).collect::<Vec<_>>().await.pop() {
        Some(Event::InputRequired(required)) => required.state.unwrap().as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_is_checked() {
    let demo = Demo::new().unwrap();
    let tool = "test_input_required_result_elicitation";
    let ada = accept(&json!({"name": "Ada"}));
    let first = json!({"name": tool, "arguments": {}});
    let state = state_of(&demo, &first, "somebody").await;
    let foreign = state_of(&demo, &first, "somebody else").await;
    let why =
        state_of(&demo, &json!({"name": "ask_model", "arguments": {"prompt": "why"}}), "somebody").await;
    let other_tool = state_of(&demo, &json!({"name": "ask_name", "arguments": {}}), "somebody").await;
    let keys = |keys: &[&str]| Ok(keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
    let with = |state: &str| json!({"name": tool, "arguments": {}, "inputResponses": {"user_name": ada}, "requestState": state});
    let rows = [
        ("as given", with(&state), keys(&["done"])),
        ("changed", with(&format!("{state}-TAMPERED")), Err(-32602)),
        ("another person's", with(&foreign), Err(-32602)),
        (
            "of other arguments",
            json!({"name": "ask_model", "arguments": {"prompt": "how"}, "requestState": why}),
            Err(-32602),
        ),
        ("of another tool", with(&other_tool), Err(-32602)),
        ("empty", with(""), Err(-32602)),
        ("no state", json!({"name": tool, "inputResponses": {"user_name": ada}}), keys(&["done"])),
        (
            "more answers than asked",
            json!({"name": tool, "inputResponses": {"user_name": ada, "x": 1}}),
            keys(&["done"]),
        ),
        ("another key", json!({"name": tool, "inputResponses": {"x": ada}}), keys(&["user_name"])),
        (
            "no answer",
            json!({"name": tool, "arguments": {}, "inputResponses": {}, "requestState": state}),
            keys(&["user_name"]),
        ),
        ("a number", json!({"name": tool, "inputResponses": {"user_name": 12345}}), Err(-32602)),
        (
            "a form without an action",
            json!({"name": tool, "inputResponses": {"user_name": {"content": {}}}}),
            Err(-32602),
        ),
        ("answers that are null", json!({"name": tool, "inputResponses": null}), Err(-32602)),
        ("state that is a number", json!({"name": tool, "requestState": 1}), Err(-32602)),
        (
            "an answer without the state that it belongs to",
            json!({"name": "test_input_required_result_request_state", "inputResponses": {"confirm": accept(&json!({"ok": true}))}}),
            keys(&["confirm"]),
        ),
        (
            "some of several",
            json!({"name": "test_input_required_result_multiple_inputs", "inputResponses": {"greeting": sample("x")}}),
            keys(&["user_name", "client_roots"]),
        ),
    ];
    for (what, params, expected) in rows {
        assert_eq!(first_end(&demo, params).await, expected, "{what}");
    }
    tokio::time::advance(std::time::Duration::from_secs(state::LIFETIME_SECONDS + 1)).await;
    assert_eq!(first_end(&demo, with(&state)).await, Err(-32602), "too old");
}

#[tokio::test(start_paused = true)]
async fn a_legacy_client_that_does_not_answer_ends_the_call_with_a_tool_error() {
    let demo = Demo::new().unwrap();
    for answer in [
        Some(Outcome::Error(RpcError::new(Code::REJECTED, "the user said no"))),
        Some(Outcome::Result(RawJson::EMPTY_OBJECT)),
        None,
    ] {
        let params = json!({"name": "ask_model", "arguments": {"prompt": "p"}});
        let mut leg = demo.open(ctx(LEGACY, EVERYTHING), request("tools/call", &params));
        let Some(Event::Ask(ask)) = leg.next().await else { panic!("nothing was asked") };
        assert_eq!(ask.kind, AskKind::Sample);
        let expected = match &answer {
            Some(Outcome::Error(_)) => "the client refused: the user said no",
            Some(Outcome::Result(_)) => "the answer to `model` is not one to sampling/createMessage",
            None => "nobody answered",
        };
        match answer {
            Some(answer) => ask.reply.answer(answer),
            None => drop(ask),
        }
        let Some(Event::Final(Final::Whole(Outcome::Result(result)))) = leg.next().await else {
            panic!("no result")
        };
        let result = result.to_value();
        assert_eq!((&result["isError"], &result["content"][0]["text"]), (&json!(true), &json!(expected)));
        assert!(leg.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn two_questions_of_a_legacy_call_are_open_at_the_same_time() {
    let demo = Demo::new().unwrap();
    let mut leg = demo.open(ctx(LEGACY, EVERYTHING), request("tools/call", &json!({"name": "ask_two"})));
    let mut asks = Vec::new();
    for _ in 0..2 {
        let Some(Event::Ask(ask)) = leg.next().await else { panic!("nothing was asked") };
        asks.push(ask);
    }
    assert_ne!(asks[0].key, asks[1].key);
    assert!(leg.next().now_or_never().is_none(), "it went on without answers");
    // The answers may come in any order.
    asks.pop().unwrap().reply.answer(Outcome::Result(accept(&json!({"last": "Lovelace"})).into()));
    asks.pop().unwrap().reply.answer(Outcome::Result(accept(&json!({"first": "Ada"})).into()));
    let Some(Event::Final(Final::Whole(Outcome::Result(result)))) = leg.next().await else {
        panic!("no result")
    };
    assert_eq!(result.to_value()["content"][0]["text"], "Hello, Ada Lovelace!");
}

#[tokio::test(start_paused = true)]
async fn every_tool_without_questions_answers_in_every_revision() {
    let rows = [
        ("hello", json!({}), "Hello, world!"),
        ("hello", json!({"name": "Ada"}), "Hello, Ada!"),
        ("echo", json!({"text": "ä\n\u{1F600}"}), "ä\n\u{1F600}"),
        ("add", json!({"a": 1, "b": 2.5}), "{\"sum\":3.5}"),
        ("add", json!({"a": 40, "b": 2}), "{\"sum\":42}"),
        ("countdown", json!({"steps": 2}), "Counted 2 steps."),
        ("query_region", json!({"region": "eu"}), "Looked for anything in eu, at most 10, without details."),
        ("test_simple_text", json!({}), "This is a simple text response for testing."),
        ("test_multiple_content_types", json!({}), "Multiple content types test:"),
        ("json_schema_2020_12_tool", json!({"phone": "1"}), "Received {\"phone\":\"1\"}"),
    ];
    for (tool, arguments, text) in rows {
        for version in Version::ALL {
            let story = call(&Demo::new().unwrap(), version, tool, arguments.clone(), &[]).await;
            assert_eq!(story.text(), text, "{tool} for {version}");
            assert_eq!(story.result()["isError"], Value::Null, "{tool} for {version}");
            assert_eq!(story.result()["resultType"] == "complete", version == MODERN, "{tool} for {version}");
        }
    }
    let large = call(&Demo::new().unwrap(), MODERN, "large_text", json!({"kilobytes": 100}), &[]).await;
    assert_eq!(large.text().len(), 100 * 1024);
}

#[tokio::test(start_paused = true)]
async fn contents_fit_the_revision() {
    let kinds = |story: &Story| -> Vec<String> {
        let blocks = story.result()["content"].as_array().unwrap();
        blocks.iter().map(|block| block["type"].as_str().unwrap().to_owned()).collect()
    };
    let demo = Demo::new().unwrap();
    let story = call(&demo, MODERN, "show_content", json!({}), &[]).await;
    assert_eq!(kinds(&story), ["text", "image", "audio", "resource_link", "resource"]);
    let story = call(&demo, Version::V2024_11_05, "show_content", json!({}), &[]).await;
    assert_eq!(kinds(&story), ["text", "image", "text", "text", "resource"]);
    for (version, structured) in [(Version::V2025_03_26, false), (Version::V2025_06_18, true), (MODERN, true)]
    {
        let story = call(&demo, version, "weather", json!({"city": "Graz"}), &[]).await;
        assert_eq!(story.result()["structuredContent"]["city"] == "Graz", structured, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_calls_are_answered_as_the_specification_says() {
    let demo = Demo::new().unwrap();
    for version in BOTH {
        for (method, params, code) in [
            ("tools/call", json!({"name": "nothing"}), -32602),
            ("tools/call", json!({"name": "extra"}), -32602),
            ("tools/call", json!({}), -32602),
            ("tools/call", json!({"name": "hello", "arguments": []}), -32602),
            ("prompts/get", json!({"name": "nothing"}), -32602),
            (
                "prompts/get",
                json!({"name": "test_prompt_with_arguments", "arguments": {"arg1": "x"}}),
                -32602,
            ),
            (
                "resources/read",
                json!({"uri": "test://nothing"}),
                if version == MODERN { -32602 } else { -32002 },
            ),
            (
                "resources/read",
                json!({"uri": "test://template/a/b/data"}),
                if version == MODERN { -32602 } else { -32002 },
            ),
            (
                "resources/read",
                json!({"uri": "demo://extra"}),
                if version == MODERN { -32602 } else { -32002 },
            ),
            (
                "resources/subscribe",
                json!({"uri": "test://nothing"}),
                if version == MODERN { -32601 } else { -32002 },
            ),
            ("tools/list", json!({"cursor": ""}), -32602),
            ("completion/complete", json!({}), -32602),
            ("tasks/result", json!({"taskId": "nothing"}), if version == MODERN { -32601 } else { -32602 }),
            ("unknown/method", json!({}), -32601),
        ] {
            let story = run(&demo, ctx(version, EVERYTHING), method, params.clone(), &[]).await;
            assert_eq!(story.code(), code, "{method} {params} for {version}");
        }
        for (tool, arguments, message) in [
            ("echo", json!({}), "invalid arguments: `text` is missing"),
            ("add", json!({"a": "1", "b": 2}), "invalid arguments: `a` must be a number"),
            ("fail", json!({}), "This tool always fails."),
            ("fail", json!({"message": "so"}), "so"),
            ("test_error_handling", json!({}), "This tool intentionally returns an error for testing"),
        ] {
            let story = call(&demo, version, tool, arguments, &[]).await;
            assert_eq!(
                (&story.result()["isError"], story.text()),
                (&json!(true), message),
                "{tool} for {version}"
            );
        }
    }
    let story = run(&demo, ctx(MODERN, "{}"), "resources/read", json!({"uri": "x:y"}), &[]).await;
    assert_eq!(story.end.unwrap().unwrap_err().data.unwrap().to_value(), json!({"uri": "x:y"}));
    for method in ["ping", "logging/setLevel", "resources/subscribe", "initialize"] {
        assert_eq!(run(&demo, ctx(MODERN, "{}"), method, json!({}), &[]).await.code(), -32601, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn progress_and_logs_come_only_where_they_are_wanted() {
    let demo = Demo::new().unwrap();
    for version in BOTH {
        for (wants, log_level, progress, logs) in [
            (false, None, 0, 0),
            (true, None, 3, 0),
            (false, Some(LogLevel::Debug), 0, 8),
            (true, Some(LogLevel::Error), 3, 4),
        ] {
            let ctx = Ctx { wants_progress: wants, log_level, ..ctx(version, "{}") };
            let story =
                run(&demo, ctx.clone(), "tools/call", json!({"name": "test_tool_with_progress"}), &[]).await;
            let told: Vec<_> =
                story.notifications.iter().map(|(_, params)| params["progress"].as_u64().unwrap()).collect();
            assert_eq!(told, [0, 50, 100][..progress], "{version}");
            let story = run(&demo, ctx, "tools/call", json!({"name": "log_messages"}), &[]).await;
            assert_eq!(story.notifications.len(), logs, "{version} {log_level:?}");
            assert!(story.notifications.iter().all(|(method, _)| method == "notifications/message"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_leg_stops_its_call() {
    let demo = Demo::new().unwrap();
    let slow = json!({"name": "countdown", "arguments": {"steps": 1000}});
    let mut leg = demo.open(ctx(LEGACY, "{}"), request("tools/call", &slow));
    assert!(leg.next().now_or_never().is_none());
    assert_eq!(demo.0.counts.read(), counts::Numbers { running: 1, finished: 0, cancelled: 0 });
    drop(leg);
    assert_eq!(demo.0.counts.read(), counts::Numbers { running: 0, finished: 0, cancelled: 1 });
    let story = call(&demo, MODERN, "status", json!({}), &[]).await;
    assert_eq!(story.result()["structuredContent"], json!({"running": 0, "finished": 0, "cancelled": 1}));
}

#[tokio::test(start_paused = true)]
async fn changes_are_seen_and_told() {
    let demo = Demo::new().unwrap();
    let filter = WatchFilter { resources: vec![Text::from("demo://note"), Text::from("test://nothing")] };
    let mut watch = demo.watch(ctx(MODERN, "{}"), filter);
    assert_eq!(watch.next().await, Some(Notice::Watching(vec![Text::from("demo://note")])));
    for (list, method, key, notice) in [
        ("tools", "tools/list", "tools", Notice::ToolsChanged),
        ("prompts", "prompts/list", "prompts", Notice::PromptsChanged),
        ("resources", "resources/list", "resources", Notice::ResourcesChanged),
    ] {
        let has_extra = async || {
            let story = run(&demo, ctx(MODERN, "{}"), method, json!({}), &[]).await;
            let entries = story.result()[key].as_array().unwrap();
            entries.iter().any(|entry| entry["name"] == "extra")
        };
        assert!(!has_extra().await, "{list}");
        call(&demo, LEGACY, "change_list", json!({"list": list}), &[]).await;
        assert_eq!(watch.next().await, Some(notice), "{list}");
        assert!(has_extra().await, "{list}");
    }
    assert_eq!(
        call(&demo, MODERN, "extra", json!({}), &[]).await.text(),
        "You caught me while the list was changed."
    );
    call(&demo, MODERN, "update_resource", json!({"text": "new"}), &[]).await;
    let params: RawJson = json!({"uri": "demo://note"}).into();
    assert_eq!(watch.next().await, Some(Notice::ResourceUpdated { uri: Text::from("demo://note"), params }));
    let story = run(&demo, ctx(MODERN, "{}"), "resources/read", json!({"uri": "demo://note"}), &[]).await;
    assert_eq!(story.result()["contents"][0]["text"], "new");
}

#[tokio::test(start_paused = true)]
async fn modern_results_say_how_long_they_keep() {
    let demo = Demo::new().unwrap();
    for (method, params, ttl, scope) in [
        ("tools/list", json!({}), json!(60_000), json!("public")),
        ("prompts/list", json!({}), json!(60_000), json!("public")),
        ("resources/list", json!({}), json!(60_000), json!("public")),
        ("resources/templates/list", json!({}), json!(60_000), json!("public")),
        ("server/discover", json!({}), json!(60_000), json!("public")),
        ("resources/read", json!({"uri": "test://static-text"}), json!(60_000), json!("public")),
        ("resources/read", json!({"uri": "demo://note"}), json!(0), json!("private")),
        ("prompts/get", json!({"name": "test_simple_prompt"}), Value::Null, Value::Null),
        ("tools/call", json!({"name": "hello"}), Value::Null, Value::Null),
    ] {
        let story = run(&demo, ctx(MODERN, "{}"), method, params, &[]).await;
        let result = story.result();
        assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&ttl, &scope), "{method}");
        assert_eq!(result["resultType"], "complete", "{method}");
        assert_eq!(result["_meta"][meta::SERVER_INFO]["name"], "portreeve-demo", "{method}");
    }
    let legacy = run(&demo, ctx(LEGACY, "{}"), "tools/list", json!({}), &[]).await;
    assert_eq!(legacy.result().as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
}

#[tokio::test(start_paused = true)]
async fn prompts_are_filled() {
    let demo = Demo::new().unwrap();
    for version in BOTH {
        let context = ctx(version, EVERYTHING);
        let arguments =
            json!({"name": "test_prompt_with_arguments", "arguments": {"arg1": "hello", "arg2": "world"}});
        let story = run(&demo, context.clone(), "prompts/get", arguments, &[]).await;
        let message = &story.result()["messages"][0];
        assert_eq!(
            (&message["role"], &message["content"]["text"]),
            (&json!("user"), &json!("Prompt with arguments: arg1='hello', arg2='world'"))
        );
        let asking = json!({"name": "test_input_required_result_prompt"});
        let answers = [accept(&json!({"context": "tests"}))];
        let story = run(&demo, context.clone(), "prompts/get", asking.clone(), &answers).await;
        assert_eq!(story.result()["messages"][0]["content"]["text"], "Answer in this context: tests");
        let declined = run(&demo, context, "prompts/get", asking, &[json!({"action": "decline"})]).await;
        assert_eq!(declined.code(), -32602, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_describes_itself_in_the_caller_s_revision() {
    let demo = Demo::new().unwrap();
    for version in Version::ALL {
        let description = demo.describe(ctx(version, "{}")).await.unwrap();
        assert_eq!((description.era, description.version), (None, version));
        let capabilities = description.capabilities.to_value();
        assert_eq!(capabilities["completions"].is_object(), version >= Version::V2025_03_26, "{version}");
        assert_eq!(capabilities["resources"], json!({"listChanged": true, "subscribe": true}));
    }
}

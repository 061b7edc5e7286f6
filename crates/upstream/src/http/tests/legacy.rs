//! Legacy sessions in trouble: expired, cut, asking where they should not, shared by calls that cannot be told apart.

use super::*;
use portreeve_mcp::service::Ask;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;

#[tokio::test]
async fn check_160_a_lost_session_is_opened_anew_and_the_call_repeated_once() {
    for (status, code) in [(404, -32001), (400, -32000), (404, 0)] {
        let lost = Arc::new(AtomicBool::new(true));
        let fake = legacy(move |seen| {
            let lost = lost.swap(false, Ordering::Relaxed);
            async move {
                match (lost, code) {
                    (false, _) => seen.result(done("x")),
                    (true, 0) => Answer::empty(status),
                    (true, code) => seen.error(status, code, Value::Null),
                }
            }
        })
        .await;
        let result = result_of(end(connect(&fake).open(plain(), tool("x"))).await);
        assert_eq!(result, done("x").to_string(), "{status} {code}");
        let handshake = ["initialize", "notifications/initialized", "tools/call"];
        assert_eq!(fake.methods()[1..], [handshake, handshake].concat());
        assert_eq!(fake.seen()[4].header("mcp-session-id"), None);
    }
}

#[tokio::test]
async fn a_session_that_is_always_lost_is_not_opened_for_ever() {
    let fake = legacy(|_| async { Answer::empty(404) }).await;
    assert_eq!(kind_of(end(connect(&fake).open(plain(), tool("x"))).await), FailureKind::Protocol);
    assert_eq!(fake.methods().iter().filter(|method| *method == "tools/call").count(), 2);
}

#[tokio::test]
async fn check_161_a_cut_stream_with_ids_is_taken_up_where_it_broke() {
    let id = Arc::new(Mutex::new(Value::Null));
    let fake = legacy(move |seen| {
        let id = Arc::clone(&id);
        async move {
            let mut id = id.lock().unwrap();
            if seen.verb == "POST" {
                *id = seen.body["id"].clone();
                return Answer::event_text("id: e1\nretry: 10\ndata:\n\n".to_owned());
            }
            let result = event(&json!({"jsonrpc": "2.0", "id": *id, "result": done("resumed")}));
            match seen.header("last-event-id") {
                Some("e1") => Answer::event_text("id: e2\ndata:\n\n".to_owned()),
                Some("e2") => Answer::event_text(result),
                _ => Answer::empty(405),
            }
        }
    })
    .await;
    assert_eq!(result_of(end(connect(&fake).open(plain(), tool("x"))).await), done("resumed").to_string());
    let gets: Vec<_> = fake.seen().into_iter().filter(|seen| seen.verb == "GET").collect();
    assert_eq!(gets.len(), 2);
    assert!(gets.iter().all(|get| get.header("mcp-session-id") == Some("session-1")));
}

#[tokio::test]
async fn a_cut_stream_without_ids_leaves_the_outcome_unknown() {
    let fake = legacy(|_| async { Answer::event_text(": begun\n\n".to_owned()) }).await;
    assert_eq!(kind_of(end(connect(&fake).open(plain(), tool("x"))).await), FailureKind::OutcomeUnknown);
    assert_eq!(fake.methods().iter().filter(|method| *method == "tools/call").count(), 1);
}

#[tokio::test]
async fn check_064_a_dropped_legacy_leg_is_cancelled_by_a_notification() {
    let fake = legacy(|seen| async move {
        let (answer, pieces) = Answer::events();
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        pieces.send(Ok(event(&progress))).unwrap();
        fake::aside(async move { pieces.closed().await });
        answer
    })
    .await;
    let mut ctx = plain();
    ctx.wants_progress = true;
    let mut leg = connect(&fake).open(ctx, tool("x"));
    assert!(matches!(next(&mut leg).await, Event::Notification(_)));
    drop(leg);
    let cancelled = fake.wait(|seen| seen.method() == "notifications/cancelled").await;
    let call = fake.wait(|seen| seen.method() == "tools/call").await;
    assert_eq!(cancelled.body["params"]["requestId"], call.body["id"]);
}

#[tokio::test]
async fn a_call_without_an_answer_ends_in_time_and_is_cancelled() {
    let fake = legacy(|_| async { std::future::pending().await }).await;
    let mut config = config(&fake.url);
    config.deadlines.call = Duration::from_millis(300);
    assert_eq!(kind_of(end(connect_with(config).open(plain(), tool("x"))).await), FailureKind::Timeout);
    fake.wait(|seen| seen.method() == "notifications/cancelled").await;
}

type Said = mpsc::UnboundedSender<Result<String, ()>>;

/// A server whose GET stream the test writes, and that answers calls when told so.
struct Chatty {
    fake: Fake,
    said: Said,
}

impl Chatty {
    async fn start() -> Self {
        let (answer, said) = Answer::events();
        let stream = Arc::new(Mutex::new(Some(answer)));
        let waiting: Arc<Mutex<Option<Said>>> = Arc::default();
        let fake = legacy(move |seen| {
            let (stream, waiting) = (Arc::clone(&stream), Arc::clone(&waiting));
            async move {
                match (seen.verb.as_str(), seen.method()) {
                    ("GET", _) => stream.lock().unwrap().take().unwrap_or_else(|| Answer::empty(405)),
                    ("POST", "tools/call") => {
                        let (answer, pieces) = Answer::events();
                        let result = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": done("x")});
                        if seen.body["params"]["name"] == "slow" {
                            *waiting.lock().unwrap() = Some(pieces);
                        } else {
                            pieces.send(Ok(event(&result))).unwrap();
                        }
                        answer
                    }
                    ("POST", "resources/subscribe") => seen.result(json!({})),
                    _ => Answer::empty(202),
                }
            }
        })
        .await;
        Self { fake, said }
    }

    fn say(&self, message: &Value) {
        self.said.send(Ok(event(message))).unwrap();
    }

    async fn answer_to(&self, id: &str) -> Value {
        self.fake.wait(|seen| seen.method().is_empty() && seen.body["id"] == id).await.body
    }
}

async fn ask_on(leg: &mut portreeve_mcp::Leg) -> Ask {
    next_ask(leg).await
}

#[tokio::test]
async fn a_question_on_the_get_stream_goes_to_the_only_call() {
    let server = Chatty::start().await;
    let mut leg = connect(&server.fake).open(askable(), tool("slow"));
    let asked = async {
        server.fake.wait(|seen| seen.method() == "tools/call").await;
        server.say(&ask_frame("g1", "elicitation/create"));
        std::future::pending::<()>().await;
    };
    let ask = tokio::select! {
        ask = ask_on(&mut leg) => ask,
        () = asked => unreachable!(),
    };
    ask.reply.answer(reply(r#"{"action":"accept"}"#));
    let answered = tokio::select! {
        answer = server.answer_to("g1") => answer,
        event = next(&mut leg) => panic!("{event:?}"),
    };
    assert_eq!(answered["result"]["action"], "accept");
}

#[tokio::test]
async fn roots_asked_for_before_any_call_wait_for_one_and_other_questions_are_refused() {
    let server = Chatty::start().await;
    let http = connect(&server.fake);
    result_of(end(http.open(askable(), tool("x"))).await);
    server.say(&ask_frame("s1", "sampling/createMessage"));
    server.say(&ask_frame("r1", "roots/list"));
    server.say(&json!({"jsonrpc": "2.0", "id": "p1", "method": "ping"}));
    assert_eq!(server.answer_to("s1").await["error"]["code"], -32602);
    // The ping comes after the roots on the same stream: they have arrived when it is answered.
    assert_eq!(server.answer_to("p1").await["result"], json!({}));
    let mut leg = http.open(askable(), tool("slow"));
    let ask = ask_on(&mut leg).await;
    assert_eq!(ask.kind, AskKind::Roots);
    ask.reply.answer(reply(r#"{"roots":[]}"#));
    let answered = tokio::select! {
        answer = server.answer_to("r1") => answer,
        event = next(&mut leg) => panic!("{event:?}"),
    };
    assert_eq!(answered["result"], json!({"roots": []}));
}

#[tokio::test]
async fn calls_that_can_be_asked_have_a_session_each_until_the_server_is_known() {
    let server = Chatty::start().await;
    let http = connect(&server.fake);
    let mut slow = http.open(askable(), tool("slow"));
    let called = server.fake.wait(|seen| seen.body["params"]["name"] == "slow");
    tokio::select! {
        _ = called => {}
        event = next(&mut slow) => panic!("{event:?}"),
    }
    result_of(end(http.open(askable(), tool("x"))).await);
    result_of(end(http.open(plain(), tool("x"))).await);
    let opened = server.fake.methods().iter().filter(|method| *method == "initialize").count();
    assert_eq!(opened, 3, "one for each call that can be asked, and one for those that can not");
}

#[tokio::test]
async fn a_request_that_no_client_knows_is_refused() {
    let fake = legacy(|seen| async move {
        let (answer, pieces) = Answer::events();
        if seen.method() != "tools/call" {
            return Answer::empty(202);
        }
        pieces.send(Ok(event(&ask_frame("o", "odd/request")))).unwrap();
        pieces
            .send(Ok(event(
                &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "x"}}),
            )))
            .unwrap();
        fake::aside(async move { pieces.closed().await });
        answer
    })
    .await;
    let mut leg = connect(&fake).open(plain(), tool("x"));
    let answered = tokio::select! {
        answer = fake.wait(|seen| seen.method().is_empty() && seen.body["id"] == "o") => answer,
        event = next(&mut leg) => panic!("{event:?}"),
    };
    assert_eq!(answered.body["error"]["code"], -32601);
}

#[tokio::test]
async fn sessions_are_not_shared_across_isolation_capabilities_or_credentials() {
    let fake = legacy(|seen| async move {
        if seen.verb == "GET" { Answer::empty(405) } else { seen.result(done("x")) }
    })
    .await;
    let http = connect(&fake);
    let bearer = |text: &str| {
        portreeve_model::UpstreamCredential::bearer(portreeve_model::Secret::new(text.to_owned()))
    };
    let mut other = plain();
    other.isolation = portreeve_model::IsolationKey::new("other");
    let (mut first, mut second) = (plain(), plain());
    first.credential = Some(bearer("one"));
    second.credential = Some(bearer("two"));
    for ctx in [plain(), other, first.clone(), second, askable(), first, plain()] {
        result_of(end(http.open(ctx, tool("x"))).await);
    }
    assert_eq!(fake.methods().iter().filter(|method| *method == "initialize").count(), 5);
    let presented: Vec<_> =
        fake.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert!(presented.contains(&"Bearer one".to_owned()) && presented.contains(&"Bearer two".to_owned()));
}

async fn heard(watch: &mut portreeve_mcp::service::Watch) -> Option<Notice> {
    tokio::time::timeout(PATIENCE, futures_util::StreamExt::next(watch)).await.expect("a notice")
}

#[tokio::test]
async fn a_legacy_server_is_watched_on_its_get_stream() {
    let server = Chatty::start().await;
    let filter = WatchFilter { resources: vec!["a:1".into()] };
    let mut watch = connect(&server.fake).watch(plain(), filter);
    assert_eq!(heard(&mut watch).await, Some(Notice::Watching(vec!["a:1".into()])));
    server.say(
        &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "b:1"}}),
    );
    server.say(&json!({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"}));
    assert_eq!(heard(&mut watch).await, Some(Notice::ResourcesChanged));
    drop(watch);
    server.fake.wait(|seen| seen.method() == "resources/unsubscribe").await;
}

#[tokio::test]
async fn a_change_that_is_told_on_the_session_of_a_call_reaches_who_watches_another() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let fake = legacy(move |seen| {
        let held = Arc::clone(&held);
        async move {
            if seen.verb == "GET" {
                return Answer::empty(405);
            }
            let (answer, pieces) = Answer::events();
            if seen.body["params"]["name"] == "tells" {
                let change = json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"});
                let result = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": done("x")});
                pieces.send(Ok(event(&change) + &event(&result))).unwrap();
            }
            held.lock().unwrap().push(pieces);
            answer
        }
    })
    .await;
    let http = connect(&fake);
    let mut watch = http.watch(askable(), WatchFilter { resources: Vec::new() });
    assert_eq!(heard(&mut watch).await, Some(Notice::Watching(Vec::new())));
    let mut slow = http.open(askable(), tool("slow"));
    let tells = async {
        fake.wait(|seen| seen.body["params"]["name"] == "slow").await;
        end(http.open(askable(), tool("tells"))).await
    };
    let told = tokio::select! {
        event = next(&mut slow) => panic!("nobody answers this: {event:?}"),
        told = tells => told,
    };
    assert_eq!(result_of(told), done("x").to_string());
    assert_eq!(fake.methods().iter().filter(|method| *method == "initialize").count(), 2);
    assert_eq!(heard(&mut watch).await, Some(Notice::PromptsChanged));
    // Others see another server: nothing of theirs is told here.
    result_of(end(http.open(plain(), tool("tells"))).await);
    result_of(end(http.open(askable(), tool("tells"))).await);
    assert_eq!(heard(&mut watch).await, Some(Notice::PromptsChanged));
    assert!(futures_util::FutureExt::now_or_never(heard(&mut watch)).is_none());
}

#[tokio::test]
async fn a_log_level_is_set_on_the_session_and_messages_are_filtered_for_the_call() {
    let fake = legacy(|seen| async move {
        if seen.method() == "logging/setLevel" {
            return seen.result(json!({}));
        }
        let log = |level| {
            event(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": level}}))
        };
        let result = event(&json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": done("x")}));
        Answer::event_text(log("info") + &log("error") + &result)
    })
    .await;
    let http = connect(&fake);
    for (level, expected) in [(Some("info"), 2), (Some("error"), 1), (None, 0)] {
        let mut ctx = plain();
        ctx.log_level = level.and_then(portreeve_mcp::LogLevel::parse);
        let mut leg = http.open(ctx, tool("x"));
        let mut heard = 0;
        while let Event::Notification(_) = next(&mut leg).await {
            heard += 1;
        }
        assert_eq!(heard, expected, "{level:?}");
    }
    assert_eq!(fake.methods().iter().filter(|method| *method == "logging/setLevel").count(), 1);
}

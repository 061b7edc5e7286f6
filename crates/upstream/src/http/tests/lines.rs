//! HTTP+SSE: finding it out, the one stream and its POSTs, and what is lost with the stream.

use super::*;
use crate::Transport;
use portreeve_mcp::{Era, Leg, service::Ask};
use std::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;

type Stream = UnboundedSender<Result<String, ()>>;
/// The status that POSTs of calls are refused with, in one session or in all of them.
type Refuses = Arc<Mutex<Option<(u16, Option<usize>)>>>;

/// A server of the oldest transport: each GET opens a session, each POST to it is accepted and answered on its stream.
/// Tools: `x` answers, the others never do.
struct Old {
    fake: Fake,
    streams: Arc<Mutex<Vec<Option<Stream>>>>,
    refuses: Refuses,
}

impl Old {
    async fn start() -> Self {
        Self::naming("/messages?session=").await
    }

    /// The endpoint is this with the number of the stream.
    async fn naming(endpoint: &'static str) -> Self {
        let streams: Arc<Mutex<Vec<Option<Stream>>>> = Arc::default();
        let refuses = Refuses::default();
        let (kept, refusing) = (Arc::clone(&streams), Arc::clone(&refuses));
        let fake = Fake::start(move |seen| {
            let (kept, refusing) = (Arc::clone(&kept), Arc::clone(&refusing));
            async move { answer(&seen, endpoint, &kept, &refusing) }
        })
        .await;
        Self { fake, streams, refuses }
    }

    fn connect(&self) -> Arc<Http> {
        let mut config = config(&self.fake.url);
        config.transport = Transport::Sse;
        connect_with(config)
    }

    fn refuse(&self, status: u16, session: Option<usize>) {
        *self.refuses.lock().unwrap() = Some((status, session));
    }

    fn say(&self, stream: usize, message: &Value) {
        let streams = self.streams.lock().unwrap();
        streams[stream].as_ref().unwrap().send(Ok(event(message))).unwrap();
    }

    /// Ends a stream.
    fn cut(&self, stream: usize) {
        self.streams.lock().unwrap()[stream] = None;
    }

    fn streams(&self) -> usize {
        self.fake.seen().iter().filter(|seen| seen.verb == "GET").count()
    }

    async fn called(&self, name: &str) -> Seen {
        self.fake.wait(|seen| seen.body["params"]["name"] == name).await
    }

    async fn answer_to(&self, id: &str) -> Value {
        self.fake.wait(|seen| seen.method().is_empty() && seen.body["id"] == id).await.body
    }
}

fn answer(seen: &Seen, endpoint: &str, streams: &Mutex<Vec<Option<Stream>>>, refuses: &Refuses) -> Answer {
    let mut streams = streams.lock().unwrap();
    if seen.verb == "GET" {
        let (answer, stream) = Answer::events();
        let endpoint = format!("{endpoint}{}", streams.len());
        stream.send(Ok(format!(": hello\n\nevent: endpoint\ndata: {endpoint}\n\n"))).unwrap();
        streams.push(Some(stream));
        return answer;
    }
    let session = seen.path.rsplit_once("session=").and_then(|(_, number)| number.parse::<usize>().ok());
    let Some(session) = session else { return Answer::empty(405) };
    if let Some((status, only)) = *refuses.lock().unwrap()
        && seen.method() == "tools/call"
        && only.is_none_or(|only| only == session)
    {
        return Answer::empty(status);
    }
    let Some(Some(stream)) = streams.get(session) else { return Answer::empty(404) };
    let result = match (seen.method(), seen.body["params"]["name"].as_str()) {
        ("initialize", _) => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}, "logging": {}, "resources": {"subscribe": true}},
            "serverInfo": {"name": "old", "version": "1"},
        }),
        ("tools/call", Some("x")) => done("x"),
        ("resources/subscribe" | "resources/unsubscribe" | "logging/setLevel", _) => json!({}),
        _ => return Answer::empty(202),
    };
    let message = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result});
    stream.send(Ok(event(&message))).unwrap();
    Answer::empty(202)
}

fn ask(id: &str, method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"message": "?"}})
}

async fn next_ask(leg: &mut Leg) -> Ask {
    match next(leg).await {
        Event::Ask(ask) => ask,
        other => panic!("not an ask: {other:?}"),
    }
}

/// Drives a leg while the test waits for something of the server.
async fn meanwhile<T>(leg: &mut Leg, work: impl Future<Output = T>) -> T {
    tokio::select! {
        output = work => output,
        event = next(leg) => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn check_051_the_oldest_transport_is_found_out_and_spoken() {
    let old = Old::start().await;
    let http = connect(&old.fake);
    for _ in 0..2 {
        assert_eq!(result_of(end(http.open(plain(), tool("x"))).await), done("x").to_string());
    }
    assert_eq!(http.status().era, Some(Era::Legacy));
    assert_eq!(
        old.fake.methods(),
        [
            "server/discover",
            "initialize",
            "GET",
            "initialize",
            "notifications/initialized",
            "tools/call",
            "tools/call"
        ]
    );
    let seen = old.fake.seen();
    assert!(seen[3..].iter().all(|seen| seen.path == "/messages?session=0"));
    assert_eq!(seen[2].header("accept"), Some("text/event-stream"));
    assert_eq!(seen[3].body["params"]["capabilities"], json!({}));
    assert_eq!(seen[3].header("mcp-protocol-version"), None);
    assert!(seen[4..].iter().all(|seen| seen.header("mcp-protocol-version") == Some("2025-06-18")));
}

#[tokio::test]
async fn check_051_a_server_that_takes_a_post_for_a_get_is_found_out_too() {
    let old = Old::start().await;
    let streams = Arc::clone(&old.streams);
    let fake = Fake::start(move |mut seen| {
        let streams = Arc::clone(&streams);
        async move {
            if seen.path == "/mcp" {
                seen.verb = "GET".to_owned();
            }
            answer(&seen, "/messages?session=", &streams, &Refuses::default())
        }
    })
    .await;
    assert_eq!(result_of(end(connect(&fake).open(plain(), tool("x"))).await), done("x").to_string());
}

#[tokio::test]
async fn check_050_051_what_is_no_stream_with_an_endpoint_is_no_common_ground() {
    type Get = fn() -> Answer;
    let gets: [Get; 4] = [
        || Answer::empty(405),
        || Answer::text(200, "text/html", "<h1>hello</h1>".to_owned()),
        || Answer::event_text(event(&json!({"jsonrpc": "2.0", "method": "ping", "id": 1}))),
        || Answer::event_text("event: endpoint\ndata: http://127.0.0.1:9/steal\n\n".to_owned()),
    ];
    for get in gets {
        let script =
            move |seen: Seen| async move { if seen.verb == "GET" { get() } else { Answer::empty(405) } };
        let fake = Fake::start(script).await;
        assert_eq!(kind_of(end(connect(&fake).open(plain(), tool("x"))).await), FailureKind::NoCommonVersion);
        assert_eq!(fake.methods(), ["server/discover", "initialize", "GET"]);
    }
}

#[tokio::test]
async fn a_configured_transport_is_not_questioned() {
    let old = Old::start().await;
    result_of(end(old.connect().open(plain(), tool("x"))).await);
    assert_eq!(old.fake.methods()[..2], ["GET", "initialize"]);
    let old = Old::start().await;
    let mut config = config(&old.fake.url);
    config.transport = Transport::StreamableHttp;
    let failure = kind_of(end(connect_with(config).open(plain(), tool("x"))).await);
    assert_eq!((failure, old.streams()), (FailureKind::NoCommonVersion, 0));
}

#[tokio::test]
async fn check_052_a_refused_stream_says_whose_credential_or_nothing() {
    for (status, kind) in [
        (401, FailureKind::Unauthorized),
        (403, FailureKind::Forbidden),
        (503, FailureKind::Unreachable),
        (429, FailureKind::Unreachable),
    ] {
        let fake = Fake::start(move |_| async move { Answer::empty(status) }).await;
        let mut config = config(&fake.url);
        config.transport = Transport::Sse;
        let http = connect_with(config);
        assert_eq!(kind_of(end(http.open(plain(), tool("x"))).await), kind, "{status}");
        assert_eq!(http.status().era, None, "{status}");
    }
}

#[tokio::test]
async fn check_162_initialized_is_accepted_before_anything_else() {
    let old = Old::start().await;
    let http = old.connect();
    let calls = (0..8).map(|_| end(http.open(plain(), tool("x"))));
    for event in futures_util::future::join_all(calls).await {
        result_of(event);
    }
    assert_eq!(old.fake.methods()[..3], ["GET", "initialize", "notifications/initialized"]);
    assert_eq!(old.streams(), 1, "calls that cannot be asked share one session");
}

#[tokio::test]
async fn check_104_calls_that_can_be_asked_have_a_session_each_and_their_questions_arrive() {
    let old = Old::start().await;
    let http = old.connect();
    let mut slow = http.open(askable(), tool("slow"));
    meanwhile(&mut slow, old.called("slow")).await;
    result_of(end(http.open(askable(), tool("x"))).await);
    result_of(end(http.open(plain(), tool("x"))).await);
    assert_eq!(old.streams(), 3);
    old.say(0, &ask("q1", "elicitation/create"));
    let question = next_ask(&mut slow).await;
    assert_eq!(question.kind, AskKind::Elicit);
    question.reply.answer(Outcome::Result(raw(r#"{"action":"accept"}"#)));
    let answered = meanwhile(&mut slow, old.answer_to("q1")).await;
    assert_eq!(answered["result"]["action"], "accept");
    // A ping is answered while the call waits, and a question that no call can carry is refused (checks 112, 158).
    old.say(0, &json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}));
    assert_eq!(meanwhile(&mut slow, old.answer_to("p")).await["result"], json!({}));
    old.say(2, &ask("q2", "sampling/createMessage"));
    assert_eq!(meanwhile(&mut slow, old.answer_to("q2")).await["error"]["code"], -32602);
}

#[tokio::test]
async fn check_064_070_progress_is_told_apart_and_a_dropped_call_is_cancelled() {
    let old = Old::start().await;
    let http = old.connect();
    let mut ctx = plain();
    ctx.wants_progress = true;
    let mut legs = [http.open(ctx.clone(), tool("slow")), http.open(ctx, tool("late"))];
    let mut tokens = Vec::new();
    for (leg, name) in legs.iter_mut().zip(["slow", "late"]) {
        let call = meanwhile(leg, old.called(name)).await;
        tokens.push(call.body["params"]["_meta"]["progressToken"].clone());
    }
    assert_ne!(tokens[0], tokens[1]);
    for (leg, token) in legs.iter_mut().zip(&tokens).rev() {
        let params = json!({"progressToken": token, "progress": 1});
        old.say(0, &json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
        let Event::Notification(told) = next(leg).await else { panic!("not a notification") };
        assert!(told.params.unwrap().as_str().contains(&format!("\"progressToken\":{token}")));
    }
    drop(legs);
    for token in tokens {
        old.fake.wait(|seen| seen.body["params"]["requestId"] == token).await;
    }
    assert_eq!(old.streams(), 1);
}

#[tokio::test]
async fn a_broken_stream_leaves_outcomes_unknown_and_the_next_call_opens_another() {
    let old = Old::start().await;
    let http = old.connect();
    let mut first = http.open(plain(), tool("slow"));
    meanwhile(&mut first, old.called("slow")).await;
    old.cut(0);
    let failure = crate::testing::failure_of(next(&mut first).await);
    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{}", failure.detail);
    result_of(end(http.open(plain(), tool("x"))).await);
    assert_eq!(old.streams(), 2);
    assert_eq!(old.fake.methods().iter().filter(|method| *method == "tools/call").count(), 2);
}

#[tokio::test]
async fn check_160_a_session_that_the_server_forgot_is_opened_anew_and_the_call_sent_once_more() {
    let old = Old::start().await;
    let http = old.connect();
    result_of(end(http.open(plain(), tool("x"))).await);
    old.refuse(404, Some(0));
    let calls = |old: &Old| old.fake.methods().iter().filter(|method| *method == "tools/call").count();
    result_of(end(http.open(plain(), tool("x"))).await);
    assert_eq!((calls(&old), old.streams()), (3, 2));
    old.refuse(404, None);
    assert_eq!(kind_of(end(http.open(plain(), tool("x"))).await), FailureKind::Unreachable);
    assert_eq!(calls(&old), 5, "twice and no more");
}

#[tokio::test]
async fn a_refused_message_ends_its_call_and_no_other() {
    let old = Old::start().await;
    let http = old.connect();
    let mut slow = http.open(plain(), tool("slow"));
    meanwhile(&mut slow, old.called("slow")).await;
    for (status, kind) in [
        (401, FailureKind::Unauthorized),
        (400, FailureKind::Protocol),
        (429, FailureKind::Busy),
        (500, FailureKind::OutcomeUnknown),
    ] {
        old.refuse(status, None);
        let event = meanwhile(&mut slow, end(http.open(plain(), tool("x")))).await;
        assert_eq!(kind_of(event), kind, "{status}");
    }
    assert_eq!(old.streams(), 1);
}

#[tokio::test]
async fn check_120_a_watch_is_resumed_on_a_new_stream_and_says_so() {
    let old = Old::start().await;
    let filter = WatchFilter { resources: vec!["a:1".into()] };
    let mut watch = old.connect().watch(plain(), filter);
    let mut heard = async || {
        let next = futures_util::StreamExt::next(&mut watch);
        tokio::time::timeout(PATIENCE, next).await.expect("a notice").expect("the watch goes on")
    };
    assert_eq!(heard().await, Notice::Watching(vec!["a:1".into()]));
    old.say(0, &json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
    assert_eq!(heard().await, Notice::ToolsChanged);
    old.cut(0);
    assert_eq!(heard().await, Notice::Interrupted);
    assert_eq!(heard().await, Notice::Watching(vec!["a:1".into()]));
    old.say(
        1,
        &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "a:1"}}),
    );
    assert!(matches!(heard().await, Notice::ResourceUpdated { uri, .. } if uri == "a:1"));
}

#[tokio::test]
async fn lines_end_with_the_program_and_leave_no_task() {
    let old = Old::start().await;
    let runtime = runtime();
    let mut config = config(&old.fake.url);
    config.transport = Transport::Sse;
    let http = Http::new(config, runtime.clone()).unwrap();
    let mut slow = http.open(askable(), tool("slow"));
    meanwhile(&mut slow, old.called("slow")).await;
    runtime.shutdown.cancel();
    assert_eq!(kind_of(end(slow).await), FailureKind::OutcomeUnknown);
    runtime.tracker.close();
    tokio::time::timeout(PATIENCE, runtime.tracker.wait()).await.expect("every task ends");
}

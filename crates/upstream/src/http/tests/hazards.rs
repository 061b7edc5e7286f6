//! Connections and answers that break, and large answers: what servers get wrong, and what must not follow from it.

use super::*;
use crate::testing::failure_of;
use futures_util::StreamExt;
use portreeve_mcp::service::Final;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn check_026_a_header_mismatch_lists_anew_and_repeats_once() {
    for (refusals, good) in [(1, true), (2, false)] {
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(refusals));
        let fake =
            modern(move |seen| {
                let left = left.fetch_update(
                    std::sync::atomic::Ordering::Relaxed,
                    std::sync::atomic::Ordering::Relaxed,
                    |left| left.checked_sub(1),
                );
                async move {
                    if left.is_ok() { seen.error(400, -32020, Value::Null) } else { seen.result(done("x")) }
                }
            })
            .await;
        let event = end(connect(&fake).open(plain(), tool("x"))).await;
        if good {
            result_of(event);
        } else {
            assert_eq!(kind_of(event), FailureKind::Protocol);
        }
        assert_eq!(
            fake.methods(),
            ["server/discover", "tools/list", "tools/call", "tools/list", "tools/call"]
        );
    }
}

#[tokio::test]
async fn answers_of_servers_that_refuse_or_fail_have_their_kinds() {
    type Row = (&'static str, fn(&Seen) -> Answer, FailureKind);
    let rows: [Row; 7] = [
        ("401", |_| Answer::empty(401), FailureKind::Unauthorized),
        ("403", |_| Answer::empty(403), FailureKind::Forbidden),
        ("429", |_| Answer::empty(429), FailureKind::Busy),
        ("502", |_| Answer::text(502, "text/html", "bad".to_owned()), FailureKind::OutcomeUnknown),
        ("not JSON", |_| Answer::text(200, "application/json", "{".to_owned()), FailureKind::Protocol),
        (
            "too large",
            |_| Answer::text(200, "application/json", "1".repeat(1_100_000)),
            FailureKind::Protocol,
        ),
        (
            "too large an event",
            |_| Answer::event_text(format!("data: {}", "1".repeat(1_100_000))),
            FailureKind::Protocol,
        ),
    ];
    for (name, answer, kind) in rows {
        let fake = modern(move |seen| async move { answer(&seen) }).await;
        assert_eq!(kind_of(end(connect(&fake).open(plain(), tool("x"))).await), kind, "{name}");
        let calls = fake.methods().iter().filter(|method| *method == "tools/call").count();
        assert_eq!(calls, 1, "{name}: a call that may have run is not repeated");
    }
}

#[tokio::test]
async fn errors_of_the_server_are_answers() {
    for (status, code) in [(200, -32602), (400, -32602), (404, -32601), (500, -32603), (400, -32021)] {
        let fake = modern(move |seen| async move { seen.error(status, code, json!({"k": 1})) }).await;
        match end(connect(&fake).open(plain(), tool("x"))).await {
            Event::Final(Final::Whole(Outcome::Error(error))) => assert_eq!(error.code.0, code),
            other => panic!("{status} {code}: {other:?}"),
        }
    }
}

/// Reads one request head and its body from a raw connection.
async fn read_request(tcp: &mut TcpStream) -> Option<Value> {
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = tcp.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        seen.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return serde_json::from_str(body).ok();
        }
    }
}

async fn respond(tcp: &mut TcpStream, request: &Value, result: &Value) {
    let body = json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tcp.write_all((head + &body).as_bytes()).await.unwrap();
}

/// A server that answers one request on each connection and then closes it without a word.
async fn closing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    fake::aside(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let Some(request) = read_request(&mut tcp).await else { continue };
            let result = match request["method"].as_str() {
                Some("server/discover") => json!({"supportedVersions": ["2026-07-28"], "capabilities": {}}),
                Some("tools/list") => json!({"tools": []}),
                _ => done("x"),
            };
            respond(&mut tcp, &request, &result).await;
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_was_closed_between_requests_is_not_noticed_by_callers() {
    let http = connect_with(config(&closing().await));
    for _ in 0..20 {
        result_of(end(http.open(plain(), tool("x"))).await);
    }
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    fake::aside(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let request = read_request(&mut tcp).await.unwrap();
        respond(&mut tcp, &request, &json!({"supportedVersions": ["2026-07-28"], "capabilities": {}})).await;
        loop {
            // Takes the request, and closes instead of answering.
            if read_request(&mut tcp).await.is_some() {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            drop(tcp);
            (tcp, _) = listener.accept().await.unwrap();
        }
    });
    let http = connect_with(config(&url));
    let request = request("prompts/get", r#"{"name":"p"}"#);
    assert_eq!(kind_of(end(http.open(plain(), request)).await), FailureKind::OutcomeUnknown);
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_slow_first_byte_is_waited_for_no_longer_than_the_deadline() {
    let fake = modern(|_| async { std::future::pending().await }).await;
    let mut config = config(&fake.url);
    config.deadlines.call = Duration::from_millis(300);
    assert_eq!(kind_of(end(connect_with(config).open(plain(), tool("x"))).await), FailureKind::Timeout);
}

#[tokio::test]
async fn check_196_nothing_but_our_own_and_configured_headers_is_sent() {
    let fake = modern(|seen| async move { seen.result(done("x")) }).await;
    let mut config = config(&fake.url);
    config.headers.push(("X-Team".to_owned(), portreeve_model::Secret::new("platform".to_owned())));
    result_of(end(connect_with(config).open(plain(), tool("x"))).await);
    let sent = fake.wait(|seen| seen.method() == "tools/call").await;
    let mut names: Vec<&str> = sent.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "mcp-method",
        "mcp-name",
        "mcp-protocol-version",
        "user-agent",
        "x-team",
    ];
    assert_eq!(names, expected);
}

fn large_text(id: &Value, type_first: bool) -> String {
    let text = "ä\\n".repeat(40_000);
    let (first, last) =
        if type_first { (r#""resultType":"complete","#, "") } else { ("", r#","resultType":"complete""#) };
    format!(
        r#"{{"jsonrpc":"2.0","result":{{{first}"content":[{{"type":"text","text":"{text}"}}]{last}}},"id":{id}}}"#
    )
}

async fn gather(mut stream: portreeve_mcp::service::RawStream) -> (String, Option<FailureKind>) {
    let mut bytes = Vec::new();
    while let Some(piece) = tokio::time::timeout(PATIENCE, stream.next()).await.expect("a piece") {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(failure) => return (String::from_utf8_lossy(&bytes).into_owned(), Some(failure.kind)),
        }
    }
    (String::from_utf8(bytes).unwrap(), None)
}

#[tokio::test]
async fn large_complete_results_are_passed_on_as_they_come() {
    // (legacy server, client's version, type first, streamed)
    let rows = [
        (false, Version::NEWEST, true, true),
        (false, Version::NEWEST, false, false),
        (false, Version::NEWEST_LEGACY, true, false),
        (true, Version::NEWEST, false, true),
        (true, Version::NEWEST_LEGACY, true, true),
        (true, Version::V2024_11_05, true, false),
    ];
    for (old, version, type_first, streamed) in rows {
        let answer = move |seen: Seen| async move {
            Answer::text(200, "application/json", large_text(&seen.body["id"], type_first))
        };
        let fake = if old { legacy(answer).await } else { modern(answer).await };
        let http = connect(&fake);
        let whole: Value = serde_json::from_str(&large_text(&json!(1), type_first)).unwrap();
        let event = end(http.open(crate::testing::ctx(version, "{}"), tool("x"))).await;
        let got = match event {
            Event::Final(Final::Large(stream)) => {
                assert!(streamed, "{version} {old} {type_first}");
                let (text, failure) = gather(stream).await;
                assert_eq!(failure, None);
                text
            }
            other => {
                assert!(!streamed, "{version} {old} {type_first}: {other:?}");
                result_of(other)
            }
        };
        assert_eq!(serde_json::from_str::<Value>(&got).unwrap(), whole["result"]);
        assert_eq!(http.status().idle_connections, 1, "the connection is used again");
    }
}

#[tokio::test]
async fn a_large_result_begins_before_it_has_arrived_and_its_break_is_an_error() {
    for (rest, kind) in [(Err(()), FailureKind::OutcomeUnknown), (Ok("]".to_owned()), FailureKind::Protocol)]
    {
        let (answer, pieces) = Answer::streamed("application/json");
        let slot = Arc::new(std::sync::Mutex::new(Some(answer)));
        let (told, id) = tokio::sync::oneshot::channel();
        let told = Arc::new(std::sync::Mutex::new(Some(told)));
        let fake = modern(move |seen| {
            let answer = slot.lock().unwrap().take().unwrap();
            told.lock().unwrap().take().unwrap().send(seen.body["id"].clone()).unwrap();
            async move { answer }
        })
        .await;
        let mut leg = connect(&fake).open(plain(), tool("x"));
        let feed = async {
            let text = large_text(&id.await.unwrap(), true);
            let half = (70_000..).find(|at| text.is_char_boundary(*at)).unwrap();
            pieces.send(Ok(text[..half].to_owned())).unwrap();
            std::future::pending::<()>().await;
        };
        let event = tokio::select! {
            event = next(&mut leg) => event,
            () = feed => unreachable!(),
        };
        let Event::Final(Final::Large(stream)) = event else { panic!("{event:?}") };
        // Inside a string a bracket is text, so the answer ends unfinished.
        pieces.send(rest).unwrap();
        drop(pieces);
        assert_eq!(gather(stream).await.1, Some(kind));
    }
}

#[tokio::test]
async fn an_error_or_a_question_in_a_large_answer_is_collected() {
    let filler = "x".repeat(100_000);
    let fake = modern(move |seen| {
        let filler = filler.clone();
        async move {
            match seen.header("mcp-name") {
                Some("error") => seen.error(200, -32000, json!(filler)),
                _ => seen.result(json!({"resultType": "input_required", "requestState": filler})),
            }
        }
    })
    .await;
    let http = connect(&fake);
    assert!(matches!(
        end(http.open(plain(), tool("error"))).await,
        Event::Final(Final::Whole(Outcome::Error(_)))
    ));
    assert!(matches!(end(http.open(plain(), tool("ask"))).await, Event::InputRequired(_)));
}

#[tokio::test]
async fn a_shut_down_gate_opens_nothing() {
    let runtime = runtime();
    runtime.shutdown.cancel();
    let http = Http::new(config("http://127.0.0.1:9/"), runtime).unwrap();
    assert_eq!(failure_of(end(http.open(plain(), tool("x"))).await).kind, FailureKind::ShuttingDown);
}

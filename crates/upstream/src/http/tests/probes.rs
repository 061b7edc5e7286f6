//! Finding out what a server behind a URL speaks, against servers that answer the question in every way.

use super::*;
use http::HeaderValue;
use portreeve_mcp::Era;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use tokio::net::TcpListener;

/// A server that answers `server/discover` as told and everything else as a legacy server would.
async fn probed(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Fake {
    let answer = Arc::new(answer);
    Fake::start(move |seen| {
        let answer = Arc::clone(&answer);
        async move {
            match (seen.verb.as_str(), seen.method()) {
                ("POST", "server/discover") => answer(&seen),
                ("POST", "initialize") => handshake(&seen, "2025-03-26"),
                ("POST", "tools/call") => seen.result(done("x")),
                ("GET", _) => Answer::empty(405),
                _ => Answer::empty(202),
            }
        }
    })
    .await
}

#[tokio::test]
async fn check_050_check_054_answers_that_decide() {
    type Row = (&'static str, fn(&Seen) -> Answer, Era);
    let rows: [Row; 12] = [
        ("discovered", discovered, Era::Modern),
        ("-32020", |seen| seen.error(400, -32020, Value::Null), Era::Modern),
        ("-32021", |seen| seen.error(400, -32021, Value::Null), Era::Modern),
        ("-32022, legacy", |seen| seen.error(400, -32022, json!({"supported": ["2025-11-25"]})), Era::Legacy),
        (
            "shim",
            |seen| seen.result(json!({"supportedVersions": ["2025-11-25"], "capabilities": {}})),
            Era::Legacy,
        ),
        ("-32601", |seen| seen.error(200, -32601, Value::Null), Era::Legacy),
        ("-32602", |seen| seen.error(200, -32602, Value::Null), Era::Legacy),
        ("400 -32000", |seen| seen.error(400, -32000, Value::Null), Era::Legacy),
        ("400 bare", |_| Answer::empty(400), Era::Legacy),
        ("404 page", |_| Answer::text(404, "text/html", "<h1>no</h1>".to_owned()), Era::Legacy),
        ("406", |_| Answer::empty(406), Era::Legacy),
        ("draft code", |seen| seen.error(400, -32004, Value::Null), Era::Legacy),
    ];
    for (name, answer, era) in rows {
        let fake = probed(answer).await;
        let http = connect(&fake);
        assert_eq!(result_of(end(http.open(plain(), tool("x"))).await), done("x").to_string(), "{name}");
        assert_eq!(http.status().era, Some(era), "{name}");
    }
}

#[tokio::test]
async fn check_052_answers_that_decide_nothing_are_forgotten() {
    for (status, kind) in [
        (401, FailureKind::Unauthorized),
        (403, FailureKind::Forbidden),
        (408, FailureKind::Unreachable),
        (429, FailureKind::Unreachable),
        (500, FailureKind::Unreachable),
        (503, FailureKind::Unreachable),
        (302, FailureKind::Unreachable),
    ] {
        let first = AtomicBool::new(true);
        let fake = probed(move |seen| {
            if first.swap(false, Ordering::Relaxed) { Answer::empty(status) } else { discovered(seen) }
        })
        .await;
        let http = connect(&fake);
        assert_eq!(kind_of(end(http.open(plain(), tool("x"))).await), kind, "{status}");
        assert_eq!(http.status().era, None, "{status}");
        result_of(end(http.open(plain(), tool("x"))).await);
        assert_eq!(http.status().era, Some(Era::Modern), "{status}");
        assert!(fake.methods().iter().all(|method| method != "initialize"), "{status}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unreachable_until_it_is_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let http = connect_with(config(&url));
    assert_eq!(kind_of(end(http.open(plain(), tool("x"))).await), FailureKind::Unreachable);
}

#[tokio::test]
async fn a_server_that_never_answers_the_probe_is_unreachable_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&format!("http://{}/", listener.local_addr().unwrap()));
    config.deadlines.call = Duration::from_millis(200);
    let http = connect_with(config);
    assert_eq!(kind_of(end(http.open(plain(), tool("x"))).await), FailureKind::Unreachable);
    assert_eq!(http.status().era, None);
}

#[tokio::test]
async fn many_first_calls_ask_once() {
    let fake = probed(discovered).await;
    let http = connect(&fake);
    let calls = (0..8).map(|_| end(http.open(plain(), tool("x"))));
    for event in futures_util::future::join_all(calls).await {
        result_of(event);
    }
    assert_eq!(fake.methods().iter().filter(|method| *method == "server/discover").count(), 1);
}

#[tokio::test]
async fn check_055_check_056_a_server_that_changes_its_era_is_asked_again_and_the_call_runs_once() {
    let upgraded = Arc::new(AtomicBool::new(false));
    let ran = Arc::new(AtomicUsize::new(0));
    let (now, count) = (Arc::clone(&upgraded), Arc::clone(&ran));
    let fake = Fake::start(move |seen| {
        let (modern, ran) = (now.load(Ordering::Relaxed), Arc::clone(&count));
        async move {
            let claims =
                seen.headers.get("mcp-method") == Some(&HeaderValue::from_str(seen.method()).unwrap());
            match (seen.method(), modern) {
                ("tools/call", _) if claims == modern => {
                    ran.fetch_add(1, Ordering::Relaxed);
                    seen.result(done("x"))
                }
                ("server/discover", true) => discovered(&seen),
                ("server/discover" | "tools/call", false) => seen.error(400, -32600, Value::Null),
                ("initialize", false) => handshake(&seen, "2025-11-25"),
                ("tools/list", true) => seen.result(json!({"tools": []})),
                ("tools/call", true) => seen.error(400, -32022, json!({"supported": ["2026-07-28"]})),
                _ => Answer::empty(202),
            }
        }
    })
    .await;
    let http = connect(&fake);
    for (modern, era) in [(false, Era::Legacy), (true, Era::Modern), (false, Era::Legacy)] {
        upgraded.store(modern, Ordering::Relaxed);
        result_of(end(http.open(plain(), tool("x"))).await);
        assert_eq!(http.status().era, Some(era));
    }
    assert_eq!(ran.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_configured_era_is_not_questioned() {
    let fake = probed(|_| Answer::empty(500)).await;
    let mut legacy = config(&fake.url);
    legacy.era = crate::EraChoice::Legacy;
    result_of(end(connect_with(legacy).open(plain(), tool("x"))).await);
    assert_eq!(fake.methods()[0], "initialize");
    let fake = probed(|seen| seen.error(200, -32601, Value::Null)).await;
    let mut modern = config(&fake.url);
    modern.era = crate::EraChoice::Modern;
    assert_eq!(
        kind_of(end(connect_with(modern).open(plain(), tool("x"))).await),
        FailureKind::NoCommonVersion
    );
    assert_eq!(fake.methods(), ["server/discover"]);
}

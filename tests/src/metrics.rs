//! What Prometheus reads at `/metrics`, and the lines of the log that go with it.

use crate::harness::{Connection, Does, Gate, GateBuilder, Post, ScriptedStdio, soon};
use serde_json::json;
use std::net::SocketAddr;

const DEMO: &str = "/mcp/demo";
const KEY: &str = "anna-0123456789abcdef";

/// A gate whose metrics can be read.
struct Measured {
    gate: Gate,
    metrics: SocketAddr,
}

impl Measured {
    async fn start(gate: GateBuilder) -> Self {
        let gate = gate.set("metrics", json!({"listen": "127.0.0.1:0"})).start().await;
        let line = gate.running.logs("metrics are served").await;
        let from = line.find("127.0.0.1:").expect("where they are");
        let address: String =
            line[from..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        Self { metrics: address.parse().unwrap_or_else(|error| panic!("{error} in {line}")), gate }
    }

    async fn page(&self) -> String {
        let mut connection = Connection::open(self.metrics).await;
        connection.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        connection.response().await.text().to_owned()
    }

    /// The value of a series that is there.
    async fn value(&self, series: &str) -> f64 {
        let page = self.page().await;
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("no {series} in {page}"))
    }
}

impl Measured {
    /// Waits until a series of a server has this value: what has ended is let go of a moment after its answer.
    async fn becomes(&self, metric: &str, server: &str, expected: f64) {
        let series = format!("portreeve_{metric}{{server=\"{server}\"}}");
        let reached = async { while self.value(&series).await != expected {} };
        soon(&format!("{series} {expected}"), reached).await;
    }

    async fn is(&self, metric: &str, server: &str, expected: f64) {
        let series = format!("portreeve_{metric}{{server=\"{server}\"}}");
        assert_eq!(self.value(&series).await, expected, "{series}");
    }
}

/// A legacy child whose tool `dies` ends it.
async fn mortal() -> ScriptedStdio {
    ScriptedStdio::start(|_, message| match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }),
        )],
        Some("tools/list") => {
            let tool = |name| json!({"name": name, "inputSchema": {"type": "object"}});
            vec![Does::result(message, json!({"tools": [tool("lives"), tool("dies")]}))]
        }
        Some("tools/call") if message["params"]["name"] == "dies" => vec![Does::Exits],
        Some("tools/call") => vec![Does::result(message, json!({"content": []}))],
        _ => Vec::new(),
    })
    .await
}

#[tokio::test]
async fn servers_that_are_left_alone_children_and_calls_under_way_are_seen() {
    let child = mortal().await;
    let gate = Gate::of()
        .server("child", child.config("legacy"))
        .server("demo", json!({"builtin": "demo"}))
        .server("down", json!({"url": "http://127.0.0.1:9/mcp", "era": "modern"}));
    let measured = Measured::start(gate).await;
    let gate = &measured.gate;
    for metric in ["calls_in_flight", "circuit_open", "children"] {
        for server in ["child", "demo", "down"] {
            measured.is(metric, server, 0.0).await;
        }
    }

    let mut calls = 0;
    while gate.call("/mcp/down", "tool", json!({})).await.text().contains("-31001") {
        calls += 1;
        if measured.page().await.contains("portreeve_circuit_open{server=\"down\"} 1\n") {
            break;
        }
        assert!(calls < 20, "it is never left alone");
    }
    measured.is("circuit_open", "demo", 0.0).await;

    assert_eq!(gate.call("/mcp/child", "lives", json!({})).await.result()["content"], json!([]));
    measured.is("children", "child", 1.0).await;
    let died = gate.call("/mcp/child", "dies", json!({})).await;
    assert_eq!(died.refusal().1, -31004, "{}", died.text());
    measured.becomes("children", "child", 0.0).await;

    // It reports forever, as far as this test goes: it is under way until its client leaves.
    let slow = Post::call(DEMO, "countdown", json!({"steps": 1000, "interval_ms": 100}));
    let slow = slow.meta("progressToken", json!("p"));
    let (_, mut stream) = slow.open(gate.address).await;
    stream.event().await.expect("progress");
    measured.is("calls_in_flight", "demo", 1.0).await;
    measured.is("calls_in_flight", "child", 0.0).await;
    drop(stream);
    measured.becomes("calls_in_flight", "demo", 0.0).await;
}

#[tokio::test]
async fn refused_callers_are_counted_by_reason_and_told_once_without_what_they_sent() {
    let keys = json!([{"name": "anna", "secret": KEY, "allow": [{"server": "*"}]}]);
    let gate = Gate::of().server("demo", json!({"builtin": "demo"})).set("keys", keys);
    let measured = Measured::start(gate).await;
    let count = async |reason: &str| {
        measured.value(&format!("portreeve_refused_callers_total{{reason=\"{reason}\"}}")).await
    };
    for reason in ["missing", "malformed", "unknown"] {
        assert_eq!(count(reason).await, 0.0, "{reason} is there from the start");
    }
    let call = || Post::call(DEMO, "echo", json!({"text": "x"}));
    let rows = [
        ("missing", None),
        ("malformed", Some("Basic secret-of-a-guess")),
        ("unknown", Some("Bearer secret-of-a-guess")),
    ];
    for (reason, credential) in rows {
        for _ in 0..3 {
            let post = credential.map_or_else(call, |value| call().header("Authorization", value));
            assert_eq!(measured.gate.send(&post).await.status, 401);
        }
        assert_eq!(count(reason).await, 3.0, "{reason}");
    }
    let rest = b"GET /api/v1/tools HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer other\r\n\r\n";
    assert_eq!(measured.gate.raw(rest).await.status, 401);
    assert_eq!(count("unknown").await, 4.0, "at every door");
    let good = call().header("Authorization", &format!("Bearer {KEY}"));
    assert_eq!(measured.gate.send(&good).await.said(), "x");
    assert_eq!(count("unknown").await, 4.0);

    // The record of the call that was let in comes after all of them.
    measured.gate.running.logs("\"event\":\"call\"").await;
    let log = measured.gate.running.log();
    for (reason, level) in [("missing", "INFO"), ("malformed", "WARN"), ("unknown", "WARN")] {
        let told =
            |line: &&String| line.contains(&format!("\"reason\":\"{reason}\"")) && line.contains("refused");
        let lines: Vec<&String> = log.iter().filter(told).collect();
        assert_eq!(lines.len(), 1, "{reason}: {lines:?}");
        assert!(lines[0].contains(level) && lines[0].contains("\"count\":1"), "{lines:?}");
    }
    assert!(!log.iter().any(|line| line.contains("secret-of-a-guess") || line.contains(KEY)), "{log:?}");
    assert!(!measured.page().await.contains("secret"), "labels are words of ours");
}

//! Traces (decision D38 beside the log): what a collector receives, and where a call's span stands between caller and server.

use crate::harness::{Answer, Gate, Post, Scripted, modern_answers};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::{Value, json};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A server with one tool that works and one that fails.
async fn server() -> Scripted {
    let tools = json!([
        {"name": "works", "inputSchema": {"type": "object"}},
        {"name": "fails", "inputSchema": {"type": "object"}},
    ]);
    Scripted::start(move |request| match request.body["params"]["name"].as_str() {
        Some("works") => Answer::text(request, "fine"),
        Some("fails") => Answer::complete(request, json!({"content": [], "isError": true})),
        _ => modern_answers(request, &tools),
    })
    .await
}

/// Spans as the collector got them, with the attributes of the process that sent them.
fn spans(collector: &Scripted) -> Vec<(Vec<KeyValue>, Span)> {
    let requests = collector.seen();
    let all = requests.iter().flat_map(|request| {
        assert_eq!(
            (request.path.as_str(), request.header("content-type")),
            ("/v1/traces", Some("application/x-protobuf"))
        );
        assert_eq!(request.header("x-key"), Some("token-of-collector"));
        ExportTraceServiceRequest::decode(&*request.raw).expect("OTLP").resource_spans
    });
    all.flat_map(|of| {
        let resource = of.resource.map(|resource| resource.attributes).unwrap_or_default();
        let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.map(move |span| (resource.clone(), span))
    })
    .collect()
}

fn value(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        other => panic!("{key}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn traced(collector: &Scripted, server: &Scripted, sample: u8) -> Gate {
    let telemetry = json!({
        "otlp": format!("http://{}", collector.address), "sample": sample, "headers": {"X-Key": "token-of-collector"},
    });
    Gate::of().set("telemetry", telemetry).server("up", server.config("modern")).start().await
}

#[tokio::test]
async fn a_call_is_a_span_between_its_caller_and_its_server() {
    let (collector, server) = (Scripted::start(|_| Answer::Empty(200)).await, server().await);
    let gate = traced(&collector, &server, 100).await;
    let traced =
        json!({"name": "works", "arguments": {}, "_meta": {"traceparent": CALLER, "baggage": "who=me"}});
    assert_eq!(gate.ask("/mcp/up", "tools/call", traced).await.said(), "fine");
    gate.call("/mcp/up", "fails", json!({})).await;
    assert_eq!(gate.call("/mcp/up", "unknown", json!({})).await.refusal().1, -32602);
    gate.end().await;

    let found = spans(&collector);
    let of = |tool: &str| {
        let named = |span: &Span| value(&span.attributes, "gen_ai.tool.name").as_deref() == Some(tool);
        found.iter().find(|(_, span)| named(span)).unwrap_or_else(|| panic!("{tool}: {found:#?}"))
    };
    let (resource, works) = of("works");
    assert_eq!(value(resource, "service.name").as_deref(), Some("portreeve"));
    assert_eq!((works.name.as_str(), works.kind()), ("tools/call works", SpanKind::Server));
    assert_eq!(
        (hex(&works.trace_id), hex(&works.parent_span_id)),
        (CALLER[3..35].to_owned(), CALLER[36..52].to_owned())
    );
    assert!(works.start_time_unix_nano < works.end_time_unix_nano);
    for (key, expected) in [
        ("mcp.method.name", "tools/call"),
        ("mcp.protocol.version", "2026-07-28"),
        ("gen_ai.operation.name", "execute_tool"),
        ("portreeve.server", "up"),
        ("portreeve.outcome", "ok"),
    ] {
        assert_eq!(value(&works.attributes, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(value(&works.attributes, "error.type"), None);

    let seen = server.of("tools/call");
    let own = format!("00-{}-{}-01", hex(&works.trace_id), hex(&works.span_id));
    assert_eq!(*seen[0].meta("traceparent"), json!(own), "the server's parent is the gate's span");
    assert_eq!(seen[0].header("traceparent"), Some(own.as_str()));
    assert_eq!(*seen[0].meta("baggage"), Value::Null);

    let (_, fails) = of("fails");
    assert_eq!(value(&fails.attributes, "error.type").as_deref(), Some("tool_error"));
    assert_eq!(fails.status.as_ref().unwrap().code(), StatusCode::Error);
    assert!(fails.parent_span_id.is_empty(), "nobody began this trace before");
    let (_, unknown) = of("unknown");
    assert_eq!(value(&unknown.attributes, "rpc.response.status_code").as_deref(), Some("-32602"));
}

#[tokio::test]
async fn what_is_traced_is_the_callers_decision_and_else_a_share() {
    let (collector, server) = (Scripted::start(|_| Answer::Empty(200)).await, server().await);
    let gate = traced(&collector, &server, 0).await;
    gate.call("/mcp/up", "works", json!({})).await;
    let header = Post::call("/mcp/up", "works", json!({})).header("traceparent", CALLER);
    gate.send(&header).await;
    let unwanted = CALLER.replace("-01", "-00");
    let unwanted = json!({"name": "works", "arguments": {}, "_meta": {"traceparent": unwanted}});
    gate.ask("/mcp/up", "tools/call", unwanted).await;
    gate.end().await;
    let found = spans(&collector);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(hex(&found[0].1.parent_span_id), CALLER[36..52]);
    let flags: Vec<String> = server
        .of("tools/call")
        .iter()
        .map(|seen| seen.meta("traceparent").as_str().unwrap().rsplit('-').next().unwrap().to_owned())
        .collect();
    assert_eq!(flags, ["00", "01", "00"], "the server hears of the decision");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let server = server().await;
    let collector = Scripted::start(|_| Answer::Empty(500)).await;
    let gate = traced(&collector, &server, 100).await;
    assert_eq!(gate.call("/mcp/up", "works", json!({})).await.said(), "fine");
    gate.running.terminate();
    let line = gate.running.logs("spans cannot be delivered").await;
    assert!(line.contains("500") && !line.contains("token-of-collector"), "{line}");
}

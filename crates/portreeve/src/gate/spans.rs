//! Records of traced calls as OpenTelemetry spans, by the conventions for MCP (semantic-conventions-genai, `mcp.md`). They wait
//! in a bounded queue and leave in batches from a thread of their own: a call is never held up, and what a collector does
//! not take in time is dropped. Standard variables (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_…`) hold.

use crate::config::Telemetry;
use opentelemetry::{
    InstrumentationScope, Key, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor},
};
use portreeve_gateway::{End, Record, Span};
use portreeve_mcp::Method;
use portreeve_upstream::{Plain, Runtime};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Where a collector takes traces, if its URL has no path (OTLP/HTTP, 1.0).
const TRACES: &str = "/v1/traces";
/// How long one delivery may take.
const DELIVERY: Duration = Duration::from_secs(10);
/// How long the last spans may take when the gate ends.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Takes records of traced calls.
pub(super) struct Spans {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
}

impl Spans {
    /// Must run inside the runtime.
    pub(super) fn new(
        telemetry: &Telemetry,
        runtime: Runtime,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut url = telemetry.otlp.to_string();
        if telemetry.otlp.path() == "/" {
            url = format!("{}{TRACES}", url.trim_end_matches('/'));
        }
        let way = (telemetry.way.authorities.clone(), telemetry.way.proxy.clone());
        let collector = Plain::new(&url, &telemetry.headers, way, runtime)?;
        let client = Client {
            collector: Arc::new(collector),
            runtime: tokio::runtime::Handle::current(),
            failing: Arc::default(),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(DELIVERY)
            .build()?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource());
        let scope =
            InstrumentationScope::builder("portreeve").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor: Arc::new(processor), scope })
    }

    pub(super) fn record(&self, record: &Record) {
        if let Some(span) = record.span {
            self.processor.on_end(self.data(record, span));
        }
    }

    fn data(&self, record: &Record, span: Span) -> SpanData {
        let trace = TraceId::from_bytes(span.trace);
        let id = SpanId::from_bytes(span.id);
        let end_time = SystemTime::now();
        let name = match target(record) {
            Some((_, name)) => format!("{} {name}", record.method.as_str()).into(),
            None => record.method.as_str().to_owned().into(),
        };
        SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: span.parent.is_some(),
            span_kind: SpanKind::Server,
            name,
            start_time: end_time.checked_sub(record.began.elapsed()).unwrap_or(end_time),
            end_time,
            attributes: attributes(record),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: error_type(record.end).map_or(Status::Unset, |_| Status::error("")),
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Delivers what waits; nothing is taken afterwards.
    pub(super) async fn end(&self) {
        let processor = self.processor.clone();
        let delivered = tokio::task::spawn_blocking(move || processor.shutdown_with_timeout(LAST_SPANS));
        if !matches!(delivered.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be delivered");
        }
    }
}

/// Who speaks: what the standard variables say, and this program's name where they say nothing.
fn resource() -> Resource {
    let builder =
        || Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let found = builder().build();
    let name = found.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    match name {
        Some(name) if !name.starts_with(UNNAMED) => found,
        _ => builder().with_service_name("portreeve").build(),
    }
}

/// What the place of a name begins with that nobody gave.
const UNNAMED: &str = "unknown_service";

/// What the call is about, where the conventions have it in the name: tools and prompts are few, resources are not.
fn target(record: &Record) -> Option<(&'static str, &str)> {
    let key = match record.method {
        Method::ToolsCall => "gen_ai.tool.name",
        Method::PromptsGet => "gen_ai.prompt.name",
        _ => return None,
    };
    record.name.as_deref().map(|name| (key, name))
}

fn error_type(end: End) -> Option<String> {
    match end {
        End::Ok | End::InputRequired => None,
        End::ToolError => Some("tool_error".to_owned()),
        End::Error(code) | End::Refused(code) | End::Failed(code) => Some(code.to_string()),
        End::Denied | End::Cancelled => Some(end.as_str().to_owned()),
    }
}

fn attributes(record: &Record) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("mcp.method.name", record.method.as_str().to_owned()),
        KeyValue::new("mcp.protocol.version", record.client.as_str()),
        KeyValue::new("portreeve.server", record.server.as_str().to_owned()),
        KeyValue::new("portreeve.request", record.request.to_string()),
        KeyValue::new("portreeve.outcome", record.end.as_str()),
        KeyValue::new("enduser.id", record.principal.id().as_str().to_owned()),
    ];
    if let Some((key, name)) = target(record) {
        attributes.push(KeyValue::new(key, name.to_owned()));
    }
    if record.method == Method::ToolsCall {
        attributes.push(KeyValue::new("gen_ai.operation.name", "execute_tool"));
    }
    if let Some(code) = record.end.code() {
        attributes.push(KeyValue::new("rpc.response.status_code", code.to_string()));
    }
    attributes.extend(error_type(record.end).map(|kind| KeyValue::new("error.type", kind)));
    attributes
}

/// Delivers batches over the gate's own HTTP client. It runs on the thread of the batches, which may wait.
struct Client {
    collector: Arc<Plain>,
    runtime: tokio::runtime::Handle,
    failing: Arc<AtomicBool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    fn deliver(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.runtime.block_on(async {
            let delivery = tokio::time::timeout(DELIVERY, self.collector.post(&parts.headers, body));
            delivery.await.unwrap_or_else(|_| Err(format!("no answer within {DELIVERY:?}")))
        });
        let refused = match &answer {
            Ok((status, _)) if status.is_success() => None,
            Ok((status, _)) => Some(format!("the collector answered {status}")),
            Err(why) => Some(why.clone()),
        };
        // It is said when it begins and when it is over.
        match (&refused, self.failing.swap(refused.is_some(), Ordering::Relaxed)) {
            (Some(why), false) => tracing::warn!("spans cannot be delivered: {why}"),
            (None, true) => tracing::info!("spans are delivered again"),
            _ => {}
        }
        let (status, body) = answer?;
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}

impl HttpClient for Client {
    fn send_bytes<'own, 'answer>(
        &'own self,
        request: http::Request<bytes::Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<bytes::Bytes>, HttpError>> + Send + 'answer>>
    where
        'own: 'answer,
        Self: 'answer,
    {
        Box::pin(async move { self.deliver(request) })
    }
}

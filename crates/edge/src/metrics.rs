//! Counters for Prometheus, filled from the records of calls, on a listener of their own.

use portreeve_gateway::{End, Gateway, Record, Recorder};
use portreeve_model::ServerName;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{borrow::Cow, collections::HashMap};

/// Seconds; from a built-in tool to a person who thinks.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
const ENDS: [&str; 8] =
    ["ok", "tool_error", "error", "input_required", "denied", "refused", "failed", "cancelled"];

/// All metrics of a gate.
pub struct Metrics {
    registry: Registry,
    servers: HashMap<ServerName, PerServer>,
    sessions: Gauge,
}

struct PerServer {
    ends: [Counter; ENDS.len()],
    seconds: Histogram,
}

impl Metrics {
    /// Metrics for these servers: everything is there from the start, so that a rate of zero can be seen.
    pub fn new<'a>(servers: impl Iterator<Item = &'a ServerName>) -> Self {
        let mut registry = Registry::with_prefix("portreeve");
        let mut known = HashMap::new();
        for name in servers {
            let label = |key: &'static str, value: &str| (Cow::Borrowed(key), Cow::Owned(value.to_owned()));
            let scope = registry.sub_registry_with_label(label("server", name.as_str()));
            let seconds = Histogram::new(BUCKETS);
            scope.register("request_duration_seconds", "Time from request to answer", seconds.clone());
            let ends = ENDS.map(|end| {
                let counter = Counter::default();
                let scope = scope.sub_registry_with_label(label("outcome", end));
                scope.register("requests", "Requests by outcome", counter.clone());
                counter
            });
            known.insert(name.clone(), PerServer { ends, seconds });
        }
        let sessions = Gauge::default();
        registry.register("sessions", "Legacy sessions with live state", sessions.clone());
        Self { registry, servers: known, sessions }
    }

    /// The text that Prometheus reads.
    pub fn text(&self, gateway: &Gateway) -> String {
        self.sessions.set(i64::try_from(gateway.sessions()).unwrap_or(i64::MAX));
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut out, &self.registry);
        out
    }
}

impl Recorder for Metrics {
    fn record(&self, record: &Record) {
        let Some(server) = self.servers.get(&record.server) else { return };
        let end = record.end.as_str();
        if let Some(at) = ENDS.iter().position(|known| *known == end) {
            server.ends[at].inc();
        }
        if !matches!(record.end, End::Cancelled) {
            server.seconds.observe(record.began.elapsed().as_secs_f64());
        }
    }
}

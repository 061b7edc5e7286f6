//! Counters for Prometheus, filled from the records of calls, on a listener of their own.

use arc_swap::ArcSwap;
use portreeve_gateway::{End, Gateway, Record, Recorder};
use portreeve_model::ServerName;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Seconds; from a built-in tool to a person who thinks.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
const ENDS: [&str; 8] =
    ["ok", "tool_error", "error", "input_required", "denied", "refused", "failed", "cancelled"];

/// All metrics of a gate.
pub struct Metrics {
    /// Exchanged as a whole when the servers change.
    known: ArcSwap<Known>,
    always: Always,
}

/// What does not depend on the servers.
#[derive(Default)]
struct Always {
    sessions: Gauge,
    applied: Counter,
    refused: Counter,
}

impl Always {
    fn register(&self, registry: &mut Registry) {
        registry.register("sessions", "Legacy sessions with live state", self.sessions.clone());
        for (outcome, counter) in [("applied", &self.applied), ("refused", &self.refused)] {
            let label = (Cow::Borrowed("outcome"), Cow::Borrowed(outcome));
            let scope = registry.sub_registry_with_label(label);
            scope.register("configuration_reloads", "Changes of the configuration", counter.clone());
        }
    }
}

struct Known {
    registry: Registry,
    servers: HashMap<ServerName, PerServer>,
}

#[derive(Clone)]
struct PerServer {
    ends: [Counter; ENDS.len()],
    seconds: Histogram,
}

impl PerServer {
    fn new() -> Self {
        Self { ends: ENDS.map(|_| Counter::default()), seconds: Histogram::new(BUCKETS) }
    }

    fn register(&self, registry: &mut Registry, name: &ServerName) {
        let label = |key: &'static str, value: &str| (Cow::Borrowed(key), Cow::Owned(value.to_owned()));
        let scope = registry.sub_registry_with_label(label("server", name.as_str()));
        scope.register("request_duration_seconds", "Time from request to answer", self.seconds.clone());
        for (end, counter) in ENDS.iter().zip(&self.ends) {
            let scope = scope.sub_registry_with_label(label("outcome", end));
            scope.register("requests", "Requests by outcome", counter.clone());
        }
    }
}

impl Known {
    /// Everything is there from the start, so that a rate of zero can be seen; counters of known servers go on.
    fn of<'a>(servers: impl Iterator<Item = &'a ServerName>, before: Option<&Self>, always: &Always) -> Self {
        let mut registry = Registry::with_prefix("portreeve");
        let mut known = HashMap::new();
        for name in servers {
            let older = before.and_then(|before| before.servers.get(name).cloned());
            let server = older.unwrap_or_else(PerServer::new);
            server.register(&mut registry, name);
            known.insert(name.clone(), server);
        }
        always.register(&mut registry);
        Self { registry, servers: known }
    }
}

impl Metrics {
    /// Metrics for these servers.
    pub fn new<'a>(servers: impl Iterator<Item = &'a ServerName>) -> Self {
        let always = Always::default();
        Self { known: ArcSwap::from_pointee(Known::of(servers, None, &always)), always }
    }

    /// The configuration was read again; whether it could be used.
    pub fn reloaded(&self, applied: bool) {
        let counter = if applied { &self.always.applied } else { &self.always.refused };
        counter.inc();
    }

    /// Metrics for these servers from now on; those that were there before go on counting.
    pub fn follow<'a>(&self, servers: impl Iterator<Item = &'a ServerName>) {
        let known = Known::of(servers, Some(&self.known.load()), &self.always);
        self.known.store(Arc::new(known));
    }

    /// The text that Prometheus reads.
    pub fn text(&self, gateway: &Gateway) -> String {
        self.always.sessions.set(i64::try_from(gateway.sessions()).unwrap_or(i64::MAX));
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut out, &self.known.load().registry);
        out
    }
}

impl Recorder for Metrics {
    fn record(&self, record: &Record) {
        let known = self.known.load();
        let Some(server) = known.servers.get(&record.server) else { return };
        let end = record.end.as_str();
        if let Some(at) = ENDS.iter().position(|known| *known == end) {
            server.ends[at].inc();
        }
        if !matches!(record.end, End::Cancelled) {
            server.seconds.observe(record.began.elapsed().as_secs_f64());
        }
    }
}

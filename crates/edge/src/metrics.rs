//! Counters for Prometheus, filled from the records of calls, and gauges that are read when somebody asks, on a listener
//! of their own.

use crate::refused::REASONS;
use arc_swap::ArcSwap;
use portreeve_gateway::{End, Gateway, Record, Recorder, Server};
use portreeve_model::ServerName;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Seconds; from a built-in tool to a person who thinks.
const BUCKETS: [f64; 11] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
const ENDS: [&str; 8] =
    ["ok", "tool_error", "error", "input_required", "denied", "refused", "failed", "cancelled"];

type Labels<const N: usize> = [(&'static str, String); N];

/// All metrics of a gate.
pub struct Metrics {
    registry: Registry,
    families: Families,
    /// Those of the servers that there are, without a lock; exchanged as a whole when the servers change.
    known: ArcSwap<HashMap<ServerName, PerServer>>,
}

/// Each name once, whatever servers come and go: the format wants all values of a name together.
struct Families {
    requests: Family<Labels<2>, Counter>,
    seconds: Family<Labels<1>, Histogram, fn() -> Histogram>,
    sessions: Gauge,
    circuits: Family<Labels<1>, Gauge>,
    children: Family<Labels<1>, Gauge>,
    calls: Family<Labels<1>, Gauge>,
    reloads: Family<Labels<1>, Counter>,
    refused: Family<Labels<1>, Counter>,
}

impl Families {
    fn new() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            sessions: Gauge::default(),
            circuits: Family::default(),
            children: Family::default(),
            calls: Family::default(),
            reloads: Family::default(),
            refused: Family::default(),
        }
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("portreeve");
        registry.register("sessions", "Legacy sessions with live state", self.sessions.clone());
        registry.register("request_duration_seconds", "Time from request to answer", self.seconds.clone());
        registry.register("requests", "Requests by outcome", self.requests.clone());
        registry.register("circuit_open", "Whether a server is left alone", self.circuits.clone());
        registry.register("children", "Programs that run for a server", self.children.clone());
        registry.register("calls_in_flight", "Calls that have not ended", self.calls.clone());
        registry.register("refused_callers", "Requests without a valid key", self.refused.clone());
        registry.register("configuration_reloads", "Changes of the configuration", self.reloads.clone());
        registry
    }

    /// Everything is there from the start, so that a rate of zero can be seen.
    fn server(&self, name: &ServerName) -> PerServer {
        PerServer {
            ends: ENDS.map(|end| self.requests.get_or_create(&of_end(name, end)).clone()),
            seconds: self.seconds.get_or_create(&of_server(name)).clone(),
            circuit: self.circuits.get_or_create(&of_server(name)).clone(),
            children: self.children.get_or_create(&of_server(name)).clone(),
            calls: self.calls.get_or_create(&of_server(name)).clone(),
        }
    }

    fn forget(&self, name: &ServerName) {
        for end in ENDS {
            self.requests.remove(&of_end(name, end));
        }
        self.seconds.remove(&of_server(name));
        for gauges in [&self.circuits, &self.children, &self.calls] {
            gauges.remove(&of_server(name));
        }
    }

    fn refused(&self, reason: &str) -> Counter {
        self.refused.get_or_create(&[("reason", reason.to_owned())]).clone()
    }

    fn reloads(&self, outcome: &str) -> Counter {
        self.reloads.get_or_create(&[("outcome", outcome.to_owned())]).clone()
    }
}

fn of_server(name: &ServerName) -> Labels<1> {
    [("server", name.as_str().to_owned())]
}

fn of_end(name: &ServerName, end: &str) -> Labels<2> {
    [("server", name.as_str().to_owned()), ("outcome", end.to_owned())]
}

struct PerServer {
    ends: [Counter; ENDS.len()],
    seconds: Histogram,
    circuit: Gauge,
    children: Gauge,
    calls: Gauge,
}

impl PerServer {
    fn look_at(&self, server: &Server) {
        let standing = server.standing();
        self.circuit.set(i64::from(standing.left_alone));
        self.children.set(whole(standing.children));
        self.calls.set(whole(server.calls_under_way()));
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Metrics {
    /// Metrics for these servers.
    pub fn new<'a>(servers: impl Iterator<Item = &'a ServerName>) -> Self {
        let families = Families::new();
        for outcome in ["applied", "refused"] {
            families.reloads(outcome);
        }
        for reason in REASONS {
            families.refused(reason);
        }
        let metrics = Self { registry: families.register(), families, known: ArcSwap::default() };
        metrics.follow(servers);
        metrics
    }

    /// The configuration was read again; whether it could be used.
    pub fn reloaded(&self, applied: bool) {
        self.families.reloads(if applied { "applied" } else { "refused" }).inc();
    }

    /// A caller was refused for this reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.families.refused(reason).inc();
    }

    /// Metrics for these servers from now on; those that were there before go on counting.
    pub fn follow<'a>(&self, servers: impl Iterator<Item = &'a ServerName>) {
        let known: HashMap<ServerName, PerServer> =
            servers.map(|name| (name.clone(), self.families.server(name))).collect();
        let before = self.known.swap(Arc::new(known));
        let now = self.known.load();
        before.keys().filter(|name| !now.contains_key(*name)).for_each(|name| self.families.forget(name));
    }

    /// The text that Prometheus reads.
    pub fn text(&self, gateway: &Gateway) -> String {
        self.families.sessions.set(whole(gateway.sessions()));
        for (name, known) in self.known.load().iter() {
            if let Some(server) = gateway.server(name.as_str()) {
                known.look_at(&server);
            }
        }
        self.encoded()
    }

    fn encoded(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut out, &self.registry);
        out
    }

    fn count(&self, server: &ServerName, end: End, took: Duration) {
        let known = self.known.load();
        let Some(server) = known.get(server) else { return };
        if let Some(at) = ENDS.iter().position(|known| *known == end.as_str()) {
            server.ends[at].inc();
        }
        if !matches!(end, End::Cancelled) {
            server.seconds.observe(took.as_secs_f64());
        }
    }
}

impl Recorder for Metrics {
    fn record(&self, record: &Record) {
        self.count(&record.server, record.end, record.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<ServerName> {
        names.iter().map(|name| ServerName::new(name).unwrap()).collect()
    }

    #[test]
    fn each_name_is_described_once_with_all_its_values() {
        let servers = named(&["files", "tickets"]);
        let metrics = Metrics::new(servers.iter());
        metrics.count(&servers[1], End::Failed(-31001), Duration::from_millis(2));
        let text = metrics.encoded();
        let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(types.len(), 8, "{text}");
        let failed = |server: &str, count: u8| {
            format!("portreeve_requests_total{{server=\"{server}\",outcome=\"failed\"}} {count}\n")
        };
        assert!(text.contains(&failed("tickets", 1)) && text.contains(&failed("files", 0)), "{text}");
        let seconds = "portreeve_request_duration_seconds_count{server=\"tickets\"} 1\n";
        assert!(text.contains(seconds), "{text}");
        assert!(text.contains("portreeve_configuration_reloads_total{outcome=\"refused\"} 0\n"), "{text}");
    }

    #[test]
    fn a_server_that_stays_goes_on_counting_and_one_that_goes_is_gone() {
        let servers = named(&["files", "tickets"]);
        let metrics = Metrics::new(servers.iter());
        servers.iter().for_each(|server| metrics.count(server, End::Ok, Duration::ZERO));
        metrics.follow(servers[..1].iter());
        servers.iter().for_each(|server| metrics.count(server, End::Ok, Duration::ZERO));
        metrics.reloaded(true);
        let text = metrics.encoded();
        assert!(text.contains("portreeve_requests_total{server=\"files\",outcome=\"ok\"} 2\n"), "{text}");
        assert!(!text.contains("tickets"), "{text}");
        assert!(text.contains("portreeve_configuration_reloads_total{outcome=\"applied\"} 1\n"), "{text}");
    }
}

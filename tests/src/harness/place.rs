//! The demo server in every place that a server can have behind a gate, so that a test can show the same behaviour
//! whatever era and transport the other side has.

use super::{Gate, GateBuilder, Running, demo_http, demo_sse, demo_stdio};
use serde_json::{Value, json};

/// Where the demo stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    BuiltIn,
    StdioLegacy,
    StdioModern,
    HttpLegacy,
    HttpModern,
    SseLegacy,
}

impl Place {
    pub(crate) const ALL: [Self; 6] = [
        Self::BuiltIn,
        Self::StdioLegacy,
        Self::StdioModern,
        Self::HttpLegacy,
        Self::HttpModern,
        Self::SseLegacy,
    ];
    /// Those with a process of their own.
    pub(crate) const OUTSIDE: [Self; 5] =
        [Self::StdioLegacy, Self::StdioModern, Self::HttpLegacy, Self::HttpModern, Self::SseLegacy];
    pub(crate) const LEGACY: [Self; 3] = [Self::StdioLegacy, Self::HttpLegacy, Self::SseLegacy];

    fn name(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::StdioLegacy => "stdio-legacy",
            Self::StdioModern => "stdio-modern",
            Self::HttpLegacy => "http-legacy",
            Self::HttpModern => "http-modern",
            Self::SseLegacy => "sse-legacy",
        }
    }

    /// The endpoint of the server in this place.
    pub(crate) fn path(self) -> String {
        format!("/mcp/{}", self.name())
    }

    fn era(self) -> &'static str {
        if Self::LEGACY.contains(&self) { "legacy" } else { "modern" }
    }
}

/// A gate with the demo in several places.
pub(crate) struct Places {
    pub(crate) gate: Gate,
    _servers: Vec<Running>,
}

impl Places {
    /// A gate with the demo in these places, and nothing else configured.
    pub(crate) async fn start(places: &[Place]) -> Self {
        Self::with(Gate::of(), places, &json!({})).await
    }

    /// The same with further keys for the gate and for each server.
    pub(crate) async fn with(mut gate: GateBuilder, places: &[Place], keys: &Value) -> Self {
        let mut servers = Vec::new();
        for place in places {
            let mut config = match place {
                Place::BuiltIn => json!({"builtin": "demo"}),
                Place::StdioLegacy | Place::StdioModern => demo_stdio(place.era()),
                Place::HttpLegacy | Place::HttpModern => {
                    let (running, url) = demo_http(place.era()).await;
                    servers.push(running);
                    json!({"url": url})
                }
                Place::SseLegacy => {
                    let (running, url) = demo_sse().await;
                    servers.push(running);
                    json!({"url": url})
                }
            };
            for (key, value) in keys.as_object().into_iter().flatten() {
                config[key] = value.clone();
            }
            gate = gate.server(place.name(), config);
        }
        Self { gate: gate.start().await, _servers: servers }
    }
}

//! What a connector is told when it is made: where its server is, which era it speaks, how long things may take.
//! Values arrive checked and with their secrets resolved; reading the configuration file is the program's business.

use crate::http::{proxy::Proxy, tls::Authorities};
use portreeve_model::{Deadlines, Limits, Secret, ServerName};
use portreeve_process::{Spec, Supervisor};
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Which era a server is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EraChoice {
    /// Found out by asking, once (spec: basic/versioning).
    #[default]
    Auto,
    /// `initialize`, without asking.
    Legacy,
    /// Modern requests, without falling back.
    Modern,
}

/// How a server behind a URL carries its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Found out with the era.
    #[default]
    Auto,
    /// Streamable HTTP (spec 2025-03-26 and later).
    StreamableHttp,
    /// HTTP+SSE, whose servers are legacy ones (spec 2024-11-05).
    Sse,
}

/// Whether a legacy server can be left in the middle of a call and come back to. Event ids alone do not show it: a server
/// without a store writes them as well, and then the answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replay {
    /// Nobody said so.
    #[default]
    Unknown,
    /// It replays the events of a call after `Last-Event-ID`.
    Kept,
}

/// What every connector shares with the program that runs it.
#[derive(Clone)]
pub struct Runtime {
    /// Owns every task that a connector starts.
    pub tracker: TaskTracker,
    /// Ends them.
    pub shutdown: CancellationToken,
    /// Starts child programs.
    pub supervisor: Supervisor,
    /// Sizes that an upstream may not exceed.
    pub limits: Limits,
}

/// A server behind a URL.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Its configured name.
    pub name: ServerName,
    /// `http://` or `https://`, with path and query.
    pub url: String,
    /// Which era.
    pub era: EraChoice,
    /// Which transport.
    pub transport: Transport,
    /// Whether it keeps what it said.
    pub replay: Replay,
    /// Further headers of every request, as configured.
    pub headers: Vec<(String, Secret<String>)>,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How long an unused legacy session is kept.
    pub idle: Duration,
    /// Certificate authorities that its certificate may come from, beyond the usual ones.
    pub authorities: Option<Authorities>,
    /// The proxy on the way to it.
    pub proxy: Option<Proxy>,
}

/// A server that is started as a child program.
#[derive(Debug, Clone)]
pub struct StdioConfig {
    /// Its configured name.
    pub name: ServerName,
    /// The program.
    pub spec: Spec,
    /// Which era.
    pub era: EraChoice,
    /// How many children may run at once.
    pub max_children: usize,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// How long an unused child is kept.
    pub idle: Duration,
}

/// A connector cannot be made from what was configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not a URL that a connector can use.
    #[error("`{url}` is not a usable URL: {why}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A header's name or value cannot be sent, or belongs to the connector.
    #[error("header `{0}` cannot be sent: its name or value is not allowed here")]
    Header(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

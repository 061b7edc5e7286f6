//! The configuration as types: what the rest of the program is built from. Everything here has been checked.
//! It holds what a file says and its defaults, no live objects; `docs/configuration.md` explains each key to people.

use http::{HeaderName, HeaderValue, Uri};
use portreeve_model::{Deadlines, KeyName, Limits, Secret, ServerName, UpstreamCredential};
use portreeve_upstream::{Authorities, Proxy};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the gate listens (`listen`).
    pub listen: SocketAddr,
    /// What clients see instead of the listening address (`public_url`), without a slash at its end.
    pub public_url: Option<String>,
    /// Where metrics are served, if anywhere (`metrics`).
    pub metrics: Option<Metrics>,
    /// The servers in the order of the file (`servers`); the demo when the file has no such key.
    pub servers: Vec<Server>,
    /// How the MCP doors behave (`mcp`).
    pub mcp: Mcp,
    /// Static API keys (`keys`).
    pub keys: Vec<ApiKey>,
    /// What is accepted from clients (`limits`).
    pub limits: Limits,
    /// Keys that seal what clients carry, newest first (`seal.keys`); none = a file in the data directory (D50).
    pub seal_keys: Vec<Secret<String>>,
    /// This process as one of several (`replicas`); none = the only one.
    pub replicas: Option<Replicas>,
    /// What is logged and how (`log`).
    pub log: Log,
    /// Where traces go (`telemetry`); none = there are none.
    pub telemetry: Option<Telemetry>,
    /// The certificate of the gate (`tls`); none = plain HTTP.
    pub tls: Option<Tls>,
    /// Further values of `Host` that are answered (`allowed_hosts`), each `name` or `name:port` in lower case. The
    /// names of a loopback gate, the listening address and the host of `public_url` need no mention (mcp.md 5.4).
    pub allowed_hosts: Vec<String>,
    /// Web origins that may call from a browser (`allowed_origins`), such as `https://chat.example.com`. Loopback
    /// origins need no mention while the gate is bound to loopback (D52).
    pub allowed_origins: Vec<String>,
}

/// `tls`: what its files say; the two belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The chain, in PEM (`tls.certificate`).
    pub certificate: String,
    /// Its key, in PEM (`tls.key`).
    pub key: Secret<String>,
}

/// `telemetry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// The collector (`telemetry.otlp`), as written.
    pub otlp: Uri,
    /// How many of a hundred calls are traced that no caller has decided about (`telemetry.sample`).
    pub sample: u8,
    /// Headers of every delivery (`telemetry.headers`).
    pub headers: Vec<(String, Secret<String>)>,
    /// The way to the collector.
    pub way: Outbound,
}

/// The way to servers (`outbound`, and `ca` and `proxy` of each).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Certificate authorities beyond the usual ones.
    pub authorities: Option<Authorities>,
    /// The proxy on the way.
    pub proxy: Option<Proxy>,
}

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Where Prometheus finds them (`metrics.listen`).
    pub listen: SocketAddr,
}

/// `replicas`: how the processes of one gate find and reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    /// Where the other replicas reach this one (`replicas.listen`); nobody else has business there.
    pub listen: SocketAddr,
    /// The same as they see it (`replicas.advertise`), without a slash at its end; none = `http://<listen>`.
    pub advertise: Option<String>,
    /// A Redis or Valkey server (`replicas.coordinator`); the address may hold a password.
    pub coordinator: Option<Secret<String>>,
}

/// One entry of `servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The name: `/mcp/<name>`.
    pub name: ServerName,
    /// How it is reached.
    pub kind: ServerKind,
    /// Which era it speaks, if that is not to be found out (`era`).
    pub era: Era,
    /// Who shares an upstream session (`isolation`, D11); the default depends on whether there are keys.
    pub isolation: Isolation,
    /// Deadlines of this server (`timeouts`, D17).
    pub deadlines: Deadlines,
    /// Which tools exist through the gate (`tools`).
    pub tools: ToolFilter,
    /// The most child processes at the same time (`max_children`, D11).
    pub max_children: usize,
    /// What the server may ask of the client (`offer`, D5).
    pub offer: Offer,
    /// Roots to answer with where the client has none (`roots`, D1).
    pub roots: Vec<Root>,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerKind {
    /// A child process that speaks over its stdin and stdout.
    Child(Child),
    /// A server behind a URL.
    Remote(Remote),
    /// A server inside this program.
    Builtin(Builtin),
}

/// `command`, `args`, `env`, `cwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The program: a path, or a name to be found in `PATH`.
    pub command: String,
    /// Its arguments, passed as they are; no shell is involved.
    pub args: Vec<String>,
    /// What its environment has beyond the little that every child gets; values may be secrets.
    pub env: Vec<(String, Secret<String>)>,
    /// Its working directory; a relative one in the file has been made relative to the file's directory.
    pub cwd: Option<PathBuf>,
}

/// `url`, `transport`, `headers`, `credential`, `replay`, `ca`, `proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address; `http` or `https`, with a host, without user information or fragment.
    pub url: Uri,
    /// The transport, if it is not to be found out.
    pub transport: Transport,
    /// Headers that go with each request; values that came from references are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the upstream is shown as credential.
    pub credential: Option<UpstreamCredential>,
    /// Whether it keeps the events of its calls (`replay`).
    pub replay: Replay,
    /// The way to it: its own, or that of all.
    pub way: Outbound,
}

/// The servers inside this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Everything that MCP can do, to try clients with.
    Demo,
}

/// Whether a remote server keeps the events of its calls for whoever comes back with the id of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Nobody said so.
    Unknown,
    /// It does.
    Kept,
}

/// The transport of a remote server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Found out by probing.
    Auto,
    /// Streamable HTTP.
    StreamableHttp,
    /// HTTP+SSE of revision 2024-11-05.
    Sse,
}

/// Which era a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Found out by probing.
    Auto,
    /// The initialize handshake, up to 2025-11-25.
    Legacy,
    /// Stateless, from 2026-07-28.
    Modern,
}

/// Which calls may share one upstream session (D11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All of them.
    Shared,
    /// Those of one principal.
    Principal,
    /// Those of one client session.
    Session,
}

/// `tools`: patterns of tool names, `*` and `?`; a name passes when `allow` matches and `deny` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFilter {
    /// What exists.
    pub allow: Vec<String>,
    /// What does not, whatever `allow` says.
    pub deny: Vec<String>,
}

/// What a server may ask of the client, if the client can answer (D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Questions to the person.
    pub elicitation: bool,
    /// The client's model.
    pub sampling: bool,
    /// The client's folders.
    pub roots: bool,
}

/// A root that configuration answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// A `file://` URI.
    pub uri: String,
    /// What a person calls it.
    pub name: Option<String>,
}

/// `mcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mcp {
    /// The server whose own address `/mcp` is (D9); none = `/mcp` is the aggregate.
    pub root: Option<ServerName>,
    /// The longest exposed tool name (D9).
    pub name_length: usize,
    /// The silence after which an answer becomes a stream (D7).
    pub sse_after: Duration,
    /// How many items a page of a list has (`mcp.page_size`).
    pub page_size: usize,
}

/// One entry of `keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Who the key is in records.
    pub name: KeyName,
    /// The bearer token; visible ASCII.
    pub secret: Secret<String>,
    /// What it may do; nothing when empty.
    pub allow: Vec<Grant>,
}

/// One entry of a key's `allow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// A server name or a pattern of them that matches at least one.
    pub server: String,
    /// Patterns of the server's own tool names.
    pub tools: Vec<String>,
}

/// `log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important lines that are kept.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text where stderr is a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How important a log line must be; more is kept from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// What failed.
    Error,
    /// What looks wrong.
    Warn,
    /// What happened.
    Info,
    /// What was decided on the way.
    Debug,
    /// Everything.
    Trace,
}

/// The default address of the gate: loopback, and a port that no common service has.
pub(super) const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8484);

/// Children of one server at the same time (D11).
pub(super) const MAX_CHILDREN: usize = 8;

/// Calls a minute of one authenticated principal (D36).
pub(super) const CALLS_PER_MINUTE: u32 = 100;

impl Config {
    /// The server of this name.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name.as_str() == name)
    }

    /// What clients are told, given the address that was bound (the port may have been 0).
    pub fn client_url(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{bound}"))
    }

    /// The demo on loopback: what runs when there is no file.
    pub fn demo() -> Self {
        Self {
            listen: LISTEN,
            public_url: None,
            metrics: None,
            servers: Server::demo().into_iter().collect(),
            mcp: Mcp::default(),
            keys: Vec::new(),
            limits: Limits { calls_per_minute: Some(CALLS_PER_MINUTE), ..Limits::default() },
            seal_keys: Vec::new(),
            replicas: None,
            log: Log::default(),
            telemetry: None,
            tls: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
        }
    }
}

impl Server {
    /// A server with all defaults of a gate without keys.
    pub fn new(name: ServerName, kind: ServerKind) -> Self {
        Self {
            name,
            kind,
            era: Era::Auto,
            isolation: Isolation::Shared,
            deadlines: Deadlines::default(),
            tools: ToolFilter::default(),
            max_children: MAX_CHILDREN,
            offer: Offer::default(),
            roots: Vec::new(),
        }
    }

    /// The built-in demo under its usual name.
    pub(super) fn demo() -> Option<Self> {
        Some(Self::new(ServerName::new("demo").ok()?, ServerKind::Builtin(Builtin::Demo)))
    }
}

impl Default for Mcp {
    fn default() -> Self {
        Self { root: None, name_length: 64, sse_after: Duration::from_secs(5), page_size: 1000 }
    }
}

impl Default for ToolFilter {
    fn default() -> Self {
        Self { allow: vec!["*".to_owned()], deny: Vec::new() }
    }
}

impl Default for Offer {
    fn default() -> Self {
        Self { elicitation: true, sampling: true, roots: true }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: LogLevel::Info }
    }
}

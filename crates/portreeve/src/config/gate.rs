//! The top level of the file: the gate's own addresses, `mcp`, `limits`, `seal`, `log`, and the checks that need
//! several sections at once. Servers and keys have files of their own.

use super::{
    keys,
    reader::{At, Bounds, Reader, Table},
    replicas, secure, servers,
    table::{LIMITS, LOG, MCP, METRICS, SEAL, TOP},
    telemetry,
    types::{Config, Isolation, Log, LogFormat, LogLevel, Mcp, Metrics, Server},
};
use http::Uri;
use portreeve_model::{Limits, Secret};
use std::{net::SocketAddr, time::Duration};

/// The shortest seal key, in bytes; the same rule as in `portreeve_seal`, said here with its place in the file.
const SEAL_KEY_LENGTH: usize = 32;

const NAME_LENGTH: Bounds<u64> = Bounds {
    least: 24,
    most: 128,
    why: "a cut name keeps an 8-character digest and enough to be recognised; MCP allows 128 characters",
};
const PAGE_SIZE: Bounds<u64> =
    Bounds { least: 1, most: 100_000, why: "a page has at least one item, and is one message" };
const SSE_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_millis(100),
    most: Duration::from_secs(60),
    why: "a stream must begin before proxies give up on a silent answer, and not at every call",
};
const REPLAY_WAIT: Bounds<Duration> = Bounds {
    least: Duration::from_millis(100),
    most: Duration::from_secs(60 * 60),
    why: "clients take a moment to reconnect, and the server waits with its question meanwhile",
};

/// Reads the whole file. What could not be read has its default, and a problem.
pub(super) fn read(reader: &mut Reader<'_>, root: &At<'_>) -> Config {
    let mut config = Config::demo();
    if matches!(root.node.data, portreeve_yaml::Data::Empty) {
        reader.warn(root, "the file is empty: the demo server runs on loopback", None);
        return config;
    }
    let Some(top) = reader.table(root, &TOP) else { return config };
    addresses(reader, &top, &mut config);
    // Without keys all callers are one local principal; with keys they are told apart (D11).
    let isolation = if top.get("keys").is_some() { Isolation::Principal } else { Isolation::Shared };
    let outbound = top.get("outbound").map(|at| secure::outbound(reader, &at)).unwrap_or_default();
    match top.get("servers") {
        Some(at) => config.servers = servers::read(reader, &at, isolation, &outbound),
        None => {
            reader.warn(root, "no `servers`: the demo server is the only one", None);
            config.servers.iter_mut().for_each(|server| server.isolation = isolation);
        }
    }
    if let Some(at) = top.get("keys") {
        config.keys = keys::read(reader, &at, &config.servers);
    }
    if let Some(at) = top.get("mcp") {
        config.mcp = mcp(reader, &at, &config.servers);
    }
    config.telemetry = top.get("telemetry").and_then(|at| telemetry::read(reader, &at, &outbound));
    config.tls = top.get("tls").and_then(|at| secure::tls(reader, &at));
    if let Some(at) = top.get("limits") {
        config.limits = limits(reader, &at, config.limits);
    }
    if let Some(at) = top.get("seal") {
        config.seal_keys = seal(reader, &at);
    }
    if let Some(at) = top.get("log") {
        config.log = log(reader, &at);
    }
    if let Some(at) = top.get("replicas") {
        config.replicas = replicas::read(reader, &at, top.get("seal").is_some());
    }
    exposure(reader, &top, &config);
    config
}

fn addresses(reader: &mut Reader<'_>, top: &Table<'_>, config: &mut Config) {
    if let Some(address) = top.get("listen").and_then(|at| address(reader, &at)) {
        config.listen = address;
    }
    config.public_url = top.get("public_url").and_then(|at| public_url(reader, &at));
    config.metrics = top.get("metrics").and_then(|at| {
        let table = reader.table(&at, &METRICS)?;
        let Some(listen) = table.get("listen") else {
            reader.problem(
                &at,
                "`listen` is missing",
                Some("write `metrics: {listen: 127.0.0.1:8485}`".to_owned()),
            );
            return None;
        };
        let address = address(reader, &listen)?;
        if address == config.listen && address.port() != 0 {
            let mend = "give the metrics a port of their own, such as 8485".to_owned();
            reader.problem(&listen, "this is the address of the gate itself", Some(mend));
        }
        Some(Metrics { listen: address })
    });
    config.allowed_hosts = each(reader, top, "allowed_hosts", host);
    config.allowed_origins = each(reader, top, "allowed_origins", origin);
}

fn each(
    reader: &mut Reader<'_>,
    top: &Table<'_>,
    key: &str,
    read: fn(&mut Reader<'_>, &At<'_>) -> Option<String>,
) -> Vec<String> {
    let items = top.get(key).and_then(|at| reader.list(&at)).unwrap_or_default();
    items.iter().filter_map(|item| read(reader, item)).collect()
}

/// `ADDRESS:PORT`; a name would be looked up and might come out anywhere.
pub(super) fn address(reader: &mut Reader<'_>, at: &At<'_>) -> Option<SocketAddr> {
    let text = reader.text(at)?;
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    match numeric.as_deref().unwrap_or(&text).parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let mend = "write it like 127.0.0.1:8484, [::1]:8484 or 0.0.0.0:8484".to_owned();
            reader.problem(
                at,
                format!("{} is not ADDRESS:PORT with a numeric address", at.shown()),
                Some(mend),
            );
            None
        }
    }
}

fn public_url(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?;
    let uri = http_url(reader, at, &text, &PUBLIC)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        let mend = "give the scheme and host only: the gate answers at the root of a host".to_owned();
        reader.problem(at, format!("{} has a path or a query", at.shown()), Some(mend));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// What a URL is for, as far as errors need it.
pub(super) struct UrlUse {
    pub(super) example: &'static str,
    pub(super) login: &'static str,
}

const PUBLIC: UrlUse =
    UrlUse { example: "write it like https://gate.example.com", login: "remove what stands before the `@`" };

/// An `http` or `https` URL with a host and nothing that does not belong into one.
pub(super) fn http_url(reader: &mut Reader<'_>, at: &At<'_>, text: &str, usage: &UrlUse) -> Option<Uri> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (what, mend) = if authority.contains('@') {
        // The text itself is not shown: what stands before the `@` is a password more often than not.
        ("a URL must not carry a user name or password".to_owned(), usage.login)
    } else if !matches!(scheme, "http" | "https") {
        (format!("{} does not start with http:// or https://", at.shown()), usage.example)
    } else if text.contains('#') {
        (format!("{} has a fragment", at.shown()), "remove the part from `#` on: it is never sent")
    } else {
        match text.parse::<Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) && port_is_valid(&uri) => {
                return Some(uri);
            }
            _ => (format!("{} is not a URL", at.shown()), usage.example),
        }
    };
    reader.problem(at, what, Some(mend.to_owned()));
    None
}

/// `http` keeps whatever follows the colon as the port's text.
fn port_is_valid(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    after_host.is_empty() || authority.port_u16().is_some_and(|port| port != 0)
}

/// A value of `Host`: a name or address, perhaps with a port.
fn host(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?.to_ascii_lowercase();
    let usable = text.parse::<http::uri::Authority>().is_ok_and(|authority| {
        !authority.as_str().contains('@') && !authority.host().is_empty() && !authority.as_str().contains('*')
    });
    if usable && !text.contains('/') {
        return Some(text);
    }
    let mend = match text.contains('*') {
        true => "name each host: a pattern would let any site rebind its name to the gate",
        false => "write only what clients put into `Host`, such as gate.example.com or gate.example.com:8443",
    };
    reader.problem(at, format!("{} is not a host", at.shown()), Some(mend.to_owned()));
    None
}

/// A web origin: scheme, host and port, exactly as browsers send it.
fn origin(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?;
    if text == "*" || text == "null" {
        let mend =
            "name each origin: this would let any web page call the gate from a visitor's browser".to_owned();
        reader.problem(at, format!("{} is not an origin", at.shown()), Some(mend));
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let parsed = lower.parse::<Uri>().ok();
    let usable = parsed.is_some_and(|uri| uri.scheme().is_some() && uri.host().is_some())
        && lower.split_once("://").is_some_and(|(_, rest)| !rest.contains(['/', '?', '#', '@', '*']));
    if usable {
        return Some(lower);
    }
    let mend =
        "write scheme and host as browsers send them, without a slash at the end: https://chat.example.com"
            .to_owned();
    reader.problem(at, format!("{} is not an origin", at.shown()), Some(mend));
    None
}

fn mcp(reader: &mut Reader<'_>, at: &At<'_>, servers: &[Server]) -> Mcp {
    let mut mcp = Mcp::default();
    let Some(table) = reader.table(at, &MCP) else { return mcp };
    if let Some(root) = table.get("root").filter(|at| !matches!(at.node.data, portreeve_yaml::Data::Empty)) {
        mcp.root = reader.text(&root).and_then(|name| {
            let found = servers.iter().find(|server| server.name.as_str() == name);
            if found.is_none() {
                keys::unknown_server(reader, &root, &name, servers);
            }
            found.map(|server| server.name.clone())
        });
    }
    if let Some(length) = table.get("name_length").and_then(|at| reader.number(&at, &NAME_LENGTH)) {
        mcp.name_length = usize::try_from(length).unwrap_or(mcp.name_length);
    }
    if let Some(after) = table.get("sse_after").and_then(|at| reader.duration(&at, &SSE_AFTER)) {
        mcp.sse_after = after;
    }
    if let Some(size) = table.get("page_size").and_then(|at| reader.number(&at, &PAGE_SIZE)) {
        mcp.page_size = usize::try_from(size).unwrap_or(mcp.page_size);
    }
    mcp
}

/// What is kept for clients whose connections break.
fn replay(reader: &mut Reader<'_>, table: &Table<'_>, limits: &mut Limits) {
    let why = "kept in memory for clients that may never come back";
    for (key, field, bounds) in [
        ("replay_bytes", &mut limits.replay_bytes, bounds(16 << 10, 64 << 20, why)),
        ("replay_total", &mut limits.replay_total, bounds(1 << 20, 64 << 30, why)),
    ] {
        if let Some(value) = table.get(key).and_then(|at| reader.size(&at, &bounds)) {
            *field = value;
        }
    }
    let events = table.get("replay_events").and_then(|at| reader.number(&at, &bounds(16, 100_000, why)));
    if let Some(events) = events {
        limits.replay_events = usize::try_from(events).unwrap_or(limits.replay_events);
    }
    if let Some(wait) = table.get("replay_wait").and_then(|at| reader.duration(&at, &REPLAY_WAIT)) {
        limits.replay_wait = wait;
    }
}

const fn bounds(least: u64, most: u64, why: &'static str) -> Bounds<u64> {
    Bounds { least, most, why }
}

fn limits(reader: &mut Reader<'_>, at: &At<'_>, mut limits: Limits) -> Limits {
    let Some(table) = reader.table(at, &LIMITS) else { return limits };
    let memory = "a message is held in memory while it is checked";
    for (key, field, bounds) in [
        ("body", &mut limits.body, bounds(1 << 10, 256 << 20, memory)),
        (
            "headers",
            &mut limits.headers,
            bounds(4 << 10, 1 << 20, "tokens need a few KiB; larger blocks come from loops"),
        ),
        ("upstream_message", &mut limits.upstream_message, bounds(64 << 10, 1 << 30, memory)),
    ] {
        if let Some(value) = table.get(key).and_then(|at| reader.size(&at, &bounds)) {
            *field = value;
        }
    }
    let sessions = "each holds memory, and perhaps an upstream session";
    for (key, field, bounds) in [
        (
            "depth",
            &mut limits.depth,
            bounds(8, 512, "an MCP envelope alone nests about 6 deep; parsers behind the gate may recurse"),
        ),
        ("parked_per_principal", &mut limits.parked_per_principal, bounds(1, 10_000, sessions)),
        ("parked_total", &mut limits.parked_total, bounds(1, 1_000_000, sessions)),
        ("sessions_per_principal", &mut limits.sessions_per_principal, bounds(1, 1_000_000, sessions)),
    ] {
        if let Some(value) = table.get(key).and_then(|at| reader.number(&at, &bounds)) {
            *field = usize::try_from(value).unwrap_or(*field);
        }
    }
    if let Some(value) = table
        .get("rounds")
        .and_then(|at| reader.number(&at, &bounds(1, 100, "a call that keeps asking is a loop")))
    {
        limits.rounds = u32::try_from(value).unwrap_or(limits.rounds);
    }
    if let Some(at) = table.get("calls_per_minute") {
        limits.calls_per_minute = calls_per_minute(reader, &at).unwrap_or(limits.calls_per_minute);
    }
    replay(reader, &table, &mut limits);
    limits
}

/// A number, or `unlimited`.
fn calls_per_minute(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Option<u32>> {
    if matches!(&at.node.data, portreeve_yaml::Data::Scalar(scalar) if scalar.text == "unlimited") {
        return Some(None);
    }
    let why = "or `unlimited`";
    let value = reader.number(at, &bounds(1, 1_000_000, why))?;
    u32::try_from(value).ok().map(Some)
}

fn seal(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<Secret<String>> {
    let Some(table) = reader.table(at, &SEAL) else { return Vec::new() };
    let Some(items) = table.get("keys").and_then(|at| reader.list(&at)) else { return Vec::new() };
    let mut keys: Vec<Secret<String>> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(key) = reader.secret(item) else { continue };
        if key.expose().trim().len() < SEAL_KEY_LENGTH {
            let what = format!("a seal key needs at least {SEAL_KEY_LENGTH} characters");
            reader.problem(item, what, Some("make one with `openssl rand -hex 32`".to_owned()));
        } else if keys.iter().any(|earlier| earlier.expose() == key.expose()) {
            reader.problem(
                item,
                "this key is the same as an earlier one",
                Some("each key stands once, the newest first".to_owned()),
            );
        } else {
            keys.push(key);
        }
    }
    keys
}

fn log(reader: &mut Reader<'_>, at: &At<'_>) -> Log {
    let mut log = Log::default();
    let Some(table) = reader.table(at, &LOG) else { return log };
    let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
    let levels = [
        ("off", LogLevel::Off),
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    if let Some(format) = table.get("format").and_then(|at| reader.choice(&at, &formats)) {
        log.format = format;
    }
    if let Some(level) = table.get("level").and_then(|at| reader.choice(&at, &levels)) {
        log.level = level;
    }
    log
}

/// Why an address may not be used without keys, and what to do; nothing when it may.
/// Without keys whoever reaches the port is let in, so the port must not leave the machine.
pub fn check_exposure(listen: SocketAddr, config: &Config) -> Option<(String, String)> {
    if listen.ip().to_canonical().is_loopback() || !config.keys.is_empty() {
        return None;
    }
    Some((
        format!("`{listen}` can be reached from other machines, and there are no `keys`: anybody could call every server"),
        "add a key (`keys: [{name: me, secret: \"${env:PORTREEVE_KEY}\", allow: [{server: \"*\"}]}]`), or listen on 127.0.0.1"
            .to_owned(),
    ))
}

fn exposure(reader: &mut Reader<'_>, top: &Table<'_>, config: &Config) {
    let Some(at) = top.get("listen") else { return };
    // A key that is there but wrong is already a problem; saying that there is none would mislead.
    if top
        .get("keys")
        .is_none_or(|keys| matches!(&keys.node.data, portreeve_yaml::Data::List(items) if items.is_empty()))
        && let Some((what, mend)) = check_exposure(config.listen, config)
    {
        reader.problem(&at, what, Some(mend));
    }
    let local = config.listen.ip().to_canonical().is_loopback();
    if !local && top.get("public_url").is_none() && config.allowed_hosts.is_empty() {
        let mend =
            format!("set `public_url`; clients are told {} otherwise", config.client_url(config.listen));
        reader.warn(&at, "the gate leaves this machine and has no `public_url`", Some(mend));
    }
}

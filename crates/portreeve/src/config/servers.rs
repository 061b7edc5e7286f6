//! `servers`: how each one is reached, what it may do, and how long it may take.

use super::{
    gate::{UrlUse, http_url},
    keys::patterns,
    reader::{At, Bounds, Reader, Table, is_reference, said},
    reference::absolute,
    secure,
    table::{CREDENTIAL, OFFER, OPTIONS, ROOT, SERVER, TIMEOUTS, TOOLS},
    types::{
        Builtin, Child, Era, Isolation, MAX_CHILDREN, Offer, Outbound, Remote, Replay, Root, Server,
        ServerKind, ToolFilter, Transport,
    },
};
use http::{HeaderName, HeaderValue};
use portreeve_model::{Deadlines, Secret, ServerName, UpstreamCredential};
use portreeve_yaml::Data;
use std::{path::PathBuf, time::Duration};

const CHILDREN: Bounds<u64> = Bounds { least: 1, most: 1024, why: "each is a process on this machine" };
const CONNECT: Bounds<Duration> = Bounds {
    least: Duration::from_millis(10),
    most: Duration::from_secs(300),
    why: "the time for a connection, or for a child to start",
};
const CALL: Bounds<Duration> = Bounds {
    least: Duration::from_millis(10),
    most: Duration::from_secs(24 * 3600),
    why: "a call must end some day",
};
const ASK: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    most: Duration::from_secs(24 * 3600),
    why: "the time for a person to answer; the call holds its upstream session meanwhile",
};

const UPSTREAM: UrlUse = UrlUse {
    example: "write it like https://host.example.com/mcp; a program is given as `command` instead",
    login: "write `credential: {bearer: …}`",
};

/// What each side of the gate writes itself (mcp.md 2.2 and 5.4), or what belongs to one connection (RFC 9110, 7.6.1).
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads all servers, in the order of the file.
pub(super) fn read(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    isolation: Isolation,
    outbound: &Outbound,
) -> Vec<Server> {
    let Some(table) = reader.free_table(at) else { return Vec::new() };
    let mut servers = Vec::new();
    let mut entries = 0;
    for (name, mark, value) in table.iter() {
        entries += 1;
        match ServerName::new(name) {
            Ok(name) => {
                let mut server = Server::new(name, ServerKind::Builtin(Builtin::Demo));
                server.isolation = isolation;
                fill(reader, &value, &mut server, outbound);
                servers.push(server);
            }
            Err(error) => reader.problem_at(mark, &value.path, said(&error), None),
        }
    }
    if entries == 0 {
        let mend = "name one, or remove the key to have the demo server".to_owned();
        reader.warn(at, "there is no server", Some(mend));
    }
    servers
}

/// One server. It is kept even where it is wrong, so that keys which name it are not blamed as well.
fn fill(reader: &mut Reader<'_>, at: &At<'_>, server: &mut Server, outbound: &Outbound) {
    let Some(table) = reader.table(at, &SERVER) else { return };
    if let Some(kind) = kind(reader, at, &table, outbound) {
        server.kind = kind;
    }
    common(reader, &table, server);
    transport_fits_era(reader, &table, server);
}

/// HTTP+SSE ended before the modern era began.
fn transport_fits_era(reader: &mut Reader<'_>, table: &Table<'_>, server: &Server) {
    let ServerKind::Remote(remote) = &server.kind else { return };
    if remote.transport == Transport::Sse
        && server.era == Era::Modern
        && let Some(at) = table.get("era")
    {
        let mend = "remove `era`, or write `transport: streamable-http`".to_owned();
        reader.problem(&at, "`transport: sse` has no modern era", Some(mend));
    }
}

/// Which of the three kinds, and only the keys of that kind.
fn kind(reader: &mut Reader<'_>, at: &At<'_>, table: &Table<'_>, outbound: &Outbound) -> Option<ServerKind> {
    const KINDS: [(&str, &[&str]); 3] = [
        ("command", &["args", "env", "cwd", "max_children"]),
        ("url", &["transport", "headers", "credential", "replay", "ca", "proxy"]),
        ("builtin", &["options"]),
    ];
    let given: Vec<&str> = KINDS.iter().map(|(key, _)| *key).filter(|key| table.get(key).is_some()).collect();
    if given.is_empty() && KINDS.iter().any(|(key, _)| table.misspelt(key)) {
        return None;
    }
    let [kind] = given[..] else {
        let what = match given[..] {
            [] => "one of `command`, `url` and `builtin` must say how the server is reached".to_owned(),
            _ => format!("`{}` exclude each other", given.join("` and `")),
        };
        let mend = match given[..] {
            [] => "for a program: `command: npx`; for a server elsewhere: `url: https://…`".to_owned(),
            _ => "keep one, or make two servers of it".to_owned(),
        };
        reader.problem(at, what, Some(mend));
        return None;
    };
    for (owner, keys) in KINDS.iter().filter(|(owner, _)| *owner != kind) {
        for stray in keys.iter().filter_map(|key| table.get(key)) {
            let what = format!("this key belongs to servers with a `{owner}`, and this one has a `{kind}`");
            reader.problem(&stray, what, Some("remove it".to_owned()));
        }
    }
    match kind {
        "command" => child(reader, table).map(ServerKind::Child),
        "url" => remote(reader, table, outbound).map(ServerKind::Remote),
        _ => builtin(reader, table).map(ServerKind::Builtin),
    }
}

fn child(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Child> {
    let args = table.get("args").map(|at| arguments(reader, &at)).unwrap_or_default();
    let env = table.get("env").map(|at| environment(reader, &at)).unwrap_or_default();
    let cwd = table.get("cwd").and_then(|at| directory(reader, &at));
    let at = table.get("command")?;
    let command = reader.text(&at)?;
    if command.contains('\0') {
        reader.problem(&at, "a command cannot contain NUL", None);
        return None;
    }
    if command.contains(' ') && table.get("args").is_none() {
        let mend =
            "no shell is involved: put the program into `command` and each argument into `args`".to_owned();
        reader.warn(&at, format!("{} has a blank in it", at.shown()), Some(mend));
    }
    Some(Child { command, args, env, cwd })
}

fn arguments(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<String> {
    let mut arguments = Vec::new();
    for item in reader.list(at).unwrap_or_default() {
        // An empty argument is legitimate; many programs take one.
        match reader.any_text(&item) {
            Some(text) if text.contains('\0') => {
                reader.problem(&item, "an argument cannot contain NUL", None);
            }
            text => arguments.extend(text),
        }
    }
    arguments
}

fn environment(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<(String, Secret<String>)> {
    let Some(table) = reader.free_table(at) else { return Vec::new() };
    let mut variables = Vec::new();
    for (name, mark, value) in table.iter() {
        if name.is_empty() || name.contains(['=', '\0']) {
            reader.problem_at(
                mark,
                &value.path,
                format!("`{name}` cannot name an environment variable"),
                None,
            );
            continue;
        }
        match reader.any_text(&value) {
            Some(text) if text.contains('\0') => {
                reader.problem(&value, "a variable cannot contain NUL", None);
            }
            text => variables.extend(text.map(|text| (name.to_owned(), Secret::new(text)))),
        }
    }
    variables
}

fn directory(reader: &mut Reader<'_>, at: &At<'_>) -> Option<PathBuf> {
    let text = reader.text(at)?;
    match absolute(&text, reader.base()) {
        Ok(path) => Some(path),
        Err(what) => {
            reader.problem(at, what, None);
            None
        }
    }
}

fn remote(reader: &mut Reader<'_>, table: &Table<'_>, outbound: &Outbound) -> Option<Remote> {
    let transports =
        [("auto", Transport::Auto), ("streamable-http", Transport::StreamableHttp), ("sse", Transport::Sse)];
    let transport =
        table.get("transport").and_then(|at| reader.choice(&at, &transports)).unwrap_or(Transport::Auto);
    let headers = table.get("headers").map(|at| headers(reader, &at)).unwrap_or_default();
    let credential = table.get("credential").and_then(|at| credential(reader, &at));
    let keeps = table.get("replay").and_then(|at| reader.flag(&at)).unwrap_or(false);
    let replay = if keeps { Replay::Kept } else { Replay::Unknown };
    let at = table.get("url")?;
    let text = reader.text(&at)?;
    let url = http_url(reader, &at, &text, &UPSTREAM)?;
    let way = secure::way(reader, table, outbound, &url);
    Some(Remote { url, transport, headers, credential, replay, way })
}

fn headers(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(table) = reader.free_table(at) else { return Vec::new() };
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (key, mark, value) in table.iter() {
        let name = match header_name(key) {
            Ok(name) if headers.iter().any(|(earlier, _)| *earlier == name) => {
                reader.problem_at(
                    mark,
                    &value.path,
                    "this header is already given; case makes no difference",
                    Some("keep one of the two".to_owned()),
                );
                continue;
            }
            Ok(name) => name,
            Err((what, mend)) => {
                reader.problem_at(mark, &value.path, what, Some(mend));
                continue;
            }
        };
        let Some(text) = reader.any_text(&value) else { continue };
        match HeaderValue::from_str(&text) {
            Ok(mut header) => {
                header.set_sensitive(is_reference(&value));
                headers.push((name, header));
            }
            Err(_) => reader.problem(
                &value,
                "a header value is one line of visible characters",
                Some("remove line ends and control characters".to_owned()),
            ),
        }
    }
    headers
}

fn header_name(key: &str) -> Result<HeaderName, (String, String)> {
    let Ok(name) = key.parse::<HeaderName>() else {
        return Err((format!("`{key}` is not a header name"), "use letters, digits and `-`".to_owned()));
    };
    if name == http::header::AUTHORIZATION {
        return Err((
            "credentials do not stand among the headers".to_owned(),
            "write `credential: {bearer: …}` next to `headers`".to_owned(),
        ));
    }
    if OWN_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("mcp-param-") {
        return Err((format!("`{key}` is a header that the gate writes itself"), "remove it".to_owned()));
    }
    Ok(name)
}

fn credential(reader: &mut Reader<'_>, at: &At<'_>) -> Option<UpstreamCredential> {
    let table = reader.table(at, &CREDENTIAL)?;
    let Some(bearer) = table.get("bearer") else {
        // A key of a later version is already a problem, and then nothing is missing.
        if table.iter().next().is_none() && matches!(&at.node.data, Data::Map(entries) if entries.is_empty())
        {
            reader.problem(
                at,
                "the credential is empty",
                Some("write `credential: {bearer: \"${env:TOKEN}\"}`".to_owned()),
            );
        }
        return None;
    };
    let token = reader.secret(&bearer)?;
    if !token.expose().bytes().all(|b| b.is_ascii_graphic()) {
        let mend = "give the token alone, without `Bearer`, blanks and line ends".to_owned();
        reader.problem(&bearer, "a bearer token is visible ASCII without blanks", Some(mend));
        return None;
    }
    Some(UpstreamCredential::bearer(token))
}

fn builtin(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Builtin> {
    if let Some(options) = table.get("options") {
        reader.table(&options, &OPTIONS);
    }
    let at = table.get("builtin")?;
    if let Data::Scalar(scalar) = &at.node.data
        && matches!(scalar.text.as_str(), "kubernetes" | "cnpg")
    {
        let what = format!("`{}` is known, but this version does not support it yet", scalar.text);
        reader.problem(&at, what, Some("remove this server".to_owned()));
        return None;
    }
    reader.choice(&at, &[("demo", Builtin::Demo)])
}

/// The keys that every kind of server has.
fn common(reader: &mut Reader<'_>, table: &Table<'_>, server: &mut Server) {
    let eras = [("auto", Era::Auto), ("legacy", Era::Legacy), ("modern", Era::Modern)];
    let isolations =
        [("shared", Isolation::Shared), ("principal", Isolation::Principal), ("session", Isolation::Session)];
    if let Some(era) = table.get("era").and_then(|at| reader.choice(&at, &eras)) {
        server.era = era;
    }
    if let Some(isolation) = table.get("isolation").and_then(|at| reader.choice(&at, &isolations)) {
        server.isolation = isolation;
    }
    if let Some(at) = table.get("timeouts") {
        server.deadlines = timeouts(reader, &at);
    }
    if let Some(at) = table.get("tools") {
        server.tools = tools(reader, &at);
    }
    let children = table.get("max_children").and_then(|at| reader.number(&at, &CHILDREN));
    server.max_children = children.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_CHILDREN);
    if let Some(at) = table.get("offer") {
        server.offer = offer(reader, &at);
    }
    if let Some(at) = table.get("roots") {
        server.roots =
            reader.list(&at).unwrap_or_default().iter().filter_map(|item| root(reader, item)).collect();
    }
}

fn timeouts(reader: &mut Reader<'_>, at: &At<'_>) -> Deadlines {
    let mut deadlines = Deadlines::default();
    let Some(table) = reader.table(at, &TIMEOUTS) else { return deadlines };
    for (key, field, bounds) in [
        ("connect", &mut deadlines.connect, &CONNECT),
        ("call", &mut deadlines.call, &CALL),
        ("progress_cap", &mut deadlines.progress_cap, &CALL),
        ("ask", &mut deadlines.ask, &ASK),
    ] {
        if let Some(value) = table.get(key).and_then(|at| reader.duration(&at, bounds)) {
            *field = value;
        }
    }
    if deadlines.progress_cap < deadlines.call {
        match table.get("progress_cap") {
            Some(cap) => {
                let mend =
                    "progress extends a call up to `progress_cap`: make it at least as long".to_owned();
                reader.problem(&cap, "`progress_cap` is shorter than `call`", Some(mend));
            }
            // A long call without a cap of its own is meant to be that long.
            None => deadlines.progress_cap = deadlines.call,
        }
    }
    deadlines
}

fn tools(reader: &mut Reader<'_>, at: &At<'_>) -> ToolFilter {
    let mut filter = ToolFilter::default();
    let Some(table) = reader.table(at, &TOOLS) else { return filter };
    if let Some(at) = table.get("allow") {
        filter.allow = patterns(reader, &at);
        if filter.allow.is_empty() {
            reader.warn(
                &at,
                "no tool is allowed, so the server has none",
                Some("name tools or patterns, such as `read_*`".to_owned()),
            );
        }
    }
    if let Some(at) = table.get("deny") {
        filter.deny = patterns(reader, &at);
    }
    filter
}

fn offer(reader: &mut Reader<'_>, at: &At<'_>) -> Offer {
    let mut offer = Offer::default();
    let Some(table) = reader.table(at, &OFFER) else { return offer };
    for (key, field) in [
        ("elicitation", &mut offer.elicitation),
        ("sampling", &mut offer.sampling),
        ("roots", &mut offer.roots),
    ] {
        if let Some(value) = table.get(key).and_then(|at| reader.flag(&at)) {
            *field = value;
        }
    }
    offer
}

fn root(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Root> {
    let table = reader.table(at, &ROOT)?;
    let name = table.get("name").and_then(|at| reader.text(&at));
    let Some(uri_at) = table.get("uri") else {
        reader.problem(
            at,
            "`uri` is missing",
            Some("write `{uri: file:///srv/data, name: data}`".to_owned()),
        );
        return None;
    };
    let uri = reader.text(&uri_at)?;
    if !uri.starts_with("file:///") {
        let mend = "MCP knows only file roots: write file:///srv/data".to_owned();
        reader.problem(&uri_at, format!("{} does not start with file:///", uri_at.shown()), Some(mend));
        return None;
    }
    Some(Root { uri, name })
}

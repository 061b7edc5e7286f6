//! What is wrong with a server, named from what its connector saw, and how to mend it. The words of the server are shown with
//! what looks like a secret taken out.

use crate::config::{Config, Era, Server, ServerKind};
use portreeve_mcp::service::{Failure, FailureKind};
use std::time::Duration;

/// How much of a server's own words is shown.
const EXCERPT: usize = 300;

/// One fault.
pub(super) struct Fault {
    /// For programs.
    pub(super) code: &'static str,
    /// For people.
    pub(super) what: String,
    pub(super) mend: String,
    /// What the server, or the system, said.
    pub(super) said: Option<String>,
}

impl Fault {
    fn new(code: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, what: what.into(), mend: mend.into(), said: None }
    }

    fn said(mut self, words: &str) -> Self {
        self.said = Some(redacted(words));
        self
    }

    /// Whatever has no better name.
    pub(super) fn other(what: String) -> Self {
        Self::new("other", what, "run the server by hand, or set `log.level: debug`, and see what it says")
    }

    /// It does not answer.
    pub(super) fn hangs(server: &Server, patience: Duration) -> Self {
        let mend = match &server.kind {
            ServerKind::Child(_) => {
                "run the command by hand: it may wait for something, or be no MCP server; a slow start (a first `npx`) needs `--timeout`"
            }
            _ => "see whether the address is right and the server is well; a slow one needs `--timeout`",
        };
        Self::new("hangs", format!("it does not answer within {patience:?}"), mend)
    }
}

/// What can be seen without asking the server.
pub(super) fn before_asking(config: &Config, server: &Server) -> Option<Fault> {
    let ServerKind::Remote(remote) = &server.kind else { return None };
    let authority = remote.url.authority()?.as_str().to_owned();
    let port = config.listen.port();
    let own = [
        config.listen.to_string(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ];
    let public = config.public_url.as_deref().and_then(|url| url.split("://").nth(1));
    let loops =
        own.contains(&authority) || public.and_then(|rest| rest.split('/').next()) == Some(&authority);
    loops.then(|| {
        Fault::new(
            "loop",
            format!("{} is this gate's own address: every call would come back to it", place(&remote.url)),
            "write the address of the server itself",
        )
    })
}

/// Names what a connector saw.
pub(super) fn of(server: &Server, failure: &Failure) -> Fault {
    let detail = failure.detail.as_str();
    match &server.kind {
        ServerKind::Child(_) => child(server, detail),
        ServerKind::Remote(remote) => remote_fault(server, &place(&remote.url), failure),
        ServerKind::Builtin(_) => Fault::other(detail.to_owned()),
    }
}

fn child(server: &Server, detail: &str) -> Fault {
    let words = detail.split_once("its last words: ").map(|(_, words)| words);
    if detail.contains("was not found") {
        let what = detail.split(" (").next().and_then(|what| what.split(';').next()).unwrap_or(detail);
        return Fault::new("not-found", what, "install the program, or write its whole path in `command`");
    }
    if detail.contains("Permission denied") {
        return Fault::new("not-executable", "the command may not be executed", "make it executable")
            .said(detail);
    }
    if detail.contains("is no message") {
        let (what, line) = detail.split_once("is no message: ").unwrap_or((detail, ""));
        let what = what.split("; ").next().unwrap_or(what);
        let mend = "let it log to stderr: on stdout belong messages alone; if it is no MCP server, name the right command";
        return Fault::new("junk", format!("{what}, and prints what is no message on stdout"), mend)
            .said(line);
    }
    if detail.contains("did not answer")
        || detail.contains("not ready in time")
        || detail.contains("does not answer within")
    {
        return Fault::hangs(server, server.deadlines.call);
    }
    if detail.contains("server/discover") || detail.contains("has changed its era") {
        return wrong_era(server, detail);
    }
    if let Some(words) = words {
        return last_words(words);
    }
    if detail.contains("has ended") {
        return Fault::new("exits", "it ends at once, without a word", "run the command by hand")
            .said(detail);
    }
    Fault::other(detail.to_owned())
}

/// What the last words of a child that ended at once mean.
fn last_words(words: &str) -> Fault {
    let lower = words.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    let old = [
        "syntaxerror",
        "unsupported engine",
        "ebadengine",
        "requires node",
        "node version",
        "unexpected token",
        "err_require_esm",
    ];
    if has(&old)
        || (has(&["node"]) && has(&["not supported", "unsupported", "or higher", "or later", "upgrade"]))
    {
        let mend =
            "update the runtime that the command starts (often Node.js), or name a newer one in `command`";
        return Fault::new("old-runtime", "it ends at once: its runtime is too old for it", mend).said(words);
    }
    let secret =
        has(&["token", "api key", "api_key", "apikey", "credential", "password", "secret", "unauthorized"]);
    if secret
        && has(&[
            "required",
            "missing",
            "not set",
            "must",
            "invalid",
            "undefined",
            "provide",
            "no ",
            "unauthorized",
        ])
    {
        let mend = "give it what it wants under `env`, such as `TOKEN: \"${env:TOKEN}\"`: children see nothing else of the environment";
        return Fault::new("needs-token", "it ends at once: it wants a token or key", mend).said(words);
    }
    Fault::new("exits", "it ends at once", "run the command by hand and mend what it says").said(words)
}

fn wrong_era(server: &Server, detail: &str) -> Fault {
    let configured = match server.era {
        Era::Modern => "`era: modern` is configured, and it speaks an older revision",
        Era::Legacy => "`era: legacy` is configured, and it speaks the newest revision alone",
        Era::Auto => "it speaks no revision that the gate speaks",
    };
    Fault::new("wrong-era", configured, "take `era` away, so that it is found out").said(detail)
}

/// Where a server is, without path and query, where tokens like to stand.
fn place(url: &http::Uri) -> String {
    let part = |part: Option<&str>| part.unwrap_or_default().to_owned();
    format!("{}://{}", part(url.scheme_str()), part(url.authority().map(http::uri::Authority::as_str)))
}

fn remote_fault(server: &Server, url: &str, failure: &Failure) -> Fault {
    let detail = failure.detail.as_str();
    let has = |parts: &[&str]| parts.iter().any(|part| detail.to_lowercase().contains(part));
    if failure.kind == FailureKind::Unauthorized || detail.contains("HTTP 401") {
        let ServerKind::Remote(remote) = &server.kind else { return Fault::other(detail.to_owned()) };
        return match &remote.credential {
            None => Fault::new(
                "unauthorized",
                "it wants a credential (HTTP 401), and none is configured",
                "set `credential: {bearer: \"${env:TOKEN}\"}`",
            ),
            Some(_) => Fault::new(
                "unauthorized",
                "it refuses the configured credential (HTTP 401)",
                "renew the credential",
            ),
        };
    }
    if failure.kind == FailureKind::Forbidden {
        return Fault::new(
            "forbidden",
            "it accepts the credential and refuses the gate (HTTP 403)",
            "ask whoever runs it for access",
        );
    }
    if let Some(fault) = way_fault(url, detail) {
        return fault;
    }
    if has(&["no answer to the probe", "not ready in time", "timed out"]) {
        return Fault::hangs(server, server.deadlines.call);
    }
    if has(&["text/html"]) {
        let mend = "this is a web page, perhaps a sign-in page or a proxy's: write the address of the MCP endpoint, often `…/mcp` or `…/sse`";
        return Fault::new("html", "it answers with a web page instead of MCP", mend).said(detail);
    }
    if has(&["http 404", "http 405", "http 410"]) {
        let mend = "mend the path of `url`: the endpoint is often `/mcp`, or `/sse` of older servers";
        return Fault::new("wrong-url", "there is no MCP endpoint at this address", mend).said(detail);
    }
    if failure.kind == FailureKind::NoCommonVersion {
        return wrong_era(server, detail);
    }
    Fault::other(detail.to_owned())
}

/// What keeps the gate from reaching it at all.
fn way_fault(url: &str, detail: &str) -> Option<Fault> {
    let has = |parts: &[&str]| parts.iter().any(|part| detail.to_lowercase().contains(part));
    if has(&["the proxy "]) {
        let mend = match has(&["407"]) {
            true => {
                "the proxy wants a login: write `http://user:password@host:port`, with a reference for the whole"
            }
            false => "mend `proxy` of this server or of `outbound`, or write `proxy: none` to go directly",
        };
        return Some(
            Fault::new("proxy", "the proxy on the way to it does not let the gate through", mend)
                .said(detail),
        );
    }
    if has(&["certificate", "tls", "handshake failure", "invalidcontenttype", "corrupt message"]) {
        let mend = match detail {
            _ if has(&["expired"]) => "its certificate has expired: renew it there",
            _ if has(&["notvalidforname", "not valid for"]) => {
                "its certificate is for another name: use the name that it is for"
            }
            _ if has(&["corrupt message", "invalidcontenttype"]) => {
                "it does not speak TLS at this port: write `http://`, or the right port"
            }
            _ => {
                "its certificate is not from an authority that this machine knows: name a file with that authority as `ca`"
            }
        };
        return Some(Fault::new("tls", "no secure connection to it can be made", mend).said(detail));
    }
    if has(&["connection refused"]) {
        return Some(
            Fault::new(
                "closed",
                format!("nothing listens at {url}"),
                "start the server, or mend host and port",
            )
            .said(detail),
        );
    }
    if has(&["dns", "name or service", "lookup", "no address"]) {
        return Some(
            Fault::new("no-host", format!("the host of {url} is not known"), "mend the name of the host")
                .said(detail),
        );
    }
    None
}

/// Words with long runs of what secrets are made of taken out.
fn redacted(words: &str) -> String {
    let secret = |word: &str| {
        let core = word.trim_matches(|one: char| !one.is_ascii_alphanumeric());
        core.len() >= 20
            && core
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'='))
            && core.bytes().any(|byte| byte.is_ascii_digit())
            && core.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let words: Vec<&str> =
        words.split_whitespace().map(|word| if secret(word) { "…" } else { word }).collect();
    let text = words.join(" ");
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

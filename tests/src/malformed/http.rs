//! What is wrong before a message can be read: framing, sizes of heads and bodies, headers, paths.

use super::{BODY, DEMO, Expected, Ground, HEAD, Kind, Row, good, problem, rpc};
use crate::harness::Post;
use serde_json::json;

pub(super) fn rows(ground: &Ground) -> Vec<Row> {
    [framing(), lengths(), codings(), chunks(), smuggled(ground), sizes(), foreign(), mirrored(), paths()]
        .into_iter()
        .flatten()
        .collect()
}

/// A request with these header lines and this body, otherwise like that of a client.
fn request(lines: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {DEMO} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{lines}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn framing() -> Vec<Row> {
    let row = |name, bytes: &[u8], expected| Row::new(Kind::Framing, name, bytes, expected);
    let line = |line: &str| request(line, "");
    vec![
        row("no request line", b"NONSENSE\r\n\r\n", Expected::Bare(400)),
        row(
            "a version that is none",
            b"POST /mcp/demo HTTP/9.9\r\nHost: localhost\r\n\r\n",
            Expected::Bare(400),
        ),
        row("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Expected::Nothing),
        row(
            "a verb with a blank in it",
            b"PO ST /mcp/demo HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Expected::Bare(400),
        ),
        row("a blank before the colon", &line("X-Team : a"), Expected::Bare(400)),
        row("a folded header", &line("X-Team: a\r\n b"), Expected::Bare(400)),
        row("NUL in a header", &line("X-Team: a\0b"), Expected::Bare(400)),
        row("a header without a name", &line(": a"), Expected::Bare(400)),
    ]
}

fn lengths() -> Vec<Row> {
    let row = |name, bytes: Vec<u8>, expected| Row::new(Kind::Framing, name, bytes, expected);
    vec![
        row("two lengths", request("Content-Length: 2\r\nContent-Length: 3", "{}"), Expected::Bare(400)),
        row("a length that is no number", request("Content-Length: two", "{}"), Expected::Bare(400)),
        row("a length with a sign", request("Content-Length: +2", "{}"), Expected::Bare(400)),
        row(
            "a length beyond all numbers",
            request("Content-Length: 99999999999999999999", "{}"),
            Expected::Bare(400),
        ),
        row("two lengths in one line", request("Content-Length: 2, 2", "{}"), Expected::Bare(400)),
        row("a length below nothing", request("Content-Length: -1", "{}"), Expected::Bare(400)),
    ]
}

/// Codings of the body; one is known, and once (RFC 9112, 6.1).
fn codings() -> Vec<Row> {
    let row = |name, bytes: Vec<u8>, expected| Row::new(Kind::Framing, name, bytes, expected);
    let codings = || problem(501, "the only transfer coding here is chunked, once");
    vec![
        row("an unknown transfer coding", request("Transfer-Encoding: gzip", "{}"), Expected::Bare(400)),
        row(
            "chunked is not the last coding",
            request("Transfer-Encoding: chunked, gzip", "{}"),
            Expected::Bare(400),
        ),
        row(
            "chunks in HTTP/1.0",
            b"POST /mcp/demo HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_vec(),
            Expected::Bare(400),
        ),
        row(
            "a coding before chunked",
            request("Transfer-Encoding: gzip, chunked", "2\r\n{}\r\n0\r\n\r\n"),
            codings(),
        )
        .closes(),
        row(
            "chunked twice",
            request("Transfer-Encoding: chunked, chunked", "2\r\n{}\r\n0\r\n\r\n"),
            codings(),
        )
        .closes(),
        row(
            "chunked in two lines",
            request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"),
            codings(),
        )
        .closes(),
        row(
            "identity before chunked",
            request("Transfer-Encoding: identity, chunked", "2\r\n{}\r\n0\r\n\r\n"),
            codings(),
        )
        .closes(),
        row("identity alone", request("Transfer-Encoding: identity", "{}"), Expected::Bare(400)),
        row("chunked with a parameter", request("Transfer-Encoding: chunked;a=b", "{}"), Expected::Bare(400)),
    ]
}

fn chunks() -> Vec<Row> {
    let row = |name, bytes: Vec<u8>, expected| Row::new(Kind::Framing, name, bytes, expected);
    let broke_off = || problem(400, "the body broke off");
    let chunks = || rpc(400, -32600, "`jsonrpc` must be \"2.0\"", json!(null));
    vec![
        row(
            "a chunk size that is no number",
            request("Transfer-Encoding: chunked", "zz\r\n{}\r\n"),
            broke_off(),
        )
        .closes(),
        row(
            "a chunk longer than it says",
            request("Transfer-Encoding: chunked", "1\r\n{}\r\n0\r\n\r\n"),
            broke_off(),
        )
        .closes(),
        row("the end in the middle of a chunk", request("Transfer-Encoding: chunked", "9\r\n{"), broke_off())
            .finishes(),
        row("the end before the length", request("Content-Length: 9", "{"), broke_off()).finishes(),
        // RFC 9112, 6.1: the chunks count, and the connection is not used again.
        row(
            "a length and chunks",
            request("Content-Length: 2\r\nTransfer-Encoding: chunked", "2\r\n{}\r\n0\r\n\r\n"),
            chunks(),
        )
        .closes(),
        row(
            "chunks and a length",
            request("Transfer-Encoding: chunked\r\nContent-Length: 2", "2\r\n{}\r\n0\r\n\r\n"),
            chunks(),
        )
        .closes(),
        row(
            "chunks that end before the last",
            request("Transfer-Encoding: chunked", "2\r\n{}\r\n"),
            broke_off(),
        )
        .finishes(),
        row(
            "a chunk size beyond all numbers",
            request("Transfer-Encoding: chunked", "fffffffffffffffff\r\n{}"),
            broke_off(),
        )
        .closes(),
        row("a chunk size with a sign", request("Transfer-Encoding: chunked", "-2\r\n{}\r\n"), broke_off())
            .closes(),
    ]
}

/// Whole calls whose length is told in two ways, with one more behind them for whoever believes the other way.
fn smuggled(ground: &Ground) -> Vec<Row> {
    let whole = |name, bytes: Vec<u8>| {
        Row::new(Kind::Framing, name, bytes, Expected::Whole(200, ground.echoed.clone())).closes()
    };
    let body = good().body().to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let call = |lines: &[&str], after: &str| {
        let mut head = format!("POST {DEMO} HTTP/1.1\r\n");
        for (name, value) in good().headers() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        for line in lines {
            head.push_str(&format!("{line}\r\n"));
        }
        format!("{head}\r\n{chunks}{after}").into_bytes()
    };
    let another = String::from_utf8(good().bytes()).expect("a call is text");
    let chunked = "Transfer-Encoding: chunked";
    let length = |length: usize| format!("Content-Length: {length}");
    let health = |verb: &str, lines: &str| {
        let bytes = format!("{verb} /healthz HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n0\r\n\r\n");
        let codings = problem(501, "the only transfer coding here is chunked, once");
        Row::new(Kind::Framing, "doubtful chunks for a health page", bytes, codings).closes()
    };
    vec![
        whole("a call of chunks with a length", call(&[chunked, &length(body.len())], "")),
        whole("a call of a length and chunks", call(&[&length(body.len()), chunked], "")),
        whole("a call behind the chunks, within the length", {
            call(&[&length(chunks.len() + another.len()), chunked], &another)
        }),
        whole("a call behind the chunks, without a length for it", call(&[&length(3), chunked], &another)),
        health("GET", "Transfer-Encoding: gzip, chunked"),
        health("POST", "Transfer-Encoding: chunked, chunked"),
        health("GET", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    ]
}

fn sizes() -> Vec<Row> {
    let row = |name, bytes: Vec<u8>, expected| Row::new(Kind::Size, name, bytes, expected);
    let too_large = || problem(413, format!("the body is larger than {BODY} bytes"));
    let chunk = format!("{:x}\r\n{}", BODY + 1, " ".repeat(BODY + 1));
    let many = vec!["X-Team: a"; 200].join("\r\n");
    vec![
        row(
            "a declared body above the limit",
            request(&format!("Content-Length: {}", BODY + 1), ""),
            too_large(),
        )
        .closes(),
        row("chunks above the limit", request("Transfer-Encoding: chunked", &chunk), too_large()).closes(),
        row(
            "a head above the limit",
            request(&format!("X-Team: {}", "a".repeat(HEAD)), ""),
            Expected::Bare(431),
        ),
        row("too many headers", request(&many, ""), Expected::Bare(431)),
        row(
            "an address above the limit",
            format!("POST /mcp/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(HEAD)).into_bytes(),
            Expected::Bare(431),
        ),
        row(
            "a name of a server above the limit",
            good().path(&format!("/mcp/{}", "a".repeat(65))).bytes(),
            problem(404, "nothing is here; servers are at /mcp/<server>"),
        ),
        row(
            "a session id above the limit",
            Post::json(DEMO, json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
                .header("Mcp-Session-Id", &"a".repeat(8 << 10))
                .bytes(),
            rpc(404, -32600, "no such session; initialize again", json!(null)),
        ),
    ]
}

/// Headers that say where a request comes from, or what it is.
fn foreign() -> Vec<Row> {
    let row = |name, post: Post, expected| Row::new(Kind::Headers, name, post.bytes(), expected);
    let hosts = || problem(400, "one Host header is needed");
    let host = || problem(421, "the Host header names no address of this gate");
    let origin = || problem(403, "the Origin header names no allowed origin");
    let kind = || problem(415, "the body must be application/json, not encoded");
    vec![
        row("no Host", good().without_header("Host"), hosts()),
        row("a foreign Host", good().header("Host", "evil.example"), host()),
        row("two Hosts", good().and_header("Host", "localhost"), hosts()),
        row("two Hosts, one of them foreign", good().and_header("Host", "evil.example"), hosts()),
        row(
            "no Host but an address",
            good().path("http://localhost/mcp/demo").without_header("Host"),
            hosts(),
        ),
        row(
            "two Hosts and an address",
            good().path("http://localhost/mcp/demo").and_header("Host", "localhost"),
            hosts(),
        ),
        row("a foreign Origin", good().header("Origin", "https://evil.example"), origin()),
        row(
            "two Origins, one of them ours",
            good().and_header("Origin", "http://localhost").and_header("Origin", "https://evil.example"),
            origin(),
        ),
        row(
            "an Origin that looks like ours",
            good().header("Origin", "http://localhost.evil.example"),
            origin(),
        ),
        row("a Host with a user", good().header("Host", "me@localhost"), host()),
        row("an empty Host", good().header("Host", ""), host()),
        row("two Content-Types", good().and_header("Content-Type", "text/plain"), kind()),
        row("a Content-Type that goes on", good().header("Content-Type", "application/jsonp"), kind()),
        row(
            "two encodings, one of them none",
            good().and_header("Content-Encoding", "identity").and_header("Content-Encoding", "gzip"),
            kind(),
        ),
        row("an Origin that is none", good().header("Origin", "null"), origin()),
        row("no Content-Type", good().without_header("Content-Type"), kind()),
        row("another Content-Type", good().header("Content-Type", "text/plain"), kind()),
        row("an encoded body", good().header("Content-Encoding", "gzip"), kind()),
        row(
            "an Accept without what is answered",
            good().header("Accept", "text/html"),
            problem(406, "accept application/json and text/event-stream"),
        ),
    ]
}

/// Headers that repeat the body.
fn mirrored() -> Vec<Row> {
    let row = |name, post: Post, text: &str| {
        Row::new(Kind::Headers, name, post.bytes(), rpc(400, -32020, format!("header {text}"), json!(1)))
    };
    let region = || Post::call(DEMO, "query_region", json!({"region": "north"}));
    vec![
        row(
            "no version",
            good().without_header("MCP-Protocol-Version"),
            "MCP-Protocol-Version is required but missing",
        ),
        row(
            "two versions",
            good().and_header("MCP-Protocol-Version", "2026-07-28"),
            "MCP-Protocol-Version is there more than once",
        ),
        row("no method", good().without_header("Mcp-Method"), "Mcp-Method is required but missing"),
        row(
            "another letter case",
            good().header("Mcp-Method", "Tools/call"),
            "Mcp-Method differs from the request body",
        ),
        row("no name", good().without_header("Mcp-Name"), "Mcp-Name is required but missing"),
        row("another name", good().header("Mcp-Name", "add"), "Mcp-Name differs from the request body"),
        row("broken base64", good().header("Mcp-Name", "=?base64?!?="), "Mcp-Name holds invalid base64"),
        row(
            "base64 of no text",
            good().header("Mcp-Name", "=?base64?//8=?="),
            "Mcp-Name holds base64 of something that is not UTF-8",
        ),
        row(
            "bytes beyond ASCII",
            good().header("Mcp-Name", "ech\u{f6}"),
            "Mcp-Name holds characters that a header value may not hold",
        ),
        row("an argument without its header", region(), "Mcp-Param-Region is required but missing"),
        row(
            "a header that differs from its argument",
            region().header("Mcp-Param-Region", "south"),
            "Mcp-Param-Region differs from the request body",
        ),
    ]
}

fn paths() -> Vec<Row> {
    let row = |name, path: &str, expected| Row::new(Kind::Path, name, good().path(path).bytes(), expected);
    let nothing = || problem(404, "nothing is here; servers are at /mcp/<server>");
    let no_server = || problem(404, "no such server");
    vec![
        row("a slash at the end", "/mcp/demo/", nothing()),
        row("two slashes", "/mcp//demo", nothing()),
        row("a way up", "/mcp/../mcp/demo", nothing()),
        row("an encoded way up", "/mcp/demo/%2e%2e/demo", nothing()),
        row("an encoded letter", "/mcp/%64emo", nothing()),
        row("an encoded slash", "/mcp%2fdemo", nothing()),
        row("a parameter of the path", "/mcp/demo;x=1", nothing()),
        row("another letter case", "/MCP/demo", nothing()),
        row("another letter case of the server", "/mcp/Demo", no_server()),
        row("a server that is not there", "/mcp/other", no_server()),
        row("the name of all servers, which is no path", "/mcp/*", nothing()),
        row("a star", "*", nothing()),
        row(
            "a credential in the address",
            "/mcp/demo?access_token=secret",
            problem(400, "credentials belong in the Authorization header, never in the address"),
        ),
        row(
            "the address of another host",
            "http://evil.example/mcp/demo",
            problem(421, "the Host header names no address of this gate"),
        ),
        row("no slash at the start", "mcp/demo", Expected::Bare(400)),
    ]
}

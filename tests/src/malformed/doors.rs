//! What is wrong at the other doors, and with values that only the gate can have made: session ids, cursors, states.

use super::{DEMO, Ground, Kind, Row, again, list, problem, rpc};
use crate::harness::Post;
use serde_json::{Value, json};

pub(super) fn rows(ground: &Ground) -> Vec<Row> {
    [scripts(), sse(), sealed(ground), taken_up(ground)].into_iter().flatten().collect()
}

/// The door for scripts (decision D32).
fn scripts() -> Vec<Row> {
    const ECHO: &str = "/api/v1/tools/demo/echo";
    let raw = |verb: &str, path: &str, lines: &str, body: &str| {
        let length = body.len();
        format!("{verb} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
    };
    let row = |name, text: String, expected| Row::new(Kind::Scripts, name, text, expected);
    let json = "Content-Type: application/json\r\n";
    let post = |body: &str| raw("POST", ECHO, json, body);
    let kind = || problem(415, "send `Content-Type: application/json` and the arguments as one JSON object");
    vec![
        row("no media type", raw("POST", ECHO, "", "{}"), kind()),
        row(
            "a form",
            raw("POST", ECHO, "Content-Type: application/x-www-form-urlencoded\r\n", "text=x"),
            kind(),
        ),
        row(
            "arguments in a row",
            post("[1]"),
            problem(400, "the body is not an object: send {\"<argument>\": …}"),
        ),
        row(
            "half an object",
            post("{\"text\":"),
            problem(400, "the body is not JSON: not valid JSON (at byte 8)"),
        ),
        row(
            "no such tool",
            raw("POST", "/api/v1/tools/demo/none", json, "{}"),
            problem(404, "no such tool: none"),
        ),
        row(
            "no such server",
            raw("POST", "/api/v1/tools/none/echo", json, "{}"),
            problem(404, "no such server"),
        ),
        row(
            "half an escape",
            raw("POST", "/api/v1/tools/demo/a%2", json, "{}"),
            problem(404, "no such tool: a%2"),
        ),
        row(
            "an escape without digits",
            raw("GET", "/api/v1/tools/demo/%zz", "", ""),
            problem(404, "no such tool: %zz"),
        ),
        row(
            "an escape of no text",
            raw("POST", "/api/v1/tools/demo/%ff", json, "{}"),
            problem(400, "the name of a tool is UTF-8"),
        ),
        row("another verb", raw("DELETE", ECHO, json, ""), problem(405, "use GET, POST")),
        row("POST to a list", raw("POST", "/api/v1/tools/demo", json, "{}"), problem(405, "use GET")),
        row(
            "an Accept of something else",
            raw("GET", ECHO, "Accept: text/html\r\n", ""),
            problem(406, "accept application/json"),
        ),
        row(
            "a foreign Origin",
            raw("POST", ECHO, &format!("{json}Origin: https://evil.example\r\n"), "{}"),
            problem(403, "the Origin header names no allowed origin"),
        ),
        row(
            "a slash at the end",
            raw("GET", "/api/v1/tools/", "", ""),
            problem(404, "nothing is here; servers are at /mcp/<server>"),
        ),
    ]
}

/// HTTP+SSE (spec 2024-11-05).
fn sse() -> Vec<Row> {
    let row = |name, text: &str, expected| Row::new(Kind::Sse, name, text, expected);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let post = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{ping}",
            ping.len()
        )
    };
    vec![
        row(
            "a message without a session",
            &post("/sse/demo"),
            problem(404, "no such stream; open one with GET"),
        ),
        row(
            "a message to a session that is none",
            &post("/sse/demo?session=unknown"),
            problem(404, "no such stream; open one with GET"),
        ),
        row(
            "a stream of no server",
            "GET /sse/none HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
            problem(404, "no such server"),
        ),
        row(
            "a stream for a foreign page",
            "GET /sse/demo HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n",
            problem(403, "the Origin header names no allowed origin"),
        ),
        row(
            "another verb",
            "PUT /sse/demo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            problem(405, "GET opens the stream, POST sends a message"),
        ),
    ]
}

/// Values that the gate seals: whoever changes a character has none (decision D15).
fn sealed(ground: &Ground) -> Vec<Row> {
    let row = |name, post: Post, expected| Row::new(Kind::Sealed, name, post.bytes(), expected);
    let session = &ground.plain;
    let id = session.id.as_str();
    let ping = |id: &str| {
        session.message(json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).header("Mcp-Session-Id", id)
    };
    let gone = || rpc(404, -32600, "no such session; initialize again", Value::Null);
    let list = |cursor: Value| list(DEMO, cursor);
    let cursor = || rpc(200, -32602, "unknown cursor; list anew without one", json!(1));
    let again = |state: &str| again(DEMO, "ask_name", state);
    let state = || rpc(200, -32602, "invalid or expired requestState; make the call anew", json!(1));
    let mut rows = vec![
        row("a session id with another end", ping(&changed(id, id.len() - 1)), gone()),
        row("a session id with another beginning", ping(&changed(id, 0)), gone()),
        row("a session id with another middle", ping(&changed(id, id.len() / 2)), gone()),
        row("half a session id", ping(&id[..id.len() / 2]), gone()),
        row("a session id and more", ping(&format!("{id}A")), gone()),
        row(
            "a session id twice",
            ping(id).and_header("Mcp-Session-Id", id),
            rpc(400, -32600, "one `Mcp-Session-Id` header is needed; initialize to get one", Value::Null),
        ),
        row("a cursor that nobody made", list(json!("AAAA")), cursor()),
        row("a cursor that is no text", list(json!(5)), cursor()),
        row("a cursor of nothing", list(json!("")), cursor()),
        row("a session id as a cursor", list(json!(id)), cursor()),
        row("a state that nobody made", again("AAAA"), state()),
        row("a session id as a state", again(id), state()),
        row("a state as a cursor", list(json!(ground.state)), cursor()),
        row("a cursor as a state", again(&ground.cursor), state()),
        row("a state of another tool", super::again(DEMO, "interview", &ground.state), state()),
        row("half a cursor", list(json!(ground.cursor[..ground.cursor.len() / 2])), cursor()),
        row("half a state", again(&ground.state[..ground.state.len() / 2]), state()),
        row("a cursor and more", list(json!(format!("{}A", ground.cursor))), cursor()),
        row("a state and more", again(&format!("{}A", ground.state)), state()),
    ];
    // The last character of base64 may stand for fewer bits than it has, so the one before it is changed.
    for (cursor_name, state_name, at) in [
        ("a cursor with another beginning", "a state with another beginning", Place::Beginning),
        ("a cursor with another middle", "a state with another middle", Place::Middle),
        ("a cursor with another end", "a state with another end", Place::End),
    ] {
        rows.push(row(cursor_name, list(json!(at.changed(&ground.cursor))), cursor()));
        rows.push(row(state_name, again(&at.changed(&ground.state)), state()));
    }
    rows
}

/// Where a sealed value is changed.
#[derive(Clone, Copy)]
enum Place {
    Beginning,
    Middle,
    End,
}

impl Place {
    fn changed(self, text: &str) -> String {
        match self {
            Self::Beginning => changed(text, 0),
            Self::Middle => changed(text, text.len() / 2),
            Self::End => changed(text, text.len() - 2),
        }
    }
}

/// Streams that are taken up after an event that is not this session's, or none at all (check 155).
fn taken_up(ground: &Ground) -> Vec<Row> {
    let session = &ground.plain;
    let lost = || {
        let text =
            "`Last-Event-ID` names no event of this session that is still known; what followed it is lost";
        rpc(400, -32600, text, Value::Null)
    };
    let row = |name, last: &str| Row::new(Kind::Stream, name, session.resuming(last), lost());
    let twice = String::from_utf8(session.resuming("s1-1")).expect("heads are text");
    let twice = twice.replacen("\r\n", "\r\nLast-Event-ID: s1-1\r\n", 1);
    vec![
        row("an event of another session", &ground.event),
        row("an event of another session, further on", &format!("{}1", ground.event)),
        row("no event at all", ""),
        row("an event that is no text of ours", "garbage"),
        row("an event without a number", "c1-"),
        row("an event with a number below nothing", "c1--1"),
        row("an event beyond all numbers", "c1-99999999999999999999999"),
        row("an event with a blank in it", "c1 -1"),
        row("an event beyond ASCII", "c1-\u{f6}"),
        row("a session id for an event", &session.id),
        Row::new(Kind::Stream, "two events", twice, lost()),
    ]
}

/// The text with another character there.
fn changed(text: &str, at: usize) -> String {
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

//! What is wrong at the address of all servers, where names are others and what is sealed for one server is worth nothing.

use super::{ALL, DEMO, Expected, Ground, Kind, Row, again, list, problem, rpc};
use crate::harness::{MODERN, Post};
use serde_json::{Value, json};

pub(super) fn rows(ground: &Ground) -> Vec<Row> {
    [names(), bodies(), sealed(ground)].into_iter().flatten().collect()
}

fn row(name: &'static str, post: Post, expected: Expected) -> Row {
    Row::new(Kind::Together, name, post.bytes(), expected)
}

fn call(tool: &str) -> Post {
    Post::call(ALL, tool, json!({"text": "x"}))
}

/// Names that no server has.
fn names() -> Vec<Row> {
    let unknown = |tool: &str| rpc(200, -32602, format!("Unknown tool: {tool}"), json!(1));
    let differs = || rpc(400, -32020, "header Mcp-Name differs from the request body", json!(1));
    vec![
        row("a tool without its server", call("echo"), unknown("echo")),
        row("a tool of a server that is not there", call("third_echo"), unknown("third_echo")),
        row("a tool that its server has not", call("demo_none"), unknown("demo_none")),
        row("a server without a tool", call("demo_"), unknown("demo_")),
        row("a server's name alone", call("demo"), unknown("demo")),
        row("a server's name in other letters", call("Demo_echo"), unknown("Demo_echo")),
        row("two servers before a tool", call("demo_second_echo"), unknown("demo_second_echo")),
        row("a path for a tool", call("demo/echo"), unknown("demo/echo")),
        row("no name", call(""), unknown("")),
        row("a header with the server's own name", call("demo_echo").header("Mcp-Name", "echo"), differs()),
        row("a header with another server", call("demo_echo").header("Mcp-Name", "second_echo"), differs()),
    ]
}

/// Messages that are wrong everywhere.
fn bodies() -> Vec<Row> {
    let raw = |text: &str| Post::json(ALL, Value::Null).raw(text);
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let bare = |verb: &str| format!("{verb} {ALL} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let batches = "one message a request: this revision has no batches";
    vec![
        row(
            "half a message",
            raw("{\"jsonrpc\":"),
            rpc(400, -32700, "the message is not valid JSON (at byte 11)", Value::Null),
        ),
        row("a number", raw("5"), rpc(400, -32600, "a message is a JSON object", Value::Null)),
        row("many messages", Post::json(ALL, json!([ping])), rpc(400, -32600, batches, Value::Null)),
        row(
            "an envelope without capabilities",
            call("demo_echo").without_meta("io.modelcontextprotocol/clientCapabilities"),
            rpc(
                400,
                -32602,
                "`_meta` needs `io.modelcontextprotocol/clientCapabilities`, an object",
                json!(1),
            ),
        ),
        row(
            "a modern header without an envelope",
            Post::json(ALL, ping).header("MCP-Protocol-Version", MODERN),
            rpc(400, -32602, "`_meta` needs `io.modelcontextprotocol/protocolVersion`, a string", json!(1)),
        ),
        row(
            "another media type",
            call("demo_echo").header("Content-Type", "text/plain"),
            problem(415, "the body must be application/json, not encoded"),
        ),
        row(
            "a credential in the address",
            call("demo_echo").path("/mcp?api_key=x"),
            problem(400, "credentials belong in the Authorization header, never in the address"),
        ),
        row(
            "a slash at the end",
            call("demo_echo").path("/mcp/"),
            problem(404, "nothing is here; servers are at /mcp/<server>"),
        ),
        Row::new(Kind::Together, "GET without a session", bare("GET"), problem(405, "use POST")),
        Row::new(Kind::Together, "DELETE without a session", bare("DELETE"), problem(405, "use POST")),
    ]
}

/// What was sealed at one address, brought to another.
fn sealed(ground: &Ground) -> Vec<Row> {
    let ping = |path: &str, id: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        Post::json(path, body).header("Mcp-Session-Id", id)
    };
    let gone = || rpc(404, -32600, "no such session; initialize again", Value::Null);
    let cursor = || rpc(200, -32602, "unknown cursor; list anew without one", json!(1));
    let state = || rpc(200, -32602, "invalid or expired requestState; make the call anew", json!(1));
    vec![
        row("a session of one server", ping(ALL, &ground.plain.id), gone()),
        row("a session of all servers at one of them", ping(DEMO, &ground.together.id), gone()),
        row("a session of nobody", ping(ALL, "unknown"), gone()),
        row("a cursor of one server", list(ALL, json!(ground.cursor)), cursor()),
        row("a cursor of nobody", list(ALL, json!("AAAA")), cursor()),
        row("a cursor of one server at another", list("/mcp/second", json!(ground.cursor)), cursor()),
        row("a state of one server", again(ALL, "demo_ask_name", &ground.state), state()),
        row("a state of nobody", again(ALL, "demo_ask_name", "AAAA"), state()),
        row("a state of one server at another", again("/mcp/second", "ask_name", &ground.state), state()),
        row("a state under another server's name", again(ALL, "second_ask_name", &ground.state), state()),
    ]
}

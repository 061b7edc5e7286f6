//! What is wrong with a message that arrived whole: JSON, depth, eras, batches, keys that are there twice.

use super::{DEMO, DEPTH, Expected, Ground, Kind, Row, good, problem, rpc};
use crate::harness::{MODERN, Post, Session, modern_meta};
use serde_json::{Value, json};

const NO_BATCHES: &str = "one message a request: this revision has no batches";
const NOWHERE: &str = "neither a modern envelope nor a session: send `_meta` and headers of 2026-07-28, or `initialize` \
    first (served: 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28)";

pub(super) fn rows(ground: &Ground) -> Vec<Row> {
    [json_faults(), messages(), depth(), eras(), sessions(ground), batches(ground), duplicates(ground)]
        .into_iter()
        .flatten()
        .collect()
}

/// A body without a hint of an era.
fn body(text: impl Into<Vec<u8>>) -> Vec<u8> {
    Post::json(DEMO, Value::Null).raw(text).bytes()
}

fn json_faults() -> Vec<Row> {
    let row = |name, text: &[u8], what: &str| {
        let expected = rpc(400, -32700, format!("the message is not valid {what}"), Value::Null);
        Row::new(Kind::Json, name, body(text), expected)
    };
    vec![
        row("nothing", b"", "JSON (at byte 0)"),
        row("half an object", b"{\"jsonrpc\":", "JSON (at byte 11)"),
        row("something after the message", b"{\"a\":1} x", "JSON (at byte 8)"),
        row("single quotes", b"{'jsonrpc':'2.0'}", "JSON (at byte 1)"),
        row("a comma at the end", b"{\"a\":1,}", "JSON (at byte 7)"),
        row("a number that is none", b"{\"a\":NaN}", "JSON (at byte 5)"),
        row("a zero before a number", b"{\"a\":01}", "JSON (at byte 6)"),
        row("a line end in a text", b"{\"a\":\"x\ny\"}", "JSON (at byte 7)"),
        row("an escape that is none", b"{\"a\":\"\\x\"}", "JSON (at byte 7)"),
        row("a byte order mark", b"\xef\xbb\xbf{}", "JSON (at byte 0)"),
        row("bytes that are no UTF-8", b"{\"a\":\"\xff\"}", "UTF-8 (at byte 6)"),
    ]
}

fn messages() -> Vec<Row> {
    let row =
        |name, text: &str, what: &str, id| Row::new(Kind::Json, name, body(text), rpc(400, -32600, what, id));
    vec![
        row("a number", "5", "a message is a JSON object", Value::Null),
        row("no protocol", r#"{"id":1,"method":"ping"}"#, "`jsonrpc` must be \"2.0\"", json!(1)),
        row(
            "another protocol",
            r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#,
            "`jsonrpc` must be \"2.0\"",
            json!("a"),
        ),
        row(
            "a method that is no text",
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            "`method` must be a string",
            json!(1),
        ),
        row(
            "parameters in a row",
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
            "`params` must be an object",
            json!(1),
        ),
        row(
            "half an id",
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            "`id` must be a string or an integer",
            Value::Null,
        ),
        row(
            "an id that is nothing",
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            "`id` must be a string or an integer",
            Value::Null,
        ),
        row(
            "question and answer at once",
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            "a message is a request or a response, not both",
            json!(1),
        ),
        row(
            "neither question nor answer",
            r#"{"jsonrpc":"2.0","id":1}"#,
            "a message has a `method`, a `result` or an `error`",
            json!(1),
        ),
        row(
            "an answer to nothing",
            r#"{"jsonrpc":"2.0","result":{}}"#,
            "a result needs an `id`",
            Value::Null,
        ),
    ]
}

fn depth() -> Vec<Row> {
    let row = |name, post: Post, at: usize| {
        let text = format!("the message is nested too deeply (at byte {at})");
        Row::new(Kind::Size, name, post.bytes(), rpc(400, -32600, text, Value::Null))
    };
    // The envelope and `params` are two levels, so `arguments` may have as many as are left.
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let start = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"a":"#;
    let legacy = format!("{start}{}}}}}", nested(DEPTH - 1));
    vec![
        row("one level too many", Post::json(DEMO, Value::Null).raw(legacy), start.len() + DEPTH - 2),
        row("brackets without end", Post::json(DEMO, Value::Null).raw("[".repeat(60_000)), DEPTH),
        row(
            "objects without end",
            Post::json(DEMO, Value::Null).raw("{\"a\":".repeat(10_000)),
            "{\"a\":".len() * DEPTH,
        ),
    ]
}

/// Messages of one era in the clothes of the other.
fn eras() -> Vec<Row> {
    let row = |name, post: Post, expected| Row::new(Kind::Era, name, post.bytes(), expected);
    let plain = |method: &str| Post::json(DEMO, json!({"jsonrpc": "2.0", "id": 1, "method": method}));
    let versions = |version: &str| {
        good()
            .header("MCP-Protocol-Version", version)
            .meta("io.modelcontextprotocol/protocolVersion", json!(version))
    };
    let not_served = || rpc(400, -32022, "this protocol version is not served here", json!(1));
    let needs = |key: &str, what: &str| {
        rpc(400, -32602, format!("`_meta` needs `io.modelcontextprotocol/{key}`, {what}"), json!(1))
    };
    let unknown = |method: &str| rpc(404, -32601, format!("Method not found: {method}"), json!(1));
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    vec![
        row(
            "initialize in a modern envelope",
            Post::modern(DEMO, "initialize", json!({})),
            unknown("initialize"),
        ),
        row("ping in a modern envelope", Post::modern(DEMO, "ping", json!({})), unknown("ping")),
        row("a modern header without an envelope", plain("ping").header("MCP-Protocol-Version", MODERN), {
            needs("protocolVersion", "a string")
        }),
        row(
            "an envelope without capabilities",
            good().without_meta("io.modelcontextprotocol/clientCapabilities"),
            needs("clientCapabilities", "an object"),
        ),
        row("a revision that does not exist", versions("2099-01-01"), not_served()),
        row("a legacy revision in a modern envelope", versions("2025-11-25"), not_served()),
        row(
            "a modern envelope under a legacy header",
            good().header("MCP-Protocol-Version", "2025-11-25"),
            rpc(400, -32020, "header MCP-Protocol-Version differs from the request body", json!(1)),
        ),
        row("a legacy request without a session", plain("tools/list"), rpc(400, -32600, NOWHERE, json!(1))),
        row("an answer without a session", Post::json(DEMO, answer), rpc(400, -32600, NOWHERE, Value::Null)),
        row(
            "an unknown session",
            plain("ping").header("Mcp-Session-Id", "unknown"),
            rpc(404, -32600, "no such session; initialize again", Value::Null),
        ),
    ]
}

fn sessions(ground: &Ground) -> Vec<Row> {
    let row = |name, bytes: Vec<u8>, expected| Row::new(Kind::Era, name, bytes, expected);
    let session = &ground.plain;
    let ping = || session.message(json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    let discover = session.message(json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}));
    let answer = session.message(json!({"jsonrpc": "2.0", "id": "unknown", "result": {}}));
    let bare = |verb: &str| format!("{verb} {DEMO} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let cannot = "`MCP-Protocol-Version` names a revision that this session cannot speak";
    let no_question = "no question with this id is open in this session";
    vec![
        row(
            "a revision that no session speaks",
            ping().header("MCP-Protocol-Version", "2099-01-01").bytes(),
            rpc(400, -32600, cannot, Value::Null),
        ),
        row(
            "a modern method in a session",
            discover.bytes(),
            rpc(200, -32601, "Method not found: server/discover", json!(1)),
        ),
        row("an answer to no question", answer.bytes(), rpc(400, -32600, no_question, Value::Null)),
        row("GET without a session", bare("GET"), problem(405, "use POST")),
        row("DELETE without a session", bare("DELETE"), problem(405, "use POST")),
        row("PUT", bare("PUT"), problem(405, "use POST")),
    ]
}

fn batches(ground: &Ground) -> Vec<Row> {
    let refused = |name, post: Post, text: &str| {
        Row::new(Kind::Batch, name, post.bytes(), rpc(400, -32600, text, Value::Null))
    };
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let initialize = json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {}});
    let claim = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {"_meta": modern_meta(&json!({}))}});
    let nested =
        json!([{"jsonrpc": "2.0", "error": {"code": -32600, "message": "a message is a JSON object"}}]);
    let batches = |body: Value| ground.batches.message(body);
    vec![
        refused("no message", Post::json(DEMO, json!([])), "a batch needs messages"),
        refused("no message in a session", batches(json!([])), "a batch needs messages"),
        refused("modern messages", Post::json(DEMO, json!([good().body()])), NO_BATCHES),
        refused(
            "modern messages under a modern header",
            Post::json(DEMO, json!([good().body()])).header("MCP-Protocol-Version", MODERN),
            NO_BATCHES,
        ),
        refused("legacy messages without a session", Post::json(DEMO, json!([ping])), NO_BATCHES),
        refused("a session of another revision", ground.plain.message(json!([ping])), NO_BATCHES),
        refused("a modern message among others", batches(json!([ping, claim])), NO_BATCHES),
        refused(
            "a handshake among others",
            batches(json!([ping, initialize])),
            "`initialize` cannot be part of a batch",
        ),
        Row::new(
            Kind::Batch,
            "a batch in a batch",
            batches(json!([[ping]])).bytes(),
            Expected::Whole(200, nested),
        ),
    ]
}

/// Keys that two readers could read differently (decision D14).
fn duplicates(ground: &Ground) -> Vec<Row> {
    let row = |name, post: Post, expected| Row::new(Kind::Duplicate, name, post.bytes(), expected);
    let envelope = |name, text: &'static str, at: usize| {
        let said = "the message's envelope is not acceptable: an object has the same key twice";
        row(
            name,
            Post::json(DEMO, Value::Null).raw(text),
            rpc(400, -32600, format!("{said} (at byte {at})"), Value::Null),
        )
    };
    let twice = |post: Post, from: &str, to: &str| {
        let text = post.body().to_string();
        assert_eq!(text.matches(from).count(), 1, "{text}");
        let text = text.replace(from, to);
        let at = text.find(to).expect("just written") + to.rfind("\"").map_or(0, |_| second_key(to));
        (post.raw(text), at)
    };
    let (name, name_at) = twice(good(), r#""name":"echo""#, r#""name":"echo","name":"fail""#);
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let (meta, meta_at) = twice(good(), version, &format!("{version},{version}"));
    let region =
        Post::call(DEMO, "query_region", json!({"region": "north"})).header("Mcp-Param-Region", "north");
    let (region, _) = twice(region, r#""region":"north""#, r#""region":"south","region":"north""#);
    let (legacy, legacy_at) =
        twice(call_in(&ground.plain), r#""name":"echo""#, r#""name":"echo","name":"fail""#);
    let said = |what: &str, at: usize| {
        rpc(
            400,
            -32602,
            format!("`{what}` is not acceptable: an object has the same key twice (at byte {at})"),
            json!(1),
        )
    };
    let params_from = |post: &Post| post.body().to_string().find(r#""params":"#).expect("params") + 9;
    let (in_params, in_legacy) = (name_at - params_from(&name), legacy_at - params_from(&legacy));
    let in_meta = meta_at - (meta.body().to_string().find(r#""_meta":"#).expect("meta") + 8);
    let ambiguous = "header Mcp-Param-Region mirrors an argument that the request body has twice";
    vec![
        envelope("an id", r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, 24),
        envelope("a method", r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}"#, 40),
        envelope(
            "a method, once in disguise",
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"x"}"#,
            40,
        ),
        envelope("parameters", r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#, 52),
        row("a name", name, said("params", in_params)),
        row("a name in a session", legacy, said("params", in_legacy)),
        row("a revision", meta, said("_meta", in_meta)),
        row("a mirrored argument", region, rpc(400, -32020, ambiguous, json!(1))),
    ]
}

/// Where the second key begins in `"a":1,"a":2`.
fn second_key(text: &str) -> usize {
    let key = text.split(':').next().expect("there is always a first part");
    text.rfind(key).expect("the key is there twice")
}

fn call_in(session: &Session) -> Post {
    let params = json!({"name": "echo", "arguments": {"text": "x"}});
    session.message(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
}

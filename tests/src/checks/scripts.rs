//! Scripts that several checks play: servers of either era and transport that are correct in everything but what a test
//! wants to try. They know nothing of the gate.

#![expect(clippy::needless_pass_by_value, reason = "JSON is made where it is passed")]

use crate::harness::{Answer, Does, MODERN, Seen};
use serde_json::{Value, json};

/// One tool without arguments.
pub(super) fn tools() -> Value {
    json!([{"name": "tool", "inputSchema": {"type": "object"}}])
}

/// What a legacy child with these tools answers to everything but calls; `None` is left to the test.
pub(super) fn legacy_child(message: &Value, tools: &Value) -> Option<Vec<Does>> {
    Some(match message["method"].as_str() {
        Some("initialize") => vec![Does::result(
            message,
            json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": true}, "logging": {}, "completions": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }),
        )],
        Some("tools/list") => vec![Does::result(message, json!({"tools": tools}))],
        Some("ping" | "logging/setLevel") => vec![Does::result(message, json!({}))],
        Some("server/discover") => vec![Does::error(message, -32601, "Method not found")],
        Some("notifications/initialized") => Vec::new(),
        _ => return None,
    })
}

/// The same for a modern child.
pub(super) fn modern_child(message: &Value, tools: &Value) -> Option<Vec<Does>> {
    let hints = |mut result: Value| {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(60_000);
        result["cacheScope"] = json!("private");
        vec![Does::result(message, result)]
    };
    Some(match message["method"].as_str() {
        Some("server/discover") => hints(json!({
            "supportedVersions": [MODERN],
            "capabilities": {"tools": {}},
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
        })),
        Some("tools/list") => hints(json!({"tools": tools})),
        _ => return None,
    })
}

/// A child of either era; `calls` answers what is left.
pub(super) fn child(
    era: &'static str,
    calls: impl Fn(&Value) -> Vec<Does> + Send + Sync + 'static,
) -> impl Fn(usize, &Value) -> Vec<Does> + Send + Sync + 'static {
    move |_, message| {
        let known =
            if era == "legacy" { legacy_child(message, &tools()) } else { modern_child(message, &tools()) };
        known.unwrap_or_else(|| calls(message))
    }
}

/// A server of either era behind HTTP; `calls` answers calls of tools.
pub(super) fn remote(
    era: &'static str,
    calls: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Seen) -> Answer + Send + Sync + 'static {
    move |request| match request.method() {
        "tools/call" => calls(request),
        _ if era == "legacy" => crate::harness::legacy_answers(request, &tools()),
        _ => crate::harness::modern_answers(request, &tools()),
    }
}

/// A tool's result of one text, right in both eras.
pub(super) fn text(text: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

/// A response to the request with this id.
pub(super) fn response(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// Progress of the call that this request makes.
pub(super) fn progress(request: &Value, value: u64) -> Value {
    let token = &request["params"]["_meta"]["progressToken"];
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": value}})
}

/// A question with a form.
pub(super) fn question(id: Value, message: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]});
    json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
}

/// The answer of a person who entered this name.
pub(super) fn accept(name: &str) -> Value {
    json!({"action": "accept", "content": {"name": name}})
}

/// One message as the text of an event.
pub(super) fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}

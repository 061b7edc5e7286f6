//! What the faulty server of the soak says, without any transport: one tool, `work`, whose caller chooses what goes
//! wrong. Not a general MCP server.

use std::collections::HashMap;

use serde_json::{Value, json};

/// The text of a `big` answer.
const BIG: usize = 20 * 1024 * 1024;
/// How much progress a `progress` call makes.
const STEPS: u64 = 20;

/// Which protocol the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Era {
    /// Handshake, and questions in the middle of a call.
    Legacy,
    /// Stateless, and questions instead of an answer.
    Modern,
}

/// One thing that the transport has to do. The number is the request's id, as JSON.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// A message that belongs to this request.
    Say(Value, Value),
    /// The answer to this request: the last message of its stream.
    Answer(Value, Value),
    /// Bytes that are no message, where the answer belongs.
    Junk(Value),
    /// The stream of this request breaks in the middle.
    Cut(Value),
    /// The server dies.
    Die,
}

/// The state of one connection: which questions are open.
pub(super) struct Mind {
    era: Era,
    asked: u64,
    open: HashMap<u64, (Value, String)>,
}

impl Mind {
    pub(super) fn new(era: Era) -> Self {
        Self { era, asked: 0, open: HashMap::new() }
    }

    /// What follows from a message.
    pub(super) fn take(&mut self, message: &Value) -> Vec<Act> {
        let Some(method) = message["method"].as_str() else { return self.answered(message) };
        let id = &message["id"];
        if id.is_null() {
            return Vec::new();
        }
        let result = match method {
            "initialize" => json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "soak", "version": "1" },
            }),
            "server/discover" if self.era == Era::Modern => json!({
                "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} }, "ttlMs": 60_000, "cacheScope": "public",
            }),
            "ping" => json!({}),
            "tools/list" => json!({ "tools": [tool()], "ttlMs": 60_000, "cacheScope": "public" }),
            "tools/call" => return self.work(id, &message["params"]),
            _ => {
                let error = json!({ "code": -32601, "message": "no such method" });
                return vec![Act::Answer(id.clone(), json!({ "jsonrpc": "2.0", "id": id, "error": error }))];
            }
        };
        vec![self.answer(id, result)]
    }

    fn answer(&self, id: &Value, mut result: Value) -> Act {
        if self.era == Era::Modern && result.get("resultType").is_none() {
            result["resultType"] = json!("complete");
        }
        Act::Answer(id.clone(), json!({ "jsonrpc": "2.0", "id": id, "result": result }))
    }

    fn text(&self, id: &Value, text: &str) -> Act {
        self.answer(id, json!({ "content": [{ "type": "text", "text": text }] }))
    }

    fn work(&mut self, id: &Value, params: &Value) -> Vec<Act> {
        let token = params["arguments"]["token"].as_str().unwrap_or_default();
        match params["arguments"]["fault"].as_str().unwrap_or_default() {
            "die" => vec![Act::Die],
            "hang" => Vec::new(),
            "junk" => vec![Act::Junk(id.clone())],
            "cut" => vec![progress(id, params, 1), Act::Cut(id.clone())],
            "big" => vec![self.text(id, &"x".repeat(BIG))],
            "progress" => {
                let steps = (1..=STEPS).map(|step| progress(id, params, step));
                steps.chain([self.text(id, token)]).collect()
            }
            "ask" => self.ask(id, params, token),
            _ => vec![self.text(id, token)],
        }
    }

    fn ask(&mut self, id: &Value, params: &Value, token: &str) -> Vec<Act> {
        let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
        let question = json!({ "message": "who?", "requestedSchema": schema });
        if self.era == Era::Modern {
            if params.get("inputResponses").is_some() {
                return vec![self.text(id, token)];
            }
            let asks = json!({ "who": { "method": "elicitation/create", "params": question } });
            let result =
                json!({ "resultType": "input_required", "inputRequests": asks, "requestState": token });
            return vec![self.answer(id, result)];
        }
        self.asked += 1;
        self.open.insert(self.asked, (id.clone(), token.to_owned()));
        let ask =
            json!({ "jsonrpc": "2.0", "id": self.asked, "method": "elicitation/create", "params": question });
        vec![Act::Say(id.clone(), ask)]
    }

    /// The answer to a question ends the call that asked.
    fn answered(&mut self, message: &Value) -> Vec<Act> {
        let open = message["id"].as_u64().and_then(|id| self.open.remove(&id));
        open.map(|(id, token)| self.text(&id, &token)).into_iter().collect()
    }
}

fn progress(id: &Value, params: &Value, step: u64) -> Act {
    let params =
        json!({ "progressToken": params["_meta"]["progressToken"], "progress": step, "total": STEPS });
    Act::Say(id.clone(), json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
}

fn tool() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "name": "work",
        "description": "Does what its caller wants to see go wrong.",
        "inputSchema": { "type": "object", "properties": { "fault": text, "token": text } },
    })
}

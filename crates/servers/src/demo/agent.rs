//! A tool that lets the client's model use a tool (sampling with tools, since 2025-11-25): the model is asked, says
//! which of the tools it wants used and with what, is told the outcome, and is asked again, until it answers in words
//! (spec: client/sampling).

use super::{
    call::{Answer, Call, Question, Stop},
    tools::text,
};
use serde_json::{Value, json};

/// A name for each turn; who is still using tools after the last one does not get another.
const TURNS: [&str; 4] = ["turn1", "turn2", "turn3", "turn4"];

pub(super) async fn calculate(call: Call) -> Answer {
    let problem = call.arguments.text("problem").unwrap_or("What is 17.5 + 24.5?");
    let mut messages = vec![json!({"role": "user", "content": {"type": "text", "text": problem}})];
    for turn in TURNS {
        let answer = call.ask(Question::converse(turn, &messages, &adding(), 500)).await?;
        let blocks = blocks(&answer["content"]);
        let uses: Vec<_> = blocks.iter().filter(|block| block["type"] == "tool_use").collect();
        if uses.is_empty() {
            let said: Vec<_> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            return Ok(text(format!("Your model says: {}", said.join("\n"))));
        }
        let outcomes: Vec<_> = uses.into_iter().map(outcome).collect();
        messages.push(json!({"role": "assistant", "content": blocks}));
        // A message with outcomes holds nothing else.
        messages.push(json!({"role": "user", "content": outcomes}));
    }
    Err(Stop::Failed("your model went on using tools".to_owned()))
}

fn adding() -> Value {
    let numbers = json!({"type": "array", "items": {"type": "number"}, "minItems": 1});
    let schema = json!({"type": "object", "properties": {"numbers": numbers}, "required": ["numbers"]});
    json!([{"name": "sum", "description": "Adds numbers exactly", "inputSchema": schema}])
}

/// An answer has one block or several.
fn blocks(content: &Value) -> Vec<Value> {
    content.as_array().cloned().unwrap_or_else(|| vec![content.clone()])
}

fn outcome(used: &Value) -> Value {
    let numbers = used["input"]["numbers"].as_array();
    let numbers: Option<Vec<f64>> = numbers.and_then(|all| all.iter().map(Value::as_f64).collect());
    let (said, failed) = match (used["name"].as_str(), numbers) {
        (Some("sum"), Some(numbers)) => (numbers.iter().sum::<f64>().to_string(), false),
        (Some("sum"), None) => ("`numbers` must be a list of numbers".to_owned(), true),
        _ => ("there is only `sum`".to_owned(), true),
    };
    json!({"type": "tool_result", "toolUseId": used["id"], "content": [{"type": "text", "text": said}], "isError": failed})
}

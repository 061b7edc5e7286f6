//! How the client answers what a server asks: the rules of `clients/answers.py`.

use serde_json::{Map, Value, json};

pub const MODEL: &str = "interop-model";

pub fn roots() -> Value {
    json!([
        {"uri": "file:///interop/one", "name": "one"},
        {"uri": "file:///interop/two", "name": "two"},
    ])
}

pub fn elicitation(params: &Value, action: &str, ordinal: usize) -> Value {
    if action != "accept" {
        return json!({"action": action});
    }
    let message = params["message"].as_str().unwrap_or_default();
    let properties = params["requestedSchema"]["properties"].as_object();
    let answered = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.clone(), field(name, schema, message, ordinal)));
    json!({"action": "accept", "content": answered.collect::<Map<_, _>>()})
}

fn options(schema: &Value) -> Option<Value> {
    let titled = |list: &Value| list.as_array()?.last()?.get("const").cloned();
    let plain = |list: &Value| list.as_array()?.last().cloned();
    schema
        .get("enum")
        .and_then(plain)
        .or_else(|| schema.get("oneOf").or(schema.get("anyOf")).and_then(titled))
}

fn field(name: &str, schema: &Value, message: &str, ordinal: usize) -> Value {
    if name == "name" {
        return json!(format!("person {ordinal}"));
    }
    if let Some(option) = options(schema) {
        return option;
    }
    match schema["type"].as_str() {
        Some("boolean") => schema.get("default").cloned().unwrap_or(json!(true)),
        Some("integer" | "number") => {
            let bound = |key: &str, otherwise| {
                schema.get(key).and_then(Value::as_f64).map_or(otherwise, |bound| bound as u64)
            };
            let (low, high) = (bound("minimum", 1), bound("maximum", 9));
            json!(low + message.chars().count() as u64 % (high - low + 1))
        }
        Some("array") => json!([options(&schema["items"])]),
        _ => match schema["format"].as_str() {
            Some("email") => json!("person@example.com"),
            Some("uri") => json!("https://example.com/person"),
            Some("date") => json!("2026-01-02"),
            _ => json!(format!("{name} to {message}")),
        },
    }
}

pub fn sampled_text(params: &Value) -> String {
    let content = params["messages"]
        .as_array()
        .and_then(|all| all.last())
        .map_or(&Value::Null, |last| &last["content"]);
    let first = content.get(0).unwrap_or(content);
    format!("sampled: {}", first["text"].as_str().unwrap_or_default())
}

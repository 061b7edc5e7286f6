//! What is done with the table of tools: listing it for a revision, finding a tool, checking its arguments, running it,
//! and the shapes of tool results. The table itself is in `table`; handlers are in `plain`, `interactive` and `suite`.

use super::{
    call::{Answer, Call, Question, Running, Stop},
    content,
    table::{EXTRA, TOOLS},
};
use portreeve_mcp::{
    Code, Feature, RpcError, Version,
    json::{write_member, write_string},
    payload::TaskSupport,
};
use serde_json::{Value, json};

/// One tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// The input schema, as it goes out.
    pub(super) input: &'static str,
    pub(super) output: Option<&'static str>,
    pub(super) nature: Nature,
    /// Whether it runs as a task.
    pub(super) tasks: TaskSupport,
    /// What it asks before it becomes a task.
    pub(super) first: Option<fn() -> Question>,
    pub(super) run: fn(Call) -> Running,
}

/// What a tool does to the world, as hints for clients.
#[derive(Clone, Copy)]
pub(super) enum Nature {
    /// Only tells something.
    Reads,
    /// Changes the demo's own state.
    Changes,
}

impl Nature {
    fn annotations(self) -> &'static str {
        match self {
            Self::Reads => r#"{"readOnlyHint":true,"openWorldHint":false}"#,
            Self::Changes => {
                r#"{"readOnlyHint":false,"destructiveHint":false,"idempotentHint":false,"openWorldHint":false}"#
            }
        }
    }
}

/// The tool of that name.
pub(super) fn find(name: &str, extra: bool) -> Result<&'static Tool, RpcError> {
    let found = TOOLS.iter().chain(extra.then_some(&EXTRA)).find(|tool| tool.name == name);
    found.ok_or_else(|| RpcError::new(Code::INVALID_PARAMS, format!("unknown tool: {name}")))
}

/// The `tools` array, as the revision knows tools.
pub(super) fn list(version: Version, extra: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 * 1024);
    out.push(b'[');
    for (index, tool) in TOOLS.iter().chain(extra.then_some(&EXTRA)).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        let mut text = |key, value: &str| {
            let mut quoted = Vec::with_capacity(value.len() + 2);
            write_string(&mut quoted, value);
            write_member(&mut out, key, &quoted);
        };
        text("name", tool.name);
        if version.supports(Feature::StructuredContent) {
            text("title", tool.title);
        }
        text("description", tool.description);
        write_member(&mut out, "inputSchema", tool.input.as_bytes());
        if let Some(schema) = tool.output.filter(|_| knows_output(tool, version)) {
            write_member(&mut out, "outputSchema", schema.as_bytes());
        }
        if version.supports(Feature::Audio) {
            write_member(&mut out, "annotations", tool.nature.annotations().as_bytes());
        }
        // The newest revision has no such member. It is there all the same: a gateway reads the list once for callers
        // of every revision, and shows each what its revision knows.
        if let Some(execution) = execution(tool.tasks).filter(|_| version >= Version::V2025_11_25) {
            write_member(&mut out, "execution", execution);
        }
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// Whether the revision knows this tool's structured output: first there was none, then it had to be an object.
fn knows_output(tool: &Tool, version: Version) -> bool {
    let object = tool.output.is_none_or(|schema| schema.starts_with(r#"{"type":"object""#));
    let needed = if object { Feature::StructuredContent } else { Feature::AnyStructuredContent };
    version.supports(needed)
}

fn execution(tasks: TaskSupport) -> Option<&'static [u8]> {
    match tasks {
        TaskSupport::Forbidden => None,
        TaskSupport::Optional => Some(br#"{"taskSupport":"optional"}"#),
        TaskSupport::Required => Some(br#"{"taskSupport":"required"}"#),
    }
}

/// Runs a tool; bad arguments → a result that says what is wrong (spec: server/tools).
pub(super) async fn run(tool: &Tool, call: Call) -> Answer {
    let version = call.ctx.version;
    let schema: Value = serde_json::from_str(tool.input).unwrap_or(Value::Null);
    let faults = call.arguments.check(&schema);
    let answer = if faults.is_empty() {
        (tool.run)(call).await
    } else {
        Err(Stop::Failed(format!("invalid arguments: {}", faults.join("; "))))
    };
    match answer {
        Ok(result) => Ok(fit(result, tool, version)),
        Err(Stop::Failed(message)) => Ok(json!({"content": [content::text(message)], "isError": true})),
        Err(stop) => Err(stop),
    }
}

/// A result with these blocks.
pub(super) fn blocks(blocks: &[Value]) -> Value {
    json!({"content": blocks})
}

/// A result with one text.
pub(super) fn text(text: impl Into<String>) -> Value {
    blocks(&[content::text(text)])
}

/// A result with structured content, and the same as text for clients that know only that (spec: server/tools).
pub(super) fn structured(value: &Value) -> Value {
    json!({"content": [content::text(value.to_string())], "structuredContent": value})
}

fn fit(mut result: Value, tool: &Tool, version: Version) -> Value {
    if let Some(blocks) = result["content"].as_array_mut() {
        for block in blocks {
            *block = content::fit(block.take(), version);
        }
    }
    if !knows_output(tool, version)
        && let Some(result) = result.as_object_mut()
    {
        result.remove("structuredContent");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_sound() {
        let names: HashSet<_> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), TOOLS.len(), "a name twice");
        assert!(!TOOLS[0].input.contains("required"), "the first tool must answer without arguments");
        for tool in TOOLS {
            let schema: Value = serde_json::from_str(tool.input).unwrap();
            assert_eq!(schema["type"], "object", "{}", tool.name);
            for (name, property) in schema["properties"].as_object().unwrap() {
                assert!(property["type"].is_string() || property["$ref"].is_string(), "{}.{name}", tool.name);
            }
            if let Some(output) = tool.output {
                let kind = serde_json::from_str::<Value>(output).unwrap()["type"].clone();
                assert!(kind == "object" || kind == "array", "{}", tool.name);
                let first = format!(r#"{{"type":{kind}"#);
                assert!(output.starts_with(&first), "{}: its type must stand first", tool.name);
            }
            assert!(
                tool.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                "{}",
                tool.name
            );
        }
    }

    #[test]
    fn the_list_follows_the_revision_and_keeps_schemas_as_written() {
        let list = |version| String::from_utf8(list(version, false)).unwrap();
        let newest = list(Version::NEWEST);
        for tool in TOOLS {
            assert!(newest.contains(&format!("\"inputSchema\":{}", tool.input)), "{}", tool.name);
        }
        let parsed: Vec<Value> = serde_json::from_str(&newest).unwrap();
        assert_eq!(parsed.len(), TOOLS.len());
        let old: Vec<Value> = serde_json::from_str(&list(Version::V2024_11_05)).unwrap();
        let keys: Vec<_> = old[2].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["name", "description", "inputSchema"]);
        assert_eq!(parsed[2]["outputSchema"]["required"][0], "sum");
    }

    #[test]
    fn structured_output_is_shown_to_those_who_know_its_kind() {
        let rows = [
            ("add", Version::V2025_03_26, false),
            ("add", Version::V2025_06_18, true),
            ("connection", Version::V2025_06_18, true),
            ("primes", Version::V2025_11_25, false),
            ("primes", Version::V2026_07_28, true),
        ];
        for (name, version, shown) in rows {
            let tool = find(name, false).unwrap();
            let result = fit(structured(&Value::from(1)), tool, version);
            assert_eq!(result["structuredContent"].is_number(), shown, "{name} {version}");
            let list = String::from_utf8(list(version, false)).unwrap();
            let output = tool.output.map(|schema| list.contains(&format!("\"outputSchema\":{schema}")));
            assert!(output.is_none_or(|listed| listed == shown), "{name} {version}");
        }
    }
}

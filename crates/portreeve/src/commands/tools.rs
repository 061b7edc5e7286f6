//! `portreeve tools`: list the tools of one server or of all.

use super::{CommandError, Exit, Setup, client::LocalClient, runtime};
use crate::cli::{ToolsArguments, print};
use portreeve_mcp::{Method, Outcome, Params, RawJson};
use std::fmt::Write;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: &Setup, arguments: &ToolsArguments) -> Result<Exit, CommandError> {
    runtime()?.block_on(list(setup, arguments))
}

async fn list(setup: &Setup, arguments: &ToolsArguments) -> Result<Exit, CommandError> {
    let names: Vec<String> = match &arguments.server {
        Some(name) => vec![name.clone()],
        None => setup.loaded.config.servers.iter().map(|server| server.name.to_string()).collect(),
    };
    let mut exit = Exit::Done;
    let mut text = String::new();
    let mut document = serde_json::Map::new();
    for name in &names {
        let client = LocalClient::new(setup, name)?;
        let outcome = client.request(Method::ToolsList, Params::default()).await;
        client.end().await;
        match outcome {
            Outcome::Result(result) => {
                describe(&mut text, name, &result);
                document.insert(
                    name.clone(),
                    serde_json::json!({"tools": result.get("tools").map(|tools| tools.to_value())}),
                );
            }
            Outcome::Error(error) => {
                exit = super::client::exit_of(&error);
                // Writing into a `String` cannot fail.
                let _ = writeln!(text, "{name}: {}", error.message);
                document.insert(name.clone(), serde_json::json!({"error": error.message.as_str()}));
            }
        }
    }
    if arguments.json {
        text = format!("{:#}\n", serde_json::Value::Object(document));
    }
    print(text.as_bytes())?;
    Ok(exit)
}

fn describe(out: &mut String, server: &str, result: &RawJson) {
    let tools = result.get("tools").and_then(|tools| tools.elements()).unwrap_or_default();
    // Writing into a `String` cannot fail.
    let _ = writeln!(out, "{server}: {} tools", tools.len());
    for tool in tools {
        let part = |key| tool.get(key).and_then(|raw: RawJson| raw.string_value());
        let description = part("description").map(|text| text.to_string()).unwrap_or_default();
        let first = description.lines().next().unwrap_or_default();
        let _ = writeln!(out, "  {:32} {first}", part("name").as_deref().unwrap_or_default());
    }
}

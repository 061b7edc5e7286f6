//! `portreeve call`: call one tool from a terminal; progress and questions go to stderr.

use super::{
    CommandError, Exit, Setup,
    client::{LocalClient, exit_of, told},
    form, runtime,
};
use crate::cli::{CallArguments, print};
use portreeve_mcp::{Method, Outcome, Params, RawJson, json};
use std::io::{self, Read, Write};

/// The longest arguments that are read from stdin.
const LONGEST: u64 = 4 << 20;

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: &Setup, arguments: &CallArguments) -> Result<Exit, CommandError> {
    let given = read_arguments(&arguments.arguments)?;
    runtime()?.block_on(call(setup, arguments, &given))
}

fn read_arguments(given: &str) -> Result<RawJson, CommandError> {
    let usage = |error: &dyn std::fmt::Display| {
        CommandError::plain(Exit::Usage, format!("the arguments are no JSON object: {error}"))
    };
    let text =
        if given == "-" {
            let mut text = String::new();
            io::stdin().lock().take(LONGEST).read_to_string(&mut text).map_err(|error| {
                CommandError::new(Exit::Usage, "cannot read the arguments from stdin", error)
            })?;
            text
        } else {
            given.to_owned()
        };
    let raw = RawJson::from_text(&text).map_err(|error| usage(&error))?;
    raw.members().map_err(|error| usage(&error))?;
    Ok(raw)
}

async fn call(setup: &Setup, arguments: &CallArguments, given: &RawJson) -> Result<Exit, CommandError> {
    let client = LocalClient::new(setup, &arguments.server)?;
    let outcome = to_the_end(&client, &arguments.tool, given).await;
    client.end().await;
    match outcome? {
        Outcome::Error(error) => {
            Err(CommandError::plain(exit_of(&error), format!("{} ({})", error.message, error.code.0)))
        }
        Outcome::Result(result) => {
            let failed = result.get("isError").is_some_and(|flag| flag.as_bytes() == b"true");
            let shown = if arguments.json { format!("{:#}\n", result.to_value()) } else { content(&result) };
            print(shown.as_bytes())?;
            Ok(if failed { Exit::Failed } else { Exit::Done })
        }
    }
}

/// Calls, answers what is asked, and calls again until there is a result.
async fn to_the_end(client: &LocalClient, tool: &str, given: &RawJson) -> Result<Outcome, CommandError> {
    let mut params = Params::default();
    params.set("name", RawJson::string(tool));
    params.set("arguments", given.clone());
    loop {
        let heard = |message: &[u8]| {
            if let Some(text) = told(message) {
                say(&text);
            }
        };
        let outcome = client.ask(Method::ToolsCall, params.clone(), heard).await;
        let Outcome::Result(result) = &outcome else { return Ok(outcome) };
        if result.get("resultType").is_none_or(|kind| kind.as_bytes() != b"\"input_required\"") {
            return Ok(outcome);
        }
        let asked = result.get("inputRequests").unwrap_or(RawJson::EMPTY_OBJECT);
        let answered = tokio::task::spawn_blocking(move || answers(&asked)).await;
        let answered = answered
            .map_err(|error| CommandError::new(Exit::Failed, "the terminal cannot be read", error))?
            .map_err(|error| CommandError::new(Exit::Failed, "the terminal cannot be read", error))?;
        params.set("inputResponses", answered);
        match result.get("requestState") {
            Some(state) => params.set("requestState", state),
            None => {
                params.take("requestState");
            }
        }
    }
}

/// Puts each question to the person.
fn answers(asked: &RawJson) -> io::Result<RawJson> {
    let mut out = Vec::from(*b"{");
    for question in asked.members().unwrap_or_default() {
        let params = question.value.get("params").unwrap_or(RawJson::EMPTY_OBJECT);
        let answer = form::ask(&params, &mut io::stdin().lock(), &mut io::stderr().lock())?;
        json::write_member(&mut out, &question.key, RawJson::from(answer).as_bytes());
    }
    out.push(b'}');
    Ok(RawJson::built(out))
}

fn say(text: &str) {
    // Nobody can be told that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The content blocks as a person reads them.
fn content(result: &RawJson) -> String {
    let mut out = String::new();
    for block in result.get("content").and_then(|content| content.elements()).unwrap_or_default() {
        let part = |key: &str| block.get(key).and_then(|raw| raw.string_value()).map(|text| text.to_string());
        let line = match part("type").as_deref() {
            Some("text") => part("text").unwrap_or_default(),
            Some(kind @ ("image" | "audio")) => {
                let size = part("data").map_or(0, |data| data.len() / 4 * 3);
                format!(
                    "[{kind} {}, about {size} bytes; --json shows it]",
                    part("mimeType").unwrap_or_default()
                )
            }
            Some("resource_link") => format!("[resource {}]", part("uri").unwrap_or_default()),
            _ => block.as_str().to_owned(),
        };
        out.push_str(&line);
        out.push('\n');
    }
    if out.is_empty()
        && let Some(structured) = result.get("structuredContent")
    {
        out = format!("{:#}\n", structured.to_value());
    }
    out
}

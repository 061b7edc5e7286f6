//! Tools whose names, arguments and answers the protocol's conformance suite prescribes, as far as they ask nothing.
//! The questions are in `interactive`.

use super::{
    call::{Answer, Call, Stop},
    content,
    tools::{blocks, text},
};
use portreeve_mcp::LogLevel;
use serde_json::Value;
use std::time::Duration;

/// Keywords of JSON Schema 2020-12 that a gateway must not lose: it goes out byte for byte.
pub(super) const JSON_SCHEMA: &str = concat!(
    r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"address":{"##,
    r##""$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},"##,
    r##""properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"##,
    r##""contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},"##,
    r##""allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],"##,
    r##""if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"##,
    r##""then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}"##,
);

/// The suite wants to see that messages are spread over time.
const STEP_MS: u64 = 50;

pub(super) async fn simple_text(_call: Call) -> Answer {
    Ok(text("This is a simple text response for testing."))
}

pub(super) async fn image(_call: Call) -> Answer {
    Ok(blocks(&[content::image()]))
}

pub(super) async fn audio(_call: Call) -> Answer {
    Ok(blocks(&[content::audio()]))
}

pub(super) async fn embedded(_call: Call) -> Answer {
    let text = "This is an embedded resource content.";
    Ok(blocks(&[content::embedded("test://embedded-resource", "text/plain", text)]))
}

pub(super) async fn mixed(_call: Call) -> Answer {
    let json = r#"{"test":"data","value":123}"#;
    Ok(blocks(&[
        content::text("Multiple content types test:"),
        content::image(),
        content::embedded("test://mixed-content-resource", "application/json", json),
    ]))
}

pub(super) async fn logging(call: Call) -> Answer {
    call.log(LogLevel::Info, "Tool execution started").await;
    call.pause(STEP_MS).await;
    call.log(LogLevel::Info, "Tool processing data").await;
    call.pause(STEP_MS).await;
    call.log(LogLevel::Info, "Tool execution completed").await;
    Ok(text("Three messages were logged, if you asked for any."))
}

pub(super) async fn error(_call: Call) -> Answer {
    Err(Stop::Failed("This tool intentionally returns an error for testing".to_owned()))
}

pub(super) async fn progress(call: Call) -> Answer {
    for done in [0, 50, 100] {
        call.progress(done, 100, "working").await;
        if done < 100 {
            call.pause(STEP_MS).await;
        }
    }
    Ok(text("Progress was reported three times."))
}

pub(super) async fn reconnection(call: Call) -> Answer {
    call.hang_up(Duration::from_millis(STEP_MS)).await;
    call.pause(2 * STEP_MS).await;
    Ok(text("Still here."))
}

pub(super) async fn json_schema(call: Call) -> Answer {
    Ok(text(format!("Received {}", Value::Object(call.arguments.all().clone()))))
}

pub(super) async fn tool_change(call: Call) -> Answer {
    call.demo.lists.toggle_tool();
    Ok(text("The list of tools has changed."))
}

pub(super) async fn prompt_change(call: Call) -> Answer {
    call.demo.lists.toggle_prompt();
    Ok(text("The list of prompts has changed."))
}

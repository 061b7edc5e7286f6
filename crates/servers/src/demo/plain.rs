//! The tools that need nobody's answer: content, structure, progress, logs, changes.

use super::{
    call::{Answer, Call, Stop},
    content,
    tools::{blocks, structured, text},
};
use portreeve_mcp::{Era, LogLevel};
use serde_json::{Value, json};

pub(super) async fn hello(call: Call) -> Answer {
    Ok(text(format!("Hello, {}!", call.arguments.text("name").unwrap_or("world"))))
}

pub(super) async fn echo(call: Call) -> Answer {
    Ok(text(call.arguments.text("text").unwrap_or_default()))
}

pub(super) async fn add(call: Call) -> Answer {
    let sum = call.arguments.number("a").unwrap_or_default() + call.arguments.number("b").unwrap_or_default();
    // A whole sum is told as a whole number, as people write it.
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, as checked")]
    let sum = if sum.fract() == 0.0 && sum.abs() < 9e15 { json!(sum as i64) } else { json!(sum) };
    Ok(structured(&json!({"sum": sum})))
}

pub(super) async fn weather(call: Call) -> Answer {
    let city = call.arguments.text("city").unwrap_or_default();
    let number = city.chars().fold(7u32, |sum, letter| sum.wrapping_mul(31).wrapping_add(u32::from(letter)));
    let sky = ["clear", "cloudy", "rain", "fog"][(number / 64 % 4) as usize];
    Ok(structured(&json!({"city": city, "celsius": number % 40, "sky": sky})))
}

pub(super) async fn primes(call: Call) -> Answer {
    let count = usize::try_from(call.arguments.whole("count").unwrap_or(5)).unwrap_or(5);
    let is_prime =
        |number: &u32| (2..*number).take_while(|d| d * d <= *number).all(|d| !number.is_multiple_of(d));
    let found: Vec<_> = (2..).filter(is_prime).take(count).collect();
    Ok(structured(&json!(found)))
}

pub(super) async fn show_content(_call: Call) -> Answer {
    Ok(blocks(&[
        content::text("One block of each kind follows."),
        content::image(),
        content::audio(),
        content::link("demo://manual", "manual", "text/markdown"),
        content::embedded("demo://embedded", "text/plain", "A resource inside the answer."),
    ]))
}

pub(super) async fn countdown(call: Call) -> Answer {
    let steps = call.arguments.whole("steps").unwrap_or(5);
    let interval = call.arguments.whole("interval_ms").unwrap_or(1000);
    for step in 1..=steps {
        call.pause(interval).await;
        call.progress(step, steps, &format!("{} to go", steps - step)).await;
    }
    Ok(text(format!("Counted {steps} steps.")))
}

pub(super) async fn large_text(call: Call) -> Answer {
    const LINE: &str = "All work and no play makes a long answer, sixty-four bytes wide\n";
    let kilobytes = usize::try_from(call.arguments.whole("kilobytes").unwrap_or(1)).unwrap_or(1);
    Ok(text(LINE.repeat(kilobytes * (1024 / LINE.len()))))
}

pub(super) async fn fail(call: Call) -> Answer {
    let message = call.arguments.text("message").unwrap_or("This tool always fails.");
    Err(Stop::Failed(message.to_owned()))
}

pub(super) async fn log_messages(call: Call) -> Answer {
    let levels = [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Notice,
        LogLevel::Warning,
        LogLevel::Error,
        LogLevel::Critical,
        LogLevel::Alert,
        LogLevel::Emergency,
    ];
    for level in levels {
        call.log(level, &format!("a message of level {}", level.as_str())).await;
    }
    let wanted = call.ctx.log_level.map_or("none: no level was asked for", LogLevel::as_str);
    Ok(text(format!("Logged one message of each level; you asked for {wanted}.")))
}

pub(super) async fn connection(call: Call) -> Answer {
    let era = if call.era() == Era::Legacy { "legacy" } else { "modern" };
    Ok(structured(&json!({
        "protocolVersion": call.ctx.version.as_str(),
        "era": era,
        "capabilities": call.ctx.capabilities.raw().to_value(),
        "clientInfo": call.ctx.client_info.as_ref().map_or(Value::Null, |info| info.to_value()),
        "logLevel": call.ctx.log_level.map(LogLevel::as_str),
        "progress": call.ctx.wants_progress,
        "process": std::process::id(),
    })))
}

pub(super) async fn status(call: Call) -> Answer {
    let counts = call.demo.counts.read();
    // The call that asks does not count itself.
    let running = counts.running.saturating_sub(1);
    Ok(structured(&json!({"running": running, "finished": counts.finished, "cancelled": counts.cancelled})))
}

pub(super) async fn query_region(call: Call) -> Answer {
    let region = call.arguments.text("region").unwrap_or("everywhere");
    let limit = call.arguments.whole("limit").unwrap_or(10);
    let detail = if call.arguments.flag("detailed") { "with" } else { "without" };
    let query = call.arguments.text("query").unwrap_or("anything");
    Ok(text(format!("Looked for {query} in {region}, at most {limit}, {detail} details.")))
}

pub(super) async fn update_resource(call: Call) -> Answer {
    let uri = call.arguments.text("uri").unwrap_or("demo://note");
    call.demo.lists.write(uri, call.arguments.text("text").unwrap_or_default());
    Ok(text(format!("Updated {uri}.")))
}

pub(super) async fn change_list(call: Call) -> Answer {
    let list = call.arguments.text("list").unwrap_or_default();
    let now = match list {
        "tools" => call.demo.lists.toggle_tool(),
        "prompts" => call.demo.lists.toggle_prompt(),
        _ => call.demo.lists.toggle_resource(),
    };
    Ok(text(format!("The list of {list} now has {} extra entry.", if now { "an" } else { "no" })))
}

pub(super) async fn extra(_call: Call) -> Answer {
    Ok(text("You caught me while the list was changed."))
}

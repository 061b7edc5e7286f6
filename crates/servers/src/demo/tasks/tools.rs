//! The tools that can, or have to, run as tasks. Their names and arguments are those that the protocol's conformance
//! suite calls. Each is written like any other tool; where its questions go is the call's business.

use super::super::{
    call::{Answer, Call, Question, Stop},
    interactive::{entered, field_form},
    tools::text,
};
use portreeve_mcp::{Code, RpcError};
use serde_json::{Value, json};

/// How long something that is about to fail takes.
const SHORT_MS: u64 = 1000;
/// How often a slow tool says how far it is.
const STEP_MS: u64 = 1000;

pub(in super::super) async fn slow_compute(call: Call) -> Answer {
    let whole = call.arguments.number("seconds").unwrap_or(1.0) * 1000.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the schema bounds it")]
    let whole = whole as u64;
    let label = call.arguments.text("label").unwrap_or("nothing in particular").to_owned();
    let mut done = 0;
    while done < whole {
        let step = STEP_MS.min(whole - done);
        call.pause(step).await;
        done += step;
        call.progress(done, whole, &format!("{done} of {whole} ms")).await;
    }
    Ok(text(format!("Computed {label} for {whole} ms.")))
}

pub(in super::super) async fn failing_job(call: Call) -> Answer {
    call.pause(SHORT_MS).await;
    Err(Stop::Failed("This job always fails.".to_owned()))
}

pub(in super::super) async fn protocol_error_job(call: Call) -> Answer {
    call.pause(SHORT_MS / 10).await;
    Err(RpcError::new(Code::INTERNAL, "this job always breaks").into())
}

pub(in super::super) async fn confirm_delete(call: Call) -> Answer {
    let file = call.arguments.text("filename").unwrap_or("nothing").to_owned();
    let form =
        json!({"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]});
    let answer = call.ask(Question::form("confirm", &format!("Delete {file}?"), &form)).await?;
    let sure = answer["action"] == "accept" && answer["content"]["confirm"] == Value::Bool(true);
    Ok(text(if sure { format!("{file} would be gone now.") } else { format!("{file} stays.") }))
}

pub(in super::super) async fn multi_input(call: Call) -> Answer {
    let answers = call
        .ask_all(vec![
            Question::form("first", "What is the first name?", &field_form("name", "First")),
            Question::form("second", "What is the second name?", &field_form("name", "Second")),
        ])
        .await?;
    Ok(text(format!("{} and {}.", entered(&answers[0], "name")?, entered(&answers[1], "name")?)))
}

/// What `test_tool_with_task` asks before it becomes a task.
pub(in super::super) fn user_name() -> Question {
    Question::form("user_name", "What is your name?", &field_form("name", "Your name"))
}

pub(in super::super) async fn with_task(call: Call) -> Answer {
    let answer = call.ask(user_name()).await?;
    call.progress(1, 2, "greeting").await;
    call.pause(SHORT_MS / 10).await;
    Ok(text(format!("Hello, {}!", entered(&answer, "name")?)))
}

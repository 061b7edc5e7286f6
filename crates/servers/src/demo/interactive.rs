//! The tools that ask: the person (elicitation), the client's model (sampling), the client (roots).
//! Each is written once; `Call` asks in the way of the caller's era. In the modern era a tool runs again from its
//! start with each round of answers, so nothing here has an effect before its last question is answered.

use super::{
    call::{Answer, Call, Question, Stop},
    need::Need,
    tools::text,
};
use serde_json::{Value, json};

fn name_form() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]})
}

fn colour_form() -> Value {
    json!({"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]})
}

pub(super) fn field_form(field: &str, title: &str) -> Value {
    json!({"type": "object", "properties": {field: {"type": "string", "title": title, "minLength": 1}}, "required": [field]})
}

/// What the person entered, or what they did instead.
pub(super) fn entered<'a>(answer: &'a Value, field: &str) -> Result<&'a str, Stop> {
    match answer["action"].as_str() {
        Some("accept") => answer["content"][field]
            .as_str()
            .ok_or_else(|| Stop::Failed(format!("the answer has no `{field}`"))),
        Some("decline") => Err(Stop::Failed("You declined to answer.".to_owned())),
        _ => Err(Stop::Failed("You closed the question.".to_owned())),
    }
}

/// The answer as one line, whatever it was.
fn told(answer: &Value) -> String {
    format!("action={}, content={}", answer["action"].as_str().unwrap_or("none"), answer["content"])
}

/// The text of a sampling answer; newer clients may give several blocks.
fn sampled(answer: &Value) -> String {
    match &answer["content"] {
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        block => block["text"].as_str().unwrap_or("(no text)").to_owned(),
    }
}

fn listed(answer: &Value) -> String {
    let roots = answer["roots"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines: Vec<_> = roots
        .iter()
        .map(|root| match (root["name"].as_str(), root["uri"].as_str().unwrap_or_default()) {
            (Some(name), uri) => format!("{name}: {uri}"),
            (None, uri) => uri.to_owned(),
        })
        .collect();
    if lines.is_empty() {
        "The client has no roots.".to_owned()
    } else {
        format!("Roots:\n{}", lines.join("\n"))
    }
}

pub(super) async fn ask_name(call: Call) -> Answer {
    let form = field_form("name", "Your name");
    let answer = call.ask(Question::form("name", "What is your name?", &form)).await?;
    Ok(text(format!("Hello, {}!", entered(&answer, "name")?)))
}

pub(super) async fn order_coffee(call: Call) -> Answer {
    let form = json!({
        "type": "object",
        "properties": {
            "size": {"type": "string", "title": "Size", "enum": ["small", "medium", "large"], "default": "medium"},
            "shots": {"type": "integer", "title": "Shots", "minimum": 1, "maximum": 4, "default": 1},
            "sugar": {"type": "number", "title": "Spoons of sugar", "minimum": 0, "maximum": 5, "default": 0},
            "decaf": {"type": "boolean", "title": "Without caffeine", "default": false},
            "name": {"type": "string", "title": "Name on the cup", "minLength": 1, "maxLength": 40},
            "mail": {"type": "string", "title": "Where to send the bill", "format": "email"}
        },
        "required": ["size", "name"]
    });
    let answer = call.ask(Question::form("order", "What would you like?", &form)).await?;
    let size = entered(&answer, "size")?;
    Ok(text(format!("One {size} coffee for {}: {}", entered(&answer, "name")?, answer["content"])))
}

pub(super) async fn ask_two(call: Call) -> Answer {
    let answers = call
        .ask_all(vec![
            Question::form("first", "What is your first name?", &field_form("first", "First name")),
            Question::form("last", "What is your last name?", &field_form("last", "Last name")),
        ])
        .await?;
    Ok(text(format!("Hello, {} {}!", entered(&answers[0], "first")?, entered(&answers[1], "last")?)))
}

pub(super) async fn interview(call: Call) -> Answer {
    let answer =
        call.ask(Question::form("name", "What is your name?", &field_form("name", "Your name"))).await?;
    let name = entered(&answer, "name")?;
    let message = format!("What is your favourite colour, {name}?");
    let answer = call.ask(Question::form("colour", &message, &field_form("colour", "Colour"))).await?;
    Ok(text(format!("{name} likes {}.", entered(&answer, "colour")?)))
}

pub(super) async fn ask_model(call: Call) -> Answer {
    let prompt = call.arguments.text("prompt").unwrap_or_default().to_owned();
    let answer = call.ask(Question::sample("model", &prompt, 500)).await?;
    Ok(text(format!("Your model says: {}", sampled(&answer))))
}

/// The page is nobody's: what counts is that the person is led to it, and that the server says when it saw them there.
pub(super) async fn open_page(call: Call) -> Answer {
    const PAGE: &str = "https://example.com/";
    let id = call.page_id()?;
    let answer = call.ask(Question::page("page", "Please open this page", PAGE, id.as_deref())).await?;
    match answer["action"].as_str() {
        Some("accept") => {
            call.page_done(id).await;
            Ok(text(format!("You went to {PAGE}")))
        }
        Some("decline") => Err(Stop::Failed("You declined to open it.".to_owned())),
        _ => Err(Stop::Failed("You closed the question.".to_owned())),
    }
}

pub(super) async fn list_roots(call: Call) -> Answer {
    Ok(text(listed(&call.ask(Question::roots("roots")).await?)))
}

pub(super) async fn sampling(call: Call) -> Answer {
    let prompt = call.arguments.text("prompt").unwrap_or_default().to_owned();
    let answer = call.ask(Question::sample("completion", &prompt, 100)).await?;
    Ok(text(format!("LLM response: {}", sampled(&answer))))
}

pub(super) async fn elicitation(call: Call) -> Answer {
    let form = json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"}
        },
        "required": ["username", "email"]
    });
    let message = call.arguments.text("message").unwrap_or_default().to_owned();
    let answer = call.ask(Question::form("user", &message, &form)).await?;
    Ok(text(format!("User response: {}", told(&answer))))
}

pub(super) async fn defaults(call: Call) -> Answer {
    let form = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true}
        },
        "required": []
    });
    let answer = call.ask(Question::form("profile", "Please check these values", &form)).await?;
    Ok(text(format!("Elicitation completed: {}", told(&answer))))
}

pub(super) async fn enums(call: Call) -> Answer {
    let titled = |first: &str, second: &str, third: &str| json!([{"const": "value1", "title": first}, {"const": "value2", "title": second}, {"const": "value3", "title": third}]);
    let form = json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
            "titledSingle": {"type": "string", "oneOf": titled("First Option", "Second Option", "Third Option")},
            "legacyEnum": {
                "type": "string", "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"]
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("First Choice", "Second Choice", "Third Choice")}}
        },
        "required": []
    });
    let answer = call.ask(Question::form("choices", "Please choose", &form)).await?;
    Ok(text(format!("Elicitation completed: {}", told(&answer))))
}

/// The error is this tool's purpose, so it is the same one in both eras.
pub(super) async fn needs_sampling(call: Call) -> Answer {
    let question = Question::sample("needed", "Say something", 50);
    if !call.can_be_asked(&question) {
        return Err(Need::of(&question).missing().into());
    }
    let answer = call.ask(question).await?;
    Ok(text(sampled(&answer)))
}

pub(super) async fn streaming(call: Call) -> Answer {
    if call.round() == 0 {
        call.progress(1, 2, "about to ask").await;
    }
    let answer = call.ask(Question::form("user_name", "What is your name?", &name_form())).await?;
    Ok(text(format!("Streamed: {}", told(&answer))))
}

pub(super) async fn one_form(call: Call) -> Answer {
    let answer = call.ask(Question::form("user_name", "What is your name?", &name_form())).await?;
    Ok(text(format!("Hello, {}!", entered(&answer, "name")?)))
}

pub(super) async fn capital(call: Call) -> Answer {
    let question = Question::sample("capital_question", "What is the capital of France?", 100);
    Ok(text(sampled(&call.ask(question).await?)))
}

pub(super) async fn client_roots(call: Call) -> Answer {
    Ok(text(listed(&call.ask(Question::roots("client_roots")).await?)))
}

pub(super) async fn confirm(call: Call) -> Answer {
    let call = call.only_with_state();
    let form = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
    let answer = call.ask(Question::form("confirm", "Please confirm", &form)).await?;
    Ok(text(format!("state-ok: {}", told(&answer))))
}

pub(super) async fn three(call: Call) -> Answer {
    let answers = call
        .ask_all(vec![
            Question::form("user_name", "What is your name?", &name_form()),
            Question::sample("greeting", "Generate a greeting", 50),
            Question::roots("client_roots"),
        ])
        .await?;
    let name = entered(&answers[0], "name")?;
    Ok(text(format!("{name}: {} {}", sampled(&answers[1]), listed(&answers[2]))))
}

pub(super) async fn two_rounds(call: Call) -> Answer {
    let answer = call.ask(Question::form("step1", "Step 1: What is your name?", &name_form())).await?;
    let name = entered(&answer, "name")?;
    let question = Question::form("step2", "Step 2: What is your favorite color?", &colour_form());
    let answer = call.ask(question).await?;
    Ok(text(format!("{name} likes {}.", entered(&answer, "color")?)))
}

pub(super) async fn declared(call: Call) -> Answer {
    let questions = [
        Question::form("user_name", "What is your name?", &name_form()),
        Question::sample("greeting", "Generate a greeting", 50),
        Question::roots("client_roots"),
    ];
    let can: Vec<_> = questions.into_iter().filter(|question| call.can_be_asked(question)).collect();
    if can.is_empty() {
        return Err(Need::Form.missing().into());
    }
    let answers = call.ask_all(can).await?;
    Ok(text(format!("{} answers: {}", answers.len(), Value::Array(answers))))
}

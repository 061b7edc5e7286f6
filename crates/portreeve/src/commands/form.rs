//! Questions of a server at a terminal (spec: client/elicitation): the form is asked field by field, a URL is shown.
//! An end of input, or an empty answer to the first question, cancels; nothing is sent that was not typed or agreed to.

use serde_json::{Map, Value, json};
use std::io::{self, BufRead, Write};

/// Asks one question and returns the `ElicitResult`.
pub(super) fn ask(
    params: &portreeve_mcp::RawJson,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<Value> {
    let params = params.to_value();
    writeln!(out, "\nThe server asks: {}", shown(params.get("message")))?;
    if let Some(url) = params.get("url").and_then(Value::as_str) {
        writeln!(out, "  to be opened in a browser: {}", clean(url))?;
        return agree(input, out);
    }
    let fields =
        params.pointer("/requestedSchema/properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let required: Vec<&str> = params
        .pointer("/requestedSchema/required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    if fields.is_empty() {
        return agree(input, out);
    }
    writeln!(out, "  (`!decline` refuses, `!cancel` or the end of input cancels)")?;
    let mut content = Map::new();
    for (name, schema) in &fields {
        match field(name, schema, required.contains(&name.as_str()), input, out)? {
            Typed::Value(value) => {
                content.insert(name.clone(), value);
            }
            Typed::Nothing => {}
            Typed::Decline => return Ok(json!({"action": "decline"})),
            Typed::Cancel => return Ok(json!({"action": "cancel"})),
        }
    }
    Ok(json!({"action": "accept", "content": content}))
}

fn agree(input: &mut impl BufRead, out: &mut impl Write) -> io::Result<Value> {
    write!(out, "  [y] accept, [n] decline, [c] cancel: ")?;
    out.flush()?;
    let action = match line(input)?.as_deref() {
        Some("y" | "yes") => "accept",
        Some("n" | "no") => "decline",
        _ => "cancel",
    };
    Ok(if action == "accept" { json!({"action": action, "content": {}}) } else { json!({"action": action}) })
}

enum Typed {
    Value(Value),
    Nothing,
    Decline,
    Cancel,
}

/// Asks for one field until the answer fits its schema.
fn field(
    name: &str,
    schema: &Value,
    required: bool,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<Typed> {
    let title = schema.get("title").and_then(Value::as_str).unwrap_or(name);
    if let Some(description) = schema.get("description").and_then(Value::as_str) {
        writeln!(out, "  {}", clean(description))?;
    }
    let options = options(schema);
    for (value, label) in &options {
        let label = if value == label { String::new() } else { format!("  {}", clean(label)) };
        writeln!(out, "    - {}{label}", clean(value))?;
    }
    let default = schema.get("default");
    loop {
        let hint = default.map(|value| format!(" [{}]", shown(Some(value)))).unwrap_or_default();
        write!(out, "  {}{}{hint}: ", clean(title), if required { "" } else { " (optional)" })?;
        out.flush()?;
        let typed = match line(input)?.as_deref() {
            None | Some("!cancel") => return Ok(Typed::Cancel),
            Some("!decline") => return Ok(Typed::Decline),
            Some("") => match default {
                Some(value) => return Ok(Typed::Value(value.clone())),
                None if !required => return Ok(Typed::Nothing),
                None => Err("an answer is needed"),
            },
            Some(text) => read(text, schema, &options),
        };
        match typed {
            Ok(value) => return Ok(Typed::Value(value)),
            Err(why) => writeln!(out, "  {why}")?,
        }
    }
}

/// The values to choose from, each with its label.
fn options(schema: &Value) -> Vec<(String, String)> {
    let source = schema.get("items").unwrap_or(schema);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let titled = source.get("oneOf").or_else(|| source.get("anyOf")).and_then(Value::as_array);
    if let Some(titled) = titled {
        let pair = |option: &Value| {
            let value = option.get("const").and_then(text)?;
            Some((value.clone(), option.get("title").and_then(text).unwrap_or(value)))
        };
        return titled.iter().filter_map(pair).collect();
    }
    let values: Vec<String> = source
        .get("enum")
        .and_then(Value::as_array)
        .map(|values| values.iter().filter_map(text).collect())
        .unwrap_or_default();
    let names = schema.get("enumNames").and_then(Value::as_array);
    let label = |at: usize, value: &String| {
        names.and_then(|names| names.get(at)).and_then(text).unwrap_or_else(|| value.clone())
    };
    values.iter().enumerate().map(|(at, value)| (value.clone(), label(at, value))).collect()
}

fn read(text: &str, schema: &Value, options: &[(String, String)]) -> Result<Value, &'static str> {
    let known = |value: &str| options.is_empty() || options.iter().any(|(option, _)| option == value);
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => match text {
            "y" | "yes" | "true" => Ok(json!(true)),
            "n" | "no" | "false" => Ok(json!(false)),
            _ => Err("yes or no"),
        },
        Some("integer") => text.parse::<i64>().map(|number| json!(number)).map_err(|_| "a whole number"),
        Some("number") => text.parse::<f64>().map(|number| json!(number)).map_err(|_| "a number"),
        Some("array") => {
            let chosen: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            if chosen.iter().all(|value| known(value)) {
                Ok(json!(chosen))
            } else {
                Err("some of the listed values, with commas between them")
            }
        }
        _ if known(text) => Ok(json!(text)),
        _ => Err("one of the listed values"),
    }
}

fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    let read = input.read_line(&mut text)?;
    Ok((read > 0).then(|| text.trim().to_owned()))
}

/// A server's text without anything that moves a terminal's cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => clean(text),
        Some(other) => clean(&other.to_string()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portreeve_mcp::RawJson;

    fn asked(params: &str, typed: &str) -> (Value, String) {
        let mut out = Vec::new();
        let answer = ask(&RawJson::from_text(params).unwrap(), &mut typed.as_bytes(), &mut out).unwrap();
        (answer, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_form_is_asked_field_by_field_until_each_answer_fits() {
        let params = r#"{"message":"Deploy?","requestedSchema":{"type":"object","properties":{
            "replicas":{"type":"integer","title":"Replicas"},
            "colour":{"type":"string","enum":["red","blue"]},
            "sure":{"type":"boolean","default":false},
            "tags":{"type":"array","items":{"enum":["a","b"]}},
            "note":{"type":"string"}},"required":["replicas","colour"]}}"#;
        let (answer, out) = asked(params, "x\n3\ngreen\nred\n\na, b\n\n");
        assert_eq!(
            answer,
            json!({"action":"accept","content":{"replicas":3,"colour":"red","sure":false,"tags":["a","b"]}})
        );
        assert!(out.contains("a whole number") && out.contains("one of the listed values"), "{out}");
    }

    #[test]
    fn declining_cancelling_and_the_end_of_input_differ() {
        let params = r#"{"message":"?","requestedSchema":{"properties":{"a":{"type":"string"}}}}"#;
        assert_eq!(asked(params, "!decline\n").0, json!({"action":"decline"}));
        assert_eq!(asked(params, "!cancel\n").0, json!({"action":"cancel"}));
        assert_eq!(asked(params, "").0, json!({"action":"cancel"}));
        assert_eq!(
            asked(r#"{"mode":"url","message":"?","url":"https://x"}"#, "y\n").0,
            json!({"action":"accept","content":{}})
        );
    }

    #[test]
    fn a_server_cannot_move_the_cursor() {
        let (_, out) = asked("{\"message\":\"\\u001b[2Jhello\"}", "");
        assert!(!out.contains('\u{1b}'), "{out:?}");
    }
}

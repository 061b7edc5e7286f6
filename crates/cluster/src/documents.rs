//! YAML texts of several documents as plain data: what `kubectl` would read. Scalars mean what they mean in YAML 1.2. Places are
//! lines of the whole text. Inputs are not read here: theirs is `inputs::read`, which knows what each setting may be.

use portreeve_yaml::{Data, Node, Scalar, Style};
use serde_json::{Map, Value};

/// Why a text is not data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The line that it begins at.
    pub line: usize,
    /// What it holds.
    pub value: Value,
}

/// Reads every document of a text; those that hold nothing are left out.
///
/// # Errors
/// The first place where it is no YAML, or where a key is there twice.
pub fn read(text: &str) -> Result<Vec<Document>, Fault> {
    let mut documents = Vec::new();
    for (before, part) in parts(text) {
        let fault = |fault: Fault| Fault { line: fault.line + before, ..fault };
        let node = portreeve_yaml::parse(part)
            .map_err(|error| fault(Fault { line: error.mark.line, what: error.what }))?;
        let value = value(&node).map_err(fault)?;
        if !value.is_null() {
            documents.push(Document { line: before + node.mark.line, value });
        }
    }
    Ok(documents)
}

/// The documents as texts, each with the number of lines before it. A marker inside a block of text is indented and no marker.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut before, mut lines, mut at) = (0, 0, 0, 0);
    for line in text.split_inclusive('\n') {
        let marker = line.trim_end();
        if marker == "---" || marker.starts_with("--- ") {
            parts.push((before, &text[start..at]));
            (start, before) = (at + line.len(), lines + 1);
        }
        lines += 1;
        at += line.len();
    }
    parts.push((before, &text[start..]));
    parts
}

fn value(node: &Node) -> Result<Value, Fault> {
    Ok(match &node.data {
        Data::Empty => Value::Null,
        Data::Scalar(found) => scalar(found),
        Data::List(items) => Value::Array(items.iter().map(value).collect::<Result<_, _>>()?),
        Data::Map(entries) => {
            let mut map = Map::with_capacity(entries.len());
            for entry in entries {
                if map.insert(entry.key.clone(), value(&entry.value)?).is_some() {
                    let what = format!("`{}` is there twice", entry.key);
                    return Err(Fault { line: entry.mark.line, what });
                }
            }
            Value::Object(map)
        }
    })
}

fn scalar(scalar: &Scalar) -> Value {
    let text = scalar.text.as_str();
    if scalar.style == Style::Quoted {
        return Value::from(text);
    }
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    let digits = text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(number) if digits && number.is_finite() => Value::from(number),
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_read_with_their_lines() {
        let read =
            read("---\n# nothing\n---\na: 1\n---\nb: |\n  ---\n  x\nc: [~, 'y', 1.5, 0x, yes]\n").unwrap();
        let lines: Vec<usize> = read.iter().map(|document| document.line).collect();
        assert_eq!(lines, [4, 6]);
        assert_eq!(read[1].value, json!({"b": "---\nx\n", "c": [null, "y", 1.5, "0x", "yes"]}));
    }

    #[test]
    fn a_repeated_key_is_found_at_its_line() {
        let fault = read("a: 1\n---\nb: 1\nc: 1\nb: 2\n").unwrap_err();
        assert_eq!(fault, Fault { line: 5, what: "`b` is there twice".to_owned() });
    }
}

//! YAML texts of several documents as plain data: what `kubectl` would read. Scalars mean what they mean in YAML 1.2. Places are
//! lines of the whole text. Inputs are not read here: theirs is `inputs::read`, which knows what each setting may be.

use crate::told::Spot;
use portreeve_yaml::{Data, Entry, Limits, Mark, Node, Scalar, Style};
use serde_json::{Map, Value};

/// Why a text is not data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// How many characters it takes.
    pub length: usize,
    /// What is wrong there.
    pub what: String,
}

/// One document.
#[derive(Debug, Clone)]
pub struct Document {
    /// The line that it begins at.
    pub line: usize,
    /// What it holds.
    pub value: Value,
    /// Where everything in it stands, from the line after `before`.
    node: Node,
    before: usize,
}

impl Document {
    /// The place of what a JSON pointer leads to, or of the last thing on the way that is there: of an entry its name.
    pub fn place(&self, pointer: &str) -> Spot {
        let (key, node) = self.at(pointer);
        let (mark, length) = match key {
            Some(entry) => (entry.mark, entry.key.chars().count().max(1)),
            None => (node.mark, length(node)),
        };
        Spot { line: self.before + mark.line, column: mark.column, length }
    }

    /// The same, but of an entry its value.
    pub fn value_place(&self, pointer: &str) -> Spot {
        let (_, node) = self.at(pointer);
        Spot { line: self.before + node.mark.line, column: node.mark.column, length: length(node) }
    }

    /// What a pointer leads to, with the entry whose value it is.
    fn at(&self, pointer: &str) -> (Option<&Entry>, &Node) {
        let mut at = (None, &self.node);
        for part in pointer.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match &at.1.data {
                Data::Map(entries) => {
                    entries.iter().find(|entry| entry.key == part).map(|entry| (Some(entry), &entry.value))
                }
                Data::List(items) => {
                    part.parse::<usize>().ok().and_then(|n| items.get(n)).map(|item| (None, item))
                }
                Data::Empty | Data::Scalar(_) => None,
            };
            let Some(next) = next else { break };
            at = next;
        }
        at
    }
}

/// Reads every document of a text; those that hold nothing are left out.
///
/// # Errors
/// The first place where it is no YAML, or where a key is there twice.
pub fn read(text: &str) -> Result<Vec<Document>, Fault> {
    read_within(text, Limits::PEOPLE)
}

/// Reads every document of a text that perhaps a program wrote.
///
/// # Errors
/// As those of [`read`].
pub(crate) fn read_within(text: &str, limits: Limits) -> Result<Vec<Document>, Fault> {
    let mut documents = Vec::new();
    for (before, part) in parts(text) {
        let fault = |fault: Fault| Fault { line: fault.line + before, ..fault };
        let node = portreeve_yaml::parse_within(part, limits)
            .map_err(|error| fault(Fault::new(error.mark, 1, error.what)))?;
        let value = value(&node).map_err(fault)?;
        if !value.is_null() {
            documents.push(Document { line: before + node.mark.line, value, node, before });
        }
    }
    Ok(documents)
}

impl Fault {
    fn new(mark: Mark, length: usize, what: String) -> Self {
        Self { line: mark.line, column: mark.column, length, what }
    }

    /// Its place.
    pub(crate) fn spot(&self) -> Spot {
        Spot { line: self.line, column: self.column, length: self.length }
    }
}

/// How many characters to point at: a value of one line, the first name of a map, else one character.
fn length(node: &Node) -> usize {
    match &node.data {
        Data::Scalar(scalar) if !scalar.text.contains('\n') => node.end.saturating_sub(node.start).max(1),
        Data::Map(entries) => entries.first().map_or(1, |entry| entry.key.chars().count().max(1)),
        _ => 1,
    }
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
                    return Err(Fault::new(entry.mark, entry.key.chars().count(), what));
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
    fn places_are_found_by_pointers() {
        let document = &read("---\n---\na:\n  - b: 1\n  - c/d: ~\n").unwrap()[0];
        for (pointer, line, column, length) in [
            ("", 3, 1, 1),
            ("/a", 3, 1, 1),
            ("/a/0", 4, 5, 1),
            ("/a/1/c~1d", 5, 5, 3),
            ("/a/1/e/f", 5, 5, 3),
            ("/x", 3, 1, 1),
        ] {
            assert_eq!(document.place(pointer), Spot { line, column, length }, "{pointer}");
        }
    }

    #[test]
    fn a_value_is_found_and_a_wrong_step_stops_at_the_last_right_one() {
        let document = &read("---\na: 1\n---\nb:\n  - c: 'x y'\n").unwrap()[1];
        for (pointer, line, column, length) in [("/b/0/c", 5, 8, 5), ("/b/0/d", 5, 5, 1), ("", 4, 1, 1)] {
            assert_eq!(document.value_place(pointer), Spot { line, column, length }, "{pointer}");
        }
    }

    #[test]
    fn a_repeated_key_is_found_at_its_line() {
        let fault = read("a: 1\n---\nb: 1\nc: 1\nb: 2\n").unwrap_err();
        assert_eq!(fault, Fault { line: 5, column: 1, length: 1, what: "`b` is there twice".to_owned() });
    }
}

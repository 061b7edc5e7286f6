//! The table of keys in other forms: a JSON Schema for editors, and tables for people.

use super::{Form, Key, Keys, TOP};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// A reference may stand for any scalar.
const REFERENCE: &str = r"\$\{(env|file):";

/// The configuration as a JSON Schema (2020-12). It knows names and forms; what needs several keys at once, or the machine, is
/// `portreeve check`'s business.
pub fn schema() -> Value {
    let mut root = table(&TOP);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("portreeve.yaml")),
        ("description", json!("The configuration of Portreeve")),
    ];
    if let Some(root) = root.as_object_mut() {
        head.into_iter().for_each(|(key, value)| drop(root.insert(key.to_owned(), value)));
    }
    root
}

/// What stands in place of a default where there can be none.
const REQUIRED: &str = "required";

fn table(keys: &Keys) -> Value {
    let properties: Map<String, Value> =
        keys.known.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut table = json!({"type": "object", "properties": properties, "additionalProperties": false});
    let required: Vec<&str> =
        keys.known.iter().filter(|key| key.default == REQUIRED).map(|key| key.name).collect();
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

fn property(key: &Key) -> Value {
    let mut value = form(&key.form);
    if let Some(value) = value.as_object_mut() {
        let default =
            if key.default.is_empty() { String::new() } else { format!(" Default: {}.", key.default) };
        value.insert("description".to_owned(), json!(format!("{}.{default}", key.doc.trim_end_matches('.'))));
    }
    value
}

fn form(form: &Form) -> Value {
    let referred = |other: Value| json!({"anyOf": [other, {"type": "string", "pattern": REFERENCE}]});
    let unit = |pattern: &str| referred(json!({"type": "string", "pattern": pattern}));
    // What is written without quotes may look like a number and is a text all the same.
    let text = || json!({"type": ["string", "number", "boolean"]});
    match form {
        Form::Text(_) => text(),
        Form::Flag => referred(json!({"type": "boolean"})),
        Form::Whole(least, most) => referred(json!({"type": "integer", "minimum": least, "maximum": most})),
        Form::WholeOr(least, most, word) => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"const": word},
            {"type": "string", "pattern": REFERENCE},
        ]}),
        Form::Duration(..) => unit("^[0-9]+(ms|s|m|h)$"),
        Form::Size(..) => unit("^[0-9]+(B|KiB|MiB|GiB|KB|kB|MB|GB)$"),
        Form::Choice(words) => referred(json!({"enum": words})),
        Form::Texts(_) => json!({"type": "array", "items": text()}),
        Form::TextsByName => json!({"type": "object", "additionalProperties": text()}),
        Form::Table(keys) => table(keys),
        Form::Tables(keys) => json!({"type": "array", "items": table(keys)}),
        Form::TablesByName(keys) => json!({"type": "object", "additionalProperties": table(keys)}),
    }
}

/// What stands before a table that is made here, with the name of its section, and behind it.
const BEGIN: (&str, &str) = ("<!-- table: ", " -->\n");
const END: &str = "<!-- end -->";

/// A page with its tables made anew, each between `<!-- table: SECTION -->` and `<!-- end -->`.
///
/// # Errors
/// A table that has no end, or a section that is none.
pub fn page(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN.0) {
        let (section, after) = after.split_once(BEGIN.1).ok_or("a table's first line is not closed")?;
        let (_, after) = after.split_once(END).ok_or(format!("the table of `{section}` has no end"))?;
        let table = markdown(section).ok_or(format!("there is no section `{section}`"))?;
        out.push_str(&format!("{before}{}{section}{}{table}{END}", BEGIN.0, BEGIN.1));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The rows of one table of the reference page.
fn markdown(section: &str) -> Option<String> {
    let (before, keys, names) = place(section)?;
    let mut out = String::from("| key | type | default | meaning |\n|---|---|---|---|\n");
    rows(&mut out, &before, keys, names.as_deref());
    Some(out)
}

/// A section is a path such as `limits` or `servers`; `servers:command,args` takes some of its keys.
fn place(section: &str) -> Option<(String, &'static Keys, Option<Vec<String>>)> {
    let (path, names) = section.split_once(':').map_or((section, None), |(path, names)| (path, Some(names)));
    let names = names.map(|names| names.split(',').map(str::to_owned).collect());
    if path.is_empty() {
        return Some((String::new(), &TOP, names));
    }
    let key = TOP.known.iter().find(|key| key.name == path)?;
    match key.form {
        Form::Table(keys) => Some((format!("{path}."), keys, names)),
        Form::Tables(keys) => Some((format!("{path}[]."), keys, names)),
        // The name of a server says nothing about a key.
        Form::TablesByName(keys) => Some((String::new(), keys, names)),
        _ => None,
    }
}

fn rows(out: &mut String, before: &str, keys: &Keys, names: Option<&[String]>) {
    for key in keys.known {
        if names.is_some_and(|names| !names.iter().any(|name| name == key.name)) {
            continue;
        }
        match &key.form {
            Form::Table(inner) if !inner.known.is_empty() => {
                rows(out, &format!("{before}{}.", key.name), inner, None);
            }
            form => {
                let Key { name, default, doc, .. } = key;
                // Writing into a `String` cannot fail.
                let _ = writeln!(out, "| `{before}{name}` | {} | {default} | {doc} |", shown(form));
                if let Form::Tables(inner) = form {
                    rows(out, &format!("{before}{name}[]."), inner, None);
                }
            }
        }
    }
}

/// A form as people read it.
fn shown(form: &Form) -> String {
    match form {
        Form::Text(kind) => (*kind).to_owned(),
        Form::Flag => "`true`, `false`".to_owned(),
        Form::Whole(least, most) => format!("{least} … {most}"),
        Form::WholeOr(least, most, word) => format!("{least} … {most}, `{word}`"),
        Form::Duration(least, most) | Form::Size(least, most) => format!("{least} … {most}"),
        Form::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Form::Texts(kind) => format!("list of {kind}"),
        Form::TextsByName => "table of texts".to_owned(),
        Form::Table(_) | Form::TablesByName(_) => "table".to_owned(),
        Form::Tables(_) => "list".to_owned(),
    }
}

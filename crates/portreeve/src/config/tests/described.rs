//! The keys are what the table says of them: their bounds hold in the reader, the schema takes what the reader takes, and the
//! page is made of the table.

use super::{super::*, Anything};
use crate::config::{
    table::{Form, Keys, TOP},
    units,
};
use portreeve_yaml::{Data, Node, Style};
use serde_json::{Value, json};
use std::path::Path;

/// The value of a tree as an editor's YAML parser sees it.
fn value(node: &Node) -> Value {
    match &node.data {
        Data::Empty => Value::Null,
        Data::Scalar(scalar) if scalar.style == Style::Quoted => json!(scalar.text),
        Data::Scalar(scalar) => {
            let number = scalar.text.parse::<u64>().map(|number| json!(number)).ok();
            let flag = scalar.text.parse::<bool>().map(|flag| json!(flag)).ok();
            number.or(flag).unwrap_or_else(|| json!(scalar.text))
        }
        Data::List(items) => items.iter().map(value).collect(),
        Data::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect(),
    }
}

fn of_yaml(text: &str) -> Value {
    value(&portreeve_yaml::parse(text).unwrap_or_else(|error| panic!("{error:?}\n{text}")))
}

fn read(config: &Value) -> Result<(), String> {
    parse(&config.to_string(), "/etc/portreeve.yaml", &Anything)
        .map(drop)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

#[test]
fn the_page_has_the_tables_of_the_keys() {
    let text = std::fs::read_to_string(repository("docs/configuration.md")).unwrap();
    let made = page(&text).unwrap();
    assert!(text == made, "stale: run `cargo run -- schema --page docs/configuration.md`");
    for key in TOP.known.iter().filter(|key| key.name != "servers") {
        assert!(text.contains(&format!("| `{}", key.name)), "no row of `{}`", key.name);
    }
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let mut seen = 0;
    let page = std::fs::read_to_string(repository("docs/configuration.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let examples = std::fs::read_dir(repository("examples")).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|form| form == "yaml").then(|| std::fs::read_to_string(path).unwrap())
    });
    for text in blocks.chain(examples) {
        let faults: Vec<String> =
            schema.iter_errors(&of_yaml(&text)).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}\n{text}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} files");
}

#[test]
fn the_schema_refuses_names_that_are_no_keys() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    for text in [
        "listne: 127.0.0.1:1",
        "servers: {a: {comand: x}}",
        "servers: {a: {command: x, timeouts: {cal: 5s}}}",
        "limits: {depth: 7}",
        "limits: {body: 4}",
        "log: {level: loud}",
        "mcp: {sse_after: 5}",
        "keys: [{name: a, secret: b, allow: [{servers: c}]}]",
        "tls: {certificate: x}",
    ] {
        assert!(!schema.is_valid(&of_yaml(text)), "{text}");
        assert!(read(&of_yaml(text)).is_err(), "the reader as well: {text}");
    }
}

/// Puts a value where a path of tables leads.
fn at(path: &[&'static str], leaf: Value) -> Value {
    path.iter().rev().fold(leaf, |inner, key| json!({ *key: inner }))
}

/// A server has to be of one kind.
fn with_kind(mut config: Value, path: &[&str]) -> Value {
    if path[0] == "telemetry" {
        config["telemetry"]["otlp"] = json!("http://127.0.0.1:4318");
    }
    let (key, text) = match path {
        ["servers", _, "builtin"] => return config,
        ["servers", _, "max_children"] => ("command", "x"),
        ["servers", ..] => ("url", "http://127.0.0.1/"),
        _ => return config,
    };
    config["servers"]["x"][key] = json!(text);
    config
}

/// Calls with the path and the form of every key that has bounds.
fn bounded(keys: &Keys, path: &mut Vec<&'static str>, visit: &mut dyn FnMut(&[&'static str], &Form)) {
    for key in keys.known {
        path.push(key.name);
        match &key.form {
            Form::Table(inner) => bounded(inner, path, visit),
            Form::TablesByName(inner) => {
                path.push("x");
                bounded(inner, path, visit);
                path.pop();
            }
            form => visit(path, form),
        }
        path.pop();
    }
}

#[test]
fn bounds_and_words_are_those_of_the_reader() {
    let mut tried = 0;
    bounded(&TOP, &mut Vec::new(), &mut |path, form| {
        // These want other keys beside them, which have tests of their own.
        if path[0] == "replicas" || path == ["mcp", "root"] || path.last() == Some(&"progress_cap") {
            return;
        }
        let row = |good: Vec<Value>, bad: Vec<Value>| {
            let all = good
                .into_iter()
                .map(|value| (value, true))
                .chain(bad.into_iter().map(|value| (value, false)));
            for (value, expected) in all {
                let config = with_kind(at(path, value.clone()), path);
                let read = read(&config);
                assert_eq!(read.is_ok(), expected, "{}: {value}: {read:?}", path.join("."));
            }
        };
        match form {
            Form::Whole(least, most) | Form::WholeOr(least, most, _) => {
                row(
                    vec![json!(least), json!(most)],
                    vec![json!(i64::try_from(*least).unwrap() - 1), json!(most + 1), json!("many")],
                );
            }
            Form::Duration(least, most) => {
                let over = units::duration(most).unwrap().as_secs() + 1;
                row(vec![json!(least), json!(most)], vec![json!("1ms"), json!(format!("{over}s")), json!(5)]);
            }
            Form::Size(least, most) => {
                let (least_size, most_size) = (units::size(least).unwrap(), units::size(most).unwrap());
                let off = |size: u64| json!(format!("{size}B"));
                row(
                    vec![json!(least), json!(most)],
                    vec![off(least_size - 1), off(most_size + 1), json!("4")],
                );
            }
            Form::Choice(words) => {
                row(words.iter().map(|word| json!(word)).collect(), vec![json!("another")]);
            }
            Form::Flag => row(vec![json!(true), json!(false)], vec![json!("perhaps")]),
            _ => return,
        }
        tried += 1;
    });
    assert!(tried >= 25, "{tried} keys");
}

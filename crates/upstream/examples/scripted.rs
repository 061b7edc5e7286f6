//! A child program for tests: it does what its arguments say and nothing else, so that every hazard of a server on
//! stdin and stdout can be played. Each argument is `WHEN=>WHAT`; for each line on stdin all rules whose WHEN fits act
//! in their order. WHEN: `start`, a method, `tools/call:NAME`, `response:ID`, or `eof`.
//! WHAT: a line to write (`$id` is the id that was read), or `!result JSON`, `!received`, `!held ID`, `!huge N`,
//! `!stderr TEXT`, `!exit CODE`, `!answer METHOD JSON` (to the last request with that method).

use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    process::ExitCode,
};

struct Child {
    rules: Vec<(String, String)>,
    received: Vec<Value>,
    last: HashMap<String, Value>,
}

fn main() -> ExitCode {
    let rules = std::env::args().skip(1).filter_map(|rule| {
        let (when, what) = rule.split_once("=>")?;
        Some((when.to_owned(), what.to_owned()))
    });
    let mut child = Child { rules: rules.collect(), received: Vec::new(), last: HashMap::new() };
    match child.run() {
        Ok(code) => ExitCode::from(code),
        Err(_) => ExitCode::from(99),
    }
}

impl Child {
    fn run(&mut self) -> io::Result<u8> {
        if let Some(code) = self.act("start", &Value::Null)? {
            return Ok(code);
        }
        for line in io::stdin().lock().lines() {
            let message: Value = serde_json::from_str(&line?).unwrap_or_default();
            self.received.push(message.clone());
            for when in names(&message) {
                self.last.insert(when.clone(), message["id"].clone());
                if let Some(code) = self.act(&when, &message["id"])? {
                    return Ok(code);
                }
            }
        }
        Ok(self.act("eof", &Value::Null)?.unwrap_or(0))
    }

    fn act(&self, when: &str, id: &Value) -> io::Result<Option<u8>> {
        let mut out = io::stdout().lock();
        for (_, what) in self.rules.iter().filter(|(wanted, _)| wanted == when) {
            let (order, rest) = what.split_once(' ').unwrap_or((what, ""));
            let result = |id: &Value, result: &str| {
                let result: Value = serde_json::from_str(result).unwrap_or_default();
                json!({"jsonrpc": "2.0", "id": id, "result": result})
            };
            match order {
                "!result" => writeln!(out, "{}", result(id, rest))?,
                "!received" => writeln!(
                    out,
                    "{}",
                    json!({"jsonrpc": "2.0", "id": id, "result": {"lines": self.received}})
                )?,
                "!answer" => {
                    let (method, text) = rest.split_once(' ').unwrap_or((rest, "{}"));
                    let id = self.last.get(method).cloned().unwrap_or_default();
                    writeln!(out, "{}", result(&id, text))?;
                }
                "!huge" => writeln!(out, "{}", "x".repeat(rest.parse().unwrap_or(0)))?,
                "!stderr" => writeln!(io::stderr(), "{rest}")?,
                "!exit" => {
                    out.flush()?;
                    return Ok(Some(rest.parse().unwrap_or(1)));
                }
                _ => writeln!(out, "{}", what.replace("$id", &id.to_string()))?,
            }
        }
        out.flush()?;
        Ok(None)
    }
}

/// The names under which rules may mean this message.
fn names(message: &Value) -> Vec<String> {
    match message["method"].as_str() {
        Some(method) => {
            let tool = message["params"]["name"].as_str();
            let precise = tool.map(|tool| format!("{method}:{tool}"));
            std::iter::once(method.to_owned()).chain(precise).collect()
        }
        None => vec![format!("response:{}", message["id"].as_str().unwrap_or_default())],
    }
}

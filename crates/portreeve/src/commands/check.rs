//! `portreeve check`: reads the configuration as `serve` would and says everything that is wrong with it, or in one
//! line what it defines. It starts nothing and connects to nothing; `doctor` does that.

use super::{CommandError, Exit};
use crate::{
    cli::{CheckArguments, print},
    config::{self, Config, LoadError, Loaded, Problem, ServerKind, Source, Warning},
};
use serde_json::{Value, json};
use std::fmt::Write;

/// Runs the command.
///
/// # Errors
/// The file cannot be read. A file that is wrong is a result, not an error: its problems are what was asked for.
pub fn run(arguments: &CheckArguments) -> Result<Exit, CommandError> {
    let given = arguments.file.as_deref().or(arguments.config.as_deref());
    let (report, exit) = match config::load(given) {
        Ok(loaded) => (good(&loaded, arguments.json), Exit::Done),
        Err(LoadError::Wrong { file, problems }) => {
            (wrong(&file.to_string_lossy(), &problems, arguments.json), Exit::Usage)
        }
        Err(error) => return Err(CommandError::Configuration(error)),
    };
    print(report.as_bytes())?;
    Ok(exit)
}

fn good(loaded: &Loaded, json: bool) -> String {
    let file = match &loaded.source {
        Source::File(path) => Some(path.to_string_lossy().into_owned()),
        Source::Demo => None,
    };
    if json {
        return document(&json!({
            "ok": true,
            "file": file,
            "listen": loaded.config.listen.to_string(),
            "servers": loaded.config.servers.iter().map(|s| json!({"name": s.name.as_str(), "kind": kind(&s.kind)})).collect::<Vec<_>>(),
            "keys": loaded.config.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(),
            "warnings": loaded.warnings.iter().map(|Warning(problem)| finding(problem)).collect::<Vec<_>>(),
            "problems": [],
        }));
    }
    let mut out = String::new();
    for warning in &loaded.warnings {
        line(&mut out, &format!("warning: {warning}"));
    }
    let name = file.as_deref().unwrap_or("no file");
    line(&mut out, &format!("{name}: good. {}", summary(&loaded.config)));
    out
}

fn wrong(file: &str, problems: &[Problem], json: bool) -> String {
    if json {
        let problems: Vec<Value> = problems.iter().map(finding).collect();
        return document(&json!({"ok": false, "file": file, "problems": problems}));
    }
    let mut out = String::new();
    for problem in problems {
        line(&mut out, &format!("error: {problem}"));
    }
    line(&mut out, &format!("{file}: {}", count(problems.len(), "problem")));
    out
}

fn finding(problem: &Problem) -> Value {
    json!({
        "line": problem.mark.line,
        "column": problem.mark.column,
        "path": problem.path,
        "what": problem.what,
        "mend": problem.mend,
    })
}

/// What the configuration defines, in one line.
fn summary(config: &Config) -> String {
    let names: Vec<&str> = config.servers.iter().map(|server| server.name.as_str()).collect();
    let callers = if config.keys.is_empty() {
        "no keys, for this machine only".to_owned()
    } else {
        count(config.keys.len(), "key")
    };
    let servers = count(names.len(), "server");
    match names.is_empty() {
        true => format!("Listens on {}: {servers}, {callers}.", config.listen),
        false => format!("Listens on {}: {servers} ({}), {callers}.", config.listen, names.join(", ")),
    }
}

fn kind(kind: &ServerKind) -> &'static str {
    match kind {
        ServerKind::Child(_) => "command",
        ServerKind::Remote(_) => "url",
        ServerKind::Builtin(_) => "builtin",
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn document(value: &Value) -> String {
    format!("{value:#}\n")
}

fn line(out: &mut String, text: &str) {
    // Writing into a `String` cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const GOOD: &str = "servers: {a: {command: x}, b: {url: 'https://h/', credential: {bearer: abcdefgh}}, c: {builtin: demo}}";

    #[test]
    fn a_good_file_is_told_in_one_line() {
        let loaded = config::load_text(Path::new("f.yaml"), GOOD).unwrap();
        let report = good(&loaded, false);
        assert_eq!(
            report.lines().last().unwrap(),
            "f.yaml: good. Listens on 127.0.0.1:8484: 3 servers (a, b, c), no keys, for this machine only."
        );
        assert!(
            report.starts_with("warning: f.yaml:1:72: servers.b.credential.bearer: a secret"),
            "{report}"
        );
        assert!(!report.contains("abcdefgh"));
    }

    #[test]
    fn a_wrong_file_is_told_every_problem() {
        let Err(LoadError::Wrong { problems, .. }) = config::load_text(Path::new("f.yaml"), "log: 1\nmcp: 2")
        else {
            panic!("it is wrong");
        };
        let report = wrong("f.yaml", &problems, false);
        assert_eq!(report.matches("error: ").count(), 2);
        assert!(report.ends_with("f.yaml: 2 problems\n"), "{report}");
    }

    #[test]
    fn json_has_the_same_in_one_document() {
        let loaded = config::load_text(Path::new("f.yaml"), GOOD).unwrap();
        let report: Value = serde_json::from_str(&good(&loaded, true)).unwrap();
        assert_eq!(report["ok"], true);
        assert_eq!(report["servers"][1], json!({"name": "b", "kind": "url"}));
        assert_eq!(report["warnings"][0]["path"], "servers.b.credential.bearer");

        let Err(LoadError::Wrong { problems, .. }) = config::load_text(Path::new("f.yaml"), "lgo: 1") else {
            panic!("it is wrong");
        };
        let report: Value = serde_json::from_str(&wrong("f.yaml", &problems, true)).unwrap();
        let problem = json!({"line": 1, "column": 1, "path": "lgo", "what": "`lgo` is not a key here", "mend": "did you mean `log`?"});
        assert_eq!(report, json!({"ok": false, "file": "f.yaml", "problems": [problem]}));
    }
}

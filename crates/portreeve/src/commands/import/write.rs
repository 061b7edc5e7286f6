//! Servers written into a configuration: into the text, so that what is there keeps its comments and its order. Every value is
//! quoted as JSON writes it, which is YAML.

use super::foreign::Draft;
use portreeve_model::ServerName;
use serde_json::json;

/// What a new file begins with.
const HEAD: &str =
    "# The gate's configuration; `portreeve check` reads it, `portreeve doctor` tries its servers.\n";

/// The text with these servers at the end of its `servers`.
pub(super) fn add(text: &str, drafts: &[(ServerName, Draft)]) -> Result<String, String> {
    if drafts.is_empty() {
        return Ok(text.to_owned());
    }
    let lines: Vec<&str> = text.lines().collect();
    let Some(start) = lines.iter().position(|line| line.starts_with("servers:")) else {
        let mut out = if text.is_empty() { HEAD.to_owned() } else { text.to_owned() };
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str("servers:\n");
        drafts.iter().for_each(|(name, draft)| entry(&mut out, "  ", name, draft));
        return Ok(out);
    };
    let value = lines[start]["servers:".len()..].trim();
    if !value.is_empty() && !value.starts_with('#') {
        return Err("`servers` is written on one line; put each server on a line of its own first".to_owned());
    }
    let is_own =
        |line: &str| line.starts_with([' ', '\t']) || line.trim().is_empty() || line.starts_with('#');
    let mut end =
        lines[start + 1..].iter().position(|line| !is_own(line)).map_or(lines.len(), |at| start + 1 + at);
    // Blank lines and comments before the next key belong to that.
    while end > start + 1 && !lines[end - 1].starts_with([' ', '\t']) {
        end -= 1;
    }
    let first = lines[start + 1..end]
        .iter()
        .find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let indent = first.map_or("  ", |line| &line[..line.len() - line.trim_start().len()]);
    let mut out = String::with_capacity(text.len() + 1024);
    for line in &lines[..end] {
        out.push_str(line);
        out.push('\n');
    }
    drafts.iter().for_each(|(name, draft)| entry(&mut out, indent, name, draft));
    for line in &lines[end..] {
        out.push_str(line);
        out.push('\n');
    }
    Ok(out)
}

fn entry(out: &mut String, indent: &str, name: &ServerName, draft: &Draft) {
    let inner = format!("{indent}  ");
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("{indent}{name}:"));
    if let Some(command) = &draft.command {
        line(format!("{inner}command: {}", json!(command)));
    }
    if !draft.args.is_empty() {
        let args: Vec<String> = draft.args.iter().map(|arg| json!(arg).to_string()).collect();
        line(format!("{inner}args: [{}]", args.join(", ")));
    }
    if let Some(cwd) = &draft.cwd {
        line(format!("{inner}cwd: {}", json!(cwd)));
    }
    if let Some(url) = &draft.url {
        line(format!("{inner}url: {}", json!(url)));
    }
    if let Some(transport) = draft.transport {
        line(format!("{inner}transport: {transport}"));
    }
    if let Some(bearer) = &draft.bearer {
        line(format!("{inner}credential: {{bearer: {}}}", json!(bearer)));
    }
    for (key, pairs) in [("env", &draft.env), ("headers", &draft.headers)] {
        if !pairs.is_empty() {
            line(format!("{inner}{key}:"));
            pairs
                .iter()
                .for_each(|(name, value)| line(format!("{inner}  {}: {}", json!(name), json!(value))));
        }
    }
}

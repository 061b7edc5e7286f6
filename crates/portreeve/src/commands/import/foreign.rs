//! How other programs write their servers: `mcpServers` (Claude Desktop, Claude Code, Cursor, Windsurf, mcpo and many others),
//! `servers` with `inputs` (VS Code), `context_servers` (Zed), and the same below `mcp` or a project. The files are JSON, often
//! with comments and commas too many. Programs that only bring one transport to another are left out of the way.

use serde_json::{Map, Value};

/// A server as it will be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Draft {
    pub(super) command: Option<String>,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: Option<String>,
    pub(super) url: Option<String>,
    pub(super) transport: Option<&'static str>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) bearer: Option<String>,
}

/// What a file has.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) servers: Vec<(String, Draft)>,
    pub(super) notices: Vec<String>,
}

/// Reads a file of another program.
pub(super) fn read(text: &str) -> Result<Found, String> {
    let root: Value =
        serde_json::from_str(&plain_json(text)).map_err(|error| format!("not valid JSON: {error}"))?;
    let root = root.as_object().ok_or("this is no JSON object")?;
    let mut found = Found::default();
    let mut sections = 0;
    let mut section = |value: Option<&Value>, found: &mut Found| {
        if let Some(servers) = value.and_then(Value::as_object) {
            sections += 1;
            servers.iter().for_each(|(name, entry)| one(name, entry, found));
        }
    };
    for key in ["mcpServers", "servers", "context_servers", "mcp.servers"] {
        section(root.get(key), &mut found);
    }
    if let Some(inner) = root.get("mcp") {
        section(inner.get("servers").or(inner.get("mcpServers")), &mut found);
    }
    for (_, project) in root.get("projects").and_then(Value::as_object).into_iter().flatten() {
        section(project.get("mcpServers"), &mut found);
    }
    if sections == 0 {
        return Err("there is no `mcpServers`, `servers` or `context_servers` in it".to_owned());
    }
    Ok(found)
}

/// The text without comments and without commas before a closing bracket.
fn plain_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim_start_matches('\u{feff}');
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = string_end(rest);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else {
            if matches!(first, '}' | ']') && out.trim_end().ends_with(',') {
                let kept = out.trim_end().len() - 1;
                out.truncate(kept);
            }
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The length of the string that begins here.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\\' => escaped = !escaped,
            b'"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

/// What an entry may have besides; the rest is named.
const UNDERSTOOD: [&str; 16] = [
    "command",
    "args",
    "env",
    "cwd",
    "url",
    "serverUrl",
    "httpUrl",
    "headers",
    "type",
    "transport",
    "disabled",
    "enabled",
    "name",
    "description",
    "source",
    "settings",
];

fn one(name: &str, entry: &Value, found: &mut Found) {
    let Some(entry) = entry.as_object() else {
        found.notices.push(format!("`{name}` is left out: it is no object"));
        return;
    };
    let off = entry.get("disabled") == Some(&Value::Bool(true))
        || entry.get("enabled") == Some(&Value::Bool(false));
    if off {
        found.notices.push(format!("`{name}` is left out: it is switched off there"));
        return;
    }
    let unknown: Vec<&str> =
        entry.keys().map(String::as_str).filter(|key| !UNDERSTOOD.contains(key)).collect();
    if !unknown.is_empty() {
        found
            .notices
            .push(format!("`{name}`: {} has no counterpart here and is left out", unknown.join(", ")));
    }
    match draft(entry) {
        Some(mut draft) => {
            unwrap(&mut draft);
            credential(&mut draft);
            found.servers.push((name.to_owned(), draft));
        }
        None => found.notices.push(format!("`{name}` is left out: it has neither a command nor an address")),
    }
}

fn draft(entry: &Map<String, Value>) -> Option<Draft> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(references);
    let pairs = |value: Option<&Value>| -> Vec<(String, String)> {
        let map = value.and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, value)| (key.clone(), references(&scalar(value)))).collect()
    };
    let list = |value: Option<&Value>| -> Vec<String> {
        value.and_then(Value::as_array).into_iter().flatten().map(|item| references(&scalar(item))).collect()
    };
    // Zed writes the command as an object of its own.
    let nested = entry.get("command").and_then(Value::as_object);
    let source = nested.unwrap_or(entry);
    let command = match nested {
        Some(command) => command.get("path").and_then(Value::as_str).map(references),
        None => text("command"),
    };
    let url = text("url").or_else(|| text("serverUrl")).or_else(|| text("httpUrl"));
    if command.is_none() && url.is_none() {
        return None;
    }
    let kind = text("type").or_else(|| text("transport")).unwrap_or_default();
    let transport = match kind.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "sse" => Some("sse"),
        "http" | "streamablehttp" => Some("streamable-http"),
        _ => None,
    };
    let transport = transport.filter(|_| command.is_none());
    Some(Draft {
        args: list(source.get("args")),
        env: pairs(source.get("env")),
        cwd: text("cwd"),
        headers: pairs(entry.get("headers")),
        command,
        url,
        transport,
        bearer: None,
    })
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Other programs' references as ours: `${input:x}` and `${X}` become `${env:X}`; any other `${` stays what it says.
fn references(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('}').map(|end| start + end) else { break };
        let inside = &rest[start + 2..end];
        let name = inside.strip_prefix("input:").or(inside.strip_prefix("env:")).unwrap_or(inside);
        let name = name.split_once(":-").map_or(name, |(name, _)| name);
        let variable: String = name
            .chars()
            .map(|one| if one.is_ascii_alphanumeric() { one.to_ascii_uppercase() } else { '_' })
            .collect();
        let known = inside.starts_with("input:");
        let plain = !name.is_empty() && name.chars().all(|one| one.is_ascii_alphanumeric() || one == '_');
        match (known, plain) {
            (true, _) => out.push_str(&format!("${{env:{variable}}}")),
            (false, true) if name == "userHome" => out.push_str("${env:HOME}"),
            (false, true) => out.push_str(&format!("${{env:{name}}}")),
            (false, false) => out.push_str(&format!("$${{{inside}}}")),
        }
        rest = &rest[end + 1..];
    }
    out.push_str(&rest.replace("${", "$${"));
    out
}

/// `cmd /c npx …` is `npx …`, and `npx mcp-remote URL` is the URL: the gate brings transports to each other itself.
fn unwrap(draft: &mut Draft) {
    let shell = draft.command.as_deref().is_some_and(|command| matches!(command, "cmd" | "cmd.exe"));
    if shell && draft.args.len() > 1 && draft.args[0].eq_ignore_ascii_case("/c") {
        draft.command = Some(draft.args[1].clone());
        draft.args.drain(..2);
    }
    let runner = draft.command.as_deref().is_some_and(|command| {
        matches!(command.rsplit(['/', '\\']).next(), Some("npx" | "npx.cmd" | "bunx" | "mcp-remote"))
    });
    let package = |arg: &str| arg == "mcp-remote" || arg.starts_with("mcp-remote@");
    let bare = draft.command.as_deref().is_some_and(|command| command.ends_with("mcp-remote"));
    if !runner || !(bare || draft.args.iter().any(|arg| package(arg))) {
        return;
    }
    let Some(url) =
        draft.args.iter().find(|arg| arg.starts_with("http://") || arg.starts_with("https://")).cloned()
    else {
        return;
    };
    let mut headers = Vec::new();
    let mut args = draft.args.iter();
    while let Some(arg) = args.next() {
        if arg == "--header"
            && let Some((name, value)) = args.next().and_then(|text| text.split_once(':'))
        {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    // Its headers often take their values from its environment.
    for (_, value) in &mut headers {
        for (name, known) in &draft.env {
            *value = value.replace(&format!("${{env:{name}}}"), known);
        }
    }
    *draft = Draft { url: Some(url), headers, ..Draft::default() };
}

/// A bearer token is a credential here, and no header.
fn credential(draft: &mut Draft) {
    let place = draft.headers.iter().position(|(name, value)| {
        name.eq_ignore_ascii_case("authorization")
            && value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
    });
    if let Some(place) = place {
        let (_, value) = draft.headers.remove(place);
        draft.bearer = Some(value[7..].trim().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_commas_too_many_are_taken_out() {
        for (text, plain) in [
            ("{\"a\": 1, // b\n}", "{\"a\": 1 \n}"),
            ("{/* x */\"u\": \"http://h\",}", "{\"u\": \"http://h\"}"),
            ("[\"a\\\"//\", ]", "[\"a\\\"//\"]"),
        ] {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(value(&plain_json(text)), value(plain));
        }
    }

    #[test]
    fn references_become_ours() {
        for (text, ours) in [
            ("${TOKEN}", "${env:TOKEN}"),
            ("x ${TOKEN:-none} y", "x ${env:TOKEN} y"),
            ("${input:github-token}", "${env:GITHUB_TOKEN}"),
            ("${env:HOME}/x", "${env:HOME}/x"),
            ("${userHome}/x", "${env:HOME}/x"),
            ("${FILE/./-}", "$${FILE/./-}"),
            ("plain", "plain"),
        ] {
            assert_eq!(references(text), ours);
        }
    }
}

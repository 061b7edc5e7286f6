//! `keys`: who may call, proved by a static bearer token, and what each may reach. Deny by default: a key may do what
//! its `allow` says. Also the check that grants name servers that exist, because a mistyped one would only ever refuse.

use super::{
    reader::{At, Reader, Table, said},
    table::{GRANT, KEY},
    types::{ApiKey, Grant, Server},
};
use portreeve_model::{KeyName, Secret};
use portreeve_yaml::nearest;

/// The shortest secret of a key, in characters. Shorter ones can be guessed over the network.
const SECRET_LENGTH: usize = 16;

/// Reads all keys; their grants must name or match one of the servers.
pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>, servers: &[Server]) -> Vec<ApiKey> {
    let mut keys: Vec<ApiKey> = Vec::new();
    for item in reader.list(at).unwrap_or_default() {
        let Some(table) = reader.table(&item, &KEY) else { continue };
        let name = required(reader, &item, &table, "name", "ci").and_then(|at| name(reader, &at, &keys));
        let secret = required(reader, &item, &table, "secret", "\"${env:CI_KEY}\"")
            .and_then(|at| secret(reader, &at, &keys));
        let allow = match table.get("allow") {
            Some(at) => reader
                .list(&at)
                .unwrap_or_default()
                .iter()
                .filter_map(|at| grant(reader, at, servers))
                .collect(),
            None => {
                let mend =
                    "write `allow: [{server: NAME}]`, with `tools: [\"read_*\"]` to narrow it".to_owned();
                reader.warn(&item, "this key has no `allow`, so it may do nothing", Some(mend));
                Vec::new()
            }
        };
        if let (Some(name), Some(secret)) = (name, secret) {
            keys.push(ApiKey { name, secret, allow });
        }
    }
    keys
}

fn required<'a>(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    table: &Table<'a>,
    key: &str,
    example: &str,
) -> Option<At<'a>> {
    let found = table.get(key);
    if found.is_none() && !table.misspelt(key) {
        reader.problem(item, format!("`{key}` is missing"), Some(format!("write `{key}: {example}`")));
    }
    found
}

fn name(reader: &mut Reader<'_>, at: &At<'_>, earlier: &[ApiKey]) -> Option<KeyName> {
    let text = reader.text(at)?;
    match KeyName::new(&text) {
        Ok(name) if earlier.iter().any(|key| key.name == name) => {
            let mend = "records tell callers apart by this name: give each key its own".to_owned();
            reader.problem(at, format!("{} is already the name of another key", at.shown()), Some(mend));
            None
        }
        Ok(name) => Some(name),
        Err(error) => {
            reader.problem(at, said(&error), None);
            None
        }
    }
}

fn secret(reader: &mut Reader<'_>, at: &At<'_>, earlier: &[ApiKey]) -> Option<Secret<String>> {
    let secret = reader.secret(at)?;
    let mend = Some("make one with `openssl rand -hex 32`".to_owned());
    if secret.expose().chars().count() < SECRET_LENGTH {
        reader.problem(
            at,
            format!("a secret needs at least {SECRET_LENGTH} characters; shorter ones can be guessed"),
            mend,
        );
        return None;
    }
    if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
        reader.problem(at, "a secret is visible ASCII without blanks, or no header can carry it", mend);
        return None;
    }
    if let Some(other) = earlier.iter().find(|key| key.secret.expose() == secret.expose()) {
        reader.problem(at, format!("this secret is also that of the key `{}`", other.name), mend);
        return None;
    }
    Some(secret)
}

fn grant(reader: &mut Reader<'_>, at: &At<'_>, servers: &[Server]) -> Option<Grant> {
    let table = reader.table(at, &GRANT)?;
    let tools = table.get("tools").map_or_else(|| vec!["*".to_owned()], |at| patterns(reader, &at));
    let name = required(reader, at, &table, "server", "NAME")?;
    let server = reader.text(&name)?;
    if server.contains(['*', '?']) {
        if !servers.iter().any(|known| matches(server.as_bytes(), known.name.as_str().as_bytes())) {
            reader.warn(&name, format!("{} matches no server", name.shown()), None);
        }
    } else if !servers.iter().any(|known| known.name.as_str() == server) {
        unknown_server(reader, &name, &server, servers);
        return None;
    }
    Some(Grant { server, tools })
}

/// Whether a pattern covers a whole name.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        ([b'?', rest @ ..], [_, tail @ ..]) => matches(rest, tail),
        ([first, rest @ ..], [byte, tail @ ..]) => first == byte && matches(rest, tail),
        _ => false,
    }
}

/// Patterns of tool names: `*` and `?` stand for any characters and any one.
pub(super) fn patterns(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<String> {
    reader.texts(at).unwrap_or_default()
}

/// Says that a name is none of the servers.
pub(super) fn unknown_server(reader: &mut Reader<'_>, at: &At<'_>, name: &str, servers: &[Server]) {
    let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    let mend = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "there is no server in this file".to_owned(),
        None => format!("the servers are {}", names.join(", ")),
    };
    reader.problem(at, format!("{} is not a server of this file", at.shown()), Some(mend));
}

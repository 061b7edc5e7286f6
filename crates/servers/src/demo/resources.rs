//! Resources and templates: fixed ones, two that tools can change, one that changes by itself, and two templates.
//! Files of skills are read here; only the first of each is listed.

use super::{Server, clock::CLOCK, content, skills};
use portreeve_mcp::{Code, Era, Feature, RpcError, Version};
use serde_json::{Value, json};

struct Entry {
    uri: &'static str,
    name: &'static str,
    title: &'static str,
    description: &'static str,
    media_type: &'static str,
}

/// The note that `update_resource` changes.
pub(super) const NOTE: &str = "demo://note";
/// The resource that the conformance suite watches.
pub(super) const WATCHED: &str = "test://watched-resource";
const EXTRA: &str = "demo://extra";

const ENTRIES: &[Entry] = &[
    Entry {
        uri: "demo://manual",
        name: "manual",
        title: "Manual",
        description: "What this server can do.",
        media_type: "text/markdown",
    },
    Entry {
        uri: NOTE,
        name: "note",
        title: "A note",
        description: "Changed by the tool `update_resource`.",
        media_type: "text/plain",
    },
    Entry {
        uri: CLOCK,
        name: "clock",
        title: "A clock",
        description: "How long the server stands. Subscribe to it: it changes each second.",
        media_type: "text/plain",
    },
    Entry {
        uri: skills::URI,
        name: skills::NAME,
        title: "A skill",
        description: skills::DESCRIPTION,
        media_type: skills::MEDIA_TYPE,
    },
    Entry {
        uri: "test://static-text",
        name: "static-text",
        title: "Conformance: text",
        description: "A text that never changes.",
        media_type: "text/plain",
    },
    Entry {
        uri: "test://static-binary",
        name: "static-binary",
        title: "Conformance: binary",
        description: "An image that never changes.",
        media_type: content::PNG_TYPE,
    },
    Entry {
        uri: WATCHED,
        name: "watched-resource",
        title: "Conformance: watched",
        description: "Changed by the tool `update_resource`.",
        media_type: "text/plain",
    },
];

const EXTRA_ENTRY: Entry = Entry {
    uri: EXTRA,
    name: "extra",
    title: "The extra resource",
    description: "Is here only while the list is changed.",
    media_type: "text/plain",
};

const TEMPLATES: &[Entry] = &[
    Entry {
        uri: "demo://greeting/{name}",
        name: "greeting",
        title: "A greeting",
        description: "Greets whoever is named.",
        media_type: "text/plain",
    },
    Entry {
        uri: "test://template/{id}/data",
        name: "template",
        title: "Conformance: template",
        description: "Data for any id.",
        media_type: "application/json",
    },
];

const MANUAL: &str = "# The demo server\n\n\
    It shows everything that the protocol has: start with the tool `hello`, look at every kind of content with \
    `show_content`, watch progress with `countdown`, be asked with `ask_name` or `order_coffee`.\n\n\
    Change the note with `update_resource` while you are subscribed to it, or subscribe to the clock.\n\n\
    `connection` tells which protocol revision arrives here, whatever your client speaks.\n";

/// What completion offers for the variables of templates.
pub(super) fn template_values(template: &str, variable: &str) -> Option<&'static [&'static str]> {
    match (template, variable) {
        ("demo://greeting/{name}", "name") => Some(&["Ada", "Alan", "Grace"]),
        ("test://template/{id}/data", "id") => Some(&["1", "12", "123"]),
        _ => None,
    }
}

/// The `resources` array.
pub(super) fn list(version: Version, extra: bool) -> Value {
    ENTRIES.iter().chain(extra.then_some(&EXTRA_ENTRY)).map(|entry| describe(entry, "uri", version)).collect()
}

/// The `resourceTemplates` array.
pub(super) fn templates(version: Version) -> Value {
    TEMPLATES.iter().map(|entry| describe(entry, "uriTemplate", version)).collect()
}

fn describe(entry: &Entry, key: &str, version: Version) -> Value {
    let mut value = json!({
        key: entry.uri, "name": entry.name, "description": entry.description, "mimeType": entry.media_type,
    });
    if version.supports(Feature::StructuredContent) {
        value["title"] = Value::from(entry.title);
    }
    value
}

/// Reads one resource. Unknown: -32602 with the URI for modern callers, -32002 for legacy ones (spec: server/resources).
pub(super) fn read(demo: &Server, version: Version, uri: &str) -> Result<Value, RpcError> {
    let (media_type, key, value) = contents(demo, uri).ok_or_else(|| not_found(version, uri))?;
    Ok(json!({"contents": [{"uri": uri, "mimeType": media_type, key: value}]}))
}

fn contents(demo: &Server, uri: &str) -> Option<(&'static str, &'static str, String)> {
    let text = |text: &str| Some(("text/plain", "text", text.to_owned()));
    match uri {
        "demo://manual" => Some(("text/markdown", "text", MANUAL.to_owned())),
        "test://static-text" => text("This is the content of the static text resource."),
        "test://static-binary" => Some((content::PNG_TYPE, "blob", content::PNG.to_owned())),
        NOTE | WATCHED => text(&demo.lists.read(uri)),
        CLOCK => text(&format!("{} seconds", demo.uptime_seconds())),
        EXTRA if demo.lists.extra_resource() => text("You caught me while the list was changed."),
        _ => skills::file(uri)
            .map(|text| (skills::MEDIA_TYPE, "text", text.to_owned()))
            .or_else(|| from_template(uri)),
    }
}

fn from_template(uri: &str) -> Option<(&'static str, &'static str, String)> {
    if let Some(name) = uri.strip_prefix("demo://greeting/").filter(|name| variable(name)) {
        return Some(("text/plain", "text", format!("Hello, {name}!")));
    }
    let id = uri.strip_prefix("test://template/")?.strip_suffix("/data").filter(|id| variable(id))?;
    let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
    Some(("application/json", "text", data.to_string()))
}

/// What a `{variable}` of a URI template matches: anything but nothing and a path separator (RFC 6570, simple form).
fn variable(value: &str) -> bool {
    !value.is_empty() && !value.contains('/')
}

/// Whether a resource can change without a word to those who did not subscribe.
pub(super) fn changes(uri: &str) -> bool {
    matches!(uri, NOTE | WATCHED | CLOCK)
}

/// Whether there is such a resource, so that it can be subscribed.
pub(super) fn exists(demo: &Server, uri: &str) -> bool {
    contents(demo, uri).is_some()
}

/// The error of each era.
pub(super) fn not_found(version: Version, uri: &str) -> RpcError {
    let code = match version.era() {
        Era::Legacy => Code::RESOURCE_NOT_FOUND,
        Era::Modern => Code::INVALID_PARAMS,
    };
    RpcError::new(code, "resource not found").with_data(json!({"uri": uri}).into())
}

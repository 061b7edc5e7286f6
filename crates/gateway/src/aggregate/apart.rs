//! URIs that two servers have (reference: mcp.md 5.1). A URI is an identity that models use in arguments, so it stays what it is
//! wherever it can; where it is another server's as well, whose it is stands in front. Pure.

use portreeve_mcp::{RawJson, Text};
use portreeve_model::ServerName;

/// Hosts of apps look at this scheme, so it stays in front.
const UI: &str = "ui://";

/// What stands in front of a URI of this server.
fn mark(server: &ServerName) -> String {
    // A scheme has no underscore, and a name no dot.
    format!("{}+", server.as_str().replace('_', "."))
}

/// This server's URI, told apart from another server's.
pub(super) fn apart(server: &ServerName, uri: &str) -> String {
    match uri.strip_prefix(UI) {
        Some(rest) => format!("{UI}{}{rest}", mark(server)),
        None => format!("{}{uri}", mark(server)),
    }
}

/// The server's own URI, if this one says that it is that server's.
pub(super) fn own(server: &ServerName, uri: &str) -> Option<String> {
    match uri.strip_prefix(UI) {
        Some(rest) => rest.strip_prefix(&mark(server)).map(|rest| format!("{UI}{rest}")),
        None => uri.strip_prefix(&mark(server)).map(str::to_owned),
    }
}

/// A URI as its server and as callers here know it.
pub(crate) struct ShownUri {
    pub(super) own: Text,
    pub(super) shown: Text,
}

impl ShownUri {
    /// A read result with the URI that was asked for.
    pub(crate) fn in_contents(&self, result: &RawJson) -> RawJson {
        let Some(contents) = result.get("contents").and_then(|contents| contents.elements()) else {
            return result.clone();
        };
        let is_own = |raw: &RawJson| {
            raw.get("uri").and_then(|uri| uri.string_value()).is_some_and(|uri| uri == self.own)
        };
        let shown = RawJson::string(&self.shown);
        let contents: Vec<RawJson> = contents
            .into_iter()
            .map(|raw| if is_own(&raw) { raw.with(&[], &[("uri", &shown)]) } else { raw })
            .collect();
        let joined: Vec<&[u8]> = contents.iter().map(RawJson::as_bytes).collect();
        let contents = RawJson::built([b"[", &joined.join(&b","[..])[..], b"]"].concat());
        result.with(&[], &[("contents", &contents)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_apart_is_found_again_by_its_server_alone() {
        let (one, two) = (ServerName::new("a_b").unwrap(), ServerName::new("a-b").unwrap());
        for (uri, told) in [
            ("file:///x", "a.b+file:///x"),
            ("ui://show/page.html", "ui://a.b+show/page.html"),
            ("demo://note/{id}", "a.b+demo://note/{id}"),
        ] {
            assert_eq!(apart(&one, uri), told);
            assert_eq!(own(&one, told).as_deref(), Some(uri));
            assert_eq!(own(&two, told), None);
        }
    }
}

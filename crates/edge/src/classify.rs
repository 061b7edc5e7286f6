//! Which era a message belongs to (reference: mcp.md 4.0): the body decides, headers confirm. Pure; the door acts on it.

use portreeve_mcp::{Era, Method, RawJson, Version, meta};

/// What the headers say that matters here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hints<'a> {
    /// `MCP-Protocol-Version`
    pub(crate) version: Option<&'a [u8]>,
    /// Whether there is an `Mcp-Session-Id`.
    pub(crate) session: bool,
}

impl Hints<'_> {
    fn names_modern(&self) -> bool {
        let version = self.version.and_then(|raw| std::str::from_utf8(raw).ok());
        version
            .and_then(|text| Version::parse(text.trim()))
            .is_some_and(|version| version.era() == Era::Modern)
    }
}

/// How a message is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A modern request, or one that should have been.
    Modern,
    /// A modern notification: accepted, nothing follows.
    ModernNotification,
    /// The legacy handshake.
    Handshake,
    /// Part of a legacy session.
    Session,
    /// Neither: no envelope, no handshake, no session.
    Nowhere,
}

/// What a message is, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Message<'a> {
    /// A request; whether its `_meta` names a revision, which only modern requests do.
    Request {
        /// What is asked.
        method: &'a Method,
        /// Whether `_meta` names a revision.
        claims: bool,
    },
    /// A notification.
    Notification {
        /// Whether `_meta` names a revision.
        claims: bool,
    },
    /// An answer.
    Response,
}

/// Classifies one message.
pub(crate) fn classify(message: Message<'_>, hints: Hints<'_>) -> Class {
    match message {
        Message::Request { claims, .. } if claims || hints.names_modern() => Class::Modern,
        Message::Request { method: Method::Initialize, .. } => Class::Handshake,
        Message::Notification { claims } if claims || hints.names_modern() => Class::ModernNotification,
        _ if hints.session => Class::Session,
        _ => Class::Nowhere,
    }
}

/// Whether `_meta` names a revision, where nothing else of `params` is looked at.
pub(crate) fn claims_modern(params: Option<&RawJson>) -> bool {
    let meta = params.and_then(|params| params.get("_meta"));
    meta.is_some_and(|meta| meta.get(meta::PROTOCOL_VERSION).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use portreeve_mcp::Frame;

    #[test]
    fn the_body_decides_and_headers_confirm() {
        const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        const PLAIN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        const CAPS_ONLY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        const INIT: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
        const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let rows: [(&str, Option<&str>, bool, Class); 13] = [
            (MODERN, Some("2026-07-28"), false, Class::Modern),
            (MODERN, Some("2026-07-28"), true, Class::Modern),
            (MODERN, None, false, Class::Modern),
            (MODERN, Some("2025-11-25"), true, Class::Modern),
            (PLAIN, Some("2026-07-28"), false, Class::Modern),
            (PLAIN, Some("2025-11-25"), true, Class::Session),
            (PLAIN, None, true, Class::Session),
            (PLAIN, None, false, Class::Nowhere),
            (CAPS_ONLY, Some("2025-11-25"), true, Class::Session),
            (INIT, None, false, Class::Handshake),
            (NOTE, Some("2026-07-28"), false, Class::ModernNotification),
            (NOTE, None, true, Class::Session),
            (ANSWER, Some("2026-07-28"), false, Class::Nowhere),
        ];
        for (body, version, session, expected) in rows {
            let frame = portreeve_mcp::frame::decode(&Bytes::copy_from_slice(body.as_bytes()), 16).unwrap();
            let hints = Hints { version: version.map(str::as_bytes), session };
            let message = match &frame {
                Frame::Request { method, params, .. } => {
                    Message::Request { method, claims: claims_modern(params.as_ref()) }
                }
                Frame::Notification { params, .. } => {
                    Message::Notification { claims: claims_modern(params.as_ref()) }
                }
                Frame::Response { .. } => Message::Response,
            };
            assert_eq!(classify(message, hints), expected, "{body} {version:?} {session}");
        }
    }
}

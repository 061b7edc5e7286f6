//! What of a caller's `_meta` goes on to a server: third-party keys, and a trace context that is one (W3C Trace Context).
//! Reserved keys end at each hop, and are made anew by the connectors.

use portreeve_mcp::{RawJson, json::Member, meta::Meta};
use std::sync::Arc;

/// What of `_meta` goes on to the server. A trace context that is none is ignored, and its state with it (check 197).
pub(crate) fn passing(meta: &Meta) -> Arc<[Member]> {
    let parent = meta.get("traceparent").and_then(RawJson::string_value);
    let traced = parent.is_some_and(|parent| is_trace_parent(&parent));
    let goes_on = |member: &&Member| traced || !matches!(member.key.as_str(), "traceparent" | "tracestate");
    meta.passing().filter(goes_on).cloned().collect()
}

/// `version-trace-span-flags` in lower-case hexadecimal, ids not all zero (W3C Trace Context, 3.2.2).
fn is_trace_parent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let [version, trace, span, flags] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    // Version ff is forbidden; later ones than 00 may have more parts.
    let version_fits = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    version_fits && id(trace, 32) && id(span, 16) && hex(flags, 2)
}

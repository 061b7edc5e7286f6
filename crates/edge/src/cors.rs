//! CORS for the browser clients whose origin is allowed (check 195): no wildcard, headers echoed by name.

use crate::{body::OutBody, origin::Allowed};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate, MCP-Protocol-Version");
const KNOWN: [&str; 8] = [
    "authorization",
    "content-type",
    "accept",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "mcp-session-id",
    "last-event-id",
];

/// The answer to a preflight of an allowed origin.
pub(crate) fn preflight(headers: &HeaderMap) -> Response<OutBody> {
    let mut response = Response::new(OutBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
    let granted: Vec<&str> = wanted
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|name| {
            let lower = name.to_ascii_lowercase();
            KNOWN.contains(&lower.as_str()) || lower.starts_with("mcp-param-")
        })
        .collect();
    let out = response.headers_mut();
    out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    if let Ok(granted) = HeaderValue::from_str(&granted.join(", ")) {
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, granted);
    }
    out.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Lets the page of an allowed origin read the answer.
pub(crate) fn allow(allowed: &Allowed, request: &HeaderMap, response: &mut Response<OutBody>) {
    let Some(origin) = request.get(header::ORIGIN) else { return };
    if origin.to_str().is_ok_and(|origin| allowed.is_our_origin(origin)) {
        let out = response.headers_mut();
        out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        out.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        out.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
}

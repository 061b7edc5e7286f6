//! Where a server is and what every request to it carries: parsed once, copied for each request.
//! Only headers of our own and configured ones are in here; a client's headers never reach this crate (check 196).

use crate::{ConfigError, HttpConfig};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, uri::Scheme};
use http_body_util::Full;
use portreeve_mcp::Ctx;
use portreeve_model::Secret;

/// Both kinds of answer have to be accepted on every POST (check 20).
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const ACCEPT_EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("portreeve/", env!("CARGO_PKG_VERSION")));

/// Headers that configuration cannot set: the connector or the connection owns them.
const OWNED: [&str; 13] = [
    "host",
    "accept",
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "mcp-protocol-version",
    "mcp-session-id",
    "mcp-method",
    "mcp-name",
    "last-event-id",
];

/// A server's address.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    uri: Uri,
    base: HeaderMap,
}

impl Target {
    pub(crate) fn parse(config: &HttpConfig) -> Result<Self, ConfigError> {
        Self::new(&config.url, &config.headers)
    }

    /// The target behind a URL, with these further headers on every request.
    pub(crate) fn new(url: &str, headers: &[(String, Secret<String>)]) -> Result<Self, ConfigError> {
        let fail = |why| ConfigError::Url { url: redact(url), why };
        let url: Uri = url.parse().map_err(|_| fail("it cannot be parsed"))?;
        let https = match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(fail("it must start with http:// or https://")),
        };
        let authority = url.authority().ok_or_else(|| fail("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(fail("user and password do not belong into it, use `credential` or `headers`"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(fail("it names no host"));
        }
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let uri = path.parse().map_err(|_| fail("its path cannot be sent"))?;
        let name = HeaderValue::from_str(authority.as_str()).map_err(|_| fail("its host cannot be sent"))?;
        Ok(Self { https, host, port, uri, base: base_headers(name, headers)? })
    }

    /// Headers that every POST carries.
    pub(crate) fn post_headers(&self) -> HeaderMap {
        self.base.clone()
    }

    /// A POST with these headers.
    pub(crate) fn post(&self, headers: HeaderMap, body: Vec<u8>) -> Request<Full<Bytes>> {
        self.request(Method::POST, headers, Full::new(Bytes::from(body)))
    }

    /// A POST to another path of the same server.
    pub(crate) fn post_to(&self, uri: &Uri, headers: HeaderMap, body: Vec<u8>) -> Request<Full<Bytes>> {
        let mut request = self.post(headers, body);
        *request.uri_mut() = uri.clone();
        request
    }

    /// Its path and query.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// A GET that asks for an event stream.
    pub(crate) fn get(&self, mut headers: HeaderMap) -> Request<Full<Bytes>> {
        headers.remove(header::CONTENT_TYPE);
        headers.insert(header::ACCEPT, ACCEPT_EVENTS);
        self.request(Method::GET, headers, Full::default())
    }

    /// A DELETE, which ends a legacy session.
    pub(crate) fn delete(&self, mut headers: HeaderMap) -> Request<Full<Bytes>> {
        headers.remove(header::CONTENT_TYPE);
        self.request(Method::DELETE, headers, Full::default())
    }

    fn request(&self, method: Method, headers: HeaderMap, body: Full<Bytes>) -> Request<Full<Bytes>> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }

    /// The address for logs, without path and query, where tokens like to stand.
    pub(crate) fn label(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// The trace context of a call stands in a header as well, for what is between the gate and the server's MCP (spec digest 5.3).
pub(crate) fn trace(ctx: &Ctx, headers: &mut HeaderMap) {
    for name in ["traceparent", "tracestate"] {
        let text =
            ctx.meta.iter().find(|member| member.key == *name).and_then(|member| member.value.string_value());
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn base_headers(host: HeaderValue, further: &[(String, Secret<String>)]) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::with_capacity(16 + further.len());
    headers.insert(header::HOST, host);
    headers.insert(header::ACCEPT, ACCEPT);
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::USER_AGENT, AGENT);
    for (name, value) in further {
        let fail = || ConfigError::Header(name.clone());
        let parsed: HeaderName = name.parse().map_err(|_| fail())?;
        if OWNED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-param-") {
            return Err(fail());
        }
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| fail())?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}

/// A URL for an error message: without user, password and query.
fn redact(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match (bare.split_once("://"), bare.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => bare.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use portreeve_model::{Deadlines, ServerName};
    use std::time::Duration;

    pub(crate) fn config(url: &str) -> HttpConfig {
        HttpConfig {
            replay: crate::Replay::Unknown,
            name: ServerName::new("test").unwrap(),
            url: url.to_owned(),
            era: crate::EraChoice::Auto,
            transport: crate::Transport::Auto,
            headers: Vec::new(),
            deadlines: Deadlines::default(),
            idle: Duration::from_secs(600),
            authorities: None,
            proxy: None,
        }
    }

    #[test]
    fn urls_are_taken_apart_or_refused() {
        for (url, host, port, label) in [
            ("http://a.example/mcp?x=1", "a.example", 80, "http://a.example:80"),
            ("https://a.example", "a.example", 443, "https://a.example:443"),
            ("http://[::1]:81/x/", "::1", 81, "http://::1:81"),
        ] {
            let target = Target::parse(&config(url)).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{url}");
            assert_eq!(target.label(), label);
        }
        for url in ["", "/mcp", "ftp://a/", "http://u:p@a/", "http://:80/", "a.example/mcp"] {
            let error = Target::parse(&config(url)).unwrap_err().to_string();
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn configured_headers_cannot_replace_the_connectors_own() {
        for (name, good) in [
            ("X-Team", true),
            ("Authorization", true),
            ("Host", false),
            ("MCP-Session-Id", false),
            ("Mcp-Param-Region", false),
            ("bad name", false),
        ] {
            let mut config = config("http://a/");
            config.headers.push((name.to_owned(), Secret::new("v".to_owned())));
            assert_eq!(Target::parse(&config).is_ok(), good, "{name}");
        }
    }
}

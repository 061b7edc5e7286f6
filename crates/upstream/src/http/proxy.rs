//! A proxy on the way to a server (decision D54): named in the configuration, never found in the environment. Servers behind
//! `https` are reached through a tunnel (CONNECT, RFC 9110 section 9.3.6), which the proxy cannot look into; requests to
//! others are given to it whole, in absolute form (RFC 9112 section 3.2.2).

use super::target::Target;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, uri::Authority};
use http_body_util::Empty;
use hyper::{client::conn::http1, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use portreeve_model::Secret;
use std::{fmt, sync::Arc};
use tokio::net::TcpStream;

/// A proxy and what it is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: Arc<str>,
    port: u16,
    authorization: Option<Secret<String>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    /// Reads `http://host:port` or `http://user:password@host:port`, where characters that a URL has a use for are written
    /// with `%` and two hex digits.
    ///
    /// # Errors
    /// What is wrong with it, without what it says.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("http://").ok_or("it does not start with http://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let place: Authority = place.parse().map_err(|_| "its host and port cannot be read")?;
        let host = place.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("it names no host");
        }
        let port = place.port_u16().ok_or("it names no port")?;
        let authorization = login.map(basic).transpose()?;
        Ok(Self { host: host.into(), port, authorization })
    }

    /// A connection to the proxy.
    pub(super) async fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect((&*self.host, self.port)).await;
        let stream = stream.map_err(|error| format!("the proxy cannot be reached: {error}"))?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// A connection through the proxy to a target.
    pub(super) async fn tunnel(&self, target: &Target) -> Result<TokioIo<Upgraded>, String> {
        let broke = |error: hyper::Error| format!("the proxy broke off: {error}");
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broke)?;
        let request = self.request(target)?;
        let asked = async move {
            let response = sender.send_request(request).await.map_err(broke)?;
            if !response.status().is_success() {
                return Err(format!(
                    "the proxy lets nobody through to it: it answered {}",
                    response.status()
                ));
            }
            hyper::upgrade::on(response).await.map_err(broke)
        };
        // The connection's own end carries no news: it ends as soon as the tunnel stands.
        let (tunnel, _) = tokio::join!(asked, connection.with_upgrades());
        Ok(TokioIo::new(tunnel?))
    }

    fn request(&self, target: &Target) -> Result<Request<Empty<Bytes>>, String> {
        let place = match target.host.contains(':') {
            true => format!("[{}]:{}", target.host, target.port),
            false => format!("{}:{}", target.host, target.port),
        };
        let mut request = Request::connect(&place).header(header::HOST, &place);
        if let Some(value) = self.header() {
            request = request.header(header::PROXY_AUTHORIZATION, value);
        }
        request.body(Empty::new()).map_err(|error| error.to_string())
    }

    /// A request to a target without TLS, as the proxy wants it.
    pub(super) fn whole<B>(&self, target: &Target, request: &mut Request<B>) {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let authority = host.unwrap_or(&target.host);
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path).build();
        if let Ok(uri) = uri {
            *request.uri_mut() = uri;
        }
        if let Some(value) = self.header() {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.authorization.as_ref()?.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// `user:password` of a URL as the header says it (RFC 7617).
fn basic(login: &str) -> Result<Secret<String>, &'static str> {
    // A password with `%` in it that nobody escaped would be taken as another one, and the proxy would only say no.
    let escapes = |after: &[u8]| matches!(after, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    if !login.as_bytes().split(|byte| *byte == b'%').skip(1).all(escapes) {
        return Err("`%` in its user and password needs two hex digits");
    }
    let plain: Vec<u8> = percent_decode_str(login).collect();
    Ok(Secret::new(format!("Basic {}", STANDARD.encode(plain))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_or_refused_without_a_word_of_their_password() {
        let rows = [
            ("http://proxy:3128", Some(("proxy", 3128, None))),
            ("http://proxy:3128/", Some(("proxy", 3128, None))),
            ("http://[::1]:3128", Some(("::1", 3128, None))),
            ("http://me:p%40ss@proxy:3128", Some(("proxy", 3128, Some("Basic bWU6cEBzcw==")))),
            ("http://me:p%25%34%30@proxy:3128", Some(("proxy", 3128, Some("Basic bWU6cCU0MA==")))),
            ("http://me:%zz@proxy:3128", None),
            ("http://me:p%4@proxy:3128", None),
            ("http://proxy", None),
            ("http://:3128", None),
            ("https://proxy:3128", None),
            ("proxy:3128", None),
            ("http://proxy:3128/path", None),
        ];
        for (url, expected) in rows {
            let read = Proxy::parse(url).ok();
            let seen = read.as_ref().map(|proxy| {
                (&*proxy.host, proxy.port, proxy.authorization.as_ref().map(|text| text.expose().as_str()))
            });
            assert_eq!(seen, expected, "{url}");
            assert!(!format!("{read:?}").contains("bWU6"), "{url}");
        }
    }
}

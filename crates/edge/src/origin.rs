//! Protection against DNS rebinding (spec: streamable-http, security): a `Host` that is not ours and an `Origin` that
//! was not allowed are refused, whoever sends them. On loopback every loopback origin counts as ours (decision D52).

use http::{HeaderMap, Uri, header};
use std::net::{IpAddr, SocketAddr};

/// Which hosts and origins may be named.
#[derive(Debug, Clone)]
pub struct Allowed {
    hosts: Vec<String>,
    origins: Vec<String>,
    loopback: bool,
}

/// What is wrong with where a request says it comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// `Host` is missing or there several times, whatever the target says (RFC 9112, 3.2).
    #[error("one Host header is needed")]
    Hosts,
    /// `Host` is not one of ours.
    #[error("the Host header names no address of this gate")]
    Host,
    /// `Origin` is there and not allowed, or twice.
    #[error("the Origin header names no allowed origin")]
    Origin,
}

impl Allowed {
    /// The rules of a gate that listens there and is known under these names.
    pub fn new(listen: SocketAddr, public_url: Option<&Uri>, hosts: &[String], origins: &[String]) -> Self {
        let loopback = listen.ip().is_loopback();
        let mut hosts: Vec<String> = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.push(listen.to_string());
        let mut origins: Vec<String> = origins.iter().map(|origin| origin.to_ascii_lowercase()).collect();
        if let Some(authority) = public_url.and_then(Uri::authority) {
            hosts.push(authority.as_str().to_ascii_lowercase());
            let scheme = public_url.and_then(Uri::scheme_str).unwrap_or("https");
            origins.push(format!("{scheme}://{}", authority.as_str().to_ascii_lowercase()));
        }
        Self { hosts, origins, loopback }
    }

    /// Checks one request's headers.
    pub fn check(&self, headers: &HeaderMap, target: &Uri) -> Result<(), Foreign> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Foreign::Hosts) };
        // A target with an authority of its own outdoes the header (RFC 9112, 3.2.2).
        let host =
            target.authority().map_or_else(|| host.to_str().ok(), |authority| Some(authority.as_str()));
        if !host.is_some_and(|host| self.is_our_host(host)) {
            return Err(Foreign::Host);
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if origin.to_str().is_ok_and(|origin| self.is_our_origin(origin)) => Ok(()),
            // No browser sends two, and one of ours would hide another (RFC 6454, 7.2).
            (Some(_), _) => Err(Foreign::Origin),
        }
    }

    fn is_our_host(&self, host: &str) -> bool {
        let host = host.trim();
        if self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return true;
        }
        let name = without_port(host);
        let listed = self.hosts.iter().any(|known| !known.contains(':') && known.eq_ignore_ascii_case(name));
        listed || (self.loopback && is_loopback(name))
    }

    /// Whether a browser page of this origin may talk to us.
    pub fn is_our_origin(&self, origin: &str) -> bool {
        if self.origins.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(origin)) {
            return true;
        }
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        self.loopback && authority.is_some_and(|authority| is_loopback(without_port(authority)))
    }
}

fn without_port(authority: &str) -> &str {
    if let Some(end) = authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        return &authority[..end + 2];
    }
    authority.rsplit_once(':').map_or(authority, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { authority }
    })
}

fn is_loopback(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &Allowed, host: &str, origin: Option<&str>) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        allowed.check(&headers, &Uri::from_static("/mcp/demo"))
    }

    #[test]
    fn loopback_takes_loopback_and_nothing_else() {
        let allowed = Allowed::new("127.0.0.1:8484".parse().unwrap(), None, &[], &[]);
        for host in ["127.0.0.1:8484", "localhost:8484", "LOCALHOST", "[::1]:8484", "127.0.0.1"] {
            assert_eq!(check(&allowed, host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example.com",
            "localhost.evil.example.com",
            "127.0.0.1.nip.io",
            "",
            "10.0.0.1:8484",
            "localhost:80:80",
        ] {
            assert_eq!(check(&allowed, host, None), Err(Foreign::Host), "{host}");
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:1"] {
            assert_eq!(check(&allowed, "localhost", Some(origin)), Ok(()), "{origin}");
        }
        for origin in ["http://evil.example.com", "null", "http://localhost.evil.example", "file://", ""] {
            assert_eq!(check(&allowed, "localhost", Some(origin)), Err(Foreign::Origin), "{origin}");
        }
    }

    #[test]
    fn of_several_origins_none_counts() {
        let allowed = Allowed::new("127.0.0.1:8484".parse().unwrap(), None, &[], &[]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost".parse().unwrap());
        for origin in ["http://localhost:3000", "http://evil.example.com"] {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(allowed.check(&headers, &Uri::from_static("/mcp/demo")), Err(Foreign::Origin));
    }

    #[test]
    fn there_is_one_host_whatever_the_target_says() {
        let allowed = Allowed::new("127.0.0.1:8484".parse().unwrap(), None, &[], &[]);
        for target in ["/mcp/demo", "http://localhost:8484/mcp/demo"].map(Uri::from_static) {
            let mut headers = HeaderMap::new();
            assert_eq!(allowed.check(&headers, &target), Err(Foreign::Hosts), "{target}");
            headers.insert(header::HOST, "localhost:8484".parse().unwrap());
            assert_eq!(allowed.check(&headers, &target), Ok(()), "{target}");
            headers.append(header::HOST, "localhost:8484".parse().unwrap());
            assert_eq!(allowed.check(&headers, &target), Err(Foreign::Hosts), "{target}");
        }
    }

    #[test]
    fn elsewhere_only_what_is_listed() {
        let url = Uri::from_static("https://gate.example.com");
        let allowed = Allowed::new(
            "0.0.0.0:8484".parse().unwrap(),
            Some(&url),
            &["gate.internal".to_owned()],
            &["https://app.example.com".to_owned()],
        );
        for host in ["gate.example.com", "gate.internal:8484", "GATE.internal"] {
            assert_eq!(check(&allowed, host, None), Ok(()), "{host}");
        }
        assert_eq!(check(&allowed, "localhost:8484", None), Err(Foreign::Host));
        assert_eq!(check(&allowed, "gate.internal", Some("https://app.example.com")), Ok(()));
        assert_eq!(check(&allowed, "gate.internal", Some("https://gate.example.com")), Ok(()));
        assert_eq!(check(&allowed, "gate.internal", Some("http://localhost:1")), Err(Foreign::Origin));
    }
}

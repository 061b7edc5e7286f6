//! Where an HTTP+SSE server wants its messages (spec 2024-11-05, basic/transports): the `endpoint` event's reference,
//! resolved against the address of the stream (RFC 3986, 5.2). Another origin is refused: credentials go with each POST.

use super::target::Target;
use http::{Uri, uri::Scheme};

/// The path and query to POST to.
pub(crate) fn resolve(target: &Target, reference: &str) -> Result<Uri, String> {
    let reference = reference.trim();
    let reference = reference.split('#').next().unwrap_or_default();
    let fail = |why: &str| format!("its endpoint {reference:?} {why}");
    let base = target.uri();
    let path = if reference.contains("://") && !reference.starts_with('/') {
        own_path(target, reference).map_err(fail)?
    } else if let Some(rest) = reference.strip_prefix("//") {
        let scheme = if target.https { "https" } else { "http" };
        own_path(target, &format!("{scheme}://{rest}")).map_err(fail)?
    } else if reference.is_empty() {
        base.to_string()
    } else if reference.starts_with('/') {
        reference.to_owned()
    } else if reference.starts_with('?') {
        format!("{}{reference}", base.path())
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{directory}/{reference}")
    };
    without_dots(&path).parse().map_err(|_| fail("cannot be sent"))
}

/// The path of an absolute URL, if it has our origin.
fn own_path(target: &Target, url: &str) -> Result<String, &'static str> {
    let url: Uri = url.parse().map_err(|_| "is no URL")?;
    let https = match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => return Err("is neither http nor https"),
    };
    let authority = url.authority().ok_or("names no host")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
    let same = https == target.https && host.eq_ignore_ascii_case(&target.host) && port == target.port;
    if !same || authority.as_str().contains('@') {
        return Err("is at another origin");
    }
    Ok(url.path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()))
}

/// The path without `.` and `..` (RFC 3986, 5.2.4); the query stays as it is.
fn without_dots(reference: &str) -> String {
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.split('/').skip(1).peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            other => segments.push(other),
        }
    }
    let mut whole = format!("/{}", segments.join("/"));
    if let Some(query) = query {
        whole.push('?');
        whole.push_str(query);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::target::tests::config;
    use super::*;

    fn at(url: &str, reference: &str) -> Result<String, String> {
        let target = Target::parse(&config(url)).unwrap();
        resolve(&target, reference).map(|uri| uri.to_string())
    }

    #[test]
    fn references_are_resolved_against_the_stream() {
        for (reference, path) in [
            ("/messages/?session_id=1", "/messages/?session_id=1"),
            ("messages?x=1", "/a/messages?x=1"),
            ("../m", "/m"),
            ("./", "/a/"),
            ("../../m/./n/..", "/m/"),
            ("?session=1", "/a/sse?session=1"),
            ("", "/a/sse?key=k"),
            (" /m#part ", "/m"),
            ("/m?next=http://b/", "/m?next=http://b/"),
            ("http://host.example/m?s=1", "/m?s=1"),
            ("http://HOST.example:80", "/"),
            ("//host.example/m", "/m"),
        ] {
            assert_eq!(at("http://host.example/a/sse?key=k", reference).unwrap(), path, "{reference}");
        }
        assert_eq!(at("https://[::1]:8443/sse", "https://[::1]:8443/m").unwrap(), "/m");
    }

    #[test]
    fn another_origin_is_refused() {
        for reference in [
            "https://host.example/m",
            "http://host.example:81/m",
            "http://other.example/m",
            "//other.example/m",
            "http://user@host.example/m",
            "file:///etc/passwd",
            "http://",
            "http://host.example.evil.example/m",
        ] {
            assert!(at("http://host.example/sse", reference).is_err(), "{reference}");
        }
    }

    #[test]
    fn what_cannot_be_a_path_is_refused() {
        assert!(at("http://host.example/sse", "/a b").is_err());
        assert!(at("http://host.example/sse", "/a\u{0}b").is_err());
    }
}

//! Reads requests: the body within its limit and time, and the headers that decide something.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;

/// How long a body may take to arrive: a slow sender holds a connection and memory.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFault {
    TooLarge,
    TooSlow,
    Broken,
}

impl BodyFault {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) fn text(self, limit: usize) -> String {
        match self {
            Self::TooLarge => format!("the body is larger than {limit} bytes"),
            Self::TooSlow => "the body took too long to arrive".to_owned(),
            Self::Broken => "the body broke off".to_owned(),
        }
    }
}

/// Reads a whole body. The usual one arrives in one piece and is not copied.
pub(crate) async fn read_body(mut body: Incoming, limit: usize) -> Result<Bytes, BodyFault> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyFault::TooLarge);
    }
    let deadline = tokio::time::sleep(BODY_TIME);
    tokio::pin!(deadline);
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = &mut deadline => return Err(BodyFault::TooSlow),
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| BodyFault::Broken)?.into_data() else { continue };
        let so_far = rest.as_ref().map_or(first.len(), BytesMut::len);
        if so_far + data.len() > limit {
            return Err(BodyFault::TooLarge);
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::with_capacity(first.len() + data.len());
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// Why a body's framing cannot be trusted: whoever stands in front of the gate may read it in another way, and what one takes
/// for a body is a request to the other (RFC 9112, 6.1 and 11.2). The connection is not used again.
pub(crate) fn doubtful_framing(headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    let plain = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    (!plain).then_some((StatusCode::NOT_IMPLEMENTED, "the only transfer coding here is chunked, once"))
}

/// The only value of a header; `Err` if it is there more than once.
pub(crate) fn single(headers: &HeaderMap, name: impl Into<HeaderName>) -> Result<Option<&[u8]>, ()> {
    let mut values = headers.get_all(name.into()).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first.map(|value| value.as_bytes())) }
}

/// Whether the body says that it is plain JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let single = headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_none();
    single
        && kind.eq_ignore_ascii_case("application/json")
        && encodings.all(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the client takes any of these media types; without the header it takes everything (RFC 9110, 12.5.1).
pub(crate) fn accepts(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let mut present = false;
    for value in headers.get_all(header::ACCEPT) {
        present = true;
        let Ok(value) = value.to_str() else { continue };
        for range in value.split(',') {
            let range = range.split(';').next().unwrap_or_default().trim();
            let fits = |kind: &&str| {
                let family =
                    range.strip_suffix("/*").is_some_and(|family| kind.split('/').next() == Some(family));
                range == "*/*" || family || range.eq_ignore_ascii_case(kind)
            };
            if kinds.iter().any(fits) {
                return true;
            }
        }
    }
    !present
}

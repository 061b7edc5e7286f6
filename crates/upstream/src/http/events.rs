//! Reading what comes back over HTTP: one JSON body, or an event stream of JSON-RPC messages, within limits.
//! Which message means what is decided by the legs.

use super::connection::{Body, Response, SendError};
use crate::wire;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use portreeve_mcp::{
    Frame, Outcome, RpcError, Text, frame,
    service::{Failure, FailureKind},
    sse::{Decoder, SseEvent},
};

/// What a response's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// One JSON value.
    Json,
    /// An event stream.
    Events,
    /// Something else, or nothing.
    Other,
}

/// Reads the media type; parameters such as a charset do not matter.
pub(crate) fn content(headers: &HeaderMap) -> Content {
    let value = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let media = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media.eq_ignore_ascii_case(b"application/json") {
        Content::Json
    } else if media.eq_ignore_ascii_case(b"text/event-stream") {
        Content::Events
    } else {
        Content::Other
    }
}

/// The body's length, if the server named it.
pub(crate) fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The connection broke.
    Broken(String),
    /// Larger than allowed.
    TooLarge,
}

impl ReadError {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Broken(why) => {
                Failure::new(FailureKind::OutcomeUnknown, format!("the answer broke off: {why}"))
            }
            Self::TooLarge => Failure::new(FailureKind::Protocol, "the answer is larger than allowed"),
        }
    }
}

impl SendError {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Connect(why) => Failure::new(FailureKind::Unreachable, why),
            Self::Broken(why) => Failure::new(FailureKind::OutcomeUnknown, format!("no answer came: {why}")),
        }
    }
}

/// Reads a whole body. One that comes in one piece is not copied.
pub(crate) async fn collect(body: &mut Body, first: Vec<Bytes>, limit: usize) -> Result<Bytes, ReadError> {
    let mut pieces = first;
    let mut size: usize = pieces.iter().map(Bytes::len).sum();
    while let Some(piece) = body.chunk().await {
        let piece = piece.map_err(ReadError::Broken)?;
        size += piece.len();
        if size > limit {
            return Err(ReadError::TooLarge);
        }
        pieces.push(piece);
    }
    Ok(join(pieces, size))
}

pub(crate) fn join(mut pieces: Vec<Bytes>, size: usize) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(size);
    for piece in &pieces {
        whole.extend_from_slice(piece);
    }
    whole.freeze()
}

/// Messages from an event stream.
pub(crate) struct Messages {
    body: Body,
    decoder: Decoder,
    closed: bool,
}

/// What came next on an event stream.
pub(crate) enum Next {
    /// A message.
    Frame(Frame),
    /// An event of another type than `message`, such as `endpoint`.
    Other(SseEvent),
    /// The stream ended, properly or not.
    End(String),
    /// It cannot be read.
    Fault(Failure),
}

impl Messages {
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self { body, decoder: Decoder::new(limit), closed: false }
    }

    /// Where the stream could be taken up again.
    pub(crate) fn last_event_id(&self) -> Option<Text> {
        self.decoder.last_event_id().cloned()
    }

    /// The reconnection time that the server asked for, in milliseconds.
    pub(crate) fn retry(&self) -> Option<u64> {
        self.decoder.retry()
    }

    /// Whether the stream's end was the server's wish rather than a broken connection.
    pub(crate) fn was_closed(&self) -> bool {
        self.closed
    }

    /// The last message has been read.
    pub(crate) fn finish(self) {
        self.body.finish();
    }

    /// The next message. Comments and priming events are passed over (check 78); nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            match self.decoder.next() {
                Some(Ok(event)) if &*event.event != "message" => return Next::Other(event),
                Some(Ok(event)) if event.data.is_empty() => {}
                Some(Ok(event)) => match frame::decode(&event.data, wire::DEPTH) {
                    Ok(message) => return Next::Frame(message),
                    Err(error) => {
                        tracing::warn!(%error, data = wire::excerpt(&event.data), "an event is not a message");
                    }
                },
                Some(Err(error)) => {
                    return Next::Fault(Failure::new(FailureKind::Protocol, error.to_string()));
                }
                None => match self.body.chunk().await {
                    Some(Ok(chunk)) => self.decoder.push(chunk),
                    Some(Err(why)) => return Next::End(why),
                    None => {
                        self.closed = true;
                        return Next::End("the stream ended".to_owned());
                    }
                },
            }
        }
    }
}

/// A short exchange of the connector's own: its answer is small and read whole.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) outcome: Option<Outcome>,
    /// Instead of an answer the stream of an HTTP+SSE server began: it takes any request to its address for a GET.
    pub(crate) endpoint: bool,
}

/// What an event stream had for the one who reads it.
enum Streamed {
    Answer(Outcome),
    Endpoint,
    Nothing,
}

impl Reply {
    /// Reads the answer to the request with this id, whichever form it has.
    pub(crate) async fn read(response: Response, id: u64, limit: usize) -> Result<Self, Failure> {
        let Response { status, headers, mut body } = response;
        let mut endpoint = false;
        let outcome = match content(&headers) {
            Content::Events if status.is_success() => {
                match first_response(Messages::new(body, limit), id).await? {
                    Streamed::Answer(outcome) => Some(outcome),
                    Streamed::Endpoint => {
                        endpoint = true;
                        None
                    }
                    Streamed::Nothing => None,
                }
            }
            Content::Json => {
                let bytes = collect(&mut body, Vec::new(), limit).await.map_err(ReadError::failure)?;
                decode_response(&bytes, id)
            }
            // A page of a proxy is not read, but a short one is drained so that its connection can go on.
            _ => {
                let _ = collect(&mut body, Vec::new(), 16 << 10).await;
                None
            }
        };
        Ok(Self { status, headers, outcome, endpoint })
    }

    pub(crate) fn error(&self) -> Option<&RpcError> {
        match &self.outcome {
            Some(Outcome::Error(error)) => Some(error),
            _ => None,
        }
    }
}

async fn first_response(mut messages: Messages, id: u64) -> Result<Streamed, Failure> {
    loop {
        match messages.next().await {
            Next::Frame(Frame::Response { id: theirs, outcome })
                if theirs.as_ref().is_none_or(|theirs| theirs.as_number() == Some(id)) =>
            {
                messages.finish();
                return Ok(Streamed::Answer(outcome));
            }
            Next::Other(event) if &*event.event == "endpoint" => return Ok(Streamed::Endpoint),
            Next::Frame(_) | Next::Other(_) => {}
            Next::End(_) => return Ok(Streamed::Nothing),
            Next::Fault(failure) => return Err(failure),
        }
    }
}

/// The outcome in a JSON body, if it answers this request; errors may come without an id.
pub(crate) fn decode_response(bytes: &Bytes, id: u64) -> Option<Outcome> {
    match frame::decode(bytes, wire::DEPTH) {
        Ok(Frame::Response { id: None, outcome }) => Some(outcome),
        Ok(Frame::Response { id: Some(theirs), outcome }) if theirs.as_number() == Some(id) => Some(outcome),
        // An error that names no id it could read, or an id of its own making, still answers the only request there was.
        Ok(Frame::Response { outcome: error @ Outcome::Error(_), .. }) => Some(error),
        _ => None,
    }
}

/// What a status without a JSON-RPC answer means for a call.
pub(crate) fn status_failure(status: StatusCode) -> Failure {
    let kind = match status.as_u16() {
        401 => FailureKind::Unauthorized,
        403 => FailureKind::Forbidden,
        429 => FailureKind::Busy,
        408 | 500..=599 => FailureKind::OutcomeUnknown,
        _ => FailureKind::Protocol,
    };
    Failure::new(kind, format!("the server answered HTTP {status}"))
}

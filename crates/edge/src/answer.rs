//! The one place where answers and errors become HTTP responses (reference: mcp.md 1.3, 1.4, 2.4). A plain answer goes
//! out as JSON; an event stream begins at the first event that is not the answer, or after some silence (decision D7).

use crate::body::{Events, Large, OutBody, Source};
use futures_core::Stream;
use futures_util::StreamExt;
use http::{HeaderValue, Response, StatusCode, header};
use portreeve_gateway::{Exchange, Gateway, Last, Level, Out, Refusal, Reply, Sending, Session};
use portreeve_mcp::{Code, Era, FrameError, Id, Outcome, RpcError, frame, header as names};
use std::{pin::Pin, sync::Arc, time::Duration};

/// Results above this size go out beside their envelope instead of being copied into it.
const SHARE_ABOVE: usize = 8 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO: HeaderValue = HeaderValue::from_static("no");

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<OutBody> {
    let mut response = Response::new(OutBody::empty());
    *response.status_mut() = status;
    response
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: OutBody) -> Response<OutBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// An error outside JSON-RPC: paths, methods, media types.
pub(crate) fn problem(status: StatusCode, text: &str) -> Response<OutBody> {
    let mut body = Vec::from(*b"{\"error\":");
    portreeve_mcp::json::write_string(&mut body, text);
    body.push(b'}');
    json(status, OutBody::whole(body))
}

/// A JSON-RPC error with this HTTP status.
pub(crate) fn rpc_error(status: StatusCode, id: Option<&Id>, error: RpcError) -> Response<OutBody> {
    json(status, OutBody::whole(frame::encode_response(id, &Outcome::Error(error))))
}

/// A body that is no acceptable message.
pub(crate) fn bad_frame(error: &FrameError) -> Response<OutBody> {
    rpc_error(StatusCode::BAD_REQUEST, error.id.as_ref(), error.to_rpc())
}

/// A request that the gateway refused.
pub(crate) fn refused(era: Era, id: &Id, refusal: Refusal) -> Response<OutBody> {
    let status = match refusal.level {
        Level::Envelope => StatusCode::BAD_REQUEST,
        Level::Handler => status_of(era, &refusal.error),
    };
    rpc_error(status, Some(id), refusal.error)
}

/// The status that the specification forces; everything else is in-band, since a dual-era client takes a bare 400 for
/// proof of a legacy server (mcp.md 1.3).
fn status_of(era: Era, error: &RpcError) -> StatusCode {
    match error.code {
        _ if era == Era::Legacy => StatusCode::OK,
        Code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        code if code.proves_modern() => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// The answer to a request.
pub(crate) async fn reply(era: Era, id: Id, reply: Reply, sse_after: Duration) -> Response<OutBody> {
    match begin(era, &id, reply, sse_after).await {
        Begun::Whole(response) => *response,
        Begun::Stream(call, first) => events(&id, call, first),
    }
}

/// The answer to a request of a session: a stream of it can be taken up again (check 155).
pub(crate) async fn reply_in_session(
    gateway: &Arc<Gateway>,
    session: &Arc<Session>,
    id: Id,
    reply: Reply,
    sse_after: Duration,
) -> Response<OutBody> {
    match begin(Era::Legacy, &id, reply, sse_after).await {
        Begun::Whole(response) => *response,
        Begun::Stream(call, first) => match gateway.send_call(session, &id, call, first) {
            Ok(sending) => kept(sending),
            Err((call, first)) => events(&id, call, first),
        },
    }
}

/// How an answer begins.
enum Begun {
    Whole(Box<Response<OutBody>>),
    /// As a stream: there is more to say than the answer, and perhaps something was said already.
    Stream(Box<Exchange>, Option<Out>),
}

async fn begin(era: Era, id: &Id, reply: Reply, sse_after: Duration) -> Begun {
    let response = match reply {
        Reply::Refused(refusal) => refused(era, id, refusal),
        Reply::Whole(outcome) => outcome_response(era, id, outcome),
        Reply::Updates(updates) => events(id, updates, None),
        Reply::Elsewhere(_, gone) => refused(era, id, gone.into()),
        Reply::Call(mut exchange) => match tokio::time::timeout(sse_after, exchange.next()).await {
            Err(_) => return Begun::Stream(exchange, None),
            Ok(Some(Out::Last(Last::Outcome(outcome)))) => outcome_response(era, id, outcome),
            Ok(Some(Out::Last(Last::Large { stream, splice }))) => {
                json(StatusCode::OK, OutBody::Large(Box::new(Large::json(id, stream, splice))))
            }
            Ok(Some(first @ (Out::Message(_) | Out::HangUp(_)))) => {
                return Begun::Stream(exchange, Some(first));
            }
            // Cancelled before anything was said: an empty stream is the only answer that is none.
            Ok(Some(Out::Gone) | None) => events(id, exchange, Some(Out::Gone)),
        },
    };
    Begun::Whole(Box::new(response))
}

pub(crate) fn outcome_response(era: Era, id: &Id, outcome: Outcome) -> Response<OutBody> {
    match outcome {
        Outcome::Error(error) => rpc_error(status_of(era, &error), Some(id), error),
        Outcome::Result(result) if result.as_bytes().len() > SHARE_ABOVE => {
            json(StatusCode::OK, OutBody::wrapped(frame::response_head(Some(id), 0), result.bytes()))
        }
        outcome @ Outcome::Result(_) => {
            json(StatusCode::OK, OutBody::whole(frame::encode_response(Some(id), &outcome)))
        }
    }
}

/// An event stream. It may stay open for days: all that it keeps of its request is the id.
pub(crate) fn events<S>(id: &Id, source: S, first: Option<Out>) -> Response<OutBody>
where
    S: IntoSource,
{
    stream(OutBody::Events(Box::new(Events::new(Source::Plain(id.detached(), source.into_source()), first))))
}

/// An event stream that can be taken up again.
pub(crate) fn kept(sending: Sending) -> Response<OutBody> {
    stream(OutBody::Events(Box::new(Events::new(Source::Kept(Box::new(sending), String::new()), None))))
}

/// A response whose body is an event stream (check 61).
pub(crate) fn stream(body: OutBody) -> Response<OutBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(names::ACCEL_BUFFERING, NO);
    response
}

/// What an event stream can be made from.
pub(crate) trait IntoSource {
    fn into_source(self) -> Pin<Box<dyn Stream<Item = Out> + Send>>;
}

impl IntoSource for Box<portreeve_gateway::Exchange> {
    fn into_source(self) -> Pin<Box<dyn Stream<Item = Out> + Send>> {
        Box::into_pin(self)
    }
}

impl IntoSource for portreeve_gateway::Updates {
    fn into_source(self) -> Pin<Box<dyn Stream<Item = Out> + Send>> {
        self
    }
}

//! Requests that one replica passes on to another: the replicas' own listener, which serves them like a client's, and the way
//! there and back. What they hold and how it is sealed is the gateway's (`portreeve_gateway::hop`).
//! A replica that is lost is noticed at once where its connection breaks, and by its silence where it does not.

use crate::{answer, body::OutBody, listener::Edge, mcp, request::read_body};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use portreeve_gateway::{
    Gateway,
    hop::{AnswerHead, AnswerKey, Hop, HopFault, MAX_PIECE, Piece},
};
use portreeve_mcp::{Code, Id, Outcome, RpcError, frame, sse};
use portreeve_model::ReplicaId;
use portreeve_upstream::{PEER_PATH, PEER_VERSION, PeerAnswer, PeerError};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How often a replica that has nothing to say shows that it lives.
const ALIVE: Duration = Duration::from_secs(1);
/// How long a replica may be silent before it counts as lost: some heartbeats, less than a caller's patience.
const SILENCE: Duration = Duration::from_secs(4);
/// How much a sealed request is larger than its body at most: headers, names and seal.
const OVERHEAD: usize = 128 << 10;
/// Answers of known length up to this are put together, so that they go out with their length.
const WHOLE: u64 = 64 << 10;
/// The status by which a replica says that it is not the one, or no longer takes new work. No door uses it.
pub(crate) const NOT_MINE: StatusCode = StatusCode::MISDIRECTED_REQUEST;

/// A request did not get its answer from the replica that owns what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The owner is gone; nothing has happened there.
    Gone,
    /// It was lost in the middle; the request may have run.
    Unknown,
}

/// What a lost answer is to a caller who asked something.
pub(crate) fn outcome_unknown() -> RpcError {
    RpcError::new(
        portreeve_gateway::error::OUTCOME_UNKNOWN,
        "the replica that ran this was lost; the call may have run, look before you repeat it",
    )
}

/// Whether a header goes along: what the doors read, and never a credential.
pub(crate) fn goes_along(name: &HeaderName) -> bool {
    matches!(name.as_str(), "accept" | "content-type" | "content-encoding" | "last-event-id")
        || name.as_str().starts_with("mcp-")
}

/// Sends a request to the replica that owns what it is about and brings back its answer. `id`: whom to tell when the
/// replica is lost in the middle of a stream.
pub(crate) async fn pass_on(
    edge: &Edge,
    owner: &ReplicaId,
    hop: &Hop,
    id: Option<Id>,
) -> Result<Response<OutBody>, Lost> {
    let (Some(peers), Some(address)) = (edge.gateway.peers(), owner.address()) else {
        return Err(Lost::Gone);
    };
    let (sealed, key) = edge.gateway.seal_hop(owner, hop);
    let posted =
        tokio::time::timeout(SILENCE, peers.post(address, portreeve_gateway::hop::HOP_VERSION, sealed));
    let answer = match posted.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(PeerError::Unreachable(why))) => {
            tracing::debug!(%owner, "a replica is gone: {why}");
            return Err(Lost::Gone);
        }
        Ok(Err(PeerError::Broken(why))) => {
            tracing::warn!(%owner, "a replica was lost: {why}");
            return Err(Lost::Unknown);
        }
        Err(_) => return Err(Lost::Unknown),
    };
    // Everything but 200 is said before a request is looked at.
    if answer.status != StatusCode::OK {
        return Err(Lost::Gone);
    }
    let mut back =
        Back { gateway: edge.gateway.clone(), key, answer, arrived: BytesMut::new(), silence: silence() };
    let head = back.head().await?;
    if head.status == NOT_MINE.as_u16() {
        return Err(Lost::Gone);
    }
    respond(head, back, id).await
}

async fn respond(head: AnswerHead, mut back: Back, id: Option<Id>) -> Result<Response<OutBody>, Lost> {
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in &head.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let events = headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let body = match head.length {
        Some(length) if length <= WHOLE => OutBody::whole(back.rest().await?),
        _ => OutBody::Passed(Box::new(Passed { back: Some(back), last_words: id.filter(|_| events) })),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.status).map_err(|_| Lost::Unknown)?;
    *response.headers_mut() = headers;
    Ok(response)
}

fn silence() -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep(SILENCE))
}

/// The way back: the pieces of an answer.
struct Back {
    gateway: Arc<Gateway>,
    key: AnswerKey,
    answer: PeerAnswer,
    arrived: BytesMut,
    silence: Pin<Box<Sleep>>,
}

impl Back {
    /// The next piece that says something.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Lost>> {
        loop {
            match self.key.open(&self.gateway, &mut self.arrived) {
                Ok(Some(Piece::Alive)) => continue,
                Ok(Some(piece)) => return Poll::Ready(Ok(piece)),
                Ok(None) => {}
                Err(fault) => {
                    tracing::warn!("the answer of a replica cannot be used: {fault}");
                    return Poll::Ready(Err(Lost::Unknown));
                }
            }
            match self.answer.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.silence.as_mut().reset(Instant::now() + SILENCE);
                    self.arrived.extend_from_slice(&chunk);
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Lost::Unknown)),
                Poll::Pending => {
                    ready!(self.silence.as_mut().poll(cx));
                    tracing::warn!("a replica has been silent for {SILENCE:?} and counts as lost");
                    return Poll::Ready(Err(Lost::Unknown));
                }
            }
        }
    }

    async fn head(&mut self) -> Result<AnswerHead, Lost> {
        match std::future::poll_fn(|cx| self.poll_piece(cx)).await? {
            Piece::Head(head) => Ok(head),
            Piece::Alive | Piece::Data(_) | Piece::End => Err(Lost::Unknown),
        }
    }

    async fn rest(&mut self) -> Result<Bytes, Lost> {
        let mut whole = BytesMut::new();
        loop {
            match std::future::poll_fn(|cx| self.poll_piece(cx)).await? {
                Piece::Data(data) => whole.extend_from_slice(&data),
                Piece::End => return Ok(whole.freeze()),
                Piece::Alive | Piece::Head(_) => return Err(Lost::Unknown),
            }
        }
    }
}

/// The body of an answer that another replica gives.
pub(crate) struct Passed {
    back: Option<Back>,
    /// The request to which an event stream owes an answer.
    last_words: Option<Id>,
}

impl Passed {
    /// The next bytes. A lost replica ends an event stream with an error for the request; every other body breaks off.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, crate::body::BrokenOff>>> {
        let Some(back) = &mut self.back else { return Poll::Ready(None) };
        match ready!(back.poll_piece(cx)) {
            Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(data))),
            Ok(Piece::End) => {
                self.back = None;
                return Poll::Ready(None);
            }
            Ok(Piece::Alive | Piece::Head(_)) | Err(_) => self.back = None,
        }
        let Some(id) = self.last_words.take() else { return Poll::Ready(Some(Err(crate::body::BrokenOff))) };
        let message = frame::encode_response(Some(&id), &Outcome::Error(outcome_unknown()));
        let mut event = Vec::from(*b"\n\n");
        sse::encode_event(&mut event, None, Some("message"), &message);
        Poll::Ready(Some(Ok(event.into())))
    }
}

/// Serves one request of another replica.
pub(crate) async fn serve(edge: &Arc<Edge>, request: Request<Incoming>) -> Response<OutBody> {
    if request.uri().path() != PEER_PATH || request.method() != http::Method::POST {
        return answer::problem(StatusCode::NOT_FOUND, "only replicas of this gate have business here");
    }
    let version = request.headers().get(PEER_VERSION).and_then(|value| value.to_str().ok());
    if version != Some(&portreeve_gateway::hop::HOP_VERSION.to_string()) {
        return answer::problem(StatusCode::UPGRADE_REQUIRED, "this replica speaks another version");
    }
    let limit = edge.gateway.limits().body + OVERHEAD;
    let sealed = match read_body(request.into_body(), limit).await {
        Ok(sealed) => sealed,
        Err(fault) => return answer::problem(fault.status(), &fault.text(limit)),
    };
    match edge.gateway.open_hop(&sealed) {
        Ok((hop, key)) => {
            let edge = edge.clone();
            let (gateway, counted) = (edge.gateway.clone(), edge.passing.token());
            let work = Box::pin(async move { mcp::serve_hop(&edge, hop).await });
            let alive = Box::pin(tokio::time::sleep(ALIVE));
            let stage = Stage::Working(work);
            Response::new(OutBody::Answering(Box::new(Answering {
                gateway,
                key,
                stage,
                alive,
                _counted: counted,
            })))
        }
        Err(fault) => {
            if fault != HopFault::Foreign {
                tracing::warn!("refused a request of a replica: {fault}");
            }
            answer::problem(NOT_MINE, "not for this replica")
        }
    }
}

enum Stage {
    Working(BoxFuture<'static, Response<OutBody>>),
    Body(OutBody, Bytes),
    Done,
}

/// An answer on its way to the replica that asked. Dropping it drops the work: the client has gone.
pub(crate) struct Answering {
    gateway: Arc<Gateway>,
    key: AnswerKey,
    stage: Stage,
    alive: Pin<Box<Sleep>>,
    _counted: TaskTrackerToken,
}

impl Answering {
    /// The next sealed piece.
    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, crate::body::BrokenOff>>> {
        let piece = match self.poll_piece(cx) {
            Poll::Ready(Some(Ok(piece))) => piece,
            Poll::Ready(Some(Err(broken))) => return Poll::Ready(Some(Err(broken))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                ready!(self.alive.as_mut().poll(cx));
                Piece::Alive
            }
        };
        self.alive.as_mut().reset(Instant::now() + ALIVE);
        if self.alive.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Some(Ok(self.key.seal(&self.gateway, &piece))))
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, crate::body::BrokenOff>>> {
        loop {
            match &mut self.stage {
                Stage::Done => return Poll::Ready(None),
                Stage::Working(work) => {
                    let (parts, body) = ready!(work.as_mut().poll(cx)).into_parts();
                    let length = body.size_hint().exact();
                    self.stage = Stage::Body(body, Bytes::new());
                    return Poll::Ready(Some(Ok(Piece::Head(head_of(&parts, length)))));
                }
                Stage::Body(_, rest) if !rest.is_empty() => {
                    let piece = rest.split_to(rest.len().min(MAX_PIECE));
                    return Poll::Ready(Some(Ok(Piece::Data(piece))));
                }
                Stage::Body(body, rest) => match ready!(Pin::new(body).poll_frame(cx)) {
                    Some(Ok(frame)) => *rest = frame.into_data().unwrap_or_default(),
                    Some(Err(broken)) => {
                        self.stage = Stage::Done;
                        return Poll::Ready(Some(Err(broken)));
                    }
                    None => {
                        self.stage = Stage::Done;
                        return Poll::Ready(Some(Ok(Piece::End)));
                    }
                },
            }
        }
    }
}

fn head_of(parts: &http::response::Parts, length: Option<u64>) -> AnswerHead {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = parts.headers.iter();
    AnswerHead {
        status: parts.status.as_u16(),
        headers: headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect(),
        length,
    }
}

/// What a client hears whose request was lost with a replica, where no stream has begun.
pub(crate) fn lost_answer(id: Option<&Id>) -> Response<OutBody> {
    match id {
        Some(id) => answer::rpc_error(StatusCode::OK, Some(id), outcome_unknown()),
        None => {
            let error = RpcError::new(Code::INTERNAL, "the replica that this belongs to was lost");
            answer::rpc_error(StatusCode::BAD_GATEWAY, None, error)
        }
    }
}

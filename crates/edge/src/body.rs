//! Bodies that go out: whole ones, ready bytes between a head and a tail, event streams, and large results that pass
//! chunk by chunk. A stream that breaks breaks the connection, so that nobody takes a part for the whole.

use crate::{
    hop::{Answering, Passed},
    sse::Listed,
};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use http_body::{Frame, SizeHint};
use portreeve_gateway::{Last, Out, Sending, Sent, What};
use portreeve_mcp::{Id, frame, service::RawStream, sse};
use std::{
    collections::VecDeque,
    fmt::Write,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How often an idle stream shows that it lives: below the idle limits of common proxies (decision D7).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many bytes of ready events go out as one chunk, about; more would only make the reader wait.
const CHUNK: usize = 16 << 10;
/// After how many milliseconds a client may take a broken stream up again: one second, as browsers do.
const RETRY: u64 = 1000;

/// A body of ours.
pub(crate) enum OutBody {
    /// Chunks that are ready, and how many bytes they are together.
    Ready(VecDeque<Bytes>, u64),
    /// An event stream.
    Events(Box<Events>),
    /// A large JSON answer.
    Large(Box<Large>),
    /// The one stream of an HTTP+SSE client.
    Channel(Box<Channel>),
    /// An answer that another replica gives.
    Passed(Box<Passed>),
    /// An answer to another replica.
    Answering(Box<Answering>),
}

/// The body cannot be finished.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct BrokenOff;

impl OutBody {
    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self::Ready(VecDeque::new(), 0)
    }

    /// One chunk.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self::Ready(VecDeque::from([bytes]), length)
    }

    /// A large shared value between a head and a closing brace, uncopied.
    pub(crate) fn wrapped(head: Vec<u8>, value: Bytes) -> Self {
        let length = (head.len() + value.len() + 1) as u64;
        Self::Ready(VecDeque::from([head.into(), value, Bytes::from_static(b"}")]), length)
    }
}

impl http_body::Body for OutBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Ready(chunks, _) => Poll::Ready(chunks.pop_front().map(|chunk| Ok(Frame::data(chunk)))),
            Self::Events(events) => {
                events.poll_chunk(cx).map(|chunk| chunk.map(|bytes| bytes.map(Frame::data)))
            }
            Self::Large(large) => large.poll_chunk(cx).map(|chunk| chunk.map(|bytes| bytes.map(Frame::data))),
            Self::Passed(passed) => {
                passed.poll_chunk(cx).map(|chunk| chunk.map(|bytes| bytes.map(Frame::data)))
            }
            Self::Answering(answering) => {
                answering.poll_chunk(cx).map(|chunk| chunk.map(|bytes| bytes.map(Frame::data)))
            }
            Self::Channel(channel) => {
                channel.poll_chunk(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Ready(chunks, _) if chunks.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ready(_, length) => SizeHint::with_exact(*length),
            Self::Events(_) | Self::Large(_) | Self::Channel(_) | Self::Passed(_) | Self::Answering(_) => {
                SizeHint::default()
            }
        }
    }
}

/// Where the events of a stream come from.
pub(crate) enum Source {
    /// From the request with this id, for this connection alone.
    Plain(Id, Pin<Box<dyn Stream<Item = Out> + Send>>),
    /// From a stream that can be taken up again; with room for its ids.
    Kept(Box<Sending>, String),
}

/// What became of one turn of a source.
enum Turn {
    Said,
    Begun(Large),
    Ended,
}

/// An event stream. Events that are ready together go out together.
pub(crate) struct Events {
    source: Option<Source>,
    first: Option<Out>,
    large: Option<Large>,
    keep_alive: Pin<Box<Sleep>>,
}

impl Events {
    pub(crate) fn new(source: Source, first: Option<Out>) -> Self {
        let keep_alive = Box::pin(tokio::time::sleep(KEEP_ALIVE));
        Self { source: Some(source), first, large: None, keep_alive }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if let Some(large) = &mut self.large {
            return large.poll_chunk(cx);
        }
        let mut out = Vec::new();
        while out.len() < CHUNK {
            let Some(source) = &mut self.source else { break };
            let first = self.first.take();
            match source.poll_turn(first, &mut out, cx) {
                Poll::Ready(Turn::Said) => {}
                Poll::Ready(Turn::Begun(large)) => {
                    self.source = None;
                    self.large = Some(large);
                }
                Poll::Ready(Turn::Ended) => self.source = None,
                Poll::Pending => break,
            }
        }
        if !out.is_empty() {
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
            return Poll::Ready(Some(Ok(out.into())));
        }
        if self.source.is_none() {
            return Poll::Ready(None);
        }
        ready!(self.keep_alive.as_mut().poll(cx));
        self.rest(cx);
        Poll::Ready(Some(Ok(Bytes::from_static(b": keep-alive\n\n"))))
    }

    /// Sets the keep-alive timer again and makes sure that it wakes us.
    fn rest(&mut self, cx: &mut Context<'_>) {
        self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        if self.keep_alive.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl Source {
    /// Writes the next event, if there is one.
    fn poll_turn(&mut self, first: Option<Out>, event: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Turn> {
        match self {
            Self::Plain(id, source) => {
                let out = match first {
                    Some(out) => Some(out),
                    None => ready!(source.poll_next_unpin(cx)),
                };
                Poll::Ready(plain_event(id, out.unwrap_or(Out::Gone), event))
            }
            Self::Kept(sending, id) => {
                let sent = ready!(sending.poll_next_unpin(cx));
                Poll::Ready(sent.map_or(Turn::Ended, |sent| kept_event(sent, id, event)))
            }
        }
    }
}

fn plain_event(id: &Id, out: Out, event: &mut Vec<u8>) -> Turn {
    match out {
        Out::Message(message) => sse::encode_event(event, None, Some("message"), &message),
        Out::HangUp(_) => {}
        Out::Last(Last::Outcome(outcome)) => {
            let message = frame::encode_response(Some(id), &outcome);
            sse::encode_event(event, None, Some("message"), &message);
            return Turn::Ended;
        }
        Out::Last(Last::Large { stream, splice }) => {
            return Turn::Begun(Large::event(id, stream, splice, event));
        }
        Out::Gone => return Turn::Ended,
    }
    Turn::Said
}

/// `room` is where ids are written, so that each event does not need its own.
fn kept_event(sent: Sent, room: &mut String, event: &mut Vec<u8>) -> Turn {
    room.clear();
    let id = sent.id.and_then(|id| write!(room, "{id}").ok()).map(|()| room.as_str());
    match sent.what {
        // The revision asks for an event without data at the beginning, so that there is an id to come back with.
        What::Start => sse::encode_start(event, id.unwrap_or_default(), RETRY),
        What::Message(message) => sse::encode_event(event, id, Some("message"), &message),
        What::HangUp(retry) => {
            if let Some(retry) = retry {
                sse::encode_retry(event, u64::try_from(retry.as_millis()).unwrap_or(RETRY));
            }
            return Turn::Ended;
        }
        What::Large { id: request, stream, splice } => {
            if let Some(id) = id {
                event.extend_from_slice(format!("id: {id}\n").as_bytes());
            }
            return Turn::Begun(Large::event(&request, stream, splice, event));
        }
    }
    Turn::Said
}

/// Everything that an HTTP+SSE client is told, on one stream; it ends with the client or with the gate.
pub(crate) struct Channel {
    first: Option<Vec<u8>>,
    messages: tokio::sync::mpsc::Receiver<Vec<u8>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    keep_alive: Pin<Box<Sleep>>,
    _listed: Listed,
}

impl Channel {
    pub(crate) fn new(
        endpoint: &str,
        messages: tokio::sync::mpsc::Receiver<Vec<u8>>,
        closing: CancellationToken,
        listed: Listed,
    ) -> Self {
        let first = format!("event: endpoint\ndata: {endpoint}\n\n").into_bytes();
        let keep_alive = Box::pin(tokio::time::sleep(KEEP_ALIVE));
        Self {
            first: Some(first),
            messages,
            closing: Box::pin(closing.cancelled_owned()),
            keep_alive,
            _listed: listed,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first.into()));
        }
        if let Poll::Ready(message) = self.messages.poll_recv(cx) {
            let Some(message) = message else { return Poll::Ready(None) };
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
            let mut event = Vec::with_capacity(message.len() + 32);
            sse::encode_event(&mut event, None, Some("message"), &message);
            return Poll::Ready(Some(event.into()));
        }
        if self.closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        ready!(self.keep_alive.as_mut().poll(cx));
        self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        if self.keep_alive.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Some(Bytes::from_static(b": keep-alive\n\n")))
    }
}

/// A large result on its way through.
pub(crate) struct Large {
    head: Option<Vec<u8>>,
    stream: Option<RawStream>,
    splice: &'static [u8],
    tail: &'static [u8],
    /// Inside an event, line breaks (which JSON has only between tokens) become blanks.
    one_line: bool,
}

impl Large {
    /// A JSON answer with this id.
    pub(crate) fn json(id: &Id, stream: RawStream, splice: &'static [u8]) -> Self {
        Self {
            head: Some(frame::response_head(Some(id), 0)),
            stream: Some(stream),
            splice,
            tail: b"}",
            one_line: false,
        }
    }

    /// An event with this id, whose beginning is written here.
    fn event(id: &Id, stream: RawStream, splice: &'static [u8], event: &mut Vec<u8>) -> Self {
        event.extend_from_slice(b"event: message\ndata: ");
        event.extend_from_slice(&frame::response_head(Some(id), 0));
        Self { head: None, stream: Some(stream), splice, tail: b"}\n\n", one_line: true }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(Ok(head.into())));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let chunk = match ready!(stream.poll_next_unpin(cx)) {
            Some(Ok(chunk)) => chunk,
            Some(Err(failure)) => {
                tracing::warn!(kind = ?failure.kind, "a large answer broke off: {}", failure.detail);
                self.stream = None;
                return Poll::Ready(Some(Err(BrokenOff)));
            }
            None => {
                self.stream = None;
                return Poll::Ready(Some(Ok(Bytes::from_static(self.tail))));
            }
        };
        Poll::Ready(Some(Ok(self.fitted(chunk))))
    }

    fn fitted(&mut self, chunk: Bytes) -> Bytes {
        let breaks = self.one_line && chunk.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        if self.splice.is_empty() && !breaks {
            return chunk;
        }
        let splice = std::mem::take(&mut self.splice);
        let mut out = Vec::with_capacity(chunk.len() + splice.len());
        let (brace, rest) = chunk.split_at(usize::from(!splice.is_empty()).min(chunk.len()));
        out.extend_from_slice(brace);
        out.extend_from_slice(splice);
        out.extend_from_slice(rest);
        if self.one_line {
            for byte in out.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
                *byte = b' ';
            }
        }
        out.into()
    }
}

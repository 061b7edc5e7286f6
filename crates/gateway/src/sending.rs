//! An event stream of a legacy session on its way to a client: everything gets an id and is kept, so that the client can
//! take the stream up where its connection broke (spec 2025-11-25: basic/transports; decision D2; checks 66, 155). While
//! a connection stands, it drives its call; when it breaks, an owned task drives the call on, into the ring.

use crate::{
    Gateway, error,
    exchange::{Exchange, Last, Out},
    listen::Updates,
    ring::{Bounds, EventId, Holder, Kind, Read, Ring, Slot, StreamName},
    session::{Session, lock},
};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use portreeve_mcp::{Feature, Id, Outcome, RpcError, frame, service::RawStream};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;

/// One thing for the client, and the id under which the stream can be taken up after it.
pub struct Sent {
    /// The id; what only concerns the connection has none.
    pub id: Option<EventId>,
    /// What.
    pub what: What,
}

/// What goes to the client.
pub enum What {
    /// The stream begins: for clients that know empty events.
    Start,
    /// A message.
    Message(Bytes),
    /// The answer to this request, which is too large to be kept.
    Large {
        /// The request's id.
        id: Id,
        /// The bytes of the result.
        stream: RawStream,
        /// To be put after the first `{`.
        splice: &'static [u8],
    },
    /// The connection ends here, the stream does not: the client is to take it up again after this time.
    HangUp(Option<Duration>),
}

/// Why a stream cannot be taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTakenUp {
    /// No such event is known, or not any more.
    Unknown,
    /// The call is over, and the event was its last.
    Over,
}

/// Where what was not kept yet comes from.
enum Origin {
    /// From a call that this connection drives.
    Call(Id, Slot),
    /// From what the server says outside calls.
    Session(Updates),
    /// From elsewhere, by way of the ring.
    Ring,
}

/// A stream on its way to one client.
pub struct Sending {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    name: StreamName,
    holder: Holder,
    /// The number of the next event.
    next: u64,
    starts: bool,
    /// What the call said before its stream began.
    first: Option<Out>,
    origin: Origin,
    over: bool,
}

impl Gateway {
    fn name_of_stream(&self, kind: Kind) -> StreamName {
        StreamName { kind, number: self.next_number() }
    }

    fn replay_bounds(&self) -> Bounds {
        Bounds { events: self.limits.replay_events, bytes: self.limits.replay_bytes }
    }

    fn open_ring<T>(&self, session: &Session, with: impl FnOnce(&mut Ring) -> Option<T>) -> Option<T> {
        let mut ring = lock(&session.ring);
        // Checked under the lock: whoever ends the session takes the ring away afterwards.
        if session.has_ended() {
            return None;
        }
        with(ring.get_or_insert_with(|| Box::new(Ring::new(self.replay_bounds(), self.replay.clone()))))
    }

    /// The stream of a call that has more to say than its answer. Gives the call back if the session keeps too many.
    pub fn send_call(
        self: &Arc<Self>,
        session: &Arc<Session>,
        id: &Id,
        exchange: Box<Exchange>,
        first: Option<Out>,
    ) -> Result<Sending, (Box<Exchange>, Option<Out>)> {
        let name = self.name_of_stream(Kind::Call);
        let slot = Slot::default();
        let Some(holder) = self.open_ring(session, |ring| ring.open(name, Some(slot.clone()))) else {
            return Err((exchange, first));
        };
        *lock(&slot) = Some(exchange);
        let mut sending = self.sending(session, name, holder, Origin::Call(id.clone(), slot));
        sending.first = first;
        Ok(sending)
    }

    /// The stream of a session for what belongs to no call. `None`: the session keeps too many streams.
    pub fn send_session(self: &Arc<Self>, session: &Arc<Session>) -> Option<Sending> {
        let name = self.name_of_stream(Kind::Session);
        let holder = self.open_ring(session, |ring| ring.open(name, None))?;
        let updates = self.session_stream(session);
        Some(self.sending(session, name, holder, Origin::Session(updates)))
    }

    /// Takes a stream of this session up after the event with this id, from another connection if need be. The session's
    /// own stream begins anew where nothing of it is known any more; of a call there is nothing to begin.
    pub fn take_up(self: &Arc<Self>, session: &Arc<Session>, last: &str) -> Result<Sending, NotTakenUp> {
        let id = EventId::parse(last).ok_or(NotTakenUp::Unknown)?;
        if lock(&session.ring).as_mut().is_some_and(|ring| ring.is_over(id)) {
            return Err(NotTakenUp::Over);
        }
        let attached = lock(&session.ring).as_mut().and_then(|ring| ring.attach(id));
        let Some((holder, slot)) = attached else {
            let anew = (id.stream.kind == Kind::Session).then(|| self.send_session(session)).flatten();
            return anew.ok_or(NotTakenUp::Unknown);
        };
        let origin = match id.stream.kind {
            Kind::Session => Origin::Session(self.session_stream(session)),
            Kind::Call => Origin::Ring,
        };
        let mut sending = self.sending(session, id.stream, holder, origin);
        sending.next = id.event + 1;
        sending.starts = false;
        // A connection that was given up without a word may still hold the call.
        if let Some(exchange) = slot.and_then(|slot| lock(&slot).take()) {
            sending.drive_on(exchange, None);
        }
        Ok(sending)
    }

    /// An answer as it can be kept.
    fn to_be_kept(&self, id: &Id, answer: &Bytes) -> Bytes {
        if self.replay_bounds().takes(answer) { answer.clone() } else { not_kept(id) }
    }

    fn sending(
        self: &Arc<Self>,
        session: &Arc<Session>,
        name: StreamName,
        holder: Holder,
        origin: Origin,
    ) -> Sending {
        Sending {
            gateway: self.clone(),
            session: session.clone(),
            name,
            holder,
            next: 1,
            starts: session.version().supports(Feature::Polling),
            first: None,
            origin,
            over: false,
        }
    }
}

impl Sending {
    fn ring<T>(&self, with: impl FnOnce(&mut Ring) -> T) -> Option<T> {
        lock(&self.session.ring).as_mut().map(|ring| with(ring))
    }

    fn at(&self, event: u64) -> Option<EventId> {
        Some(EventId { stream: self.name, event })
    }

    /// Keeps a message that this connection sends. `None`: the stream is another connection's now.
    fn keep(&mut self, message: &Bytes) -> Option<u64> {
        let (name, holder) = (self.name, self.holder);
        let number = self.ring(|ring| ring.push(name, Some(holder), message)).flatten()?;
        self.next = number + 1;
        Some(number)
    }

    fn end(&mut self) {
        let (name, holder) = (self.name, self.holder);
        self.ring(|ring| ring.end(name, Some(holder)));
        self.over = true;
    }

    /// What of a call's words goes out; `None`: nothing, and the stream may be over.
    fn pass(&mut self, id: &Id, out: Out) -> Option<Sent> {
        let (message, last) = match out {
            Out::Message(message) => (Bytes::from(message), None),
            Out::Last(Last::Outcome(outcome)) => {
                let message = Bytes::from(frame::encode_response(Some(id), &outcome));
                let kept = self.gateway.to_be_kept(id, &message);
                (kept, Some(What::Message(message)))
            }
            Out::Last(Last::Large { stream, splice }) => {
                (not_kept(id), Some(What::Large { id: id.clone(), stream, splice }))
            }
            Out::HangUp(retry) => {
                self.over = self.session.version().supports(Feature::Polling);
                return self.over.then_some(Sent { id: None, what: What::HangUp(retry) });
            }
            Out::Gone => {
                self.end();
                return None;
            }
        };
        let number = self.keep(&message);
        if last.is_some() {
            self.end();
        }
        let Some(number) = number else {
            self.over = true;
            return None;
        };
        Some(Sent { id: self.at(number), what: last.unwrap_or(What::Message(message)) })
    }

    fn poll_call(&mut self, id: &Id, slot: &Slot, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        // Held while a message is kept, so that nobody who takes the call over can keep a later one before.
        let mut held = lock(slot);
        while let Some(exchange) = held.as_mut() {
            let out = match self.first.take() {
                Some(out) => Some(out),
                None => ready!(exchange.poll_next_unpin(cx)),
            };
            let sent = self.pass(id, out.unwrap_or(Out::Gone));
            if sent.is_some() || self.over {
                return Poll::Ready(sent);
            }
        }
        // Taken over: the ring says so at the next poll.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        let Origin::Session(updates) = &mut self.origin else { return Poll::Pending };
        let Some(Out::Message(message)) = ready!(updates.poll_next_unpin(cx)) else {
            return Poll::Ready(None);
        };
        let message = Bytes::from(message);
        let number = self.keep(&message);
        Poll::Ready(number.map(|number| Sent { id: self.at(number), what: What::Message(message) }))
    }

    /// Goes on with a call that no connection drives any more.
    fn drive_on(&self, exchange: Box<Exchange>, first: Option<Out>) {
        let driver = Driver {
            gateway: self.gateway.clone(),
            session: self.session.clone(),
            name: self.name,
            id: exchange.id().cloned().unwrap_or(Id::number(0)),
            exchange,
            first,
            absent: None,
        };
        self.gateway.tracker.spawn(driver.run());
    }
}

impl Stream for Sending {
    type Item = Sent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Sent>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut this.starts) {
            return Poll::Ready(Some(Sent { id: this.at(0), what: What::Start }));
        }
        let (name, holder, from) = (this.name, this.holder, this.next);
        match this.ring(|ring| ring.read(name, holder, from, cx)).unwrap_or(Read::Lost) {
            Read::Event(number, message) => {
                this.next = number + 1;
                return Poll::Ready(Some(Sent { id: this.at(number), what: What::Message(message) }));
            }
            Read::Current => {}
            Read::Over | Read::Lost => {
                this.over = true;
                return Poll::Ready(None);
            }
        }
        let sent = match &this.origin {
            Origin::Ring => return Poll::Pending,
            Origin::Session(_) => ready!(this.poll_session(cx)),
            Origin::Call(id, slot) => {
                let (id, slot) = (id.clone(), slot.clone());
                ready!(this.poll_call(&id, &slot, cx))
            }
        };
        this.over |= sent.is_none();
        Poll::Ready(sent)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let (name, holder) = (self.name, self.holder);
        self.ring(|ring| ring.release(name, holder));
        let Origin::Call(_, slot) = &self.origin else { return };
        if let Some(exchange) = lock(slot).take().filter(|exchange| exchange.id().is_some()) {
            let first = self.first.take();
            self.drive_on(exchange, first);
        }
    }
}

/// A call whose connection is gone.
struct Driver {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    name: StreamName,
    id: Id,
    exchange: Box<Exchange>,
    first: Option<Out>,
    /// Runs while nobody reads; at its end questions are given up.
    absent: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    async fn run(mut self) {
        let shutdown = self.gateway.shutdown.clone();
        tokio::select! {
            () = self.drive() => {}
            () = shutdown.cancelled() => {}
        }
        self.ring(|ring| ring.end(self.name, None));
    }

    fn ring<T>(&self, with: impl FnOnce(&mut Ring) -> T) -> Option<T> {
        lock(&self.session.ring).as_mut().map(|ring| with(ring))
    }

    fn keep(&self, message: impl Into<Bytes>) {
        let message = message.into();
        self.ring(|ring| ring.push(self.name, None, &message));
    }

    async fn drive(&mut self) {
        loop {
            // A server that says much without a pause must not keep others waiting.
            tokio::task::consume_budget().await;
            match std::future::poll_fn(|cx| self.poll_out(cx)).await {
                Some(Out::Message(message)) => self.keep(message),
                // Nobody is there to be let go.
                Some(Out::HangUp(_)) => {}
                Some(Out::Last(last)) => {
                    let most = self.gateway.limits.replay_bytes;
                    let message = last.encode(Some(&self.id), most).await.map(Bytes::from);
                    let kept = message.map(|message| self.gateway.to_be_kept(&self.id, &message));
                    return self.keep(kept.unwrap_or_else(|| not_kept(&self.id)));
                }
                Some(Out::Gone) | None => return,
            }
        }
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Option<Out>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let name = self.name;
        if self.ring(|ring| ring.is_read(name, cx)).unwrap_or(false) {
            self.absent = None;
            self.exchange.rejoin();
        } else {
            let wait = self.gateway.limits.replay_wait;
            let absent = self.absent.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
            if absent.as_mut().poll(cx).is_ready() {
                self.exchange.leave();
            }
        }
        self.exchange.poll_next_unpin(cx)
    }
}

/// What a client hears that asks again for an answer that was too large to be kept.
fn not_kept(id: &Id) -> Bytes {
    let text = "the call ended, but its answer was too large to be kept for a connection that broke; look before you repeat it";
    let outcome = Outcome::Error(RpcError::new(error::NOT_KEPT, text));
    frame::encode_response(Some(id), &outcome).into()
}

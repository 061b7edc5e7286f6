//! One call on a line that it shares with others: what it sends, what comes back for it, and the word that it is not
//! wanted any more. Which line a call goes to is the connectors' business.

use super::{Link, Receipt};
use crate::{
    conversation::{self, Conversation, Step, Waited},
    switchboard::{Entry, Peer},
    timer::Timer,
    wire,
};
use portreeve_mcp::{
    Code, Ctx, Era, Event, Frame, Id, Method, Outcome, Request,
    service::{Emitter, Failure, FailureKind, Final},
};
use std::{collections::VecDeque, sync::Arc};

/// How a call ended.
pub(crate) enum Ended {
    /// With this event.
    With(Event),
    /// The server has not seen it: another line may be tried.
    Unsent(Failure),
}

/// Tells the server that a call is not wanted any more, unless it has ended.
pub(crate) struct CancelGuard {
    link: Arc<Link>,
    id: u64,
    armed: bool,
}

impl CancelGuard {
    pub(crate) fn new(link: &Arc<Link>, id: u64) -> Self {
        Self { link: Arc::clone(link), id, armed: true }
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if self.armed {
            self.link.aside(wire::cancelled(self.id));
        }
    }
}

/// What goes from the call to the server.
struct Sending {
    /// The request, then answers to questions.
    outgoing: VecDeque<Vec<u8>>,
    /// Whether the request has left.
    sent: bool,
    receipt: Option<Receipt>,
}

impl Sending {
    fn put(&mut self, room: super::Room<'_>) {
        let Some(message) = self.outgoing.pop_front() else { return };
        let receipt = room.send(message);
        if !self.sent {
            (self.sent, self.receipt) = (true, receipt);
        }
    }

    /// Waits for the word that the request was refused on its way; acceptance is no news.
    async fn refused(&mut self) -> Failure {
        if let Some(receipt) = &mut self.receipt {
            let outcome = receipt.await;
            self.receipt = None;
            if let Ok(Err(failure)) = outcome {
                return failure;
            }
        }
        std::future::pending().await
    }

    /// The line is gone: whether the server has not seen the request, as far as is known.
    fn unsent(mut self) -> Option<Failure> {
        if !self.sent {
            return Some(Failure::new(FailureKind::Unreachable, "the connection ended before the call"));
        }
        match self.receipt.as_mut()?.try_recv() {
            Ok(Err(failure)) if failure.kind == FailureKind::Unreachable => Some(failure),
            _ => None,
        }
    }
}

/// Runs one call on one line.
pub(crate) async fn run(
    link: &Arc<Link>,
    mut entry: Entry<Link>,
    id: u64,
    ctx: &Ctx,
    request: &Request,
    emit: &Emitter,
    timer: &mut Timer,
) -> Ended {
    let modern = link.description().is_some_and(|it| it.version.era() == Era::Modern);
    let message = message(modern, id, ctx, request);
    let mut sending = Sending { outgoing: VecDeque::from([message]), sent: false, receipt: None };
    let mut guard = CancelGuard::new(link, id);
    let mut talk = Conversation::new(ctx, emit, timer, id);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(frame) = entry.inbox.recv() => take(&mut talk, frame, &mut sending).await,
            outcome = &mut entry.done => break outcome,
            failure = sending.refused() => {
                guard.armed = failure.kind == FailureKind::OutcomeUnknown;
                return refused(failure);
            }
            Some(room) = link.room(), if !sending.outgoing.is_empty() => sending.put(room),
            waited = talk.waits() => match waited {
                Waited::Answer(message) => sending.outgoing.push_back(message),
                Waited::Expired => {
                    guard.armed = sending.sent;
                    return Ended::With(late(sending.sent));
                }
            },
        }
    };
    guard.armed = false;
    // What the server said before its answer comes before it.
    while let Ok(frame) = entry.inbox.try_recv() {
        take(&mut talk, frame, &mut sending).await;
    }
    match outcome {
        Err(_) => match sending.unsent() {
            Some(failure) => Ended::Unsent(failure),
            None => Ended::With(Event::Final(Final::Failed(link.gone()))),
        },
        Ok(outcome) if modern => Ended::With(modern_end(outcome, &request.method)),
        Ok(outcome) => Ended::With(conversation::legacy_end(outcome)),
    }
}

fn message(modern: bool, id: u64, ctx: &Ctx, request: &Request) -> Vec<u8> {
    let progress = ctx.wants_progress.then_some(id);
    if modern {
        wire::modern_request(&Id::number(id), ctx, request, progress)
    } else {
        wire::legacy_request(&Id::number(id), ctx, request, progress)
    }
}

fn refused(failure: Failure) -> Ended {
    match failure.kind {
        FailureKind::Unreachable => Ended::Unsent(failure),
        _ => Ended::With(Event::Final(Final::Failed(failure))),
    }
}

fn late(sent: bool) -> Event {
    if sent {
        Event::failed(FailureKind::Timeout, "the deadline of the call has passed")
    } else {
        Event::failed(FailureKind::Unreachable, "the server took no message until the deadline of the call")
    }
}

async fn take(talk: &mut Conversation<'_>, frame: Frame, sending: &mut Sending) {
    if let Step::Send(message) = talk.take(frame).await {
        sending.outgoing.push_back(message);
    }
}

/// A version that the server said it serves and then refuses is its mistake, and no matter for callers (digest 4.1).
fn modern_end(outcome: Outcome, method: &Method) -> Event {
    match &outcome {
        Outcome::Error(error) if error.code == Code::UNSUPPORTED_VERSION => {
            Event::failed(FailureKind::Protocol, "the server refuses a version that it says it supports")
        }
        _ => wire::modern_end(outcome, method),
    }
}

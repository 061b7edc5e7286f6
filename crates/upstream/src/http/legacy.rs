//! Calls to legacy servers over Streamable HTTP: a call is a POST whose answer is JSON or an event stream, on which the
//! server may ask questions; answers to those are POSTs of their own. The leg drives all of it, no task is needed.
//! A dropped leg tells the server, since a closed connection means nothing in this era (spec 2025-11-25, cancellation).

use super::{
    Http,
    answer::{self, Answer},
    connection::Response,
    events::{self, Content, Messages, Next},
    modern::{Attempt, expired},
    resume::Place,
    session::{Session, SessionKey},
};
use crate::{
    anchored,
    conversation::{self, Conversation, Step, Waited},
    slots::Mode,
    switchboard::{Entry, Peer},
    timer::{Expired, Timer},
    wire,
};
use futures_util::{future::BoxFuture, stream::FuturesUnordered};
use http::StatusCode;
use portreeve_mcp::{
    Code, Ctx, Era, Event, Frame, Id, Outcome, Request, Text,
    service::{Emitter, Failure, FailureKind, Final, Leavable},
};
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How long a call waits for a session while all are taken, though no longer than half of its time.
const BUSY_WAIT: Duration = Duration::from_secs(30);
/// How often a broken stream is taken up again without anything coming of it.
const MAX_RESUMES: u32 = 5;
const MAX_RETRY: Duration = Duration::from_secs(30);
/// How long a server that closes its streams is left alone at least, whatever it says.
const MIN_RETRY: Duration = Duration::from_millis(50);

/// Tells the server that a call is not wanted any more, unless it has ended.
pub(super) struct CancelGuard {
    session: Arc<Session>,
    id: u64,
    place: Option<Arc<Place>>,
    armed: bool,
}

impl CancelGuard {
    pub(super) fn new(session: &Arc<Session>, id: u64, place: Option<Arc<Place>>) -> Self {
        Self { session: Arc::clone(session), id, place, armed: true }
    }

    /// What was answered, or refused, needs no cancellation; what ran out of time or broke off does: a server of this
    /// era goes on with it.
    pub(super) fn end(mut self, once: Result<Once, Expired>) -> Once {
        self.armed = match &once {
            Ok(Once::End(Event::Final(Final::Failed(failure)))) => {
                failure.kind == FailureKind::OutcomeUnknown
            }
            Ok(_) => false,
            Err(Expired) => true,
        };
        once.unwrap_or_else(|gone| failed(expired(gone)))
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        let left = self.place.as_ref().is_some_and(|place| place.is_left());
        if self.armed && !left {
            self.session.aside(wire::cancelled(self.id));
        }
    }
}

pub(super) enum Once {
    End(Event),
    /// The server does not know the session: nothing has run.
    Gone(Event),
    WrongEra(Event),
}

pub(super) fn failed(failure: Failure) -> Once {
    Once::End(Event::Final(Final::Failed(failure)))
}

impl Http {
    /// Runs one call on a session of the caller's kind, with the one repetition that a lost session allows (check 160).
    pub(crate) async fn legacy_call(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
    ) -> Attempt {
        if anchored::wanted(ctx).is_some() {
            // Rare, and large: it is kept out of the futures of other calls.
            return Box::pin(self.anchored_call(ctx, request, emit, timer)).await;
        }
        let key = SessionKey::of(ctx);
        let wait = BUSY_WAIT.min(self.deadlines.call / 2);
        let Ok(lease) = self.sessions.acquire(&key, self.session_mode(ctx), wait).await else {
            return Attempt::End(Event::failed(FailureKind::Busy, "all sessions of this server are taken"));
        };
        let mut last = None;
        for _ in 0..2 {
            let opened = timer.within(lease.get(|| Box::pin(self.open_session(ctx)))).await;
            let session = match opened {
                Ok(Ok(session)) => session,
                Ok(Err(error)) if error.evidence != wire::EraEvidence::None => {
                    return Attempt::WrongEra(Event::Final(Final::Failed(error.failure)));
                }
                Ok(Err(error)) => return Attempt::End(Event::Final(Final::Failed(error.failure))),
                Err(gone) => return Attempt::End(Event::Final(Final::Failed(expired(gone)))),
            };
            let prepared = async {
                session.set_level(ctx.log_level, || self.next_id()).await;
                session.listen_again(ctx).await;
            };
            if let Err(gone) = timer.within(prepared).await {
                return Attempt::End(Event::Final(Final::Failed(expired(gone))));
            }
            match self.legacy_once(&session, ctx, request, emit, timer).await {
                Once::End(event) => {
                    anchored::settle(ctx, &lease, &event);
                    return Attempt::End(event);
                }
                Once::WrongEra(event) => return Attempt::WrongEra(event),
                Once::Gone(event) => {
                    session.lost();
                    last = Some(event);
                }
            }
        }
        Attempt::End(last.unwrap_or_else(|| Event::failed(FailureKind::Protocol, "no session can be kept")))
    }

    /// A call about something that lives in one session: there or nowhere.
    async fn anchored_call(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
    ) -> Attempt {
        let there = anchored::wanted(ctx).and_then(|place| self.sessions.there(place));
        let Some((_lease, session)) = there else {
            return Attempt::End(anchored::gone());
        };
        if let Err(gone) = timer.within(session.listen_again(ctx)).await {
            return Attempt::End(Event::Final(Final::Failed(expired(gone))));
        }
        match self.legacy_once(&session, ctx, request, emit, timer).await {
            Once::End(event) | Once::WrongEra(event) => Attempt::End(event),
            Once::Gone(_) => {
                session.lost();
                Attempt::End(anchored::gone())
            }
        }
    }

    /// Calls that can be asked something have a session for themselves until the server has shown that it sends its
    /// questions on the stream of the call they belong to (decision D12).
    fn session_mode(&self, ctx: &Ctx) -> Mode {
        let proven = self.asks_on_post.load(Ordering::Relaxed) && !self.asks_on_get.load(Ordering::Relaxed);
        if ctx.capabilities.flags().can_be_asked() && !proven { Mode::Exclusive } else { Mode::Shared }
    }

    async fn legacy_once(
        &self,
        session: &Arc<Session>,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
    ) -> Once {
        let id = self.next_id();
        let body = wire::legacy_request(&Id::number(id), ctx, request, ctx.wants_progress.then_some(id));
        let place = self.place(session, id);
        let guard = CancelGuard::new(session, id, place.clone());
        let talk = Conversation::new(ctx, emit, timer, id);
        let mut exchange = Exchange::new(session, talk, session.enter(id, ctx), place);
        if let (Some(entry), Some(task)) = (&exchange.entry, anchored::heard(request)) {
            entry.hears(&task);
        }
        let once = match exchange.drive(session.call(ctx, body)).await {
            Ok(Ok(response)) => self.legacy_answer(&mut exchange, ctx, request, response, id).await,
            Ok(Err(error)) => Ok(failed(error.failure())),
            Err(gone) => Err(gone),
        };
        guard.end(once)
    }

    async fn legacy_answer(
        &self,
        exchange: &mut Exchange<'_>,
        ctx: &Ctx,
        request: &Request,
        response: Response,
        id: u64,
    ) -> Result<Once, Expired> {
        let status = response.status;
        match events::content(&response.headers) {
            Content::Events if status.is_success() => {
                let messages = Messages::new(response.body, self.runtime.limits.upstream_message);
                Box::pin(self.legacy_events(exchange, messages, None)).await
            }
            Content::Json => {
                let large = self.large_wanted(ctx, request, Era::Legacy).filter(|_| status.is_success());
                let limit = self.runtime.limits.upstream_message;
                let read = answer::read(response, id, large, limit, &self.deadlines);
                Ok(match exchange.drive(read).await? {
                    Err(failure) => failed(failure),
                    Ok(Answer::Large(stream)) => Once::End(Event::Final(Final::Large(stream))),
                    Ok(Answer::Whole(outcome)) => classify(exchange.session, status, outcome),
                })
            }
            _ => {
                response.body.finish();
                Ok(classify(exchange.session, status, None))
            }
        }
    }

    pub(super) async fn legacy_events(
        &self,
        exchange: &mut Exchange<'_>,
        mut messages: Messages,
        mut after: Option<Text>,
    ) -> Result<Once, Expired> {
        let mut retry = Duration::from_secs(1);
        let mut resumes = 0;
        loop {
            let next = exchange.drive(messages.next()).await?;
            if let (Some(place), Some(id)) = (&exchange.place, messages.last_event_id()) {
                place.passed(id);
            }
            match next {
                Next::Frame(frame) => {
                    resumes = 0;
                    if matches!(&frame, Frame::Request { .. }) {
                        self.asks_on_post.store(true, Ordering::Relaxed);
                    }
                    if let Some(outcome) = exchange.take(frame).await {
                        messages.finish();
                        return Ok(Once::End(conversation::legacy_end(outcome)));
                    }
                }
                Next::Other(_) => {}
                Next::Fault(failure) => return Ok(failed(failure)),
                Next::End(why) => {
                    after = messages.last_event_id().or(after);
                    retry = messages.retry().map_or(retry, Duration::from_millis).min(MAX_RETRY);
                    if messages.was_closed() && after.is_some() {
                        exchange.talk.hang_up(retry).await;
                        retry = retry.max(MIN_RETRY);
                    }
                    // A server that gives a new place each time wants to be asked again, as long as the call may take.
                    if messages.was_closed() && messages.last_event_id().is_some() {
                        resumes = 0;
                    }
                    match exchange.resume(after.as_ref(), retry, &mut resumes).await? {
                        Some(again) => messages = again,
                        None => {
                            let text = format!("the answer broke off: {why}");
                            return Ok(failed(Failure::new(FailureKind::OutcomeUnknown, text)));
                        }
                    }
                }
            }
        }
    }
}

/// What an answer without a stream means.
fn classify(session: &Session, status: StatusCode, outcome: Option<Outcome>) -> Once {
    if matches!(status.as_u16(), 401 | 403) {
        return failed(events::status_failure(status));
    }
    let code = match &outcome {
        Some(Outcome::Error(error)) => Some(error.code),
        _ => None,
    };
    let proves_modern = code.is_some_and(Code::proves_modern);
    // 404 is the specified way to say so; servers made after older samples say 400 with an error of their own.
    let unknown_session = session.has_id()
        && (status == StatusCode::NOT_FOUND
            || status == StatusCode::BAD_REQUEST
                && code.is_none_or(|code| matches!(code.0, -32000 | -32001 | -32600)));
    let event = match outcome {
        Some(outcome) => conversation::legacy_end(outcome),
        None => Event::Final(Final::Failed(events::status_failure(status))),
    };
    if proves_modern {
        Once::WrongEra(event)
    } else if unknown_session {
        Once::Gone(event)
    } else {
        Once::End(event)
    }
}

/// One call with everything that happens around it.
pub(super) struct Exchange<'a> {
    session: &'a Arc<Session>,
    talk: Conversation<'a>,
    entry: Option<Entry<Session>>,
    /// How far the call's events have been read, where it can be left.
    place: Option<Arc<Place>>,
    /// Answers on their way; made with the first.
    posts: Option<FuturesUnordered<BoxFuture<'static, ()>>>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        session: &'a Arc<Session>,
        mut talk: Conversation<'a>,
        entry: Option<Entry<Session>>,
        place: Option<Arc<Place>>,
    ) -> Self {
        talk.place = place.clone().map(|place| place as Arc<dyn Leavable>);
        Self { session, talk, entry, place, posts: None }
    }

    /// Waits for something of the call while answers go out and the GET stream is heard.
    pub(super) async fn drive<F: Future>(&mut self, work: F) -> Result<F::Output, Expired> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = work.as_mut() => return Ok(output),
                Some(frame) = inbox(&mut self.entry) => {
                    let _ = self.take(frame).await;
                }
                waited = self.talk.waits() => match waited {
                    Waited::Answer(message) => self.send(message),
                    Waited::Expired => return Err(Expired),
                },
                Some(()) = conversation::upcoming(&mut self.posts) => {}
            }
        }
    }

    /// Takes a message; gives the outcome if it was the last.
    async fn take(&mut self, frame: Frame) -> Option<Outcome> {
        match self.talk.take(frame).await {
            Step::Continue => None,
            Step::Send(message) => {
                self.send(message);
                None
            }
            Step::Notice(notice) => {
                self.session.board().tell(notice);
                None
            }
            Step::Completed(params) => {
                self.session.board().completed(params.as_ref());
                None
            }
            Step::Done(outcome) => Some(outcome),
        }
    }

    fn send(&mut self, message: Vec<u8>) {
        if self.place.is_some() {
            // The call may be left before the server has taken it.
            return self.session.aside(message);
        }
        let session = Arc::clone(self.session);
        self.posts.get_or_insert_default().push(Box::pin(async move {
            if let Err(failure) = session.tell(message).await {
                tracing::warn!(server = %session.name, detail = failure.detail, "an answer did not reach the server");
            }
        }));
    }

    /// Takes a broken stream up again where it broke (check 161). `None`: it cannot be.
    pub(super) async fn resume(
        &mut self,
        after: Option<&Text>,
        retry: Duration,
        tries: &mut u32,
    ) -> Result<Option<Messages>, Expired> {
        let Some(after) = after else { return Ok(None) };
        while *tries < MAX_RESUMES {
            *tries += 1;
            self.drive(tokio::time::sleep(retry)).await?;
            let session = Arc::clone(self.session);
            match self.drive(session.resume(Some(after))).await? {
                Ok(messages) => return Ok(Some(messages)),
                Err(Some(status)) if status.is_client_error() => return Ok(None),
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

async fn inbox(entry: &mut Option<Entry<Session>>) -> Option<Frame> {
    match entry {
        Some(entry) => entry.inbox.recv().await,
        None => std::future::pending().await,
    }
}

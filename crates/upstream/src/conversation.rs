//! One call's side of a conversation with a server: which messages belong to it, what they become, what goes back.
//! Both transports feed it frames and send what it hands back; it does no IO and knows no era's transport.

use crate::{timer::Timer, wire};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use portreeve_mcp::{
    Ctx, Event, Frame, Id, Method, Outcome, RawJson, frame, meta,
    service::{Ask, AskKey, AskKind, AskPoint, Emitter, Final, Leavable, Notice, Notification, Reply},
};
use std::{sync::Arc, time::Duration};

/// How many questions of one call may be open at once; more are refused.
const MAX_ASKS: usize = 32;

/// What a frame asks of the leg.
pub(crate) enum Step {
    /// Nothing more.
    Continue,
    /// This goes to the server.
    Send(Vec<u8>),
    /// This is for whoever watches the server.
    Notice(Notice),
    /// A page is done; the params of the notification.
    Completed(Option<RawJson>),
    /// The answer is there.
    Done(Outcome),
}

/// What a leg that waits for its server hears from the other side.
pub(crate) enum Waited {
    /// An answer that goes to the server.
    Answer(Vec<u8>),
    /// The deadline has passed.
    Expired,
}

struct Open {
    key: AskKey,
    id: Id,
}

type Answer = (AskKey, AskKind, Outcome);

/// One call in progress.
pub(crate) struct Conversation<'a> {
    ctx: &'a Ctx,
    emit: &'a Emitter,
    pub(crate) timer: &'a mut Timer,
    /// Our id of the call, which is also its progress token.
    call: u64,
    next: u64,
    open: Vec<Open>,
    /// Where the transport has one, the way to leave the call.
    pub(crate) place: Option<Arc<dyn Leavable>>,
    /// Made with the first question: most calls are asked none.
    answers: Option<FuturesUnordered<BoxFuture<'static, Answer>>>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(ctx: &'a Ctx, emit: &'a Emitter, timer: &'a mut Timer, call: u64) -> Self {
        Self { ctx, emit, timer, call, next: 0, open: Vec::new(), place: None, answers: None }
    }

    /// Takes one message of the server.
    pub(crate) async fn take(&mut self, message: Frame) -> Step {
        match message {
            Frame::Response { id, outcome } => match id.map(|id| id.as_number()) {
                Some(Some(id)) if id == self.call => Step::Done(outcome),
                // An error without an id can only mean the one request of this exchange.
                None => Step::Done(outcome),
                _ => Step::Continue,
            },
            Frame::Notification { method, params } => self.notification(method, params).await,
            Frame::Request { id, method, params } => self.request(id, &method, params).await,
        }
    }

    async fn notification(&mut self, method: Method, params: Option<RawJson>) -> Step {
        match method {
            Method::Progress => {
                let token = params.as_ref().and_then(meta::progress_token_of);
                let ours = token.and_then(|token| Id::from_raw(&token)?.as_number()) == Some(self.call);
                if ours && self.ctx.wants_progress {
                    self.timer.progress();
                    self.emit.emit(Event::Notification(Notification { method, params })).await;
                }
                Step::Continue
            }
            Method::LogMessage => {
                if wire::log_wanted(self.ctx.log_level, params.as_ref()) {
                    self.emit.emit(Event::Notification(Notification { method, params })).await;
                }
                Step::Continue
            }
            Method::Cancelled => {
                if let Some(id) = meta::cancelled_id(&method, params.as_ref()) {
                    self.withdraw(&id).await;
                }
                Step::Continue
            }
            Method::ElicitationComplete => {
                let said = Notification { method, params: params.clone() };
                self.emit.emit(Event::Notification(said)).await;
                Step::Completed(params)
            }
            _ => wire::notice(&method, params.as_ref()).map_or(Step::Continue, Step::Notice),
        }
    }

    async fn request(&mut self, id: Id, method: &Method, params: Option<RawJson>) -> Step {
        if *method == Method::Ping {
            return Step::Send(wire::pong(&id));
        }
        let Some(kind) = AskKind::from_method(method) else {
            return Step::Send(wire::unknown_request(&id, method));
        };
        // Whether the caller offered this is judged by the gateway, which can tell it what it lacked.
        if self.open.len() >= MAX_ASKS {
            return Step::Send(frame::encode_response(Some(&id), &wire::nobody(kind)));
        }
        let key = AskKey(self.next);
        self.next += 1;
        let (reply, answer) = Reply::new();
        let point = self.place.clone().map(|call| AskPoint { question: id.raw().clone(), call });
        self.open.push(Open { key, id });
        self.answers
            .get_or_insert_default()
            .push(Box::pin(async move { (key, kind, wire::outcome_of(kind, answer.await)) }));
        self.timer.asked();
        self.emit.emit(Event::Ask(Ask { key, kind, params, reply, point })).await;
        Step::Continue
    }

    /// The server closed the stream and wants it taken up again after this time.
    pub(crate) async fn hang_up(&mut self, retry: Duration) {
        self.emit.emit(Event::HangUp(Some(retry))).await;
    }

    async fn withdraw(&mut self, id: &Id) {
        let Some(index) = self.open.iter().position(|open| open.id == *id) else { return };
        let key = self.open.swap_remove(index).key;
        self.timer.settled();
        self.emit.emit(Event::AskWithdrawn(key)).await;
    }

    /// Waits for the next answer to a question, or for the deadline. With no question open that is the deadline alone,
    /// so that it can stand in a `select!`; nothing is lost when it is dropped.
    pub(crate) async fn waits(&mut self) -> Waited {
        loop {
            let answer = tokio::select! {
                biased;
                Some(answer) = upcoming(&mut self.answers) => answer,
                () = self.timer.expired() => return Waited::Expired,
            };
            // The answer to a withdrawn question has no addressee any more.
            let (key, _, outcome) = answer;
            let Some(index) = self.open.iter().position(|open| open.key == key) else { continue };
            let open = self.open.swap_remove(index);
            self.timer.settled();
            return Waited::Answer(frame::encode_response(Some(&open.id), &outcome));
        }
    }
}

/// The next of some futures that may not be there.
pub(crate) async fn upcoming<T>(all: &mut Option<FuturesUnordered<BoxFuture<'static, T>>>) -> Option<T> {
    match all {
        Some(all) => all.next().await,
        None => None,
    }
}

/// The last event of a legacy leg: what the server said, as it said it.
pub(crate) fn legacy_end(outcome: Outcome) -> Event {
    Event::Final(Final::Whole(outcome))
}

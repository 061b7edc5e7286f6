//! One call under way, as one movable value: whoever polls it drives it, no task of its own. It says what goes to the
//! client until its last item. When the client goes away, its drop guard does what the era wants: a modern client's stream
//! *is* the request, so its end cancels (spec: streamable-http); a legacy client's disconnect is not a cancel, so an owned
//! task finishes the call.

mod ending;

pub(crate) use ending::tool_failure;

use crate::{
    Gateway,
    aggregate::ShownUri,
    bridge,
    bridge::{
        Collect, Gather, Need, OpenAsk,
        page::{self, Pages},
    },
    collect, error,
    record::{End, Record},
    server::{Server, UnderWay},
    session::{InFlight, Session},
    tasks::{self, Taken},
};
use futures_core::Stream;
use futures_util::StreamExt;
use portreeve_mcp::{
    Ctx, Event, Id, Leg, Method, Outcome, RawJson, Request, Version, frame,
    service::{FailureKind, Final, Notification, RawStream},
};
use portreeve_model::Principal;
use portreeve_policy::Target;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;

/// What goes to the client.
pub enum Out {
    /// A message on the call's stream: a notification, or (legacy) a request to the client.
    Message(Vec<u8>),
    /// The server wants this call's stream closed and taken up again after this time (spec 2025-11-25). The call goes on;
    /// doors without such streams go on with it.
    HangUp(Option<Duration>),
    /// The answer; nothing follows.
    Last(Last),
    /// The call ended without an answer, because its client cancelled it.
    Gone,
}

/// The answer.
pub enum Last {
    /// A whole one.
    Outcome(Outcome),
    /// A large result, as a stream of the bytes of the result value.
    Large {
        /// The bytes.
        stream: RawStream,
        /// To be put after the first `{`.
        splice: &'static [u8],
    },
}

impl Last {
    /// The whole answer; a large one is put together.
    pub async fn into_outcome(self) -> Outcome {
        match self {
            Self::Outcome(outcome) => outcome,
            Self::Large { stream, .. } => {
                let whole = collect::whole(Final::Large(stream)).await;
                whole.unwrap_or_else(|failure| Outcome::Error(error::of_failure(&failure)))
            }
        }
    }
}

impl Last {
    /// The answer as one message. `None`: it is larger than this.
    pub(crate) async fn encode(self, id: Option<&Id>, most: usize) -> Option<Vec<u8>> {
        let (mut stream, mut splice) = match self {
            Self::Outcome(outcome) => return Some(frame::encode_response(id, &outcome)),
            Self::Large { stream, splice } => (stream, splice),
        };
        let mut message = frame::response_head(id, 0);
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(failure) => {
                    tracing::warn!(kind = ?failure.kind, "a large answer broke off: {}", failure.detail);
                    return Some(frame::encode_response(id, &Outcome::Error(error::of_failure(&failure))));
                }
            };
            if message.len() + chunk.len() > most {
                return None;
            }
            let (brace, rest) = chunk.split_at(usize::from(!splice.is_empty()).min(chunk.len()));
            message.extend_from_slice(brace);
            message.extend_from_slice(std::mem::take(&mut splice));
            message.extend_from_slice(rest);
        }
        message.push(b'}');
        Some(message)
    }
}

/// The client's side of a call.
pub(crate) enum Client {
    Modern,
    Legacy { session: Arc<Session>, cancel: InFlight },
}

/// Where a call stands.
pub(crate) enum Stage {
    /// The server speaks.
    Leg,
    /// A legacy server has asked a modern client's call; siblings of the question may follow.
    Gathering(Gather),
    /// A modern server has asked; a legacy client's answers come in.
    Collecting(Collect),
    /// The request goes out again after a while, without an answer from anyone.
    Pacing(Pin<Box<Sleep>>, Request),
    /// The server has given its answer; something else goes to the client before it.
    Ending(Final),
    /// Ended.
    Done,
}

/// Everything about one call.
pub(crate) struct Inner {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) server: Arc<Server>,
    pub(crate) principal: Principal,
    pub(crate) client: Client,
    pub(crate) id: Id,
    pub(crate) progress_token: Option<RawJson>,
    pub(crate) record: Record,
    pub(crate) request: Request,
    pub(crate) target: Target,
    pub(crate) ctx: Ctx,
    /// The revision that the server speaks; of one that is native in both eras, the caller's.
    pub(crate) server_version: Version,
    pub(crate) leg: Option<Leg>,
    pub(crate) stage: Stage,
    /// Questions that are open towards a legacy client, or that a parked call waits for.
    pub(crate) asks: Vec<OpenAsk>,
    /// When unanswered questions are given up.
    pub(crate) ask_deadline: Option<Pin<Box<Sleep>>>,
    /// Set where waiting calls hold all of the server's children: when it runs out, the oldest of them gives way.
    pub(crate) relief: Option<Pin<Box<Sleep>>>,
    pub(crate) outbox: VecDeque<Vec<u8>>,
    pub(crate) last_progress: f64,
    /// This call's entry in the parking lot, once it was parked.
    pub(crate) parked_as: Option<u64>,
    /// Answers that came with the first request, by the server's own names for its questions.
    pub(crate) early: Option<RawJson>,
    /// The server asked something that the caller did not offer, and was refused.
    pub(crate) withheld: Option<Need>,
    /// Pages that the person was asked to open.
    pub(crate) pages: Pages,
    /// Nobody reads any more: questions are not asked.
    pub(crate) detached: bool,
    /// What is read has another URI at the address where it was asked for.
    pub(crate) shown_uri: Option<ShownUri>,
    /// What the call has to do with tasks.
    pub(crate) task: tasks::Part,
    /// Counts it among its server's calls.
    pub(crate) _under_way: UnderWay,
}

/// One call under way.
pub struct Exchange {
    inner: Option<Box<Inner>>,
}

impl Exchange {
    pub(crate) fn new(inner: Box<Inner>) -> Self {
        Self { inner: Some(inner) }
    }

    /// The request's id, as long as the call goes on.
    pub(crate) fn id(&self) -> Option<&Id> {
        self.inner.as_ref().map(|inner| &inner.id)
    }

    /// Nobody reads any more: open questions are given up, further ones are declined.
    pub(crate) fn leave(&mut self) {
        if let Some(inner) = self.inner.as_mut().filter(|inner| !inner.detached) {
            inner.detach();
        }
    }

    /// Somebody reads again.
    pub(crate) fn rejoin(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.detached = false;
        }
    }

    /// The answer alone; what the server asks meanwhile is declined.
    pub(crate) async fn into_outcome(mut self) -> Option<Outcome> {
        self.leave();
        loop {
            match self.next().await? {
                Out::Message(_) | Out::HangUp(_) => {}
                Out::Gone => return None,
                Out::Last(last) => return Some(last.into_outcome().await),
            }
        }
    }
}

impl Stream for Exchange {
    type Item = Out;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Out>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let step = ready!(inner.poll_step(cx));
        let out = match step {
            Step::Message(message) => return Poll::Ready(Some(Out::Message(message))),
            Step::HangUp(retry) => return Poll::Ready(Some(Out::HangUp(retry))),
            Step::Last(last) => Out::Last(last),
            Step::Gone => Out::Gone,
            Step::Park => {
                let Some(inner) = self.inner.take() else { return Poll::Ready(None) };
                Out::Last(Last::Outcome(bridge::park(inner)))
            }
        };
        self.inner = None;
        Poll::Ready(Some(out))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take() else { return };
        if matches!(inner.stage, Stage::Done) {
            return;
        }
        let gateway = inner.gateway.clone();
        let finish = match &inner.client {
            Client::Legacy { cancel, .. } => !cancel.flag.is_raised(),
            Client::Modern => inner.parked_as.is_some_and(|call| gateway.parking.is_awaited(call)),
        };
        if finish && !gateway.shutdown.is_cancelled() {
            inner.detach();
            gateway.tracker.spawn(finish_unread(inner));
        } else {
            inner.end_cancelled();
        }
    }
}

/// Drives a call to its end although nobody reads it.
async fn finish_unread(mut inner: Box<Inner>) {
    let shutdown = inner.gateway.shutdown.clone();
    let steps = std::future::poll_fn(|cx| {
        loop {
            match ready!(inner.poll_step(cx)) {
                Step::Message(_) | Step::HangUp(_) => {}
                Step::Last(_) | Step::Gone | Step::Park => return Poll::Ready(()),
            }
        }
    });
    tokio::select! {
        () = steps => {}
        () = shutdown.cancelled() => {}
    }
    inner.end_cancelled();
}

/// What one step of a call brings.
pub(crate) enum Step {
    Message(Vec<u8>),
    HangUp(Option<Duration>),
    Last(Last),
    Gone,
    Park,
}

impl Inner {
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(message) = self.outbox.pop_front() {
                return Poll::Ready(Step::Message(message));
            }
            if self.poll_cancelled(cx) {
                self.end_cancelled();
                return Poll::Ready(Step::Gone);
            }
            bridge::poll_asks(self, cx);
            self.poll_ask_deadline(cx);
            if !self.outbox.is_empty() {
                continue;
            }
            match &mut self.stage {
                Stage::Done => return Poll::Ready(Step::Gone),
                Stage::Ending(_) => {
                    if let Stage::Ending(end) = std::mem::replace(&mut self.stage, Stage::Leg) {
                        return Poll::Ready(Step::Last(self.on_final(end)));
                    }
                }
                Stage::Pacing(pause, _) => {
                    if self.pages.poll_done(cx).is_pending() {
                        ready!(pause.as_mut().poll(cx));
                    }
                    let Stage::Pacing(_, request) = std::mem::replace(&mut self.stage, Stage::Leg) else {
                        continue;
                    };
                    if let Some(step) = self.open_again(request) {
                        return Poll::Ready(step);
                    }
                }
                Stage::Collecting(collect) => {
                    ready!(collect.poll(cx));
                    if let Some(step) = bridge::answers_complete(self) {
                        return Poll::Ready(step);
                    }
                }
                Stage::Gathering(_) => {
                    if let Some(step) = ready!(self.poll_gathering(cx)) {
                        return Poll::Ready(step);
                    }
                }
                Stage::Leg => {
                    self.poll_relief(cx);
                    let event = ready!(self.poll_leg(cx));
                    self.relief = None;
                    if let Some(step) = self.on_event(event) {
                        return Poll::Ready(step);
                    }
                }
            }
        }
    }

    fn poll_cancelled(&self, cx: &mut Context<'_>) -> bool {
        let Client::Legacy { cancel, .. } = &self.client else { return false };
        cancel.flag.waker.register(cx.waker());
        cancel.flag.is_raised()
    }

    fn poll_ask_deadline(&mut self, cx: &mut Context<'_>) {
        if let Some(sleep) = &mut self.ask_deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.ask_deadline = None;
            bridge::give_up_asks(self);
        }
    }

    fn poll_relief(&mut self, cx: &mut Context<'_>) {
        if let Some(sleep) = &mut self.relief
            && sleep.as_mut().poll(cx).is_ready()
        {
            bridge::make_room(&self.gateway, &self.server);
            self.relief = bridge::relief(&self.gateway, &self.server);
        }
    }

    fn poll_leg(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let ended =
            || Event::failed(FailureKind::OutcomeUnknown, "the server's side ended without an answer");
        match &mut self.leg {
            Some(leg) => leg.poll_next_unpin(cx).map(|event| event.unwrap_or_else(ended)),
            None => Poll::Ready(ended()),
        }
    }

    fn poll_gathering(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if let Poll::Ready(event) = self.poll_leg(cx) {
            return Poll::Ready(self.on_event(event));
        }
        let Stage::Gathering(gather) = &mut self.stage else { return Poll::Ready(None) };
        ready!(gather.poll_over(cx));
        Poll::Ready(Some(Step::Park))
    }

    fn on_event(&mut self, event: Event) -> Option<Step> {
        match event {
            Event::Notification(notification) => self.on_notification(notification).map(Step::Message),
            Event::Ask(mut ask) => {
                tasks::name_in(self, &mut ask);
                bridge::on_ask(self, ask);
                None
            }
            Event::AskWithdrawn(key) => {
                bridge::on_withdrawn(self, key);
                None
            }
            Event::HangUp(retry) => {
                matches!(self.client, Client::Legacy { .. }).then_some(Step::HangUp(retry))
            }
            Event::InputRequired(input) => bridge::on_input_required(self, input),
            Event::Final(end) => match tasks::take_final(self, end) {
                Taken::Goes(end) => self.on_end(end),
                Taken::Step(step) => step,
            },
        }
    }

    fn on_end(&mut self, end: Final) -> Option<Step> {
        if let Final::Whole(Outcome::Error(error)) = &end {
            if let Some(step) = page::on_required(self, error) {
                return Some(step);
            }
            if matches!(self.stage, Stage::Pacing(..)) {
                return None;
            }
        }
        if matches!(&end, Final::Whole(Outcome::Result(_)) | Final::Large(_)) {
            page::tell_all_done(self);
        }
        // The server does not wait for what it asked, so the person need not answer.
        bridge::give_up_asks(self);
        if self.outbox.is_empty() {
            return Some(Step::Last(self.on_final(end)));
        }
        self.stage = Stage::Ending(end);
        None
    }

    /// Notifications of the call: progress under the caller's token and only forwards, log messages at the wanted level.
    fn on_notification(&mut self, notification: Notification) -> Option<Vec<u8>> {
        let Notification { method, params } = notification;
        match method {
            Method::Progress => {
                let params = params?;
                let token = self.progress_token.as_ref()?;
                let progress = params.get("progress").and_then(|raw| raw.read::<f64>())?;
                if progress <= self.last_progress {
                    return None;
                }
                self.last_progress = progress;
                let params = params.with(&[], &[("progressToken", token)]);
                Some(frame::encode_notification(method.as_str(), Some(&params)))
            }
            Method::LogMessage => {
                let params = params?;
                bridge::wants_log(self, &params)
                    .then(|| frame::encode_notification(method.as_str(), Some(&params)))
            }
            Method::ToolsChanged
            | Method::PromptsChanged
            | Method::ResourcesChanged
            | Method::ResourceUpdated => {
                let notice = crate::listen::notice_of(&method, params.as_ref())?;
                self.server.catalogue.invalidate(&self.ctx.isolation, &notice);
                None
            }
            Method::ElicitationComplete => {
                let Client::Legacy { session, .. } = &self.client else { return None };
                let params = params?;
                let id = params.get("elicitationId")?.string_value()?;
                session.page_done(&id).then(|| frame::encode_notification(method.as_str(), Some(&params)))
            }
            other => matches!(self.client, Client::Legacy { .. })
                .then(|| frame::encode_notification(other.as_str(), params.as_ref())),
        }
    }

    /// Says in the record that the caller was asked; the call itself goes on in its next request.
    pub(crate) fn record_round(&mut self) {
        self.record.end = End::InputRequired;
        self.record.rounds += 1;
        self.gateway.recorder.record(&self.record);
    }

    /// Nobody reads any more: what the server asks from now on is declined.
    fn detach(&mut self) {
        self.detached = true;
        bridge::give_up_asks(self);
    }

    /// Sends the request once more, as another round. It is decided anew: rules may have changed meanwhile.
    pub(crate) fn open_again(&mut self, request: Request) -> Option<Step> {
        match self.gateway.decide(&self.principal, self.target.clone()) {
            Ok((proof, _)) => {
                self.leg = Some(crate::server::forward(proof, &self.server, self.ctx.clone(), request));
                self.stage = Stage::Leg;
                None
            }
            Err(_) => Some(Step::Last(self.end_error(error::unknown_tool(&self.target.name)))),
        }
    }

    /// Answers a parked call's questions with refusals and lets the server finish for a moment: time is over.
    pub(crate) async fn expire(mut self: Box<Self>, grace: Duration) {
        bridge::give_up_asks(&mut self);
        if let Some(leg) = self.leg.take() {
            // Whatever the server makes of it has no reader; the leg's drop cancels what is left.
            let _ = tokio::time::timeout(grace, collect::collect(leg)).await;
        }
        self.end_cancelled();
    }
}

//! Calls that are left open at a legacy server and taken up again (mcp.md 4.3.4; spec 2025-11-25, transports, resumability).
//! A server that keeps the events of a call gives them to whoever comes with the id of the last one: another process as
//! well, so nothing has to be held here. Only where the configuration says that the server keeps them.

use super::{
    Http,
    legacy::{CancelGuard, Exchange, Once, failed},
    session::Session,
};
use crate::{
    Replay,
    conversation::Conversation,
    timer::{Expired, Timer},
    wire,
};
use http::HeaderValue;
use portreeve_mcp::{
    Ctx, Era, Event, Id, Leg, RawJson, Text, Version, frame,
    service::{Description, Emitter, Failure, FailureKind, Final, Leavable, TakeUp, generate},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How far a call's events have been read.
pub(crate) struct Place {
    session: Arc<Session>,
    call: u64,
    last: Mutex<Option<Text>>,
    left: AtomicBool,
    /// How long the session is kept for whoever comes back.
    keep: Duration,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("call", &self.call).finish_non_exhaustive()
    }
}

impl Place {
    /// The event with this id has been read.
    pub(super) fn passed(&self, id: Text) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
    }

    /// Whether whoever drives the call means to come back.
    pub(super) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    fn point(&self) -> Option<RawJson> {
        let after = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        HeaderValue::from_str(&after).ok()?;
        let session = match self.session.id() {
            Some(id) => Some(id.to_str().ok()?),
            None => None,
        };
        let version = self.session.description.version.as_str();
        let point = serde_json::json!({"s": session, "v": version, "c": self.call, "e": after.as_str()});
        Some(RawJson::from(point))
    }
}

impl Leavable for Place {
    fn is_leavable(&self) -> bool {
        self.point().is_some()
    }

    fn leave(&self) -> Option<RawJson> {
        let point = self.point()?;
        self.session.keep(self.keep);
        self.left.store(true, Ordering::Release);
        Some(point)
    }
}

/// What [`Place::point`] wrote.
struct Point {
    session: Option<HeaderValue>,
    version: Version,
    call: u64,
    after: Text,
}

impl Point {
    fn read(raw: &RawJson) -> Option<Self> {
        let text = |key: &str| raw.get(key).and_then(|raw| raw.string_value());
        let session = match text("s") {
            Some(id) => Some(HeaderValue::from_str(&id).ok()?),
            None => None,
        };
        let version = Version::parse(&text("v")?).filter(|version| version.era() == Era::Legacy)?;
        Some(Self { session, version, call: raw.get("c")?.read()?, after: text("e")? })
    }
}

impl Http {
    /// The place of a call on this session, if its server keeps what it says.
    pub(super) fn place(&self, session: &Arc<Session>, call: u64) -> Option<Arc<Place>> {
        let place = || Place {
            session: Arc::clone(session),
            call,
            last: Mutex::default(),
            left: AtomicBool::new(false),
            keep: self.deadlines.ask,
        };
        (self.replay == Replay::Kept).then(|| Arc::new(place()))
    }

    /// Takes up a call that was left: posts the answers, and reads on after the last event that was read.
    pub(crate) fn take_up(self: &Arc<Self>, ctx: Ctx, call: TakeUp) -> Leg {
        let this = Arc::clone(self);
        generate(move |emit| async move { this.taken_up(&ctx, &call, &emit).await })
    }

    async fn taken_up(&self, ctx: &Ctx, call: &TakeUp, emit: &Emitter) -> Event {
        if self.runtime.shutdown.is_cancelled() {
            return Event::failed(FailureKind::ShuttingDown, "the gate is shutting down");
        }
        let Some(point) = Point::read(&call.point) else {
            return Event::failed(FailureKind::Protocol, "a place of another form of calls");
        };
        let session = match self.adopt(ctx, &point) {
            Ok(session) => session,
            Err(failure) => return Event::Final(Final::Failed(failure)),
        };
        let mut timer = Timer::new(&self.deadlines);
        let place = self.place(&session, point.call);
        if let Some(place) = &place {
            place.passed(point.after.clone());
        }
        let guard = CancelGuard::new(&session, point.call, place.clone());
        let talk = Conversation::new(ctx, emit, &mut timer, point.call);
        let mut exchange = Exchange::new(&session, talk, None, place);
        let once = self.read_on(&mut exchange, &session, call, point.after).await;
        match guard.end(once) {
            Once::End(event) | Once::Gone(event) | Once::WrongEra(event) => event,
        }
    }

    /// The session as it stands at the server, whoever opened it.
    fn adopt(&self, ctx: &Ctx, point: &Point) -> Result<Arc<Session>, Failure> {
        let mut headers = self.pool.target.post_headers();
        super::credential::add(ctx, &mut headers)?;
        let description = Description { era: Some(Era::Legacy), version: point.version, ..wire::unnamed() };
        Ok(self.session(ctx, headers, description, point.session.clone()))
    }

    async fn read_on(
        &self,
        exchange: &mut Exchange<'_>,
        session: &Arc<Session>,
        call: &TakeUp,
        after: Text,
    ) -> Result<Once, Expired> {
        for (question, outcome) in &call.answers {
            let Some(id) = Id::from_raw(question) else { continue };
            let answer = frame::encode_response(Some(&id), outcome);
            match exchange.drive(session.post(answer)).await? {
                Ok(response) => {
                    let status = response.status;
                    response.body.finish();
                    if status == http::StatusCode::NOT_FOUND {
                        return Ok(failed(lost()));
                    }
                    if !status.is_success() {
                        // An answer that was given before is none of the server's business any more.
                        tracing::debug!(server = %self.name, %status, "an answer was not taken");
                    }
                }
                // Nothing was said: the same retry may come again.
                Err(error) => return Ok(failed(error.failure())),
            }
        }
        let mut tries = 0;
        match exchange.resume(Some(&after), Duration::ZERO, &mut tries).await? {
            Some(messages) => Box::pin(self.legacy_events(exchange, messages, Some(after))).await,
            None => Ok(failed(lost())),
        }
    }
}

fn lost() -> Failure {
    Failure::new(FailureKind::OutcomeUnknown, "the server does not know the call any more")
}

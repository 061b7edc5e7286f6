//! A server behind a URL: era verdict, sessions and tools of one upstream, and the way of one call through them.
//! The transports' rules are in the modules below; nothing of a client's HTTP request reaches this far.

mod answer;
mod connection;
mod credential;
mod endpoint;
mod events;
mod large;
mod legacy;
mod line;
mod modern;
mod probe;
pub(crate) mod proxy;
mod resume;
mod session;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod tools;
mod watch;

use crate::{
    ConfigError, EraChoice, HttpConfig, Replay, Runtime, Status, Transport,
    circuit::Circuit,
    link::Link,
    slots::Slots,
    switchboard::{Completed, Peer, SharedNotices},
    timer::Timer,
};
use arc_swap::ArcSwapOption;
pub(crate) use connection::{Body, Pool, Route, SendError};
use futures_util::{FutureExt, future::Either, stream::BoxStream};
use modern::{Attempt, expired};
use portreeve_mcp::{
    Ctx, Era, Event, Leg, Request, Text, Version, frame,
    service::{
        Description, Emitter, Failure, FailureKind, Final, Notification, Watch, WatchFilter, generate,
    },
};
use portreeve_model::{Deadlines, ServerName};
use probe::Way;
use session::{Session, SessionKey};
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
pub(crate) use target::Target;
use tools::Tools;

/// Sessions of one isolation key. Each is a small thing at the server; a parked call holds one.
const SESSIONS_PER_KEY: usize = 64;
/// Sessions altogether; the longest idle one leaves first.
const SESSIONS: usize = 10_000;

/// A connector to a server behind a URL.
pub(crate) struct Http {
    name: ServerName,
    pool: Arc<Pool>,
    circuit: Arc<Circuit>,
    era: EraChoice,
    transport: Transport,
    replay: Replay,
    deadlines: Deadlines,
    idle: Duration,
    runtime: Runtime,
    ids: AtomicU64,
    verdict: ArcSwapOption<probe::Verdict>,
    probing: probe::Probing,
    tools: Tools,
    sessions: Arc<Slots<SessionKey, Session>>,
    lines: Arc<Slots<SessionKey, Link>>,
    asks_on_post: AtomicBool,
    asks_on_get: Arc<AtomicBool>,
    notices: SharedNotices,
    completed: Completed,
    reaping: AtomicBool,
    own: Weak<Http>,
}

impl Http {
    pub(crate) fn new(config: HttpConfig, runtime: Runtime) -> Result<Arc<Self>, ConfigError> {
        let target = Target::parse(&config)?;
        let circuit = Arc::new(Circuit::new(config.name.clone()));
        let connect = config.deadlines.connect;
        let route = Route { connect, authorities: config.authorities, proxy: config.proxy };
        let pool = Pool::new(target, route, runtime.clone())?;
        let pool = pool.watched_by(Arc::clone(&circuit));
        Ok(Arc::new_cyclic(|own| Self {
            name: config.name,
            pool: Arc::new(pool),
            circuit,
            era: config.era,
            transport: config.transport,
            replay: config.replay,
            deadlines: config.deadlines,
            idle: config.idle,
            runtime,
            ids: AtomicU64::new(1),
            verdict: ArcSwapOption::empty(),
            probing: probe::Probing::default(),
            tools: Tools::default(),
            sessions: Slots::new(SESSIONS_PER_KEY, SESSIONS),
            lines: Slots::new(line::LINES_PER_KEY, line::LINES),
            asks_on_post: AtomicBool::new(false),
            asks_on_get: Arc::new(AtomicBool::new(false)),
            notices: SharedNotices::default(),
            completed: Completed::new(),
            reaping: AtomicBool::new(false),
            own: Weak::clone(own),
        }))
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the answer to this call may be streamed: nobody on the client's side may have to look into it
    /// (`mcp::service::Final::Large`). The era is the one it is written in.
    fn large_wanted(&self, ctx: &Ctx, request: &Request, era: Era) -> Option<Era> {
        let untouched = match era {
            Era::Modern => ctx.version.era() == Era::Modern,
            Era::Legacy => ctx.version >= Version::NEWEST_LEGACY,
        };
        (untouched && request.method.may_ask()).then_some(era)
    }

    pub(crate) fn open(self: &Arc<Self>, ctx: Ctx, request: Request) -> Leg {
        let this = Arc::clone(self);
        generate(move |emit| async move { this.run(&ctx, &request, &emit).await })
    }

    async fn run(&self, ctx: &Ctx, request: &Request, emit: &Emitter) -> Event {
        if self.runtime.shutdown.is_cancelled() {
            return Event::failed(FailureKind::ShuttingDown, "the gate is shutting down");
        }
        let _pass = match self.circuit.enter() {
            Ok(pass) => pass,
            Err(failure) => return Event::Final(Final::Failed(failure)),
        };
        let mut timer = Timer::new(&self.deadlines);
        let event = self.run_as(ctx, request, emit, &mut timer).await;
        if !credential::refused(&event) {
            return event;
        }
        // Rare: it is kept out of the futures of calls.
        Box::pin(self.run_renewed(ctx, request, emit, &mut timer, event)).await
    }

    /// Runs one call with the credential that this context has.
    async fn run_as(&self, ctx: &Ctx, request: &Request, emit: &Emitter, timer: &mut Timer) -> Event {
        let verdict = match timer.within(self.verdict(ctx)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(failure)) => return Event::Final(Final::Failed(failure)),
            Err(gone) => return Event::Final(Final::Failed(expired(gone))),
        };
        match self.attempt(verdict.way, ctx, request, emit, timer).await {
            Attempt::End(event) => event,
            Attempt::HeaderMismatch => Event::failed(FailureKind::Protocol, "the headers do not fit"),
            Attempt::WrongEra(event) => {
                Box::pin(self.run_anew(ctx, request, emit, timer, verdict, event)).await
            }
        }
    }

    /// Runs a call once more that the server did not run for want of a credential that it accepts.
    async fn run_renewed(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
        refused: Event,
    ) -> Event {
        match timer.within(self.renewed(ctx)).await {
            Ok(Some(renewed)) => self.run_as(&renewed, request, emit, timer).await,
            Ok(None) | Err(_) => refused,
        }
    }

    /// The server refused to run it, in words of another era: asks it once more what it is (checks 55, 56).
    async fn run_anew(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
        verdict: Arc<probe::Verdict>,
        refused: Event,
    ) -> Event {
        self.forget(&verdict);
        let Ok(Ok(again)) = timer.within(self.verdict(ctx)).await else { return refused };
        if again.way == verdict.way {
            return refused;
        }
        match self.attempt(again.way, ctx, request, emit, timer).await {
            Attempt::End(event) | Attempt::WrongEra(event) => event,
            Attempt::HeaderMismatch => refused,
        }
    }

    /// The way of a call. It adds no state of its own, being on the path of every call.
    fn attempt<'a>(
        &'a self,
        way: Way,
        ctx: &'a Ctx,
        request: &'a Request,
        emit: &'a Emitter,
        timer: &'a mut Timer,
    ) -> impl Future<Output = Attempt> + 'a {
        match way {
            Way::Modern => Either::Left(self.modern_call(ctx, request, emit, timer)),
            // These are larger, and would make every other call as large.
            Way::Sessions => Either::Right(self.legacy_call(ctx, request, emit, timer).boxed()),
            Way::Lines => Either::Right(self.line_call(ctx, request, emit, timer).boxed()),
        }
    }

    pub(crate) async fn describe(&self, ctx: &Ctx) -> Result<Arc<Description>, Failure> {
        let _pass = self.circuit.enter()?;
        let mut timer = Timer::new(&self.deadlines);
        let described = timer.within(self.verdict(ctx)).await.map_err(expired)?;
        let verdict = match described {
            Err(failure) if failure.kind == FailureKind::Unauthorized => {
                let renewed = timer.within(self.renewed(ctx)).await.map_err(expired)?;
                let renewed = renewed.ok_or(failure)?;
                timer.within(self.verdict(&renewed)).await.map_err(expired)??
            }
            other => other?,
        };
        Ok(Arc::clone(&verdict.description))
    }

    pub(crate) async fn notify(&self, ctx: &Ctx, notification: &Notification) {
        // Modern servers take no notifications over HTTP; legacy ones hear it on the sessions that there are.
        let key = SessionKey::of(ctx);
        let message =
            || frame::encode_notification(notification.method.as_str(), notification.params.as_ref());
        for link in self.lines.of_key(&key) {
            link.aside(message());
        }
        for session in self.sessions.of_key(&key) {
            let told = tokio::time::timeout(self.deadlines.connect, session.tell(message())).await;
            if !matches!(told, Ok(Ok(()))) {
                tracing::debug!(server = %self.name, "a notification did not reach the server");
            }
        }
    }

    pub(crate) fn watch(self: &Arc<Self>, ctx: Ctx, filter: WatchFilter) -> Watch {
        watch::start(Arc::clone(self), ctx, filter)
    }

    pub(crate) fn completed(&self) -> BoxStream<'static, Text> {
        self.completed.stream()
    }

    pub(crate) fn status(&self) -> Status {
        let verdict = self.verdict.load();
        Status {
            era: verdict.as_ref().map(|verdict| verdict.era()),
            sessions: self.sessions.count() + self.lines.count(),
            idle_connections: self.pool.idle_count(),
            health: self.circuit.health(),
        }
    }

    /// Starts the one task that lets idle sessions go; it ends with the connector.
    fn start_reaper(&self) {
        if self.reaping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (own, idle) = (Weak::clone(&self.own), self.idle);
        let shutdown = self.runtime.shutdown.clone();
        self.runtime.tracker.spawn(async move {
            let every = (idle / 4).clamp(Duration::from_millis(100), Duration::from_secs(30));
            loop {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = shutdown.cancelled() => return,
                }
                let Some(http) = own.upgrade() else { return };
                http.sessions.reap(idle);
                http.lines.reap(idle);
            }
        });
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.sessions.reap(Duration::ZERO);
        self.lines.reap(Duration::ZERO);
    }
}

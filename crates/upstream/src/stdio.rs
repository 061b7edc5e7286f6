//! A server that runs as child programs: which child a call goes to, and the way of the call through it.
//! Modern children are one, shared by everybody, since nothing ties a call to a process. Legacy children keep state and
//! capabilities: each belongs to one isolation key, and one that can be asked serves one call at a time (decision D12).

mod child;
mod pace;
#[cfg(test)]
mod tests;

use crate::{
    EraChoice, Runtime, Status, StdioConfig, anchored,
    link::{
        Closing, Link,
        call::{self, CancelGuard, Ended},
        handshake::{self, First, Trouble, unreachable},
    },
    slots::{Held, Lease, Mode, Slots},
    switchboard::{Completed, Entry, Peer, Role, SharedNotices},
    timer::Timer,
    watching::{self, Watched},
    wire,
};
use arc_swap::ArcSwapOption;
use child::Start;
use futures_util::stream::BoxStream;
use pace::Pace;
use portreeve_mcp::{
    ClientCapabilities, Ctx, Era, Event, Frame, Id, Leg, Method, Params, Request, Text, frame,
    service::{
        Description, Emitter, Failure, FailureKind, Final, Notice, Notification, Watch, WatchFilter, generate,
    },
};
use portreeve_model::IsolationKey;
use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// How long a call waits for a child while all are taken (decision D11), though no longer than half of its time.
const BUSY_WAIT: Duration = Duration::from_secs(30);
/// How long a new child is spoken to as legacy without being asked first.
const LEGACY_HOLDS: Duration = Duration::from_secs(10 * 60);

/// Which calls may use one child.
#[derive(Clone, PartialEq, Eq)]
enum ChildKey {
    Modern,
    Legacy(IsolationKey, ClientCapabilities),
}

impl Hash for ChildKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Self::Legacy(isolation, capabilities) = self {
            isolation.hash(state);
            capabilities.raw().hash(state);
        }
    }
}

struct Verdict {
    description: Arc<Description>,
    since: Instant,
}

impl Verdict {
    fn era(&self) -> Era {
        self.description.version.era()
    }
}

/// A connector to a server that is started as a child.
pub(crate) struct Stdio {
    config: StdioConfig,
    runtime: Runtime,
    ids: AtomicU64,
    verdict: ArcSwapOption<Verdict>,
    probing: tokio::sync::Mutex<()>,
    children: Arc<Slots<ChildKey, Link>>,
    /// A child that was started to find out the era, for the first call that it fits.
    spare: Mutex<Option<(ChildKey, Arc<Link>)>>,
    pace: Arc<Pace>,
    completed: Completed,
    notices: SharedNotices,
    reaping: AtomicBool,
    own: Weak<Stdio>,
}

fn failed(failure: Failure) -> Event {
    Event::Final(Final::Failed(failure))
}

impl Stdio {
    pub(crate) fn new(config: StdioConfig, runtime: Runtime) -> Arc<Self> {
        let children = config.max_children.max(1);
        Arc::new_cyclic(|own| Self {
            config,
            runtime,
            ids: AtomicU64::new(1),
            verdict: ArcSwapOption::empty(),
            probing: tokio::sync::Mutex::new(()),
            children: Slots::new(children, children),
            spare: Mutex::default(),
            pace: Arc::default(),
            completed: Completed::new(),
            notices: SharedNotices::default(),
            reaping: AtomicBool::new(false),
            own: Weak::clone(own),
        })
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Option<(ChildKey, Arc<Link>)>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(ctx: &Ctx, era: Era) -> ChildKey {
        match era {
            Era::Modern => ChildKey::Modern,
            Era::Legacy => ChildKey::Legacy(ctx.isolation.clone(), ctx.capabilities.clone()),
        }
    }

    /// What the server is. If nobody knows, a child is started and asked, and kept for the call that wanted to know.
    async fn verdict(&self, ctx: &Ctx) -> Result<Arc<Verdict>, Failure> {
        match self.verdict.load_full() {
            Some(verdict) => Ok(verdict),
            // Rare, and large: it is kept out of the futures of calls.
            None => Box::pin(self.find_out(ctx)).await,
        }
    }

    async fn find_out(&self, ctx: &Ctx) -> Result<Arc<Verdict>, Failure> {
        let _probing = self.probing.lock().await;
        if let Some(verdict) = self.verdict.load_full() {
            return Ok(verdict);
        }
        let first = if self.config.era == EraChoice::Legacy { First::Initialize } else { First::Discover };
        let link = self.start(ctx, first).await?;
        let described = link.description().ok_or_else(|| unreachable(link.gone()))?;
        let verdict = self.found(Arc::clone(described));
        let replaced = self.spare().replace((Self::key(ctx, verdict.era()), link));
        if let Some((_, unused)) = replaced {
            unused.close();
        }
        Ok(verdict)
    }

    fn found(&self, description: Arc<Description>) -> Arc<Verdict> {
        tracing::info!(server = %self.config.name, version = %description.version, "the server has been found");
        let verdict = Arc::new(Verdict { description, since: Instant::now() });
        self.verdict.store(Some(Arc::clone(&verdict)));
        verdict
    }

    /// A child for a call whose era is known.
    async fn child(&self, ctx: &Ctx, verdict: &Verdict, key: &ChildKey) -> Result<Arc<Link>, Failure> {
        let spare = self.spare().take_if(|(spare, link)| spare == key || !link.alive());
        if let Some((_, link)) = spare.filter(|(_, link)| link.alive()) {
            return Ok(link);
        }
        let known = verdict.era() == Era::Legacy && verdict.since.elapsed() < LEGACY_HOLDS;
        let sure = known || self.config.era == EraChoice::Legacy;
        let link = self.start(ctx, if sure { First::Initialize } else { First::Discover }).await?;
        let described = link.description().ok_or_else(|| unreachable(link.gone()))?;
        if described.version.era() != verdict.era() {
            self.found(Arc::clone(described));
            link.close();
            return Err(Failure::new(FailureKind::Unreachable, "the server has changed its era"));
        }
        if !known {
            self.found(Arc::clone(described));
        }
        Ok(link)
    }

    /// Starts a child and agrees with it. One that exits on the modern question is started anew and spared it
    /// (check 53).
    async fn start(&self, ctx: &Ctx, first: First) -> Result<Arc<Link>, Failure> {
        self.pace.wait().await?;
        let since = Instant::now();
        let outcome = match self.start_once(ctx, first).await {
            Err(Trouble::Exited(_)) if first == First::Discover && self.config.era == EraChoice::Auto => {
                self.start_once(ctx, First::Initialize).await
            }
            other => other,
        };
        self.start_reaper();
        outcome.map_err(|(Trouble::Exited(failure) | Trouble::Failed(failure))| {
            self.pace.failed(since.elapsed(), &failure.detail);
            failure
        })
    }

    async fn start_once(&self, ctx: &Ctx, first: First) -> Result<Arc<Link>, Trouble> {
        let start = Start {
            spec: &self.config.spec,
            supervisor: &self.runtime.supervisor,
            tracker: &self.runtime.tracker,
            shutdown: &self.runtime.shutdown,
            limit: self.runtime.limits.upstream_message,
            pace: &self.pace,
            completed: &self.completed,
            notices: self.notices.of(ctx),
        };
        let link = child::start(start).map_err(Trouble::Failed)?;
        let closing = Closing::new(&link);
        let ids = || self.next_id();
        let agreed = handshake::run(&link, ctx, self.config.era, first, &ids);
        let call = self.config.deadlines.call;
        // A little less, so that whoever waits for as long as a call may take still hears why.
        let limit = call - call / 20;
        let agreed = tokio::time::timeout(limit, agreed).await.unwrap_or_else(|_| {
            let text = format!("the child did not answer within {call:?}{}", link.noise());
            Err(Trouble::Failed(Failure::new(FailureKind::Unreachable, text)))
        });
        match agreed {
            Ok(()) => {
                closing.keep();
                Ok(link)
            }
            // How it ended is only known once it has.
            Err(Trouble::Exited(_)) => {
                link.ended().await;
                Err(Trouble::Exited(unreachable(link.gone())))
            }
            Err(failed) => Err(failed),
        }
    }

    pub(crate) fn open(self: &Arc<Self>, ctx: Ctx, request: Request) -> Leg {
        let this = Arc::clone(self);
        generate(move |emit| async move { this.run(&ctx, &request, &emit).await })
    }

    async fn run(&self, ctx: &Ctx, request: &Request, emit: &Emitter) -> Event {
        let mut timer = Timer::new(&self.config.deadlines);
        let mut last = None;
        // A child may turn out to be gone when the call gets to it; nothing has run then, so another one is tried.
        for _ in 0..2 {
            if self.runtime.shutdown.is_cancelled() {
                return Event::failed(FailureKind::ShuttingDown, "the gate is shutting down");
            }
            let leased = match anchored::wanted(ctx) {
                Some(place) => match self.children.there(place) {
                    Some(leased) => Ok(Ok(leased)),
                    None => return anchored::gone(),
                },
                None => timer.within(self.lease(ctx)).await,
            };
            let (lease, link) = match leased {
                Ok(Ok(leased)) => leased,
                Ok(Err(failure)) => return failed(failure),
                Err(_) => return Event::failed(FailureKind::Unreachable, "the child was not ready in time"),
            };
            let askable = ctx.capabilities.flags().can_be_asked();
            let id = self.next_id();
            if timer.within(link.set_level(self.level(ctx, &link), || self.next_id())).await.is_err() {
                return Event::failed(FailureKind::Timeout, "the child does not answer");
            }
            let Some(entry) = link.enter(id, if askable { Role::Askable } else { Role::Call }) else {
                last = Some(unreachable(link.gone()));
                continue;
            };
            if let Some(task) = anchored::heard(request) {
                entry.hears(&task);
            }
            match call::run(&link, entry, id, ctx, request, emit, &mut timer).await {
                Ended::With(event) => {
                    anchored::settle(ctx, &lease, &event);
                    return event;
                }
                Ended::Unsent(failure) => last = Some(failure),
            }
        }
        failed(last.unwrap_or_else(|| Failure::new(FailureKind::Unreachable, "no child can be kept")))
    }

    /// Modern children are told the level with each request.
    fn level(&self, ctx: &Ctx, link: &Link) -> Option<portreeve_mcp::LogLevel> {
        let legacy = link.description().is_some_and(|it| it.version.era() == Era::Legacy);
        ctx.log_level.filter(|_| legacy)
    }

    async fn lease(&self, ctx: &Ctx) -> Result<(Lease<ChildKey, Link>, Arc<Link>), Failure> {
        let mut changed = None;
        for _ in 0..2 {
            let verdict = self.verdict(ctx).await?;
            let key = Self::key(ctx, verdict.era());
            let exclusive = verdict.era() == Era::Legacy && ctx.capabilities.flags().can_be_asked();
            let mode = if exclusive { Mode::Exclusive } else { Mode::Shared };
            let wait = BUSY_WAIT.min(self.config.deadlines.call / 2);
            let lease = self.children.acquire(&key, mode, wait).await;
            let lease = lease.map_err(|_| Failure::new(FailureKind::Busy, "all children are taken"))?;
            match lease.get(|| Box::pin(self.child(ctx, &verdict, &key))).await {
                Ok(link) => return Ok((lease, link)),
                Err(failure) => {
                    let now = self.verdict.load_full();
                    if now.is_none_or(|now| now.era() == verdict.era()) {
                        return Err(failure);
                    }
                    changed = Some(failure);
                }
            }
        }
        Err(changed.unwrap_or_else(|| Failure::new(FailureKind::Unreachable, "no child")))
    }

    pub(crate) async fn describe(&self, ctx: &Ctx) -> Result<Arc<Description>, Failure> {
        let mut timer = Timer::new(&self.config.deadlines);
        let verdict = timer.within(self.verdict(ctx)).await;
        let verdict = verdict
            .map_err(|_| Failure::new(FailureKind::Unreachable, "the child was not ready in time"))??;
        Ok(Arc::clone(&verdict.description))
    }

    pub(crate) fn notify(&self, ctx: &Ctx, notification: &Notification) {
        // Modern servers are told nothing but cancellations.
        for link in self.children.of_key(&Self::key(ctx, Era::Legacy)) {
            link.aside(frame::encode_notification(
                notification.method.as_str(),
                notification.params.as_ref(),
            ));
        }
    }

    pub(crate) fn completed(&self) -> BoxStream<'static, Text> {
        self.completed.stream()
    }

    /// How many children run.
    pub(crate) fn running(&self) -> usize {
        let spare = self.spare().as_ref().is_some_and(|(_, link)| link.alive());
        self.children.living_count() + usize::from(spare)
    }

    pub(crate) fn status(&self) -> Status {
        let verdict = self.verdict.load();
        Status {
            era: verdict.as_ref().map(|verdict| verdict.era()),
            sessions: self.children.count(),
            idle_connections: 0,
            health: self.pace.health(),
        }
    }

    pub(crate) fn watch(self: &Arc<Self>, ctx: Ctx, filter: WatchFilter) -> Watch {
        let this = Arc::clone(self);
        let (tracker, shutdown) = (self.runtime.tracker.clone(), self.runtime.shutdown.clone());
        watching::start(&tracker, shutdown, move |out| async move {
            let once = || this.watch_once(&ctx, &filter, &out);
            let key = Self::key(&ctx, Era::Legacy);
            let back = || async { drop(this.children.living(&key).await) };
            watching::again_and_again(&out, once, back).await;
        })
    }

    async fn watch_once(&self, ctx: &Ctx, filter: &WatchFilter, out: &mpsc::Sender<Notice>) -> Watched {
        let key = Self::key(ctx, Era::Legacy);
        // A child that serves calls can be watched meanwhile, and watching takes it from nobody.
        if let Some(link) = self.children.of_key(&key).into_iter().next() {
            return self.watch_legacy(&link, filter, out).await;
        }
        let Ok((lease, link)) = self.lease(ctx).await else { return Watched::Failed };
        let Some(description) = link.description() else { return Watched::Failed };
        if description.version.era() == Era::Legacy {
            drop(lease);
            return self.watch_legacy(&link, filter, out).await;
        }
        let id = self.next_id();
        let mut params = Params::default();
        params.set("notifications", watching::wanted(filter));
        let request = Request { method: Method::Listen, params };
        let Some(mut entry) = link.enter(id, Role::Own) else { return Watched::Failed };
        let _guard = CancelGuard::new(&link, id);
        if link.send(wire::modern_request(&Id::number(id), ctx, &request, None)).await.is_err() {
            return Watched::Failed;
        }
        Watched::stood(listen(&mut entry, out).await)
    }

    /// Watches a child until it ends. Only one that watches resources for us is kept for the watch.
    async fn watch_legacy(
        &self,
        link: &Arc<Link>,
        filter: &WatchFilter,
        out: &mpsc::Sender<Notice>,
    ) -> Watched {
        let Some(description) = link.description() else { return Watched::Failed };
        let next_id = || self.next_id();
        watching::legacy(link, description, filter, &next_id, link.ended(), out).await;
        if link.was_let_go() { Watched::LetGo } else { Watched::Broken }
    }

    fn start_reaper(&self) {
        if self.reaping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (own, idle) = (Weak::clone(&self.own), self.config.idle);
        let shutdown = self.runtime.shutdown.clone();
        self.runtime.tracker.spawn(async move {
            let every = (idle / 4).clamp(Duration::from_millis(100), Duration::from_secs(30));
            loop {
                tokio::select! {
                    () = tokio::time::sleep(every) => {}
                    () = shutdown.cancelled() => return,
                }
                let Some(stdio) = own.upgrade() else { return };
                stdio.children.reap(idle);
            }
        });
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        self.children.reap(Duration::ZERO);
        if let Some((_, link)) = self.spare().take() {
            link.close();
        }
    }
}

/// Passes on what a listen stream says until it ends; tells whether it stood.
async fn listen(entry: &mut Entry<Link>, out: &mpsc::Sender<Notice>) -> bool {
    let mut stood = false;
    loop {
        let frame = tokio::select! {
            biased;
            Some(frame) = entry.inbox.recv() => frame,
            _ = &mut entry.done => return stood,
        };
        let Frame::Notification { method, params } = frame else { continue };
        let notice = if method == Method::ListenAcknowledged {
            stood = true;
            Some(Notice::Watching(watching::honoured(params.as_ref())))
        } else {
            wire::notice(&method, params.as_ref())
        };
        let Some(notice) = notice else { continue };
        if out.send(notice).await.is_err() {
            return stood;
        }
    }
}

//! HTTP+SSE, the transport of 2024-11-05 (spec 2024-11-05, basic/transports): one GET stream on which everything comes,
//! and POSTs to the address that its first event names. The stream is the session: when it breaks, the session is lost.
//! Calls run as on any other line; a question that comes names no call, so who can be asked has a line for itself (D12).

use super::{
    Http,
    connection::{Pool, SendError},
    endpoint,
    events::{self, Content, Messages, Next},
    modern::{Attempt, expired},
    probe::undecided,
    session::SessionKey,
};
use crate::{
    EraChoice, anchored,
    link::{
        Closing, Link, Outgoing, Receipts, Setup,
        call::{self, Ended},
        handshake::{self, First, Trouble, unreachable},
    },
    slots::{Held, Mode},
    switchboard::Role,
    timer::Timer,
    watching,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use portreeve_mcp::{
    Ctx, Event, Request, header,
    service::{Emitter, Failure, FailureKind, Final, Notice, WatchFilter},
    version::Feature,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Lines of one isolation key.
pub(crate) const LINES_PER_KEY: usize = 64;
/// Lines altogether: each is a connection that stays open. The longest idle one leaves first.
pub(crate) const LINES: usize = 2_000;
/// How long a call waits for a line while all are taken, though no longer than half of its time.
const BUSY_WAIT: Duration = Duration::from_secs(30);
/// How long the stream may take to name its endpoint.
const ENDPOINT_WAIT: Duration = Duration::from_secs(5);
/// POSTs of one line that may be on their way at once.
const MAX_POSTS: usize = 32;
/// How long a POST may take to be accepted. Some servers keep it open until they have answered on the stream.
const POST_WAIT: Duration = Duration::from_secs(60);
/// How long the last messages of a line that is let go may take.
const LAST_POSTS: Duration = Duration::from_millis(500);

/// No line came about.
pub(crate) enum NoLine {
    /// The server offers no such stream.
    NotOffered(Failure),
    /// It does, or nobody knows; in any case nothing can be run there now.
    Failed(Failure),
}

impl NoLine {
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::NotOffered(failure) | Self::Failed(failure) => failure,
        }
    }
}

/// Where the messages of a line go.
struct Post {
    pool: Arc<Pool>,
    uri: Uri,
    headers: HeaderMap,
}

impl Http {
    /// Runs one call on a line of the caller's kind. A line that turns out to be gone before the server has seen the
    /// call is replaced, once.
    pub(crate) async fn line_call(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
    ) -> Attempt {
        let askable = ctx.capabilities.flags().can_be_asked();
        let (mode, role) =
            if askable { (Mode::Exclusive, Role::Askable) } else { (Mode::Shared, Role::Call) };
        let wait = BUSY_WAIT.min(self.deadlines.call / 2);
        let lease = match anchored::wanted(ctx) {
            Some(place) => match self.lines.there(place) {
                Some((lease, _)) => lease,
                None => return Attempt::End(anchored::gone()),
            },
            None => match self.lines.acquire(&SessionKey::of(ctx), mode, wait).await {
                Ok(lease) => lease,
                Err(_) => {
                    let text = "all sessions of this server are taken";
                    return Attempt::End(Event::failed(FailureKind::Busy, text));
                }
            },
        };
        let mut last = Failure::new(FailureKind::Unreachable, "no session can be kept");
        for _ in 0..2 {
            let link = match timer.within(lease.get(|| Box::pin(self.open_line(ctx)))).await {
                Ok(Ok(link)) => link,
                Ok(Err(NoLine::NotOffered(failure))) => {
                    return Attempt::WrongEra(Event::Final(Final::Failed(failure)));
                }
                Ok(Err(NoLine::Failed(failure))) => {
                    return Attempt::End(Event::Final(Final::Failed(failure)));
                }
                Err(_) => return Attempt::End(Event::Final(Final::Failed(not_ready()))),
            };
            let id = self.next_id();
            if let Err(gone) = timer.within(link.set_level(ctx.log_level, || self.next_id())).await {
                return Attempt::End(Event::Final(Final::Failed(expired(gone))));
            }
            let Some(entry) = link.enter(id, role) else {
                last = unreachable(link.gone());
                continue;
            };
            if let Some(task) = anchored::heard(request) {
                entry.hears(&task);
            }
            match call::run(&link, entry, id, ctx, request, emit, timer).await {
                Ended::With(event) => {
                    anchored::settle(ctx, &lease, &event);
                    return Attempt::End(event);
                }
                Ended::Unsent(failure) => {
                    link.close();
                    last = failure;
                }
            }
        }
        Attempt::End(Event::Final(Final::Failed(last)))
    }

    /// Opens the stream, learns where to POST, and shakes hands.
    pub(crate) async fn open_line(&self, ctx: &Ctx) -> Result<Arc<Link>, NoLine> {
        let mut headers = self.pool.target.post_headers();
        super::credential::add(ctx, &mut headers).map_err(NoLine::Failed)?;
        let opened = tokio::time::timeout(ENDPOINT_WAIT, self.open_stream(&headers)).await;
        let (messages, uri) = opened.unwrap_or_else(|_| {
            Err(NoLine::NotOffered(undecided(format!("no endpoint was named within {ENDPOINT_WAIT:?}"))))
        })?;
        let (link, queue) = Link::new(Setup {
            name: &self.name,
            receipts: Receipts::Given,
            tracker: &self.runtime.tracker,
            shutdown: &self.runtime.shutdown,
            completed: &self.completed,
            notices: self.notices.of(ctx),
        });
        let closing = Closing::new(&link);
        let post = Post { pool: Arc::clone(&self.pool), uri, headers };
        self.runtime.tracker.spawn(serve(Arc::clone(&link), messages, post, queue));
        let ids = || self.next_id();
        match handshake::run(&link, ctx, EraChoice::Legacy, First::Initialize, &ids).await {
            Ok(()) => {}
            Err(Trouble::Failed(failure)) => return Err(NoLine::Failed(failure)),
            Err(Trouble::Exited(_)) => {
                link.ended().await;
                return Err(NoLine::Failed(unreachable(link.gone())));
            }
        }
        closing.keep();
        self.start_reaper();
        Ok(link)
    }

    async fn open_stream(&self, headers: &HeaderMap) -> Result<(Messages, Uri), NoLine> {
        let response = self.pool.send(self.pool.target.get(headers.clone())).await;
        let response = response.map_err(|error| match error {
            SendError::Connect(why) | SendError::Broken(why) => NoLine::Failed(undecided(why)),
        })?;
        let status = response.status;
        if !status.is_success() || events::content(&response.headers) != Content::Events {
            response.body.finish();
            return Err(no_stream(status));
        }
        let mut messages = Messages::new(response.body, self.runtime.limits.upstream_message);
        match messages.next().await {
            Next::Other(event) if &*event.event == "endpoint" => {
                let reference = String::from_utf8_lossy(&event.data);
                let uri = endpoint::resolve(&self.pool.target, &reference);
                let uri =
                    uri.map_err(|why| NoLine::Failed(Failure::new(FailureKind::NoCommonVersion, why)))?;
                Ok((messages, uri))
            }
            Next::End(why) => Err(NoLine::Failed(undecided(format!("its stream broke off: {why}")))),
            Next::Fault(failure) => Err(NoLine::Failed(failure)),
            Next::Frame(_) | Next::Other(_) => Err(NoLine::NotOffered(Failure::new(
                FailureKind::NoCommonVersion,
                "its stream does not begin with the endpoint",
            ))),
        }
    }

    /// Watches until the line has ended; tells whether the watch stood.
    pub(crate) async fn watch_line(
        &self,
        ctx: &Ctx,
        filter: &WatchFilter,
        out: &mpsc::Sender<Notice>,
    ) -> bool {
        let key = SessionKey::of(ctx);
        // A line that carries calls can be watched meanwhile, and watching takes it from nobody.
        let link = match self.lines.of_key(&key).into_iter().next() {
            Some(link) => link,
            None => {
                let Ok(lease) = self.lines.acquire(&key, Mode::Shared, BUSY_WAIT).await else { return false };
                let Ok(link) = lease.get(|| Box::pin(self.open_line(ctx))).await else { return false };
                link
            }
        };
        let Some(description) = link.description() else { return false };
        let next_id = || self.next_id();
        watching::legacy(&link, description, filter, &next_id, link.ended(), out).await;
        true
    }
}

fn not_ready() -> Failure {
    Failure::new(FailureKind::Unreachable, "no session was ready in time")
}

/// What a GET that gave no stream says about the server (decision D3).
fn no_stream(status: StatusCode) -> NoLine {
    let text = format!("the server answered HTTP {status} to the GET of an event stream");
    match status.as_u16() {
        401 | 403 => NoLine::Failed(events::status_failure(status)),
        408 | 429 | 300..=399 | 500..=599 => NoLine::Failed(undecided(text)),
        _ => NoLine::NotOffered(Failure::new(FailureKind::NoCommonVersion, text)),
    }
}

/// Carries one line until its stream ends or nobody wants it any more.
async fn serve(link: Arc<Link>, mut messages: Messages, post: Post, mut queue: mpsc::Receiver<Outgoing>) {
    let mut posts = FuturesUnordered::new();
    let why = loop {
        tokio::select! {
            next = messages.next() => match next {
                Next::Frame(frame) => link.take(frame),
                Next::Other(_) => {}
                Next::End(why) => break why,
                Next::Fault(failure) => break failure.detail,
            },
            Some(outgoing) = queue.recv(), if posts.len() < MAX_POSTS => posts.push(post.deliver(&link, outgoing)),
            Some(delivered) = posts.next(), if !posts.is_empty() => if delivered == Delivered::SessionUnknown {
                break "the server does not know the session any more".to_owned();
            },
            () = link.unwanted() => break "it was not needed any more".to_owned(),
        }
    };
    // From here on calls look for another line.
    queue.close();
    if link.was_let_go() {
        // What was said before the end still goes out: answers, and that calls are not wanted any more.
        let last = async {
            while let Some(outgoing) = queue.recv().await {
                posts.push(post.deliver(&link, outgoing));
            }
            while posts.next().await.is_some() {}
        };
        let _ = tokio::time::timeout(LAST_POSTS, last).await;
    } else {
        tracing::info!(server = %link.name, why, "the session has ended");
    }
    while let Ok(unsent) = queue.try_recv() {
        unsent.settle(&link.name, Err(Failure::new(FailureKind::Unreachable, why.clone())));
    }
    link.end(format!("the session has ended: {why}"));
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivered {
    /// Its sender knows.
    Settled,
    /// The stream stands, but the server knows nothing of it.
    SessionUnknown,
}

impl Post {
    async fn deliver(&self, link: &Link, mut outgoing: Outgoing) -> Delivered {
        let request = self.pool.target.post_to(&self.uri, self.headers(link), outgoing.take_message());
        // Nobody knows whether a message that is never accepted is heard: the stream has the last word then.
        let Ok(sent) = tokio::time::timeout(POST_WAIT, self.pool.send(request)).await else {
            return Delivered::Settled;
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                outgoing.settle(&link.name, Err(error.failure()));
                return Delivered::Settled;
            }
        };
        let status = response.status;
        response.body.finish();
        let (outcome, delivered) = accepted(status);
        outgoing.settle(&link.name, outcome);
        delivered
    }

    fn headers(&self, link: &Link) -> HeaderMap {
        let mut headers = self.headers.clone();
        let version = link.description().map(|description| description.version);
        if let Some(version) = version.filter(|version| version.supports(Feature::VersionHeader)) {
            let version = HeaderValue::from_static(version.as_str());
            headers.insert(HeaderName::from_static(header::PROTOCOL_VERSION), version);
        }
        headers
    }
}

/// What the answer to a POST says. A refused message has not been looked at.
fn accepted(status: StatusCode) -> (Result<(), Failure>, Delivered) {
    match status.as_u16() {
        200..=299 => (Ok(()), Delivered::Settled),
        404 | 410 => {
            let text = format!("the server answered HTTP {status} to a message of a session that stands");
            (Err(undecided(text)), Delivered::SessionUnknown)
        }
        _ => (Err(events::status_failure(status)), Delivered::Settled),
    }
}

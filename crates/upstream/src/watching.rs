//! What watches of both transports share: the task that feeds a stream, reconnecting, and which notices pass.
//! How a server is watched is the transports' business.

use crate::{switchboard::Peer, wire};
use futures_util::{StreamExt, stream};
use portreeve_mcp::{
    Id, Method, Outcome, RawJson, Text,
    service::{Description, Notice, Watch, WatchFilter},
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Notices that wait for a slow reader; more make the watch wait.
const QUEUE: usize = 64;
/// Attempts that came to nothing, one after another, before a watch ends.
const MAX_FAILURES: u32 = 8;
/// How long a server may take to confirm one subscription.
const TAKE: Duration = Duration::from_secs(4);
/// How long others who subscribe wait for a server to confirm the end of a subscription.
const GIVE_BACK: Duration = Duration::from_secs(2);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// A watch that is fed by one task, which begins with the first look at the stream and ends with the stream.
pub(crate) fn start<F>(
    tracker: &TaskTracker,
    shutdown: CancellationToken,
    feed: impl FnOnce(mpsc::Sender<Notice>) -> F + Send + 'static,
) -> Watch
where
    F: Future<Output = ()> + Send + 'static,
{
    let tracker = tracker.clone();
    let begin = async move {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (closed, fed) = (sender.clone(), feed(sender));
        tracker.spawn(async move {
            tokio::select! {
                () = fed => {}
                () = closed.closed() => {}
                () = shutdown.cancelled() => {}
            }
        });
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
    };
    Box::pin(stream::once(begin).flatten())
}

/// How one watch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It stood until it broke off.
    Broken,
    /// It came to nothing.
    Failed,
    /// What it watched was let go; nobody should bring it back for the watch alone.
    LetGo,
}

impl Watched {
    /// A watch that stood, or not.
    pub(crate) fn stood(stood: bool) -> Self {
        if stood { Self::Broken } else { Self::Failed }
    }
}

/// Watches anew whenever a watch has broken off, ever more slowly while nothing comes of it. What was let go is only
/// watched again when somebody else has brought it back.
pub(crate) async fn again_and_again<F, B>(
    out: &mpsc::Sender<Notice>,
    mut once: impl FnMut() -> F,
    mut brought_back: impl FnMut() -> B,
) where
    F: Future<Output = Watched>,
    B: Future<Output = ()>,
{
    let mut failures = 0;
    while failures < MAX_FAILURES && !out.is_closed() {
        let watched = once().await;
        failures = if watched == Watched::Failed { failures + 1 } else { 0 };
        if failures == 0 && out.send(Notice::Interrupted).await.is_err() {
            return;
        }
        if watched == Watched::LetGo {
            brought_back().await;
            continue;
        }
        let delay = Duration::from_millis(500).saturating_mul(1 << failures).min(LONGEST_DELAY);
        tokio::time::sleep(delay).await;
    }
}

/// The `notifications` member of `subscriptions/listen`.
pub(crate) fn wanted(filter: &WatchFilter) -> RawJson {
    let uris: Vec<&str> = filter.resources.iter().map(Text::as_str).collect();
    let mut wanted = serde_json::json!({
        "toolsListChanged": true,
        "promptsListChanged": true,
        "resourcesListChanged": true,
    });
    if !uris.is_empty() {
        wanted["resourceSubscriptions"] = serde_json::json!(uris);
    }
    RawJson::from(wanted)
}

/// The URIs that an acknowledgement says are watched.
pub(crate) fn honoured(params: Option<&RawJson>) -> Vec<Text> {
    let uris =
        params.and_then(|params| params.get("notifications")?.get("resourceSubscriptions")?.elements());
    uris.unwrap_or_default().iter().filter_map(RawJson::string_value).collect()
}

/// Watches a legacy server on a session that stands: subscribes, and passes on what it says until the session ends.
pub(crate) async fn legacy<P: Peer>(
    peer: &Arc<P>,
    description: &Description,
    filter: &WatchFilter,
    next_id: &(impl Fn() -> u64 + Sync),
    ended: impl Future<Output = ()> + Send,
    out: &mpsc::Sender<Notice>,
) {
    let mut notices = peer.board().watch();
    let mut subscriptions = Subscriptions { peer: Arc::clone(peer), taken: Vec::new() };
    if wire::has_capability(description, &["resources", "subscribe"]) {
        subscriptions.take(&filter.resources, next_id).await;
    }
    let uris: Vec<Text> = subscriptions.taken.iter().map(|(uri, _)| uri.clone()).collect();
    if out.send(Notice::Watching(uris.clone())).await.is_err() {
        return;
    }
    let mut ended = pin!(ended);
    loop {
        let received = tokio::select! {
            received = notices.recv() => received,
            () = ended.as_mut() => return,
        };
        let notice = match received {
            // A stream that stands again, or one who lost something: anything may have happened.
            Ok(Notice::Watching(_)) | Err(RecvError::Lagged(_)) => Notice::Watching(uris.clone()),
            Ok(notice) => notice,
            Err(RecvError::Closed) => return,
        };
        if passes(&notice, &uris) && out.send(notice).await.is_err() {
            return;
        }
    }
}

/// Subscriptions of one watch, counted with those of others on the same session; given back when dropped.
struct Subscriptions<P: Peer> {
    peer: Arc<P>,
    /// With the id that ends each.
    taken: Vec<(Text, u64)>,
}

impl<P: Peer> Subscriptions<P> {
    async fn take(&mut self, wanted: &[Text], next_id: &(impl Fn() -> u64 + Sync)) {
        let peer = Arc::clone(&self.peer);
        let mut subscribed = peer.board().subscribed.lock().await;
        for uri in wanted {
            let count = subscribed.get(uri).copied().unwrap_or(0);
            if count == 0 {
                let id = next_id();
                let message = wire::own_request(&Id::number(id), &Method::ResourcesSubscribe, "uri", uri);
                let answer = tokio::time::timeout(TAKE, peer.exchange(id, message)).await;
                if !matches!(answer, Ok(Ok(Outcome::Result(_)))) {
                    continue;
                }
            }
            subscribed.insert(uri.clone(), count + 1);
            self.taken.push((uri.clone(), next_id()));
        }
    }
}

impl<P: Peer> Drop for Subscriptions<P> {
    fn drop(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        self.peer.own(give_back(Arc::clone(&self.peer), std::mem::take(&mut self.taken)));
    }
}

/// Ends subscriptions that nobody has any more. The lock is held until the server has answered, so that whoever
/// subscribes next comes after it and is not undone.
async fn give_back<P: Peer>(peer: Arc<P>, taken: Vec<(Text, u64)>) {
    let mut subscribed = peer.board().subscribed.lock().await;
    for (uri, id) in taken {
        let count = subscribed.get(&uri).copied().unwrap_or(0);
        if count > 1 {
            subscribed.insert(uri, count - 1);
            continue;
        }
        let message = wire::own_request(&Id::number(id), &Method::ResourcesUnsubscribe, "uri", &uri);
        subscribed.remove(&uri);
        // A server that does not answer keeps a subscription whose notices nobody is told.
        let _ = tokio::time::timeout(GIVE_BACK, peer.exchange(id, message)).await;
    }
}

/// Whether a notice is for a watch of these URIs.
fn passes(notice: &Notice, uris: &[Text]) -> bool {
    match notice {
        Notice::ResourceUpdated { uri, .. } => uris.iter().any(|watched| WatchFilter::covers(watched, uri)),
        _ => true,
    }
}

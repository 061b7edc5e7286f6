//! The hub before a server whose watches a test plays: what it is asked for, and who hears what.

use super::*;
use crate::{
    listen::updated,
    server::{Eras, Isolation, Offer, ServerSetup},
};
use futures_core::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use portreeve_mcp::{
    Ctx, Leg, Request, Service,
    service::{Failure, FailureKind, Notification, Watch, WatchFilter},
};
use portreeve_model::ServerName;
use tokio::sync::mpsc;

/// One watch as the server sees it.
struct Watched {
    wanted: Vec<Text>,
    says: mpsc::Sender<Notice>,
}

impl Watched {
    async fn say(&self, notice: Notice) {
        self.says.send(notice).await.expect("the watch is read");
    }

    /// Confirms everything that was asked for.
    async fn stands(&self) {
        self.say(Notice::Watching(self.wanted.clone())).await;
    }
}

struct Played(mpsc::UnboundedSender<Watched>);

impl Service for Played {
    fn describe(&self, _ctx: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>> {
        Box::pin(async { Err(Failure::new(FailureKind::Unreachable, "nothing but watches is played")) })
    }

    fn open(&self, _ctx: Ctx, _request: Request) -> Leg {
        futures_util::stream::empty().boxed()
    }

    fn notify(&self, _ctx: Ctx, _notification: Notification) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn watch(&self, _ctx: Ctx, filter: WatchFilter) -> Watch {
        let (says, hears) = mpsc::channel(64);
        let mut wanted = filter.resources;
        wanted.sort();
        self.0.send(Watched { wanted, says }).expect("the test goes on");
        futures_util::stream::unfold(hears, |mut hears| async move { Some((hears.recv().await?, hears)) })
            .boxed()
    }
}

struct Play {
    server: Arc<Server>,
    watches: mpsc::UnboundedReceiver<Watched>,
    key: Whose,
}

impl Play {
    fn new() -> Self {
        let (sender, watches) = mpsc::unbounded_channel();
        let setup = ServerSetup {
            name: ServerName::new("played").unwrap(),
            service: Arc::new(Played(sender)),
            isolation: Isolation::Shared,
            offer: Offer::default(),
            roots: None,
            credential: None,
            renewal: None,
            eras: Eras::Both,
            holds_children: false,
            ends: CancellationToken::new().drop_guard(),
        };
        let server = Server::new(setup, Hub::new(TaskTracker::new(), &CancellationToken::new()));
        let key = Whose {
            isolation: IsolationKey::new("k"),
            capabilities: ClientCapabilities::none(),
            circle: None,
        };
        Self { server, watches, key }
    }

    fn join(&self, tools: bool, uris: &[&str]) -> Listener {
        let uris = uris.iter().map(|uri| Text::from(*uri)).collect();
        self.server.hub.join(&self.server, &self.key, Wanted { tools, uris, ..Wanted::default() })
    }

    /// The next watch that the server is asked for.
    async fn watch(&mut self) -> Watched {
        self.watches.recv().await.expect("a watch is asked for")
    }

    fn is_asked(&mut self) -> bool {
        self.watches.try_recv().is_ok()
    }

    fn lines(&self) -> usize {
        lock(&self.server.hub.lines).len()
    }
}

fn texts(uris: &[&str]) -> Vec<Text> {
    uris.iter().map(|uri| Text::from(*uri)).collect()
}

/// Lets every task run that can, without time passing.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

fn heard(listener: &Listener) -> Vec<Notice> {
    std::iter::from_fn(|| listener.next().now_or_never().flatten()).collect()
}

#[tokio::test(start_paused = true)]
async fn listeners_share_one_watch_and_hear_each_what_it_wants() {
    let mut play = Play::new();
    let (lists, note) = (play.join(true, &[]), play.join(false, &["a:1"]));
    let watch = play.watch().await;
    assert_eq!(watch.wanted, texts(&["a:1"]));
    watch.stands().await;
    assert!(lists.confirm().await.is_empty());
    assert_eq!(note.confirm().await, texts(&["a:1"]));
    // One more that wants nothing new stands at once.
    let third = play.join(true, &["a:1"]);
    assert_eq!(third.confirm().await, texts(&["a:1"]));
    for notice in
        [Notice::ToolsChanged, updated(&"a:1".into()), updated(&"a:2".into()), Notice::PromptsChanged]
    {
        watch.say(notice).await;
    }
    settle().await;
    assert_eq!(heard(&lists), [Notice::ToolsChanged]);
    assert_eq!(heard(&note), [updated(&"a:1".into())]);
    assert_eq!(heard(&third), [Notice::ToolsChanged, updated(&"a:1".into())]);
    assert!(!play.is_asked());
}

#[tokio::test(start_paused = true)]
async fn a_larger_wish_opens_a_larger_watch_before_the_smaller_one_ends() {
    let mut play = Play::new();
    let first = play.join(true, &["a:1"]);
    let smaller = play.watch().await;
    smaller.stands().await;
    first.confirm().await;
    let second = play.join(true, &["a:2"]);
    let larger = play.watch().await;
    assert_eq!(larger.wanted, texts(&["a:1", "a:2"]));
    smaller.say(updated(&"a:1".into())).await;
    settle().await;
    assert_eq!(heard(&first), [updated(&"a:1".into())], "heard while the other is being opened");
    larger.stands().await;
    assert_eq!(second.confirm().await, texts(&["a:2"]));
    assert!(!smaller.says.is_closed(), "the older one is heard a moment longer");
    // The same news comes twice, in either order, and once only from the older one, which was on its way.
    for (one, other) in [(&smaller, &larger), (&larger, &smaller)] {
        one.say(Notice::ToolsChanged).await;
        other.say(Notice::ToolsChanged).await;
        settle().await;
        assert_eq!(heard(&first), [Notice::ToolsChanged]);
    }
    smaller.say(updated(&"a:1".into())).await;
    settle().await;
    assert_eq!(heard(&first), [updated(&"a:1".into())]);
    smaller.says.closed().await;
    larger.say(updated(&"a:1".into())).await;
    settle().await;
    assert_eq!(
        heard(&first),
        [updated(&"a:1".into())],
        "nothing is taken for told when the older one has gone"
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_is_given_up_at_once_if_that_was_said() {
    let mut play = Play::new();
    let (one, other) = (play.join(true, &["a:1", "a:2"]), play.join(false, &["a:1"]));
    let watch = play.watch().await;
    watch.stands().await;
    one.confirm().await;
    one.remove(&"a:1".into());
    settle().await;
    assert!(!play.is_asked(), "the other one wants it");
    other.remove(&"a:1".into());
    let smaller = play.watch().await;
    assert_eq!(smaller.wanted, texts(&["a:2"]));
    smaller.stands().await;
    watch.says.closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_to_go_ends_the_watch_after_a_moment_for_those_who_come_back() {
    let mut play = Play::new();
    let first = play.join(true, &["a:1"]);
    let watch = play.watch().await;
    watch.stands().await;
    first.confirm().await;
    drop(first);
    tokio::time::sleep(LINGER / 2).await;
    let back = play.join(true, &["a:1"]);
    back.confirm().await;
    assert!(!play.is_asked() && !watch.says.is_closed(), "it found the watch standing");
    drop(back);
    watch.says.closed().await;
    settle().await;
    assert_eq!(play.lines(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_confirm_is_not_wanted_any_more_and_asked_for_anew() {
    let mut play = Play::new();
    let first = play.join(false, &["a:1", "a:2"]);
    let watch = play.watch().await;
    watch.say(Notice::Watching(texts(&["a:1"]))).await;
    assert_eq!(first.confirm().await, texts(&["a:1"]));
    // The server ends it, and it is opened again.
    drop(watch);
    let watch = play.watch().await;
    assert_eq!(watch.wanted, texts(&["a:1"]));
    watch.stands().await;
    settle().await;
    assert_eq!(heard(&first), [updated(&"a:1".into())], "it may have changed meanwhile");
    let another = Text::from("a:2");
    let asking = first.add(&another);
    tokio::pin!(asking);
    assert!(futures_util::poll!(asking.as_mut()).is_pending(), "not before the server has said so");
    let larger = play.watch().await;
    larger.stands().await;
    assert!(asking.await);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_stands_again_makes_up_for_what_was_missed() {
    let mut play = Play::new();
    let (lists, note) = (play.join(true, &[]), play.join(false, &["a:1"]));
    let watch = play.watch().await;
    watch.stands().await;
    lists.confirm().await;
    note.confirm().await;
    watch.say(Notice::Interrupted).await;
    settle().await;
    assert_eq!(heard(&lists), [], "nothing can be heard of a server that is away");
    watch.stands().await;
    settle().await;
    assert_eq!(heard(&lists), [Notice::ToolsChanged]);
    assert_eq!(heard(&note), [updated(&"a:1".into())]);
}

#[tokio::test(start_paused = true)]
async fn one_who_was_not_kept_waiting_hears_when_the_watch_stands_at_last() {
    let mut play = Play::new();
    let early = play.join(true, &["a:1"]);
    let watch = play.watch().await;
    // The server takes longer than anybody waits.
    assert!(early.confirm().await.is_empty());
    let late = play.join(true, &[]);
    watch.stands().await;
    late.confirm().await;
    settle().await;
    assert_eq!(heard(&early), [Notice::ToolsChanged]);
    assert_eq!(heard(&late), []);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_are_opened_again_ever_more_slowly() {
    let mut play = Play::new();
    let _listener = play.join(true, &[]);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let before = Instant::now();
        drop(play.watch().await);
        pauses.push(before.elapsed());
    }
    assert!(pauses.is_sorted() && pauses[11] >= Duration::from_secs(60), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_alone_is_served_for_a_while() {
    let mut play = Play::new();
    play.server.hub.keep(&play.server, &play.key);
    let watch = play.watch().await;
    watch.stands().await;
    tokio::time::sleep(KEEP - Duration::from_secs(1)).await;
    play.server.hub.keep(&play.server, &play.key);
    tokio::time::sleep(KEEP - Duration::from_secs(1)).await;
    assert!(!watch.says.is_closed());
    watch.says.closed().await;
    settle().await;
    assert_eq!(play.lines(), 0);
}

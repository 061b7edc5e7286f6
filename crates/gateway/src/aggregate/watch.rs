//! All servers watched together, as if they were one: what a hub hears of the address of all servers. A server that is down is
//! waited for, and its lists are told to have changed when it comes; what many servers tell at once is told once.
//! How each server is watched is its own hub's business.

use super::{Met, Together, Visitor, apart, find_owner};
use crate::{
    catalogue::BUDGET,
    hub::{Listener, Whose},
    listen::{Wanted, updated},
    server::Server,
};
use foldhash::HashSet;
use futures_core::stream::BoxStream;
use futures_util::{
    StreamExt,
    stream::{self, SelectAll},
};
use portreeve_mcp::{
    ClientCapabilities, RawJson, Text, Version,
    service::{Description, Notice, Watch, WatchFilter},
};
use portreeve_model::{IsolationKey, Principal};
use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How long the watch waits for all servers before it stands; who comes later is told of as a change.
const OPENING: Duration = Duration::from_secs(2);
/// When a server that is down is asked again what it is; twice as long each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// For how long changes of lists are gathered before they are told; twice as long each time that there are more at once, so
/// that servers which come and go are no flood.
const SHORTEST_HOLD: Duration = Duration::from_millis(100);
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// Who watches all servers together, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Circle {
    principal: Principal,
    version: Version,
    /// Only where one of the servers tells sessions apart.
    session: Option<Box<str>>,
    /// The servers that it reaches.
    reached: Box<[usize]>,
}

impl Hash for Circle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.principal.id().hash(state);
        self.version.hash(state);
        self.session.hash(state);
        self.reached.hash(state);
    }
}

impl Together {
    pub(super) fn circle(&self, visitor: &Visitor<'_>, reached: Box<[usize]>) -> Circle {
        let session = visitor.session.filter(|_| self.by_session).map(Box::from);
        Circle { principal: visitor.principal.clone(), version: visitor.version, session, reached }
    }
}

impl Circle {
    /// Watches these servers.
    pub(crate) fn watch(
        &self,
        aggregate: &Arc<Server>,
        capabilities: &ClientCapabilities,
        filter: WatchFilter,
    ) -> Watch {
        let (circle, aggregate, capabilities) = (self.clone(), aggregate.clone(), capabilities.clone());
        let opening = async move {
            let follows = circle.follow(&aggregate, &capabilities, &filter.resources).await;
            stream::unfold(Chorus::new(follows), Chorus::step)
        };
        stream::once(opening).flatten().boxed()
    }

    /// One stream for each server, with the resources that are its own.
    async fn follow(
        &self,
        aggregate: &Server,
        capabilities: &ClientCapabilities,
        uris: &[Text],
    ) -> Vec<Follow> {
        let Some(together) = aggregate.together() else { return Vec::new() };
        let visitor = Visitor {
            principal: &self.principal,
            version: self.version,
            capabilities,
            session: self.session.as_deref(),
        };
        let met: Vec<Met<'_>> = self.reached.iter().filter_map(|at| together.met(*at, &visitor)).collect();
        let mut follows: Vec<Follow> = met.iter().map(Follow::new).collect();
        for uri in uris {
            if let Some((at, own)) = find_owner(&met, uri).await
                && let Some(follow) = follows.iter_mut().find(|follow| follow.at == at)
            {
                follow.uris.push(Uri { marked: *own != **uri, own: (&*own).into(), shown: uri.clone() });
            }
        }
        follows
    }
}

/// A resource as its server and as callers here know it.
struct Uri {
    own: Text,
    shown: Text,
    marked: bool,
}

/// One server that is followed.
struct Follow {
    at: usize,
    server: Arc<Server>,
    isolation: IsolationKey,
    capabilities: ClientCapabilities,
    uris: Vec<Uri>,
    place: Place,
    pause: Duration,
}

enum Place {
    /// Not asked yet.
    New,
    /// It did not say what it is.
    Down,
    Heard(Listener),
    /// It has nothing to tell.
    Silent,
}

/// What comes of following a server.
enum Said {
    /// It is there: these of its resources are watched, and it has these lists.
    Up(Vec<Text>, Vec<Notice>),
    Down,
    Notice(Notice),
}

impl Follow {
    fn new(met: &Met<'_>) -> Self {
        Self {
            at: met.at,
            server: met.server.clone(),
            isolation: met.isolation.clone(),
            capabilities: met.capabilities.clone(),
            uris: Vec::new(),
            place: Place::New,
            pause: SHORTEST_PAUSE,
        }
    }

    async fn step(mut self) -> Option<(Said, Self)> {
        loop {
            match &self.place {
                Place::Silent => return None,
                Place::Heard(listener) => {
                    let notice = listener.next().await?;
                    return Some((Said::Notice(self.shown(notice)), self));
                }
                Place::Down => {
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
                Place::New => {}
            }
            let describing = self.server.describe(self.isolation.clone(), Version::NEWEST);
            match tokio::time::timeout(BUDGET, describing).await {
                Ok(Ok(description)) => {
                    let said = self.up(&description).await;
                    return Some((said, self));
                }
                Ok(Err(_)) | Err(_) if matches!(self.place, Place::New) => {
                    self.place = Place::Down;
                    return Some((Said::Down, self));
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    async fn up(&mut self, description: &Description) -> Said {
        if matches!(self.place, Place::Down) {
            // Whoever is told and lists again must not hear that it is away.
            self.server.catalogue.invalidate(&self.isolation, &Notice::Watching(Vec::new()));
        }
        let lists = [
            ("tools", Notice::ToolsChanged),
            ("prompts", Notice::PromptsChanged),
            ("resources", Notice::ResourcesChanged),
        ];
        let lists = lists.into_iter().filter(|(key, _)| description.capabilities.get(key).is_some());
        let lists = lists.map(|(_, notice)| notice).collect();
        let mut wanted =
            Wanted { uris: self.uris.iter().map(|uri| uri.own.clone()).collect(), ..Wanted::lists() };
        wanted.limit(description);
        if wanted.is_nothing() {
            self.place = Place::Silent;
            return Said::Up(Vec::new(), lists);
        }
        let whose = Whose::of_watch(&self.isolation, &self.capabilities, description);
        let listener = self.server.hub.join(&self.server, &whose, wanted);
        let kept = listener.confirm().await;
        self.place = Place::Heard(listener);
        let kept = self.uris.iter().filter(|uri| kept.contains(&uri.own));
        Said::Up(kept.map(|uri| uri.shown.clone()).collect(), lists)
    }

    /// The notice as it is told here.
    fn shown(&self, notice: Notice) -> Notice {
        let Notice::ResourceUpdated { uri, params } = &notice else { return notice };
        let covers = |known: &&Uri| known.marked && WatchFilter::covers(&known.own, uri);
        if !self.uris.iter().any(|known| covers(&known)) {
            return notice;
        }
        let shown = apart::apart(self.server.name(), uri);
        let params = params.with(&[], &[("uri", &RawJson::string(&shown))]);
        Notice::ResourceUpdated { uri: shown.as_str().into(), params }
    }
}

/// What all say together.
struct Chorus {
    voices: SelectAll<BoxStream<'static, Said>>,
    /// How many have said nothing yet.
    waiting: usize,
    opens: Option<Instant>,
    watched: HashSet<Text>,
    /// What is told next.
    ready: VecDeque<Notice>,
    /// Changes of lists that are gathered, until when, and for how long the next ones will be.
    gathered: Vec<Notice>,
    until: Option<Instant>,
    hold: Duration,
}

impl Chorus {
    fn new(follows: Vec<Follow>) -> Self {
        let waiting = follows.len();
        let voices = follows.into_iter().map(|follow| stream::unfold(follow, Follow::step).boxed());
        Self {
            voices: stream::select_all(voices),
            waiting,
            opens: Some(Instant::now() + OPENING),
            watched: HashSet::default(),
            ready: VecDeque::new(),
            gathered: Vec::new(),
            until: None,
            hold: SHORTEST_HOLD,
        }
    }

    async fn step(mut self) -> Option<(Notice, Self)> {
        loop {
            if self.waiting == 0 && self.opens.is_some() {
                self.open();
            }
            if let Some(notice) = self.ready.pop_front() {
                return Some((notice, self));
            }
            let next = [self.opens, self.until].into_iter().flatten().min();
            tokio::select! {
                biased;
                Some(said) = self.voices.next() => self.hear(said),
                () = sleep_until(next) => self.time_passed(),
            }
        }
    }

    fn open(&mut self) {
        self.opens = None;
        self.ready.push_back(Notice::Watching(self.watched.iter().cloned().collect()));
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Down => self.waiting = self.waiting.saturating_sub(1),
            Said::Up(uris, _) if self.opens.is_some() => {
                self.waiting = self.waiting.saturating_sub(1);
                self.watched.extend(uris);
            }
            Said::Up(uris, lists) => {
                lists.into_iter().for_each(|list| self.gather(list));
                let updates: Vec<Notice> = uris.iter().map(updated).collect();
                self.watched.extend(uris);
                self.ready.extend(updates);
            }
            Said::Notice(notice @ Notice::ResourceUpdated { .. }) => self.ready.push_back(notice),
            Said::Notice(notice) => self.gather(notice),
        }
    }

    fn gather(&mut self, list: Notice) {
        if !self.gathered.contains(&list) {
            self.gathered.push(list);
        }
        if self.until.is_none() {
            self.until = Some(Instant::now() + self.hold);
        }
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        if self.opens.is_some_and(|opens| now >= opens) {
            self.open();
        }
        if self.until.is_none_or(|until| now < until) {
            return;
        }
        if self.gathered.is_empty() {
            (self.until, self.hold) = (None, SHORTEST_HOLD);
        } else {
            self.ready.extend(self.gathered.drain(..));
            self.hold = (self.hold * 2).min(LONGEST_HOLD);
            self.until = Some(now + self.hold);
        }
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

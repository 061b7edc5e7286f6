//! What servers say outside calls, for those who listen: modern `subscriptions/listen` streams and the one stream of a
//! legacy session for unrelated messages. Nothing unrequested is sent, and only about resources the caller may read.

use crate::{
    Gateway,
    bridge::page,
    exchange::{Last, Out},
    server::Server,
    session::Session,
};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use portreeve_mcp::{
    Code, Id, Method, Outcome, Params, RawJson, RpcError, Text, Version, frame, json,
    meta::SUBSCRIPTION_ID,
    service::{Description, Notice, Watch, WatchFilter},
};
use portreeve_model::{IsolationKey, Principal};
use portreeve_policy::Kind;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long a server may take to confirm what it watches; after that the stream opens with what is certain.
const CONFIRM: Duration = Duration::from_secs(5);
/// How many URIs one stream may watch.
const MAX_URIS: usize = 1024;

/// What a watch that stands again may have missed (mcp.md 4.5: a change is told after a reconnect).
const MISSED: [Notice; 3] = [Notice::ToolsChanged, Notice::PromptsChanged, Notice::ResourcesChanged];

/// A stream of changes.
pub type Updates = BoxStream<'static, Out>;

/// The notice that a notification stands for.
pub(crate) fn notice_of(method: &Method, params: Option<&RawJson>) -> Option<Notice> {
    Some(match method {
        Method::ToolsChanged => Notice::ToolsChanged,
        Method::PromptsChanged => Notice::PromptsChanged,
        Method::ResourcesChanged => Notice::ResourcesChanged,
        Method::ResourceUpdated => {
            let params = params?.clone();
            Notice::ResourceUpdated { uri: params.get("uri")?.string_value()?, params }
        }
        _ => return None,
    })
}

/// What a listener asked for, less what it may not have.
#[derive(Debug, Clone, Default)]
struct Wanted {
    tools: bool,
    prompts: bool,
    resources: bool,
    uris: Vec<Text>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, RpcError> {
        let bad = |what: &str| RpcError::new(Code::INVALID_PARAMS, format!("`params.notifications` {what}"));
        let wanted = params.get("notifications").filter(|raw| raw.kind() == json::Kind::Object);
        let wanted = wanted.ok_or_else(|| bad("must be an object"))?;
        let flag = |key: &str| wanted.get(key).is_some_and(|raw| raw.as_bytes() == b"true");
        let uris = match wanted.get("resourceSubscriptions") {
            None => Vec::new(),
            Some(raw) => raw.elements().ok_or_else(|| bad("has `resourceSubscriptions` that is no array"))?,
        };
        if uris.len() > MAX_URIS {
            return Err(bad("names too many resources"));
        }
        Ok(Self {
            tools: flag("toolsListChanged"),
            prompts: flag("promptsListChanged"),
            resources: flag("resourcesListChanged"),
            uris: uris.iter().filter_map(RawJson::string_value).collect(),
        })
    }

    /// Drops what the server cannot tell (check 117).
    fn limit(&mut self, description: &Description) {
        let can = |key: &str, what: &str| {
            let capability = description.capabilities.get(key).and_then(|capability| capability.get(what));
            capability.is_some_and(|flag| flag.as_bytes() == b"true")
        };
        self.tools &= can("tools", "listChanged");
        self.prompts &= can("prompts", "listChanged");
        self.resources &= can("resources", "listChanged");
        if !can("resources", "subscribe") {
            self.uris.clear();
        }
    }

    fn is_nothing(&self) -> bool {
        !self.tools && !self.prompts && !self.resources && self.uris.is_empty()
    }

    fn wants(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Watching(_) => false,
            Notice::ToolsChanged => self.tools,
            Notice::PromptsChanged => self.prompts,
            Notice::ResourcesChanged => self.resources,
            Notice::ResourceUpdated { uri, .. } => self.uris.contains(uri),
        }
    }

    fn encode(&self) -> RawJson {
        let mut out = Vec::from(*b"{");
        let flags = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ];
        for (key, _) in flags.iter().filter(|(_, on)| *on) {
            json::write_member(&mut out, key, b"true");
        }
        if !self.uris.is_empty() {
            let uris: Vec<&str> = self.uris.iter().map(|uri| uri.as_str()).collect();
            json::write_member(&mut out, "resourceSubscriptions", RawJson::encode(&uris).as_bytes());
        }
        out.push(b'}');
        RawJson::built(out)
    }
}

/// The notification that a notice becomes, with extra members in `_meta`.
fn notification(notice: &Notice, meta: Option<&RawJson>) -> Option<Vec<u8>> {
    let (method, params) = match notice {
        Notice::Watching(_) => return None,
        Notice::ToolsChanged => (Method::ToolsChanged, RawJson::EMPTY_OBJECT),
        Notice::PromptsChanged => (Method::PromptsChanged, RawJson::EMPTY_OBJECT),
        Notice::ResourcesChanged => (Method::ResourcesChanged, RawJson::EMPTY_OBJECT),
        Notice::ResourceUpdated { params, .. } => (Method::ResourceUpdated, params.with(&["_meta"], &[])),
    };
    let params = meta.map_or(params.clone(), |meta| params.with(&[], &[("_meta", meta)]));
    Some(frame::encode_notification(method.as_str(), Some(&params)))
}

/// One modern listen stream.
struct Listening {
    gateway: Arc<Gateway>,
    server: Arc<Server>,
    isolation: IsolationKey,
    wanted: Wanted,
    meta: RawJson,
    watch: Watch,
    outbox: VecDeque<Vec<u8>>,
    over: bool,
}

impl Gateway {
    /// `subscriptions/listen` (spec: basic/patterns/subscriptions).
    pub(crate) async fn listen(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        id: &Id,
        params: &Params,
    ) -> Result<Updates, RpcError> {
        let mut wanted = Wanted::read(params)?;
        let isolation = server.isolation_key(principal, None);
        match server.describe(isolation.clone(), Version::NEWEST).await {
            Ok(description) => wanted.limit(&description),
            Err(failure) => {
                self.unreachable(server, &failure);
                wanted = Wanted::default();
            }
        }
        wanted.uris.retain(|uri| self.policy.sees(principal, server.name(), Kind::Resource, uri));
        // A stream on which nothing can come stands at once, without the server.
        let mut watch: Watch = stream::pending().boxed();
        if !wanted.is_nothing() {
            watch = server.watch(isolation.clone(), WatchFilter { resources: wanted.uris.clone() });
            if let Ok(Some(Notice::Watching(uris))) = tokio::time::timeout(CONFIRM, watch.next()).await {
                wanted.uris.retain(|uri| uris.contains(uri));
            } else {
                wanted.uris.clear();
            }
        }
        let meta = RawJson::EMPTY_OBJECT.with(&[], &[(SUBSCRIPTION_ID, id.raw())]);
        let honoured =
            RawJson::EMPTY_OBJECT.with(&[], &[("notifications", &wanted.encode()), ("_meta", &meta)]);
        let first = frame::encode_notification(Method::ListenAcknowledged.as_str(), Some(&honoured));
        let listening = Listening {
            gateway: self.clone(),
            server: server.clone(),
            isolation,
            wanted,
            meta,
            watch,
            outbox: VecDeque::from([first]),
            over: false,
        };
        Ok(stream::unfold(listening, Listening::step).boxed())
    }

    /// Whether the server watches this resource for a legacy session (check 121).
    pub(crate) async fn confirm_subscription(&self, session: &Session, uri: &Text) -> bool {
        let filter = WatchFilter { resources: vec![uri.clone()] };
        let mut watch = session.server.watch(session.isolation.clone(), filter);
        let first = tokio::time::timeout(CONFIRM, watch.next()).await;
        matches!(first, Ok(Some(Notice::Watching(uris))) if uris.contains(uri))
    }

    /// The stream of a legacy session for what belongs to no call. Opening it again closes the older one.
    pub fn session_stream(self: &Arc<Self>, session: &Arc<Session>) -> Updates {
        let following = Following {
            gateway: self.clone(),
            closed: session.take_stream(),
            uris: session.subscribed(),
            watch: None,
            completed: session.server.completed(),
            session: session.clone(),
        };
        stream::unfold(following, Following::step).boxed()
    }
}

impl Listening {
    async fn step(mut self) -> Option<(Out, Self)> {
        if self.over {
            return None;
        }
        if let Some(message) = self.outbox.pop_front() {
            return Some((Out::Message(message), self));
        }
        loop {
            let notice = tokio::select! {
                notice = self.watch.next() => notice,
                () = self.gateway.closing.cancelled() => None,
            };
            let Some(notice) = notice else {
                self.over = true;
                let result =
                    RawJson::from_static(r#"{"resultType":"complete"}"#).with(&[], &[("_meta", &self.meta)]);
                return Some((Out::Last(Last::Outcome(Outcome::Result(result))), self));
            };
            // Whoever hears of a change and lists again must not be given the old list.
            self.server.catalogue.invalidate(&self.isolation, &notice);
            if matches!(notice, Notice::Watching(_)) {
                let missed = MISSED.iter().filter(|notice| self.wanted.wants(notice));
                self.outbox.extend(missed.filter_map(|notice| notification(notice, Some(&self.meta))));
                if let Some(message) = self.outbox.pop_front() {
                    return Some((Out::Message(message), self));
                }
            }
            if self.wanted.wants(&notice)
                && let Some(message) = notification(&notice, Some(&self.meta))
            {
                return Some((Out::Message(message), self));
            }
        }
    }
}

/// The stream of one legacy session.
struct Following {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    closed: CancellationToken,
    uris: tokio::sync::watch::Receiver<Arc<[Text]>>,
    watch: Option<Watch>,
    completed: BoxStream<'static, Text>,
}

impl Following {
    async fn step(mut self) -> Option<(Out, Self)> {
        loop {
            if self.watch.is_none() {
                let resources = self.uris.borrow_and_update().to_vec();
                self.watch = Some(
                    self.session.server.watch(self.session.isolation.clone(), WatchFilter { resources }),
                );
            }
            let watch = self.watch.as_mut()?;
            let notice = tokio::select! {
                notice = watch.next() => notice?,
                Some(id) = self.completed.next() => {
                    if self.session.page_done(&id) {
                        return Some((Out::Message(page::complete(&id)), self));
                    }
                    continue;
                }
                changed = self.uris.changed() => {
                    changed.ok()?;
                    self.watch = None;
                    continue;
                }
                () = self.closed.cancelled() => return None,
                () = self.gateway.closing.cancelled() => return None,
            };
            self.session.server.catalogue.invalidate(&self.session.isolation, &notice);
            if let Some(message) = notification(&notice, None) {
                return Some((Out::Message(message), self));
            }
        }
    }
}

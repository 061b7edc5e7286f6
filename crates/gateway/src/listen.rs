//! What servers say outside calls, for those who listen: modern `subscriptions/listen` streams and the one stream of a
//! legacy session for unrelated messages. Nothing unrequested is sent, and only about resources the caller may read.
//! How servers are watched for all of them together is the hub's business.

mod wanted;

pub(crate) use wanted::{MAX_URIS, Wanted, notice_of, updated};

use crate::{
    Gateway,
    aggregate::Visitor,
    bridge::page,
    exchange::{Last, Out},
    hub::Listener,
    server::Server,
    session::Session,
};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use portreeve_mcp::{
    ClientCapabilities, Id, Method, Outcome, Params, RawJson, RpcError, Text, Version, frame,
    meta::SUBSCRIPTION_ID,
    service::{Description, Failure, Notice},
};
use portreeve_model::Principal;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use wanted::notification;

/// How long a session's stream waits before it asks again what an unreachable server is.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// A stream of changes.
pub type Updates = BoxStream<'static, Out>;

/// One modern listen stream.
struct Listening {
    gateway: Arc<Gateway>,
    principal: Principal,
    server: Arc<Server>,
    /// With the id of the subscription.
    meta: RawJson,
    /// What comes first.
    acknowledgement: Option<Vec<u8>>,
    wanted: Wanted,
    capabilities: ClientCapabilities,
    source: Source,
    over: bool,
}

/// Where notices come from.
enum Source {
    /// Nothing can come.
    Nothing,
    /// The watch of the server.
    Watch(Listener),
    /// The server was exchanged for another one, which is not watched yet.
    Moved,
}

impl Gateway {
    /// `subscriptions/listen` (spec: basic/patterns/subscriptions).
    pub(crate) async fn listen(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        (id, params): (&Id, &Params),
        capabilities: &ClientCapabilities,
    ) -> Result<Updates, RpcError> {
        let mut wanted = Wanted::read(params)?;
        let visitor = Visitor { principal, version: Version::NEWEST, capabilities, session: None };
        let described = self.description_of(server, &visitor).await;
        let description = described.map_err(|failure| self.unreachable(server, &failure)).ok();
        match &description {
            Some(description) => wanted.limit(description),
            None => wanted = Wanted::default(),
        }
        wanted.uris.retain(|uri| self.may_read(principal, server, uri));
        // A stream on which nothing can come stands at once, without the server.
        let listener = description.filter(|_| !wanted.is_nothing()).map(|description| {
            server.hub.join(server, &self.watch_of(server, &visitor, &description), wanted.clone())
        });
        if let Some(listener) = &listener {
            wanted.uris = listener.confirm().await;
        }
        let meta = RawJson::EMPTY_OBJECT.with(&[], &[(SUBSCRIPTION_ID, id.raw())]);
        let honoured =
            RawJson::EMPTY_OBJECT.with(&[], &[("notifications", &wanted.encode()), ("_meta", &meta)]);
        let first = frame::encode_notification(Method::ListenAcknowledged.as_str(), Some(&honoured));
        let listening = Listening {
            gateway: self.clone(),
            principal: principal.clone(),
            server: server.clone(),
            meta,
            acknowledgement: Some(first),
            wanted,
            capabilities: capabilities.clone(),
            source: listener.map_or(Source::Nothing, Source::Watch),
            over: false,
        };
        Ok(stream::unfold(listening, Listening::step).boxed())
    }

    /// What a legacy session hears of its server from now on.
    async fn hearing(&self, session: &Session) -> Result<Arc<Listener>, Failure> {
        if let Some(listener) = session.listener() {
            return Ok(listener);
        }
        let description = self.description_of(&session.server(), &session.visitor()).await?;
        Ok(self.hear(session, &description))
    }

    fn hear(&self, session: &Session, description: &Description) -> Arc<Listener> {
        let server = session.server();
        let mut wanted = Wanted { uris: session.wanted_again(), ..Wanted::lists() };
        wanted.limit(description);
        wanted.uris.retain(|uri| self.may_read(&session.principal, &server, uri));
        let whose = self.watch_of(&server, &session.visitor(), description);
        session.listen(|| server.hub.join(&server, &whose, wanted))
    }

    /// Watches a resource for a legacy session; whether the server confirmed it (check 121).
    pub(crate) async fn watch_resource(
        &self,
        session: &Session,
        description: &Description,
        uri: &Text,
    ) -> bool {
        self.hear(session, description).add(uri).await
    }

    /// The stream of a legacy session for what belongs to no call. Opening it again closes the older one.
    pub fn session_stream(self: &Arc<Self>, session: &Arc<Session>) -> Updates {
        let following = Following {
            gateway: self.clone(),
            closed: session.take_stream(&self.shutdown),
            completed: session.server().completed(),
            session: session.clone(),
            listener: None,
        };
        stream::unfold(following, Following::step).boxed()
    }

    /// The notification for this caller; updates are only for those who may read the resource (check 122).
    fn telling(
        &self,
        (principal, server): (&Principal, &Server),
        notice: &Notice,
        meta: Option<&RawJson>,
    ) -> Option<Vec<u8>> {
        if let Notice::ResourceUpdated { uri, .. } = notice
            && !self.may_read(principal, server, uri)
        {
            return None;
        }
        notification(notice, meta)
    }
}

impl Listening {
    async fn step(mut self) -> Option<(Out, Self)> {
        if self.over {
            return None;
        }
        if let Some(message) = self.acknowledgement.take() {
            return Some((Out::Message(message), self));
        }
        loop {
            let closing = self.gateway.closing.clone();
            let notice = tokio::select! {
                notice = self.heard() => notice,
                () = closing.cancelled() => None,
            };
            let Some(notice) = notice else {
                self.over = true;
                let result =
                    RawJson::from_static(r#"{"resultType":"complete"}"#).with(&[], &[("_meta", &self.meta)]);
                return Some((Out::Last(Last::Outcome(Outcome::Result(result))), self));
            };
            let caller = (&self.principal, &*self.server);
            if let Some(message) = self.gateway.telling(caller, &notice, Some(&self.meta)) {
                return Some((Out::Message(message), self));
            }
        }
    }

    /// The next notice, whichever server stands at the address; `None` if there is none any more.
    async fn heard(&mut self) -> Option<Notice> {
        loop {
            match &self.source {
                Source::Nothing => std::future::pending().await,
                Source::Watch(listener) => match listener.next().await {
                    Some(notice) => return Some(notice),
                    None => self.source = Source::Moved,
                },
                Source::Moved => {
                    self.server = self.gateway.behind(self.server.door())?;
                    match self.join().await {
                        Some(source) => self.source = source,
                        None => tokio::time::sleep(ASK_AGAIN).await,
                    }
                }
            }
        }
    }

    /// Listens to the server that stands here now, and to whatever changed with it; `None` if it does not say what it is.
    async fn join(&self) -> Option<Source> {
        let visitor = Visitor {
            principal: &self.principal,
            version: Version::NEWEST,
            capabilities: &self.capabilities,
            session: None,
        };
        let described = self.gateway.description_of(&self.server, &visitor).await;
        let description =
            described.map_err(|failure| self.gateway.unreachable(&self.server, &failure)).ok()?;
        let mut wanted = self.wanted.clone();
        wanted.limit(&description);
        if wanted.is_nothing() {
            return Some(Source::Nothing);
        }
        let whose = self.gateway.watch_of(&self.server, &visitor, &description);
        let listener = self.server.hub.join(&self.server, &whose, wanted);
        listener.confirm().await;
        listener.may_have_missed();
        Some(Source::Watch(listener))
    }
}

/// The stream of one legacy session.
struct Following {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    closed: CancellationToken,
    listener: Option<Arc<Listener>>,
    completed: BoxStream<'static, Text>,
}

impl Following {
    async fn step(mut self) -> Option<(Out, Self)> {
        loop {
            let heard = tokio::select! {
                biased;
                () = self.closed.cancelled() => return None,
                () = self.gateway.closing.cancelled() => return None,
                Some(id) = self.completed.next() => Heard::Completed(id),
                heard = hear(&self.gateway, &self.session, self.listener.as_ref()) => heard,
            };
            match heard {
                Heard::Completed(id) => {
                    if self.session.page_done(&id) {
                        return Some((Out::Message(page::complete(&id)), self));
                    }
                }
                Heard::Ready(listener) => self.listener = Some(listener),
                Heard::Moved => {
                    self.listener = None;
                    let server = self.gateway.behind(self.session.door())?;
                    self.gateway.move_session(&self.session, &server);
                    self.completed = server.completed();
                }
                Heard::Notice(notice) => {
                    let server = self.session.server();
                    let caller = (&self.session.principal, &*server);
                    if let Some(message) = self.gateway.telling(caller, &notice, None) {
                        return Some((Out::Message(message), self));
                    }
                }
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.closed.cancel();
        self.session.touch(self.gateway.now().0);
    }
}

enum Heard {
    Ready(Arc<Listener>),
    Notice(Notice),
    /// Another server stands at the address now, or none.
    Moved,
    /// A page is done.
    Completed(Text),
}

async fn hear(gateway: &Gateway, session: &Session, listener: Option<&Arc<Listener>>) -> Heard {
    if let Some(listener) = listener {
        return listener.next().await.map_or(Heard::Moved, Heard::Notice);
    }
    loop {
        match gateway.hearing(session).await {
            Ok(listener) => {
                listener.confirm().await;
                return Heard::Ready(listener);
            }
            Err(failure) => {
                gateway.unreachable(&session.server(), &failure);
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }
}

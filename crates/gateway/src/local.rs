//! Requests that the gateway answers itself: descriptions and handshakes, lists from the catalogue, session settings,
//! and methods that a revision does not have.

use crate::{
    Gateway,
    aggregate::Visitor,
    call::{Inbound, ModernEnvelope, Reply},
    catalogue::{FormKey, ListKind},
    error::{self, Refusal},
    record::{End, Record},
    server::Server,
    session::{Greeting, Session},
    state::CursorState,
    tasks,
    trace::Span,
};
use portreeve_mcp::{
    ClientCapabilities, Code, Era, LogLevel, Method, Outcome, Params, RawJson, RpcError, Text, Version,
    caps::TASKS_EXTENSION,
    json,
    meta::SERVER_INFO,
    service::{Description, Notification},
};
use portreeve_model::{IsolationKey, Principal};
use portreeve_policy::{Call, Kind, decide};
use std::{sync::Arc, time::Instant};

impl Server {
    /// The capabilities that this server is told of: exactly the client's, less what the configuration withholds and less
    /// what the gateway cannot carry, which is tasks of the client's own (check 111). The tasks extension is told from
    /// request to request (check 163).
    pub(crate) fn withhold(&self, capabilities: &ClientCapabilities, version: Version) -> ClientCapabilities {
        let flags = capabilities.flags();
        let mut drop = Vec::new();
        for (key, offered, declared) in [
            ("elicitation", self.offer.elicitation, flags.elicitation_form || flags.elicitation_url),
            ("sampling", self.offer.sampling, flags.sampling),
            ("roots", self.offer.roots, flags.roots),
        ] {
            if declared && !offered {
                drop.push(key);
            }
        }
        let raw = capabilities.raw();
        if raw.get("tasks").is_some() {
            drop.push("tasks");
        }
        if drop.is_empty() && !flags.tasks {
            return capabilities.clone();
        }
        let raw = match raw.get("extensions").filter(|_| flags.tasks) {
            Some(extensions) => raw.with(&drop, &[("extensions", &extensions.with(&[TASKS_EXTENSION], &[]))]),
            None => raw.with(&drop, &[]),
        };
        ClientCapabilities::read(&raw, version).unwrap_or_else(ClientCapabilities::none)
    }
}

impl Gateway {
    /// What a modern client's request gets without a server, if it is such a request.
    pub(crate) async fn modern_local(
        self: &Arc<Self>,
        inbound: &Inbound,
        envelope: &ModernEnvelope,
        began: Instant,
    ) -> Option<Reply> {
        let Inbound { principal, server, method, .. } = inbound;
        if is_legacy_only(method) {
            return Some(self.local(
                inbound,
                Version::NEWEST,
                began,
                Err(error::method_not_found(method.as_str()).into()),
            ));
        }
        let isolation = server.isolation_key(principal, None);
        if let Some(kind) = ListKind::from_method(method) {
            let capabilities = server.withhold(&envelope.capabilities, Version::NEWEST);
            let list = self.list(inbound, kind, Version::NEWEST, (&isolation, &capabilities)).await;
            return Some(self.local(inbound, Version::NEWEST, began, list));
        }
        match method {
            Method::Discover => {
                let answer = match self.reach(principal, server, method) {
                    Ok(()) => self.discover(server, isolation).await,
                    Err(refusal) => Err(refusal),
                };
                Some(self.local(inbound, Version::NEWEST, began, answer))
            }
            Method::Listen => {
                let updates = match self.reach(principal, server, method) {
                    Ok(()) => self
                        .listen(
                            principal,
                            server,
                            (&inbound.id, &inbound.params),
                            &server.withhold(&envelope.capabilities, Version::NEWEST),
                        )
                        .await
                        .map_err(Refusal::from),
                    Err(refusal) => Err(refusal),
                };
                Some(match updates {
                    Ok(updates) => Reply::Updates(updates),
                    Err(refusal) => self.local(inbound, Version::NEWEST, began, Err(refusal)),
                })
            }
            _ => None,
        }
    }

    /// What a legacy client's request gets without a server, if it is such a request.
    pub(crate) async fn legacy_local(
        self: &Arc<Self>,
        inbound: &Inbound,
        session: &Arc<Session>,
        began: Instant,
    ) -> Option<Reply> {
        let Inbound { principal, server, method, params, .. } = inbound;
        let empty = Ok(RawJson::EMPTY_OBJECT);
        if let Some(kind) = ListKind::from_method(method) {
            let capabilities = server.withhold(&session.capabilities, session.version);
            let list = self.list(inbound, kind, session.version, (&session.isolation, &capabilities)).await;
            return Some(self.local(inbound, session.version, began, list));
        }
        let answer = match method {
            Method::Ping => return Some(Reply::Whole(Outcome::Result(RawJson::EMPTY_OBJECT))),
            Method::Initialize => {
                Err(Refusal::handler(Code::INVALID_REQUEST, "this session is already initialized"))
            }
            Method::Discover | Method::Listen | Method::TasksUpdate => {
                Err(error::method_not_found(method.as_str()).into())
            }
            // Where tasks are relayed these go to the server; elsewhere there are none.
            method if method.is_about_task() => {
                let description = server.describe(session.isolation.clone(), session.version).await;
                match description {
                    Ok(description) if tasks::carried(&description, session.version) => return None,
                    Ok(_) => Err(error::method_not_found(method.as_str()).into()),
                    Err(failure) => Err(self.unreachable(server, &failure)),
                }
            }
            Method::SetLevel => match params.text("level").and_then(|level| LogLevel::parse(&level)) {
                Some(level) => {
                    session.set_log_level(level);
                    self.holds_something(session).await;
                    empty
                }
                None => Err(Refusal::handler(Code::INVALID_PARAMS, "`params.level` must be a log level")),
            },
            Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => match params.text("uri") {
                None => Err(Refusal::handler(Code::INVALID_PARAMS, "`params.uri` must be a string")),
                Some(uri) if *method == Method::ResourcesUnsubscribe => {
                    session.unsubscribe(&uri);
                    empty
                }
                Some(uri) => self.subscribe(principal, server, session, &uri).await,
            },
            _ => return None,
        };
        Some(self.local(inbound, session.version, began, answer))
    }

    async fn subscribe(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        session: &Arc<Session>,
        uri: &Text,
    ) -> Result<RawJson, Refusal> {
        let unknown = || {
            let data = RawJson::EMPTY_OBJECT.with(&[], &[("uri", &RawJson::string(uri))]);
            RpcError::new(Code::INVALID_PARAMS, format!("this resource cannot be watched: {uri}"))
                .with_data(data)
        };
        if !self.may_read(principal, server, uri) {
            return Err(unknown().into());
        }
        let description = self.description_of(server, &session.visitor()).await;
        let description = description.map_err(|failure| self.unreachable(server, &failure))?;
        let capability =
            description.capabilities.get("resources").and_then(|resources| resources.get("subscribe"));
        if capability.is_none_or(|flag| flag.as_bytes() != b"true") {
            return Err(error::method_not_found(Method::ResourcesSubscribe.as_str()).into());
        }
        if !self.watch_resource(session, &description, &uri.detached()).await {
            return Err(unknown().into());
        }
        self.holds_something(session).await;
        Ok(RawJson::EMPTY_OBJECT)
    }

    /// A list from the catalogue's ready bytes.
    async fn list(
        &self,
        inbound: &Inbound,
        kind: ListKind,
        version: Version,
        (isolation, capabilities): (&IsolationKey, &ClientCapabilities),
    ) -> Result<RawJson, Refusal> {
        let Inbound { principal, server, method, params, .. } = inbound;
        self.reach(principal, server, method)?;
        let cursor = match params.get("cursor") {
            None => None,
            // An empty one is one as well, and never ours (check 133).
            Some(raw) => Some(self.open_cursor(principal, server.door(), kind, raw)?),
        };
        let list = match self.look(server, isolation, capabilities).list(kind).await {
            Ok(list) => list,
            Err(no) => {
                return Err(match no.failure() {
                    Some(failure) => self.unreachable(server, failure),
                    None => no.into_rpc().into(),
                });
            }
        };
        let view = self.served().policy.view_key(principal, server.name());
        let from = cursor.map_or(0, |cursor| list.after(&cursor.last, cursor.at));
        let page = list
            .ready(FormKey { version, view, from, size: self.served().page_size }, &|kind, name| {
                self.served().policy.sees(principal, server.name(), kind, name)
            });
        let Some((at, item)) = page.more_after.and_then(|at| Some((at, list.item(at)?))) else {
            return Ok(page.bytes);
        };
        let next = CursorState { list: method.as_str().to_owned(), last: item.name.to_string(), at };
        let next = RawJson::string(&self.seal_cursor(principal, server.door(), &next));
        Ok(page.bytes.with(&[], &[("nextCursor", &next)]))
    }

    /// Whether the caller may use this method of the server at all.
    fn reach(&self, principal: &Principal, server: &Server, method: &Method) -> Result<(), Refusal> {
        if !server.members().is_empty() {
            // The doors let in whoever reaches one of them; each is asked when it is its turn.
            return Ok(());
        }
        let call = Call { server: server.name(), kind: Kind::Method, name: method.as_str(), arguments: None };
        if decide(&self.served().policy, principal, &call).is_allowed() {
            return Ok(());
        }
        Err(error::method_not_found(method.as_str()).into())
    }

    /// `server/discover` (spec: server/discover).
    async fn discover(&self, server: &Arc<Server>, isolation: IsolationKey) -> Result<RawJson, Refusal> {
        let description = server
            .describe(isolation, Version::NEWEST)
            .await
            .map_err(|failure| self.unreachable(server, &failure))?;
        Ok(self.discovered(server, &description))
    }

    /// `DiscoverResult` of a description.
    pub(crate) fn discovered(&self, server: &Server, description: &Description) -> RawJson {
        let versions: Vec<&str> = Version::MODERN.iter().map(|version| version.as_str()).collect();
        let mut out = Vec::from(*b"{\"resultType\":\"complete\"");
        json::write_member(&mut out, "supportedVersions", RawJson::encode(&versions).as_bytes());
        json::write_member(&mut out, "capabilities", capabilities(description, Version::NEWEST).as_bytes());
        if let Some(instructions) = &description.instructions {
            json::write_member(&mut out, "instructions", instructions.as_bytes());
        }
        json::write_member(&mut out, "ttlMs", b"0");
        json::write_member(&mut out, "cacheScope", b"\"private\"");
        let info = description.server_info.clone().unwrap_or_else(|| own_info(server));
        let meta = RawJson::EMPTY_OBJECT.with(&[], &[(SERVER_INFO, &info)]);
        json::write_member(&mut out, "_meta", meta.as_bytes());
        out.push(b'}');
        RawJson::built(out)
    }

    /// The legacy handshake: a session and its `InitializeResult` (checks 59, 60).
    pub async fn initialize(
        self: &Arc<Self>,
        principal: &Principal,
        server: &Arc<Server>,
        params: &Params,
    ) -> Result<(Arc<Session>, RawJson), Refusal> {
        let began = Instant::now();
        let opened = self.greet(principal, server, params).await.and_then(|(hello, answer)| {
            let session = self.open_new_session(principal, server, hello);
            Ok((session.ok_or_else(error::too_many_sessions)?, answer))
        });
        let version = opened.as_ref().map_or(Version::NEWEST_LEGACY, |(session, _)| session.version());
        let said = opened.as_ref().map(|(_, answer)| answer);
        self.record_local(principal, server, &Method::Initialize, (version, began, None), said);
        opened
    }

    async fn greet(
        &self,
        principal: &Principal,
        server: &Arc<Server>,
        params: &Params,
    ) -> Result<(Greeting, RawJson), Refusal> {
        let bad = |message: &str| Refusal::handler(Code::INVALID_PARAMS, message);
        self.reach(principal, server, &Method::Initialize)?;
        let asked =
            params.text("protocolVersion").ok_or_else(|| bad("`params.protocolVersion` must be a string"))?;
        let version = Version::parse(&asked).filter(|version| version.era() == Era::Legacy);
        let version = version.unwrap_or(Version::NEWEST_LEGACY);
        let declared =
            params.get("capabilities").ok_or_else(|| bad("`params.capabilities` must be an object"))?;
        let capabilities = ClientCapabilities::read(declared, version);
        let capabilities = capabilities.ok_or_else(|| bad("`params.capabilities` must be an object"))?;
        let visitor = Visitor { principal, version, capabilities: &capabilities, session: None };
        let described = self.description_of(server, &visitor).await;
        let description = described.map_err(|failure| self.unreachable(server, &failure))?;
        let mut out = Vec::from(*b"{");
        json::write_member(&mut out, "protocolVersion", RawJson::string(version.as_str()).as_bytes());
        json::write_member(&mut out, "capabilities", self::capabilities(&description, version).as_bytes());
        let info = description.server_info.clone().unwrap_or_else(|| own_info(server));
        json::write_member(&mut out, "serverInfo", info.as_bytes());
        if let Some(instructions) = &description.instructions {
            json::write_member(&mut out, "instructions", instructions.as_bytes());
        }
        out.push(b'}');
        let client_info = params.get("clientInfo").filter(|info| info.kind() == json::Kind::Object).cloned();
        Ok((Greeting { version, capabilities, client_info }, RawJson::built(out)))
    }

    /// Passes a legacy client's notification on, if its server has a use for it.
    pub async fn notified(self: &Arc<Self>, session: &Arc<Session>, method: Method, params: Option<RawJson>) {
        if let Some(id) = portreeve_mcp::meta::cancelled_id(&method, params.as_ref()) {
            return session.cancel(&id);
        }
        let known = matches!(method, Method::RootsChanged | Method::Other(_));
        let server = session.server();
        if known && self.reach(&session.principal, &server, &method).is_ok() {
            let mut ctx = server.system_ctx(session.isolation.clone());
            ctx.version = session.version;
            ctx.capabilities = server.withhold(&session.capabilities, session.version);
            ctx.client_info.clone_from(&session.client_info);
            server.notify(ctx, Notification { method, params }).await;
        }
    }

    pub(crate) fn local(
        &self,
        inbound: &Inbound,
        version: Version,
        began: Instant,
        answer: Result<RawJson, Refusal>,
    ) -> Reply {
        let Inbound { principal, server, method, .. } = inbound;
        let span = inbound.trace.span();
        self.record_local(principal, server, method, (version, began, span), answer.as_ref());
        match answer {
            Ok(result) => Reply::Whole(Outcome::Result(result)),
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    fn record_local(
        &self,
        principal: &Principal,
        server: &Arc<Server>,
        method: &Method,
        (client, began, span): (Version, Instant, Option<Span>),
        answer: Result<&RawJson, &Refusal>,
    ) {
        self.recorder.record(&Record {
            request: self.next_request(),
            principal: principal.clone(),
            server: server.name().clone(),
            method: method.clone(),
            name: None,
            digest: None,
            rule: None,
            client,
            upstream: None,
            began,
            bytes_in: 0,
            bytes_out: answer.map_or(0, |result| result.as_bytes().len()),
            rounds: 0,
            end: answer.map_or_else(|refusal| End::Refused(refusal.error.code.0), |_| End::Ok),
            span,
        });
    }
}

/// Methods that the modern revision has not (check 28).
fn is_legacy_only(method: &Method) -> bool {
    matches!(
        method,
        Method::Initialize
            | Method::Ping
            | Method::SetLevel
            | Method::ResourcesSubscribe
            | Method::ResourcesUnsubscribe
            | Method::TasksResult
            | Method::TasksList
            | Method::Elicit
            | Method::Sample
            | Method::Roots
    )
}

/// A server's capabilities as a client of this revision hears of them: tasks in the words of the revision, and only
/// where they are carried (checks 45, 171).
fn capabilities(description: &Description, client: Version) -> RawJson {
    let raw = &description.capabilities;
    let carried = tasks::carried(description, client);
    let core = carried && client.era() == Era::Legacy;
    let raw = if core { raw.clone() } else { raw.with(&["tasks"], &[]) };
    let object = |raw: &RawJson| raw.kind() == json::Kind::Object;
    match (raw.get("extensions").filter(object), carried && !core) {
        (None, false) => raw,
        (extensions, true) => {
            let extensions = extensions.unwrap_or(RawJson::EMPTY_OBJECT);
            let settings = extensions.get(TASKS_EXTENSION).unwrap_or(RawJson::EMPTY_OBJECT);
            let extensions = extensions.with(&[], &[(TASKS_EXTENSION, &settings)]);
            raw.with(&[], &[("extensions", &extensions)])
        }
        (Some(extensions), false) => {
            let extensions = extensions.with(&[TASKS_EXTENSION], &[]);
            if extensions == RawJson::EMPTY_OBJECT {
                return raw.with(&["extensions"], &[]);
            }
            raw.with(&[], &[("extensions", &extensions)])
        }
    }
}

fn own_info(server: &Server) -> RawJson {
    let mut out = Vec::from(*b"{");
    json::write_member(&mut out, "name", RawJson::string(server.name().as_str()).as_bytes());
    json::write_member(&mut out, "version", b"\"0\"");
    out.push(b'}');
    RawJson::built(out)
}

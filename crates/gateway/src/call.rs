//! The life of a call. [`Gateway::call`] reads top to bottom: identify (the doors did that) → locate → view → decide →
//! resolve → forward → record. Everything that is answered without a server is in `local.rs`.

use crate::{
    Gateway,
    aggregate::{self, Visitor},
    aim::{Aim, aim},
    bridge::{self, page::Pages},
    catalogue::{List, ListKind, Look, NoList},
    error::{self, Refusal},
    exchange::{Client, Exchange, Inner, Stage},
    listen::Updates,
    record::{End, Record},
    retry::{Retry, same},
    server::{self, Server, forward},
    session::Session,
    tasks::{self, Far, Part},
    trace::Trace,
};
use portreeve_mcp::{
    ClientCapabilities, Code, Ctx, Era, Id, JsonError, LogLevel, Method, Outcome, Params, RawJson, Request,
    RpcError, Text, Version, header,
    meta::{self, Meta},
    payload,
    service::TakeUp,
};
use portreeve_model::{IsolationKey, Principal, ReplicaId};
use portreeve_policy::{Authorized, Decision, Denied, Kind, ParamsDigest, Target, authorize};
use std::{sync::Arc, time::Instant};

/// A request as a door hands it in: parsed as far as the envelope goes, its caller known.
pub struct Inbound {
    /// Who calls.
    pub principal: Principal,
    /// The server that the endpoint leads to.
    pub server: Arc<Server>,
    /// The request's id.
    pub id: Id,
    /// What is asked.
    pub method: Method,
    /// `params` as they came.
    pub raw: Option<RawJson>,
    /// `params`, looked into.
    pub params: Params,
    /// Where it stands in a trace.
    pub trace: Trace,
}

/// Reads one header of the request by its lower-case name.
pub type HeaderView<'a> = &'a (dyn Fn(&str) -> Option<&'a [u8]> + Sync);

/// The headers of a request, where the transport has them.
pub struct Headers<'a> {
    /// Reads one.
    pub get: HeaderView<'a>,
    /// All `Mcp-Param-*`, name and value as they came.
    pub params: Vec<(Text, Text)>,
}

/// What the envelope of a modern request says, checked.
pub struct ModernEnvelope {
    /// What its client can be asked.
    pub capabilities: ClientCapabilities,
    /// The level of log messages it wants.
    pub log_level: Option<LogLevel>,
    /// All of `_meta`.
    pub meta: Meta,
}

/// What a door gets back.
pub enum Reply {
    /// Refused before a server was involved.
    Refused(Refusal),
    /// Answered.
    Whole(Outcome),
    /// Under way.
    Call(Box<Exchange>),
    /// A stream of changes (modern `subscriptions/listen`).
    Updates(Updates),
    /// It is about something that another replica owns; nothing has happened here. The error is what the client hears if that
    /// replica is gone.
    Elsewhere(ReplicaId, RpcError),
}

impl Reply {
    /// The answer alone, for callers who take nothing else: what is asked meanwhile is declined.
    pub async fn into_outcome(self) -> Option<Outcome> {
        match self {
            Self::Refused(refusal) => Some(Outcome::Error(refusal.error)),
            Self::Whole(outcome) => Some(outcome),
            Self::Updates(_) => None,
            Self::Elsewhere(_, gone) => Some(Outcome::Error(gone)),
            Self::Call(exchange) => exchange.into_outcome().await,
        }
    }
}

impl From<RpcError> for Reply {
    fn from(error: RpcError) -> Self {
        Self::Whole(Outcome::Error(error))
    }
}

/// A request with everything that later steps need.
pub(crate) struct Call<'a> {
    pub(crate) inbound: Inbound,
    pub(crate) client: Client,
    pub(crate) ctx: Ctx,
    pub(crate) progress_token: Option<RawJson>,
    pub(crate) headers: Option<Headers<'a>>,
    /// Pages that the person agreed to open before this call is sent again.
    pub(crate) agreed: Vec<Text>,
    /// The call was left at its server under this key, and is taken up instead of sent.
    pub(crate) take_up: Option<(u64, TakeUp)>,
    /// The declaration of the tasks extension, if this request has one.
    pub(crate) tasks: Option<RawJson>,
    pub(crate) began: Instant,
}

impl<'a> Call<'a> {
    fn new(
        inbound: Inbound,
        client: Client,
        ctx: Ctx,
        progress_token: Option<RawJson>,
        headers: Option<Headers<'a>>,
        began: Instant,
    ) -> Self {
        Self {
            inbound,
            client,
            ctx,
            progress_token,
            headers,
            agreed: Vec::new(),
            take_up: None,
            tasks: None,
            began,
        }
    }
}

/// What belongs to a session, whatever server its address leads to.
fn is_the_sessions(method: &Method) -> bool {
    matches!(
        method,
        Method::Ping
            | Method::SetLevel
            | Method::Initialize
            | Method::ResourcesSubscribe
            | Method::ResourcesUnsubscribe
    )
}

impl Gateway {
    /// A request of a modern client. `headers` is there where the transport has them.
    pub async fn modern(
        self: &Arc<Self>,
        mut inbound: Inbound,
        envelope: ModernEnvelope,
        headers: Option<Headers<'_>>,
    ) -> Reply {
        let began = Instant::now();
        inbound.trace.begin(self.tracing, &envelope.meta);
        let inbound = if inbound.server.members().is_empty() || inbound.method == Method::Listen {
            inbound
        } else {
            let (principal, capabilities) = (inbound.principal.clone(), &envelope.capabilities);
            let version = Version::NEWEST;
            let visitor = Visitor { principal: &principal, version, capabilities, session: None };
            match self.at_aggregate(inbound, &visitor, began).await {
                Ok(inbound) => inbound,
                Err(reply) => return reply,
            }
        };
        if let Some(reply) = self.modern_local(&inbound, &envelope, began).await {
            return reply;
        }
        let ModernEnvelope { capabilities, log_level, meta } = envelope;
        let progress_token = meta.progress_token().cloned();
        let isolation = inbound.server.isolation_key(&inbound.principal, None);
        let mut ctx = inbound.server.system_ctx(isolation);
        ctx.version = Version::NEWEST;
        ctx.capabilities = inbound.server.withhold(&capabilities, Version::NEWEST);
        // At the address of all servers nobody could ask for a task again.
        let tasks = capabilities.tasks().filter(|_| !inbound.server.is_member());
        ctx.client_info = meta.get(meta::CLIENT_INFO).cloned();
        ctx.log_level = log_level;
        ctx.wants_progress = progress_token.is_some();
        ctx.meta = inbound.trace.passing(&meta);
        let client = Client::Modern;
        let mut call = Call::new(inbound, client, ctx, progress_token, headers, began);
        call.tasks = tasks;
        self.call(call).await
    }

    /// A request within a legacy session.
    pub async fn legacy(self: &Arc<Self>, mut inbound: Inbound, meta: Meta, session: &Arc<Session>) -> Reply {
        let began = Instant::now();
        inbound.trace.begin(self.tracing, &meta);
        let inbound = if inbound.server.members().is_empty() || is_the_sessions(&inbound.method) {
            inbound
        } else {
            match self.at_aggregate(inbound, &session.visitor(), began).await {
                Ok(inbound) => inbound,
                Err(reply) => return reply,
            }
        };
        if let Some(reply) = self.legacy_local(&inbound, session, began).await {
            return reply;
        }
        let progress_token = meta.progress_token().cloned();
        let isolation = match inbound.server.is_member() {
            true => inbound.server.isolation_key(&inbound.principal, Some(session.id())),
            false => session.isolation.clone(),
        };
        let mut ctx = inbound.server.system_ctx(isolation);
        ctx.version = session.version;
        ctx.capabilities = inbound.server.withhold(&session.capabilities, session.version);
        ctx.client_info.clone_from(&session.client_info);
        ctx.log_level = session.log_level();
        ctx.wants_progress = progress_token.is_some();
        ctx.meta = inbound.trace.passing(&meta);
        let cancel = session.begin(&inbound.id);
        let client = Client::Legacy { session: session.clone(), cancel };
        self.call(Call::new(inbound, client, ctx, progress_token, None, began)).await
    }

    /// The life of a call.
    async fn call(self: &Arc<Self>, mut call: Call<'_>) -> Reply {
        if let Some((owner, gone)) = self.owned_elsewhere(&call) {
            return Reply::Elsewhere(owner, gone);
        }
        // Locate: which thing of the server is meant, and does the server have it?
        let asked = match tasks::asked(self, &mut call) {
            Ok(asked) => asked,
            Err(error) => return self.refused(&call, None, error),
        };
        let aim = match &asked {
            // What may be done with a task is what may be done with its tool.
            Part::About(about) => Ok(Aim::new(Kind::Tool, &about.state.tool)),
            _ => aim(&call.inbound.method, &call.inbound.params),
        };
        let aim = match aim {
            Ok(aim) => aim,
            Err(error) => return self.refused(&call, None, error),
        };
        if let Err(error) = self.within_rate(&call) {
            return self.refused(&call, Some(&aim), error.into());
        }
        let located = match self.locate(&call, &aim).await {
            Ok(located) => located,
            Err(error) => return self.refused(&call, Some(&aim), error),
        };
        // View and decide: to a caller who may not use it, it does not exist (decision D18).
        let digest = ParamsDigest::of(call.inbound.raw.as_ref().map_or(b"{}", |raw| raw.as_bytes()));
        let target = Target {
            server: call.inbound.server.name().clone(),
            kind: aim.kind,
            name: aim.name.clone(),
            digest,
        };
        let (proof, decision) = match self.decide(&call.inbound.principal, target.clone()) {
            Ok(decided) => decided,
            Err(Denied(decision)) => return self.denied(&call, &aim, decision),
        };
        if let Err(refusal) = check_headers(&mut call, &located) {
            return self.refused(&call, Some(&aim), refusal);
        }
        // A retry of a call that was asked something belongs to that call.
        let round = match self.retry(&mut call, located.version) {
            Ok(Retry::Runs(round)) => round,
            Ok(Retry::Parked { call: parked, round }) => return self.resume(call, parked, round).await,
            Ok(Retry::Same(settled)) => return same(settled).await,
            Ok(Retry::Ends(end, outcome)) => {
                let mut record = self.record(&call, Some(&aim));
                record.end = end;
                self.recorder.record(&record);
                return Reply::Whole(outcome);
            }
            Err(error) => return self.refused(&call, Some(&aim), error.into()),
        };
        // Resolve the credential (the context carries it), forward, and let the exchange record how it ends.
        let part = tasks::part(&mut call, &located, asked);
        let mut record = self.record(&call, Some(&aim));
        record.rule = Some(decision.rule);
        record.digest = Some(digest);
        record.upstream = Some(located.version.era());
        record.rounds = round;
        Reply::Call(Box::new(self.start(call, record, (target, proof), (located.version, part))))
    }

    fn start(
        self: &Arc<Self>,
        call: Call<'_>,
        record: Record,
        (target, proof): (Target, Authorized<Target>),
        (mut server_version, task): (Version, Part),
    ) -> Exchange {
        let Call { mut inbound, client, ctx, progress_token, agreed, take_up, .. } = call;
        payload::params_for_server(&inbound.method, &mut inbound.params, server_version);
        let early = early_answers(&inbound.method, &mut inbound.params, server_version);
        let shown_uri = aggregate::shown_uri(&inbound);
        let relief = bridge::relief(self, &inbound.server);
        let pages = Pages::agreed(agreed, &inbound.server);
        let request = Request { method: inbound.method, params: inbound.params };
        let sent = tasks::sent(&task, &client, &request, server_version);
        let (parked_as, leg) = match (take_up, &client, &task) {
            (Some((key, call)), ..) => {
                (Some(key), server::take_up(proof, &inbound.server, ctx.clone(), call))
            }
            (None, Client::Modern, Part::About(about)) if server_version.era() == Era::Legacy => {
                let far = Far {
                    gateway: self.clone(),
                    server: inbound.server.clone(),
                    principal: inbound.principal.clone(),
                    target: target.clone(),
                    ctx: ctx.clone(),
                    state: about.state.clone(),
                    version: server_version,
                };
                server_version = Version::NEWEST;
                (None, tasks::translated(far, sent))
            }
            _ => (None, forward(proof, &inbound.server, ctx.clone(), sent)),
        };
        let under_way = inbound.server.begin();
        Exchange::new(Box::new(Inner {
            gateway: self.clone(),
            server: inbound.server,
            principal: inbound.principal,
            client,
            id: inbound.id,
            progress_token,
            record,
            request,
            target,
            ctx,
            server_version,
            leg: Some(leg),
            stage: Stage::Leg,
            asks: Vec::new(),
            ask_deadline: None,
            relief,
            outbox: std::collections::VecDeque::new(),
            last_progress: f64::NEG_INFINITY,
            parked_as,
            withheld: None,
            pages,
            early,
            detached: false,
            shown_uri,
            task,
            _under_way: under_way,
        }))
    }

    pub(crate) fn decide(
        &self,
        principal: &Principal,
        target: Target,
    ) -> Result<(Authorized<Target>, Decision), Denied> {
        authorize(&self.served().policy, principal, target, None)
    }

    /// Callers who prove who they are have a rate (decision D36).
    fn within_rate(&self, call: &Call<'_>) -> Result<(), RpcError> {
        if !call.inbound.principal.is_authenticated() {
            return Ok(());
        }
        let per_minute = self.served().calls_per_minute;
        self.rates.take(call.inbound.principal.id(), per_minute, call.began).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            let data = serde_json::json!({ "retryAfterSeconds": seconds }).into();
            let text = format!("too many calls a minute; nothing was run, try again in {seconds} s");
            RpcError::new(error::RATE_LIMITED, text).with_data(data)
        })
    }

    /// Finds what a call is about. Tools are looked up in the catalogue, which also tells the server's era.
    async fn locate(&self, call: &Call<'_>, aim: &Aim) -> Result<Located, Refusal> {
        let server = &call.inbound.server;
        let located = |version: Version, era: Option<Era>, list| Located {
            version: era.map_or(call.ctx.version, |_| version),
            native: era.is_none(),
            list,
        };
        // A task's tool may be gone by now, which is no matter for what it does.
        if aim.kind != Kind::Tool || call.inbound.method != Method::ToolsCall {
            let description = server.describe(call.ctx.isolation.clone(), call.ctx.version).await;
            let description = description.map_err(|failure| self.unreachable(server, &failure))?;
            return Ok(located(description.version, description.era, None));
        }
        let look = self.look(server, &call.ctx.isolation, &call.ctx.capabilities);
        let list = match look.known(ListKind::Tools) {
            Some(list) if list.find(&aim.name).is_some() => list,
            _ => self.find_tool(&look, &aim.name).await?,
        };
        Ok(located(list.version, list.era, Some(list)))
    }

    async fn find_tool(&self, look: &Look<'_>, name: &str) -> Result<Arc<List>, Refusal> {
        let no_list = |no: NoList| match no.failure() {
            Some(failure) => self.unreachable(look.server, failure),
            None if no.is_absent() => error::unknown_tool(name).into(),
            None => no.into_rpc().into(),
        };
        let list = look.list(ListKind::Tools).await.map_err(no_list)?;
        if list.find(name).is_some() {
            return Ok(list);
        }
        let list = look.relist(ListKind::Tools, &list).await.map_err(no_list)?;
        if list.find(name).is_some() { Ok(list) } else { Err(error::unknown_tool(name).into()) }
    }

    pub(crate) fn look<'a>(
        &self,
        server: &'a Arc<Server>,
        isolation: &'a IsolationKey,
        capabilities: &'a ClientCapabilities,
    ) -> Look<'a> {
        Look { server, isolation, capabilities }
    }

    pub(crate) fn unreachable(&self, server: &Server, failure: &portreeve_mcp::service::Failure) -> Refusal {
        tracing::warn!(server = %server.name(), kind = ?failure.kind, "{}", failure.detail);
        error::of_failure(failure).into()
    }

    pub(crate) fn record(&self, call: &Call<'_>, aim: Option<&Aim>) -> Record {
        Record {
            request: self.next_request(),
            principal: call.inbound.principal.clone(),
            server: call.inbound.server.name().clone(),
            method: call.inbound.method.clone(),
            name: aim.filter(|aim| aim.kind != Kind::Method).map(|aim| aim.name.clone()),
            digest: None,
            rule: None,
            client: call.ctx.version,
            upstream: None,
            began: call.began,
            bytes_in: call.inbound.raw.as_ref().map_or(0, |raw| raw.as_bytes().len()),
            bytes_out: 0,
            rounds: 0,
            end: End::Cancelled,
            span: call.inbound.trace.span(),
        }
    }

    fn refused(&self, call: &Call<'_>, aim: Option<&Aim>, refusal: Refusal) -> Reply {
        let mut record = self.record(call, aim);
        record.end = End::Refused(refusal.error.code.0);
        self.recorder.record(&record);
        Reply::Refused(refusal)
    }

    fn denied(&self, call: &Call<'_>, aim: &Aim, decision: Decision) -> Reply {
        let mut record = self.record(call, Some(aim));
        record.end = End::Denied;
        record.rule = Some(decision.rule);
        self.recorder.record(&record);
        Reply::Refused(aim.not_found(call.ctx.version).into())
    }
}

/// What was found out about a call's aim.
pub(crate) struct Located {
    /// The revision that the server speaks; of one that is native in both eras, the caller's.
    pub(crate) version: Version,
    /// Whether it is native in both.
    pub(crate) native: bool,
    /// The tools, if it is about one.
    pub(crate) list: Option<Arc<List>>,
}

/// The `Mcp-Param-*` rules (spec: streamable-http): what the tool's schema mirrors has to agree; what it does not know
/// goes on to the server (check 19).
fn check_headers(call: &mut Call<'_>, located: &Located) -> Result<(), Refusal> {
    let (Some(headers), Some(list)) = (&mut call.headers, &located.list) else { return Ok(()) };
    let Some(tool) = call.inbound.params.text("name").and_then(|name| list.find(&name)) else {
        return Ok(());
    };
    if !tool.annotations.is_empty() {
        header::check_params(&tool.annotations, call.inbound.params.get("arguments"), headers.get)
            .map_err(|fault| Refusal { error: fault.to_rpc(), level: error::Level::Envelope })?;
    }
    if !headers.params.is_empty() {
        let known = |name: &str| tool.annotations.iter().any(|known| known.header.eq_ignore_ascii_case(name));
        call.ctx.param_headers =
            std::mem::take(&mut headers.params).into_iter().filter(|(name, _)| !known(name)).collect();
    }
    Ok(())
}

/// Answers that a modern client gives without having been asked; a legacy server's call has no place for them, but the
/// questions that the server names itself may come. Answers to a task's questions are no such thing.
fn early_answers(method: &Method, params: &mut Params, server: Version) -> Option<RawJson> {
    if server.era() == Era::Modern || !method.may_ask() {
        return None;
    }
    params.take("requestState");
    params.take("inputResponses")
}

/// Looks into a request's `params` and `_meta`, both once. What cannot be looked into is refused in either era.
pub fn read_params(raw: Option<&RawJson>) -> Result<(Params, Meta), Refusal> {
    let bad = |what: &str, fault: JsonError| {
        Refusal::envelope(Code::INVALID_PARAMS, format!("`{what}` is not acceptable: {fault}"))
    };
    let params = Params::parse(raw).map_err(|fault| bad("params", fault))?;
    let meta = Meta::parse(params.meta()).map_err(|fault| bad("_meta", fault))?;
    Ok((params, meta))
}

/// Reads the envelope of a modern request (checks 1–3, 76): version and capabilities have to be there.
pub fn read_envelope(meta: Meta) -> Result<ModernEnvelope, Refusal> {
    let bad = |message: String| Refusal::envelope(Code::INVALID_PARAMS, message);
    if meta.protocol_version().and_then(RawJson::string_value).is_none() {
        return Err(bad(format!("`_meta` needs `{}`, a string", meta::PROTOCOL_VERSION)));
    }
    let capabilities = meta.get(meta::CLIENT_CAPABILITIES);
    let capabilities = capabilities.and_then(|raw| ClientCapabilities::read(raw, Version::NEWEST));
    let Some(capabilities) = capabilities else {
        return Err(bad(format!("`_meta` needs `{}`, an object", meta::CLIENT_CAPABILITIES)));
    };
    let log_level = match meta.get(meta::LOG_LEVEL) {
        None => None,
        Some(raw) => match raw.string_value().and_then(|text| LogLevel::parse(&text)) {
            Some(level) => Some(level),
            None => return Err(Refusal::handler(Code::INVALID_PARAMS, "unknown log level in `_meta`")),
        },
    };
    Ok(ModernEnvelope { capabilities, log_level, meta })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_from_calls_alone() {
        let given = RawJson::from_static(r#"{"inputResponses":{"a":1},"requestState":"s"}"#);
        let rows = [
            (Method::ToolsCall, Version::V2025_11_25, true),
            (Method::ToolsCall, Version::V2026_07_28, false),
            (Method::TasksUpdate, Version::V2025_11_25, false),
        ];
        for (method, server, taken) in rows {
            let mut params = Params::parse(Some(&given)).unwrap();
            assert_eq!(early_answers(&method, &mut params, server).is_some(), taken, "{method:?} {server}");
            assert_eq!(params.get("inputResponses").is_none(), taken, "{method:?} {server}");
        }
    }
}

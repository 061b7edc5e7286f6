//! The MCP door: `/mcp/<server>` for both eras on one address. The order of the checks is fixed (reference: mcp.md 2.3):
//! Host and Origin, credentials, path, JSON, era, envelope, headers; the gateway does the rest.

use crate::{
    answer,
    body::OutBody,
    classify::{Class, Hints, Message, claims_modern, classify},
    hop,
    listener::Edge,
    request::{accepts, is_json, read_body, single},
};
use bytes::Bytes;
use http::{HeaderMap, Method as Verb, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use portreeve_gateway::{
    Headers, Inbound, NotTakenUp, Refusal, Reply, Server, Session, Trace,
    error::unsupported_version,
    hop::{Door, Hop, Ownership},
    read_envelope, read_params,
};
use portreeve_mcp::meta::Meta;
use portreeve_mcp::{
    Code, Era, Frame, FrameError, Id, Method, Outcome, Params, RawJson, RpcError, Text, Version, frame,
    frame::Body, header as names, header::Mirrored,
};
use portreeve_model::Principal;
use std::sync::Arc;

mod elsewhere;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Who brought a request here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Brought {
    ByClient,
    /// Another replica, which takes this one for the owner of what the request is about, or for the owner's heir.
    ByReplica(Ownership),
}

/// One request to one server's address, as far as it is known who sends it.
struct Visit<'a> {
    edge: &'a Edge,
    principal: Principal,
    server: Arc<Server>,
    headers: &'a HeaderMap,
    verb: Verb,
    body: Bytes,
    brought: Brought,
}

/// Serves one request to the HTTP+SSE door. Host and Origin were checked.
pub(crate) async fn serve_sse(
    edge: &Arc<Edge>,
    name: Option<&str>,
    request: Request<Incoming>,
) -> Response<OutBody> {
    let (parts, body) = request.into_parts();
    match enter(edge, name, &parts) {
        Ok(Visit { principal, server, .. }) => crate::sse::serve(edge, principal, &server, parts, body).await,
        Err(response) => *response,
    }
}

/// Serves one request. Host and Origin were checked.
pub(crate) async fn serve(edge: &Edge, name: Option<&str>, request: Request<Incoming>) -> Response<OutBody> {
    let (parts, body) = request.into_parts();
    let mut visit = match enter(edge, name, &parts) {
        Ok(visit) => visit,
        Err(response) => return *response,
    };
    if parts.method == Verb::POST {
        visit.body = match visit.read(body).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
    }
    visit.serve().await
}

/// Serves a client's request that another replica passes on. Who calls was found out there; what they may do is found out
/// here again.
pub(crate) async fn serve_hop(edge: &Arc<Edge>, hop: Hop) -> Response<OutBody> {
    let server = edge.gateway.behind(&hop.server);
    let Some(server) = server.filter(|server| edge.gateway.reaches(&hop.principal, server)) else {
        return answer::problem(StatusCode::NOT_FOUND, "no such server");
    };
    let mut headers = HeaderMap::with_capacity(hop.headers.len());
    for (name, value) in &hop.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), http::HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    }
    if hop.door == Door::Sse {
        return crate::sse::take(edge, &hop.principal, &server, hop.query.as_deref(), hop.body).await;
    }
    let Ok(verb) = hop.verb.parse() else { return answer::empty(StatusCode::METHOD_NOT_ALLOWED) };
    let brought = Brought::ByReplica(hop.ownership);
    let Hop { principal, body, .. } = hop;
    Visit { edge, principal, server, headers: &headers, verb, body, brought }.serve().await
}

/// Finds out who calls.
pub(crate) fn identify(edge: &Edge, parts: &Parts) -> Result<Principal, Box<Response<OutBody>>> {
    if parts.uri.query().is_some_and(has_credential) {
        let text = "credentials belong in the Authorization header, never in the address";
        return Err(Box::new(answer::problem(StatusCode::BAD_REQUEST, text)));
    }
    let credential = single(&parts.headers, header::AUTHORIZATION).ok().flatten();
    let credential = credential.map(|raw| std::str::from_utf8(raw).unwrap_or_default());
    edge.gateway.identify(credential).map_err(|refusal| {
        edge.refuses(refusal.as_str());
        Box::new(unauthorized())
    })
}

/// Identifies the caller and finds the server; one that the caller may not reach looks like one that is not there.
fn enter<'a>(
    edge: &'a Edge,
    name: Option<&str>,
    parts: &'a Parts,
) -> Result<Visit<'a>, Box<Response<OutBody>>> {
    let principal = identify(edge, parts)?;
    let server = match name {
        Some(name) => edge.gateway.server(name),
        None => edge.gateway.root(),
    };
    match server.filter(|server| edge.gateway.reaches(&principal, server)) {
        Some(server) => Ok(Visit {
            edge,
            principal,
            server,
            headers: &parts.headers,
            verb: parts.method.clone(),
            body: Bytes::new(),
            brought: Brought::ByClient,
        }),
        None => Err(Box::new(answer::problem(StatusCode::NOT_FOUND, "no such server"))),
    }
}

/// Whether a query carries a token (RFC 6750 section 2.3 forbids what MCP forbids).
fn has_credential(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair.split('=').next(), Some("access_token" | "token" | "api_key")))
}

fn unauthorized() -> Response<OutBody> {
    let mut response =
        answer::problem(StatusCode::UNAUTHORIZED, "a valid key is needed: `Authorization: Bearer <key>`");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    response
}

impl Visit<'_> {
    async fn serve(&self) -> Response<OutBody> {
        match self.verb {
            Verb::POST => self.post().await,
            Verb::GET => self.get().await,
            Verb::DELETE => self.delete().await,
            _ => {
                let mut response = answer::problem(StatusCode::METHOD_NOT_ALLOWED, "use POST");
                let verbs = http::HeaderValue::from_static("POST, GET, DELETE");
                response.headers_mut().insert(header::ALLOW, verbs);
                response
            }
        }
    }

    /// The body of a POST, if its headers let it be one.
    async fn read(&self, body: Incoming) -> Result<Bytes, Box<Response<OutBody>>> {
        let fail = |status, text: &str| Err(Box::new(answer::problem(status, text)));
        if !is_json(self.headers) {
            return fail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body must be application/json, not encoded",
            );
        }
        if !accepts(self.headers, &[JSON, EVENTS]) {
            return fail(StatusCode::NOT_ACCEPTABLE, "accept application/json and text/event-stream");
        }
        let limit = self.edge.gateway.limits().body;
        read_body(body, limit)
            .await
            .map_err(|fault| Box::new(answer::problem(fault.status(), &fault.text(limit))))
    }

    async fn post(&self) -> Response<OutBody> {
        match frame::decode_body(&self.body, self.edge.gateway.limits().depth) {
            Ok(Body::One(frame)) => self.message(frame).await,
            Ok(Body::Batch(frames)) => self.batch(frames).await,
            Err(error) => answer::bad_frame(&error),
        }
    }

    fn hints(&self) -> Hints<'_> {
        let version = self.headers.get(names::PROTOCOL_VERSION).map(http::HeaderValue::as_bytes);
        Hints { version, session: self.headers.contains_key(names::SESSION_ID) }
    }

    async fn message(&self, frame: Frame) -> Response<OutBody> {
        match frame {
            Frame::Request { id, method, params } => self.request(id, method, params).await,
            Frame::Notification { method, params } => {
                let claims = claims_modern(params.as_ref());
                match classify(Message::Notification { claims }, self.hints()) {
                    Class::ModernNotification => answer::empty(StatusCode::ACCEPTED),
                    Class::Session => self.in_session(Frame::Notification { method, params }).await,
                    _ => nowhere(None),
                }
            }
            Frame::Response { .. } => match classify(Message::Response, self.hints()) {
                Class::Session => self.in_session(frame).await,
                _ => nowhere(None),
            },
        }
    }

    async fn request(&self, id: Id, method: Method, raw: Option<RawJson>) -> Response<OutBody> {
        let (params, meta) = match read_params(raw.as_ref()) {
            Ok(read) => read,
            Err(refusal) => return answer::refused(Era::Modern, &id, refusal),
        };
        let claims = meta.protocol_version().is_some();
        match classify(Message::Request { method: &method, claims }, self.hints()) {
            Class::Modern => self.modern(id, method, raw, params, meta).await,
            Class::Handshake => self.handshake(id, &params).await,
            Class::Session => {
                if self.hands_over() {
                    return answer::empty(hop::NOT_MINE);
                }
                let session = match self.session(Some(&id)).await {
                    Ok(session) => session,
                    Err(response) => return *response,
                };
                let inbound = self.inbound(&id, method, raw, params);
                let reply = self.edge.gateway.legacy(inbound, meta, &session).await;
                answer::reply_in_session(&self.edge.gateway, &session, id, reply, self.edge.sse_after).await
            }
            Class::ModernNotification | Class::Nowhere => nowhere(Some(&id)),
        }
    }

    async fn modern(
        &self,
        id: Id,
        method: Method,
        raw: Option<RawJson>,
        params: Params,
        meta: Meta,
    ) -> Response<OutBody> {
        if !self.server.eras().serves(Era::Modern) {
            return wrong_era(&id);
        }
        let checked = read_envelope(meta).and_then(|envelope| {
            self.check_mirrored(&envelope, &method, &params)?;
            Ok(envelope)
        });
        let envelope = match checked {
            Ok(envelope) => envelope,
            Err(refusal) => return answer::refused(Era::Modern, &id, refusal),
        };
        let inbound = self.inbound(&id, method, raw, params);
        let get = |name: &str| self.headers.get(name).map(http::HeaderValue::as_bytes);
        let headers = Headers { get: &get, params: param_headers(self.headers) };
        let reply = self.edge.gateway.modern(inbound, envelope, Some(headers)).await;
        if let Reply::Elsewhere(owner, gone) = reply {
            return self.owned_elsewhere(&owner, &id, gone).await;
        }
        answer::reply(Era::Modern, id, reply, self.edge.sse_after).await
    }

    /// Version, method and name of the headers against the body (checks 4–15).
    fn check_mirrored(
        &self,
        envelope: &portreeve_gateway::ModernEnvelope,
        method: &Method,
        params: &Params,
    ) -> Result<(), Refusal> {
        let fault = |error: RpcError| Refusal { error, level: portreeve_gateway::Level::Envelope };
        let read = |name: &'static str, shown: &str| {
            single(self.headers, http::HeaderName::from_static(name)).map_err(|()| {
                fault(RpcError::new(Code::HEADER_MISMATCH, format!("header {shown} is there more than once")))
            })
        };
        let mirrored = Mirrored {
            version: read(names::PROTOCOL_VERSION, "MCP-Protocol-Version")?,
            method: read(names::METHOD, "Mcp-Method")?,
            name: read(names::NAME, "Mcp-Name")?,
        };
        let claimed =
            envelope.meta.protocol_version().and_then(RawJson::string_value).unwrap_or(Text::from_static(""));
        mirrored.check_version(&claimed).map_err(|error| fault(error.to_rpc()))?;
        if Version::parse(&claimed).is_none_or(|version| version.era() == Era::Legacy) {
            return Err(fault(unsupported_version(&claimed)));
        }
        mirrored.check(method, params).map_err(|error| fault(error.to_rpc()))
    }

    async fn handshake(&self, id: Id, params: &Params) -> Response<OutBody> {
        if !self.server.eras().serves(Era::Legacy) {
            let asked = params.text("protocolVersion");
            let error = unsupported_version(asked.as_deref().unwrap_or_default());
            return answer::rpc_error(StatusCode::BAD_REQUEST, Some(&id), error);
        }
        match self.edge.gateway.initialize(&self.principal, &self.server, params).await {
            Err(refusal) => answer::refused(Era::Legacy, &id, refusal),
            Ok((session, result)) => {
                let mut response = answer::outcome_response(Era::Legacy, &id, Outcome::Result(result));
                if let Ok(value) = http::HeaderValue::from_str(session.id()) {
                    response.headers_mut().insert(names::SESSION_ID, value);
                }
                response
            }
        }
    }

    /// The session that the request names, or the response that says why there is none (checks 149–152). What belongs to
    /// another replica is answered by that one; `id` is the request that is owed an answer.
    async fn session(&self, id: Option<&Id>) -> Result<Arc<Session>, Box<Response<OutBody>>> {
        let fail = |status, text: &str| {
            Err(Box::new(answer::rpc_error(status, None, RpcError::new(Code::INVALID_REQUEST, text))))
        };
        let named = single(self.headers, http::HeaderName::from_static(names::SESSION_ID));
        let Some(named) = named.ok().flatten().and_then(|raw| std::str::from_utf8(raw).ok()) else {
            return fail(
                StatusCode::BAD_REQUEST,
                "one `Mcp-Session-Id` header is needed; initialize to get one",
            );
        };
        let Some(session) = self.locate(named, id).await? else {
            return fail(StatusCode::NOT_FOUND, "no such session; initialize again");
        };
        let version = self.hints().version;
        let served = |raw: &[u8]| {
            let text = std::str::from_utf8(raw).unwrap_or_default().trim();
            Version::parse(text).is_some_and(|version| version.era() == Era::Legacy)
        };
        if version.is_some_and(|raw| !served(raw)) {
            return fail(
                StatusCode::BAD_REQUEST,
                "`MCP-Protocol-Version` names a revision that this session cannot speak",
            );
        }
        Ok(session)
    }

    /// A notification or an answer within a session.
    async fn in_session(&self, frame: Frame) -> Response<OutBody> {
        if let Frame::Response { id, .. } = &frame
            && let Some(response) = self.answer_elsewhere(id.as_ref()).await
        {
            return response;
        }
        let session = match self.session(None).await {
            Ok(session) => session,
            Err(response) => return *response,
        };
        match frame {
            Frame::Request { id, .. } => nowhere(Some(&id)),
            Frame::Notification { method, params } => {
                self.edge.gateway.notified(&session, method, params).await;
                answer::empty(StatusCode::ACCEPTED)
            }
            Frame::Response { id, outcome } => {
                if self.edge.gateway.answer(&session, id.as_ref(), outcome) {
                    return answer::empty(StatusCode::ACCEPTED);
                }
                let error =
                    RpcError::new(Code::INVALID_REQUEST, "no question with this id is open in this session");
                answer::rpc_error(StatusCode::BAD_REQUEST, None, error)
            }
        }
    }

    async fn session_request(
        &self,
        session: &Arc<Session>,
        id: &Id,
        method: Method,
        raw: Option<RawJson>,
    ) -> Reply {
        match read_params(raw.as_ref()) {
            Ok((params, meta)) => {
                self.edge.gateway.legacy(self.inbound(id, method, raw, params), meta, session).await
            }
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    /// An array of messages: only 2025-03-26 has them (checks 30, 156).
    async fn batch(&self, frames: Vec<Result<Frame, FrameError>>) -> Response<OutBody> {
        let refuse = |text: &str| {
            answer::rpc_error(StatusCode::BAD_REQUEST, None, RpcError::new(Code::INVALID_REQUEST, text))
        };
        if frames.is_empty() {
            return refuse("a batch needs messages");
        }
        let modern = frames.iter().flatten().any(|frame| {
            matches!(frame, Frame::Request { params, .. } | Frame::Notification { params, .. } if claims_modern(params.as_ref()))
        });
        if modern || !self.hints().session {
            return refuse("one message a request: this revision has no batches");
        }
        let session = match self.session(None).await {
            Ok(session) => session,
            Err(response) => return *response,
        };
        if !session.version().supports(portreeve_mcp::Feature::Batches) {
            return refuse("one message a request: this revision has no batches");
        }
        if frames
            .iter()
            .flatten()
            .any(|frame| matches!(frame, Frame::Request { method: Method::Initialize, .. }))
        {
            return refuse("`initialize` cannot be part of a batch");
        }
        let mut out = Vec::new();
        for frame in frames {
            if let Some(response) = self.batch_element(&session, frame).await {
                out.push(if out.is_empty() { b'[' } else { b',' });
                out.extend_from_slice(&response);
            }
        }
        if out.is_empty() {
            return answer::empty(StatusCode::ACCEPTED);
        }
        out.push(b']');
        answer::json(StatusCode::OK, OutBody::whole(out))
    }

    async fn batch_element(
        &self,
        session: &Arc<Session>,
        frame: Result<Frame, FrameError>,
    ) -> Option<Vec<u8>> {
        match frame {
            Err(error) => Some(frame::encode_response(error.id.as_ref(), &Outcome::Error(error.to_rpc()))),
            Ok(Frame::Request { id, method, params }) => {
                let reply = self.session_request(session, &id, method, params).await;
                let outcome = reply.into_outcome().await?;
                Some(frame::encode_response(Some(&id), &outcome))
            }
            Ok(Frame::Notification { method, params }) => {
                self.edge.gateway.notified(session, method, params).await;
                None
            }
            Ok(Frame::Response { id, outcome }) => {
                // A batch has no place for the refusal of a response.
                self.edge.gateway.answer(session, id.as_ref(), outcome);
                None
            }
        }
    }

    /// The stream of a legacy session for what belongs to no call.
    async fn get(&self) -> Response<OutBody> {
        if !self.headers.contains_key(names::SESSION_ID) {
            let mut response = answer::problem(StatusCode::METHOD_NOT_ALLOWED, "use POST");
            response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("POST"));
            return response;
        }
        if !accepts(self.headers, &[EVENTS]) {
            return answer::problem(StatusCode::NOT_ACCEPTABLE, "accept text/event-stream");
        }
        if self.hands_over() {
            return answer::empty(hop::NOT_MINE);
        }
        match self.session(None).await {
            Ok(session) => self.session_stream(&session),
            Err(response) => *response,
        }
    }

    /// The session's own stream, or any of its streams after the event that the client had last (check 155).
    fn session_stream(&self, session: &Arc<Session>) -> Response<OutBody> {
        let gateway = &self.edge.gateway;
        let last = single(self.headers, http::HeaderName::from_static(names::LAST_EVENT_ID));
        let refused = match last.map(|last| last.map(std::str::from_utf8)) {
            Ok(None) => {
                return match gateway.send_session(session) {
                    Some(sending) => answer::kept(sending),
                    None => answer::events(&Id::number(0), gateway.session_stream(session), None),
                };
            }
            Ok(Some(Ok(last))) => match gateway.take_up(session, last) {
                Ok(sending) => return answer::kept(sending),
                Err(refused) => refused,
            },
            Ok(Some(Err(_))) | Err(()) => NotTakenUp::Unknown,
        };
        let (status, text) = match refused {
            NotTakenUp::Unknown => (
                StatusCode::BAD_REQUEST,
                "`Last-Event-ID` names no event of this session that is still known; what followed it is lost",
            ),
            // The word for "no stream is offered here": an empty one would be taken up again and again.
            NotTakenUp::Over => {
                (StatusCode::METHOD_NOT_ALLOWED, "nothing follows this event; its call is over")
            }
        };
        let mut response = answer::rpc_error(status, None, RpcError::new(Code::INVALID_REQUEST, text));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = http::HeaderValue::from_static("GET, POST, DELETE");
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }

    async fn delete(&self) -> Response<OutBody> {
        if !self.headers.contains_key(names::SESSION_ID) {
            let mut response = answer::problem(StatusCode::METHOD_NOT_ALLOWED, "use POST");
            response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static("POST"));
            return response;
        }
        match self.session(None).await {
            Ok(session) => {
                self.edge.gateway.delete_session(&session).await;
                answer::empty(StatusCode::NO_CONTENT)
            }
            Err(response) => *response,
        }
    }

    fn inbound(&self, id: &Id, method: Method, raw: Option<RawJson>, params: Params) -> Inbound {
        Inbound {
            principal: self.principal.clone(),
            server: self.server.clone(),
            id: id.clone(),
            method,
            raw,
            params,
            trace: Trace::of_header(self.headers.get("traceparent").map(http::HeaderValue::as_bytes)),
        }
    }
}

/// All `Mcp-Param-*` headers, as they came.
fn param_headers(headers: &HeaderMap) -> Vec<(Text, Text)> {
    let params = headers.iter().filter(|(name, _)| name.as_str().starts_with(names::PARAM_PREFIX));
    params
        .filter_map(|(name, value)| Some((Text::from(name.as_str()), Text::from(value.to_str().ok()?))))
        .collect()
}

fn wrong_era(id: &Id) -> Response<OutBody> {
    let text = "this address serves sessions only: initialize with 2025-11-25 or older";
    answer::rpc_error(StatusCode::BAD_REQUEST, Some(id), RpcError::new(Code::INVALID_REQUEST, text))
}

/// A message that is neither modern nor part of a session.
fn nowhere(id: Option<&Id>) -> Response<OutBody> {
    let versions: Vec<&str> = Version::ALL.iter().map(|version| version.as_str()).collect();
    let text = format!(
        "neither a modern envelope nor a session: send `_meta` and headers of 2026-07-28, or `initialize` first (served: {})",
        versions.join(", ")
    );
    answer::rpc_error(StatusCode::BAD_REQUEST, id, RpcError::new(Code::INVALID_REQUEST, text))
}

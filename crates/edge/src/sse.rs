//! The HTTP+SSE door of 2024-11-05 at `/sse/<server>` (spec 2024-11-05: basic/transports): a GET opens the one stream, whose
//! first event names where to POST; every answer comes on the stream. Any legacy revision may be agreed on over it.
//! A stream belongs to its principal and to this process; its name is no credential.

use crate::{
    answer,
    body::{Channel, OutBody},
    hop::{self, Lost},
    listener::Edge,
    request::{is_json, read_body},
};
use bytes::Bytes;
use http::{HeaderValue, Method as Verb, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use portreeve_gateway::{
    Pipe, Server,
    hop::{Door, Hop, Ownership},
};
use portreeve_mcp::Era;
use portreeve_model::Principal;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many streams may be open at once; each holds a buffer and a session.
const MAX_STREAMS: usize = 10_000;

/// The open streams of this process.
#[derive(Default)]
pub(crate) struct Streams {
    open: Mutex<HashMap<String, Arc<Pipe>>>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Pipe>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream that a query names. One of somebody else, or of another server, looks like one that is not there.
    fn find(&self, query: Option<&str>, principal: &Principal, server: &Arc<Server>) -> Option<Arc<Pipe>> {
        let pipe = self.lock().get(stream_of(query)).cloned()?;
        (pipe.principal() == principal && pipe.leads_to(server)).then_some(pipe)
    }
}

/// Takes a stream off the list when its client has gone.
pub(crate) struct Listed {
    edge: Arc<Edge>,
    name: String,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(pipe) = self.edge.streams.lock().remove(&self.name) else { return };
        self.edge.gateway.tracker().spawn(async move { pipe.close().await });
    }
}

/// Serves one request to the door of a server that the caller may reach.
pub(crate) async fn serve(
    edge: &Arc<Edge>,
    principal: Principal,
    server: &Arc<Server>,
    parts: Parts,
    body: Incoming,
) -> Response<OutBody> {
    if !server.eras().serves(Era::Legacy) {
        return answer::problem(StatusCode::NOT_FOUND, "this server is served at /mcp only");
    }
    match parts.method {
        Verb::GET => open(edge, principal, server),
        Verb::POST => post(edge, &principal, server, &parts, body).await,
        _ => {
            let mut response =
                answer::problem(StatusCode::METHOD_NOT_ALLOWED, "GET opens the stream, POST sends a message");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            response
        }
    }
}

fn open(edge: &Arc<Edge>, principal: Principal, server: &Arc<Server>) -> Response<OutBody> {
    if edge.streams.lock().len() >= MAX_STREAMS || edge.gateway.closing().is_cancelled() {
        return answer::problem(StatusCode::SERVICE_UNAVAILABLE, "no further stream can be opened now");
    }
    let name = edge.gateway.name_stream(&principal, server);
    let (pipe, messages) = Pipe::new(edge.gateway.clone(), principal, server);
    edge.streams.lock().insert(name.clone(), pipe);
    // Below the same path, so that what stands before the gate finds the way.
    let endpoint = match edge.gateway.server(server.door().as_str()) {
        Some(_) => format!("/sse/{}?stream={name}", server.name()),
        None => format!("/sse?stream={name}"),
    };
    let listed = Listed { edge: edge.clone(), name };
    answer::stream(OutBody::Channel(Box::new(Channel::new(
        &endpoint,
        messages,
        edge.gateway.closing().clone(),
        listed,
    ))))
}

async fn post(
    edge: &Arc<Edge>,
    principal: &Principal,
    server: &Arc<Server>,
    parts: &Parts,
    body: Incoming,
) -> Response<OutBody> {
    let query = parts.uri.query();
    let owner = edge.gateway.streams_elsewhere(principal, server, stream_of(query));
    if owner.is_none() && edge.streams.find(query, principal, server).is_none() {
        return no_such_stream();
    }
    if !is_json(&parts.headers) {
        return answer::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json, not encoded",
        );
    }
    let limit = edge.gateway.limits().body;
    let body = match read_body(body, limit).await {
        Ok(bytes) => bytes,
        Err(fault) => return answer::problem(fault.status(), &fault.text(limit)),
    };
    let Some(owner) = owner else { return take(edge, principal, server, query, body).await };
    let hop = Hop {
        principal: principal.clone(),
        server: server.name().clone(),
        door: Door::Sse,
        verb: Verb::POST.as_str().to_owned(),
        query: query.map(str::to_owned),
        headers: Vec::new(),
        ownership: Ownership::Own,
        body,
    };
    match hop::pass_on(edge, &owner, &hop, None).await {
        Ok(response) => response,
        Err(Lost::Gone) => no_such_stream(),
        Err(Lost::Unknown) => hop::lost_answer(None),
    }
}

/// Takes a message for a stream that ends here.
pub(crate) async fn take(
    edge: &Edge,
    principal: &Principal,
    server: &Arc<Server>,
    query: Option<&str>,
    body: Bytes,
) -> Response<OutBody> {
    match edge.streams.find(query, principal, server) {
        Some(pipe) => {
            pipe.message(body).await;
            answer::empty(StatusCode::ACCEPTED)
        }
        None => no_such_stream(),
    }
}

fn stream_of(query: Option<&str>) -> &str {
    query.and_then(|query| query.strip_prefix("stream=")).unwrap_or_default()
}

fn no_such_stream() -> Response<OutBody> {
    answer::problem(StatusCode::NOT_FOUND, "no such stream; open one with GET")
}

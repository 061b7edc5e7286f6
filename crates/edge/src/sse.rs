//! The HTTP+SSE door of 2024-11-05 at `/sse/<server>` (spec 2024-11-05: basic/transports): a GET opens the one stream, whose
//! first event names where to POST; every answer comes on the stream. Any legacy revision may be agreed on over it.
//! A stream belongs to its principal and to this process; its name is no credential.

use crate::{
    answer,
    body::{Channel, OutBody},
    listener::Edge,
    request::{is_json, read_body},
};
use http::{HeaderValue, Method as Verb, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use portreeve_gateway::{Pipe, Server};
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
    request: Request<Incoming>,
) -> Response<OutBody> {
    if !server.eras().serves(Era::Legacy) {
        return answer::problem(StatusCode::NOT_FOUND, "this server is served at /mcp only");
    }
    match *request.method() {
        Verb::GET => open(edge, principal, server),
        Verb::POST => post(edge, &principal, server, request).await,
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
    let (pipe, messages) = Pipe::new(edge.gateway.clone(), principal, server.clone());
    edge.streams.lock().insert(name.clone(), pipe);
    let endpoint = format!("/sse/{}?stream={name}", server.name());
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
    request: Request<Incoming>,
) -> Response<OutBody> {
    let (parts, body) = request.into_parts();
    let name = parts.uri.query().and_then(|query| query.strip_prefix("stream=")).unwrap_or_default();
    let known = edge.streams.lock().get(name).cloned();
    // A stream of somebody else, or of another server, looks like one that is not there.
    let Some(pipe) = known.filter(|pipe| pipe.principal() == principal && Arc::ptr_eq(pipe.server(), server))
    else {
        return answer::problem(StatusCode::NOT_FOUND, "no such stream; open one with GET");
    };
    if !is_json(&parts.headers) {
        return answer::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be application/json, not encoded",
        );
    }
    let limit = edge.gateway.limits().body;
    match read_body(body, limit).await {
        Ok(bytes) => {
            pipe.message(bytes).await;
            answer::empty(StatusCode::ACCEPTED)
        }
        Err(fault) => answer::problem(fault.status(), &fault.text(limit)),
    }
}

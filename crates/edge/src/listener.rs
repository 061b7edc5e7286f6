//! Listeners and connections: HTTP/1.1 on hyper directly, one task a connection and none a request, limits on heads and
//! idle time, and an end that lets what is in flight finish.

use crate::{
    answer,
    body::OutBody,
    cors, hop, mcp,
    metrics::Metrics,
    origin::{Allowed, Foreign},
    refused::Refused,
    request::doubtful_framing,
    rest,
    route::{Route, route},
    sse::Streams,
    tls::{Certificate, Shown},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use portreeve_gateway::Gateway;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How many headers one request may have; the bytes are limited too.
const MAX_HEADERS: usize = 128;
/// hyper needs at least this much buffer.
const MIN_BUFFER: usize = 8 << 10;
/// How long connections that were made before the end are still taken.
const LAST_ACCEPTS: Duration = Duration::from_millis(100);
/// How long a connection without a request may take to send its first after the end has begun.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How long the accept loop rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a door is made of.
pub struct EdgeSetup {
    /// The gateway behind it.
    pub gateway: Arc<Gateway>,
    /// Whom it listens to.
    pub allowed: Allowed,
    /// After how much silence an answer becomes an event stream (decision D7).
    pub sse_after: Duration,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// What the door shows, where it speaks TLS.
    pub certificate: Option<Certificate>,
}

/// The HTTP side of a gate.
pub struct Edge {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) sse_after: Duration,
    allowed: Allowed,
    metrics: Arc<Metrics>,
    refused: Refused,
    shown: Option<Shown>,
    pub(crate) streams: Streams,
    sends_away: AtomicBool,
    /// Counts what is under way for other replicas.
    pub(crate) passing: TaskTracker,
}

/// A listener that is bound and not yet served.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds an address.
    pub async fn new(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address with the port that was really given.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Edge {
    /// Makes the HTTP side.
    pub fn new(setup: EdgeSetup) -> Arc<Self> {
        let EdgeSetup { gateway, allowed, sse_after, metrics, certificate } = setup;
        Arc::new(Self {
            gateway,
            sse_after,
            allowed,
            metrics,
            refused: Refused::default(),
            shown: certificate.map(Shown::new),
            streams: Streams::default(),
            sends_away: AtomicBool::new(false),
            passing: TaskTracker::new(),
        })
    }

    /// Takes connections until `stop`, then lets what is in flight finish: the future ends with the last connection.
    pub async fn serve(self: Arc<Self>, bound: Bound, stop: CancellationToken) {
        let connections = TaskTracker::new();
        accept(bound.listener, &stop, |stream| {
            let (edge, closing) = (self.clone(), stop.clone());
            if self.shown.is_some() {
                // The handshake needs room only while it lasts.
                connections.spawn(async move { Box::pin(edge.secured(stream, closing)).await });
            } else {
                connections.spawn(edge.door(stream, closing));
            }
        })
        .await;
        connections.close();
        connections.wait().await;
    }

    /// One connection, behind its handshake.
    async fn secured(self: Arc<Self>, stream: TcpStream, closing: CancellationToken) {
        let Some(shown) = &self.shown else { return };
        let handshake = tokio::select! {
            handshake = shown.accept(stream) => handshake,
            () = closing.cancelled() => return,
        };
        match handshake {
            Ok(stream) => self.door(stream, closing).await,
            // Whoever knocks on a port with something else is no news.
            Err(error) => tracing::debug!("a TLS handshake failed: {error}"),
        }
    }

    /// One connection of the door.
    fn door<S: Stream>(
        self: Arc<Self>,
        stream: S,
        closing: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let buffer = self.gateway.limits().headers.max(MIN_BUFFER);
        connection(stream, buffer, closing, move |request| {
            let edge = self.clone();
            // Boxed, since a connection has room for its request's future as long as it lives, and most of them idle.
            Box::pin(async move { Ok::<_, Infallible>(edge.respond(request).await) })
        })
    }

    /// Shows another certificate from the next connection on. Without TLS there is nothing to show.
    pub fn exchange(&self, certificate: Certificate) {
        if let Some(shown) = &self.shown {
            shown.exchange(certificate);
        }
    }

    /// Serves `/metrics` alone.
    pub async fn serve_metrics(self: Arc<Self>, bound: Bound, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let closing = stop.clone();
        accept(bound.listener, &stop, |stream| {
            let (edge, closing) = (self.clone(), closing.clone());
            connections.spawn(connection(stream, MIN_BUFFER, closing, move |request: Request<Incoming>| {
                let response = edge.metrics_page(request.uri().path());
                async move { Ok::<_, Infallible>(response) }
            }));
        })
        .await;
        connections.close();
        connections.wait().await;
    }

    /// Waits until nothing is under way for other replicas; their listener has to serve meanwhile, since answers that such
    /// calls wait for come through it.
    pub async fn passed(&self) {
        self.passing.close();
        self.passing.wait().await;
    }

    /// Serves the other replicas until `stop`, then lets what is in flight finish.
    pub async fn serve_replicas(self: Arc<Self>, bound: Bound, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let closing = stop.clone();
        accept(bound.listener, &stop, |stream| {
            let (edge, closing) = (self.clone(), closing.clone());
            connections.spawn(connection(stream, MIN_BUFFER, closing, move |request| {
                let edge = edge.clone();
                async move { Ok::<_, Infallible>(hop::serve(&edge, request).await) }
            }));
        })
        .await;
        connections.close();
        connections.wait().await;
    }

    /// A caller is refused for this reason.
    pub(crate) fn refuses(&self, reason: &'static str) {
        self.metrics.refused(reason);
        self.refused.tell(reason);
    }

    fn metrics_page(&self, path: &str) -> Response<OutBody> {
        if path != "/metrics" {
            return answer::problem(StatusCode::NOT_FOUND, "only /metrics is here");
        }
        let mut response = Response::new(OutBody::whole(self.metrics.text(&self.gateway)));
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    /// From now on every answer closes its connection, so that clients go elsewhere before the door shuts.
    pub fn send_away(&self) {
        self.sends_away.store(true, Ordering::Relaxed);
    }

    async fn respond(self: &Arc<Self>, request: Request<Incoming>) -> Response<OutBody> {
        let mut response = self.answer(request).await;
        if self.sends_away.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<OutBody> {
        if let Some((status, text)) = doubtful_framing(request.headers()) {
            let mut response = answer::problem(status, text);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        // Health pages are for probes, which know no name of ours (decision D51).
        match route(request.uri().path()) {
            Route::Live => return health("ok"),
            Route::Ready if self.gateway.closing().is_cancelled() => {
                return answer::problem(StatusCode::SERVICE_UNAVAILABLE, "closing");
            }
            Route::Ready => return health("ready"),
            Route::Server(_)
            | Route::Root
            | Route::Sse(_)
            | Route::SseRoot
            | Route::Rest(_)
            | Route::Unknown => {}
        }
        if let Err(foreign) = self.allowed.check(request.headers(), request.uri()) {
            let status = match foreign {
                Foreign::Hosts => StatusCode::BAD_REQUEST,
                Foreign::Host => StatusCode::MISDIRECTED_REQUEST,
                Foreign::Origin => StatusCode::FORBIDDEN,
            };
            return answer::problem(status, &foreign.to_string());
        }
        if request.headers().get(header::ORIGIN).is_none() {
            return self.pass(request).await;
        }
        let headers = request.headers().clone();
        let mut response = self.pass(request).await;
        cors::allow(&self.allowed, &headers, &mut response);
        response
    }

    async fn pass(self: &Arc<Self>, request: Request<Incoming>) -> Response<OutBody> {
        if request.method() == Method::OPTIONS && request.headers().contains_key(header::ORIGIN) {
            return cors::preflight(request.headers());
        }
        let path = request.uri().path().to_owned();
        match route(&path) {
            Route::Server(name) => mcp::serve(self, Some(name), request).await,
            Route::Root => mcp::serve(self, None, request).await,
            Route::Sse(name) => mcp::serve_sse(self, Some(name), request).await,
            Route::SseRoot => mcp::serve_sse(self, None, request).await,
            Route::Rest(named) => rest::serve(self, named, request).await,
            Route::Unknown | Route::Live | Route::Ready => {
                answer::problem(StatusCode::NOT_FOUND, "nothing is here; servers are at /mcp/<server>")
            }
        }
    }
}

fn health(text: &str) -> Response<OutBody> {
    let mut body = Vec::from(*b"{\"status\":");
    portreeve_mcp::json::write_string(&mut body, text);
    body.push(b'}');
    answer::json(StatusCode::OK, OutBody::whole(body))
}

async fn accept(listener: TcpListener, stop: &CancellationToken, mut start: impl FnMut(TcpStream)) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => take(stream, &mut start),
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who has connected already waits in the system's queue and would be cut with the listener.
    let waiting = async {
        while let Ok((stream, _)) = listener.accept().await {
            take(stream, &mut start);
        }
    };
    let _ = tokio::time::timeout(LAST_ACCEPTS, waiting).await;
}

fn take(stream: TcpStream, start: &mut impl FnMut(TcpStream)) {
    // Small answers must not wait for more (a failure only costs latency).
    let _ = stream.set_nodelay(true);
    start(stream);
}

/// What a connection is read from and written to.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

async fn connection<S, F, R>(stream: S, buffer: usize, closing: CancellationToken, service: F)
where
    S: Stream,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Result<Response<OutBody>, Infallible>>,
{
    let begun = CancellationToken::new();
    let first = begun.clone();
    let service = move |request| {
        first.cancel();
        service(request)
    };
    // A connection that has just been made carries a request, which is still to be read.
    let told = async {
        closing.cancelled().await;
        let _ = tokio::time::timeout(FIRST_REQUEST, begun.cancelled()).await;
    };
    tokio::pin!(told);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(buffer)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service_fn(service));
    tokio::pin!(serving);
    let mut knows = false;
    loop {
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = told.as_mut(), if !knows => {
                knows = true;
                serving.as_mut().graceful_shutdown();
                continue;
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a connection broke: {error}");
        }
        return;
    }
}

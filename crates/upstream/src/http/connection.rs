//! Keep-alive connections to one server, straight on `hyper`'s HTTP/1 connections: last in, first out, a bound on how
//! many wait and how long. One owned task drives each connection; a request needs none.
//! Redirects are answers like any other here: nothing follows them (spec digest 5.6).

use super::{
    proxy::Proxy,
    target::Target,
    tls::{self, Authorities},
};
use crate::{ConfigError, Runtime, circuit::Circuit};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::Full;
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::TlsConnector;

/// How many connections wait for reuse; more are closed after their request.
const MAX_IDLE: usize = 64;
/// Node and uvicorn close after 5 s of silence. A request that crosses with the close is lost and may not be repeated,
/// so connections leave a little earlier, unless the server names its own time.
const DEFAULT_IDLE: Duration = Duration::from_secs(4);
/// The longest that a server's own `Keep-Alive: timeout=` is believed.
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// How many answered streams may wait for their end, and how long.
const MAX_DRAINING: usize = 16;
const DRAIN_TIME: Duration = Duration::from_secs(2);

type Sender = SendRequest<Full<Bytes>>;

/// A request got no response.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection: nothing was sent.
    Connect(String),
    /// The connection broke after the request may have reached the server.
    Broken(String),
}

struct Idle {
    sender: Sender,
    until: Instant,
}

/// How the way to a server is made.
pub(crate) struct Route {
    /// How long the whole of it may take.
    pub(crate) connect: Duration,
    pub(crate) authorities: Option<Authorities>,
    pub(crate) proxy: Option<Proxy>,
}

/// The connections to one server.
pub(crate) struct Pool {
    pub(crate) target: Target,
    tls: Option<TlsConnector>,
    proxy: Option<Proxy>,
    connect: Duration,
    runtime: Runtime,
    circuit: Option<Arc<Circuit>>,
    idle: Mutex<Vec<Idle>>,
    draining: Mutex<Vec<(Body, Instant)>>,
}

/// A response whose body is still to come.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// A response's body. Read to its end, it gives the connection back; dropped before, it closes the connection,
/// which is how a modern server learns that its answer is not wanted (check 64).
pub(crate) struct Body {
    incoming: Incoming,
    connection: Option<(Sender, Arc<Pool>)>,
    idle: Duration,
}

impl Pool {
    pub(crate) fn new(target: Target, route: Route, runtime: Runtime) -> Result<Self, ConfigError> {
        let tls = target.https.then(|| tls::connector(route.authorities.as_ref())).transpose()?;
        let (idle, draining) = (Mutex::default(), Mutex::default());
        let Route { connect, proxy, .. } = route;
        Ok(Self { target, tls, proxy, connect, runtime, circuit: None, idle, draining })
    }

    /// Has a circuit learn whether the server can be reached.
    pub(crate) fn watched_by(mut self, circuit: Arc<Circuit>) -> Self {
        self.circuit = Some(circuit);
        self
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections wait for reuse.
    pub(crate) fn idle_count(&self) -> usize {
        self.lock().len()
    }

    /// Sends one request. If a reused connection turns out to be closed before any byte of it went out, a fresh one is
    /// tried, once; in every other case the request may have reached the server and is not repeated.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response, SendError> {
        if let (Some(proxy), None) = (&self.proxy, &self.tls) {
            proxy.whole(&self.target, &mut request);
        }
        if let Some(mut sender) = self.take_idle().await {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.respond(response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Broken(describe(&error.into_error()))),
                },
            }
        }
        // Rare, and large with its TLS handshake: it is kept out of the futures of calls.
        let mut sender = Box::pin(self.open()).await?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok(self.respond(response, sender)),
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                let text = describe(&error.into_error());
                Err(if unsent { SendError::Connect(text) } else { SendError::Broken(text) })
            }
        }
    }

    /// Takes over a body whose last message has been read but whose end has not come yet, so that its connection can
    /// be used again. It is looked at whenever a connection is wanted; no task waits for it.
    fn drain(&self, mut body: Body) {
        if body.exhausted() {
            return;
        }
        let mut draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        if draining.len() < MAX_DRAINING {
            draining.push((body, Instant::now() + DRAIN_TIME));
        }
    }

    fn sweep_draining(&self) {
        let now = Instant::now();
        let mut draining = self.draining.lock().unwrap_or_else(PoisonError::into_inner);
        if !draining.is_empty() {
            draining.retain_mut(|(body, until)| *until > now && !body.exhausted());
        }
    }

    async fn take_idle(&self) -> Option<Sender> {
        self.sweep_draining();
        loop {
            let Idle { mut sender, until } = self.lock().pop()?;
            // The last response may just have been read and the connection's task not have noticed yet.
            if until > Instant::now() && (sender.is_ready() || sender.ready().await.is_ok()) {
                return Some(sender);
            }
        }
    }

    fn give_back(&self, sender: Sender, idle: Duration) {
        let now = Instant::now();
        let mut waiting = self.lock();
        let stale = waiting.iter().take_while(|waiting| waiting.until <= now).count();
        waiting.drain(..stale);
        if waiting.len() < MAX_IDLE && !sender.is_closed() {
            waiting.push(Idle { sender, until: now + idle });
        }
    }

    fn respond(self: &Arc<Self>, response: http::Response<Incoming>, sender: Sender) -> Response {
        let (parts, incoming) = response.into_parts();
        // What a proxy says in place of a server is no sign of that server's life.
        if let Some(circuit) = self.circuit.as_ref().filter(|_| !matches!(parts.status.as_u16(), 502..=504)) {
            circuit.reached();
        }
        let idle = keep_alive(&parts.headers);
        let mut body = Body { incoming, connection: Some((sender, Arc::clone(self))), idle };
        body.release_at_end();
        Response { status: parts.status, headers: parts.headers, body }
    }

    async fn open(&self) -> Result<Sender, SendError> {
        let work = async {
            match (&self.tls, &self.proxy) {
                (None, None) => self.start(self.direct().await?).await,
                (None, Some(proxy)) => self.start(proxy.connect().await?).await,
                (Some(tls), None) => self.secure(tls, self.direct().await?).await,
                (Some(tls), Some(proxy)) => self.secure(tls, proxy.tunnel(&self.target).await?).await,
            }
        };
        let outcome = tokio::time::timeout(self.connect, work).await;
        outcome.unwrap_or_else(|_| Err(format!("no connection within {:?}", self.connect))).map_err(|error| {
            let why = format!("{}: {error}", self.target.label());
            if let Some(circuit) = &self.circuit {
                circuit.failed(&why);
            }
            SendError::Connect(why)
        })
    }

    async fn direct(&self) -> Result<TcpStream, String> {
        let address = (self.target.host.as_str(), self.target.port);
        let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    async fn secure<S>(&self, tls: &TlsConnector, stream: S) -> Result<Sender, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let name = tls::server_name(&self.target.host)?;
        let stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
        self.start(stream).await
    }

    async fn start<S>(&self, stream: S) -> Result<Sender, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let shutdown = self.runtime.shutdown.clone();
        self.runtime.tracker.spawn(async move {
            tokio::select! {
                // How it ended is told to the request that was on it.
                _ = connection => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok(sender)
    }
}

fn describe(error: &hyper::Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

fn keep_alive(headers: &HeaderMap) -> Duration {
    let named = headers.get("keep-alive").and_then(|value| value.to_str().ok()).and_then(|value| {
        value.split(',').find_map(|part| part.trim().strip_prefix("timeout=")?.trim().parse::<u64>().ok())
    });
    named.map_or(DEFAULT_IDLE, |seconds| Duration::from_secs(seconds.saturating_sub(1)).min(LONGEST_IDLE))
}

impl Body {
    /// The next piece; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, String>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        loop {
            let polled = Pin::new(&mut self.incoming).poll_frame(cx);
            let Poll::Ready(frame) = polled else { return Poll::Pending };
            return Poll::Ready(match frame {
                None => {
                    self.release();
                    None
                }
                Some(Err(error)) => Some(Err(describe(&error))),
                Some(Ok(frame)) => {
                    self.release_at_end();
                    let Some(data) = data_of(frame) else { continue };
                    Some(Ok(data))
                }
            });
        }
    }

    /// Reads what is already there; true once nothing more can come. Something else than the end ends it, too.
    fn exhausted(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.poll_chunk(&mut cx) {
            Poll::Pending => self.connection.is_none(),
            Poll::Ready(_) => true,
        }
    }

    /// The last message has been read: what is left is at most the end.
    pub(crate) fn finish(self) {
        if let Some((_, pool)) = &self.connection {
            let pool = Arc::clone(pool);
            pool.drain(self);
        }
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some((sender, pool)) = self.connection.take() {
            pool.give_back(sender, self.idle);
        }
    }
}

/// Trailers carry nothing of ours.
fn data_of(frame: Frame<Bytes>) -> Option<Bytes> {
    frame.into_data().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_own_keep_alive_time_is_undercut_and_bounded() {
        for (value, seconds) in [
            (None, 4),
            (Some("timeout=5"), 4),
            (Some("max=100, timeout=30"), 29),
            (Some("timeout=0"), 0),
            (Some("timeout=86400"), 90),
            (Some("timeout=x"), 4),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("keep-alive", http::HeaderValue::from_static(value));
            }
            assert_eq!(keep_alive(&headers), Duration::from_secs(seconds), "{value:?}");
        }
    }
}

//! Connectors to MCP servers: stdio children, Streamable HTTP of both eras, and HTTP+SSE. Each is a
//! [`Service`]: it finds out what its server speaks, keeps connections, sessions and children, and turns one request
//! into one leg. It decides nothing about who may call what, and knows nothing of the client's transport.
//!
//! Reading order: [`config`], `wire` and `conversation` (what all transports share), `slots` (who uses which session),
//! `link` (a line that many calls share), `http`, `stdio`, `peer` (the other replicas, which are no MCP
//! servers but reached the same way), `plain` (nor is this).

mod anchored;
mod circuit;
mod config;
mod conversation;
mod http;
mod link;
mod peer;
mod plain;
mod slots;
mod stdio;
mod switchboard;
#[cfg(test)]
mod testing;
mod timer;
mod watching;
mod wire;

pub use crate::http::{proxy::Proxy, tls::Authorities};
pub use config::{ConfigError, EraChoice, HttpConfig, Replay, Runtime, StdioConfig, Transport};
pub use peer::{PEER_PATH, PEER_VERSION, PeerAnswer, PeerError, Peers};
pub use plain::Plain;

use futures_core::{future::BoxFuture, stream::BoxStream};
use portreeve_mcp::{
    Ctx, Era, Event, Leg, Request, Service, Text,
    service::{
        Description, Failure, FailureKind, Notification, Standing, TakeUp, Watch, WatchFilter, generate,
    },
};
use std::{sync::Arc, time::Duration};

/// What carries the messages of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A child program.
    Stdio,
    /// Streamable HTTP, or HTTP+SSE.
    Http,
}

/// Whether a server is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing speaks against it.
    Good,
    /// It could not be reached or kept running, and is left alone for this long.
    Resting(Duration),
}

/// A connector at a glance, for logs and status pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The era that the server was found to speak; `None` while nobody has asked.
    pub era: Option<Era>,
    /// Legacy sessions, or children.
    pub sessions: usize,
    /// Connections that wait for their next request.
    pub idle_connections: usize,
    /// Whether it is called.
    pub health: Health,
}

/// A connector to one server.
#[derive(Clone)]
pub struct Upstream(Inner);

#[derive(Clone)]
enum Inner {
    Http(Arc<http::Http>),
    Stdio(Arc<stdio::Stdio>),
}

impl Upstream {
    /// A server behind a URL. Nothing is opened before the first use (decision D20).
    pub fn http(config: HttpConfig, runtime: Runtime) -> Result<Self, ConfigError> {
        http::Http::new(config, runtime).map(|http| Self(Inner::Http(http)))
    }

    /// A server that runs as a child. Nothing is started before the first use.
    pub fn stdio(config: StdioConfig, runtime: Runtime) -> Self {
        Self(Inner::Stdio(stdio::Stdio::new(config, runtime)))
    }

    /// What carries the messages.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Inner::Http(_) => Kind::Http,
            Inner::Stdio(_) => Kind::Stdio,
        }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        match &self.0 {
            Inner::Http(http) => http.status(),
            Inner::Stdio(stdio) => stdio.status(),
        }
    }
}

impl Service for Upstream {
    fn describe(&self, ctx: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>> {
        match &self.0 {
            Inner::Http(http) => Box::pin(async move { http.describe(&ctx).await }),
            Inner::Stdio(stdio) => Box::pin(async move { stdio.describe(&ctx).await }),
        }
    }

    fn open(&self, ctx: Ctx, request: Request) -> Leg {
        match &self.0 {
            Inner::Http(http) => http.open(ctx, request),
            Inner::Stdio(stdio) => stdio.open(ctx, request),
        }
    }

    fn resume(&self, ctx: Ctx, call: TakeUp) -> Leg {
        match &self.0 {
            Inner::Http(http) => http.take_up(ctx, call),
            _ => {
                generate(|_| async { Event::failed(FailureKind::Protocol, "this transport keeps no calls") })
            }
        }
    }

    fn notify(&self, ctx: Ctx, notification: Notification) -> BoxFuture<'_, ()> {
        match &self.0 {
            Inner::Http(http) => Box::pin(async move { http.notify(&ctx, &notification).await }),
            Inner::Stdio(stdio) => Box::pin(async move { stdio.notify(&ctx, &notification) }),
        }
    }

    fn watch(&self, ctx: Ctx, filter: WatchFilter) -> Watch {
        match &self.0 {
            Inner::Http(http) => http.watch(ctx, filter),
            Inner::Stdio(stdio) => stdio.watch(ctx, filter),
        }
    }

    fn transport(&self) -> Option<&'static str> {
        match &self.0 {
            Inner::Http(http) => http.transport(),
            Inner::Stdio(_) => Some("stdio"),
        }
    }

    fn standing(&self) -> Standing {
        let children = match &self.0 {
            Inner::Http(_) => 0,
            Inner::Stdio(stdio) => stdio.running(),
        };
        Standing { left_alone: self.status().health != Health::Good, children }
    }

    fn completed(&self) -> BoxStream<'static, Text> {
        match &self.0 {
            Inner::Http(http) => http.completed(),
            Inner::Stdio(stdio) => stdio.completed(),
        }
    }
}

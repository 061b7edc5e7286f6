//! Connections to the other replicas of this gate. It carries sealed bytes there and brings sealed bytes back; what they say
//! is the gateway's business, and where a replica is comes only from sealed values or the directory of replicas.

use crate::{
    Runtime,
    http::{Body, Pool, Route, SendError, Target},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

/// Where the replicas' own listener takes requests.
pub const PEER_PATH: &str = "/hop";
/// The header that names the format of a request to another replica.
pub const PEER_VERSION: &str = "portreeve-hop";

/// How long a connection to another replica may take: it stands in the same network, and a call waits for it.
const CONNECT: Duration = Duration::from_secs(1);
/// Addresses change when replicas are replaced; old ones are forgotten beyond this many.
const MAX_PEERS: usize = 256;

/// A request did not reach another replica, or its answer did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Nothing was sent.
    #[error("the replica cannot be reached: {0}")]
    Unreachable(String),
    /// It broke after the request may have been read.
    #[error("the connection to the replica broke: {0}")]
    Broken(String),
}

/// The connections to other replicas.
pub struct Peers {
    runtime: Runtime,
    pools: Mutex<HashMap<Box<str>, Arc<Pool>>>,
}

/// What another replica answers. Dropping it before its end closes the connection, which tells the replica that nobody
/// wants the rest.
pub struct PeerAnswer {
    /// The status.
    pub status: StatusCode,
    body: Body,
}

impl Peers {
    /// No connections yet.
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime, pools: Mutex::default() }
    }

    /// Posts sealed bytes to the replica at this address (scheme, host and port).
    ///
    /// # Errors
    /// [`PeerError::Unreachable`] only if nothing can have arrived.
    pub async fn post(&self, address: &str, version: u8, body: Vec<u8>) -> Result<PeerAnswer, PeerError> {
        let pool = self.pool(address)?;
        let mut headers = pool.target.post_headers();
        headers.insert(HeaderName::from_static(PEER_VERSION), HeaderValue::from(u16::from(version)));
        let octets = HeaderValue::from_static("application/octet-stream");
        headers.insert(http::header::CONTENT_TYPE, octets);
        let response = pool.send(pool.target.post(headers, body)).await.map_err(|error| match error {
            SendError::Connect(text) => PeerError::Unreachable(text),
            SendError::Broken(text) => PeerError::Broken(text),
        })?;
        Ok(PeerAnswer { status: response.status, body: response.body })
    }

    fn pool(&self, address: &str) -> Result<Arc<Pool>, PeerError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(address) {
            return Ok(pool.clone());
        }
        let unusable = |error: crate::ConfigError| PeerError::Unreachable(error.to_string());
        let target = Target::new(&format!("{address}{PEER_PATH}"), &[]).map_err(unusable)?;
        // Replicas are neighbours.
        let route = Route { connect: CONNECT, authorities: None, proxy: None };
        let pool = Arc::new(Pool::new(target, route, self.runtime.clone()).map_err(unusable)?);
        if pools.len() >= MAX_PEERS {
            pools.clear();
        }
        pools.insert(address.into(), pool.clone());
        Ok(pool)
    }
}

impl PeerAnswer {
    /// The next bytes; `None` at the end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        self.body.poll_chunk(cx)
    }
}

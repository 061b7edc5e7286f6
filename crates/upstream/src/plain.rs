//! Requests that are no MCP, over the same connections, certificates and proxies: one POST, one short answer.

use crate::{
    Authorities, ConfigError, Proxy, Runtime,
    http::{Pool, Route, SendError, Target},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use portreeve_model::Secret;
use std::{sync::Arc, time::Duration};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: usize = 1 << 20;

/// An address that takes POSTs.
pub struct Plain {
    pool: Arc<Pool>,
}

impl Plain {
    /// The address behind a URL, with these headers on every request.
    ///
    /// # Errors
    /// The URL or a header cannot be used.
    pub fn new(
        url: &str,
        headers: &[(String, Secret<String>)],
        (authorities, proxy): (Option<Authorities>, Option<Proxy>),
        runtime: Runtime,
    ) -> Result<Self, ConfigError> {
        let target = Target::new(url, headers)?;
        let route = Route { connect: CONNECT, authorities, proxy };
        Ok(Self { pool: Arc::new(Pool::new(target, route, runtime)?) })
    }

    /// Sends one body, with these headers beside the usual ones.
    ///
    /// # Errors
    /// No answer, or one that is too long.
    pub async fn post(&self, headers: &HeaderMap, body: Bytes) -> Result<(StatusCode, Bytes), String> {
        let mut all = self.pool.target.post_headers();
        all.extend(headers.clone());
        let response = self.pool.send(self.pool.target.post(all, body.into())).await;
        let mut response = response.map_err(|error| match error {
            SendError::Connect(text) | SendError::Broken(text) => text,
        })?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.body.chunk().await {
            answer.extend_from_slice(&chunk?);
            if answer.len() > LONGEST {
                return Err(format!("the answer is longer than {LONGEST} bytes"));
            }
        }
        Ok((response.status, answer.into()))
    }
}

//! The coordinator on Redis or Valkey. Only commands that both have since Redis 6.2. Each has a deadline: whoever waits for
//! the coordinator holds up a call.

use crate::coordinator::{Away, Mark};
use redis::{AsyncCommands, Client, RedisError, aio::ConnectionManager, aio::ConnectionManagerConfig};
use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::OnceCell;

/// Everything of ours in the server begins like this.
const PREFIX: &str = "portreeve:";
/// The sorted set of replicas; the score is when an entry ends, in milliseconds since 1970. The clocks of replicas have to
/// agree within seconds, as the expiry of everything sealed wants it too.
const REPLICAS: &str = "portreeve:replicas";
/// How long one command may take; a call waits for it only where a replica was lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// A connection to the server, made at the first use.
pub struct Redis {
    client: Client,
    connection: OnceCell<ConnectionManager>,
    /// Whether it was away the last time: said once in the log, not at every command.
    away: AtomicBool,
}

impl Redis {
    pub(crate) fn new(url: &str) -> Result<Self, RedisError> {
        Ok(Self { client: Client::open(url)?, connection: OnceCell::new(), away: AtomicBool::new(false) })
    }

    async fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let connect = || async {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(PATIENCE))
                .set_response_timeout(Some(PATIENCE))
                .set_number_of_retries(1);
            self.client.get_connection_manager_with_config(config).await
        };
        self.connection.get_or_try_init(connect).await.cloned()
    }

    async fn run<T, F>(&self, command: impl FnOnce(ConnectionManager) -> F) -> Result<T, Away>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let work = async { command(self.connection().await?).await };
        let fault = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(value)) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("the coordinator is back");
                }
                return Ok(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the coordinator is away, sessions of lost replicas cannot be taken over: {fault}"
            );
        }
        Err(Away)
    }

    pub(crate) async fn announce(&self, replica: &str, ttl: Duration) -> Result<(), Away> {
        let until = now() + millis(ttl);
        self.run(|mut redis| async move {
            let _: () = redis.zadd(REPLICAS, replica, until).await?;
            redis.zrembyscore(REPLICAS, "-inf", now()).await
        })
        .await
    }

    pub(crate) async fn withdraw(&self, replica: &str) -> Result<(), Away> {
        self.run(|mut redis| async move { redis.zrem(REPLICAS, replica).await }).await
    }

    pub(crate) async fn replicas(&self) -> Result<Vec<String>, Away> {
        self.run(|mut redis| async move { redis.zrangebyscore(REPLICAS, now(), "+inf").await }).await
    }

    pub(crate) async fn set(&self, mark: Mark, name: &str, ttl: Duration) -> Result<(), Away> {
        let key = key(mark, name);
        self.run(|mut redis| async move { redis.pset_ex(key, 1, millis(ttl)).await }).await
    }

    pub(crate) async fn has(&self, mark: Mark, name: &str) -> Result<bool, Away> {
        let key = key(mark, name);
        self.run(|mut redis| async move { redis.exists(key).await }).await
    }
}

fn key(mark: Mark, name: &str) -> String {
    format!("{PREFIX}{}:{name}", mark.label())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

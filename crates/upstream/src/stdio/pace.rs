//! How soon a child that ended is started again: the delays of `process::Backoff`, kept for one server.
//! A call waits for a short delay and is told of a long one.

use portreeve_mcp::service::{Failure, FailureKind};
use portreeve_process::Backoff;
use std::{
    hash::{BuildHasher, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The longest delay that a call sits out.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Delays {
    backoff: Backoff,
    not_before: Option<Instant>,
    last: String,
}

/// The pace of one server's children.
#[derive(Default)]
pub(crate) struct Pace(Mutex<Delays>);

impl Pace {
    fn lock(&self) -> std::sync::MutexGuard<'_, Delays> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A child ended that should not have, or could not be started.
    pub(crate) fn failed(&self, ran: Duration, why: &str) {
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let mut delays = self.lock();
        let delay = delays.backoff.after(ran, u32::try_from(random >> 32).unwrap_or(0));
        delays.not_before = Some(Instant::now() + delay);
        why.clone_into(&mut delays.last);
    }

    /// Waits until a child may be started.
    pub(crate) async fn wait(&self) -> Result<(), Failure> {
        let (delay, last) = {
            let delays = self.lock();
            let until = delays.not_before.map(|until| until.saturating_duration_since(Instant::now()));
            (until.unwrap_or_default(), delays.last.clone())
        };
        if delay > PATIENCE {
            let text = format!("it keeps ending and is not started for {delay:.0?}: {last}");
            return Err(Failure::new(FailureKind::Unreachable, text));
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_sit_out_short_delays_and_are_told_of_long_ones() {
        let pace = Pace::default();
        let start = Instant::now();
        pace.wait().await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.failed(Duration::ZERO, "exit 3");
        pace.wait().await.unwrap();
        assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&start.elapsed()));
        for _ in 0..3 {
            pace.failed(Duration::ZERO, "exit 3");
        }
        let told = pace.wait().await.unwrap_err();
        assert!(told.kind == FailureKind::Unreachable && told.detail.contains("exit 3"), "{told:?}");
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.wait().await.unwrap();
    }
}

//! How soon a child that ended is started again: the delays of `process::Backoff`, kept for one server.
//! A call waits for a short delay and is told of a long one.

use crate::{Health, circuit::jitter};
use portreeve_mcp::service::{Failure, FailureKind};
use portreeve_process::Backoff;
use std::{
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
        let mut delays = self.lock();
        let now = Instant::now();
        // Children that end together have one reason.
        if delays.not_before.is_some_and(|until| until > now) {
            return;
        }
        let delay = delays.backoff.after(ran, jitter());
        delays.not_before = Some(now + delay);
        why.clone_into(&mut delays.last);
    }

    /// Whether a child may be started.
    pub(crate) fn health(&self) -> Health {
        let until = self.lock().not_before.map(|until| until.saturating_duration_since(Instant::now()));
        until.filter(|left| !left.is_zero()).map_or(Health::Good, Health::Resting)
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
            tokio::time::advance(Duration::from_secs(8)).await;
        }
        pace.failed(Duration::ZERO, "exit 3");
        pace.failed(Duration::ZERO, "exit 3, like the others");
        let told = pace.wait().await.unwrap_err();
        assert!(told.kind == FailureKind::Unreachable && told.detail.ends_with("exit 3"), "{told:?}");
        assert_ne!(pace.health(), Health::Good);
        tokio::time::advance(Duration::from_secs(60)).await;
        pace.wait().await.unwrap();
        assert_eq!(pace.health(), Health::Good);
    }
}

//! Callers without a valid key. Each is counted; the log tells of them in few lines, or whoever guesses keys would fill it.
//! Nothing of what they sent is told.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Why callers are refused, in the words of `auth`: labels of a metric, so they are few and known.
pub(crate) const REASONS: [&str; 3] = ["missing", "malformed", "unknown"];
/// How long the log says nothing more about a reason.
const SILENCE: Duration = Duration::from_secs(60);

/// What the log has not told yet, by reason.
#[derive(Default)]
pub(crate) struct Refused([Mutex<Untold>; REASONS.len()]);

#[derive(Default)]
struct Untold {
    count: u64,
    told: Option<Instant>,
}

impl Untold {
    /// One more. Gives how many there were since the last line, if it is time for another one.
    fn add(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < SILENCE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

impl Refused {
    /// A caller was refused.
    pub(crate) fn tell(&self, reason: &'static str) {
        let Some(at) = REASONS.iter().position(|known| *known == reason) else { return };
        let Some(count) = self.0[at].lock().unwrap_or_else(PoisonError::into_inner).add(Instant::now())
        else {
            return;
        };
        if reason == "missing" {
            // Clients that look for the way to sign in begin like this.
            tracing::info!(reason, count, "callers without a key were refused");
        } else {
            tracing::warn!(reason, count, "callers with a key that is none were refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_together_a_minute_later() {
        let (mut untold, start) = (Untold::default(), Instant::now());
        assert_eq!(untold.add(start), Some(1));
        for second in 1..60 {
            assert_eq!(untold.add(start + Duration::from_secs(second)), None);
        }
        assert_eq!(untold.add(start + SILENCE), Some(60));
        assert_eq!(untold.add(start + SILENCE), None);
        assert_eq!(untold.add(start + SILENCE * 9), Some(2));
    }
}

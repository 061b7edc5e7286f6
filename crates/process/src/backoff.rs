//! How long to wait before a child that ended is started again. Pure: the time that it ran and the jitter come from
//! outside. It never gives up; whether to go on at all is the caller's decision.

use std::time::Duration;

/// The upper end of the first delay. The delay itself lies between half of it and all of it.
const FIRST: Duration = Duration::from_secs(1);
/// The upper end of every delay: a server that was mended is back within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// A child that ran this long was healthy, and its end says nothing about the ones before.
const HEALTHY: Duration = Duration::from_secs(60);

/// Delays that double from 0.5–1 s to 30–60 s.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay before the next start, after the child ran for `ran`. `jitter` is any random number; it keeps
    /// replicas whose children die together from starting them together.
    pub fn after(&mut self, ran: Duration, jitter: u32) -> Duration {
        if ran >= HEALTHY {
            self.failures = 0;
        }
        // 2^6 seconds are past the longest already.
        let whole = (FIRST * (1 << self.failures.min(6))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + half.mul_f64(f64::from(jitter) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute() {
        let (mut least, mut most) = (Backoff::default(), Backoff::default());
        for whole in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let whole = Duration::from_secs(whole);
            assert_eq!(least.after(Duration::ZERO, 0), whole / 2);
            assert_eq!(most.after(Duration::ZERO, u32::MAX), whole);
        }
    }

    #[test]
    fn a_healthy_minute_forgives() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.after(Duration::from_secs(59), 0);
        }
        assert_eq!(backoff.after(Duration::from_secs(59), 0), Duration::from_secs(16));
        assert_eq!(backoff.after(Duration::from_secs(60), 0), Duration::from_millis(500));
        assert_eq!(backoff.after(Duration::ZERO, 0), Duration::from_secs(1));
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert_eq!(backoff.after(Duration::ZERO, u32::MAX), LONGEST);
    }
}

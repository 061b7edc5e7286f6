//! Whether a server that could not be reached is asked again: after some failures in a row calls are refused at once, until
//! a delay that grows lets one of them through. Only failures to reach it count; what it answers, whatever that is, is
//! a sign of life. It sends nothing itself.

use crate::Health;
use portreeve_mcp::service::{Failure, FailureKind};
use portreeve_model::ServerName;
use portreeve_process::Backoff;
use std::{
    hash::{BuildHasher, Hasher},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Failures in a row after which a server rests.
const PATIENCE: u32 = 5;

enum State {
    /// Calls pass; this many failed in a row.
    Closed(u32),
    /// None does before this moment.
    Open(Instant),
    /// One has been let through and nothing is known of it yet.
    Trial,
}

struct Inner {
    state: State,
    backoff: Backoff,
    last: String,
}

/// The circuit to one server.
pub(crate) struct Circuit {
    server: ServerName,
    inner: Mutex<Inner>,
    /// Something failed: without it nobody has to look any closer.
    troubled: AtomicBool,
}

/// The right to call the server. A trial that ends without having learnt anything leaves its place to the next.
pub(crate) struct Pass<'a>(Option<&'a Circuit>);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let Some(circuit) = self.0 else { return };
        let mut inner = circuit.lock();
        if matches!(inner.state, State::Trial) {
            inner.state = State::Open(Instant::now());
        }
    }
}

impl Circuit {
    pub(crate) fn new(server: ServerName) -> Self {
        let inner = Inner { state: State::Closed(0), backoff: Backoff::default(), last: String::new() };
        Self { server, inner: Mutex::new(inner), troubled: AtomicBool::new(false) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether a call may go out.
    pub(crate) fn enter(&self) -> Result<Pass<'_>, Failure> {
        if !self.troubled.load(Ordering::Relaxed) {
            return Ok(Pass(None));
        }
        let mut inner = self.lock();
        let refuse = |when: String, last: &str| {
            let text = format!("it could not be reached and is tried again {when}: {last}");
            Err(Failure::new(FailureKind::Unreachable, text))
        };
        match inner.state {
            State::Closed(_) => Ok(Pass(None)),
            State::Trial => refuse("just now".to_owned(), &inner.last),
            State::Open(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return refuse(format!("in {left:.1?}"), &inner.last);
                }
                inner.state = State::Trial;
                Ok(Pass(Some(self)))
            }
        }
    }

    /// The server could not be reached.
    pub(crate) fn failed(&self, why: &str) {
        let mut inner = self.lock();
        let failures = match inner.state {
            State::Closed(failures) => failures + 1,
            State::Trial => PATIENCE,
            // It began before the circuit opened, and says nothing new.
            State::Open(_) => return,
        };
        self.troubled.store(true, Ordering::Relaxed);
        why.clone_into(&mut inner.last);
        if failures < PATIENCE {
            inner.state = State::Closed(failures);
            return;
        }
        let delay = inner.backoff.after(Duration::ZERO, jitter());
        inner.state = State::Open(Instant::now() + delay);
        drop(inner);
        tracing::warn!(server = %self.server, why, "the server cannot be reached and is left alone for {delay:.1?}");
    }

    /// The server gave a sign of life.
    pub(crate) fn reached(&self) {
        if !self.troubled.load(Ordering::Relaxed) {
            return;
        }
        self.troubled.store(false, Ordering::Relaxed);
        let mut inner = self.lock();
        let was_open = !matches!(inner.state, State::Closed(_));
        inner.state = State::Closed(0);
        inner.backoff = Backoff::default();
        drop(inner);
        if was_open {
            tracing::info!(server = %self.server, "the server can be reached again");
        }
    }

    /// How many failed in a row, as far as it is still counted.
    pub(crate) fn failures(&self) -> u32 {
        match self.lock().state {
            State::Closed(failures) => failures,
            State::Open(_) | State::Trial => PATIENCE,
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self.lock().state {
            State::Closed(_) => Health::Good,
            State::Trial => Health::Resting(Duration::ZERO),
            State::Open(until) => Health::Resting(until.saturating_duration_since(Instant::now())),
        }
    }
}

/// Any random number: servers that failed together are not tried together.
pub(crate) fn jitter() -> u32 {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u32::try_from(random >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit() -> Circuit {
        Circuit::new(ServerName::new("s").unwrap())
    }

    fn fail(circuit: &Circuit, times: u32) {
        for _ in 0..times {
            circuit.failed("refused");
        }
    }

    fn resting(circuit: &Circuit) -> Duration {
        match circuit.health() {
            Health::Resting(left) => left,
            Health::Good => panic!("the circuit is closed"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_failures_change_nothing_and_a_sign_of_life_forgives_them() {
        let circuit = circuit();
        for _ in 0..3 {
            fail(&circuit, PATIENCE - 1);
            assert!(circuit.enter().is_ok());
            circuit.reached();
        }
        assert_eq!(circuit.health(), Health::Good);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_in_a_row_refuse_calls_at_once_until_one_is_let_through() {
        let circuit = circuit();
        fail(&circuit, PATIENCE);
        let refused = circuit.enter().err().unwrap();
        assert!(
            refused.kind == FailureKind::Unreachable && refused.detail.contains("refused"),
            "{refused:?}"
        );
        tokio::time::advance(resting(&circuit)).await;
        let trial = circuit.enter().unwrap();
        assert!(circuit.enter().is_err(), "one and no more");
        circuit.reached();
        assert!(circuit.enter().is_ok());
        drop(trial);
        assert_eq!(circuit.health(), Health::Good);
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_while_trials_fail_and_stay_below_a_minute() {
        let circuit = circuit();
        fail(&circuit, PATIENCE);
        let mut delays = Vec::new();
        for _ in 0..10 {
            let delay = resting(&circuit);
            delays.push(delay);
            tokio::time::advance(delay).await;
            let _trial = circuit.enter().unwrap();
            circuit.failed("again");
            // Calls that began earlier fail late.
            fail(&circuit, 3);
        }
        assert!(delays[0] <= Duration::from_secs(1) && delays[1] <= Duration::from_secs(2), "{delays:?}");
        assert!(delays[9] >= Duration::from_secs(30) && delays[9] <= Duration::from_secs(60), "{delays:?}");
        circuit.reached();
        fail(&circuit, PATIENCE);
        assert!(resting(&circuit) <= Duration::from_secs(1), "a server that came back begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_learns_nothing_leaves_its_place() {
        let circuit = circuit();
        fail(&circuit, PATIENCE);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(circuit.enter().unwrap());
        assert!(circuit.enter().is_ok());
    }
}

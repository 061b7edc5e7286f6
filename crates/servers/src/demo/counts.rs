//! How many tool calls run, finished or were given up: what `status` tells, so that somebody at the far end of a bridge
//! can see whether a cancellation arrived.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The numbers of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) running: u64,
    pub(super) finished: u64,
    pub(super) cancelled: u64,
}

/// The counters of one server.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<Mutex<Numbers>>);

/// A running call. Dropped before [`Running::finish`], it counts as cancelled.
pub(super) struct Running {
    counts: Counts,
    finished: bool,
}

impl Counts {
    /// Counts a call that begins.
    pub(super) fn begin(&self) -> Running {
        self.lock().running += 1;
        Running { counts: self.clone(), finished: false }
    }

    pub(super) fn read(&self) -> Numbers {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The call has its answer.
    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut numbers = self.counts.lock();
        numbers.running -= 1;
        if self.finished {
            numbers.finished += 1;
        } else {
            numbers.cancelled += 1;
        }
    }
}

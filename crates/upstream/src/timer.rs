//! The deadline of one leg (decision D17): one timer that is made once and moved by progress and by questions.
//! It measures and says so; cancelling what has run out is the leg's business.

use portreeve_model::Deadlines;
use std::{future::Future, pin::Pin, time::Duration};
use tokio::time::{Instant, Sleep};

/// The deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

/// Counts down for one leg.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    call: Duration,
    ask: Duration,
    cap: Instant,
    open_asks: usize,
}

impl Timer {
    pub(crate) fn new(deadlines: &Deadlines) -> Self {
        let now = Instant::now();
        Self {
            sleep: Box::pin(tokio::time::sleep_until(now + deadlines.call.min(deadlines.progress_cap))),
            call: deadlines.call,
            ask: deadlines.ask,
            cap: now + deadlines.progress_cap,
            open_asks: 0,
        }
    }

    fn allow(&mut self, span: Duration) {
        self.sleep.as_mut().reset((Instant::now() + span).min(self.cap));
    }

    /// The server showed that it is working: the call may take as long again, up to the cap (check 77).
    pub(crate) fn progress(&mut self) {
        if self.open_asks == 0 {
            self.allow(self.call);
        }
    }

    /// A question is out: a person needs longer than a machine.
    pub(crate) fn asked(&mut self) {
        self.open_asks += 1;
        self.allow(self.ask.max(self.call));
    }

    /// A question is answered or withdrawn; with the last one the server has its turn again.
    pub(crate) fn settled(&mut self) {
        self.open_asks = self.open_asks.saturating_sub(1);
        self.progress();
    }

    /// Waits until the deadline has passed.
    pub(crate) async fn expired(&mut self) {
        self.sleep.as_mut().await;
    }

    /// Runs something that may not outlive the deadline. The timer is only looked at when the work is not ready.
    pub(crate) async fn within<F: Future>(&mut self, work: F) -> Result<F::Output, Expired> {
        tokio::select! {
            biased;
            output = work => Ok(output),
            () = self.sleep.as_mut() => Err(Expired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadlines() -> Deadlines {
        Deadlines {
            connect: Duration::from_secs(1),
            call: Duration::from_secs(10),
            progress_cap: Duration::from_secs(35),
            ask: Duration::from_secs(20),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_extends_up_to_the_cap_and_no_further() {
        let start = Instant::now();
        let mut timer = Timer::new(&deadlines());
        for _ in 0..5 {
            let step = tokio::time::sleep(Duration::from_secs(8));
            if timer.within(step).await.is_err() {
                break;
            }
            timer.progress();
        }
        assert_eq!(start.elapsed().as_secs(), 35);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_gives_a_person_time_and_the_answer_takes_it_back() {
        let start = Instant::now();
        let mut timer = Timer::new(&deadlines());
        timer.asked();
        timer.progress();
        assert!(timer.within(tokio::time::sleep(Duration::from_secs(15))).await.is_ok());
        timer.settled();
        timer.expired().await;
        assert_eq!(start.elapsed().as_secs(), 25);
    }
}

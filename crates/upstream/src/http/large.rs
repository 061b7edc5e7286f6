//! Large JSON answers that are passed on while they arrive: finds the bytes of `result` inside the envelope without
//! copying them, and checks on the way what a decoder would have checked (syntax, depth, UTF-8, id, one result).
//! Starts only once it is certain that the answer is a complete result; what turns out wrong later is an error in the
//! stream. It looks at nothing inside the result but the `resultType`.

mod scanner;

use super::connection::Body;
use bytes::Bytes;
use futures_util::stream;
use portreeve_mcp::{
    Era,
    service::{Failure, FailureKind, RawStream},
};
use portreeve_model::Deadlines;
use scanner::Scanner;
use std::{collections::VecDeque, pin::Pin, time::Duration};
use tokio::time::{Instant, Sleep};

/// What is known of an answer so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It is a complete result.
    Certain,
    /// It may be.
    NotYet,
    /// It is not, or is broken: it has to be collected.
    Hopeless,
}

/// The beginning of an answer.
pub(crate) struct Opening {
    scanner: Scanner,
    pieces: Vec<Bytes>,
    ready: VecDeque<Bytes>,
    size: usize,
    hopeless: bool,
}

impl Opening {
    pub(crate) fn new(era: Era, id: u64) -> Self {
        Self {
            scanner: Scanner::new(era, id),
            pieces: Vec::new(),
            ready: VecDeque::new(),
            size: 0,
            hopeless: false,
        }
    }

    /// How much has been taken in.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes in the next piece.
    pub(crate) fn push(&mut self, piece: Bytes) -> Sight {
        self.size += piece.len();
        if !self.hopeless {
            match self.scanner.feed(&piece) {
                Ok(range) => self.ready.extend(range.map(|range| piece.slice(range))),
                Err(_) => self.hopeless = true,
            }
        }
        self.pieces.push(piece);
        if self.hopeless {
            Sight::Hopeless
        } else if self.scanner.is_certain() {
            Sight::Certain
        } else {
            Sight::NotYet
        }
    }

    /// Takes in pieces that are going to be collected.
    pub(crate) fn keep(&mut self, pieces: Vec<Bytes>) {
        self.pieces.extend(pieces);
    }

    /// Gives the pieces back for collecting.
    pub(crate) fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// The bytes of the result, those that are there and those that come.
    pub(crate) fn into_stream(self, body: Body, limit: usize, deadlines: &Deadlines) -> RawStream {
        let now = Instant::now();
        let transfer = Transfer {
            body,
            scanner: self.scanner,
            ready: self.ready,
            left: limit.saturating_sub(self.size),
            stall: deadlines.call,
            cap: now + deadlines.progress_cap,
            sleep: Box::pin(tokio::time::sleep_until(now + deadlines.call)),
        };
        Box::pin(stream::unfold(Some(transfer), |transfer| async move {
            let mut transfer = transfer?;
            let item = transfer.next().await?;
            let more = item.is_ok();
            Some((item, more.then_some(transfer)))
        }))
    }
}

/// An answer on its way.
struct Transfer {
    body: Body,
    scanner: Scanner,
    ready: VecDeque<Bytes>,
    left: usize,
    stall: Duration,
    cap: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Transfer {
    async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        loop {
            if let Some(ready) = self.ready.pop_front().filter(|ready| !ready.is_empty()) {
                return Some(Ok(ready));
            }
            // Each piece that comes shows that the server is at it; the cap holds all the same.
            self.sleep.as_mut().reset((Instant::now() + self.stall).min(self.cap));
            let piece = tokio::select! {
                biased;
                piece = self.body.chunk() => piece,
                () = self.sleep.as_mut() => {
                    return Some(Err(Failure::new(FailureKind::Timeout, "the answer stopped in the middle")));
                }
            };
            match piece {
                None => return self.scanner.finish().err().map(|fault| Err(broken(fault))),
                Some(Err(why)) => return Some(Err(Failure::new(FailureKind::OutcomeUnknown, why))),
                Some(Ok(piece)) if piece.len() > self.left => {
                    return Some(Err(broken("is larger than allowed")));
                }
                Some(Ok(piece)) => {
                    self.left -= piece.len();
                    match self.scanner.feed(&piece) {
                        Err(fault) => return Some(Err(broken(fault))),
                        Ok(range) => self.ready.extend(range.map(|range| piece.slice(range))),
                    }
                }
            }
        }
    }
}

fn broken(fault: &str) -> Failure {
    Failure::new(FailureKind::Protocol, format!("the answer {fault}"))
}

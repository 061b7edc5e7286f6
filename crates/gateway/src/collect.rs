//! Reads a leg to its end where only the answer matters: lists, discovery, and calls whose caller has gone.

use futures_util::StreamExt;
use portreeve_mcp::{
    Event, Leg, Outcome, RawJson,
    service::{Failure, FailureKind, Final, RawStream},
};

/// The largest result that is put together from a stream.
pub(crate) const LARGEST: usize = 64 << 20;

/// The leg's answer. Questions are left unanswered, which tells the server that nobody is there.
pub(crate) async fn collect(mut leg: Leg) -> Result<Outcome, Failure> {
    while let Some(event) = leg.next().await {
        match event {
            Event::Final(end) => return whole(end).await,
            Event::InputRequired(_) => {
                return Err(Failure::new(
                    FailureKind::Protocol,
                    "asked for input where nothing may be asked",
                ));
            }
            Event::Notification(_) | Event::Ask(_) | Event::AskWithdrawn(_) | Event::HangUp(_) => {}
        }
    }
    Err(Failure::new(FailureKind::OutcomeUnknown, "ended without an answer"))
}

/// The whole of an answer, also if it comes as a stream.
pub(crate) async fn whole(end: Final) -> Result<Outcome, Failure> {
    match end {
        Final::Whole(outcome) => Ok(outcome),
        Final::Failed(failure) => Err(failure),
        Final::Large(stream) => gather(stream).await.map(Outcome::Result),
    }
}

async fn gather(mut stream: RawStream) -> Result<RawJson, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > LARGEST {
            return Err(Failure::new(FailureKind::Protocol, "the result is too large"));
        }
    }
    RawJson::parse(&bytes.into(), portreeve_mcp::json::MAX_DEPTH)
        .map_err(|error| Failure::new(FailureKind::Protocol, format!("the result is {error}")))
}

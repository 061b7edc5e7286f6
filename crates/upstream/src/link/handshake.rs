//! Agreeing with a server on a fresh line (spec digest 2.13): `server/discover` first; whatever is not a modern answer,
//! silence and a child that exits on it mean legacy. A child that is slow to start gets both questions and answers either.
//! Sends nothing but the handshake.

use super::Link;
use crate::{
    EraChoice,
    switchboard::{Entry, Role},
    wire,
};
use portreeve_mcp::{
    Ctx, Id, Outcome,
    service::{Description, Failure, FailureKind},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

/// How long a server may be silent before it is asked in the other manner as well (check 48).
const SILENCE: Duration = Duration::from_secs(2);

/// Where a handshake begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// With the modern question.
    Discover,
    /// With `initialize`: the server is known to be legacy, or is said to be.
    Initialize,
}

/// No handshake came about.
pub(crate) enum Trouble {
    /// The line ended before the server answered anything.
    Exited(Failure),
    /// It answered, but there is nothing to agree on; or it did not answer in time.
    Failed(Failure),
}

enum Probe {
    Modern(Description),
    Legacy,
    Foreign(Failure),
}

fn read_probe(outcome: &Outcome) -> Probe {
    match outcome {
        // A shim may answer for a server that only speaks legacy (check 54).
        Outcome::Result(result) => wire::read_discover(result).map_or(Probe::Legacy, Probe::Modern),
        Outcome::Error(error) => match wire::evidence(error) {
            wire::EraEvidence::Modern => Probe::Modern(wire::unnamed()),
            wire::EraEvidence::Foreign => Probe::Foreign(Failure::new(
                FailureKind::NoCommonVersion,
                format!("it serves no revision that is known here: {}", error.message),
            )),
            wire::EraEvidence::LegacyOnly | wire::EraEvidence::None => Probe::Legacy,
        },
    }
}

/// Agrees with a server on a fresh line. `ids` gives request ids.
pub(crate) async fn run(
    link: &Arc<Link>,
    ctx: &Ctx,
    choice: EraChoice,
    first: First,
    ids: &(impl Fn() -> u64 + Sync),
) -> Result<(), Trouble> {
    let exited = || Trouble::Exited(unreachable(link.gone()));
    let mut probe = None;
    if first == First::Discover {
        let id = ids();
        let mut entry = link.enter(id, Role::Own).ok_or_else(exited)?;
        link.send(wire::discover(&Id::number(id), ctx)).await.map_err(unsent)?;
        match wait_probe(&mut entry.done, choice).await {
            Some(Ok(outcome)) => match read_probe(&outcome) {
                Probe::Modern(description) => {
                    link.describe(description);
                    return Ok(());
                }
                Probe::Foreign(failure) => return Err(Trouble::Failed(failure)),
                Probe::Legacy if choice == EraChoice::Modern => return Err(not_modern()),
                Probe::Legacy => {}
            },
            Some(Err(_)) => return Err(exited()),
            None => probe = Some(entry),
        }
    }
    legacy(link, ctx, probe, ids).await
}

/// Agrees in the legacy manner. A probe that is still out may yet prove the server modern.
async fn legacy(
    link: &Arc<Link>,
    ctx: &Ctx,
    mut probe: Option<Entry<Link>>,
    ids: &(impl Fn() -> u64 + Sync),
) -> Result<(), Trouble> {
    let exited = || Trouble::Exited(unreachable(link.gone()));
    let id = ids();
    let mut entry = link.enter(id, Role::Own).ok_or_else(exited)?;
    link.send(wire::initialize(&Id::number(id), ctx)).await.map_err(unsent)?;
    let mut refused = None;
    loop {
        let late = async {
            match &mut probe {
                Some(probe) => (&mut probe.done).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = &mut entry.done, if refused.is_none() => {
                match outcome.map_err(|_| exited())? {
                    Outcome::Result(result) => return initialized(link, &result).await,
                    Outcome::Error(error) => {
                        let text = format!("initialize was refused: {} {}", error.code.0, error.message);
                        refused = Some(Failure::new(FailureKind::NoCommonVersion, text));
                    }
                }
            }
            outcome = late => {
                probe = None;
                if let Probe::Modern(description) = read_probe(&outcome.map_err(|_| exited())?) {
                    link.describe(description);
                    return Ok(());
                }
            }
        }
        if let (Some(failure), None) = (&refused, &probe) {
            return Err(Trouble::Failed(failure.clone()));
        }
    }
}

/// Waits for the answer to the probe; `None` when it is time to ask in the other manner.
async fn wait_probe(
    done: &mut oneshot::Receiver<Outcome>,
    choice: EraChoice,
) -> Option<Result<Outcome, oneshot::error::RecvError>> {
    if choice == EraChoice::Modern {
        return Some(done.await);
    }
    tokio::time::timeout(SILENCE, done).await.ok()
}

async fn initialized(link: &Link, result: &portreeve_mcp::RawJson) -> Result<(), Trouble> {
    let description = wire::read_initialize(result)
        .map_err(|why| Trouble::Failed(Failure::new(FailureKind::NoCommonVersion, why)))?;
    link.describe(description);
    link.send(wire::initialized()).await.map_err(unsent)
}

/// A message of the handshake did not arrive: the line has ended, or the server refused it.
fn unsent(failure: Failure) -> Trouble {
    match failure.kind {
        FailureKind::OutcomeUnknown => Trouble::Exited(unreachable(failure)),
        _ => Trouble::Failed(failure),
    }
}

fn not_modern() -> Trouble {
    Trouble::Failed(Failure::new(FailureKind::NoCommonVersion, "it does not answer server/discover"))
}

/// In a handshake no call is lost.
pub(crate) fn unreachable(failure: Failure) -> Failure {
    Failure::new(FailureKind::Unreachable, failure.detail)
}

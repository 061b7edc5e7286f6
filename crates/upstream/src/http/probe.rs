//! Which era and transport a server behind a URL speaks (spec digest 2.13, decision D3): asked once, on the first use, by
//! one caller for all; kept until it stops fitting. An answer that may mean anything decides nothing and is kept by nobody.

use super::{
    Http,
    connection::SendError,
    events::{self, Reply},
    line::NoLine,
    session::{HandshakeError, SessionKey},
};
use crate::{
    EraChoice, Transport,
    slots::Mode,
    wire::{self, EraEvidence},
};
use http::StatusCode;
use portreeve_mcp::{
    Ctx, Era, Id, Method, Outcome, Params, Request,
    service::{Description, Failure, FailureKind},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a legacy verdict holds: a server that is upgraded is noticed, one that is not is rarely bothered.
const LEGACY_HOLDS: Duration = Duration::from_secs(10 * 60);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(20);

/// How calls reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Modern requests, each for itself.
    Modern,
    /// Legacy sessions over Streamable HTTP.
    Sessions,
    /// Legacy sessions over HTTP+SSE.
    Lines,
}

/// What a server was found to be.
pub(crate) struct Verdict {
    pub(crate) way: Way,
    pub(crate) description: Arc<Description>,
    expires: Option<Instant>,
}

impl Verdict {
    pub(crate) fn era(&self) -> Era {
        self.description.version.era()
    }
}

/// The probe that is under way, and how the last one failed.
#[derive(Default)]
pub(crate) struct Probing {
    lock: tokio::sync::Mutex<()>,
    failed: Mutex<Option<(Instant, Failure)>>,
}

impl Probing {
    fn failed(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Failure)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Discovered {
    Modern(Description),
    TryLegacy,
}

impl Http {
    /// What the server is; found out now if that is not known.
    pub(crate) async fn verdict(&self, ctx: &Ctx) -> Result<Arc<Verdict>, Failure> {
        match self.known() {
            Some(verdict) => Ok(verdict),
            // Rare, and large: it is kept out of the futures of calls.
            None => Box::pin(self.find_out(ctx)).await,
        }
    }

    async fn find_out(&self, ctx: &Ctx) -> Result<Arc<Verdict>, Failure> {
        let since = Instant::now();
        let _probing = self.probing.lock.lock().await;
        if let Some(verdict) = self.known() {
            return Ok(verdict);
        }
        // Whoever waited for a probe that failed shares its failure.
        if let Some((at, failure)) = &*self.probing.failed()
            && *at > since
        {
            return Err(failure.clone());
        }
        let limit = PROBE.min(self.deadlines.call);
        let failures = self.circuit.failures();
        let outcome = tokio::time::timeout(limit, self.probe(ctx)).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(undecided(format!("no answer to the probe within {limit:?}"))));
        match outcome {
            Ok(verdict) => {
                let verdict = Arc::new(verdict);
                let version = verdict.description.version;
                tracing::info!(server = %self.name, %version, "the server has been found");
                self.verdict.store(Some(Arc::clone(&verdict)));
                Ok(verdict)
            }
            Err(failure) => {
                // What the pool has seen of it is counted already.
                if failure.kind == FailureKind::Unreachable && self.circuit.failures() == failures {
                    self.circuit.failed(&failure.detail);
                }
                *self.probing.failed() = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// What carries its messages, once that was found out.
    pub(crate) fn transport(&self) -> Option<&'static str> {
        self.known().map(|verdict| match verdict.way {
            Way::Modern | Way::Sessions => "streamable-http",
            Way::Lines => "http+sse",
        })
    }

    fn known(&self) -> Option<Arc<Verdict>> {
        let fresh = |verdict: &Arc<Verdict>| verdict.expires.is_none_or(|expires| expires > Instant::now());
        self.verdict.load_full().filter(fresh)
    }

    /// The verdict does not fit any more.
    pub(crate) fn forget(&self, verdict: &Arc<Verdict>) {
        self.verdict.compare_and_swap(verdict, None);
    }

    async fn probe(&self, ctx: &Ctx) -> Result<Verdict, Failure> {
        if self.transport == Transport::Sse {
            return self.try_lines(ctx, None).await.map_err(NoLine::failure);
        }
        match self.era {
            EraChoice::Legacy => self.try_legacy(ctx, None).await,
            EraChoice::Modern => match self.discover(ctx).await? {
                Discovered::Modern(description) => Ok(modern(description)),
                Discovered::TryLegacy => {
                    Err(Failure::new(FailureKind::NoCommonVersion, "it does not answer server/discover"))
                }
            },
            EraChoice::Auto => match self.discover(ctx).await? {
                Discovered::Modern(description) => Ok(modern(description)),
                Discovered::TryLegacy => self.try_legacy(ctx, Some(LEGACY_HOLDS)).await,
            },
        }
    }

    async fn discover(&self, ctx: &Ctx) -> Result<Discovered, Failure> {
        let id = self.next_id();
        let request = Request { method: Method::Discover, params: Params::default() };
        let headers = self.modern_headers(ctx, &request)?;
        let body = wire::discover(&Id::number(id), ctx);
        let response = self.pool.send(self.pool.target.post(headers, body)).await;
        let response = response.map_err(|error| match error {
            SendError::Connect(why) | SendError::Broken(why) => undecided(why),
        })?;
        let reply = Reply::read(response, id, self.runtime.limits.upstream_message).await;
        read_discovery(&reply.map_err(|failure| undecided(failure.detail))?)
    }

    async fn try_legacy(&self, ctx: &Ctx, holds: Option<Duration>) -> Result<Verdict, Failure> {
        // The session that proves the era is the one that the first call uses.
        let key = SessionKey::of(ctx);
        let lease = self.sessions.acquire(&key, Mode::Shared, PROBE).await;
        let lease =
            lease.map_err(|_| Failure::new(FailureKind::Busy, "all sessions of this server are taken"))?;
        match lease.get(|| Box::pin(self.open_session(ctx))).await {
            Ok(session) => Ok(Verdict {
                way: Way::Sessions,
                description: Arc::clone(&session.description),
                expires: holds.map(|holds| Instant::now() + holds),
            }),
            Err(error) => {
                drop(lease);
                self.not_sessions(ctx, holds, error).await
            }
        }
    }

    /// The server refused `initialize`: whether it is one of the oldest transport (check 51), else what that means.
    async fn not_sessions(
        &self,
        ctx: &Ctx,
        holds: Option<Duration>,
        error: HandshakeError,
    ) -> Result<Verdict, Failure> {
        let refused = error.endpoint
            || error.evidence == EraEvidence::None
                && matches!(error.status.map(|status| status.as_u16()), Some(400 | 404 | 405));
        if refused && self.transport == Transport::Auto {
            match self.try_lines(ctx, holds).await {
                Ok(verdict) => return Ok(verdict),
                Err(NoLine::Failed(failure)) => return Err(failure),
                Err(NoLine::NotOffered(failure)) => {
                    tracing::debug!(server = %self.name, detail = failure.detail, "it is no HTTP+SSE server");
                }
            }
        }
        Err(match error.failure.kind {
            FailureKind::Unauthorized | FailureKind::Forbidden | FailureKind::NoCommonVersion => {
                error.failure
            }
            _ if refused => Failure::new(FailureKind::NoCommonVersion, error.failure.detail),
            _ => undecided(error.failure.detail),
        })
    }

    /// The line that proves the transport is the one that the first call uses.
    async fn try_lines(&self, ctx: &Ctx, holds: Option<Duration>) -> Result<Verdict, NoLine> {
        let lease = self.lines.acquire(&SessionKey::of(ctx), Mode::Shared, PROBE).await;
        let lease = lease.map_err(|_| {
            NoLine::Failed(Failure::new(FailureKind::Busy, "all sessions of this server are taken"))
        })?;
        let link = lease.get(|| Box::pin(self.open_line(ctx))).await?;
        let description = link.description().ok_or_else(|| NoLine::Failed(undecided(link.gone().detail)))?;
        Ok(Verdict {
            way: Way::Lines,
            description: Arc::clone(description),
            expires: holds.map(|holds| Instant::now() + holds),
        })
    }
}

fn modern(description: Description) -> Verdict {
    Verdict { way: Way::Modern, description: Arc::new(description), expires: None }
}

pub(crate) fn undecided(detail: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Unreachable, detail)
}

/// Reads the answer to the probe (checks 48–50, 52, 54).
fn read_discovery(reply: &Reply) -> Result<Discovered, Failure> {
    match reply.status.as_u16() {
        401 | 403 => return Err(events::status_failure(reply.status)),
        408 | 429 | 500..=599 => return Err(undecided(events::status_failure(reply.status).detail)),
        300..=399 => {
            return Err(undecided(format!("it redirects (HTTP {}), which is not followed", reply.status)));
        }
        _ => {}
    }
    match &reply.outcome {
        Some(Outcome::Result(result)) if reply.status == StatusCode::OK => {
            Ok(wire::read_discover(result).map_or(Discovered::TryLegacy, Discovered::Modern))
        }
        Some(Outcome::Error(error)) => match wire::evidence(error) {
            EraEvidence::Modern => Ok(Discovered::Modern(wire::unnamed())),
            EraEvidence::Foreign => {
                Err(Failure::new(FailureKind::NoCommonVersion, format!("it says: {}", error.message)))
            }
            EraEvidence::LegacyOnly | EraEvidence::None => Ok(Discovered::TryLegacy),
        },
        _ => Ok(Discovered::TryLegacy),
    }
}

//! Legacy tasks live in the session or child in which they were made: calls about them go there or nowhere, and it is
//! kept for as long as the task is (spec 2025-11-25: basic/utilities/tasks).

use crate::slots::{Held, Lease};
use portreeve_mcp::{
    Code, Ctx, Era, Event, Method, Outcome, Request, RpcError, Text,
    payload::{Task, created_task},
    service::{Anchor, Final},
};
use std::{hash::Hash, time::Duration};

/// How long a session is kept for a task that its server keeps for as long as it likes.
const UNLIMITED: Duration = Duration::from_secs(30 * 60);
/// How long it is kept for any task.
const MAX: Duration = Duration::from_secs(60 * 60);

/// The place that this call has to go to, if it matters.
pub(crate) fn wanted(ctx: &Ctx) -> Option<u64> {
    ctx.anchor.as_ref().and_then(Anchor::wanted)
}

/// What a caller hears whose task was somewhere that is no more.
pub(crate) fn gone() -> Event {
    Event::error(RpcError::new(Code::INVALID_PARAMS, "unknown or expired task; make the call anew"))
}

/// The task whose questions this call is there to hear.
pub(crate) fn heard(request: &Request) -> Option<Text> {
    (request.method == Method::TasksResult).then(|| request.params.text("taskId")).flatten()
}

/// Says where the call went, and keeps that for the task that it made there.
pub(crate) fn settle<K: Eq + Hash + Clone, T: Held>(ctx: &Ctx, lease: &Lease<K, T>, event: &Event) {
    let Some(anchor) = &ctx.anchor else { return };
    anchor.uses(lease.number());
    let Event::Final(Final::Whole(Outcome::Result(result))) = event else { return };
    if let Some(task) = created_task(result, Era::Legacy).and_then(|task| Task::read(&task)) {
        lease.keep(task.ttl.unwrap_or(UNLIMITED).min(MAX));
    }
}

//! A task whose client knows none: the gateway looks after it under the client's one call, and the client hears what
//! it would have heard of a call that takes long. A legacy task is waited for (`tasks/result`), its questions come as
//! those of any call. A modern task is looked at (`tasks/get`), its questions go to the legacy client one by one, and
//! the answers back (`tasks/update`). When nobody wants the answer any more the task is cancelled.

use super::{Taken, knows_core};
use crate::{
    bridge, collect, error,
    exchange::{Client, Inner, Stage, Step},
    server::forward,
};
use portreeve_mcp::{
    Code, Era, Method, Outcome, Params, RawJson, Request, RpcError, Text,
    caps::TASKS_EXTENSION,
    frame,
    payload::{Task, TaskStatus, created_task, with_related_task},
    service::{Anchor, AskKind, Failure, FailureKind, Final, InputRequest, InputRequired},
};
use std::time::{Duration, Instant};

/// How long a task is looked after at most (decision D17: what progress can extend a call to).
const CAP: Duration = Duration::from_secs(30 * 60);
/// How often a task is looked at, when its server names no time.
const POLL: Duration = Duration::from_secs(1);
/// The bounds of the time that a server names.
const POLLS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often one after another a look may fail before the call does.
const MAX_FAILURES: u32 = 3;
/// How long a server may take to hear that a task is not wanted any more.
const FAREWELL: Duration = Duration::from_secs(10);

/// Where a driven call stands.
#[derive(Debug, Default)]
pub(crate) struct Drive {
    stage: At,
    /// The server's id of the task, once there is one.
    task: Option<Text>,
    since: Option<Instant>,
    poll: Duration,
    failures: u32,
    said: Option<Text>,
    /// Questions that were answered; a server may still show them for a moment.
    answered: Vec<Text>,
    asked: Vec<Text>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The call itself.
    #[default]
    Calling,
    /// `tasks/result` of a legacy server.
    Waiting,
    /// `tasks/get` of a modern server.
    Looking,
    /// `tasks/update`.
    Answering,
}

/// Deals with the end of a leg of a driven call.
pub(super) fn take(inner: &mut Inner, end: Final) -> Taken {
    let Some(drive) = drive(inner) else { return Taken::Goes(end) };
    match drive.stage {
        At::Calling => called(inner, end),
        At::Waiting => waited(inner, end),
        At::Looking => looked(inner, end),
        At::Answering => match end {
            Final::Whole(Outcome::Result(_)) => Taken::Step(look_again(inner)),
            end => Taken::Goes(end),
        },
    }
}

fn drive(inner: &mut Inner) -> Option<&mut Drive> {
    match &mut inner.task {
        super::Part::Drives(drive) => Some(drive),
        _ => None,
    }
}

fn called(inner: &mut Inner, end: Final) -> Taken {
    let server = inner.server_version.era();
    let result = match end {
        Final::Whole(Outcome::Result(result)) => result,
        Final::Whole(Outcome::Error(error)) if insists(inner, &error) => {
            // Nothing has run: the gateway can do what the server insists on.
            inner.ctx.tasks = Some(RawJson::EMPTY_OBJECT);
            let request = inner.request.clone();
            return Taken::Step(inner.open_again(request));
        }
        end => return Taken::Goes(end),
    };
    let Some(raw) = created_task(&result, server) else {
        return Taken::Goes(Final::Whole(Outcome::Result(result)));
    };
    let Some(task) = Task::read(&raw) else {
        let failure = Failure::new(FailureKind::Protocol, "the answer is a task without id or status");
        return Taken::Goes(Final::Failed(failure));
    };
    if let Some(place) = inner.ctx.anchor.as_ref().and_then(Anchor::used) {
        inner.ctx.anchor = Some(Anchor::at(place));
    }
    let Some(drive) = drive(inner) else { return Taken::Goes(Final::Whole(Outcome::Result(result))) };
    drive.task = Some(task.id.clone());
    drive.since = Some(Instant::now());
    drive.poll = task.poll.unwrap_or(POLL).clamp(POLLS.0, POLLS.1);
    if server == Era::Modern {
        return Taken::Step(look_again(inner));
    }
    drive.stage = At::Waiting;
    Taken::Step(wait(inner))
}

/// The server will not do it without the extension, which the gateway has not offered yet.
fn insists(inner: &Inner, error: &RpcError) -> bool {
    let extensions = || error.data.as_ref()?.get("requiredCapabilities")?.get("extensions");
    error.code == Code::MISSING_CAPABILITY
        && inner.ctx.tasks.is_none()
        && inner.record.rounds == 0
        && inner.server_version.era() == Era::Modern
        && extensions().is_some_and(|extensions| extensions.get(TASKS_EXTENSION).is_some())
}

fn request(method: Method, task: &Text) -> Request {
    let mut params = Params::default();
    params.set("taskId", RawJson::string(task));
    Request { method, params }
}

fn wait(inner: &mut Inner) -> Option<Step> {
    let task = drive(inner)?.task.clone()?;
    inner.open_again(request(Method::TasksResult, &task))
}

fn waited(inner: &mut Inner, end: Final) -> Taken {
    match end {
        Final::Whole(Outcome::Result(result)) => {
            let result = with_related_task(&result, None);
            Taken::Goes(Final::Whole(Outcome::Result(result)))
        }
        // Waiting has its own deadline at the connector; the task goes on without it.
        Final::Failed(failure) if failure.kind == FailureKind::Timeout && !is_over(inner) => {
            Taken::Step(wait(inner))
        }
        end => Taken::Goes(end),
    }
}

fn is_over(inner: &mut Inner) -> bool {
    drive(inner).and_then(|drive| drive.since).is_none_or(|since| since.elapsed() >= CAP)
}

/// Looks at the task after a pause.
fn look_again(inner: &mut Inner) -> Option<Step> {
    let drive = drive(inner)?;
    drive.stage = At::Looking;
    let (pause, task) = (drive.poll, drive.task.clone()?);
    if is_over(inner) {
        let failure = Failure::new(FailureKind::Timeout, "the task took too long");
        give_up(inner);
        return Some(Step::Last(inner.end_failed(&failure)));
    }
    inner.leg = None;
    inner.stage = Stage::Pacing(Box::pin(tokio::time::sleep(pause)), request(Method::TasksGet, &task));
    None
}

fn looked(inner: &mut Inner, end: Final) -> Taken {
    let result = match end {
        Final::Whole(Outcome::Result(result)) => result,
        Final::Failed(failure) => {
            let may_fail = drive(inner).is_some_and(|drive| {
                drive.failures += 1;
                drive.failures <= MAX_FAILURES
            });
            return if may_fail {
                Taken::Step(look_again(inner))
            } else {
                Taken::Goes(Final::Failed(failure))
            };
        }
        end => return Taken::Goes(end),
    };
    let Some(task) = Task::read(&result) else {
        let failure = Failure::new(FailureKind::Protocol, "the task has no id or status");
        return Taken::Goes(Final::Failed(failure));
    };
    if let Some(drive) = drive(inner) {
        drive.failures = 0;
        drive.poll = task.poll.unwrap_or(drive.poll).clamp(POLLS.0, POLLS.1);
    }
    say(inner, task.message.as_ref());
    match task.status {
        TaskStatus::Working => Taken::Step(look_again(inner)),
        TaskStatus::InputRequired => Taken::Step(ask(inner, &result)),
        TaskStatus::Completed => Taken::Goes(Final::Whole(match result.get("result") {
            Some(result) => Outcome::Result(result),
            None => Outcome::Error(RpcError::new(error::BAD_ANSWER, "the task ended without a result")),
        })),
        TaskStatus::Failed => Taken::Goes(Final::Whole(Outcome::Error(match result.get("error") {
            Some(error) => RpcError::from_raw(&error),
            None => RpcError::new(Code::INTERNAL, "the task failed"),
        }))),
        TaskStatus::Cancelled => {
            let error = RpcError::new(Code::INTERNAL, "the server has cancelled the task of this call");
            Taken::Goes(Final::Whole(Outcome::Error(error)))
        }
    }
}

/// A task reports no progress; what it says about itself is as good.
fn say(inner: &mut Inner, message: Option<&Text>) {
    let (Some(message), Some(token)) = (message, inner.progress_token.clone()) else { return };
    let next = if inner.last_progress.is_finite() { inner.last_progress + 1.0 } else { 1.0 };
    let Some(drive) = drive(inner) else { return };
    if drive.said.as_ref() == Some(message) {
        return;
    }
    drive.said = Some(message.clone());
    inner.last_progress = next;
    let params = RawJson::EMPTY_OBJECT.with(
        &[],
        &[
            ("progressToken", &token),
            ("progress", &RawJson::encode(&next)),
            ("message", &RawJson::string(message)),
        ],
    );
    inner.outbox.push_back(frame::encode_notification(Method::Progress.as_str(), Some(&params)));
}

/// Puts the open questions of a modern task to the legacy client.
fn ask(inner: &mut Inner, task: &RawJson) -> Option<Step> {
    let open = task.get("inputRequests").and_then(|asks| asks.members().ok()).unwrap_or_default();
    let answered = drive(inner).map(|drive| drive.answered.clone()).unwrap_or_default();
    let mut asks = Vec::new();
    for member in open.into_iter().filter(|member| !answered.contains(&member.key)) {
        let method = member.value.get("method").and_then(|method| method.string_value());
        let kind = method.and_then(|method| AskKind::from_method(&Method::from_text(&method)));
        let Some(kind) = kind else {
            let failure = Failure::new(FailureKind::Protocol, "a task asks what no client can be asked");
            give_up(inner);
            return Some(Step::Last(inner.end_failed(&failure)));
        };
        asks.push(InputRequest { key: member.key, kind, params: member.value.get("params") });
    }
    if asks.is_empty() {
        return look_again(inner);
    }
    if let Some(drive) = drive(inner) {
        drive.asked = asks.iter().map(|ask| ask.key.clone()).collect();
    }
    let step = bridge::put_questions(inner, InputRequired { state: None, asks, raw: RawJson::NULL });
    if step.is_some() {
        give_up(inner);
    }
    step
}

/// The client has answered what a driven task asked: the answers go to the task, not into the call again.
pub(crate) fn answered(inner: &mut Inner, answers: &RawJson) -> Option<Request> {
    let drive = drive(inner).filter(|drive| drive.stage == At::Looking)?;
    drive.stage = At::Answering;
    let asked = std::mem::take(&mut drive.asked);
    drive.answered.extend(asked);
    let mut request = request(Method::TasksUpdate, drive.task.as_ref()?);
    request.params.set("inputResponses", answers.clone());
    Some(request)
}

/// Nobody waits for a driven task any more: its server is told.
pub(crate) fn give_up(inner: &mut Inner) {
    let Some(task) = drive(inner).and_then(|drive| drive.task.take()) else { return };
    let Ok((proof, _)) = inner.gateway.decide(&inner.principal, inner.target.clone()) else { return };
    let leg = forward(proof, &inner.server, inner.ctx.clone(), request(Method::TasksCancel, &task));
    let server = inner.server.name().clone();
    inner.gateway.tracker.spawn(async move {
        if tokio::time::timeout(FAREWELL, collect::collect(leg)).await.is_err() {
            tracing::debug!(%server, "a task that nobody wants may go on");
        }
    });
}

/// Whether a modern client that comes back for a parked call still knows tasks; if not, the gateway looks after it.
pub(crate) fn on_return(inner: &mut Inner, declared: bool) {
    let core = knows_core(inner.server_version);
    if core && !declared && matches!((&inner.task, &inner.client), (super::Part::May, Client::Modern)) {
        inner.task = super::Part::Drives(Drive::default());
    }
}

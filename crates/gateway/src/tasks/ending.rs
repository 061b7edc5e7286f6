//! What becomes of an answer that is a task, or about one, before its client sees it: ids are sealed, and where the
//! client knows no tasks the gateway begins to look after it. Every other answer passes untouched.

use super::{About, Page, Part, drive};
use crate::{
    exchange::{Client, Inner, Last, Step},
    record::End,
};
use portreeve_mcp::{
    Code, Era, Method, Outcome, RawJson, Text,
    json::{self, Kind},
    payload::{self, Task, TaskStatus, created_task, task_for_modern, with_related_task, with_task_id},
    service::{Ask, Failure, FailureKind, Final},
};

/// What happened to an answer.
pub(crate) enum Taken {
    /// It goes to the client like any other.
    Goes(Final),
    /// It was dealt with; the call may go on.
    Step(Option<Step>),
}

/// Deals with the end of a leg of a call that has a part in tasks.
pub(crate) fn take_final(inner: &mut Inner, end: Final) -> Taken {
    match &inner.task {
        Part::None => Taken::Goes(end),
        Part::Drives(_) => drive::take(inner, end),
        Part::May => match end {
            Final::Whole(Outcome::Result(result)) => created(inner, result),
            end => Taken::Goes(end),
        },
        Part::About(about) => match end {
            Final::Whole(Outcome::Result(result)) => {
                let result = about_result(inner, about, &result);
                Taken::Step(Some(Step::Last(finish(inner, result))))
            }
            end => Taken::Goes(end),
        },
        Part::Lists(page) => match end {
            Final::Whole(Outcome::Result(result)) => {
                let result = listed(inner, page.clone(), &result);
                Taken::Step(Some(Step::Last(finish(inner, result))))
            }
            // A session that is gone has no tasks.
            Final::Whole(Outcome::Error(error)) if error.code == Code::INVALID_PARAMS => {
                let result = listed(inner, page.clone(), &RawJson::EMPTY_OBJECT);
                Taken::Step(Some(Step::Last(finish(inner, result))))
            }
            end => Taken::Goes(end),
        },
    }
}

fn finish(inner: &mut Inner, result: RawJson) -> Last {
    inner.record.bytes_out = result.as_bytes().len();
    inner.end_with(End::Ok, Outcome::Result(result))
}

/// The answer to a call that may be a task.
fn created(inner: &mut Inner, result: RawJson) -> Taken {
    let server = inner.server_version.era();
    let Some(raw) = created_task(&result, server) else {
        return Taken::Goes(Final::Whole(Outcome::Result(result)));
    };
    let Some(task) = Task::read(&raw) else {
        let failure = Failure::new(FailureKind::Protocol, "the answer is a task without id or status");
        return Taken::Goes(Final::Failed(failure));
    };
    let place = (&inner.principal, &*inner.server);
    let id = inner.gateway.issue_task(place, &inner.target.name, &task, inner.ctx.anchor.as_ref());
    let result = match (&inner.client, server) {
        (Client::Modern, Era::Modern) => with_task_id(&result, &id),
        (Client::Modern, Era::Legacy) => task_for_modern(&raw, &id, task.status, "task"),
        (Client::Legacy { .. }, _) => {
            let result = clean(inner, &Method::ToolsCall, &result);
            let result = with_related_task(&result, Some(&id));
            result.with(&[], &[("task", &with_task_id(&raw, &id))])
        }
    };
    Taken::Step(Some(Step::Last(finish(inner, result))))
}

/// A question of a task names it: its client has to read the id it knows.
pub(crate) fn name_in(inner: &Inner, ask: &mut Ask) {
    if let (Part::About(about), Some(params)) = (&inner.task, &ask.params) {
        ask.params = Some(with_related_task(params, Some(&about.id)));
    }
}

fn clean(inner: &Inner, method: &Method, result: &RawJson) -> RawJson {
    payload::result_for_client(method, result, inner.ctx.version, inner.server_version.era())
}

/// An answer about a task, under the id that its client knows.
fn about_result(inner: &Inner, about: &About, result: &RawJson) -> RawJson {
    // The result of a task is that of its tool.
    let method =
        if inner.request.method == Method::TasksResult { &Method::ToolsCall } else { &inner.request.method };
    let result = clean(inner, method, result);
    if inner.request.method == Method::TasksResult {
        return with_related_task(&result, Some(&about.id));
    }
    if result.get("taskId").is_some_and(|id| id.kind() == Kind::String) {
        return with_related_task(&with_task_id(&result, &about.id), Some(&about.id));
    }
    result
}

/// A page of a legacy server's list: the tasks of this principal, under the ids it knows.
fn listed(inner: &Inner, page: Page, result: &RawJson) -> RawJson {
    let mut tasks = Vec::from(*b"[");
    for task in result.get("tasks").and_then(|tasks| tasks.elements()).unwrap_or_default() {
        let known = task
            .get("taskId")
            .and_then(|id| id.string_value())
            .and_then(|id| inner.gateway.tasks.issued.find(inner.principal.id(), inner.server.name(), &id));
        let Some(id) = known else { continue };
        if tasks.len() > 1 {
            tasks.push(b',');
        }
        tasks.extend_from_slice(with_related_task(&with_task_id(&task, &id), Some(&id)).as_bytes());
    }
    tasks.push(b']');
    let cursor = result.get("nextCursor").and_then(|cursor| cursor.string_value());
    let next = page
        .next(cursor)
        .map(|next| RawJson::string(&inner.gateway.seal_page(&inner.principal, inner.server.door(), &next)));
    let tasks = RawJson::built(tasks);
    let result = clean(inner, &Method::TasksList, result);
    match &next {
        Some(next) => result.with(&[], &[("tasks", &tasks), ("nextCursor", next)]),
        None => result.with(&["nextCursor"], &[("tasks", &tasks)]),
    }
}

/// A task of the extension with what belongs to its status, from a legacy server's task.
pub(super) fn detail(
    task: &RawJson,
    read: &Task,
    status: TaskStatus,
    more: Option<(&str, &RawJson)>,
) -> RawJson {
    let result = task_for_modern(task, &read.id, status, "complete");
    match more {
        Some((key, value)) => result.with(&[], &[(key, value)]),
        None => result,
    }
}

/// `inputRequests` as JSON.
pub(super) fn input_requests<'a>(
    asks: impl Iterator<Item = (&'a Text, &'a str, Option<&'a RawJson>)>,
) -> RawJson {
    let mut out = Vec::from(*b"{");
    for (key, method, params) in asks {
        let mut request = Vec::from(*b"{");
        json::write_member(&mut request, "method", RawJson::string(method).as_bytes());
        if let Some(params) = params {
            json::write_member(&mut request, "params", params.as_bytes());
        }
        request.push(b'}');
        json::write_member(&mut out, key, &request);
    }
    out.push(b'}');
    RawJson::built(out)
}

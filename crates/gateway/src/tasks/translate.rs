//! A legacy server's task for a modern client: `tasks/get`, `tasks/update` and `tasks/cancel` of the extension, answered
//! with the requests of the core feature (mcp.md 4.5, tasks). The leg that comes of it speaks as a modern server would.

use super::{
    ending::{detail, input_requests},
    held::{Hold, Key},
};
use crate::{Gateway, collect, error, server::Server, server::forward, state::TaskState};
use portreeve_mcp::{
    Code, Ctx, Era, Event, Leg, Method, Outcome, Params, RawJson, Request, RpcError, Version,
    json::Kind,
    payload::{self, Task, TaskStatus, with_related_task},
    service::{Failure, FailureKind, Final, generate},
};
use portreeve_model::Principal;
use portreeve_policy::Target;
use std::sync::Arc;

const ACKNOWLEDGED: RawJson = RawJson::from_static("{\"resultType\":\"complete\"}");

/// A legacy task and the way to it.
pub(crate) struct Far {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) server: Arc<Server>,
    pub(crate) principal: Principal,
    pub(crate) target: Target,
    pub(crate) ctx: Ctx,
    pub(crate) state: TaskState,
    /// The revision of the server.
    pub(crate) version: Version,
}

/// Why there is no answer.
enum Stop {
    Error(RpcError),
    Failed(Failure),
}

/// A leg that answers as a modern server would.
pub(crate) fn translated(far: Far, request: Request) -> Leg {
    generate(move |_| async move {
        let answer = match request.method {
            Method::TasksGet => far.get().await,
            Method::TasksUpdate => far.update(&request.params).await,
            Method::TasksCancel => far.cancel().await,
            ref other => Err(Stop::Error(error::method_not_found(other.as_str()))),
        };
        match answer {
            Ok(result) => Event::result(result),
            Err(Stop::Error(error)) => Event::error(error),
            Err(Stop::Failed(failure)) => Event::Final(Final::Failed(failure)),
        }
    })
}

impl Far {
    pub(super) fn key(&self) -> Key {
        (self.server.name().clone(), self.state.clone())
    }

    /// Opens a request about the task. Each is decided: rules may have changed since the call.
    pub(super) fn open(&self, method: Method) -> Option<Leg> {
        let (proof, _) = self.gateway.decide(&self.principal, self.target.clone()).ok()?;
        let mut params = Params::default();
        params.set("taskId", RawJson::string(&self.state.task));
        Some(forward(proof, &self.server, self.ctx.clone(), Request { method, params }))
    }

    async fn ask(&self, method: Method) -> Result<Outcome, Stop> {
        let leg = self.open(method).ok_or_else(|| Stop::Error(error::bad_task()))?;
        collect::collect(leg).await.map_err(Stop::Failed)
    }

    async fn task(&self) -> Result<(RawJson, Task), Stop> {
        match self.ask(Method::TasksGet).await? {
            Outcome::Result(raw) => match Task::read(&raw) {
                Some(task) => Ok((raw, task)),
                None => {
                    let failure = Failure::new(FailureKind::Protocol, "the task has no id or status");
                    Err(Stop::Failed(failure))
                }
            },
            Outcome::Error(error) if error.code == Code::INVALID_PARAMS => {
                Err(Stop::Error(error::bad_task()))
            }
            Outcome::Error(error) => {
                let (params, newest) = (Params::default(), Version::NEWEST);
                let error =
                    payload::error_for_client(&error, &Method::TasksGet, &params, newest, Era::Legacy);
                Err(Stop::Error(error))
            }
        }
    }

    async fn get(&self) -> Result<RawJson, Stop> {
        let (raw, task) = self.task().await?;
        match task.status {
            status @ (TaskStatus::Working | TaskStatus::Cancelled) => Ok(detail(&raw, &task, status, None)),
            TaskStatus::InputRequired => Ok(self.questions(&raw, &task).await),
            // There, a failure is also a result with `isError`; here, that is a completed task (check 167).
            TaskStatus::Completed | TaskStatus::Failed => match self.ask(Method::TasksResult).await? {
                Outcome::Result(result) => {
                    let result = with_related_task(&result, None);
                    let (method, newest) = (Method::ToolsCall, Version::NEWEST);
                    let result = payload::result_for_client(&method, &result, newest, Era::Legacy);
                    Ok(detail(&raw, &task, TaskStatus::Completed, Some(("result", &result))))
                }
                Outcome::Error(error) => {
                    Ok(detail(&raw, &task, TaskStatus::Failed, Some(("error", &error.encode()))))
                }
            },
        }
    }

    /// A task that waits for answers: its `tasks/result` is held open, and what comes on it are the questions.
    async fn questions(&self, raw: &RawJson, task: &Task) -> RawJson {
        let hold = self.gateway.tasks.holds.open(self);
        let asked = match &hold {
            Some(hold) => hold.questions().await,
            None => Vec::new(),
        };
        if asked.is_empty() {
            // Everything is answered and the server has not read it yet, or its questions are on their way.
            return detail(raw, task, TaskStatus::Working, None);
        }
        let asks = asked.iter().map(|ask| (&ask.key, ask.method, ask.params.as_ref()));
        let requests = input_requests(asks);
        detail(raw, task, TaskStatus::InputRequired, Some(("inputRequests", &requests)))
    }

    async fn update(&self, params: &Params) -> Result<RawJson, Stop> {
        let answers = params.get("inputResponses").filter(|answers| answers.kind() == Kind::Object);
        let Some(answers) = answers else {
            let text = "`params.inputResponses` must be an object";
            return Err(Stop::Error(RpcError::new(Code::INVALID_PARAMS, text)));
        };
        match self.gateway.tasks.holds.get(&self.key()) {
            Some(hold) => Hold::answer(&hold, answers, self.version)
                .map_err(|fault| Stop::Error(RpcError::new(Code::INVALID_PARAMS, fault)))?,
            // Nothing is open, so there is nothing to answer; but the task has to be there.
            None => drop(self.task().await?),
        }
        Ok(ACKNOWLEDGED)
    }

    /// Acknowledged whenever the task is there, also when it has ended (check 166).
    async fn cancel(&self) -> Result<RawJson, Stop> {
        if let Outcome::Error(_) = self.ask(Method::TasksCancel).await? {
            self.task().await?;
        }
        Ok(ACKNOWLEDGED)
    }
}

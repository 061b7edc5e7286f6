//! Tools that run as tasks: made by one request, looked at, answered and cancelled by others. In the process only,
//! bounded in number and in time, under ids that nobody guesses, and only for whoever made them. How a task is told in
//! each era is in `tasks/wire.rs`; the tools themselves are in `tasks/tools.rs`.

pub(super) mod tools;
mod wire;

pub(super) use wire::extension_needed;

use super::call::{Answer, Question, Stop, check_answer};
use futures_channel::oneshot;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use portreeve_mcp::{
    Code, Ctx, Event, Outcome, RpcError, Version,
    payload::{TaskStatus, TaskSupport},
    service::{Ask, AskKey, Emitter, Reply},
};
use portreeve_model::IsolationKey;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

/// How long a task is kept when its maker names no time.
const TTL: Duration = Duration::from_secs(5 * 60);
/// How long it is kept at most.
const MAX_TTL: Duration = Duration::from_secs(60 * 60);
/// How many tasks there may be; the oldest that has ended leaves first.
const MAX_TASKS: usize = 256;
/// How often a client should look.
const POLL_MS: u64 = 250;

/// How a call of a tool is to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Here and now.
    Now,
    /// As a task that is kept for this long.
    Task(Duration),
}

/// Decides how a tool is run. Modern: the server decides, for those who know the extension. 2025-11-25: the caller asks
/// for it with `task`. Earlier: nobody knows of tasks, so the caller waits.
pub(super) fn way(support: TaskSupport, ctx: &Ctx, asked: Option<&Value>) -> Result<Way, RpcError> {
    let wrong = |text: &str| Err(RpcError::new(Code::METHOD_NOT_FOUND, text));
    match (ctx.version, support) {
        (Version::V2026_07_28, TaskSupport::Forbidden) => Ok(Way::Now),
        (Version::V2026_07_28, _) if ctx.tasks.is_some() => Ok(Way::Task(TTL)),
        (Version::V2026_07_28, TaskSupport::Required) => Err(wire::extension_needed()),
        (Version::V2025_11_25, TaskSupport::Forbidden) if asked.is_some() => {
            wrong("this tool cannot be run as a task")
        }
        (Version::V2025_11_25, TaskSupport::Required) if asked.is_none() => {
            wrong("this tool can only be run as a task")
        }
        (Version::V2025_11_25, _) => Ok(asked.map_or(Way::Now, |asked| {
            let wanted = asked["ttl"].as_u64().map_or(TTL, Duration::from_millis);
            Way::Task(wanted.min(MAX_TTL))
        })),
        _ => Ok(Way::Now),
    }
}

/// All tasks of one demo server.
#[derive(Default)]
pub(super) struct Tasks {
    all: Mutex<BTreeMap<u64, Arc<Entry>>>,
    /// What runs in them; it ends with the server.
    work: Mutex<JoinSet<()>>,
}

/// One task.
pub(super) struct Entry {
    id: String,
    owner: IsolationKey,
    created: SystemTime,
    ttl: Duration,
    expires: Instant,
    state: Mutex<State>,
    /// Counts changes, for those who wait for one.
    changed: watch::Sender<u64>,
    work: OnceLock<AbortHandle>,
}

struct State {
    status: TaskStatus,
    message: Option<String>,
    updated: SystemTime,
    end: Option<Result<Value, RpcError>>,
    open: Vec<Open>,
}

/// A question that the task waits for.
struct Open {
    question: Question,
    /// A legacy `tasks/result` has put it to its client.
    shown: bool,
    answer: oneshot::Sender<Result<Value, String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one text for every id that means nothing to this caller.
fn unknown() -> RpcError {
    RpcError::new(Code::INVALID_PARAMS, "unknown or expired task")
}

impl Tasks {
    /// Makes a task that runs this, and starts it.
    pub(super) fn start(
        &self,
        owner: IsolationKey,
        ttl: Duration,
        run: impl FnOnce(Handle) -> BoxFuture<'static, Answer>,
    ) -> Result<Arc<Entry>, RpcError> {
        let mut random = [0u8; 16];
        getrandom::fill(&mut random)
            .map_err(|_| RpcError::new(Code::INTERNAL, "the system gives no random numbers"))?;
        let now = SystemTime::now();
        let entry = Arc::new(Entry {
            id: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            owner,
            created: now,
            ttl,
            expires: Instant::now() + ttl,
            state: Mutex::new(State {
                status: TaskStatus::Working,
                message: None,
                updated: now,
                end: None,
                open: Vec::new(),
            }),
            changed: watch::Sender::new(0),
            work: OnceLock::new(),
        });
        self.keep(&entry)?;
        let (running, own) = (run(Handle(Arc::clone(&entry))), Arc::clone(&entry));
        let mut all = lock(&self.work);
        while all.try_join_next().is_some() {}
        let work = all.spawn(async move {
            match tokio::time::timeout(ttl, running).await {
                Ok(answer) => own.finish(answer),
                Err(_) => own.finish(Err(RpcError::new(Code::INTERNAL, "the task took too long").into())),
            }
        });
        // The entry is new, so nobody has set it before.
        let _ = entry.work.set(work);
        Ok(entry)
    }

    fn keep(&self, entry: &Arc<Entry>) -> Result<(), RpcError> {
        let mut all = lock(&self.all);
        all.retain(|_, entry| entry.expires > Instant::now());
        if all.len() >= MAX_TASKS {
            let ended = all.iter().find(|(_, entry)| lock(&entry.state).status.is_terminal());
            let Some(oldest) = ended.map(|(number, _)| *number) else {
                return Err(RpcError::new(Code::INTERNAL, "too many tasks are running; try again later"));
            };
            all.remove(&oldest);
        }
        let number = all.keys().next_back().map_or(0, |last| last + 1);
        all.insert(number, Arc::clone(entry));
        Ok(())
    }

    /// A task of this caller.
    pub(super) fn find(&self, owner: &IsolationKey, id: &str) -> Result<Arc<Entry>, RpcError> {
        let mut all = lock(&self.all);
        all.retain(|_, entry| entry.expires > Instant::now());
        all.values().find(|entry| entry.id == id && entry.owner == *owner).cloned().ok_or_else(unknown)
    }

    /// All tasks of this caller, oldest first.
    fn of(&self, owner: &IsolationKey) -> Vec<Arc<Entry>> {
        let mut all = lock(&self.all);
        all.retain(|_, entry| entry.expires > Instant::now());
        all.values().filter(|entry| entry.owner == *owner).cloned().collect()
    }
}

impl Entry {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        if state.status.is_terminal() {
            return;
        }
        change(&mut state);
        state.updated = SystemTime::now();
        drop(state);
        self.changed.send_modify(|count| *count += 1);
    }

    fn finish(&self, answer: Answer) {
        let end = match answer {
            Ok(result) => Ok(result),
            Err(Stop::Error(error)) => Err(error),
            Err(Stop::Failed(text)) => Err(RpcError::new(Code::INTERNAL, text)),
            Err(Stop::Ask(_)) => Err(RpcError::new(Code::INTERNAL, "a task asks while it runs")),
        };
        self.change(|state| {
            state.status = if end.is_ok() { TaskStatus::Completed } else { TaskStatus::Failed };
            state.end = Some(end);
            state.open.clear();
        });
    }

    /// Gives it up; tells whether it still ran.
    pub(super) fn cancel(&self) -> bool {
        let ran = !lock(&self.state).status.is_terminal();
        if let Some(work) = self.work.get() {
            work.abort();
        }
        self.change(|state| {
            state.status = TaskStatus::Cancelled;
            state.open.clear();
        });
        ran
    }

    /// Takes answers to open questions. Unknown and answered ones are ignored, those of a wrong shape refused.
    pub(super) fn answer(&self, answers: &Map<String, Value>) -> Result<(), RpcError> {
        let open = |key: &str| {
            let state = lock(&self.state);
            state.open.iter().find(|open| open.question.key == key).map(|open| open.question.clone())
        };
        for (key, value) in answers {
            if let Some(question) = open(key) {
                check_answer(&question, value)?;
            }
        }
        for (key, value) in answers {
            self.give(key, Ok(value.clone()));
        }
        Ok(())
    }

    fn give(&self, key: &str, value: Result<Value, String>) {
        self.change(|state| {
            let Some(at) = state.open.iter().position(|open| open.question.key == key) else { return };
            // The task may be gone in this very moment.
            let _ = state.open.remove(at).answer.send(value);
            if state.open.is_empty() {
                state.status = TaskStatus::Working;
            }
        });
    }

    /// The questions that no `tasks/result` has put to its client yet.
    fn to_show(&self) -> Vec<Question> {
        let mut state = lock(&self.state);
        let fresh = state.open.iter_mut().filter(|open| !open.shown);
        fresh
            .map(|open| {
                open.shown = true;
                open.question.clone()
            })
            .collect()
    }

    /// Legacy `tasks/result`: waits for the end, and puts the task's questions to the client meanwhile.
    pub(super) async fn outcome(self: &Arc<Self>, emitter: &Emitter) -> Answer {
        let mut changed = self.changed.subscribe();
        let mut answers = FuturesUnordered::new();
        let _showing = Showing(Arc::clone(self));
        let mut next = 0;
        loop {
            for question in self.to_show() {
                let (reply, answer) = Reply::new();
                let params = Some(wire::related(question.named_params(), &self.id).into());
                let ask = Ask { key: AskKey(next), kind: question.kind, params, reply, point: None };
                next += 1;
                emitter.emit(Event::Ask(ask)).await;
                answers.push(async move { (question, answer.await) });
            }
            if let Some(end) = self.end() {
                return end;
            }
            tokio::select! {
                _ = changed.changed() => {}
                Some((question, answer)) = answers.next(), if !answers.is_empty() => {
                    self.give(question.key, told(&question, answer));
                }
            }
        }
    }

    fn end(&self) -> Option<Answer> {
        let state = lock(&self.state);
        match (&state.end, state.status) {
            (Some(Ok(result)), _) => Some(Ok(wire::related(result.clone(), &self.id))),
            (Some(Err(error)), _) => Some(Err(error.clone().into())),
            (None, TaskStatus::Cancelled) => {
                Some(Err(RpcError::new(Code::INVALID_PARAMS, "the task was cancelled").into()))
            }
            (None, _) => None,
        }
    }
}

/// A legacy client's answer as the task gets it.
fn told(question: &Question, answer: Result<Outcome, oneshot::Canceled>) -> Result<Value, String> {
    match answer {
        Ok(Outcome::Result(raw)) => {
            let value = raw.to_value();
            check_answer(question, &value).map_err(|error| error.message.to_string())?;
            Ok(value)
        }
        Ok(Outcome::Error(error)) => Err(format!("the client refused: {}", error.message)),
        Err(_) => Err("nobody answered".to_owned()),
    }
}

/// While it lives a `tasks/result` shows questions; after it another one may.
struct Showing(Arc<Entry>);

impl Drop for Showing {
    fn drop(&mut self) {
        for open in &mut lock(&self.0.state).open {
            open.shown = false;
        }
    }
}

/// The task as the tool in it sees it.
#[derive(Clone)]
pub(super) struct Handle(Arc<Entry>);

impl Handle {
    /// Says how far it is.
    pub(super) fn say(&self, message: &str) {
        self.0.change(|state| state.message = Some(message.to_owned()));
    }

    /// Asks questions that are open at the same time, and gives the answers in their order.
    pub(super) async fn ask_all(&self, questions: Vec<Question>) -> Result<Vec<Value>, Stop> {
        let mut waiting = Vec::with_capacity(questions.len());
        self.0.change(|state| {
            for question in questions {
                let (answer, given) = oneshot::channel();
                state.open.push(Open { question, shown: false, answer });
                waiting.push(given);
            }
            state.status = TaskStatus::InputRequired;
        });
        let mut answers = Vec::with_capacity(waiting.len());
        for given in waiting {
            let answer = given.await.map_err(|_| Stop::Failed("nobody answered".to_owned()))?;
            answers.push(answer.map_err(Stop::Failed)?);
        }
        Ok(answers)
    }
}

/// `tasks/list` (2025-11-25): all on one page.
pub(super) fn list(tasks: &Tasks, owner: &IsolationKey) -> Value {
    let all: Vec<Value> = tasks.of(owner).iter().map(|entry| entry.legacy()).collect();
    json!({"tasks": all})
}

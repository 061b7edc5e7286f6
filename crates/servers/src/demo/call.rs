//! What a running tool or prompt can do besides answering: tell progress, log, wait, and ask the client's side.
//! Asking is where the two eras differ, and only here: towards a legacy caller a question goes out in the middle of
//! the call; towards a modern one the call ends with the questions and is run again from its start with the answers
//! (spec: basic/patterns/mrtr). Tools therefore ask before they change anything.

use super::{NoRandomness, Server, arguments::Arguments, need::Need, state::State, tasks};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use portreeve_mcp::{
    Code, Ctx, Era, Event, Feature, LogLevel, Method, Outcome, Params, RawJson, RpcError, Text, Version,
    meta,
    service::{Ask, AskKey, AskKind, Emitter, InputRequest, InputRequired, Notification, Reply},
};
use serde_json::{Map, Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// `_meta` key by which a legacy question names itself, so that a bridge that has to invent a key for it can take
/// this one. Third-party keys pass; whoever does not know it ignores it.
pub(super) const ASK_NAME: &str = "portreeve/ask";

/// Which of the demo's own progress tokens this is: legs are told apart by the caller, so one is enough.
const PROGRESS_TOKEN: u64 = 1;

/// Why a handler stops before its answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The tool failed in a way that a model can mend: a result with `isError`.
    Failed(String),
    /// The call itself is wrong: a JSON-RPC error.
    Error(RpcError),
    /// The caller has to answer questions first.
    Ask(Box<InputRequired>),
}

impl From<RpcError> for Stop {
    fn from(error: RpcError) -> Self {
        Self::Error(error)
    }
}

/// What a handler gives: its result object without the fields that every result of a revision has.
pub(super) type Answer = Result<Value, Stop>;
/// A running handler.
pub(super) type Running = BoxFuture<'static, Answer>;

/// A question for the client's side.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Its name within the call.
    pub(super) key: &'static str,
    /// What kind.
    pub(super) kind: AskKind,
    /// Its parameters.
    pub(super) params: Value,
}

impl Question {
    pub(super) fn form(key: &'static str, message: &str, schema: &Value) -> Self {
        Self { key, kind: AskKind::Elicit, params: json!({"message": message, "requestedSchema": schema}) }
    }

    pub(super) fn sample(key: &'static str, prompt: &str, most_tokens: u32) -> Self {
        let content = json!({"type": "text", "text": prompt});
        let params = json!({"messages": [{"role": "user", "content": content}], "maxTokens": most_tokens});
        Self { key, kind: AskKind::Sample, params }
    }

    /// A turn of a conversation in which the model may use tools.
    pub(super) fn converse(key: &'static str, messages: &[Value], tools: &Value, most_tokens: u32) -> Self {
        let params = json!({
            "messages": messages, "tools": tools, "toolChoice": {"mode": "auto"}, "maxTokens": most_tokens,
        });
        Self { key, kind: AskKind::Sample, params }
    }

    /// A page that the person is asked to open. The id is for revisions that tell when the person is done with it.
    pub(super) fn page(key: &'static str, message: &str, url: &str, id: Option<&str>) -> Self {
        let mut params = json!({"mode": "url", "message": message, "url": url});
        if let Some(id) = id {
            params["elicitationId"] = Value::from(id);
        }
        Self { key, kind: AskKind::Elicit, params }
    }

    pub(super) fn roots(key: &'static str) -> Self {
        Self { key, kind: AskKind::Roots, params: json!({}) }
    }

    /// The parameters with the question's name, for a legacy caller.
    pub(super) fn named_params(&self) -> Value {
        let mut params = self.params.clone();
        params["_meta"] = json!({ASK_NAME: self.key});
        params
    }
}

/// Where a running tool speaks.
enum Way {
    /// On the leg of its call.
    Leg(Emitter),
    /// In a task, whose caller is gone.
    Task(tasks::Handle),
}

/// One call on its way.
pub(super) struct Call {
    pub(super) demo: Arc<Server>,
    pub(super) ctx: Ctx,
    pub(super) arguments: Arguments,
    way: Way,
    /// What identifies the call across its rounds.
    binding: Vec<u8>,
    /// Answers that came with this request or were carried in its state.
    answers: Map<String, Value>,
    round: u32,
    next_ask: AtomicU64,
}

impl Call {
    /// Reads the parts of a request that every interactive method shares. A bad state or malformed answers end it.
    pub(super) fn new(
        demo: Arc<Server>,
        ctx: Ctx,
        params: &Params,
        emitter: Emitter,
    ) -> Result<Self, RpcError> {
        let given = params.get("arguments").map_or(Value::Null, RawJson::to_value);
        let arguments = Arguments::new(given)
            .ok_or_else(|| RpcError::new(Code::INVALID_PARAMS, "`arguments` must be an object"))?;
        let binding = [ctx.isolation.as_str().as_bytes(), b"\0", &params.canonical()].concat();
        let mut call = Self {
            demo,
            ctx,
            arguments,
            way: Way::Leg(emitter),
            binding,
            answers: Map::new(),
            round: 0,
            next_ask: AtomicU64::new(1),
        };
        if call.era() == Era::Modern {
            call.read_answers(params)?;
        }
        Ok(call)
    }

    /// The era of the caller's side.
    pub(super) fn era(&self) -> Era {
        self.ctx.version.era()
    }

    /// How many rounds of questions were answered before this run.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// The same call, believing answers only where a state of this call came with them.
    pub(super) fn only_with_state(mut self) -> Self {
        if self.round == 0 {
            self.answers.clear();
        }
        self
    }

    /// Asks a question now and keeps the answer, so that the tool need not ask it again.
    pub(super) async fn ask_first(mut self, question: Question) -> Result<Self, Stop> {
        let key = question.key;
        let answer = self.ask(question).await?;
        self.answers.insert(key.to_owned(), answer);
        Ok(self)
    }

    /// The same call, going on as a task.
    pub(super) fn in_task(mut self, task: tasks::Handle) -> Self {
        self.way = Way::Task(task);
        self
    }

    fn read_answers(&mut self, params: &Params) -> Result<(), RpcError> {
        if let Some(raw) = params.get("requestState") {
            let text = raw.string_value().ok_or_else(|| bad("`requestState` must be a string"))?;
            let state = self.demo.tags.open(&text, &self.binding, self.demo.uptime_seconds());
            let state = state.map_err(|refused| bad(&refused.to_string()))?;
            (self.round, self.answers) = (state.round, state.answers);
        }
        if let Some(raw) = params.get("inputResponses") {
            let Value::Object(given) = raw.to_value() else {
                return Err(bad("`inputResponses` must be an object"));
            };
            self.answers.extend(given);
        }
        Ok(())
    }

    /// Asks one question.
    pub(super) async fn ask(&self, question: Question) -> Result<Value, Stop> {
        let answers = self.ask_all(vec![question]).await?;
        answers.into_iter().next().ok_or_else(|| Stop::Failed("the client gave no answer".to_owned()))
    }

    /// Asks several questions at once and gives the answers in their order.
    pub(super) async fn ask_all(&self, questions: Vec<Question>) -> Result<Vec<Value>, Stop> {
        match (&self.way, self.era()) {
            (Way::Task(task), _) => self.ask_in_task(task, questions).await,
            (Way::Leg(emitter), Era::Legacy) => self.ask_in_the_middle(emitter, &questions).await,
            (Way::Leg(_), Era::Modern) => self.ask_by_ending(&questions),
        }
    }

    /// A task asks whoever looks at it next; what was answered before it became a task is known.
    async fn ask_in_task(&self, task: &tasks::Handle, questions: Vec<Question>) -> Result<Vec<Value>, Stop> {
        let known: Option<Vec<_>> =
            questions.iter().map(|question| self.answers.get(question.key).cloned()).collect();
        if let Some(answers) = known {
            return Ok(answers);
        }
        if let Some(need) = self.unmet(&questions) {
            return Err(need.missing().into());
        }
        task.ask_all(questions).await
    }

    async fn ask_in_the_middle(&self, emitter: &Emitter, questions: &[Question]) -> Result<Vec<Value>, Stop> {
        if let Some(need) = self.unmet(questions) {
            return Err(Stop::Failed(format!("this client does not offer {}", need.name())));
        }
        let mut waiting = Vec::with_capacity(questions.len());
        for question in questions {
            let params = question.named_params();
            let key = AskKey(self.next_ask.fetch_add(1, Ordering::Relaxed));
            let (reply, answer) = Reply::new();
            let ask = Ask { key, kind: question.kind, params: Some(params.into()), reply, point: None };
            emitter.emit(Event::Ask(ask)).await;
            waiting.push((question, answer));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (question, answer) in waiting {
            let value = match answer.await {
                Ok(Outcome::Result(raw)) => raw.to_value(),
                Ok(Outcome::Error(error)) => {
                    return Err(Stop::Failed(format!("the client refused: {}", error.message)));
                }
                Err(_) => return Err(Stop::Failed("nobody answered".to_owned())),
            };
            check_answer(question, &value).map_err(|error| Stop::Failed(error.message.to_string()))?;
            answers.push(value);
        }
        Ok(answers)
    }

    fn ask_by_ending(&self, questions: &[Question]) -> Result<Vec<Value>, Stop> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut missing = Vec::new();
        for question in questions {
            match self.answers.get(question.key) {
                Some(value) => {
                    check_answer(question, value)?;
                    answers.push(value.clone());
                }
                None => missing.push(question),
            }
        }
        if missing.is_empty() {
            return Ok(answers);
        }
        if let Some(need) = self.unmet(missing.iter().copied()) {
            return Err(need.missing().into());
        }
        Err(Stop::Ask(Box::new(self.input_required(&missing))))
    }

    fn input_required(&self, missing: &[&Question]) -> InputRequired {
        let state = State {
            round: self.round + 1,
            issued: self.demo.uptime_seconds(),
            answers: self.answers.clone(),
        };
        let state = self.demo.tags.close(&state, &self.binding);
        let requests: Map<String, Value> = missing
            .iter()
            .map(|question| {
                let request = json!({"method": question.kind.method().as_str(), "params": question.params});
                (question.key.to_owned(), request)
            })
            .collect();
        let asks = missing.iter().map(|question| InputRequest {
            key: Text::from(question.key),
            kind: question.kind,
            params: Some(question.params.clone().into()),
        });
        let raw = json!({
            "resultType": "input_required",
            "inputRequests": requests,
            "requestState": state,
            "_meta": {meta::SERVER_INFO: super::server_info()},
        });
        InputRequired { state: Some(Text::from(state)), asks: asks.collect(), raw: raw.into() }
    }

    /// Whether the caller declared that it can be asked this.
    pub(super) fn can_be_asked(&self, question: &Question) -> bool {
        Need::of(question).met(self.ctx.capabilities.flags())
    }

    /// The first thing that the questions need and the caller did not declare.
    fn unmet<'a>(&self, questions: impl IntoIterator<Item = &'a Question>) -> Option<Need> {
        questions.into_iter().find(|question| !self.can_be_asked(question)).map(Need::of)
    }

    /// A new id for a page; only 2025-11-25 has ids for them.
    pub(super) fn page_id(&self) -> Result<Option<String>, Stop> {
        if self.ctx.version != Version::V2025_11_25 {
            return Ok(None);
        }
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| Stop::Failed(NoRandomness(error).to_string()))?;
        Ok(Some(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Says that the person is done with a page that has an id.
    pub(super) async fn page_done(&self, id: Option<String>) {
        if let Some(id) = id {
            self.tell(Method::ElicitationComplete, json!({"elicitationId": id})).await;
        }
    }

    /// Tells how far the call is, if the caller wants to know.
    pub(super) async fn progress(&self, done: u64, total: u64, message: &str) {
        if let Way::Task(task) = &self.way {
            return task.say(message);
        }
        if self.ctx.wants_progress {
            let params = json!({"progressToken": PROGRESS_TOKEN, "progress": done, "total": total, "message": message});
            self.tell(Method::Progress, params).await;
        }
    }

    /// Logs, if the caller asked for messages of this level.
    pub(super) async fn log(&self, level: LogLevel, message: &str) {
        if self.ctx.log_level.is_some_and(|wanted| level >= wanted) {
            self.tell(
                Method::LogMessage,
                json!({"level": level.as_str(), "logger": "demo", "data": message}),
            )
            .await;
        }
    }

    /// Closes the stream of a caller that can take it up again after this time, as a server does that spares connections
    /// (spec 2025-11-25: basic/transports).
    pub(super) async fn hang_up(&self, retry: Duration) {
        if self.ctx.version.supports(Feature::Polling) {
            let Way::Leg(emitter) = &self.way else { return };
            emitter.emit(Event::HangUp(Some(retry))).await;
        }
    }

    async fn tell(&self, method: Method, params: Value) {
        // A task has nobody who hears it (extension: no progress and no log messages).
        let Way::Leg(emitter) = &self.way else { return };
        emitter.emit(Event::Notification(Notification { method, params: Some(params.into()) })).await;
    }

    /// Waits. A dropped leg ends the wait and the call with it.
    pub(super) async fn pause(&self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}

fn bad(message: &str) -> RpcError {
    RpcError::new(Code::INVALID_PARAMS, message)
}

/// Whether an answer has the shape of its kind; what is inside is the handler's business.
pub(super) fn check_answer(question: &Question, value: &Value) -> Result<(), RpcError> {
    let good = match question.kind {
        AskKind::Elicit => matches!(value["action"].as_str(), Some("accept" | "decline" | "cancel")),
        AskKind::Sample => value["role"].is_string() && !value["content"].is_null(),
        AskKind::Roots => value["roots"].is_array(),
    };
    let method = question.kind.method();
    if good {
        Ok(())
    } else {
        Err(bad(&format!("the answer to `{}` is not one to {}", question.key, method.as_str())))
    }
}

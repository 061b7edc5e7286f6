//! Where the two eras meet. A legacy server asks in the middle of a call, a modern server ends a leg with questions; a
//! legacy client answers requests, a modern client repeats its call with answers. Hence four ways (architecture: the bridge):
//! *direct* and *loop* for legacy clients, *park* and *relay* for modern ones. No other file knows both eras.

use crate::{
    Gateway, Server, error,
    exchange::{Client, Inner, Last, Stage, Step, tool_failure},
    park::{OpenQuestion, Parked},
    record::End,
    state::{CallDigest, RequestState},
};
use futures_channel::oneshot;
use portreeve_mcp::{
    Code, Id, LogLevel, Method, Outcome, Params, RawJson, Request, RpcError, Text, frame, json,
    payload::{self, Answered, AskRewrite},
    service::{Ask, AskKey, AskKind, FailureKind, InputRequest, InputRequired, Reply},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// How long a parked call waits for sibling questions before its client is asked: questions that belong together
/// come within one turn of the server's loop.
const SIBLINGS: Duration = Duration::from_millis(25);
/// The first pause before a request is repeated that nobody was asked for; it doubles with each round.
const PACE: Duration = Duration::from_millis(100);
/// The longest such pause.
const MAX_PACE: Duration = Duration::from_secs(5);
/// How long a call waits for a child before the longest unanswered question gives its child up.
const PATIENCE: Duration = Duration::from_secs(5);
/// The `_meta` key under which a legacy server may name its question, as modern servers name theirs.
const ASK_NAME: &str = "portreeve/ask";
/// The longest such name.
const MAX_NAME: usize = 64;
/// How long a server may take to wind up a call whose question was never answered.
const WIND_UP: Duration = Duration::from_secs(2);

/// A question that is open.
pub(crate) struct OpenAsk {
    /// The server's key, for withdrawals.
    key: AskKey,
    kind: AskKind,
    rewrite: AskRewrite,
    reply: Reply,
    place: Place,
}

enum Place {
    /// At a legacy client, under this number.
    Client(u64, oneshot::Receiver<Outcome>),
    /// In a parked call, under this key.
    Parked(Text),
}

/// The window in which sibling questions arrive.
pub(crate) struct Gather {
    over: Pin<Box<Sleep>>,
}

impl Gather {
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.over.as_mut().poll(cx)
    }
}

/// Answers of a legacy client to a modern server's questions, as they come in.
pub(crate) struct Collect {
    state: Option<Text>,
    answers: Vec<Answer>,
}

struct Answer {
    key: Text,
    kind: AskKind,
    rewrite: AskRewrite,
    got: Got,
}

enum Got {
    Not(u64, oneshot::Receiver<Outcome>),
    Yes(Outcome),
}

impl Collect {
    /// Ready when every answer is there.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for answer in &mut self.answers {
            if let Got::Not(_, receiver) = &mut answer.got
                && let Poll::Ready(outcome) = Pin::new(receiver).poll(cx)
            {
                answer.got = Got::Yes(outcome.unwrap_or_else(|_| refusal(answer.kind)));
            }
        }
        if self.answers.iter().all(|answer| matches!(answer.got, Got::Yes(_))) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// What a server hears when nobody answers: elicitation has a word for it, the others have only errors.
fn refusal(kind: AskKind) -> Outcome {
    match kind {
        AskKind::Elicit => Outcome::Result(RawJson::from_static("{\"action\":\"cancel\"}")),
        AskKind::Sample => {
            Outcome::Error(RpcError::new(Code::REJECTED, "nobody answered the sampling request"))
        }
        AskKind::Roots => Outcome::Error(RpcError::new(Code::INTERNAL, "nobody answered the roots request")),
    }
}

/// Whether a log message is wanted by this call: at the asked level; a legacy client that set none leaves it to the server.
pub(crate) fn wants_log(inner: &Inner, params: &RawJson) -> bool {
    let level =
        params.get("level").and_then(|level| level.string_value()).and_then(|level| LogLevel::parse(&level));
    match (inner.ctx.log_level, &inner.client) {
        (Some(wanted), _) => level.is_some_and(|level| level >= wanted),
        (None, Client::Legacy { .. }) => true,
        (None, Client::Modern) => false,
    }
}

/// A legacy server asks in the middle of the call: *direct* or *park*.
pub(crate) fn on_ask(inner: &mut Inner, ask: Ask) {
    let Ask { key, kind, params, reply } = ask;
    if let (AskKind::Roots, Some(roots)) = (kind, &inner.server.roots) {
        return reply.answer(Outcome::Result(roots.clone()));
    }
    if !inner.can_ask(kind, params.as_ref()) {
        inner.withheld = Some(kind);
        return reply.answer(Outcome::Error(not_offered(inner, kind)));
    }
    if inner.detached {
        return reply.answer(refusal(kind));
    }
    if inner.record.rounds >= inner.gateway.limits.rounds {
        return reply.answer(refusal(kind));
    }
    if let Some(answer) = early_answer(inner, kind, params.as_ref()) {
        return reply.answer(Outcome::Result(answer));
    }
    let Some(rewrite) = rewritten(inner, kind, params.as_ref()) else { return reply.answer(refusal(kind)) };
    match &inner.client {
        Client::Legacy { session, .. } => {
            inner.record.rounds += 1;
            let number = inner.gateway.next_number();
            let receiver = session.ask(number);
            send_question(inner, kind, number, rewrite.params.as_ref());
            inner.asks.push(OpenAsk { key, kind, rewrite, reply, place: Place::Client(number, receiver) });
        }
        Client::Modern if inner.request.method.may_ask() && has_room(inner) => {
            let name = question_name(inner, params.as_ref());
            inner.asks.push(OpenAsk { key, kind, rewrite, reply, place: Place::Parked(name) });
            let over = Box::pin(tokio::time::sleep(SIBLINGS));
            inner.stage = Stage::Gathering(Gather { over });
        }
        Client::Modern => reply.answer(refusal(kind)),
    }
}

/// An answer that the client gave with its first request to a question that the server names itself.
fn early_answer(inner: &Inner, kind: AskKind, params: Option<&RawJson>) -> Option<RawJson> {
    let answer = inner.early.as_ref()?.get(&given_name(params)?)?;
    payload::check_answer(kind, &answer)
        .is_ok()
        .then(|| payload::answer_for_legacy(kind, &answer, inner.server_version))
}

/// The server's own name for its question.
fn given_name(params: Option<&RawJson>) -> Option<Text> {
    let name = params?.get("_meta")?.get(ASK_NAME)?.string_value()?;
    (1..=MAX_NAME).contains(&name.len()).then_some(name)
}

/// The key under which a modern client sees a legacy server's question: the server's own name for it, if it gives a
/// usable one in the question's `_meta`, else one of ours.
fn question_name(inner: &Inner, params: Option<&RawJson>) -> Text {
    let taken = |name: &Text| {
        inner.asks.iter().any(|ask| matches!(&ask.place, Place::Parked(known) if known == name))
    };
    match given_name(params) {
        Some(name) if !taken(&name) => name,
        _ => Text::from(format!("r{}.{}", inner.record.rounds + 1, inner.asks.len())),
    }
}

/// The question in the terms of the client's revision, if it can be put so.
fn rewritten(inner: &Inner, kind: AskKind, params: Option<&RawJson>) -> Option<AskRewrite> {
    match payload::ask_for_client(kind, params, inner.ctx.version) {
        Ok(rewrite) => Some(rewrite),
        Err(reason) => {
            tracing::warn!(request = %inner.record.request, server = %inner.server.name(), "a question was declined: {reason}");
            None
        }
    }
}

/// Takes the answers of a legacy client to a legacy server's questions, as they come in.
pub(crate) fn poll_asks(inner: &mut Inner, cx: &mut Context<'_>) {
    let mut at = 0;
    while at < inner.asks.len() {
        let ready = match &mut inner.asks[at].place {
            Place::Client(_, receiver) => Pin::new(receiver).poll(cx),
            Place::Parked(_) => Poll::Pending,
        };
        let Poll::Ready(outcome) = ready else {
            at += 1;
            continue;
        };
        let ask = inner.asks.remove(at);
        let outcome = outcome.unwrap_or_else(|_| refusal(ask.kind));
        match in_server_terms(inner, ask.kind, &ask.rewrite, outcome) {
            Ok(outcome) => ask.reply.answer(outcome),
            Err(question) => {
                let Client::Legacy { session, .. } = &inner.client else { continue };
                let number = inner.gateway.next_number();
                let place = Place::Client(number, session.ask(number));
                send_question(inner, ask.kind, number, Some(&question));
                inner.asks.push(OpenAsk { place, ..ask });
            }
        }
    }
}

/// An answer in the terms in which the server asked, or the question to be put once more.
fn in_server_terms(
    inner: &Inner,
    kind: AskKind,
    rewrite: &AskRewrite,
    outcome: Outcome,
) -> Result<Outcome, RawJson> {
    let Outcome::Result(answer) = outcome else { return Ok(outcome) };
    match payload::answer_for_server(kind, rewrite, &answer, inner.server_version) {
        Answered::Done(answer) => Ok(Outcome::Result(answer)),
        Answered::Again(question) => Err(question),
    }
}

/// What a server hears that asks what was not declared: no such method, or, where only the mode is missing, wrong
/// parameters (spec: client/elicitation).
fn not_offered(inner: &Inner, kind: AskKind) -> RpcError {
    let flags = inner.ctx.capabilities.flags();
    if kind == AskKind::Elicit && (flags.elicitation_form || flags.elicitation_url) {
        return RpcError::new(Code::INVALID_PARAMS, "this mode was not declared");
    }
    RpcError::new(Code::METHOD_NOT_FOUND, format!("{} is not available here", kind.method().as_str()))
}

fn has_room(inner: &Inner) -> bool {
    let limits = &inner.gateway.limits;
    let (own, all) = inner.gateway.parking.waiting(inner.principal.id());
    let room = own < limits.parked_per_principal && all < limits.parked_total;
    if !room {
        tracing::warn!(request = %inner.record.request, "a question was declined: too many parked calls");
    }
    room && !inner.gateway.is_closing()
}

/// A timer for a call whose server may have its children held by calls that wait for answers.
pub(crate) fn relief(gateway: &Gateway, server: &Server) -> Option<Pin<Box<Sleep>>> {
    (server.holds_children && gateway.parking.is_waiting_at(server.name()))
        .then(|| Box::pin(tokio::time::sleep(PATIENCE)))
}

/// The question that has gone unanswered longest gives way to a call that waits: its client may well be gone, and a
/// modern client has no way to say so (mcp.md 4.9).
pub(crate) fn make_room(gateway: &Arc<Gateway>, server: &Arc<Server>) {
    let Some(inner) = gateway.parking.give_way(server.name(), PATIENCE) else { return };
    tracing::warn!(server = %server.name(), request = %inner.record.request, "an unanswered call gave way: all children were taken");
    gateway.waiting.spawn(inner.expire(WIND_UP));
}

/// Sends a question to a legacy client on the call's own stream.
fn send_question(inner: &mut Inner, kind: AskKind, number: u64, params: Option<&RawJson>) {
    let id = Id::text(&inner.gateway.seal_ask(&inner.principal, inner.server.name(), number));
    inner.outbox.push_back(frame::encode_request(&id, kind.method().as_str(), params));
    inner.ask_deadline = Some(Box::pin(tokio::time::sleep(inner.gateway.park_ttl)));
}

/// The server no longer wants that answer.
pub(crate) fn on_withdrawn(inner: &mut Inner, key: AskKey) {
    let Some(at) = inner.asks.iter().position(|ask| ask.key == key) else { return };
    let ask = inner.asks.remove(at);
    if let Place::Client(number, _) = ask.place {
        tell_withdrawn(inner, number);
    }
    if inner.asks.is_empty() && matches!(inner.stage, Stage::Gathering(_)) {
        inner.stage = Stage::Leg;
    }
}

/// Tells a legacy client that an answer is no longer wanted, if it has not come yet.
fn tell_withdrawn(inner: &mut Inner, number: u64) {
    let Client::Legacy { session, .. } = &inner.client else { return };
    if !session.withdraw(number) {
        return;
    }
    let id = Id::text(&inner.gateway.seal_ask(&inner.principal, inner.server.name(), number));
    let params = RawJson::EMPTY_OBJECT.with(&[], &[("requestId", id.raw())]);
    inner.outbox.push_back(frame::encode_notification(Method::Cancelled.as_str(), Some(&params)));
}

/// Answers everything that is open with a refusal.
pub(crate) fn give_up_asks(inner: &mut Inner) {
    for ask in std::mem::take(&mut inner.asks) {
        if let (Place::Client(number, _), Client::Legacy { session, .. }) = (&ask.place, &inner.client) {
            session.withdraw(*number);
        }
        ask.reply.answer(refusal(ask.kind));
    }
    if let (Stage::Collecting(collect), Client::Legacy { session, .. }) = (&inner.stage, &inner.client) {
        for answer in &collect.answers {
            if let Got::Not(number, _) = answer.got {
                session.withdraw(number);
            }
        }
    }
}

/// The call ends: nothing stays open.
pub(crate) fn withdraw_asks(inner: &mut Inner) {
    give_up_asks(inner);
    inner.ask_deadline = None;
}

/// Parks the call: its client gets the questions and a sealed state, the server keeps waiting.
pub(crate) fn park(mut inner: Box<Inner>) -> Outcome {
    let gateway = inner.gateway.clone();
    let call = inner.parked_as.unwrap_or_else(|| gateway.next_number());
    inner.parked_as = Some(call);
    inner.stage = Stage::Leg;
    inner.record_round();
    let round = inner.record.rounds;
    let (questions, asked) = questions(&inner.asks);
    let digest = CallDigest::of(&inner.request.method, &inner.request.params);
    let state = RequestState::Parked { call, round, digest, owner: gateway.replica.as_str().to_owned() };
    let (principal, server) = (inner.principal.clone(), inner.server.clone());
    let sealed = gateway.seal_request_state(&principal, server.name(), &state);
    let answer = input_required(&asked, &sealed);
    let owner = gateway.clone();
    let timer = gateway.waiting.spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(owner.park_ttl) => {}
            () = owner.closing.cancelled() => {}
        }
        if let Some(inner) = owner.parking.expire(call, round) {
            inner.expire(WIND_UP).await;
        }
    });
    let parked = Parked { questions, inner, timer: timer.abort_handle() };
    gateway.parking.park(call, round, &principal, parked, &answer);
    Outcome::Result(answer)
}

/// The open questions of a parked call, and the JSON of `inputRequests`.
fn questions(asks: &[OpenAsk]) -> (Vec<OpenQuestion>, RawJson) {
    let mut open = Vec::with_capacity(asks.len());
    let mut out = Vec::from(*b"{");
    for ask in asks {
        let Place::Parked(name) = &ask.place else { continue };
        open.push(OpenQuestion { key: name.clone(), kind: ask.kind });
        let mut request = Vec::from(*b"{");
        json::write_member(&mut request, "method", RawJson::string(ask.kind.method().as_str()).as_bytes());
        if let Some(params) = &ask.rewrite.params {
            json::write_member(&mut request, "params", params.as_bytes());
        }
        request.push(b'}');
        json::write_member(&mut out, name, &request);
    }
    out.push(b'}');
    (open, RawJson::built(out))
}

fn input_required(asked: &RawJson, state: &str) -> RawJson {
    let mut out = Vec::from(*b"{\"resultType\":\"input_required\"");
    json::write_member(&mut out, "inputRequests", asked.as_bytes());
    json::write_member(&mut out, "requestState", RawJson::string(state).as_bytes());
    out.push(b'}');
    RawJson::built(out)
}

/// Gives a retry's answers to the server that waits. What was not answered is asked again at once, and nothing else.
pub(crate) fn resume(inner: &mut Inner, answers: Option<&RawJson>) -> Option<Step> {
    let mut open = Vec::new();
    for ask in std::mem::take(&mut inner.asks) {
        let Place::Parked(name) = &ask.place else { continue };
        let Some(answer) = answers.and_then(|answers| answers.get(name)) else {
            open.push(ask);
            continue;
        };
        // A modern client was asked in the server's own terms, so there is nothing to ask again.
        let outcome = in_server_terms(inner, ask.kind, &ask.rewrite, Outcome::Result(answer));
        ask.reply.answer(outcome.unwrap_or_else(|_| refusal(ask.kind)));
    }
    inner.asks = open;
    inner.stage = Stage::Leg;
    (!inner.asks.is_empty()).then_some(Step::Park)
}

/// A modern server ended the leg with questions: *relay* or *loop*.
pub(crate) fn on_input_required(inner: &mut Inner, input: InputRequired) -> Option<Step> {
    if !inner.request.method.may_ask() {
        let failure =
            portreeve_mcp::service::Failure::new(FailureKind::Protocol, "input_required where it may not be");
        return Some(Step::Last(inner.end_failed(&failure)));
    }
    if inner.record.rounds >= inner.gateway.limits.rounds {
        return Some(Step::Last(inner.end_error(RpcError::new(
            error::TOO_MANY_ROUNDS,
            "the server asked too many times in one call; it was ended",
        ))));
    }
    if let Some(ask) = input.asks.iter().find(|ask| !inner.can_ask(ask.kind, ask.params.as_ref())) {
        return Some(Step::Last(cannot_ask(inner, ask)));
    }
    match inner.client {
        Client::Modern => Some(Step::Last(relay(inner, &input))),
        Client::Legacy { .. } => start_loop(inner, input),
    }
}

/// The capability that answers this kind of question, as clients declare it.
fn capability(kind: AskKind) -> &'static str {
    match kind {
        AskKind::Elicit => "elicitation",
        AskKind::Sample => "sampling",
        AskKind::Roots => "roots",
    }
}

/// The server insists on something that the caller did not offer.
fn cannot_ask(inner: &mut Inner, ask: &InputRequest) -> Last {
    let capability = capability(ask.kind);
    let text = format!("the server asked for {capability}, which this client does not offer");
    match &inner.client {
        Client::Modern => inner.end_error(missing_capability(&text, ask.kind)),
        Client::Legacy { .. } => lacks(inner, &text),
    }
}

/// -32021 for this kind of question (check 37).
pub(crate) fn missing_capability(text: &str, kind: AskKind) -> RpcError {
    let needed = RawJson::EMPTY_OBJECT.with(&[], &[(capability(kind), &RawJson::EMPTY_OBJECT)]);
    let data = RawJson::EMPTY_OBJECT.with(&[], &[("requiredCapabilities", &needed)]);
    RpcError::new(Code::MISSING_CAPABILITY, text).with_data(data)
}

/// A legacy client cannot be told -32021: a tool says what is missing in its result (mcp.md 4.4.3).
pub(crate) fn lacks(inner: &mut Inner, text: &str) -> Last {
    if inner.request.method == Method::ToolsCall {
        let outcome = tool_failure(text, inner.ctx.version);
        return inner.end_with(End::ToolError, outcome);
    }
    inner.end_error(RpcError::new(Code::INTERNAL, text))
}

/// Modern to modern: the questions pass as they are, the server's state is wrapped in ours, so that nobody else can use it.
fn relay(inner: &mut Inner, input: &InputRequired) -> Last {
    let digest = CallDigest::of(&inner.request.method, &inner.request.params);
    let round = inner.record.rounds + 1;
    let state =
        RequestState::Relay { upstream: input.state.as_ref().map(ToString::to_string), digest, round };
    let sealed = inner.gateway.seal_request_state(&inner.principal, inner.server.name(), &state);
    // Cache hints belong to answers, not to questions (check 84).
    let state = RawJson::string(&sealed);
    let result = input.raw.with(&["ttlMs", "cacheScope"], &[("requestState", &state)]);
    inner.end_with(End::InputRequired, Outcome::Result(result))
}

/// Legacy client, modern server: the questions go out one by one, the answers feed the repeated request.
fn start_loop(inner: &mut Inner, input: InputRequired) -> Option<Step> {
    inner.record.rounds += 1;
    inner.leg = None;
    if input.asks.is_empty() {
        let factor = 1 << inner.record.rounds.min(8);
        let pause = Box::pin(tokio::time::sleep((PACE * factor).min(MAX_PACE)));
        inner.stage = Stage::Pacing(pause, again(&inner.request, input.state, None));
        return None;
    }
    let mut answers = Vec::with_capacity(input.asks.len());
    for InputRequest { key, kind, params } in input.asks {
        let Some(rewrite) = rewritten(inner, kind, params.as_ref()) else {
            return Some(Step::Last(client_failed(inner, kind, Some(refusal(kind)))));
        };
        let got = match (kind, &inner.server.roots) {
            (AskKind::Roots, Some(roots)) => Got::Yes(Outcome::Result(roots.clone())),
            _ => ask_again(inner, kind, rewrite.params.as_ref()),
        };
        answers.push(Answer { key, kind, rewrite, got });
    }
    inner.stage = Stage::Collecting(Collect { state: input.state, answers });
    None
}

/// Puts a question of a loop to the client.
fn ask_again(inner: &mut Inner, kind: AskKind, params: Option<&RawJson>) -> Got {
    let number = inner.gateway.next_number();
    let Client::Legacy { session, .. } = &inner.client else { return Got::Yes(refusal(kind)) };
    if inner.detached {
        return Got::Yes(refusal(kind));
    }
    let receiver = session.ask(number);
    send_question(inner, kind, number, params);
    Got::Not(number, receiver)
}

/// All answers of a round are there: the request goes out again with them.
pub(crate) fn answers_complete(inner: &mut Inner) -> Option<Step> {
    let Stage::Collecting(mut collect) = std::mem::replace(&mut inner.stage, Stage::Leg) else { return None };
    inner.ask_deadline = None;
    let mut responses = Vec::from(*b"{");
    let mut open = false;
    for answer in &mut collect.answers {
        let Got::Yes(outcome) = &answer.got else { continue };
        match (in_server_terms(inner, answer.kind, &answer.rewrite, outcome.clone()), answer.kind) {
            (Ok(Outcome::Result(value)), _) => {
                json::write_member(&mut responses, &answer.key, value.as_bytes());
            }
            (Err(question), kind) => {
                answer.got = ask_again(inner, kind, Some(&question));
                open = true;
            }
            (Ok(Outcome::Error(_)), AskKind::Elicit) => {
                json::write_member(&mut responses, &answer.key, b"{\"action\":\"cancel\"}");
            }
            // Sampling and roots have no form for "the client failed" (mcp.md 4.9): the call ends here.
            (Ok(outcome @ Outcome::Error(_)), kind) => {
                return Some(Step::Last(client_failed(inner, kind, Some(outcome))));
            }
        }
    }
    if open {
        inner.stage = Stage::Collecting(collect);
        return None;
    }
    responses.push(b'}');
    let request = again(&inner.request, collect.state, Some(RawJson::built(responses)));
    inner.open_again(request)
}

fn client_failed(inner: &mut Inner, kind: AskKind, outcome: Option<Outcome>) -> Last {
    let reason = match outcome {
        Some(Outcome::Error(error)) => error.message.to_string(),
        _ => "no answer".to_owned(),
    };
    let text = format!("the client did not answer `{}`: {reason}", kind.method().as_str());
    if inner.request.method == Method::ToolsCall {
        let outcome = tool_failure(&text, inner.ctx.version);
        return inner.end_with(End::ToolError, outcome);
    }
    inner.end_error(RpcError::new(Code::INTERNAL, text))
}

/// The same request with answers and the exact state (checks 86, 87).
fn again(request: &Request, state: Option<Text>, answers: Option<RawJson>) -> Request {
    let mut params: Params = request.params.clone();
    params.take("inputResponses");
    params.take("requestState");
    if let Some(answers) = answers {
        params.set("inputResponses", answers);
    }
    if let Some(state) = state {
        params.set("requestState", RawJson::string(&state));
    }
    Request { method: request.method.clone(), params }
}

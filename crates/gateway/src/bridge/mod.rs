//! Where the two eras meet. A legacy server asks in the middle of a call, a modern server ends a leg with questions; a
//! legacy client answers requests, a modern client repeats its call with answers. Hence four ways (architecture: the bridge):
//! *direct* and *loop* for legacy clients, *park* and *relay* for modern ones. No other folder knows both eras.
//! Here: what a server asks in the middle of a call, and who is asked; one file for each of the other ways.

mod asked;
pub(crate) mod away;
mod need;
pub(crate) mod page;
mod park;
mod relay;
mod repeat;

pub(crate) use asked::Asked;
pub(crate) use need::{Need, lacks};
pub(crate) use park::{make_room, park, relief, resume};
pub(crate) use repeat::{Collect, answers_complete};

use crate::{
    error,
    exchange::{Client, Inner, Last, Stage, Step},
};
use futures_channel::oneshot;
use portreeve_mcp::{
    Code, Id, LogLevel, Method, Outcome, RawJson, RpcError, Text, frame,
    payload::{self, Answered, AskRewrite},
    service::{Ask, AskKey, AskKind, AskPoint, FailureKind, InputRequired, Reply},
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// How long a parked call waits for sibling questions before its client is asked: questions that belong together
/// come within one turn of the server's loop.
const SIBLINGS: Duration = Duration::from_millis(25);
/// The `_meta` key under which a legacy server may name its question, as modern servers name theirs.
const ASK_NAME: &str = "portreeve/ask";
/// The longest such name.
const MAX_NAME: usize = 64;

/// A question that is open.
pub(crate) struct OpenAsk {
    /// The server's key, for withdrawals.
    key: AskKey,
    kind: AskKind,
    rewrite: AskRewrite,
    reply: Reply,
    place: Place,
    /// How its call can be left, where it can.
    point: Option<AskPoint>,
}

/// A question that is with a legacy client.
struct AtClient {
    number: u64,
    /// The id that the client answers to.
    id: Id,
    answer: oneshot::Receiver<Outcome>,
}

enum Place {
    /// At a legacy client.
    Client(AtClient),
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

/// What a server hears when nobody answers: elicitation has a word for it, the others have only errors.
pub(crate) fn refusal(kind: AskKind) -> Outcome {
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
    let Ask { key, kind, params, reply, point } = ask;
    if let (AskKind::Roots, Some(roots)) = (kind, &inner.server.roots) {
        return reply.answer(Outcome::Result(roots.clone()));
    }
    let need = Need::of(kind, params.as_ref());
    if !need.is_offered(inner.ctx.capabilities.flags()) {
        inner.withheld = Some(need);
        return reply.answer(Outcome::Error(need::not_offered(inner, kind)));
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
            page::remember(session, rewrite.params.as_ref());
            let Some(there) = send_question(inner, kind, rewrite.params.as_ref()) else {
                return reply.answer(refusal(kind));
            };
            inner.asks.push(OpenAsk { key, kind, rewrite, reply, place: Place::Client(there), point: None });
        }
        Client::Modern
            if inner.request.method.may_ask() && (can_leave(point.as_ref()) || park::has_room(inner)) =>
        {
            let name = question_name(inner, params.as_ref());
            inner.asks.push(OpenAsk { key, kind, rewrite, reply, place: Place::Parked(name), point });
            let over = Box::pin(tokio::time::sleep(SIBLINGS));
            inner.stage = Stage::Gathering(Gather { over });
        }
        Client::Modern => reply.answer(refusal(kind)),
    }
}

/// Whether nothing has to be held for a question.
fn can_leave(point: Option<&AskPoint>) -> bool {
    point.is_some_and(|point| point.call.is_leavable())
}

/// An answer that the client gave with its first request to a question that the server names itself.
fn early_answer(inner: &Inner, kind: AskKind, params: Option<&RawJson>) -> Option<RawJson> {
    let answer = inner.early.as_ref()?.get(&given_name(params)?)?;
    payload::check_answer(kind, &answer)
        .is_ok()
        .then(|| payload::answer_for_legacy(kind, &answer, inner.server_version))
}

/// The server's own name for its question.
pub(crate) fn given_name(params: Option<&RawJson>) -> Option<Text> {
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

/// The question in the terms of the client's revision, if it can be put so. A context of other servers is only asked of
/// clients that offer it (spec: client/sampling); without it the question is still the same.
fn rewritten(inner: &Inner, kind: AskKind, params: Option<&RawJson>) -> Option<AskRewrite> {
    let strays = kind == AskKind::Sample && !inner.ctx.capabilities.flags().sampling_context;
    let bare = params.filter(|params| strays && params.get("includeContext").is_some());
    let bare = bare.map(|params| params.with(&["includeContext"], &[]));
    let params = bare.as_ref().or(params);
    let named = params.map(|params| named(inner, kind, params));
    let params = named.as_ref().or(params);
    match payload::ask_for_client(kind, params, inner.ctx.version) {
        Ok(rewrite) => Some(rewrite),
        Err(reason) => {
            tracing::warn!(request = %inner.record.request, server = %inner.server.name(), "a question was declined: {reason}");
            None
        }
    }
}

/// At the address of all servers a question to a person says which of them asks (reference: mcp.md 5.5).
fn named(inner: &Inner, kind: AskKind, params: &RawJson) -> RawJson {
    let message = params.get("message").and_then(|message| message.string_value());
    match message.filter(|_| kind == AskKind::Elicit && inner.server.is_member()) {
        Some(message) => {
            let told = format!("{}: {}", inner.server.name(), &*message);
            params.with(&[], &[("message", &RawJson::string(&told))])
        }
        None => params.clone(),
    }
}

/// Takes the answers of a legacy client to a legacy server's questions, as they come in.
pub(crate) fn poll_asks(inner: &mut Inner, cx: &mut Context<'_>) {
    let mut at = 0;
    while at < inner.asks.len() {
        let ready = match &mut inner.asks[at].place {
            Place::Client(there) => Pin::new(&mut there.answer).poll(cx),
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
                let Some(there) = send_question(inner, ask.kind, Some(&question)) else { continue };
                let place = Place::Client(there);
                inner.asks.push(OpenAsk { place, ..ask });
            }
        }
    }
}

/// An answer in the terms in which the server asked, or the question to be put once more. That counts as another round: a
/// client that breaks the form's limits whatever it is told is one that cannot answer.
fn in_server_terms(
    inner: &mut Inner,
    kind: AskKind,
    rewrite: &AskRewrite,
    outcome: Outcome,
) -> Result<Outcome, RawJson> {
    let Outcome::Result(answer) = outcome else { return Ok(outcome) };
    match payload::answer_for_server(kind, rewrite, &answer, inner.server_version) {
        Answered::Done(answer) => Ok(Outcome::Result(answer)),
        Answered::Again(_) if inner.record.rounds >= inner.gateway.limits.rounds => Ok(refusal(kind)),
        Answered::Again(question) => {
            inner.record.rounds += 1;
            Err(question)
        }
    }
}

/// Sends a question to a legacy client on the call's own stream.
fn send_question(inner: &mut Inner, kind: AskKind, params: Option<&RawJson>) -> Option<AtClient> {
    let Client::Legacy { session, .. } = &inner.client else { return None };
    let number = inner.gateway.next_number();
    let answer = session.ask(number);
    let id = Id::text(&inner.gateway.seal_ask(&inner.principal, inner.server.door(), number));
    inner.outbox.push_back(frame::encode_request(&id, kind.method().as_str(), params));
    inner.ask_deadline = Some(Box::pin(tokio::time::sleep(inner.gateway.park_ttl())));
    Some(AtClient { number, id, answer })
}

/// The server no longer wants that answer.
pub(crate) fn on_withdrawn(inner: &mut Inner, key: AskKey) {
    let Some(at) = inner.asks.iter().position(|ask| ask.key == key) else { return };
    let ask = inner.asks.remove(at);
    if let Place::Client(there) = &ask.place {
        tell_withdrawn(inner, there);
    }
    if inner.asks.is_empty() && matches!(inner.stage, Stage::Gathering(_)) {
        inner.stage = Stage::Leg;
    }
}

/// Tells a legacy client that an answer is no longer wanted, if it has not come yet.
fn tell_withdrawn(inner: &mut Inner, there: &AtClient) {
    let Client::Legacy { session, .. } = &inner.client else { return };
    if session.withdraw(there.number) {
        let params = RawJson::EMPTY_OBJECT.with(&[], &[("requestId", there.id.raw())]);
        inner.outbox.push_back(frame::encode_notification(Method::Cancelled.as_str(), Some(&params)));
    }
}

/// Answers everything that is open with a refusal.
pub(crate) fn give_up_asks(inner: &mut Inner) {
    for ask in std::mem::take(&mut inner.asks) {
        if let Place::Client(there) = &ask.place {
            tell_withdrawn(inner, there);
        }
        ask.reply.answer(refusal(ask.kind));
    }
    let Stage::Collecting(collect) = &mut inner.stage else { return };
    for there in collect.give_up() {
        tell_withdrawn(inner, &there);
    }
}

/// The call ends: nothing stays open.
pub(crate) fn withdraw_asks(inner: &mut Inner) {
    give_up_asks(inner);
    inner.ask_deadline = None;
}

/// A modern server ended the leg with questions: *relay* or *loop*.
pub(crate) fn on_input_required(inner: &mut Inner, input: InputRequired) -> Option<Step> {
    if !inner.request.method.may_ask() {
        let failure =
            portreeve_mcp::service::Failure::new(FailureKind::Protocol, "input_required where it may not be");
        return Some(Step::Last(inner.end_failed(&failure)));
    }
    if page::only_waits(inner, &input.asks)
        && let Some(pause) = page::patience(inner)
    {
        repeat::wait(inner, input, pause);
        return None;
    }
    put_questions(inner, input)
}

/// Puts the questions of a call, or of its task, to its client.
pub(crate) fn put_questions(inner: &mut Inner, input: InputRequired) -> Option<Step> {
    if let Some(last) = too_many_rounds(inner) {
        return Some(Step::Last(last));
    }
    let flags = inner.ctx.capabilities.flags();
    let needs = input.asks.iter().map(|ask| Need::of(ask.kind, ask.params.as_ref()));
    if let Some(lacking) = needs.into_iter().find(|need| !need.is_offered(flags)) {
        return Some(Step::Last(need::insists(inner, lacking)));
    }
    match inner.client {
        Client::Modern => Some(Step::Last(relay::relay(inner, &input))),
        Client::Legacy { .. } => repeat::start_loop(inner, input),
    }
}

/// The end of a call that has been asked as often as a call may be (check 110).
fn too_many_rounds(inner: &mut Inner) -> Option<Last> {
    let over = inner.record.rounds >= inner.gateway.limits.rounds;
    over.then(|| {
        let text = "the server asked too many times in one call; it was ended";
        inner.end_error(RpcError::new(error::TOO_MANY_ROUNDS, text))
    })
}

#[cfg(test)]
mod tests;

//! *Loop*: a modern server has ended a leg with questions for a legacy client. They go out one by one on the call's own
//! stream; when all answers are there the request goes out again with them (mcp.md 4.4.2).

use super::{AtClient, in_server_terms, page, refusal, rewritten, send_question};
use crate::{
    exchange::{Inner, Last, Stage, Step, tool_failure},
    record::End,
    tasks,
};
use portreeve_mcp::{
    Code, Method, Outcome, Params, RawJson, Request, RpcError, Text, json,
    payload::AskRewrite,
    service::{AskKind, InputRequest, InputRequired},
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// The first pause before a request is repeated that nobody was asked for; it doubles with each round.
const PACE: Duration = Duration::from_millis(100);
/// The longest such pause.
const MAX_PACE: Duration = Duration::from_secs(5);
/// The agreement to open a page.
pub(super) const ACCEPT: RawJson = RawJson::from_static(r#"{"action":"accept"}"#);

/// Answers of a legacy client to a modern server's questions, as they come in.
pub(crate) struct Collect {
    state: Option<Text>,
    answers: Vec<Answer>,
}

struct Answer {
    key: Text,
    kind: AskKind,
    rewrite: AskRewrite,
    /// The page that it asks for: its address, and the id that the client knows it by.
    page: Option<(Text, Text)>,
    got: Got,
}

enum Got {
    Not(AtClient),
    Yes(Outcome),
}

impl Collect {
    /// Refuses what is still with the client, and gives it.
    pub(super) fn give_up(&mut self) -> Vec<AtClient> {
        let mut open = Vec::new();
        for answer in &mut self.answers {
            match std::mem::replace(&mut answer.got, Got::Yes(refusal(answer.kind))) {
                Got::Not(there) => open.push(there),
                got @ Got::Yes(_) => answer.got = got,
            }
        }
        open
    }

    /// Ready when every answer is there.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for answer in &mut self.answers {
            if let Got::Not(there) = &mut answer.got
                && let Poll::Ready(outcome) = Pin::new(&mut there.answer).poll(cx)
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

/// Legacy client, modern server: the questions go out one by one, the answers feed the repeated request.
pub(super) fn start_loop(inner: &mut Inner, input: InputRequired) -> Option<Step> {
    inner.record.rounds += 1;
    inner.leg = None;
    page::tell_done(inner, &input.asks);
    if input.asks.is_empty() {
        let factor = 1 << inner.record.rounds.min(8);
        let pause = Box::pin(tokio::time::sleep((PACE * factor).min(MAX_PACE)));
        inner.stage = Stage::Pacing(pause, again(&inner.request, input.state, None));
        return None;
    }
    let mut answers = Vec::with_capacity(input.asks.len());
    for ask in input.asks {
        match put(inner, ask) {
            Ok(answer) => answers.push(answer),
            Err(kind) => return Some(Step::Last(client_failed(inner, kind, Some(refusal(kind))))),
        }
    }
    inner.stage = Stage::Collecting(Collect { state: input.state, answers });
    None
}

/// The same pages again that the person has agreed to open: the server is called again after a while.
pub(super) fn wait(inner: &mut Inner, input: InputRequired, pause: Pin<Box<Sleep>>) {
    inner.leg = None;
    page::tell_done(inner, &input.asks);
    let mut responses = Vec::from(*b"{");
    for ask in &input.asks {
        json::write_member(&mut responses, &ask.key, ACCEPT.as_bytes());
    }
    responses.push(b'}');
    let request = again(&inner.request, input.state, Some(RawJson::built(responses)));
    inner.stage = Stage::Pacing(pause, request);
}

/// Puts one question to the client, where it is not answered already. The error is the kind that it cannot be asked.
fn put(inner: &mut Inner, ask: InputRequest) -> Result<Answer, AskKind> {
    let url = page::url(&ask);
    let InputRequest { key, kind, params } = ask;
    let mut rewrite = rewritten(inner, kind, params.as_ref()).ok_or(kind)?;
    let known = match (kind, &inner.server.roots, &url) {
        (AskKind::Roots, Some(roots), _) => Some(Outcome::Result(roots.clone())),
        (_, _, Some(url)) => page::known_answer(inner, url),
        _ => None,
    };
    if let Some(outcome) = known {
        return Ok(Answer { key, kind, rewrite, page: None, got: Got::Yes(outcome) });
    }
    let page = url.zip(rewrite.params.as_ref()).map(|(url, params)| {
        let (id, params) = page::with_id(inner, params);
        ((url, id), params)
    });
    let page = page.map(|(page, params)| {
        rewrite.params = Some(params);
        page
    });
    let got = ask_again(inner, kind, rewrite.params.as_ref());
    Ok(Answer { key, kind, rewrite, page, got })
}

/// Puts a question of a loop to the client.
fn ask_again(inner: &mut Inner, kind: AskKind, params: Option<&RawJson>) -> Got {
    if inner.detached {
        return Got::Yes(refusal(kind));
    }
    send_question(inner, kind, params).map_or_else(|| Got::Yes(refusal(kind)), Got::Not)
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
                if let Some((url, id)) = answer.page.take().filter(|_| page::is_accepted(&value)) {
                    inner.pages.accepted(url, id);
                }
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
    let responses = RawJson::built(responses);
    let request = tasks::answered(inner, &responses)
        .unwrap_or_else(|| again(&inner.request, collect.state, Some(responses)));
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

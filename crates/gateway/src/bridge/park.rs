//! *Park*: a legacy server has asked a modern client's call. The client gets the questions and a sealed state, the server
//! keeps waiting, and the retry picks the call up (mcp.md 4.3.2). Where parked calls are kept is `crate::park`'s business.

use super::{Need, OpenAsk, Place, away, in_server_terms, refusal};
use crate::{
    Gateway, Server,
    exchange::{Inner, Stage, Step},
    park::{OpenQuestion, Parked},
    state::{CallDigest, RequestState},
};
use portreeve_mcp::{Outcome, RawJson, json};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::time::Sleep;

/// How long a call waits for a child before the longest unanswered question gives its child up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take to wind up a call whose question was never answered.
pub(super) const WIND_UP: Duration = Duration::from_secs(2);

pub(super) fn has_room(inner: &Inner) -> bool {
    let limits = &inner.gateway.limits;
    let (own, all) = inner.gateway.parking.waiting(inner.principal.id());
    let room = own < limits.parked_per_principal && all < limits.parked_total;
    if !room {
        tracing::warn!(request = %inner.record.request, "a question was declined: too many parked calls");
    }
    room && !inner.gateway.parking_ends.is_cancelled()
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

/// Parks the call: its client gets the questions and a sealed state, the server keeps waiting.
pub(crate) fn park(mut inner: Box<Inner>) -> Outcome {
    if let Some(outcome) = away::leave(&mut inner) {
        return outcome;
    }
    let gateway = inner.gateway.clone();
    let call = inner.parked_as.unwrap_or_else(|| gateway.next_number());
    inner.parked_as = Some(call);
    inner.stage = Stage::Leg;
    inner.record_round();
    let round = inner.record.rounds;
    let (questions, asked) = questions(&inner.asks);
    let digest = CallDigest::of(inner.server.name(), &inner.request.method, &inner.request.params);
    let state = RequestState::Parked { call, round, digest, owner: gateway.replica.as_str().to_owned() };
    let (principal, server) = (inner.principal.clone(), inner.server.clone());
    let sealed = gateway.seal_request_state(&principal, server.door(), &state);
    let answer = input_required(&asked, &sealed);
    let owner = gateway.clone();
    let timer = gateway.waiting.spawn(async move {
        tokio::select! {
            () = tokio::time::sleep(owner.park_ttl()) => {}
            () = owner.parking_ends.cancelled() => {}
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
        open.push(OpenQuestion {
            key: name.clone(),
            kind: ask.kind,
            need: Need::of(ask.kind, ask.rewrite.params.as_ref()),
        });
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

pub(super) fn input_required(asked: &RawJson, state: &str) -> RawJson {
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

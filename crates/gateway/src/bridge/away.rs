//! *Park*, without holding anything: a legacy server that keeps what it says is left in the middle of the call, and all
//! that is needed to come back is sealed into the client's state (mcp.md 4.3.4). Any replica takes the call up again, also
//! after a restart; there is no lease, no owner and no timer.

use super::{
    OpenAsk, Place,
    asked::{self, Asked},
    park::input_required,
};
use crate::{
    Gateway,
    call::Call,
    exchange::Inner,
    record::End,
    state::{CallDigest, RequestState},
};
use portreeve_mcp::{Outcome, RawJson, RpcError, Version, payload, service::TakeUp};
use serde::{Deserialize, Serialize};

/// The most that questions may take up in a state; larger ones are held here.
pub(super) const MAX_STATE: usize = 256 << 10;

/// What of a call that was left a state holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Away {
    /// Where the server can be met again.
    #[serde(rename = "p")]
    point: String,
    #[serde(rename = "a")]
    asked: Vec<Asked>,
    /// Questions that were answered while others were not: the server's ids, and the answers in its terms.
    #[serde(rename = "y")]
    answered: Vec<(String, String)>,
}

/// Leaves the server, if every question is one that it keeps. `None`: the call has to be held here.
pub(super) fn leave(inner: &mut Inner) -> Option<Outcome> {
    let asked: Vec<Asked> = inner.asks.iter().map(question).collect::<Option<_>>()?;
    let size: usize =
        inner.asks.iter().filter_map(|ask| ask.rewrite.params.as_ref()).map(|it| it.as_bytes().len()).sum();
    if size > MAX_STATE {
        return None;
    }
    let point = inner.asks.first()?.point.as_ref()?.call.leave()?;
    inner.record.rounds += 1;
    let away = Away { point: point.as_str().to_owned(), asked, answered: Vec::new() };
    let digest = CallDigest::of(inner.server.name(), &inner.request.method, &inner.request.params);
    let state = RequestState::Away { away, digest, round: inner.record.rounds };
    let token = inner.gateway.seal_request_state(&inner.principal, inner.server.door(), &state);
    let outcome = Outcome::Result(asks(&state, &token));
    inner.end_with(End::InputRequired, outcome.clone());
    Some(outcome)
}

fn question(ask: &OpenAsk) -> Option<Asked> {
    let (Place::Parked(name), Some(point)) = (&ask.place, &ask.point) else { return None };
    Some(Asked::new(name, ask.kind, ask.rewrite.params.as_ref(), Some(&point.question)))
}

fn asks(state: &RequestState, token: &str) -> RawJson {
    match state {
        RequestState::Away { away, .. } => input_required(&asked::input_requests(&away.asked), token),
        _ => RawJson::EMPTY_OBJECT,
    }
}

/// What a retry of a call that was left comes to.
pub(crate) enum Back {
    /// Everything is answered: the call is taken up.
    TakesUp(TakeUp),
    /// Something is still open: this is asked again.
    Asks(Outcome),
}

/// Reads a retry's answers.
pub(crate) fn read_answers(
    gateway: &Gateway,
    call: &Call<'_>,
    away: Away,
    digest: CallDigest,
    (round, server): (u32, Version),
) -> Result<Back, RpcError> {
    let Away { point, asked, mut answered } = away;
    let sorted = asked::sort(call, asked)?;
    for (asked, answer) in sorted.answered {
        let answer = payload::answer_for_legacy(asked.kind(), &answer, server);
        answered.extend(asked.question.map(|question| (question, answer.as_str().to_owned())));
    }
    if !sorted.open.is_empty() {
        let away = Away { point, asked: sorted.open, answered };
        let state = RequestState::Away { away, digest, round };
        let inbound = &call.inbound;
        let token = gateway.seal_request_state(&inbound.principal, inbound.server.door(), &state);
        return Ok(Back::Asks(Outcome::Result(asks(&state, &token))));
    }
    let raw = |text: &str| RawJson::from_text(text).unwrap_or(RawJson::NULL);
    let answers =
        answered.iter().map(|(question, answer)| (raw(question), Outcome::Result(raw(answer)))).collect();
    Ok(Back::TakesUp(TakeUp { point: raw(&point), answers }))
}

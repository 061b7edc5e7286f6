//! *Relay*: a modern server asks a modern client. The questions pass as they are; only the server's state is wrapped.

use crate::{
    exchange::{Inner, Last},
    record::End,
    state::{CallDigest, RequestState},
};
use portreeve_mcp::{Outcome, RawJson, service::InputRequired};

/// Modern to modern: the questions pass as they are, the server's state is wrapped in ours, so that nobody else can use it.
pub(super) fn relay(inner: &mut Inner, input: &InputRequired) -> Last {
    let digest = CallDigest::of(inner.server.name(), &inner.request.method, &inner.request.params);
    let round = inner.record.rounds + 1;
    let state =
        RequestState::Relay { upstream: input.state.as_ref().map(ToString::to_string), digest, round };
    let sealed = inner.gateway.seal_request_state(&inner.principal, inner.server.door(), &state);
    // Cache hints belong to answers, not to questions (check 84).
    let state = RawJson::string(&sealed);
    let result = input.raw.with(&["ttlMs", "cacheScope"], &[("requestState", &state)]);
    let result = if inner.server.is_member() { named(inner, input, &result) } else { result };
    inner.end_with(End::InputRequired, Outcome::Result(result))
}

/// The questions with the name of the server that asks them.
fn named(inner: &Inner, input: &InputRequired, result: &RawJson) -> RawJson {
    let Some(requests) = result.get("inputRequests") else { return result.clone() };
    let mut all = requests.clone();
    for ask in &input.asks {
        let (Some(request), Some(params)) = (requests.get(&ask.key), &ask.params) else { continue };
        let params = super::named(inner, ask.kind, params);
        all = all.with(&[], &[(&*ask.key, &request.with(&[], &[("params", &params)]))]);
    }
    result.with(&[], &[("inputRequests", &all)])
}

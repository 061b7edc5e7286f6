//! Requests of modern clients that bring a `requestState` back: which call they go on with, and how.
//! What is in a state is `state.rs`'s business, the ways of the bridge read their own.

use crate::{
    Gateway,
    bridge::{
        self,
        away::{self, Back},
        page::{self, Said},
    },
    call::{Call, Reply},
    error,
    exchange::{Client, Exchange},
    park::{self, Found, Settled},
    record::End,
    state::{CallDigest, RequestState},
    tasks,
};
use portreeve_mcp::{Code, Outcome, RawJson, RpcError, Version, json, payload};
use portreeve_model::ReplicaId;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What a request is.
pub(crate) enum Retry {
    /// It goes to the server, after so many rounds of questions.
    Runs(u32),
    /// It goes on with a call that waits here.
    Parked { call: u64, round: u32 },
    /// Somebody runs it already: it waits for the same answer.
    Same(Settled),
    /// It is answered without the server.
    Ends(End, Outcome),
}

/// The answer of whoever came first with the same retry (decision D13).
pub(crate) async fn same(settled: Settled) -> Reply {
    match park::settled(settled).await {
        Some(outcome) => Reply::Whole(outcome),
        None => error::bad_state().into(),
    }
}

fn key_of(token: &str) -> u64 {
    let digest = Sha256::digest(token.as_bytes());
    digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

impl Gateway {
    /// Which other replica holds the call that this request is a retry of, or the task that it is about. What does not open
    /// is nobody's.
    pub(crate) fn owned_elsewhere(&self, call: &Call<'_>) -> Option<(ReplicaId, RpcError)> {
        let Call { inbound, client: Client::Modern, .. } = call else { return None };
        if inbound.method.is_about_task() {
            let owner =
                self.tasks_elsewhere(&inbound.principal, &inbound.server, &inbound.params.text("taskId")?)?;
            return Some((owner, error::bad_task()));
        }
        let token = inbound.params.get("requestState").filter(|_| inbound.method.may_ask())?;
        let token = token.string_value()?;
        let state = self.open_request_state(&inbound.principal, inbound.server.door(), &token).ok()?;
        let RequestState::Parked { owner, .. } = state else { return None };
        (!self.owns(&owner)).then(|| (ReplicaId::new(&owner), error::bad_state()))
    }

    /// What a modern client's `requestState` says about this request.
    pub(crate) fn retry(&self, call: &mut Call<'_>, server: Version) -> Result<Retry, RpcError> {
        let inbound = &mut call.inbound;
        if !matches!(call.client, Client::Modern) || !inbound.method.may_ask() {
            return Ok(Retry::Runs(0));
        }
        let Some(token) = inbound.params.get("requestState") else { return Ok(Retry::Runs(0)) };
        let token = token.string_value().ok_or_else(error::bad_state)?;
        let state = self.open_request_state(&inbound.principal, inbound.server.door(), &token)?;
        if *state.digest() != CallDigest::of(inbound.server.name(), &inbound.method, &inbound.params) {
            return Err(error::bad_state());
        }
        match state {
            RequestState::Parked { call, round, .. } => Ok(Retry::Parked { call, round }),
            RequestState::Resend { asked, agreed, digest, round } => {
                match page::read_answers(self, call, (asked, agreed), digest, round)? {
                    Said::Agreed(pages) => {
                        call.agreed = pages;
                        call.inbound.params.take("inputResponses");
                        call.inbound.params.take("requestState");
                        Ok(Retry::Runs(round))
                    }
                    Said::Ends(end, outcome) => Ok(Retry::Ends(end, outcome)),
                }
            }
            RequestState::Away { away, digest, round } => {
                // The token is never the same twice, and the same retry has the same.
                let key = key_of(&token);
                match away::read_answers(self, call, away, digest, (round, server))? {
                    Back::Asks(outcome) => Ok(Retry::Ends(End::InputRequired, outcome)),
                    Back::TakesUp(take_up) => {
                        if let Some(settled) = self.parking.take_up(key, &call.inbound.principal) {
                            return Ok(Retry::Same(settled));
                        }
                        call.take_up = Some((key, take_up));
                        Ok(Retry::Runs(round))
                    }
                }
            }
            RequestState::Relay { upstream, round, .. } => {
                match upstream {
                    Some(state) => inbound.params.set("requestState", RawJson::string(&state)),
                    None => {
                        inbound.params.take("requestState");
                    }
                }
                Ok(Retry::Runs(round))
            }
        }
    }

    /// A retry of a parked call: it goes on where it stands, under this request's id, token and level.
    pub(crate) async fn resume(self: &Arc<Self>, call: Call<'_>, parked: u64, round: u32) -> Reply {
        let answers = call.inbound.params.get("inputResponses").cloned();
        let flags = call.ctx.capabilities.flags();
        let bad = |text: String| RpcError::new(Code::INVALID_PARAMS, text);
        let check = |question: &park::OpenQuestion| {
            if !question.need.is_offered(flags) {
                return Err(question.need.insisted_on());
            }
            let answer = answers.as_ref().and_then(|answers| answers.get(&question.key));
            let Some(answer) = answer else { return Ok(()) };
            payload::check_answer(question.kind, &answer)
                .map_err(|fault| bad(format!("the answer to `{}` is not acceptable: {fault}", question.key)))
        };
        if answers.as_ref().is_some_and(|answers| answers.kind() != json::Kind::Object) {
            return bad("`inputResponses` must be an object".to_owned()).into();
        }
        match self.parking.resume(parked, round, check) {
            Found::Gone => error::bad_state().into(),
            Found::BadAnswer(fault) => fault.into(),
            Found::Same(settled) => same(settled).await,
            Found::Resumed(mut inner) => {
                inner.id = call.inbound.id;
                inner.progress_token = call.progress_token;
                inner.ctx.log_level = call.ctx.log_level;
                tasks::on_return(&mut inner, call.tasks.is_some());
                match bridge::resume(&mut inner, answers.as_ref()) {
                    None => Reply::Call(Box::new(Exchange::new(inner))),
                    Some(_) => Reply::Whole(bridge::park(inner)),
                }
            }
        }
    }
}

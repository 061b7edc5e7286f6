//! How a call ends: the server's last word in the terms of the client, and what is settled with it.

use super::{Client, Inner, Last, Stage};
use crate::{bridge, error, record::End, tasks};
use portreeve_mcp::{
    Code, Era, Method, Outcome, RawJson, RpcError, Version, json, payload,
    service::{Failure, Final},
};

/// The largest result that is looked into for `isError`; larger ones are not errors in practice.
const PEEK: usize = 64 << 10;

impl Inner {
    pub(super) fn on_final(&mut self, end: Final) -> Last {
        match end {
            Final::Whole(Outcome::Result(result)) => {
                let result = payload::result_for_client(
                    &self.request.method,
                    &result,
                    self.ctx.version,
                    self.server_version.era(),
                );
                let result =
                    self.shown_uri.as_ref().map_or(result.clone(), |shown| shown.in_contents(&result));
                self.record.bytes_out = result.as_bytes().len();
                let failed = self.request.method == Method::ToolsCall && is_error(&result);
                self.end_with(if failed { End::ToolError } else { End::Ok }, Outcome::Result(result))
            }
            Final::Whole(Outcome::Error(error)) => {
                if let Some(last) = self.lacking(&error) {
                    return last;
                }
                let error = payload::error_for_client(
                    &error,
                    &self.request.method,
                    &self.request.params,
                    self.ctx.version,
                    self.server_version.era(),
                );
                self.end_with(End::Error(error.code.0), Outcome::Error(error))
            }
            Final::Large(stream) => {
                let modern = self.ctx.version.era() == Era::Modern;
                let upgraded = modern && self.server_version.era() == Era::Legacy;
                let splice: &[u8] = match self.request.method {
                    Method::ResourcesRead if upgraded => {
                        b"\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\","
                    }
                    _ if upgraded => b"\"resultType\":\"complete\",",
                    _ => b"",
                };
                if let Some(call) = self.parked_as.take() {
                    // A stream goes to one reader only: whoever else waits for this round calls anew.
                    self.gateway.parking.forget(call);
                }
                self.end(End::Ok);
                Last::Large { stream, splice }
            }
            Final::Failed(failure) => self.end_failed(&failure),
        }
    }

    /// An error that comes from what the caller did not offer, in the words of the caller's era.
    fn lacking(&mut self, error: &RpcError) -> Option<Last> {
        let legacy = matches!(self.client, Client::Legacy { .. });
        if legacy && error.code == Code::MISSING_CAPABILITY && self.server_version.era() == Era::Modern {
            return Some(bridge::lacks(self, &error.message));
        }
        let withheld = self.withheld.filter(|_| !legacy)?;
        Some(self.end_error(withheld.missing(&error.message)))
    }

    pub(crate) fn end_failed(&mut self, failure: &Failure) -> Last {
        let error = error::of_failure(failure);
        tracing::warn!(request = %self.record.request, server = %self.server.name(), kind = ?failure.kind, "{}", failure.detail);
        if failure.nothing_ran()
            && let Some(call) = self.parked_as.take()
        {
            // A call that could not be taken up: the same retry may come again.
            self.gateway.parking.forget(call);
        }
        self.end_with(End::Failed(error.code.0), Outcome::Error(error))
    }

    pub(crate) fn end_error(&mut self, error: RpcError) -> Last {
        self.end_with(End::Error(error.code.0), Outcome::Error(error))
    }

    /// Ends the call with this answer, also for whoever retried the same round.
    pub(crate) fn end_with(&mut self, end: End, outcome: Outcome) -> Last {
        if let Some(call) = self.parked_as.take() {
            self.gateway.parking.settle(call, &outcome);
        }
        self.end(end);
        Last::Outcome(outcome)
    }

    pub(super) fn end_cancelled(&mut self) {
        if let Some(call) = self.parked_as.take() {
            self.gateway.parking.forget(call);
        }
        if !matches!(self.stage, Stage::Done) {
            tasks::give_up(self);
        }
        self.end(End::Cancelled);
    }

    fn end(&mut self, end: End) {
        if matches!(self.stage, Stage::Done) {
            return;
        }
        self.leg = None;
        // Before the stage goes: it may hold questions that are still with the client.
        bridge::withdraw_asks(self);
        self.stage = Stage::Done;
        self.record.end = end;
        self.gateway.recorder.record(&self.record);
    }
}

fn is_error(result: &RawJson) -> bool {
    result.as_bytes().len() <= PEEK && result.get("isError").is_some_and(|flag| flag.as_bytes() == b"true")
}

/// A tool result that tells a model what went wrong.
pub(crate) fn tool_failure(text: &str, version: Version) -> Outcome {
    let mut out = Vec::from(*b"{\"content\":[{\"type\":\"text\",\"text\":");
    json::write_string(&mut out, text);
    out.extend_from_slice(b"}],\"isError\":true");
    if version.era() == Era::Modern {
        out.extend_from_slice(b",\"resultType\":\"complete\"");
    }
    out.push(b'}');
    Outcome::Result(RawJson::built(out))
}

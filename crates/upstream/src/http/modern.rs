//! Calls to modern servers over Streamable HTTP (spec: basic/transports/streamable-http of 2026-07-28).
//! Every request stands for itself: own id, rebuilt `_meta`, mirrored headers. Dropping the leg drops the response,
//! which is the cancellation (check 64). No sessions, no resumption, nothing is asked on the way.

use super::{
    Http,
    connection::Response,
    events::{self, Content, Messages, Next},
};
use crate::{
    conversation::{Conversation, Step},
    timer::{Expired, Timer},
    wire::{self, EraEvidence},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use portreeve_mcp::{
    Code, Ctx, Event, Id, Method, Outcome, Params, RawJson, Request, Version, header,
    service::{Emitter, Failure, FailureKind, Final},
};

/// The most pages that a list of the connector's own may have.
const MAX_PAGES: usize = 100;

/// How one attempt ended.
pub(crate) enum Attempt {
    /// With this event.
    End(Event),
    /// The server did not run it because the mirrored headers were not what it wants.
    HeaderMismatch,
    /// The server did not run it and does not seem to be modern. The event is for when it is after all.
    WrongEra(Event),
}

pub(crate) const EXPIRED: &str = "the deadline of the call has passed";

pub(crate) fn expired(Expired: Expired) -> Failure {
    Failure::new(FailureKind::Timeout, EXPIRED)
}

fn failed(failure: Failure) -> Attempt {
    Attempt::End(Event::Final(Final::Failed(failure)))
}

impl Http {
    /// Runs one call, with the one repetition that a header mismatch allows (check 26).
    pub(crate) async fn modern_call(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
    ) -> Attempt {
        if request.method == Method::ToolsCall && !self.tools.listed() {
            let listed = timer.within(Box::pin(self.list_tools(ctx, false))).await;
            if let Err(gone) = listed {
                return failed(expired(gone));
            }
        }
        match self.modern_once(ctx, request, emit, timer).await {
            Attempt::HeaderMismatch => {}
            end => return end,
        }
        if let Err(gone) = timer.within(Box::pin(self.list_tools(ctx, true))).await {
            return failed(expired(gone));
        }
        match self.modern_once(ctx, request, emit, timer).await {
            Attempt::HeaderMismatch => failed(Failure::new(
                FailureKind::Protocol,
                "the server refuses the headers of the call twice",
            )),
            end => end,
        }
    }

    async fn modern_once(&self, ctx: &Ctx, request: &Request, emit: &Emitter, timer: &mut Timer) -> Attempt {
        let id = self.next_id();
        let headers = match self.modern_headers(ctx, request) {
            Ok(headers) => headers,
            Err(failure) => return failed(failure),
        };
        let progress = ctx.wants_progress.then_some(id);
        let body = wire::modern_request(&Id::number(id), ctx, request, progress);
        let sent = timer.within(self.pool.send(self.pool.target.post(headers, body))).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return failed(error.failure()),
            Err(gone) => return failed(expired(gone)),
        };
        match events::content(&response.headers) {
            Content::Events if response.status.is_success() => {
                // Kept out of the futures of calls that are answered plainly.
                Box::pin(self.modern_events(ctx, request, emit, timer, response, id)).await
            }
            Content::Json => self.modern_json(ctx, request, timer, response, id).await,
            _ => {
                let status = response.status;
                response.body.finish();
                classify(status, None, request, id)
            }
        }
    }

    async fn modern_json(
        &self,
        ctx: &Ctx,
        request: &Request,
        timer: &mut Timer,
        response: Response,
        id: u64,
    ) -> Attempt {
        let status = response.status;
        let large =
            self.large_wanted(ctx, request, portreeve_mcp::Era::Modern).filter(|_| status.is_success());
        let read =
            super::answer::read(response, id, large, self.runtime.limits.upstream_message, &self.deadlines);
        match timer.within(read).await {
            Err(gone) => failed(expired(gone)),
            Ok(Err(failure)) => failed(failure),
            Ok(Ok(super::answer::Answer::Large(stream))) => Attempt::End(Event::Final(Final::Large(stream))),
            Ok(Ok(super::answer::Answer::Whole(outcome))) => {
                let outcome = outcome.map(|outcome| self.learn(request, outcome));
                classify(status, outcome, request, id)
            }
        }
    }

    async fn modern_events(
        &self,
        ctx: &Ctx,
        request: &Request,
        emit: &Emitter,
        timer: &mut Timer,
        response: Response,
        id: u64,
    ) -> Attempt {
        let status = response.status;
        let mut messages = Messages::new(response.body, self.runtime.limits.upstream_message);
        let mut talk = Conversation::new(ctx, emit, timer, id);
        loop {
            let next = match talk.timer.within(messages.next()).await {
                Ok(next) => next,
                Err(gone) => return failed(expired(gone)),
            };
            let frame = match next {
                Next::Frame(portreeve_mcp::Frame::Request { method, .. }) => {
                    tracing::warn!(server = %self.name, method = method.as_str(), "a modern server sent a request");
                    continue;
                }
                Next::Frame(frame) => frame,
                Next::Other(_) => continue,
                Next::End(why) => {
                    return failed(Failure::new(
                        FailureKind::OutcomeUnknown,
                        format!("the answer broke off: {why}"),
                    ));
                }
                Next::Fault(failure) => return failed(failure),
            };
            match talk.take(frame).await {
                Step::Done(outcome) => {
                    messages.finish();
                    return classify(status, Some(self.learn(request, outcome)), request, id);
                }
                // Changes are told on listen streams alone in this era.
                Step::Continue | Step::Send(_) | Step::Notice(_) | Step::Completed(_) => {}
            }
        }
    }

    fn learn(&self, request: &Request, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Result(result) if request.method == Method::ToolsList => {
                Outcome::Result(self.tools.learn(self.name.as_str(), result))
            }
            other => other,
        }
    }

    /// The headers of a modern request (checks 20–24): made from what is sent, never from what a client sent.
    pub(crate) fn modern_headers(&self, ctx: &Ctx, request: &Request) -> Result<HeaderMap, Failure> {
        let fail = || Failure::new(FailureKind::Protocol, "a name of the call cannot be sent in a header");
        let mut headers = self.pool.target.post_headers();
        let version = HeaderValue::from_static(Version::NEWEST.as_str());
        headers.insert(HeaderName::from_static(header::PROTOCOL_VERSION), version);
        let method = HeaderValue::from_str(request.method.as_str()).map_err(|_| fail())?;
        headers.insert(HeaderName::from_static(header::METHOD), method);
        if let Some(name) = wire::mirrored_name(request) {
            let value = header::encode_value(&name);
            let value = HeaderValue::from_str(&value).map_err(|_| fail())?;
            headers.insert(HeaderName::from_static(header::NAME), value);
        }
        if request.method == Method::ToolsCall {
            self.param_headers(ctx, request, &mut headers);
        }
        super::target::trace(ctx, &mut headers);
        super::credential::add(ctx, &mut headers)?;
        Ok(headers)
    }

    fn param_headers(&self, ctx: &Ctx, request: &Request, headers: &mut HeaderMap) {
        let annotations = request.params.text("name").and_then(|name| self.tools.of(&name));
        let own = annotations.map(|list| header::param_headers(&list, request.params.get("arguments")));
        for (name, value) in ctx.param_headers.iter().chain(own.iter().flatten()) {
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let name = name.filter(|name| name.as_str().starts_with(header::PARAM_PREFIX));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                headers.insert(name, value);
            }
        }
    }

    /// Lists the tools for their annotations, one caller at a time. `again`: although a list is known.
    async fn list_tools(&self, ctx: &Ctx, again: bool) {
        let _listing = self.tools.listing.lock().await;
        if self.tools.listed() && !again {
            return;
        }
        let mut cursor: Option<RawJson> = None;
        for _ in 0..MAX_PAGES {
            let mut params = Params::default();
            if let Some(cursor) = cursor.take() {
                params.set("cursor", cursor);
            }
            let request = Request { method: Method::ToolsList, params };
            let Ok(Outcome::Result(page)) = self.modern_exchange(ctx, &request).await else {
                return self.tools.give_up();
            };
            let page = self.tools.learn(self.name.as_str(), page);
            cursor = page.get("nextCursor");
            if cursor.is_none() {
                return;
            }
        }
    }

    /// A short request of the connector's own.
    async fn modern_exchange(&self, ctx: &Ctx, request: &Request) -> Result<Outcome, Failure> {
        let id = self.next_id();
        let headers = self.modern_headers(ctx, request)?;
        let body = wire::modern_request(&Id::number(id), ctx, request, None);
        let response = self.pool.send(self.pool.target.post(headers, body)).await;
        let response = response.map_err(super::connection::SendError::failure)?;
        let reply = events::Reply::read(response, id, self.runtime.limits.upstream_message).await?;
        reply.outcome.ok_or_else(|| events::status_failure(reply.status))
    }
}

/// What an answer means. A refusal that no modern server sends points to another era: nothing has run then.
fn classify(status: StatusCode, outcome: Option<Outcome>, request: &Request, id: u64) -> Attempt {
    if matches!(status.as_u16(), 401 | 403) {
        return failed(events::status_failure(status));
    }
    let Some(outcome) = outcome else {
        let failure = Event::Final(Final::Failed(events::status_failure(status)));
        let refused = status.is_client_error() && !matches!(status.as_u16(), 408 | 429);
        return if refused { Attempt::WrongEra(failure) } else { Attempt::End(failure) };
    };
    let Outcome::Error(error) = &outcome else {
        return Attempt::End(wire::modern_end(outcome, &request.method));
    };
    match wire::evidence(error) {
        EraEvidence::Modern if error.code == Code::HEADER_MISMATCH => Attempt::HeaderMismatch,
        EraEvidence::Modern if error.code == Code::UNSUPPORTED_VERSION => failed(Failure::new(
            FailureKind::Protocol,
            format!("request {id}: the server refuses a version that it says it supports"),
        )),
        EraEvidence::LegacyOnly | EraEvidence::Foreign => {
            let text = "the server serves no revision that is known here";
            Attempt::WrongEra(Event::failed(FailureKind::NoCommonVersion, text))
        }
        // Wrong parameters are also answered 400 by some modern servers.
        EraEvidence::None if status == StatusCode::BAD_REQUEST && error.code != Code::INVALID_PARAMS => {
            Attempt::WrongEra(wire::modern_end(outcome, &request.method))
        }
        _ => Attempt::End(wire::modern_end(outcome, &request.method)),
    }
}

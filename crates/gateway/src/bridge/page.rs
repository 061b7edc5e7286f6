//! Pages that a person has to open before a call can run. A 2025-11-25 server refuses the call with -32042 and names
//! them; a modern server asks for them and is called again (mcp.md 4.3.7, 4.4.4; spec 2025-11-25: client/elicitation).
//! That a person agreed to open a page does not mean that they are done: a server that wants the same page again is
//! given time, and only then is the person asked again.

use super::{
    asked::{self, Asked},
    need,
    park::input_required,
    refusal,
    repeat::ACCEPT,
};
use crate::{
    Gateway, Server,
    call::Call,
    exchange::{Client, Inner, Stage, Step, tool_failure},
    record::End,
    session::Session,
    state::{CallDigest, RequestState},
};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use portreeve_mcp::{
    Code, Era, Method, Outcome, RawJson, RpcError, Text, Version, frame, payload,
    service::{AskKind, InputRequest},
};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;

/// How many pages one call may want at once; more are left for the next round.
const MAX_PAGES: usize = 8;
/// The first time that a server gets for a page that was agreed to; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// How often a modern client's call is sent again before the person is asked again: 1 + 2 + 4 + 8 seconds, which stays
/// below the patience of clients.
const MAX_WAITS: u32 = 4;

/// What is known of pages in one call.
#[derive(Default)]
pub(crate) struct Pages {
    /// Addresses that the person agreed to open.
    pub(super) agreed: Vec<Text>,
    /// Pages that a legacy client is still to be told the completion of: address, and the id that it knows.
    pub(super) untold: Vec<(Text, Text)>,
    waits: u32,
    waited: Duration,
    /// What the server says is done; heard from before the call is sent again, so that nothing is missed.
    done: Option<BoxStream<'static, Text>>,
    /// Pages that a pause waits for.
    open: Vec<Text>,
}

impl Pages {
    /// Of a call that is sent again after these pages were agreed to.
    pub(crate) fn agreed(agreed: Vec<Text>, server: &Server) -> Self {
        let done = (!agreed.is_empty()).then(|| server.completed());
        Self { agreed, done, ..Self::default() }
    }

    /// Ready once the server has said of every page that a pause waits for that it is done.
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let (Some(done), false) = (&mut self.done, self.open.is_empty()) {
            match ready!(done.poll_next_unpin(cx)) {
                Some(id) => self.open.retain(|open| *open != id),
                None => self.done = None,
            }
            if self.open.is_empty() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// A legacy client's person agreed to open this page.
    pub(super) fn accepted(&mut self, url: Text, id: Text) {
        self.agreed.push(url.clone());
        self.untold.push((url, id));
    }

    /// The next time to give a server.
    fn next_pause(&mut self) -> Duration {
        let pause = (FIRST_PAUSE * (1 << self.waits.min(8))).min(MAX_PAUSE);
        self.waits += 1;
        self.waited += pause;
        pause
    }
}

/// One page of a -32042.
struct Page {
    url: Text,
    id: Option<Text>,
    params: RawJson,
}

fn pages(error: &RpcError) -> Vec<Page> {
    let listed = error.data.as_ref().and_then(|data| data.get("elicitations")?.elements());
    let page = |raw: &RawJson| {
        let url = raw.get("url")?.string_value()?;
        let id = raw.get("elicitationId").and_then(|id| id.string_value());
        // The revision has them with their mode; some write only what it names as required.
        let full = raw.with(&[], &[("mode", &RawJson::from_static("\"url\""))]);
        let params = payload::ask_for_client(AskKind::Elicit, Some(&full), Version::NEWEST).ok()?.params?;
        Some(Page { url, id, params })
    };
    listed.unwrap_or_default().iter().filter_map(page).take(MAX_PAGES).collect()
}

/// The server refuses the call until pages have been opened. `None`: the error is the answer.
pub(crate) fn on_required(inner: &mut Inner, error: &RpcError) -> Option<Step> {
    if error.code != Code::URL_ELICITATION_REQUIRED || inner.server_version.era() == Era::Modern {
        return None;
    }
    let pages = pages(error);
    if pages.is_empty() {
        return None;
    }
    let offered = need::Need::Page.is_offered(inner.ctx.capabilities.flags());
    match &inner.client {
        Client::Modern if !inner.request.method.may_ask() => None,
        _ if !offered => Some(Step::Last(need::insists(inner, need::Need::Page))),
        // It knows them: those before 2025-11-25 cannot offer pages. It opens them and calls again by itself.
        Client::Legacy { session, .. } => {
            pages.iter().filter_map(|page| page.id.as_ref()).for_each(|id| session.page_asked(id));
            None
        }
        Client::Modern => again_or_ask(inner, pages),
    }
}

/// A modern client's person is asked, or the server is given time with pages that were agreed to.
fn again_or_ask(inner: &mut Inner, pages: Vec<Page>) -> Option<Step> {
    let fresh = pages.iter().any(|page| !inner.pages.agreed.contains(&page.url));
    if !fresh && inner.pages.waits < MAX_WAITS {
        let time = inner.pages.next_pause();
        inner.pages.open = pages.into_iter().filter_map(|page| page.id).collect();
        inner.leg = None;
        inner.stage = Stage::Pacing(Box::pin(tokio::time::sleep(time)), inner.request.clone());
        return None;
    }
    if let Some(last) = super::too_many_rounds(inner) {
        return Some(Step::Last(last));
    }
    let round = inner.record.rounds + 1;
    let name = |at: usize| format!("r{round}.{at}");
    let asked = pages
        .into_iter()
        .enumerate()
        .map(|(at, page)| Asked::new(&name(at), AskKind::Elicit, Some(&page.params), None))
        .collect();
    let digest = CallDigest::of(inner.server.name(), &inner.request.method, &inner.request.params);
    let state = RequestState::Resend { asked, agreed: Vec::new(), digest, round };
    let answer = question(&inner.gateway, &inner.principal, &inner.server, &state);
    Some(Step::Last(inner.end_with(End::InputRequired, Outcome::Result(answer))))
}

/// The `input_required` that asks for the pages of a state.
fn question(
    gateway: &Gateway,
    principal: &portreeve_model::Principal,
    server: &Server,
    state: &RequestState,
) -> RawJson {
    let asked = match state {
        RequestState::Resend { asked, .. } => asked.as_slice(),
        _ => &[],
    };
    input_required(
        &asked::input_requests(asked),
        &gateway.seal_request_state(principal, server.door(), state),
    )
}

/// What a retry says about the pages of its state.
pub(crate) enum Said {
    /// All were agreed to: the call is sent again.
    Agreed(Vec<Text>),
    /// The call ends here: with a question for what was not answered, or because the person does not want it.
    Ends(End, Outcome),
}

/// Reads the answers of a retry to the pages of its state.
pub(crate) fn read_answers(
    gateway: &Gateway,
    call: &Call<'_>,
    (asked, mut agreed): (Vec<Asked>, Vec<String>),
    digest: CallDigest,
    round: u32,
) -> Result<Said, RpcError> {
    let sorted = asked::sort(call, asked)?;
    for (asked, answer) in sorted.answered {
        if !is_accepted(&answer) {
            return Ok(refused(&call.inbound.method));
        }
        let url = asked.params().and_then(|params| params.get("url")?.string_value());
        agreed.extend(url.map(|url| url.to_string()));
    }
    let open = sorted.open;
    if open.is_empty() {
        return Ok(Said::Agreed(agreed.into_iter().map(Text::from).collect()));
    }
    let state = RequestState::Resend { asked: open, agreed, digest, round };
    let answer = question(gateway, &call.inbound.principal, &call.inbound.server, &state);
    Ok(Said::Ends(End::InputRequired, Outcome::Result(answer)))
}

/// Whether the person agreed.
pub(super) fn is_accepted(answer: &RawJson) -> bool {
    answer.get("action").is_some_and(|action| action.as_bytes() == b"\"accept\"")
}

/// The person does not want to open the page.
fn refused(method: &Method) -> Said {
    let text = "the page that the server needs was not opened; nothing was run";
    if *method == Method::ToolsCall {
        return Said::Ends(End::ToolError, tool_failure(text, Version::NEWEST));
    }
    let error = RpcError::new(Code::INVALID_PARAMS, text);
    Said::Ends(End::Refused(error.code.0), Outcome::Error(error))
}

/// The address that a question wants opened.
pub(super) fn url(ask: &InputRequest) -> Option<Text> {
    let params = ask.params.as_ref().filter(|_| ask.kind == AskKind::Elicit)?;
    params.get("mode").filter(|mode| mode.as_bytes() == b"\"url\"")?;
    params.get("url")?.string_value()
}

/// A modern server ended the leg with nothing but pages that were agreed to: whether it is given more time.
pub(super) fn only_waits(inner: &Inner, asks: &[InputRequest]) -> bool {
    let agreed = |ask: &InputRequest| url(ask).is_some_and(|url| inner.pages.agreed.contains(&url));
    matches!(inner.client, Client::Legacy { .. }) && !asks.is_empty() && asks.iter().all(agreed)
}

/// The time to give the server, or `None` when it has had as much as a person gets for an answer.
pub(super) fn patience(inner: &mut Inner) -> Option<Pin<Box<Sleep>>> {
    let in_time = inner.pages.waited < inner.gateway.park_ttl();
    in_time.then(|| Box::pin(tokio::time::sleep(inner.pages.next_pause())))
}

/// What a server hears that asks, among other things, for a page that was agreed to; it is given up once it has had time.
pub(super) fn known_answer(inner: &Inner, url: &Text) -> Option<Outcome> {
    let in_time = inner.pages.waited < inner.gateway.park_ttl();
    let answer = if in_time { Outcome::Result(ACCEPT) } else { refusal(AskKind::Elicit) };
    inner.pages.agreed.contains(url).then_some(answer)
}

/// A question for a page as a 2025-11-25 client wants it: with an id under which it hears that the page is done.
pub(super) fn with_id(inner: &Inner, params: &RawJson) -> (Text, RawJson) {
    let id = inner.gateway.seal_ask(&inner.principal, inner.server.door(), inner.gateway.next_number());
    let params = params.with(&[], &[("elicitationId", &RawJson::string(&id))]);
    (Text::from(id), params)
}

/// The server has stopped asking for pages, except for these: the client hears that the others are done.
pub(super) fn tell_done(inner: &mut Inner, still: &[InputRequest]) {
    let (kept, done): (Vec<_>, Vec<_>) = std::mem::take(&mut inner.pages.untold)
        .into_iter()
        .partition(|(known, _)| still.iter().any(|ask| url(ask).as_ref() == Some(known)));
    inner.pages.untold = kept;
    inner.outbox.extend(done.into_iter().map(|(_, id)| complete(&id)));
}

/// The call ends with a result: its pages are done.
pub(crate) fn tell_all_done(inner: &mut Inner) {
    if !inner.pages.untold.is_empty() {
        tell_done(inner, &[]);
    }
}

/// `notifications/elicitation/complete`.
pub(crate) fn complete(id: &Text) -> Vec<u8> {
    let params = RawJson::EMPTY_OBJECT.with(&[], &[("elicitationId", &RawJson::string(id))]);
    frame::encode_notification(Method::ElicitationComplete.as_str(), Some(&params))
}

/// A legacy server asks a legacy client for a page in the middle of a call: its completion may come at any later time.
pub(super) fn remember(session: &Session, params: Option<&RawJson>) {
    if let Some(id) = params.and_then(|params| params.get("elicitationId")?.string_value()) {
        session.page_asked(&id);
    }
}

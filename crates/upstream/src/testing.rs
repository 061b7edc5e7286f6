//! What the tests of both transports share: contexts, requests, a runtime, and reading a leg to its end.

use crate::Runtime;
use futures_util::StreamExt;
use portreeve_mcp::{
    ClientCapabilities, Ctx, Event, Leg, Method, Outcome, Params, RawJson, Request, Text, Version,
    service::{Failure, FailureKind, Final},
};
use portreeve_model::{IsolationKey, Limits};
use portreeve_process::{Launcher, Supervisor};
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn runtime() -> Runtime {
    let tracker = TaskTracker::new();
    let path = [("PATH", "/usr/local/bin:/usr/bin:/bin")].map(|(key, value)| (key.into(), value.into()));
    Runtime {
        supervisor: Supervisor::new(Launcher::Direct, path, tracker.clone()),
        tracker,
        shutdown: CancellationToken::new(),
        limits: Limits { upstream_message: 1 << 20, ..Limits::default() },
    }
}

pub(crate) fn raw(text: &str) -> RawJson {
    RawJson::from_text(text).unwrap()
}

pub(crate) fn ctx(version: Version, capabilities: &str) -> Ctx {
    let mut ctx = Ctx::system(IsolationKey::new("test"), None);
    ctx.version = version;
    ctx.capabilities = ClientCapabilities::read(&raw(capabilities), version).unwrap();
    ctx
}

/// A modern caller that can be asked nothing.
pub(crate) fn plain() -> Ctx {
    ctx(Version::NEWEST, "{}")
}

/// A modern caller that can be asked everything.
pub(crate) fn askable() -> Ctx {
    ctx(Version::NEWEST, r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#)
}

pub(crate) fn request(method: &str, params: &str) -> Request {
    let params = Params::parse(Some(&raw(params))).unwrap();
    Request { method: Method::from_text(&Text::from(method)), params }
}

/// A call of the tool with this name.
pub(crate) fn tool(name: &str) -> Request {
    request("tools/call", &format!(r#"{{"name":"{name}","arguments":{{}}}}"#))
}

pub(crate) async fn next(leg: &mut Leg) -> Event {
    let event =
        tokio::time::timeout(PATIENCE, leg.next()).await.expect("an event within the test's patience");
    event.expect("an event before the end of the leg")
}

/// The last event; the ones before are thrown away.
pub(crate) async fn end(mut leg: Leg) -> Event {
    let mut last = next(&mut leg).await;
    while let Some(event) = tokio::time::timeout(PATIENCE, leg.next()).await.expect("the end of the leg") {
        last = event;
    }
    last
}

pub(crate) fn result_of(event: Event) -> String {
    match event {
        Event::Final(Final::Whole(Outcome::Result(result))) => result.as_str().to_owned(),
        other => panic!("not a result: {other:?}"),
    }
}

pub(crate) fn failure_of(event: Event) -> Failure {
    match event {
        Event::Final(Final::Failed(failure)) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

pub(crate) fn kind_of(event: Event) -> FailureKind {
    failure_of(event).kind
}

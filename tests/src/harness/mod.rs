//! What every whole-program test stands on: the real binary as a process, raw HTTP and convenient MCP clients, and
//! servers that play a script. Everything here is bounded by a deadline and waits for events, never for time to pass.
//! It uses nothing of the product's crates: a client that shared the product's codec would share its mistakes.

mod binary;
mod gate;
mod http;
mod place;
mod post;
mod process;
mod scripted_http;
mod scripted_stdio;
mod session;

pub(crate) use binary::portreeve;
pub(crate) use gate::{Gate, GateBuilder, demo_http, demo_sse, demo_stdio};
pub(crate) use http::{Connection, Response, Told};
pub(crate) use place::{Place, Places};
pub(crate) use post::{MODERN, Post, modern_meta};
pub(crate) use process::Running;
pub(crate) use scripted_http::{Answer, Scripted, Seen, legacy_answers, modern_answers};
pub(crate) use scripted_stdio::{Does, ScriptedStdio};
pub(crate) use session::Session;

use std::{future::Future, time::Duration};

/// How long anything may take before a test gives up. Far above what is needed on a busy machine with two cores: it is
/// there to end a hang, not to measure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits within a deadline; what was awaited is named when it does not come.
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {limit:?}"),
    }
}

/// Awaits within the usual patience.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(PATIENCE, what, future).await
}

//! Watching a server behind a URL: `subscriptions/listen` in the modern era, the GET stream and
//! `resources/subscribe` in the legacy one. One owned task for each watch; it ends when nobody reads it any more.

use super::{
    Http,
    events::{Messages, Next},
    probe::Way,
    session::SessionKey,
};
use crate::{slots::Mode, watching, wire};
use portreeve_mcp::{
    Ctx, Frame, Id, Method, Params, Request,
    service::{Notice, Watch, WatchFilter},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

const OPEN_WAIT: Duration = Duration::from_secs(30);

pub(crate) fn start(http: Arc<Http>, ctx: Ctx, filter: WatchFilter) -> Watch {
    let (tracker, shutdown) = (http.runtime.tracker.clone(), http.runtime.shutdown.clone());
    watching::start(&tracker, shutdown, move |out| async move {
        let once = || async { watching::Watched::stood(once(&http, &ctx, &filter, &out).await) };
        watching::again_and_again(&out, once, || std::future::ready(())).await;
    })
}

/// Watches until the stream breaks; tells whether it stood.
async fn once(http: &Http, ctx: &Ctx, filter: &WatchFilter, out: &mpsc::Sender<Notice>) -> bool {
    let Ok(verdict) = http.verdict(ctx).await else { return false };
    match verdict.way {
        Way::Modern => modern(http, ctx, filter, out).await,
        Way::Sessions => legacy(http, ctx, filter, out).await,
        Way::Lines => http.watch_line(ctx, filter, out).await,
    }
}

async fn modern(http: &Http, ctx: &Ctx, filter: &WatchFilter, out: &mpsc::Sender<Notice>) -> bool {
    let mut params = Params::default();
    params.set("notifications", watching::wanted(filter));
    let request = Request { method: Method::Listen, params };
    let Ok(headers) = http.modern_headers(ctx, &request) else { return false };
    let body = wire::modern_request(&Id::number(http.next_id()), ctx, &request, None);
    let Ok(response) = http.pool.send(http.pool.target.post(headers, body)).await else { return false };
    if !response.status.is_success() {
        return false;
    }
    let mut messages = Messages::new(response.body, http.runtime.limits.upstream_message);
    let mut stood = false;
    loop {
        let frame = match messages.next().await {
            Next::Frame(frame) => frame,
            Next::Other(_) => continue,
            Next::End(_) | Next::Fault(_) => return stood,
        };
        let Frame::Notification { method, params } = frame else { return stood };
        let notice = if method == Method::ListenAcknowledged {
            stood = true;
            Some(Notice::Watching(watching::honoured(params.as_ref())))
        } else {
            wire::notice(&method, params.as_ref())
        };
        let Some(notice) = notice else { continue };
        if out.send(notice).await.is_err() {
            return stood;
        }
    }
}

async fn legacy(http: &Http, ctx: &Ctx, filter: &WatchFilter, out: &mpsc::Sender<Notice>) -> bool {
    let key = SessionKey::of(ctx);
    // A session that serves calls can be watched meanwhile, and watching takes it from nobody.
    let session = match http.sessions.of_key(&key).into_iter().next() {
        Some(session) => session,
        None => {
            let Ok(lease) = http.sessions.acquire(&key, Mode::Shared, OPEN_WAIT).await else { return false };
            let Ok(session) = lease.get(|| Box::pin(http.open_session(ctx))).await else { return false };
            session
        }
    };
    session.listen().await;
    let next_id = || http.next_id();
    watching::legacy(&session, &session.description, filter, &next_id, session.ended(), out).await;
    true
}

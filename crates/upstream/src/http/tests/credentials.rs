//! A server that does not accept the credential has run nothing: a fresher one is tried, once (decision D19).

use super::*;
use futures_util::future::BoxFuture;
use portreeve_mcp::{Ctx, service::CredentialSource};
use portreeve_model::{Secret, UpstreamCredential};
use std::sync::atomic::{AtomicUsize, Ordering};

fn bearer(text: &str) -> UpstreamCredential {
    UpstreamCredential::bearer(Secret::new(text.to_owned()))
}

/// Has this credential, whatever is refused.
#[derive(Debug)]
struct Source(&'static str, AtomicUsize);

impl CredentialSource for Source {
    fn renew<'a>(&'a self, _: Option<&'a UpstreamCredential>) -> BoxFuture<'a, Option<UpstreamCredential>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { (!self.0.is_empty()).then(|| bearer(self.0)) })
    }
}

fn caller(source: &Arc<Source>) -> Ctx {
    let mut ctx = plain();
    ctx.credential = Some(bearer("stale"));
    ctx.renewal = Some(Arc::clone(source) as Arc<dyn CredentialSource>);
    ctx
}

/// A server that accepts `fresh` alone: `all` for every request, else for calls only.
async fn guarded(legacy_server: bool, all: bool) -> Fake {
    Fake::start(move |seen| async move {
        let known = seen.header("authorization") == Some("Bearer fresh");
        match seen.method() {
            _ if !known && (all || seen.method() == "tools/call") => Answer::empty(401),
            "server/discover" if legacy_server => seen.error(400, -32600, Value::Null),
            "server/discover" => discovered(&seen),
            "initialize" => handshake(&seen, "2025-11-25"),
            "tools/list" => seen.result(json!({"tools": []})),
            "tools/call" => seen.result(done("x")),
            _ => Answer::empty(202),
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_credential_is_renewed_once_and_the_call_sent_once_more() {
    for (legacy_server, all) in [(false, false), (false, true), (true, false), (true, true)] {
        let fake = guarded(legacy_server, all).await;
        let source = Arc::new(Source("fresh", AtomicUsize::new(0)));
        let http = connect(&fake);
        if all {
            assert!(http.describe(&caller(&source)).await.is_ok());
        }
        assert_eq!(result_of(end(http.open(caller(&source), tool("x"))).await), done("x").to_string());
        let accepted = fake
            .seen()
            .iter()
            .filter(|seen| {
                seen.method() == "tools/call" && seen.header("authorization") == Some("Bearer fresh")
            })
            .count();
        assert_eq!(accepted, 1, "{legacy_server} {all}");
    }
}

#[tokio::test]
async fn nothing_is_repeated_where_nothing_fresh_is_to_be_had() {
    for (offered, calls) in [("", 1), ("stale", 1), ("stale too", 2)] {
        let fake = guarded(false, false).await;
        let source = Arc::new(Source(offered, AtomicUsize::new(0)));
        let http = connect(&fake);
        assert_eq!(kind_of(end(http.open(caller(&source), tool("x"))).await), FailureKind::Unauthorized);
        assert_eq!(source.1.load(Ordering::Relaxed), 1, "{offered}");
        assert_eq!(
            fake.methods().iter().filter(|method| *method == "tools/call").count(),
            calls,
            "{offered}"
        );
    }
}

#[tokio::test]
async fn a_credential_that_is_known_but_not_allowed_is_not_renewed() {
    let fake = modern(|_| async { Answer::empty(403) }).await;
    let source = Arc::new(Source("fresh", AtomicUsize::new(0)));
    let http = connect(&fake);
    assert_eq!(kind_of(end(http.open(caller(&source), tool("x"))).await), FailureKind::Forbidden);
    assert_eq!(source.1.load(Ordering::Relaxed), 0);
}

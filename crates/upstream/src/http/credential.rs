//! What a server is shown of a credential, and what follows when it does not accept it: nothing has run then, so a fresher
//! one may be tried, once (decision D19). Where credentials come from is not known here.

use super::Http;
use http::{HeaderMap, HeaderValue, header};
use portreeve_mcp::{
    Ctx, Event,
    service::{Failure, FailureKind, Final},
};
use portreeve_model::UpstreamCredential;
use std::time::Duration;

/// How long a fresh credential may take to be had.
const RENEWAL: Duration = Duration::from_secs(10);

/// Presents what was resolved for this call.
pub(crate) fn add(ctx: &Ctx, headers: &mut HeaderMap) -> Result<(), Failure> {
    let Some(credential) = &ctx.credential else { return Ok(()) };
    let value = HeaderValue::from_str(credential.authorization_header().expose());
    let mut value = value.map_err(|_| {
        Failure::new(FailureKind::Unauthorized, "the credential has characters that no header can carry")
    })?;
    value.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, value);
    Ok(())
}

/// Whether a call ended because the server does not accept the credential.
pub(crate) fn refused(event: &Event) -> bool {
    matches!(event, Event::Final(Final::Failed(failure)) if failure.kind == FailureKind::Unauthorized)
}

impl Http {
    /// The same context with another credential, if there is one.
    pub(crate) async fn renewed(&self, ctx: &Ctx) -> Option<Ctx> {
        let source = ctx.renewal.as_ref()?;
        let renewal = source.renew(ctx.credential.as_ref());
        let fresh = tokio::time::timeout(RENEWAL, renewal).await.ok()??;
        if ctx.credential.as_ref().is_some_and(|stale| same(stale, &fresh)) {
            return None;
        }
        tracing::info!(server = %self.name, "the server did not accept the credential, a fresh one is tried");
        let mut ctx = ctx.clone();
        ctx.credential = Some(fresh);
        Some(ctx)
    }
}

fn same(one: &UpstreamCredential, other: &UpstreamCredential) -> bool {
    one.authorization_header().expose() == other.authorization_header().expose()
}

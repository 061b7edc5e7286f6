//! Requests about what another replica owns: sessions, parked calls, questions. The whole request goes there, once; when
//! nobody is there any more, what can be made again is made again by one replica, and the rest is told at once.

use super::{Brought, Visit};
use crate::{
    answer,
    body::OutBody,
    hop::{self, Lost},
};
use http::{Response, StatusCode};
use portreeve_gateway::{
    Session, Whereabouts,
    hop::{Door, Hop, Ownership},
};
use portreeve_mcp::{Era, Id, RpcError};
use portreeve_model::ReplicaId;
use std::sync::Arc;

impl Visit<'_> {
    /// Brings the whole request to another replica.
    async fn pass_on(
        &self,
        owner: &ReplicaId,
        ownership: Ownership,
        id: Option<&Id>,
    ) -> Result<Response<OutBody>, Lost> {
        let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
        let along = self.headers.iter().filter(|(name, _)| hop::goes_along(name));
        let hop = Hop {
            principal: self.principal.clone(),
            server: self.server.name().clone(),
            door: Door::Mcp,
            verb: self.verb.as_str().to_owned(),
            query: None,
            headers: along
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
                .collect(),
            ownership,
            body: self.body.clone(),
        };
        hop::pass_on(self.edge, owner, &hop, id.cloned()).await
    }

    /// A request about a call that waits at another replica, or a task that lives there. When that is gone, so are they, and
    /// nothing is run again (check 101).
    pub(super) async fn owned_elsewhere(
        &self,
        owner: &ReplicaId,
        id: &Id,
        gone: RpcError,
    ) -> Response<OutBody> {
        if self.brought != Brought::ByClient {
            return answer::empty(hop::NOT_MINE);
        }
        match self.pass_on(owner, Ownership::Own, Some(id)).await {
            Ok(response) => response,
            Err(Lost::Gone) => answer::refused(Era::Modern, id, gone.into()),
            Err(Lost::Unknown) => hop::lost_answer(Some(id)),
        }
    }

    /// Whether this replica is about to end and leaves new work to the one that asks.
    pub(super) fn hands_over(&self) -> bool {
        self.brought != Brought::ByClient && self.edge.gateway.closing().is_cancelled()
    }

    /// Finds a session: here, at its owner, or, if that is gone, at the one that takes over what it owned.
    pub(super) async fn locate(
        &self,
        named: &str,
        id: Option<&Id>,
    ) -> Result<Option<Arc<Session>>, Box<Response<OutBody>>> {
        let (gateway, mut ownership) = (&self.edge.gateway, Ownership::Own);
        let mut found = gateway.find_session(&self.principal, &self.server, named);
        loop {
            let owner = match found {
                Whereabouts::Here(session) => return Ok(Some(session)),
                Whereabouts::Nowhere => return Ok(None),
                Whereabouts::Elsewhere(owner) => owner,
            };
            match (self.brought, ownership) {
                (Brought::ByReplica(Ownership::Adopt), _) => {
                    found = gateway.take_over_session(&self.principal, &self.server, named);
                    continue;
                }
                (Brought::ByReplica(Ownership::Own), _) => {
                    return Err(Box::new(answer::empty(hop::NOT_MINE)));
                }
                (Brought::ByClient, _) => {}
            }
            match self.pass_on(&owner, ownership, id).await {
                Ok(response) => return Err(Box::new(response)),
                Err(Lost::Unknown) => return Err(Box::new(hop::lost_answer(id))),
                // The heir is gone as well: the next one would be found later, by the directory.
                Err(Lost::Gone) if ownership == Ownership::Adopt => return Ok(None),
                Err(Lost::Gone) => {
                    ownership = Ownership::Adopt;
                    found = gateway.adopt_session(&self.principal, &self.server, named, &owner).await;
                }
            }
        }
    }

    /// An answer to a question that another replica asked, if it is such an answer.
    pub(super) async fn answer_elsewhere(&self, id: Option<&Id>) -> Option<Response<OutBody>> {
        let owner = self.edge.gateway.asked_elsewhere(&self.principal, &self.server, id)?;
        if self.brought != Brought::ByClient {
            return Some(answer::empty(hop::NOT_MINE));
        }
        match self.pass_on(&owner, Ownership::Own, None).await {
            Ok(response) => Some(response),
            // Whoever asked is gone, and its call with it: this is a late answer.
            Err(Lost::Gone) => Some(answer::empty(StatusCode::ACCEPTED)),
            Err(Lost::Unknown) => Some(hop::lost_answer(None)),
        }
    }
}

//! What clients bring back to us, sealed (reference: mcp.md 4.0). Each is bound to principal, tenant and server by the
//! seal, carries its expiry, and names the replica that owns what it points at, so that any replica can tell where to go.

use crate::{
    Gateway,
    bridge::{Asked, away::Away},
    catalogue::ListKind,
    error,
    tasks::Page,
};
use portreeve_mcp::{Code, Method, Params, RawJson, RpcError, json::Kind};
use portreeve_model::{Principal, ReplicaId, ServerName};
use portreeve_seal::{Bound, Purpose};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a relayed question may stay unanswered. It binds nothing on our side, so it may be long.
const RELAY_TTL: Duration = Duration::from_secs(60 * 60);

/// How long the stream of an HTTP+SSE client may live: its name cannot be changed while it does.
const STREAM_TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A `requestState` of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RequestState {
    /// Relay: the upstream's own state, or the fact that it had none.
    #[serde(rename = "r")]
    Relay {
        #[serde(rename = "s")]
        upstream: Option<String>,
        #[serde(rename = "d")]
        digest: CallDigest,
        #[serde(rename = "n")]
        round: u32,
    },
    /// The call was refused until pages have been opened: it is sent again once the person agrees.
    #[serde(rename = "u")]
    Resend {
        #[serde(rename = "a")]
        asked: Vec<Asked>,
        /// Addresses that were agreed to in an earlier answer.
        #[serde(rename = "y")]
        agreed: Vec<String>,
        #[serde(rename = "d")]
        digest: CallDigest,
        #[serde(rename = "n")]
        round: u32,
    },
    /// Park, with nothing held: where the server that keeps the call is met again.
    #[serde(rename = "x")]
    Away {
        #[serde(rename = "w")]
        away: Away,
        #[serde(rename = "d")]
        digest: CallDigest,
        #[serde(rename = "n")]
        round: u32,
    },
    /// Park: which call waits here, for which round.
    #[serde(rename = "p")]
    Parked {
        #[serde(rename = "c")]
        call: u64,
        #[serde(rename = "n")]
        round: u32,
        #[serde(rename = "d")]
        digest: CallDigest,
        #[serde(rename = "o")]
        owner: String,
    },
}

impl RequestState {
    pub(crate) fn digest(&self) -> &CallDigest {
        match self {
            Self::Relay { digest, .. }
            | Self::Resend { digest, .. }
            | Self::Away { digest, .. }
            | Self::Parked { digest, .. } => digest,
        }
    }
}

/// Which call a state belongs to: server, method and salient parameters in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallDigest(String);

impl CallDigest {
    pub(crate) fn of(server: &ServerName, method: &Method, params: &Params) -> Self {
        let mut hash = Sha256::new();
        hash.update(server.as_str().as_bytes());
        hash.update([0]);
        hash.update(method.as_str().as_bytes());
        hash.update([0]);
        hash.update(params.canonical());
        let mut text = String::with_capacity(32);
        for byte in &hash.finalize()[..16] {
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text)
    }
}

/// What a legacy session's id says about it (decisions D15, D16).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionState {
    #[serde(rename = "v")]
    pub(crate) version: String,
    #[serde(rename = "c")]
    pub(crate) capabilities: String,
    #[serde(rename = "i")]
    pub(crate) client_info: Option<String>,
    #[serde(rename = "o")]
    pub(crate) owner: String,
    #[serde(rename = "n")]
    pub(crate) nonce: u64,
}

/// The id of a task, as clients know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TaskState {
    /// The server's own id.
    #[serde(rename = "t")]
    pub(crate) task: String,
    /// The tool that runs in it: rules about the tool hold for the task.
    #[serde(rename = "n")]
    pub(crate) tool: String,
    /// The session or child in which it lives, where it lives in one.
    #[serde(rename = "p")]
    pub(crate) place: Option<u64>,
    /// The replica that alone can reach it, if there is one.
    #[serde(rename = "o")]
    pub(crate) owner: Option<String>,
}

/// How long a cursor is good. A client reads the pages of a list one after another.
const CURSOR_TTL: Duration = Duration::from_secs(60 * 60);

/// Where a list goes on (reference: mcp.md 5.2). Any replica can continue from it: it names an item, not a place in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CursorState {
    /// The method of the list.
    #[serde(rename = "m")]
    pub(crate) list: String,
    /// The last item that was given.
    #[serde(rename = "l")]
    pub(crate) last: String,
    /// Where that was, in case it goes.
    #[serde(rename = "a")]
    pub(crate) at: usize,
}

/// The id of a request that we send to a legacy client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AskState {
    #[serde(rename = "o")]
    pub(crate) owner: String,
    #[serde(rename = "k")]
    pub(crate) key: u64,
}

fn bound<'a>(purpose: Purpose, principal: &'a Principal, server: &'a ServerName) -> Bound<'a> {
    Bound { purpose, principal: principal.id(), tenant: principal.tenant(), server: Some(server) }
}

impl Gateway {
    fn seal_value<T: Serialize>(&self, bound: &Bound<'_>, value: &T, ttl: Duration) -> String {
        let payload = serde_json::to_vec(value).unwrap_or_default();
        self.seals.seal(bound, &payload, self.now().plus(ttl))
    }

    fn open_value<T: for<'de> Deserialize<'de>>(&self, bound: &Bound<'_>, token: &str) -> Option<T> {
        let payload = self.seals.open(bound, token, self.now()).ok()?;
        serde_json::from_slice(&payload).ok()
    }

    pub(crate) fn seal_request_state(
        &self,
        principal: &Principal,
        server: &ServerName,
        state: &RequestState,
    ) -> String {
        let ttl = match state {
            RequestState::Relay { .. } | RequestState::Resend { .. } => RELAY_TTL,
            RequestState::Away { .. } | RequestState::Parked { .. } => self.park_ttl(),
        };
        self.seal_value(&bound(Purpose::RequestState, principal, server), state, ttl)
    }

    /// Opens a `requestState`; one answer for everything that is wrong with it.
    pub(crate) fn open_request_state(
        &self,
        principal: &Principal,
        server: &ServerName,
        token: &str,
    ) -> Result<RequestState, RpcError> {
        self.open_value(&bound(Purpose::RequestState, principal, server), token).ok_or_else(error::bad_state)
    }

    pub(crate) fn seal_session(
        &self,
        principal: &Principal,
        server: &ServerName,
        state: &SessionState,
        ttl: Duration,
    ) -> String {
        self.seal_value(&bound(Purpose::Session, principal, server), state, ttl)
    }

    /// An unguessable name for a stream of this principal to this server: sealed, so that any replica can tell its owner.
    pub fn name_stream(&self, principal: &Principal, server: &crate::Server) -> String {
        let state = AskState { owner: self.replica.as_str().to_owned(), key: self.next_number() };
        self.seal_value(&bound(Purpose::Ask, principal, server.door()), &state, STREAM_TTL)
    }

    /// Which other replica holds the stream of this name.
    pub fn streams_elsewhere(
        &self,
        principal: &Principal,
        server: &crate::Server,
        name: &str,
    ) -> Option<ReplicaId> {
        let state = self.open_ask(principal, server.door(), name)?;
        (!self.owns(&state.owner)).then(|| ReplicaId::new(&state.owner))
    }

    pub(crate) fn seal_task(
        &self,
        principal: &Principal,
        server: &ServerName,
        state: &TaskState,
        ttl: Duration,
    ) -> String {
        self.seal_value(&bound(Purpose::Task, principal, server), state, ttl)
    }

    /// Opens a task id; one answer for everything that is wrong with it (check 165).
    pub(crate) fn open_task(
        &self,
        principal: &Principal,
        server: &ServerName,
        token: &str,
    ) -> Result<TaskState, RpcError> {
        let state: Option<TaskState> = self.open_value(&bound(Purpose::Task, principal, server), token);
        let reachable = |state: &TaskState| state.owner.as_ref().is_none_or(|owner| self.owns(owner));
        state.filter(reachable).ok_or_else(error::bad_task)
    }

    /// Which other replica a task of this id is reached through.
    pub(crate) fn tasks_elsewhere(
        &self,
        principal: &Principal,
        server: &crate::Server,
        token: &str,
    ) -> Option<ReplicaId> {
        let state: TaskState = self.open_value(&bound(Purpose::Task, principal, server.door()), token)?;
        let owner = state.owner.filter(|owner| !self.owns(owner))?;
        Some(ReplicaId::new(&owner))
    }

    pub(crate) fn seal_page(&self, principal: &Principal, server: &ServerName, page: &Page) -> String {
        self.seal_value(&bound(Purpose::Cursor, principal, server), page, RELAY_TTL)
    }

    pub(crate) fn open_page(&self, principal: &Principal, server: &ServerName, token: &str) -> Option<Page> {
        self.open_value(&bound(Purpose::Cursor, principal, server), token)
    }

    pub(crate) fn open_session(
        &self,
        principal: &Principal,
        server: &ServerName,
        token: &str,
    ) -> Option<SessionState> {
        self.open_value(&bound(Purpose::Session, principal, server), token)
    }

    pub(crate) fn seal_cursor(
        &self,
        principal: &Principal,
        server: &ServerName,
        state: &CursorState,
    ) -> String {
        self.seal_value(&bound(Purpose::Cursor, principal, server), state, CURSOR_TTL)
    }

    /// Opens a cursor of this list; one answer for everything that is wrong with it (check 134).
    pub(crate) fn open_cursor(
        &self,
        principal: &Principal,
        server: &ServerName,
        list: ListKind,
        cursor: &RawJson,
    ) -> Result<CursorState, RpcError> {
        let token = Some(cursor).filter(|raw| raw.kind() == Kind::String).and_then(RawJson::string_value);
        token
            .and_then(|token| self.open_value(&bound(Purpose::Cursor, principal, server), &token))
            .filter(|state: &CursorState| state.list == list.method().as_str())
            .ok_or_else(|| RpcError::new(Code::INVALID_PARAMS, "unknown cursor; list anew without one"))
    }

    pub(crate) fn seal_ask(&self, principal: &Principal, server: &ServerName, key: u64) -> String {
        let state = AskState { owner: self.replica.as_str().to_owned(), key };
        self.seal_value(&bound(Purpose::Ask, principal, server), &state, self.park_ttl())
    }

    pub(crate) fn open_ask(
        &self,
        principal: &Principal,
        server: &ServerName,
        token: &str,
    ) -> Option<AskState> {
        self.open_value(&bound(Purpose::Ask, principal, server), token)
    }

    pub(crate) fn owns(&self, owner: &str) -> bool {
        self.replica == ReplicaId::new(owner)
    }
}

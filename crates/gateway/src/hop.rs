//! What one replica says to another (architecture: state; mcp.md 4.3.3): a client's whole request, with the caller that was
//! identified, sealed for exactly one process; and the pieces of its answer, each sealed with its place in the order. Both
//! have a format version, so that replicas of two releases understand or refuse each other. Sockets are the edge's business.

use crate::Gateway;
use bytes::{Buf, Bytes, BytesMut};
use foldhash::{HashSet, HashSetExt};
use portreeve_model::{
    KeyName, Principal, PrincipalId, PrincipalKind, ReplicaId, ServerName, TenantName, Timestamp,
};
use portreeve_seal::{Bound, Purpose};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The format of requests and answers between replicas.
pub const HOP_VERSION: u8 = 1;
/// How long a sealed request is good: a moment in one network, and clocks that differ by some seconds.
const HOP_TTL: Duration = Duration::from_secs(30);
/// The largest piece of an answer; longer ones are cut.
pub const MAX_PIECE: usize = 256 << 10;

/// Which door a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// `/mcp/<server>`
    #[serde(rename = "m")]
    Mcp,
    /// `/sse/<server>`
    #[serde(rename = "s")]
    Sse,
}

/// What the replica that gets it should do with a session that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ownership {
    /// It is its own, or it is gone.
    #[serde(rename = "o")]
    Own,
    /// Its owner is gone: take it over.
    #[serde(rename = "a")]
    Adopt,
}

/// A client's request on its way to the replica that owns what it is about.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Who calls, as the first replica found out.
    pub principal: Principal,
    /// Which server the address leads to.
    pub server: ServerName,
    /// Which door.
    pub door: Door,
    /// The HTTP method.
    pub verb: String,
    /// The query of the address.
    pub query: Option<String>,
    /// The headers that the doors read; never a credential.
    pub headers: Vec<(String, String)>,
    /// Whose session it is.
    pub ownership: Ownership,
    /// The body.
    pub body: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Head {
    /// The process it is for: another one at the same address is another replica.
    #[serde(rename = "t")]
    to: String,
    /// Drawn once: the same request does not run twice, and its answer is tied to it.
    #[serde(rename = "n")]
    nonce: String,
    #[serde(rename = "k")]
    key: Option<String>,
    #[serde(rename = "e")]
    tenant: Option<String>,
    #[serde(rename = "s")]
    server: String,
    #[serde(rename = "d")]
    door: Door,
    #[serde(rename = "v")]
    verb: String,
    #[serde(rename = "q")]
    query: Option<String>,
    #[serde(rename = "h")]
    headers: Vec<(String, String)>,
    #[serde(rename = "o")]
    ownership: Ownership,
}

/// Why a request of another replica is not served. All look alike to who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HopFault {
    /// Not sealed by a replica of this gate, too old, or of an unknown format.
    #[error("it does not open")]
    Unreadable,
    /// It is for another process.
    #[error("it is for another replica, or for an earlier one at this address")]
    Foreign,
    /// It was here before.
    #[error("it was here before")]
    Repeated,
}

/// The requests of other replicas that were here within their lifetime: two generations, each as long as one lives.
#[derive(Default)]
pub(crate) struct Seen {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    /// When the young one began, in milliseconds since 1970.
    began: u64,
    young: HashSet<Box<str>>,
    old: HashSet<Box<str>>,
}

impl Seen {
    /// Whether it is here for the first time.
    fn first(&self, nonce: &str, now: Timestamp) -> bool {
        let span = u64::try_from(HOP_TTL.as_millis()).unwrap_or(u64::MAX);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { began, young, old } = &mut *generations;
        if now.0 >= began.saturating_add(span) {
            let stale = now.0 >= began.saturating_add(2 * span);
            *old = if stale { HashSet::new() } else { std::mem::take(young) };
            young.clear();
            *began = now.0;
        }
        !old.contains(nonce) && young.insert(nonce.into())
    }
}

fn bound<'a>(purpose: Purpose, who: &'a PrincipalId) -> Bound<'a> {
    Bound { purpose, principal: who, tenant: None, server: None }
}

/// Nobody of this name calls; it stands for the replicas themselves.
fn replicas() -> PrincipalId {
    PrincipalId::new("replicas")
}

impl Gateway {
    /// Seals a request for the replica `to`; the second seals and opens its answer.
    pub fn seal_hop(&self, to: &ReplicaId, hop: &Hop) -> (Vec<u8>, AnswerKey) {
        let nonce = format!("{}/{:x}", self.replica.as_str(), self.next_number());
        let head = Head {
            to: to.as_str().to_owned(),
            nonce: nonce.clone(),
            key: match hop.principal.kind() {
                PrincipalKind::Local => None,
                PrincipalKind::Key(name) => Some(name.as_str().to_owned()),
            },
            tenant: hop.principal.tenant().map(|tenant| tenant.as_str().to_owned()),
            server: hop.server.as_str().to_owned(),
            door: hop.door,
            verb: hop.verb.clone(),
            query: hop.query.clone(),
            headers: hop.headers.clone(),
            ownership: hop.ownership,
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let mut plain = Vec::with_capacity(4 + head.len() + hop.body.len());
        plain.extend_from_slice(&u32::try_from(head.len()).unwrap_or(0).to_be_bytes());
        plain.extend_from_slice(&head);
        plain.extend_from_slice(&hop.body);
        let sealed =
            self.seals.seal_bytes(&bound(Purpose::Hop, &replicas()), &plain, self.now().plus(HOP_TTL));
        (sealed, AnswerKey { nonce, next: 0 })
    }

    /// Opens a request of another replica.
    ///
    /// # Errors
    /// It is not for us, or not now.
    pub fn open_hop(&self, sealed: &[u8]) -> Result<(Hop, AnswerKey), HopFault> {
        let now = self.now();
        let plain = self.seals.open_bytes(&bound(Purpose::Hop, &replicas()), sealed, now);
        let plain = Bytes::from(plain.map_err(|_| HopFault::Unreadable)?);
        let length = plain.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize);
        let end = length.and_then(|length| length.checked_add(4)).filter(|end| *end <= plain.len());
        let end = end.ok_or(HopFault::Unreadable)?;
        let head: Head = serde_json::from_slice(&plain[4..end]).map_err(|_| HopFault::Unreadable)?;
        if head.to != self.replica.as_str() {
            return Err(HopFault::Foreign);
        }
        if !self.seen.first(&head.nonce, now) {
            return Err(HopFault::Repeated);
        }
        let answer = AnswerKey { nonce: head.nonce.clone(), next: 0 };
        let hop = head.into_hop(plain.slice(end..)).ok_or(HopFault::Unreadable)?;
        Ok((hop, answer))
    }
}

impl Head {
    fn into_hop(self, body: Bytes) -> Option<Hop> {
        let kind = match &self.key {
            None => PrincipalKind::Local,
            Some(name) => PrincipalKind::Key(KeyName::new(name).ok()?),
        };
        let tenant = self.tenant.as_deref().map(TenantName::new).transpose().ok()?;
        Some(Hop {
            principal: Principal::new(kind, tenant),
            server: ServerName::known(&self.server).ok()?,
            door: self.door,
            verb: self.verb,
            query: self.query,
            headers: self.headers,
            ownership: self.ownership,
            body,
        })
    }
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Nothing to say; the replica lives.
    Alive,
    /// Status and headers. First of what is said.
    Head(AnswerHead),
    /// Some of the body.
    Data(Bytes),
    /// The body is whole. Without it, it is not.
    End,
}

/// Status and headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerHead {
    /// The HTTP status.
    #[serde(rename = "s")]
    pub status: u16,
    /// The headers.
    #[serde(rename = "h")]
    pub headers: Vec<(String, String)>,
    /// The length of the body, where it is known.
    #[serde(rename = "l")]
    pub length: Option<u64>,
}

/// Seals or opens the pieces of one answer, in their order.
pub struct AnswerKey {
    nonce: String,
    next: u64,
}

impl AnswerKey {
    fn place(&mut self) -> PrincipalId {
        let place = PrincipalId::new(&format!("{}/{}", self.nonce, self.next));
        self.next += 1;
        place
    }

    /// The next piece for the wire: its length and its sealed bytes.
    pub fn seal(&mut self, gateway: &Gateway, piece: &Piece) -> Bytes {
        let (kind, payload) = match piece {
            Piece::Alive => (0, Bytes::new()),
            Piece::Head(head) => (1, serde_json::to_vec(head).unwrap_or_default().into()),
            Piece::Data(data) => (2, data.clone()),
            Piece::End => (3, Bytes::new()),
        };
        let mut plain = Vec::with_capacity(1 + payload.len());
        plain.push(kind);
        plain.extend_from_slice(&payload);
        let place = self.place();
        let until = gateway.now().plus(HOP_TTL);
        let sealed = gateway.seals.seal_bytes(&bound(Purpose::HopAnswer, &place), &plain, until);
        let mut out = BytesMut::with_capacity(4 + sealed.len());
        out.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&sealed);
        out.freeze()
    }

    /// Takes the next piece out of what has arrived; `None`: not all of it is there.
    ///
    /// # Errors
    /// It is not the next piece of this answer.
    pub fn open(&mut self, gateway: &Gateway, arrived: &mut BytesMut) -> Result<Option<Piece>, HopFault> {
        let Some(length) = arrived.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_PIECE + 1024 {
            return Err(HopFault::Unreadable);
        }
        if arrived.len() < 4 + length {
            return Ok(None);
        }
        arrived.advance(4);
        let sealed = arrived.split_to(length);
        let place = self.place();
        let opened = gateway.seals.open_bytes(&bound(Purpose::HopAnswer, &place), &sealed, gateway.now());
        let mut plain = Bytes::from(opened.map_err(|_| HopFault::Unreadable)?);
        if plain.is_empty() {
            return Err(HopFault::Unreadable);
        }
        Ok(Some(match plain.get_u8() {
            0 => Piece::Alive,
            1 => Piece::Head(serde_json::from_slice(&plain).map_err(|_| HopFault::Unreadable)?),
            2 => Piece::Data(plain),
            3 => Piece::End,
            _ => return Err(HopFault::Unreadable),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Record, Recorder, ReplicaSetup, Setup};
    use portreeve_auth::Identity;
    use portreeve_model::{Limits, Secret};
    use portreeve_policy::Policy;
    use portreeve_seal::KeyRing;
    use portreeve_store::Coordinator;
    use std::sync::Arc;
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    struct Nothing;

    impl Recorder for Nothing {
        fn record(&self, _: &Record) {}
    }

    fn replica(id: &str, key: &str) -> Arc<Gateway> {
        Gateway::new(Setup {
            serving: crate::Serving {
                servers: Vec::new(),
                policy: Policy::default(),
                identity: Identity::loopback(),
                calls_per_minute: None,
                park_ttl: Duration::from_secs(60),
                root: None,
                eras: crate::Eras::Both,
                page_size: 1000,
                name_length: 64,
            },
            seals: KeyRing::from_secrets(&[Secret::new(key.repeat(40))]).unwrap(),
            replica: ReplicaSetup { id: ReplicaId::new(id), peers: None, coordinator: Coordinator::Alone },
            limits: Limits::default(),
            tracing: None,
            recorder: Arc::new(Nothing),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        })
    }

    fn request() -> Hop {
        Hop {
            principal: Principal::new(PrincipalKind::Key(KeyName::new("ci").unwrap()), None),
            server: ServerName::new("files").unwrap(),
            door: Door::Mcp,
            verb: "POST".to_owned(),
            query: Some("a=b".to_owned()),
            headers: vec![("mcp-session-id".to_owned(), "x".to_owned())],
            ownership: Ownership::Adopt,
            body: Bytes::from_static(b"{\"jsonrpc\":\"2.0\"}"),
        }
    }

    #[tokio::test]
    async fn a_request_opens_once_at_the_process_it_is_for_and_nowhere_else() {
        let (one, two) = (replica("1@http://a", "k"), replica("2@http://b", "k"));
        let (sealed, _) = one.seal_hop(&ReplicaId::new("2@http://b"), &request());
        let restarted = replica("3@http://b", "k");
        assert_eq!(restarted.open_hop(&sealed).map(drop), Err(HopFault::Foreign));
        assert_eq!(replica("2@http://b", "other").open_hop(&sealed).map(drop), Err(HopFault::Unreadable));
        for at in [0, 5, 40, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(two.open_hop(&changed).map(drop), Err(HopFault::Unreadable), "byte {at}");
        }
        assert_eq!(two.open_hop(b"").map(drop), Err(HopFault::Unreadable));
        let (hop, _) = two.open_hop(&sealed).map_err(drop).unwrap();
        assert_eq!(format!("{hop:?}"), format!("{:?}", request()), "all of it arrives");
        assert_eq!(two.open_hop(&sealed).map(drop), Err(HopFault::Repeated));
    }

    #[tokio::test]
    async fn an_answer_is_read_piece_by_piece_in_its_order_and_no_other() {
        let (one, two) = (replica("1@http://a", "k"), replica("2@http://b", "k"));
        let (sealed, mut reads) = one.seal_hop(&ReplicaId::new("2@http://b"), &request());
        let (_, mut says) = two.open_hop(&sealed).map_err(drop).unwrap();
        let head = AnswerHead { status: 200, headers: vec![("a".to_owned(), "b".to_owned())], length: None };
        let pieces = [Piece::Alive, Piece::Head(head), Piece::Data(Bytes::from_static(b"data")), Piece::End];
        let wire: Vec<Bytes> = pieces.iter().map(|piece| says.seal(&two, piece)).collect();
        let mut arrived = BytesMut::new();
        for (bytes, piece) in wire.iter().zip(&pieces) {
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            arrived.extend_from_slice(first);
            assert_eq!(reads.open(&one, &mut arrived), Ok(None), "half a piece is none");
            arrived.extend_from_slice(rest);
            assert_eq!(reads.open(&one, &mut arrived).as_ref(), Ok(&Some(piece.clone())));
        }
        // A piece that is left out, or one that comes again, is noticed.
        let (_, mut reads) = one.seal_hop(&ReplicaId::new("2@http://b"), &request());
        assert_eq!(reads.open(&one, &mut BytesMut::from(&wire[0][..])), Err(HopFault::Unreadable));
        let mut reads = AnswerKey { nonce: says.nonce, next: 0 };
        assert_eq!(reads.open(&one, &mut BytesMut::from(&wire[1][..])), Err(HopFault::Unreadable));
    }
}

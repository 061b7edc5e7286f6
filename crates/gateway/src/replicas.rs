//! The other replicas of this gate, as far as this one knows them: how they are reached, who is there, and who takes over
//! what a lost one owned. Where something is stands in what is sealed; this is only about what to do when nobody is there.

use crate::Gateway;
use arc_swap::ArcSwap;
use portreeve_model::ReplicaId;
use portreeve_store::{Coordinator, Mark};
use portreeve_upstream::Peers;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// How often a replica says that it is there, and how long that is believed: three may be missed.
const ANNOUNCE: Duration = Duration::from_secs(3);
const PRESENT: Duration = Duration::from_secs(10);

/// This process and the others of its kind.
pub struct ReplicaSetup {
    /// This process; with its address where others reach it.
    pub id: ReplicaId,
    /// How others are reached; none = there are no others.
    pub peers: Option<Peers>,
    /// What they share.
    pub coordinator: Coordinator,
}

/// The others.
pub(crate) struct Replicas {
    peers: Option<Peers>,
    coordinator: Coordinator,
    present: ArcSwap<Vec<ReplicaId>>,
}

impl Replicas {
    pub(crate) fn new(setup: ReplicaSetup) -> Self {
        let present = ArcSwap::from_pointee(vec![setup.id]);
        Self { peers: setup.peers, coordinator: setup.coordinator, present }
    }

    /// Whether this process is the only one by its configuration.
    pub(crate) fn are_none(&self) -> bool {
        self.peers.is_none()
    }

    pub(crate) fn has_coordinator(&self) -> bool {
        !matches!(self.coordinator, Coordinator::Alone)
    }

    /// Tells all replicas something about a session. While the coordinator is away, nobody hears it.
    pub(crate) async fn remember(&self, mark: Mark, session: &str, ttl: Duration) {
        if self.has_coordinator() {
            // Its absence is in the log; whoever asks later gets no answer and takes the careful way.
            let _ = self.coordinator.set(mark, session, ttl).await;
        }
    }

    /// Who takes over a session whose owner is gone; nobody if it has ended, held something live, or nobody can say.
    pub(crate) async fn heir(&self, session: &str, gone: &ReplicaId) -> Option<ReplicaId> {
        let ended = self.coordinator.has(Mark::Ended, session).await.ok()?;
        let live = self.coordinator.has(Mark::Live, session).await.ok()?;
        if ended || live {
            return None;
        }
        let present = self.present.load();
        heir_of(session, present.iter().filter(|replica| *replica != gone)).cloned()
    }
}

/// The replica with the highest digest together with the session: all replicas come to the same one, and the sessions of
/// a lost replica spread over the rest.
fn heir_of<'a>(session: &str, replicas: impl Iterator<Item = &'a ReplicaId>) -> Option<&'a ReplicaId> {
    replicas.max_by_key(|replica| {
        let mut digest = Sha256::new();
        digest.update(replica.as_str().as_bytes());
        digest.update([0]);
        digest.update(session.as_bytes());
        <[u8; 32]>::from(digest.finalize())
    })
}

/// Says that this replica is there and learns who else is, until the gate closes.
pub(crate) async fn announce(gateway: Arc<Gateway>) {
    let replicas = &gateway.replicas;
    let mut tick = tokio::time::interval(ANNOUNCE);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = gateway.closing.cancelled() => break,
        }
        if replicas.coordinator.announce(&gateway.replica, PRESENT).await.is_err() {
            continue;
        }
        if let Ok(mut present) = replicas.coordinator.replicas().await {
            if !present.contains(&gateway.replica) {
                present.push(gateway.replica.clone());
            }
            replicas.present.store(Arc::new(present));
        }
    }
    // A replica that goes leaves no entry for others to stumble over; if it cannot say so, the entry ends by itself.
    let _ = replicas.coordinator.withdraw(&gateway.replica).await;
}

impl Gateway {
    /// How other replicas are reached; nothing where there are none.
    pub fn peers(&self) -> Option<&Peers> {
        self.replicas.peers.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_replicas_choose_the_same_heir_and_the_heirs_spread() {
        let replicas: Vec<ReplicaId> =
            (0..4).map(|number| ReplicaId::at("x", &format!("http://10.0.0.{number}:1"))).collect();
        let mut chosen = [0_usize; 4];
        for number in 0..400 {
            let session = format!("session-{number}");
            let heir = heir_of(&session, replicas.iter()).unwrap();
            assert_eq!(
                heir_of(&session, replicas.iter().rev()),
                Some(heir),
                "the order of the list decides nothing"
            );
            chosen[replicas.iter().position(|replica| replica == heir).unwrap()] += 1;
            // Losing another replica moves nothing.
            let rest = replicas.iter().filter(|replica| *replica == heir || **replica == replicas[0]);
            assert_eq!(heir_of(&session, rest), Some(heir));
        }
        assert!(chosen.iter().all(|count| *count > 50), "{chosen:?}");
    }
}

//! What the replicas of one gate share. So far that is the coordinator: who is there, and which sessions have ended or hold
//! something live. It is an aid, never a condition: while it is away, everything that does not need it goes on.

mod coordinator;
mod redis;

pub use coordinator::{Away, Coordinator, CoordinatorError, Mark};

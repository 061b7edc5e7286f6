//! The one place that seals what is given to a client to bring back: session ids, request states, cursors, task ids.
//! A sealed value is encrypted, tied to its purpose and its caller, and expires. Nothing is stored: whoever has
//! the keys opens it, so any replica can. What a payload means is its owner's business.

mod file;
mod ring;
mod token;

pub use ring::{KeyError, KeyRing};
pub use token::{Bound, Purpose, SealError};

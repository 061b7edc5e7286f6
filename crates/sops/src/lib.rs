//! SOPS files, wire-compatible both ways: values sealed with AES-256-GCM under a data key that age recipients can open.
//! Scalars are replaced in the text, so that layout, comments and order of a document survive. Pure: no IO and no clock;
//! what is random comes from the caller, save for what age draws to wrap a data key. Other recipients than age are named and refused.
//!
//! Reading order: `tree` (what a file holds), `cipher` (one value), `rule` (what is encrypted), `age_key`, `metadata` (the
//! `sops` block), the formats `yaml`, `json` and `dotenv`, then `open` (reading) and `seal` (writing).

mod age_key;
mod cipher;
mod dotenv;
mod error;
mod json;
mod metadata;
mod open;
mod rule;
mod seal;
mod tree;
mod yaml;

pub use age_key::{Keys, Recipient, generate};
pub use error::Error;
pub use metadata::Wrapped;
pub use open::{Format, Opened, open};
pub use rule::{CreationRule, CreationRules, Rule, Selector};
pub use seal::{Previous, Seal, seal};
pub use tree::{Branch, Item, Leaf, Node, Scalar, Shape};
#[cfg(test)]
mod tests;

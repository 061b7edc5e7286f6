//! What a caller may do: allow lists, deny by default, and the proof that a call was decided.
//! Pure: no IO, no clock, no wire formats. Arguments arrive as borrowed raw JSON and are left unread
//! until a rule needs them. Called by `gateway`, which alone turns an [`Authorized`] into traffic.

mod authorized;
mod decision;
mod glob;
mod rules;

pub use authorized::{Authorized, ParamsDigest, SystemReason, Target, authorize};
pub use decision::{Decision, Denied, Effect, Rule};
pub use glob::{Glob, InvalidGlob};
pub use rules::{Allow, Call, KeyRule, Kind, Policy, ToolFilter, ViewKey, decide};

#[cfg(test)]
mod tests;

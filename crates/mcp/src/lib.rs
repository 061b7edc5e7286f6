//! The Model Context Protocol, sans-IO: what goes over the wire in every revision, and the shape that every
//! server has inside Portreeve. No sockets, no clock, no runtime, no policy.
//!
//! Reading order: [`json`] (raw values that pass byte for byte), [`frame`] (JSON-RPC), [`version`] and [`method`],
//! [`caps`], [`header`] and [`annotation`] (the HTTP header rules), [`sse`], [`payload`] (rewriting by version),
//! and [`service`] (the contract between the gateway and every server).

pub mod annotation;
pub mod caps;
pub mod error;
pub mod frame;
pub mod header;
pub mod json;
pub mod meta;
pub mod method;
pub mod params;
pub mod payload;
pub mod service;
pub mod sse;
pub mod version;

#[cfg(test)]
mod tests;

pub use caps::{ClientCapabilities, LogLevel};
pub use error::{Code, RpcError};
pub use frame::{Frame, FrameError, Id, Outcome};
pub use json::{JsonError, RawJson, Text};
pub use method::Method;
pub use params::Params;
pub use service::{Ctx, Event, Leg, Request, Service};
pub use version::{Era, Feature, Version};

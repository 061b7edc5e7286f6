//! Everything HTTP: the listeners, the MCP door, health and metrics. It knows no server and decides nothing:
//! bytes become frames here, the gateway does the rest, and every error becomes a response in one place (`answer.rs`).
//!
//! Reading order: [`listener`] (connections), [`route`] (paths), [`origin`] (who may speak to us from where),
//! `mcp` (the MCP door), `classify` (which era a message belongs to), `answer` and `body` (what goes back),
//! `rest` (the door for people and scripts), `sse` (the door of 2024-11-05), `hop` (from replica to replica), `cors`,
//! `tls` (the certificate that is shown), [`metrics`].

mod answer;
mod body;
mod classify;
mod cors;
mod hop;
pub mod listener;
mod mcp;
pub mod metrics;
pub mod origin;
mod refused;
mod request;
mod rest;
pub mod route;
mod sse;
mod tls;

pub use listener::{Bound, Edge, EdgeSetup};
pub use metrics::Metrics;
pub use origin::Allowed;
pub use tls::{Certificate, CertificateError};

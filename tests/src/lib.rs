//! Whole-program tests: the real binary over its real transports, a module for each subject. Reading order: `harness`
//! (processes, clients, scripted servers), `checks` (the numbered statements about the protocol), `malformed` (requests
//! that no client should send), `rest` (the door for people and scripts), `pages` (what is written for people), `secure` (certificates and proxies), `sessions` (how many a caller may have), `telemetry` (traces), `metrics` (what Prometheus reads), `systemd` (what it is told), `replicas` (several processes of one gate), `together` (seventy servers at one address), `tidy` (rules about the source tree), `others` (what needs more than Rust, from
//! the folders `conformance` and `interop`).

#![cfg_attr(test, expect(clippy::large_futures, reason = "a test may be as large as it likes: it runs once"))]
#![cfg_attr(
    test,
    expect(clippy::needless_pass_by_value, reason = "a test hands over the JSON that it has just written")
)]

#[cfg(test)]
mod checks;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod import;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod others;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod secure;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod together;

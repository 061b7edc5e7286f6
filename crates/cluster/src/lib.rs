//! The cluster renderer: `cluster.yaml` and `nodes.yaml` in, a checked and encrypted GitOps tree out. It stands alone: nothing
//! here knows the gateway. The core is pure (clock, randomness and files are handed in); a thin shell reads and writes.
//!
//! Reading order: `values` (what templates see), `inputs` (the table of settings, and the rules), `render`, `lint`, `commit`.

pub mod commit;
pub mod inputs;
pub mod values;

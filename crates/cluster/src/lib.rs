//! The cluster renderer: `cluster.yaml` and `nodes.yaml` in, a checked and encrypted GitOps tree out. It stands alone: nothing
//! here knows the gateway. The core is pure (clock, randomness and files are handed in); a thin shell reads and writes.
//!
//! Reading order: `values` (what templates see), `inputs` (the table of settings, and the rules), `render`, `lint`, `seal`, `commit`,
//! and `configure`, which is all of them in a row; `told` is the shape in which all of them say what is wrong.

pub mod commit;
pub mod configure;
pub mod doctor;
pub mod documents;
pub mod init;
pub mod inputs;
pub mod lint;
pub mod render;
pub mod seal;
pub mod told;
pub mod values;

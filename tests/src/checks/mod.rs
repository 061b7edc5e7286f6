//! The numbered statements about the protocol, a test for at most three of them, named `check_NNN_…` after their numbers.
//! Each asserts what the statement says, seen from outside the binary.

mod aggregate;
mod caching;
mod discover;
mod envelope;
mod faults;
mod legacy_side;
mod lists;
mod operations;
mod paging;
mod questions;
mod resuming;
mod scripts;
mod streams;
mod tasks;
mod upstream;

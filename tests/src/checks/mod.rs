//! The numbered statements about the protocol, a test for at most three of them, named `check_NNN_…` after their numbers.

mod envelope;

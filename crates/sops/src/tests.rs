//! Behaviour against files that the real program wrote, and the real program against ours.

#![expect(
    clippy::disallowed_methods,
    reason = "the real program is a child of the test, and where it lies the environment says"
)]

mod genuine;
mod support;
mod tampering;
mod writing;

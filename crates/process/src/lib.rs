//! Runs child programs: a small environment, a process group of their own, their stderr kept in a bounded log, an
//! end that is asked for before it is forced, and none of them outlives this process, not even its SIGKILL.
//! What is said over a child's stdin and stdout is not looked at here. Called by `upstream` for stdio servers;
//! the program calls [`child_main`] when it was started as a keeper.

mod backoff;
mod child;
mod keeper;
mod log;
mod spec;
mod sweep;

pub use backoff::Backoff;
pub use child::{Child, Ended, Exit, Step};
pub use keeper::{KEEPER_ARGUMENT, child_main};
pub use spec::{Launcher, SpawnError, Spec, Supervisor};

#[cfg(test)]
mod tests;

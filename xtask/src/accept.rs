//! `cargo xtask accept …`: proofs that take too long for every change. They start what they need, print a table and
//! fail when a bound is missed. What they measure is described in their own files.

#[cfg(unix)]
mod cluster;
mod draw;
mod mutants;
#[cfg(unix)]
mod newcomer;
#[cfg(target_os = "linux")]
pub(crate) mod soak;
#[cfg(test)]
mod tests;

use crate::command::Outcome;

/// Which proof.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    proof: Proof,
}

#[derive(clap::Subcommand)]
enum Proof {
    /// What a real API server says to the tree of a configured cluster: nothing refused, nothing left out
    #[cfg(unix)]
    Cluster(cluster::Arguments),
    /// Change the code in many small ways and see whether its tests notice
    Mutants(mutants::Arguments),
    /// The commands of the README, typed by somebody whose home is empty: all succeed, and the first call comes in time
    #[cfg(unix)]
    Newcomer(newcomer::Arguments),
    /// Both eras, all transports, faulty servers: every request is answered once and everything is given back
    #[cfg(target_os = "linux")]
    Soak(soak::Arguments),
}

/// Runs the chosen proof.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.proof {
        #[cfg(unix)]
        Proof::Cluster(arguments) => cluster::run(arguments),
        Proof::Mutants(arguments) => mutants::run(arguments),
        #[cfg(unix)]
        Proof::Newcomer(arguments) => newcomer::run(arguments),
        #[cfg(target_os = "linux")]
        Proof::Soak(arguments) => soak::run(arguments),
    }
}

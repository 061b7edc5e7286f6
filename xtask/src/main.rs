//! Development tasks, run as `cargo xtask …`: the gate before a commit, the table of protocol checks,
//! benchmarks, fuzzing, long proofs, and the suites of others. It ships with nothing and no crate uses it; what it
//! starts, it ends.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks on a terminal")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod accept;
mod cluster;
mod command;

#[cfg(target_os = "linux")]
mod bench;
mod checks;
mod fuzz;
mod gate;
mod suites;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, lints, tests: what must pass before a commit
    Check,
    /// Which protocol checks have a test and which not yet
    Checks,
    /// Measure the gateway beside nginx, and the cluster renderer beside makejinja
    #[cfg(target_os = "linux")]
    Bench(bench::Arguments),
    /// Proofs that take long: cluster, mutants, newcomer, soak
    Accept(accept::Arguments),
    /// The cluster renderer: what it makes, against what such clusters have
    Cluster(cluster::Arguments),
    /// Run every fuzz target for a while
    Fuzz(fuzz::Arguments),
    /// The public MCP conformance suite; arguments go to `tests/conformance/run.py`
    Conformance(suites::Arguments),
    /// Clients and servers of others; arguments go to `tests/interop/run.py`
    Interop(suites::Arguments),
    /// The soak's faulty server
    #[command(hide = true)]
    #[cfg(target_os = "linux")]
    SoakServer(accept::soak::server::Arguments),
    /// Run a program on one core and end it with this process
    #[command(hide = true)]
    #[cfg(target_os = "linux")]
    Pinned(bench::PinnedArguments),
    /// The benchmark's MCP server
    #[command(hide = true)]
    #[cfg(target_os = "linux")]
    BenchUpstream(bench::UpstreamArguments),
    /// The benchmark's load generator
    #[command(hide = true)]
    #[cfg(target_os = "linux")]
    BenchLoad(bench::LoadArguments),
    /// Render a cluster in the clear
    #[command(hide = true)]
    #[cfg(target_os = "linux")]
    BenchRender(bench::RenderArguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Check => gate::run(),
        Task::Checks => checks::run(),
        #[cfg(target_os = "linux")]
        Task::Bench(arguments) => bench::run(arguments),
        Task::Accept(arguments) => accept::run(&arguments),
        Task::Cluster(arguments) => cluster::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Conformance(arguments) => suites::conformance(&arguments),
        Task::Interop(arguments) => suites::interop(&arguments),
        #[cfg(target_os = "linux")]
        Task::SoakServer(arguments) => accept::soak::server::run(&arguments),
        #[cfg(target_os = "linux")]
        Task::Pinned(arguments) => bench::pinned(&arguments),
        #[cfg(target_os = "linux")]
        Task::BenchUpstream(arguments) => bench::upstream(&arguments),
        #[cfg(target_os = "linux")]
        Task::BenchLoad(arguments) => bench::load(&arguments),
        #[cfg(target_os = "linux")]
        Task::BenchRender(arguments) => bench::render(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {}", command::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

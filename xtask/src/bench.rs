//! `cargo xtask bench mcp`: what a request through the gateway costs, beside nginx and a direct connection, in
//! one invocation. The gateway or nginx has one core to itself; upstream, load generator and this coordinator
//! share the other. The measure is CPU time for each answer; throughput and latency are shown with it.
//! It judges ratios, not absolute numbers: those belong to the machine. `cargo xtask bench cluster` is in `cluster`.

mod cases;
mod child;
mod cluster;
mod events;
pub(crate) mod http;
mod load;
pub(crate) mod proc;
mod report;
mod run;
mod targets;
mod upstream;
mod weight;
mod wire;

#[cfg(test)]
mod tests;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use crate::command::{self, Outcome, cargo};

pub(crate) use child::{PinnedArguments, pinned};
pub(crate) use cluster::render::{Arguments as RenderArguments, run as render};
pub(crate) use load::{Arguments as LoadArguments, run as load};
pub(crate) use upstream::{Arguments as UpstreamArguments, run as upstream};

/// Which benchmark.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(clap::Subcommand)]
enum Suite {
    /// MCP calls, lists, progress and questions through both eras, and calls that reach the wrong replica
    Mcp(Mcp),
    /// The cluster renderer: its templates beside makejinja rendering the same ones, and `configure` as a whole
    Cluster(cluster::Arguments),
}

/// What to measure and how long.
#[derive(clap::Args)]
pub(crate) struct Mcp {
    /// Only cases whose name matches, for example `small/16`, `ask/.*/legacy-modern` or `hop/`
    #[arg(long, value_name = "REGEX", default_value = "")]
    case: String,
    /// Runs of each case; medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Seconds of each run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=120))]
    seconds: u16,
    /// One run of one second each: shows whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Write the results here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// Only nginx and the direct connection
    #[arg(long, conflicts_with = "gateway")]
    no_gateway: bool,
    /// A missed aim fails, too, not only a wrong answer
    #[arg(long)]
    strict: bool,
}

/// Builds what is needed and measures.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    if cfg!(debug_assertions) {
        return again_optimised();
    }
    let mut mcp = match arguments.suite {
        Suite::Mcp(mcp) => mcp,
        Suite::Cluster(cluster) => return cluster::run(&cluster),
    };
    if !mcp.no_gateway && mcp.gateway.is_none() {
        command::run(cargo(&["build", "--release", "--package", "portreeve"]))?;
        mcp.gateway = Some(command::target_folder()?.join("release/portreeve"));
    }
    if std::thread::available_parallelism()?.get() <= child::OTHER_CORE {
        return Err("the benchmark needs two cores".into());
    }
    child::pin(child::OTHER_CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        // Leaving the other future behind drops the guards of all children.
        tokio::select! {
            done = run::measure(&mcp) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            _ = ended.recv() => Err("terminated".into()),
        }
    })
}

/// Load generator, upstream and renderer would be too slow without optimisation, so this program starts again with it.
fn again_optimised() -> Outcome {
    command::run(cargo(&["build", "--profile", "release-fast", "--package", "xtask"]))?;
    let program = command::target_folder()?.join("release-fast/xtask");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Err(command::command(&program.display().to_string(), &arguments).exec().into())
}

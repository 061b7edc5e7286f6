//! `cargo xtask bench cluster`: what the cluster renderer costs, beside `makejinja` rendering the same templates to the same bytes,
//! as whole processes and in one invocation. What stands between (the layout that makejinja wants, its virtual environment) is
//! made before and not measured. A byte that differs always fails; a missed aim only with `--strict`.

mod figures;
mod nodes;
pub(crate) mod render;
mod tools;
mod trees;

use crate::{
    cluster as fixtures,
    command::{self, Outcome, cargo},
};
use figures::{Figure, Sample};
use serde_json::json;
use std::{error::Error, fs, path::PathBuf};
use tempfile::TempDir;
use tools::{Tools, Used};

/// The clusters that are rendered.
const FIXTURES: [&str; 3] = ["minimal", "gateway", "platform"];

/// How often our rendering is measured for each time of makejinja's: a process of a few milliseconds is disturbed more.
const SHORT: usize = 5;

/// What to measure and how often.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs of each cluster; medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// One run of each: shows whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Nodes of the large cluster
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u16).range(3..=12_000))]
    nodes: u16,
    /// Write the figures here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    portreeve: Option<PathBuf>,
    /// Where makejinja is, or is installed
    #[arg(long, env = "PORTREEVE_STACK", default_value = ".stack")]
    stack: PathBuf,
    /// A missed aim fails, too, not only a byte that differs
    #[arg(long)]
    strict: bool,
}

/// Builds and installs what is needed, and measures.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let portreeve = match &arguments.portreeve {
        Some(program) => std::path::absolute(program)?,
        None => {
            command::run(cargo(&["build", "--release", "--package", "portreeve"]))?;
            command::target_folder()?.join("release/portreeve")
        }
    };
    let tools = Tools::install(&command::root().join(&arguments.stack), portreeve)?;
    let runs = if arguments.quick { 1 } else { arguments.runs };
    let mut figures = Vec::new();
    for name in FIXTURES {
        let bed = Bed::new(&tools, name)?;
        println!("{name}: {} files, the same bytes from both", bed.same(&tools)?);
        let samples = (0..runs).map(|_| bed.sample(&tools)).collect::<Result<Vec<_>, _>>()?;
        figures.extend(figures::of(name, &samples));
    }
    let large = (0..runs).map(|_| large(&tools, arguments.nodes)).collect::<Result<Vec<_>, _>>()?;
    figures.push(figures::large(arguments.nodes, &large));
    println!(
        "\nmedians of {runs} runs; CPU is user + system of the whole process.\n\
         Both renderers write into memory where there is /dev/shm; `configure` writes to the disk.\n\n\
         {}",
        figures::table(&figures)
    );
    if let Some(file) = &arguments.json {
        fs::write(file, serde_json::to_string_pretty(&json!({"runs": runs, "figures": figures}))?)?;
    }
    verdict(&figures, arguments.strict)
}

/// A missed aim fails only if asked for.
fn verdict(figures: &[Figure], strict: bool) -> Outcome {
    let count = |met: bool| figures.iter().filter(|figure| figure.is_met() == Some(met)).count();
    let missed = count(false);
    println!("{} aims met, {missed} missed", count(true));
    if strict && missed > 0 { Err(format!("{missed} aims missed").into()) } else { Ok(()) }
}

/// One cluster, ready for both renderers.
struct Bed {
    cluster: TempDir,
    site: TempDir,
}

impl Bed {
    fn new(tools: &Tools, name: &str) -> Result<Self, Box<dyn Error>> {
        let cluster = fixtures::prepared_by(&tools.portreeve, name)?;
        let site = trees::in_memory()?;
        let values = site.path().join("values.json");
        render::values(cluster.path(), &values)?;
        tools.stage(cluster.path(), &values, site.path())?;
        Ok(Self { cluster, site })
    }

    /// Lets both render; how many files there are, if they are the same.
    fn same(&self, tools: &Tools) -> Result<usize, Box<dyn Error>> {
        let ours = trees::in_memory()?;
        tools.makejinja(self.site.path())?;
        tools.ours(self.cluster.path(), ours.path())?;
        trees::compare(&trees::read(ours.path())?, &trees::read(&self.site.path().join("out"))?)
    }

    fn sample(&self, tools: &Tools) -> Result<Sample, Box<dyn Error>> {
        let fresh = trees::copied(self.cluster.path())?;
        let ours = || tools.ours(self.cluster.path(), trees::in_memory()?.path());
        Ok(Sample {
            makejinja: tools.makejinja(self.site.path())?,
            render: (0..SHORT).map(|_| ours()).collect::<Result<_, _>>()?,
            first: tools.configure(fresh.path())?,
            unchanged: tools.configure(fresh.path())?,
        })
    }
}

/// The first `configure` of a cluster with very many nodes.
fn large(tools: &Tools, count: u16) -> Result<Used, Box<dyn Error>> {
    let place = fixtures::prepared_by(&tools.portreeve, "minimal")?;
    let settings = place.path().join("cluster.yaml");
    fs::write(&settings, nodes::settings(&fs::read_to_string(&settings)?))?;
    fs::write(place.path().join("nodes.yaml"), nodes::list(count))?;
    tools.configure(place.path())
}

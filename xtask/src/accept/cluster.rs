//! `cargo xtask accept cluster [DIR…]`: what a real API server says to a configured cluster directory. Each Flux Kustomization is built
//! as its controller would (decrypted by the real `sops`, built by `kubectl kustomize`, substituted) and applied as a server-side
//! dry run with strict validation, and so are the Secrets that are there before Flux; Helm releases are taken as objects, their charts
//! are not rendered.
//!
//! The control plane is the real one, on loopback, and lives as long as the proof. An object that is broken by hand shows that it
//! can say no. What is no API object is listed by name.

mod control_plane;
mod flux;
mod substitute;

use crate::{
    cluster as fixtures,
    command::{Outcome, root},
};
use control_plane::ControlPlane;
use flux::{Built, Walk};
use portreeve_cluster::documents;
use serde_json::{Value, json};
use std::{
    error::Error,
    path::{Path, PathBuf},
};

/// The clusters that are right.
const FIXTURES: [&str; 3] = ["minimal", "gateway", "platform"];

/// What is proved.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Directories of configured clusters: `cluster.yaml`, `age.key` and the tree that `configure` made; without one, the clusters
    /// of the fixtures are configured with fresh keys
    directories: Vec<PathBuf>,
    /// Where the CRDs are, one file each, in any depth
    #[arg(long, default_value = "../shared/fixtures/crds")]
    crds: PathBuf,
    /// Where the control plane and `sops` are, or are built
    #[arg(long, env = "PORTREEVE_STACK", default_value = ".stack")]
    stack: PathBuf,
}

/// What the API server said to one Kustomization's objects.
#[derive(Default)]
struct Verdict {
    accepted: usize,
    refusals: Vec<String>,
}

/// Runs the proof.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let stack = root().join(&arguments.stack);
    let sops = control_plane::sops(&stack)?;
    let plane = ControlPlane::start(&stack)?;
    let crds = plane.install_crds(&root().join(&arguments.crds))?;
    println!("{} · {crds} CRDs established", plane.version()?);
    let mut wrong = 0;
    for directory in &arguments.directories {
        wrong += cluster(&plane, &sops, &directory.display().to_string(), directory)?;
    }
    if arguments.directories.is_empty() {
        fixtures::build()?;
        for name in FIXTURES {
            let place = fixtures::prepared(name)?;
            fixtures::portreeve(&["cluster", "configure"], place.path())?;
            wrong += cluster(&plane, &sops, name, place.path())?;
        }
    }
    if wrong > 0 { Err(format!("{wrong} objects refused or left out").into()) } else { Ok(()) }
}

/// One cluster: how many objects were refused or could not be tried.
fn cluster(plane: &ControlPlane, sops: &Path, name: &str, directory: &Path) -> Result<usize, Box<dyn Error>> {
    let directory = std::path::absolute(directory)?;
    println!("\n{name}");
    let tree = flux::decrypted(&directory, sops)?;
    println!("  {} files decrypted by {}", tree.decrypted, tree.sops);
    let walk = Walk::over(tree.path(), plane)?;
    let (mut objects, mut accepted) = (0, 0);
    plane.make_namespaces(&walk.built)?;
    for built in &walk.built {
        let verdict = verdict(plane, &built.objects)?;
        objects += built.objects.len();
        accepted += verdict.accepted;
        println!(
            "  {:<56} {:>3} objects, {} refused",
            built.name,
            built.objects.len(),
            verdict.refusals.len()
        );
        verdict.refusals.iter().for_each(|refusal| println!("      {refusal}"));
    }
    walk.problems.iter().for_each(|problem| println!("  NOT TRIED: {problem}"));
    let (refused, left_out) = (objects - accepted, walk.problems.len());
    println!(
        "  {objects} objects of {} Kustomizations and the bootstrap: {accepted} accepted, {refused} refused, {left_out} Kustomizations left out",
        walk.built.len() - 1
    );
    println!("  no API objects: {}", flux::other_files(tree.path(), &walk)?.join(" "));
    broken_is_refused(plane, &walk.built)?;
    Ok(refused + left_out)
}

fn verdict(plane: &ControlPlane, objects: &[Value]) -> Result<Verdict, Box<dyn Error>> {
    if objects.is_empty() {
        return Ok(Verdict::default());
    }
    let (accepted, errors) = plane.dry_run(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))?;
    let refusals = errors.lines().filter(|line| !line.is_empty() && !line.starts_with("Warning:"));
    Ok(Verdict { accepted, refusals: refusals.map(str::to_owned).collect() })
}

/// The first Helm release with a field that nobody knows must not pass: otherwise nothing above says anything.
fn broken_is_refused(plane: &ControlPlane, built: &[Built]) -> Outcome {
    let release =
        built.iter().flat_map(|built| &built.objects).find(|object| object["kind"] == "HelmRelease");
    let mut broken = release.ok_or("there is no HelmRelease to break")?.clone();
    broken["spec"]["intervall"] = json!("1h");
    let verdict = verdict(plane, &[broken])?;
    match (verdict.accepted, verdict.refusals.first()) {
        (0, Some(refusal)) => {
            println!("  one broken by hand: {refusal}");
            Ok(())
        }
        _ => Err("an object that was broken by hand was accepted".into()),
    }
}

/// The documents of a text as objects.
fn objects(text: &str, from: &str) -> Result<Vec<Value>, Box<dyn Error>> {
    let read =
        documents::read(text).map_err(|fault| format!("{from}, line {}: {}", fault.line, fault.what))?;
    Ok(read.into_iter().map(|document| document.value).collect())
}

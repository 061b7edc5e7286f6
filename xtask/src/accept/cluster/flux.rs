//! What Flux's kustomize controller does with a repository, as far as it decides what the API server is given: decryption, the build of
//! each Kustomization's path with its namespace, patches and components, substitution, and the Kustomizations that come out of it.

use super::{
    control_plane::ControlPlane,
    objects,
    substitute::{Variables, substitute},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Where the Kustomization that Flux itself makes begins (`FluxInstance`, `spec.sync.path`).
const ENTRY: &str = "kubernetes/flux/cluster";
const GROUP: &str = "kustomize.toolkit.fluxcd.io/";
/// Where overlays are made, beside the tree.
const OVERLAYS: &str = ".proof";

type Failable<T> = Result<T, Box<dyn Error>>;

/// A copy of a cluster's directory whose files are decrypted.
pub(super) struct Tree {
    folder: TempDir,
    pub(super) decrypted: usize,
    /// What decrypted them.
    pub(super) sops: String,
}

impl Tree {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Every file below a folder, by its path within it; `.git` and what Portreeve keeps for itself are no part of the tree.
fn files(folder: &Path) -> Failable<Vec<PathBuf>> {
    let (mut found, mut todo) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(folder.join(&at))? {
            let entry = entry?;
            let name = at.join(entry.file_name());
            match entry.file_type()? {
                kind if kind.is_dir() => {
                    let own = [".git", ".portreeve", OVERLAYS].iter().any(|own| name == Path::new(own));
                    todo.extend((!own).then_some(name));
                }
                _ => found.push(name),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Where the Secrets lie that are applied before Flux runs.
const BOOTSTRAP: &str = "bootstrap";

/// Whether a file of the tree is encrypted and meant for the API server.
fn encrypted(file: &Path) -> bool {
    let applied = file.starts_with("kubernetes") || file.starts_with(BOOTSTRAP);
    applied && file.to_string_lossy().contains(".sops.")
}

/// Copies the directory and has `sops` decrypt what is encrypted for the API server.
#[expect(clippy::disallowed_methods, reason = "a developer's tool runs what it asks; none of it ships")]
pub(super) fn decrypted(directory: &Path, sops: &Path) -> Failable<Tree> {
    let folder = tempfile::tempdir()?;
    let mut decrypted = 0;
    for file in files(directory)? {
        let to = folder.path().join(&file);
        fs::create_dir_all(to.parent().unwrap_or(folder.path()))?;
        fs::copy(directory.join(&file), &to)?;
        if encrypted(&file) {
            let mut command = Command::new(sops);
            command
                .args(["decrypt", "--in-place"])
                .arg(&to)
                .env("SOPS_AGE_KEY_FILE", directory.join("age.key"));
            let output = command.output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("sops does not decrypt {}: {}", file.display(), said.trim()).into());
            }
            decrypted += 1;
        }
    }
    let version = Command::new(sops).args(["--version", "--disable-version-check"]).output()?;
    let version = String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or("sops").to_owned();
    Ok(Tree { folder, decrypted, sops: version })
}

/// What one Kustomization gives the API server.
pub(super) struct Built {
    pub(super) name: String,
    pub(super) objects: Vec<Value>,
}

/// All Kustomizations of a tree.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) built: Vec<Built>,
    /// What could not be built, and why.
    pub(super) problems: Vec<String>,
    /// The paths that were built.
    paths: BTreeSet<PathBuf>,
    /// Secrets and config maps by namespace and name: where variables come from.
    sources: BTreeMap<(String, String), Value>,
}

impl Walk {
    /// Builds everything that is reached from Flux's own Kustomization.
    pub(super) fn over(tree: &Path, plane: &ControlPlane) -> Failable<Self> {
        let scopes = plane.cluster_scoped()?;
        let mut walk = Self::default();
        let first = json!({
            "metadata": {"name": "flux-system", "namespace": "flux-system"},
            "spec": {"path": ENTRY},
        });
        let mut todo = VecDeque::from([first]);
        while let Some(kustomization) = todo.pop_front() {
            let name = full_name(&kustomization);
            match walk.build(tree, plane, &kustomization) {
                Err(error) => walk.problems.push(format!("{name}: {error}")),
                Ok(mut objects) => {
                    objects.iter_mut().for_each(|object| settle(object, &scopes));
                    walk.remember(&objects);
                    todo.extend(objects.iter().filter(|object| is_kustomization(object)).cloned());
                    walk.built.push(Built { name, objects });
                }
            }
        }
        walk.before_flux(tree)?;
        Ok(walk)
    }

    /// The Secrets that whoever sets up the cluster applies before Flux runs.
    fn before_flux(&mut self, tree: &Path) -> Failable<()> {
        let mut all = Vec::new();
        for file in files(tree)?.into_iter().filter(|file| file.starts_with(BOOTSTRAP) && encrypted(file)) {
            all.extend(objects(&fs::read_to_string(tree.join(&file))?, &file.display().to_string())?);
            self.paths.insert(file);
        }
        self.built.push(Built { name: "bootstrap, before Flux".to_owned(), objects: all });
        Ok(())
    }

    fn build(&mut self, tree: &Path, plane: &ControlPlane, kustomization: &Value) -> Failable<Vec<Value>> {
        let spec = &kustomization["spec"];
        let path = spec["path"].as_str().ok_or("it has no path")?.trim_start_matches("./").to_owned();
        let target = tree.join(&path);
        if !target.is_dir() {
            return Err(format!("its path {path} is no directory").into());
        }
        generate(&target)?;
        let overlay = tree.join(OVERLAYS).join(self.paths.len().to_string());
        fs::create_dir_all(&overlay)?;
        fs::write(overlay.join("kustomization.yaml"), over(spec, &path).to_string())?;
        self.paths.insert(PathBuf::from(path));
        let built = plane.kustomize(&overlay)?;
        let variables = self.variables(kustomization)?;
        let mut all = Vec::new();
        for text in built.split("\n---\n") {
            all.extend(self.object(text, variables.as_ref())?);
        }
        Ok(all)
    }

    fn object(&self, text: &str, variables: Option<&Variables>) -> Failable<Vec<Value>> {
        let plain = objects(text, "what kustomize built")?;
        let key = format!("{GROUP}substitute");
        let disabled = plain.iter().any(|object| {
            ["annotations", "labels"].iter().any(|place| object["metadata"][place][&key] == "disabled")
        });
        match variables {
            Some(variables) if !disabled => {
                let name = plain.first().map(full_name).unwrap_or_default();
                let text = substitute(text, variables).map_err(|error| format!("{name}: {error}"))?;
                objects(&text, &format!("{name}, substituted"))
            }
            _ => Ok(plain),
        }
    }

    /// The variables of a Kustomization; `None` where it substitutes nothing.
    fn variables(&self, kustomization: &Value) -> Failable<Option<Variables>> {
        let Some(post) = kustomization["spec"].get("postBuild") else { return Ok(None) };
        let mut variables = Variables::new();
        let namespace = kustomization["metadata"]["namespace"].as_str().unwrap_or_default();
        for from in post["substituteFrom"].as_array().into_iter().flatten() {
            let name = from["name"].as_str().unwrap_or_default();
            let Some(source) = self.sources.get(&(namespace.to_owned(), name.to_owned())) else {
                if from["optional"] == json!(true) {
                    continue;
                }
                return Err(format!("its variables are in {namespace}/{name}, which nothing has made").into());
            };
            if source["kind"] == "Secret" && source.get("data").is_some() {
                return Err(
                    format!("{namespace}/{name} has `data`, and only `stringData` is read here").into()
                );
            }
            variables.extend(texts(&source["stringData"]));
            variables.extend(texts(&source["data"]));
        }
        variables.extend(texts(&post["substitute"]));
        Ok(Some(variables))
    }

    fn remember(&mut self, objects: &[Value]) {
        for object in
            objects.iter().filter(|object| object["kind"] == "Secret" || object["kind"] == "ConfigMap")
        {
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
            self.sources.insert((text("namespace"), text("name")), object.clone());
        }
    }
}

fn texts(object: &Value) -> impl Iterator<Item = (String, String)> + '_ {
    let members = object.as_object().into_iter().flatten();
    members.map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

fn is_kustomization(object: &Value) -> bool {
    object["kind"] == "Kustomization"
        && object["apiVersion"].as_str().is_some_and(|version| version.starts_with(GROUP))
}

fn full_name(object: &Value) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    match text("namespace") {
        "" => text("name").to_owned(),
        namespace => format!("{namespace}/{}", text("name")),
    }
}

/// An object that has no namespace must not name one, though a build may have given it one: Flux asks the API server, too.
fn settle(object: &mut Value, scopes: &BTreeSet<String>) {
    let group = object["apiVersion"]
        .as_str()
        .and_then(|version| version.split_once('/'))
        .map_or("", |(group, _)| group);
    let kind = format!("{group}/{}", object["kind"].as_str().unwrap_or_default());
    if let Some(metadata) = object["metadata"].as_object_mut().filter(|_| scopes.contains(&kind)) {
        metadata.remove("namespace");
    }
}

/// The Kustomization's own part of the build.
fn over(spec: &Value, path: &str) -> Value {
    let above = format!("../../{path}");
    let mut overlay = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [above],
    });
    if let Some(namespace) = spec.get("targetNamespace") {
        overlay["namespace"] = namespace.clone();
    }
    if let Some(patches) = spec.get("patches") {
        overlay["patches"] = patches.clone();
    }
    if let Some(components) = spec["components"].as_array() {
        let at = |component: &Value| json!(format!("{above}/{}", component.as_str().unwrap_or_default()));
        overlay["components"] = components.iter().map(at).collect();
    }
    if let Some(labels) = spec["commonMetadata"].get("labels") {
        overlay["labels"] = json!([{"pairs": labels}]);
    }
    overlay
}

fn has_kustomization(directory: &Path) -> bool {
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    names.iter().any(|name| directory.join(name).exists())
}

/// A path without a `kustomization.yaml` is built as if it named everything below it: directories that have one, and manifests.
fn generate(directory: &Path) -> Failable<()> {
    if has_kustomization(directory) {
        return Ok(());
    }
    let (mut resources, mut todo) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(directory.join(&at))? {
            let entry = entry?;
            let name = at.join(entry.file_name());
            let is_manifest = name.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
            match entry.file_type()?.is_dir() {
                true if has_kustomization(&entry.path()) => resources.push(name),
                true => todo.push(name),
                false => resources.extend(is_manifest.then_some(name)),
            }
        }
    }
    resources.sort();
    let made = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    });
    Ok(fs::write(directory.join("kustomization.yaml"), made.to_string())?)
}

/// The files of a tree that no build reads: they are for other programs than the API server.
pub(super) fn other_files(tree: &Path, walk: &Walk) -> Failable<Vec<String>> {
    let read = |file: &PathBuf| {
        walk.paths.iter().any(|path| file.starts_with(path)) || file.starts_with("kubernetes/components")
    };
    let own = |file: &PathBuf| {
        let name = file.to_string_lossy();
        ["cluster.yaml", "nodes.yaml", "age.key"].contains(&&*name)
    };
    let others = files(tree)?.into_iter().filter(|file| !read(file) && !own(file));
    Ok(others.map(|file| file.display().to_string()).collect())
}

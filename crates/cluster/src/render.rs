//! From values to a tree of texts, in memory. Nothing is written, checked or encrypted here.
//!
//! Three kinds of templates: those under `root/` are files of the tree; `apps/<namespace>/<name>/` is an application; `app/` and
//! `namespace/` hold what all applications and namespaces have in common. A file that is blank is not part of the tree.
//!
//! Reading order: `templates` (where they come from), `apps` (what an application is), `engine` (what they may use).

mod apps;
mod dropped;
mod engine;
mod error;
mod keys;
mod names;
mod secret;
mod templates;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{RULES, RenderError};
pub use templates::{OWN, Override, Templates};

use crate::{
    inputs::{Files, Own},
    values::Values,
};
use apps::{App, Chart};
use engine::Engine;
use minijinja::{Value, context};
use portreeve_model::Secret;
use std::collections::{BTreeMap, BTreeSet};

/// One file of the tree, before encryption.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Its text; that of a `*.sops.yaml` file holds secrets.
    pub text: Secret<String>,
    /// The template that it came from.
    pub template: String,
    /// The digest of that template.
    pub digest: String,
}

/// The tree by path.
pub type RenderedTree = BTreeMap<String, Rendered>;

/// The file that lists the patches of Talos, and so is rendered after them.
const TALCONFIG: &str = "root/talos/talconfig.yaml";

/// Renders the whole tree.
///
/// # Errors
/// The first template that cannot be rendered, with its line.
pub fn render(values: &Values, files: &Files, templates: &Templates) -> Result<RenderedTree, RenderError> {
    let engine = Engine::new(values, files);
    for (path, template) in templates.all().filter(|(path, template)| *path != template.origin) {
        if !path.ends_with("app.yaml") {
            engine.check(&template.origin, &template.text)?;
        }
    }
    let (apps, charts) = apps::read(templates)?;
    let mut there = Vec::new();
    for app in &apps {
        if app.there(&engine, templates)? {
            there.push(app);
        }
    }
    let ids = there.iter().map(|app| app.id()).collect();
    let mut work = Work { engine, templates, charts, ids, tree: RenderedTree::new() };
    work.root(&there)?;
    work.namespaces(&there)?;
    for app in there {
        work.app(app)?;
    }
    Ok(work.tree)
}

/// The settings that applications declare in their `app.yaml`.
///
/// # Errors
/// A declaration that cannot be used.
pub fn own_settings(templates: &Templates) -> Result<Own, RenderError> {
    apps::own(templates, &engine::takes)
}

/// The charts that the templates name.
///
/// # Errors
/// The data file cannot be understood.
pub fn charts(templates: &Templates) -> Result<BTreeMap<String, Chart>, RenderError> {
    apps::read(templates).map(|(_, charts)| charts)
}

struct Work<'a> {
    engine: Engine,
    templates: &'a Templates,
    charts: BTreeMap<String, Chart>,
    /// The applications that are there.
    ids: BTreeSet<String>,
    tree: RenderedTree,
}

impl Work<'_> {
    /// Renders one template into one file; whether there is one now.
    fn file(&mut self, template: &str, path: &str, given: Value) -> Result<bool, RenderError> {
        let Some(found) = self.templates.get(template) else {
            return Err(RenderError::new(template, "the template is missing"));
        };
        let place = |error: RenderError| RenderError { template: found.origin.clone(), ..error };
        let Some(text) = self.engine.render(template, &found.text, given).map_err(place)? else {
            return Ok(false);
        };
        let text = Secret::new(text);
        let file = Rendered { text, template: found.origin.clone(), digest: found.digest.clone() };
        if let Some(other) = self.tree.insert(path.to_owned(), file) {
            return Err(RenderError::new(
                &found.origin,
                format!("`{path}` comes from {} too", other.template),
            ));
        }
        Ok(true)
    }

    fn root(&mut self, there: &[&App]) -> Result<(), RenderError> {
        let charts = Value::from(
            self.charts.iter().map(|(name, chart)| (name.clone(), chart.seen())).collect::<BTreeMap<_, _>>(),
        );
        let apps: Vec<String> = there.iter().map(|app| app.id()).collect();
        let given = context! { charts, apps };
        let paths: Vec<(String, String)> = self
            .templates
            .below("root")
            .filter(|(path, _)| *path != TALCONFIG)
            .map(|(path, below)| (path.to_owned(), below.to_owned()))
            .collect();
        for (path, below) in paths {
            self.file(&path, &below, given.clone())?;
        }
        let patches: Vec<String> =
            self.tree.keys().filter(|path| path.starts_with("talos/patches/")).cloned().collect();
        let list = move |directory: &str| -> Vec<String> {
            let prefix = format!("talos/patches/{directory}/");
            let own = patches.iter().filter(|path| path.starts_with(&prefix));
            own.map(|path| format!("@./{}", path.trim_start_matches("talos/"))).collect()
        };
        let given = context! { talos_patches => Value::from_function(list), ..given };
        self.file(TALCONFIG, "talos/talconfig.yaml", given)?;
        Ok(())
    }

    fn namespaces(&mut self, there: &[&App]) -> Result<(), RenderError> {
        let mut namespaces: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for app in there {
            namespaces.entry(&app.namespace).or_default().push(app.name.clone());
        }
        for (name, apps) in namespaces {
            let given = context! { namespace => context! { name, apps } };
            for file in ["kustomization.yaml", "namespace.yaml"] {
                self.file(
                    &format!("namespace/{file}"),
                    &format!("kubernetes/apps/{name}/{file}"),
                    given.clone(),
                )?;
            }
        }
        Ok(())
    }

    fn app(&mut self, app: &App) -> Result<(), RenderError> {
        let root = format!("kubernetes/apps/{}", app.id());
        let given = context! { app => app.seen(&self.ids) };
        let directory = app.path("files");
        let own: Vec<(String, String)> = self
            .templates
            .below(&directory)
            .map(|(path, below)| (path.to_owned(), below.to_owned()))
            .collect();
        for (path, below) in own {
            self.file(&path, &format!("{root}/{below}"), given.clone())?;
        }
        if let Some(chart) = app.chart.as_ref().and_then(|chart| self.charts.get(chart)) {
            let values = self.values(app, &given)?;
            let given = context! { chart => chart.seen(), values, ..given };
            self.shared("app/helmrelease.yaml", &root, &given)?;
            self.shared("app/ocirepository.yaml", &root, &given)?;
        }
        let resources: Vec<String> = self.resources(&format!("{root}/app/"));
        let given = context! { app => context! { resources, ..app.seen(&self.ids) } };
        self.shared("app/kustomization.yaml", &root, &given)?;
        self.shared("ks.yaml", &root, &given)
    }

    /// A file that all applications have, unless this one brings its own.
    fn shared(&mut self, file: &str, root: &str, given: &Value) -> Result<(), RenderError> {
        let path = format!("{root}/{file}");
        if !self.tree.contains_key(&path) {
            self.file(&format!("app/{}", file.trim_start_matches("app/")), &path, given.clone())?;
        }
        Ok(())
    }

    /// What the chart of an application is given, as a text of YAML.
    fn values(&self, app: &App, given: &Value) -> Result<String, RenderError> {
        let path = app.path("values.yaml");
        let Some(template) = self.templates.get(&path) else { return Ok(String::new()) };
        let text = self.engine.render(&path, &template.text, given.clone());
        let text = text.map_err(|error| RenderError { template: template.origin.clone(), ..error })?;
        Ok(text.unwrap_or_default())
    }

    /// The files of a directory, without those below it.
    fn resources(&self, directory: &str) -> Vec<String> {
        let names = self.tree.keys().filter_map(|path| path.strip_prefix(directory));
        names.filter(|name| !name.contains('/') && *name != "kustomization.yaml").map(str::to_owned).collect()
    }
}

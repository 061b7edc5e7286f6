//! Applications and charts as data. An application is a directory `apps/<namespace>/<name>/`: `app.yaml` says when it is there and
//! what it waits for, `values.yaml` what its chart is given, `files/` holds everything else. What all have in common is made
//! by the templates under `app/`, and by a file of the same path under `files/` instead where there is one.

use super::{RenderError, engine::Engine, templates::Templates};
use crate::{
    documents,
    inputs::{Own, own::Misdeclared},
    told::Spot,
};
use minijinja::{Value, context};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The condition.
    pub(super) when: Option<String>,
    pub(super) chart: Option<String>,
    /// The name of its release, where it is another than the application's.
    pub(super) release: String,
    /// What it waits for, as `namespace/name`.
    pub(super) needs: Vec<String>,
    /// Whether others wait for what it makes to be ready, not only to be there.
    pub(super) wait: bool,
    /// Whether what it made goes away with it.
    pub(super) prune: bool,
}

/// One chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Its address, `oci://…`.
    pub url: String,
    /// Its version.
    pub version: String,
    /// Where its custom resource definitions are: `chart` for those that it brings itself.
    pub crds: Option<String>,
    /// How newer versions are found, as `datasource/name`.
    pub update: String,
}

const APP: [&str; 8] = ["about", "when", "chart", "release", "needs", "wait", "prune", "variables"];
const CHART: [&str; 4] = ["url", "version", "crds", "update"];

impl App {
    /// `namespace/name`.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The path of one of its templates.
    pub(super) fn path(&self, file: &str) -> String {
        format!("apps/{}/{file}", self.id())
    }

    /// Whether it is there.
    pub(super) fn there(&self, engine: &Engine, templates: &Templates) -> Result<bool, RenderError> {
        let Some(when) = &self.when else { return Ok(true) };
        let Some(template) = templates.get(&self.path("app.yaml")) else { return Ok(true) };
        engine.holds(&template.origin, &template.text, spot(&template.text, "/when"), when)
    }

    fn read(templates: &Templates, namespace: &str, name: &str, text: &str) -> Result<Self, RenderError> {
        let path = format!("apps/{namespace}/{name}/app.yaml");
        let origin = templates.get(&path).map_or(path.as_str(), |template| template.origin.as_str());
        let data = mapping(origin, text, &APP)?;
        let word = |key: &str| data.get(key).and_then(Json::as_str).map(str::to_owned);
        let flag = |key: &str, or: bool| data.get(key).and_then(Json::as_bool).unwrap_or(or);
        let needs = data.get("needs").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            when: word("when"),
            chart: word("chart"),
            release: word("release").unwrap_or_else(|| name.to_owned()),
            needs: needs.iter().filter_map(|need| need.as_str().map(str::to_owned)).collect(),
            wait: flag("wait", false),
            prune: flag("prune", true),
        })
    }

    /// What the shared templates see of it; only what is there itself can be waited for.
    pub(super) fn seen(&self, there: &BTreeSet<String>) -> Value {
        let needs = self.needs.iter().filter(|need| there.contains(*need));
        let needs: Vec<Value> = needs
            .filter_map(|need| need.split_once('/'))
            .map(|(namespace, name)| context! { namespace, name })
            .collect();
        context! {
            namespace => &self.namespace,
            name => &self.name,
            release => &self.release,
            needs,
            wait => self.wait,
            prune => self.prune,
        }
    }
}

/// All applications, and the charts.
pub(super) fn read(templates: &Templates) -> Result<(Vec<App>, BTreeMap<String, Chart>), RenderError> {
    let charts = charts(templates)?;
    let mut apps = Vec::new();
    for (path, below) in templates.below("apps") {
        let parts: Vec<&str> = below.split('/').collect();
        let [namespace, name, "app.yaml"] = parts[..] else { continue };
        let text = templates.get(path).map_or("", |template| template.text.as_str());
        apps.push(App::read(templates, namespace, name, text)?);
    }
    let there: BTreeSet<String> = apps.iter().map(App::id).collect();
    for app in &apps {
        let Some(template) = templates.get(&app.path("app.yaml")) else { continue };
        let wrong = |what: String, pointer: &str| {
            RenderError::new(&template.origin, what).at(&template.text, spot(&template.text, pointer))
        };
        if let Some(number) = app.needs.iter().position(|need| !there.contains(need)) {
            let need = &app.needs[number];
            let near = portreeve_yaml::nearest(need, there.iter().map(String::as_str));
            let mend = near.map_or_else(
                || "write it as `namespace/name`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let what = format!("it needs `{need}`, which is no application");
            return Err(wrong(what, &format!("/needs/{number}")).mend(mend));
        }
        if let Some(chart) = app.chart.as_ref().filter(|chart| !charts.contains_key(*chart)) {
            let near = portreeve_yaml::nearest(chart, charts.keys().map(String::as_str));
            let mend = near.map_or_else(
                || "add it there, or take `chart` out".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(wrong(format!("`{chart}` is not in charts.yaml"), "/chart").mend(mend));
        }
    }
    Ok((apps, charts))
}

/// The settings that applications declare.
pub(super) fn own(templates: &Templates, taken: &dyn Fn(&str) -> bool) -> Result<Own, RenderError> {
    let mut own = Own::default();
    for (path, below) in templates.below("apps") {
        let Some(application) = below.strip_suffix("/app.yaml") else { continue };
        let Some(template) = templates.get(path) else { continue };
        let data = mapping(&template.origin, &template.text, &APP)?;
        let Some(variables) = data.get("variables") else { continue };
        own.declare(application, variables, taken).map_err(|Misdeclared { pointer, what, mend }| {
            let place = spot(&template.text, &pointer);
            RenderError::new(&template.origin, what).mend(mend).at(&template.text, place)
        })?;
    }
    Ok(own)
}

fn charts(templates: &Templates) -> Result<BTreeMap<String, Chart>, RenderError> {
    const PATH: &str = "charts.yaml";
    let template =
        templates.get(PATH).ok_or_else(|| RenderError::new(PATH, "the list of charts is missing"))?;
    let names = documents::read(&template.text).ok().and_then(|mut all| all.pop());
    let Some(Json::Object(all)) = names.map(|document| document.value) else {
        return Err(RenderError::new(&template.origin, "it is not a map of charts"));
    };
    let mut charts = BTreeMap::new();
    for (name, data) in all {
        let known = data.as_object().is_some_and(|map| map.keys().all(|key| CHART.contains(&key.as_str())));
        let word = |key: &str| data[key].as_str().map(str::to_owned);
        let chart = || {
            let (url, version, update) = (word("url")?, word("version")?, word("update")?);
            Some(Chart { url, version, crds: word("crds"), update })
        };
        let chart = chart().filter(|_| known).ok_or_else(|| {
            let what = format!("`{name}` has `url`, `version` (in quotes), `update` and perhaps `crds`");
            RenderError::new(&template.origin, what)
        })?;
        charts.insert(name, chart);
    }
    Ok(charts)
}

impl Chart {
    pub(super) fn seen(&self) -> Value {
        context! { url => &self.url, version => &self.version, crds => self.crds.clone(), update => &self.update }
    }
}

/// The place of a value in the one document of a file.
fn spot(text: &str, pointer: &str) -> Spot {
    let document = documents::read(text).ok().and_then(|all| all.into_iter().next());
    document.map_or(Spot::WHOLE, |document| document.value_place(pointer))
}

/// The map that a text is, with known keys only.
fn mapping(origin: &str, text: &str, keys: &[&str]) -> Result<serde_json::Map<String, Json>, RenderError> {
    let unreadable = |fault: documents::Fault| {
        RenderError::new(origin, &fault.what).at(text, fault.spot()).mend("write `name: value` lines")
    };
    let documents = documents::read(text).map_err(unreadable)?;
    let Some(document) = documents.into_iter().next() else { return Ok(serde_json::Map::new()) };
    let Json::Object(map) = &document.value else {
        return Err(RenderError::new(origin, "it is not a map").mend("write `name: value` lines"));
    };
    match map.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(map.clone()),
        Some(key) => {
            let mend = match portreeve_yaml::nearest(key, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the names here are {}", keys.join(", ")),
            };
            let error = RenderError::new(origin, format!("`{key}` means nothing here")).mend(mend);
            Err(error.at(text, document.place(&format!("/{}", key.replace('~', "~0").replace('/', "~1")))))
        }
    }
}

//! What Flux reaches from its root, followed as `kustomize` and Flux do: files that are named and not there, or there and not
//! named, objects that are there twice, and things to wait for that never come.

use super::{
    Notes,
    objects::{Object, Objects},
};
use crate::told::Spot;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where Flux begins.
const ROOT: &str = "kubernetes/flux/cluster";
/// Kinds that belong to no namespace.
const CLUSTER_WIDE: [&str; 9] = [
    "Namespace",
    "ClusterIssuer",
    "GatewayClass",
    "CiliumLoadBalancerIPPool",
    "CiliumL2AnnouncementPolicy",
    "CiliumBGPAdvertisement",
    "CiliumBGPPeerConfig",
    "CiliumBGPClusterConfig",
    "StorageClass",
];

/// Something that Flux applies: where it is written down and what it says.
struct Flux<'a> {
    file: &'a str,
    object: &'a Object,
    namespace: String,
}

/// Where an entry of a kustomization stands.
#[derive(Clone, Copy)]
struct At<'a> {
    file: &'a str,
    spot: Spot,
}

/// A directory is built once for everybody who names it, and as often as it is named.
struct Build<'a, 'n, 'tree> {
    objects: &'a Objects,
    notes: &'n mut Notes<'tree>,
    reached: BTreeSet<&'a str>,
    flux: Vec<Flux<'a>>,
    seen: BTreeMap<(String, String, String, String), (&'a str, &'a Object)>,
}

/// Follows the tree from Flux's root.
pub(super) fn check(objects: &Objects, notes: &mut Notes<'_>) {
    let mut build =
        Build { objects, notes, reached: BTreeSet::new(), flux: Vec::new(), seen: BTreeMap::new() };
    build.directory(ROOT, None, 0);
    let mut next = 0;
    while next < build.flux.len() {
        build.apply(next);
        next += 1;
    }
    build.waits();
    build.orphans();
}

impl<'a> Build<'a, '_, '_> {
    /// What one Kustomization of Flux applies.
    fn apply(&mut self, number: usize) {
        let Flux { file, object, .. } = &self.flux[number];
        let (file, object) = (*file, *object);
        let path = join("", object.text("/spec/path"));
        let target = Some(object.text("/spec/targetNamespace")).filter(|name| !name.is_empty());
        let there = path.as_ref().is_some_and(|path| {
            let below = format!("{path}/");
            self.objects.keys().any(|file| file.starts_with(&below))
        });
        match path.filter(|_| there) {
            Some(path) => self.directory(&path, target, 0),
            None => {
                let (own, path) = (object.text("/metadata/name"), object.text("/spec/path"));
                let what = format!("`{own}` applies `{path}`, where there is nothing");
                let spot = object.value_place("/spec/path");
                let mend = "correct `spec.path`; it is relative to the root of the repository";
                self.notes.add("O-04", file, spot, what, mend);
            }
        }
    }

    /// A directory as Flux sees it: without a kustomization of its own it is everything below that has one, and all other files.
    fn directory(&mut self, directory: &str, namespace: Option<&str>, depth: usize) {
        if self.objects.contains_key(&format!("{directory}/kustomization.yaml")) {
            self.kustomization(directory, namespace, depth);
            return;
        }
        let (objects, below) = (self.objects, format!("{directory}/"));
        let mut built: Vec<String> = Vec::new();
        for path in objects.keys().filter(|path| path.starts_with(&below)) {
            if built.iter().any(|built| path.starts_with(built.as_str())) {
                continue;
            }
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            let own = parents
                .filter(|parent| parent.len() > directory.len())
                .find(|parent| objects.contains_key(&format!("{parent}/kustomization.yaml")));
            match own {
                Some(parent) => {
                    built.push(format!("{parent}/"));
                    self.kustomization(parent, namespace, depth + 1);
                }
                None => self.file(path, namespace),
            }
        }
    }

    fn kustomization(&mut self, directory: &str, outer: Option<&str>, depth: usize) {
        /// Directories that name each other in a circle are found by their depth.
        const DEEPEST: usize = 20;
        let Some((path, documents)) = self.objects.get_key_value(&format!("{directory}/kustomization.yaml"))
        else {
            return;
        };
        self.reached.insert(path);
        let Some(object) = documents.first().filter(|_| depth < DEEPEST) else { return };
        // The outermost namespace is applied last, and so it holds.
        let own = Some(object.text("/namespace")).filter(|name| !name.is_empty());
        let namespace = outer.or(own);
        for key in ["resources", "components"] {
            for (number, entry) in object.value[key].as_array().into_iter().flatten().enumerate() {
                let at = At { file: path, spot: object.value_place(&format!("/{key}/{number}")) };
                self.entry(at, directory, entry.as_str().unwrap_or_default(), namespace, depth);
            }
        }
        self.mentioned(directory, &object.value);
    }

    /// One entry of `resources` or `components`.
    fn entry(&mut self, at: At<'a>, directory: &str, entry: &str, namespace: Option<&str>, depth: usize) {
        let objects = self.objects;
        let path = join(directory, entry).unwrap_or_default();
        if entry.contains("://") || entry.starts_with("github.com/") || entry.contains("?ref=") {
            let what = format!("`{entry}` is somewhere on the network");
            let mend = "put the file into the tree: what is applied is what is reviewed";
            self.notes.add("O-02", at.file, at.spot, what, mend);
        } else if let Some((path, _)) = objects.get_key_value(&path) {
            self.file(path, namespace);
        } else if objects.contains_key(&format!("{path}/kustomization.yaml")) {
            self.kustomization(&path, namespace, depth + 1);
        } else {
            self.absent(at, entry, &path);
        }
    }

    /// Something is named that is not there; whatever left it out is named too.
    fn absent(&mut self, at: At<'a>, entry: &str, path: &str) {
        let own = self.notes.tree.get(at.file).map(|file| file.template.as_str()).unwrap_or_default();
        let dropped = self.notes.templates.dropped(path, |file| {
            self.objects.range(file.to_owned()..).next().is_some_and(|(next, _)| next.starts_with(file))
        });
        let mend = match dropped.first().and_then(|dropped| dropped.condition.as_deref()) {
            Some(when) => format!("in {own}, name it only where `{when}` holds, or take it out"),
            None => format!("take it out of {own}, or add a template that renders `{path}`"),
        };
        let what = format!("`{entry}` is named and not there");
        let mut finding = self.notes.finding("O-02", at.file, at.spot, what, mend);
        for dropped in dropped {
            let what = match &dropped.condition {
                Some(when) => format!("{} is left out: it is there only where `{when}` holds", dropped.what),
                None => format!("{} is left out: its template renders nothing", dropped.what),
            };
            finding = finding.other(&dropped.template, dropped.spot, what);
        }
        self.notes.found.push(finding);
    }

    /// The objects of one file.
    fn file(&mut self, path: &'a str, namespace: Option<&str>) {
        self.reached.insert(path);
        for object in self.objects.get(path).into_iter().flatten() {
            let kind = object.text("/kind");
            let own = object.text("/metadata/namespace");
            let namespace = namespace.unwrap_or(own);
            let namespace = if CLUSTER_WIDE.contains(&kind) { "" } else { namespace };
            if kind.is_empty() || object.text("/metadata/name").is_empty() {
                let what = "this is no object: `kind` or `metadata.name` is missing";
                let spot = object.value_place("");
                self.notes.add("O-01", path, spot, what, "complete it, or do not name it as a resource");
                continue;
            }
            let name = object.text("/metadata/name");
            let id = (object.group().to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
            if object.is_flux() {
                self.flux.push(Flux { file: path, object, namespace: namespace.to_owned() });
            }
            if let Some((other, first)) = self.seen.insert(id, (path, object)) {
                let what = match namespace {
                    "" => format!("{kind} `{name}` is there twice"),
                    namespace => format!("{kind} `{name}` is there twice in `{namespace}`"),
                };
                let spot = |object: &Object| object.value_place("/metadata/name");
                let mend = "give one of them another name, or take it out";
                let finding = self.notes.finding("O-01", path, spot(object), what, mend);
                let finding = finding.other(other, spot(first), "it is here first");
                self.notes.found.push(finding);
            }
        }
    }

    /// Files that a kustomization names elsewhere, such as in patches and generators.
    fn mentioned(&mut self, directory: &str, value: &Value) {
        match value {
            Value::String(text) => {
                let text = text.rsplit('=').next().unwrap_or(text);
                let path = join(directory, text).unwrap_or_default();
                if let Some((path, _)) = self.objects.get_key_value(&path) {
                    self.reached.insert(path);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.mentioned(directory, item)),
            Value::Object(map) => map.values().for_each(|item| self.mentioned(directory, item)),
            _ => {}
        }
    }

    /// Everything that is waited for is there.
    fn waits(&mut self) {
        let there: BTreeSet<(&str, &str)> = self
            .flux
            .iter()
            .map(|flux| (flux.namespace.as_str(), flux.object.text("/metadata/name")))
            .collect();
        for flux in &self.flux {
            for (number, wait) in
                flux.object.value["spec"]["dependsOn"].as_array().into_iter().flatten().enumerate()
            {
                let name = wait["name"].as_str().unwrap_or_default();
                let namespace = wait["namespace"].as_str().unwrap_or(&flux.namespace);
                if there.contains(&(namespace, name)) {
                    continue;
                }
                let elsewhere =
                    there.iter().find(|(_, other)| *other == name).map(|(namespace, _)| *namespace);
                let mend = match elsewhere {
                    Some(namespace) => format!("`{name}` is in `{namespace}`: set `namespace: {namespace}`"),
                    None => "take it out, or switch on what it waits for".to_owned(),
                };
                let own = flux.object.text("/metadata/name");
                let what = format!("`{own}` waits for `{namespace}/{name}`, which never comes");
                let spot = flux.object.value_place(&format!("/spec/dependsOn/{number}/name"));
                self.notes.add("O-04", flux.file, spot, what, mend);
            }
        }
    }

    fn orphans(&mut self) {
        for path in self.objects.keys().filter(|path| path.starts_with("kubernetes/")) {
            if !self.reached.contains(path.as_str()) && !path.starts_with(&format!("{ROOT}/")) {
                let what = "nothing names this file, so Flux never applies it";
                let mend = "name it in a kustomization.yaml, or take it out";
                self.notes.add("O-03", path, Spot::WHOLE, what, mend);
            }
        }
    }
}

/// A path below a directory; none where it leaves the tree.
fn join(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

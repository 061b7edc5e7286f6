//! The texts of the tree as the objects in them.

use super::Notes;
use crate::{
    documents::{self, Document},
    render::RenderedTree,
};
use portreeve_yaml::Limits;
use serde_json::Value;
use std::{collections::BTreeMap, ops::Deref};

/// One document of one file.
pub(super) struct Object(Document);

impl Deref for Object {
    type Target = Document;
    fn deref(&self) -> &Document {
        &self.0
    }
}

/// Every file of YAML with its documents.
pub(super) type Objects = BTreeMap<String, Vec<Object>>;

impl Object {
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The group of its `apiVersion`; that of the core has none.
    pub(super) fn group(&self) -> &str {
        self.text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// Whether it is something that Flux applies.
    pub(super) fn is_flux(&self) -> bool {
        self.text("/kind") == "Kustomization" && self.group() == "kustomize.toolkit.fluxcd.io"
    }
}

/// Reads every file of YAML; a file that is none is noted.
pub(super) fn read(tree: &RenderedTree, notes: &mut Notes<'_>) -> Objects {
    let mut objects = Objects::new();
    for (path, file) in tree.iter().filter(|(path, _)| path.ends_with(".yaml")) {
        match documents::read_within(file.text.expose(), Limits::LONG) {
            Ok(found) => {
                objects.insert(path.clone(), found.into_iter().map(Object).collect());
            }
            Err(fault) => {
                let what = format!("this is not YAML that can be read: {}", fault.what);
                let mend = "mend the template; `| q` puts a text into quotes";
                notes.add("O-01", path, fault.spot(), what, mend);
                // It is there nevertheless, and whoever names it is right.
                objects.insert(path.clone(), Vec::new());
            }
        }
    }
    objects
}

/// What is listed of one object, or of a file that holds none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The file.
    pub file: String,
    /// `apiVersion`; empty where the file is no object.
    pub version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace` as it is written.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// Every object of a tree, by file.
pub fn list(tree: &RenderedTree) -> Vec<Listed> {
    let mut listed = Vec::new();
    for (path, file) in tree {
        let found = if path.ends_with(".yaml") {
            documents::read_within(file.text.expose(), Limits::LONG)
        } else {
            Ok(Vec::new())
        };
        let objects: Vec<Object> = found
            .unwrap_or_default()
            .into_iter()
            .map(Object)
            .filter(|object| !object.text("/kind").is_empty())
            .collect();
        let text = |object: &Object, pointer: &str| object.text(pointer).to_owned();
        if objects.is_empty() {
            let none = String::new;
            listed.push(Listed {
                file: path.clone(),
                version: none(),
                kind: none(),
                namespace: none(),
                name: none(),
            });
        }
        listed.extend(objects.iter().map(|object| Listed {
            file: path.clone(),
            version: text(object, "/apiVersion"),
            kind: text(object, "/kind"),
            namespace: text(object, "/metadata/namespace"),
            name: text(object, "/metadata/name"),
        }));
    }
    listed
}

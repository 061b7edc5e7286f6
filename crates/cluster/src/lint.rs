//! The rendered tree, looked at as `kustomize`, Flux and the API server will: before anything is encrypted or written.
//!
//! Reading order: `objects` (texts as objects), `build` (what Flux reaches from its root), `leaks` (secrets in the open), `schemas`
//! (whether each object is what its kind has to be).

mod build;
mod leaks;
mod objects;
mod schemas;

#[cfg(test)]
pub(crate) use leaks::writings;
#[cfg(test)]
mod tests;

pub use objects::{Listed, list};
pub use schemas::{KEPT, SchemaError, Sources, Verdicts};

use crate::{
    inputs::{Files, Level},
    render::RenderedTree,
    values::Values,
};
use serde_json::{Value, json};
use std::fmt;

/// The rule about kinds without a schema.
pub const UNCHECKED: &str = "O-09";

/// The rules of the output, each with what it asks for.
pub const RULES: &[(&str, Level, &str)] = &[
    ("O-01", Level::Error, "Every file is YAML that can be read, and no object is there twice"),
    ("O-02", Level::Error, "What a kustomization names is there, and not somewhere on the network"),
    ("O-03", Level::Warning, "Flux reaches every file"),
    ("O-04", Level::Error, "What Flux applies and waits for is there"),
    ("O-07", Level::Error, "No secret stands outside encrypted files"),
    ("O-08", Level::Error, "Every object is valid by its schema"),
    (UNCHECKED, Level::Warning, "There is a schema of every kind"),
];

/// Something that is wrong with the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The file of the tree.
    pub file: String,
    /// The line in it.
    pub line: usize,
    /// The template that it came from.
    pub template: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.level == Level::Error { "error" } else { "warning" };
        writeln!(f, "{level}[{}]: {}", self.code, self.what)?;
        writeln!(f, "  --> {}:{} (from {})", self.file, self.line, self.template)?;
        writeln!(f, "   = help: {}\n", self.mend)
    }
}

impl Finding {
    /// The same for programs.
    pub fn json(&self) -> Value {
        let level = if self.level == Level::Error { "error" } else { "warning" };
        json!({
            "code": self.code, "level": level, "file": self.file, "line": self.line,
            "template": self.template, "what": self.what, "mend": self.mend,
        })
    }
}

/// Notes findings, with the level of their rule.
struct Notes<'a> {
    tree: &'a RenderedTree,
    found: Vec<Finding>,
}

impl Notes<'_> {
    fn add(&mut self, code: &'static str, place: (&str, usize), what: String, mend: impl Into<String>) {
        let rule = RULES.iter().find(|(rule, ..)| *rule == code);
        let level = rule.map_or(Level::Error, |(_, level, _)| *level);
        let template = self.tree.get(place.0).map(|file| file.template.clone()).unwrap_or_default();
        let (file, line) = (place.0.to_owned(), place.1);
        self.found.push(Finding { code, level, file, line, template, what, mend: mend.into() });
    }
}

/// What was found in a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong, by file and line.
    pub findings: Vec<Finding>,
    /// What the schemas say.
    pub verdicts: Verdicts,
}

/// Looks at a tree.
pub fn check(tree: &RenderedTree, values: &Values, files: &Files, sources: &Sources) -> Checked {
    let mut notes = Notes { tree, found: Vec::new() };
    let objects = objects::read(tree, &mut notes);
    build::check(&objects, &mut notes);
    leaks::check(values, files, &mut notes);
    let verdicts = schemas::check(&objects, values, sources, &mut notes);
    let mut found = notes.found;
    found.sort_by(|a, b| (&a.file, a.line, a.code).cmp(&(&b.file, b.line, b.code)));
    found.dedup();
    Checked { findings: found, verdicts }
}

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

use objects::Objects;
pub use objects::{Listed, list};
pub use schemas::{KEPT, SchemaError, Sources, Verdicts};

use crate::{
    inputs::{Files, Level},
    render::{self, RenderedTree, Templates},
    told::{Excerpt, Other, Spot, Told},
    values::Values,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt};

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
    /// The place in it.
    pub spot: Spot,
    /// The template that it came from.
    pub template: String,
    /// What is wrong.
    pub what: String,
    /// Other places that have to do with it.
    pub others: Vec<Other>,
    /// How to mend it.
    pub mend: String,
    /// What changed, where it is about a change: a difference in the unified form.
    pub detail: String,
    excerpt: Option<Excerpt>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = match self.template.as_str() {
            "" => String::new(),
            template => format!("it is rendered from {template}"),
        };
        let told = Told {
            level: self.level,
            code: self.code,
            what: &self.what,
            file: &self.file,
            spot: self.spot,
            excerpt: self.excerpt.as_ref(),
            label: "",
            others: &self.others,
            note: &note,
            detail: &self.detail,
            help: &self.mend,
        };
        told.fmt(f)
    }
}

impl Finding {
    /// The same for programs.
    pub fn json(&self) -> Value {
        let other = |Other { file, spot, what }: &Other| json!({"file": file, "line": spot.line, "column": spot.column, "what": what});
        json!({
            "code": self.code, "level": self.level.word(), "file": self.file, "line": self.spot.line,
            "column": self.spot.column, "template": self.template, "what": self.what,
            "others": self.others.iter().map(other).collect::<Vec<_>>(), "mend": self.mend,
            "detail": self.detail,
        })
    }

    /// What is found of a template as a whole.
    pub(crate) fn of_template(
        code: &'static str,
        file: &str,
        what: impl Into<String>,
        mend: impl Into<String>,
        detail: String,
    ) -> Self {
        let rule = render::RULES.iter().find(|(rule, ..)| *rule == code);
        let level = rule.map_or(Level::Error, |(_, level, _)| *level);
        let (file, template, spot) = (file.to_owned(), String::new(), Spot::WHOLE);
        let (what, mend) = (what.into(), mend.into());
        Self { code, level, file, spot, template, what, others: Vec::new(), mend, detail, excerpt: None }
    }

    fn other(mut self, file: &str, spot: Spot, what: impl Into<String>) -> Self {
        self.others.push(Other { file: file.to_owned(), spot, what: what.into() });
        self
    }
}

/// Notes findings, with the level of their rule.
struct Notes<'a> {
    tree: &'a RenderedTree,
    templates: &'a Templates,
    found: Vec<Finding>,
}

impl Notes<'_> {
    fn add(
        &mut self,
        code: &'static str,
        file: &str,
        spot: Spot,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let finding = self.finding(code, file, spot, what, mend);
        self.found.push(finding);
    }

    fn finding(
        &self,
        code: &'static str,
        file: &str,
        spot: Spot,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        let rule = RULES.iter().find(|(rule, ..)| *rule == code);
        let level = rule.map_or(Level::Error, |(_, level, _)| *level);
        let template = self.tree.get(file).map(|file| file.template.clone()).unwrap_or_default();
        let file = file.to_owned();
        let (what, mend) = (what.into(), mend.into());
        Finding {
            code,
            level,
            file,
            spot,
            template,
            what,
            others: Vec::new(),
            mend,
            detail: String::new(),
            excerpt: None,
        }
    }

    /// Shows the lines of findings, but none of a file that is going to be encrypted, that holds a Secret of Kubernetes or in which
    /// the value of a secret was found.
    fn show(&mut self, objects: &Objects) {
        let leaks: BTreeSet<String> =
            self.found.iter().filter(|one| one.code == "O-07").map(|one| one.file.clone()).collect();
        for finding in &mut self.found {
            let Some(file) = self.tree.get(&finding.file) else { continue };
            let text = file.text.expose();
            let secret = match objects.get(&finding.file).map(Vec::as_slice).unwrap_or_default() {
                // What cannot be read may be one.
                [] => text.contains("Secret"),
                all => all.iter().any(|object| object.text("/kind") == "Secret"),
            };
            if !finding.file.contains(".sops.") && !leaks.contains(&finding.file) && !secret {
                finding.excerpt = Excerpt::of(text, finding.spot);
            }
        }
    }
}

/// What was found in a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong, by file and place.
    pub findings: Vec<Finding>,
    /// What the schemas say.
    pub verdicts: Verdicts,
}

/// Looks at a tree, and at the templates for what is not in it.
pub fn check(
    tree: &RenderedTree,
    values: &Values,
    files: &Files,
    templates: &Templates,
    sources: &Sources,
) -> Checked {
    let mut notes = Notes { tree, templates, found: Vec::new() };
    let objects = objects::read(tree, &mut notes);
    build::check(&objects, &mut notes);
    leaks::check(values, files, &mut notes);
    let verdicts = schemas::check(&objects, values, sources, &mut notes);
    notes.show(&objects);
    let mut found = notes.found;
    let place =
        |finding: &Finding| (finding.file.clone(), finding.spot.line, finding.spot.column, finding.code);
    found.sort_by_key(place);
    found.dedup();
    Checked { findings: found, verdicts }
}

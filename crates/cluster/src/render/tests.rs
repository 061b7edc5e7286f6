//! The rendered tree through the door of the crate: the fixtures' clusters, and what must never come out of a template.

use super::{RenderedTree, Templates, render};
use crate::inputs::{self, Files, Scope, tests::support};

/// The checked values of a fixture, with fresh keys beside them.
pub(crate) fn inputs_of(texts: &support::Texts) -> (crate::values::Values, Files) {
    let files = support::files(texts);
    let (report, values) = inputs::check(&files, Scope::All);
    (values.unwrap_or_else(|| panic!("{}", report.text(false))), files)
}

pub(crate) fn tree(name: &str) -> RenderedTree {
    let (values, files) = inputs_of(&support::cluster(name));
    render(&values, &files, &Templates::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_cluster_renders_to_yaml() {
    for name in support::CLUSTERS {
        let tree = tree(name);
        assert!(tree.len() > 80, "{name} has {} files", tree.len());
        for (path, file) in &tree {
            if path.ends_with(".yaml") {
                let read = crate::documents::read(file.text.expose());
                assert!(read.is_ok_and(|all| !all.is_empty()), "{name}: {path}\n{}", file.text.expose());
            }
        }
    }
}

mod effects;
mod facts;
mod schemas;

//! Rules over several settings. Each asks for the values that it needs and says nothing where one of them is unknown: a value
//! that cannot be used was reported already.

pub(super) mod files;
mod names;
mod network;
mod nodes;
mod platform;
mod requirements;

use super::{
    given::Given,
    problem::{File, Place, Problem},
};

/// Checks everything but the files beside the settings.
pub(super) fn check(given: &mut Given, problems: &mut Vec<Problem>) {
    if given.cluster {
        names::check(given, problems);
        requirements::check(given, problems);
        network::check(given, problems);
        platform::check(given, problems);
    }
    nodes::check(given, problems);
    empty(given, problems);
}

/// Settings without a value count as left out; of those that are missing that was said already.
fn empty(given: &Given, problems: &mut Vec<Problem>) {
    let settings = given.empty.iter().map(|(name, place)| ((*name).to_owned(), *place));
    let nodes = given.nodes.iter().enumerate();
    let fields = nodes.flat_map(|(number, node)| {
        node.empty.iter().map(move |(name, place)| (format!("nodes[{number}].{name}"), *place))
    });
    let all: Vec<(String, Place)> = settings.chain(fields).collect();
    for (key, place) in all {
        let reported = problems.iter().any(|problem| problem.place == place || problem.key == key);
        if !reported {
            let what = format!("`{key}` is empty and counts as left out");
            problems.push(Problem::warning("W-01", place, key, what).mend("give it a value, or remove it"));
        }
    }
}

/// A file of settings as a whole.
fn cluster() -> Place {
    Place::whole(File::Cluster)
}

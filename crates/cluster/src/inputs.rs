//! The inputs: two files of settings and the keys beside them, checked all at once. A finding has its code, place, reason and mend;
//! what is right becomes [`Values`]. Nothing is rendered or written here.
//!
//! Reading order: `table` (every setting), `own` (those of the user's applications), `files`, `read` (values out of a file), `given` (what the rules see), `rules`, `report`, `describe`.

mod describe;
mod files;
mod given;
pub(crate) mod net;
pub(crate) mod own;
pub(crate) mod plain;
mod problem;
mod read;
mod report;
mod rules;
pub mod table;

#[cfg(test)]
pub(crate) mod tests;

pub use describe::{Unknown, cluster_schema, explain, list, nodes_schema, page};
pub use files::{Files, ReadError, Text};
pub use own::Own;
pub use problem::{File, Level, Place, Problem, RULES, Rule};
pub use report::Report;

use crate::values::Values;
use given::Given;
use report::Sources;

/// Which files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Settings and keys.
    All,
    /// Settings and keys, but of the age key only the public half has to be there.
    Keyless,
    /// The two files of settings alone.
    Settings,
}

/// Checks the inputs and says everything that is wrong with them; the values, if nothing is.
pub fn check(files: &Files, scope: Scope) -> (Report, Option<Values>) {
    let mut problems = Vec::new();
    let mut sources = Sources::new();
    let mut given = Given::read(files, &mut problems, &mut sources);
    rules::check(&mut given, &mut problems);
    if scope != Scope::Settings {
        rules::files::check(files, scope, &given, &mut problems);
    }
    let report = Report::new(problems, files, &sources);
    let values = (report.count(Level::Error, false) == 0).then_some(given.values);
    (report, values)
}

//! The list of what a commit does. Once it is on disk the commit counts as done, and whoever finds it completes it.

use super::{
    CommitError,
    disk::{Disk, Place},
    manifest::digest,
    plan::{Change, Overwrite, Plan},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to one file, and the digest of what may be there before.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The staged file of this number takes its place.
    Put { number: usize, before: Option<String> },
    /// It goes away.
    Remove { before: Option<String> },
}

/// Everything that a commit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journal(BTreeMap<String, Step>);

impl Journal {
    pub(super) fn new(plan: &Plan, overwrite: Overwrite) -> Self {
        let mut steps = BTreeMap::new();
        for (path, change) in plan.all() {
            let number = steps.len();
            let before = match change {
                Change::Create => None,
                Change::Update { on_disk } | Change::Remove { on_disk } => Some(on_disk.clone()),
                Change::Drifted { on_disk } if overwrite == Overwrite::Force => on_disk.clone(),
                Change::Same | Change::Forget | Change::Drifted { .. } => continue,
            };
            // Adopting changes rows, never files.
            if overwrite == Overwrite::Adopt {
                continue;
            }
            let step = match plan.removes(path) {
                true => Step::Remove { before },
                false => Step::Put { number, before },
            };
            steps.insert(path.to_owned(), step);
        }
        Self(steps)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The files that are put in place, with the numbers that they are staged under.
    pub(super) fn puts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.iter().filter_map(|(path, step)| match step {
            Step::Put { number, .. } => Some((*number, path.as_str())),
            Step::Remove { .. } => None,
        })
    }

    /// The files that go away.
    pub(super) fn removals(&self) -> impl Iterator<Item = &str> {
        let removed = self.0.iter().filter(|(_, step)| matches!(step, Step::Remove { .. }));
        removed.map(|(path, _)| path.as_str())
    }

    /// The directories whose entries change, relative to the root.
    pub(super) fn directories(&self) -> BTreeSet<String> {
        let parents = self.0.keys().filter_map(|path| path.rsplit_once('/'));
        parents.map(|(parent, _)| parent.to_owned()).collect()
    }

    /// Refuses to complete a commit over files that somebody has changed since: they are neither what was there before nor
    /// what belongs there.
    pub(super) fn check<D: Disk>(&self, place: &Place<D>) -> Result<(), CommitError> {
        let mut drifted = Vec::new();
        for (path, step) in &self.0 {
            let staged = match step {
                Step::Put { number, .. } => place.exists(&place.state(super::STAGE).join(number.to_string())),
                Step::Remove { .. } => true,
            };
            let (Step::Put { before, .. } | Step::Remove { before }) = step;
            let found = place.read(&place.inside(path)?)?.map(|bytes| digest(&bytes));
            if staged && found.is_some() && found != *before {
                drifted.push(path.clone());
            }
        }
        if drifted.is_empty() { Ok(()) } else { Err(CommitError::Drift(drifted)) }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let steps: Vec<Value> = self
            .0
            .iter()
            .map(|(path, step)| match step {
                Step::Put { number, before } => json!({"put": path, "from": number, "before": before}),
                Step::Remove { before } => json!({"remove": path, "before": before}),
            })
            .collect();
        json!({ "steps": steps }).to_string().into_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let steps = value["steps"].as_array().ok_or("it has no `steps`")?;
        let step = |step: &Value| {
            let before = step["before"].as_str().map(str::to_owned);
            match (step["put"].as_str(), step["from"].as_u64(), step["remove"].as_str()) {
                (Some(path), Some(number), None) => {
                    let number = usize::try_from(number).map_err(|error| error.to_string())?;
                    Ok((path.to_owned(), Step::Put { number, before }))
                }
                (None, None, Some(path)) => Ok((path.to_owned(), Step::Remove { before })),
                _ => Err("a step is neither `put` nor `remove`".to_owned()),
            }
        };
        steps.iter().map(step).collect::<Result<_, _>>().map(Self)
    }
}

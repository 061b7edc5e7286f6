//! What was written: a row for each file, sorted, one to a line so that a change reads well in a diff. The digests are those of
//! the bytes on disk, encrypted ones included; nothing here says anything about a plaintext.

use super::{
    CommitError, MANIFEST, Tree,
    disk::{Disk, MODE, Place},
    plan::{Change, Overwrite, Plan},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write};

/// The form of the file; another one is from another version of the program.
const VERSION: u64 = 1;

/// One file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) sha256: String,
    pub(super) template: String,
    pub(super) mode: String,
}

/// All files that were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Manifest(BTreeMap<String, Row>);

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Manifest {
    pub(super) fn read<D: Disk>(place: &Place<D>) -> Result<Self, CommitError> {
        let file = place.state(MANIFEST);
        let Some(bytes) = place.read(&file)? else { return Ok(Self::default()) };
        Self::from_bytes(&bytes).map_err(|why| CommitError::state(&file, &why))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if value["version"] != json!(VERSION) {
            return Err(format!("its version is {} and not {VERSION}", value["version"]));
        }
        let files = value["files"].as_object().ok_or("it has no `files`")?;
        let row = |(path, row): (&String, &Value)| {
            let text =
                |name: &str| row[name].as_str().map(str::to_owned).ok_or(format!("`{path}` has no `{name}`"));
            Ok((
                path.clone(),
                Row { sha256: text("sha256")?, template: text("template")?, mode: text("mode")? },
            ))
        };
        files.iter().map(row).collect::<Result<_, String>>().map(Self)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let rows: Vec<String> = self
            .0
            .iter()
            .map(|(path, row)| {
                let row = json!({"sha256": row.sha256, "template": row.template, "mode": row.mode});
                format!("    {}: {row}", json!(path))
            })
            .collect();
        let files = if rows.is_empty() { String::new() } else { format!("\n{}\n  ", rows.join(",\n")) };
        format!("{{\n  \"version\": {VERSION},\n  \"files\": {{{files}}}\n}}\n").into_bytes()
    }

    pub(super) fn get(&self, path: &str) -> Option<&Row> {
        self.0.get(path)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The rows after a plan was carried out.
    pub(super) fn after(&self, plan: &Plan, tree: &Tree, overwrite: Overwrite) -> Self {
        let mut rows = self.0.clone();
        for (path, change) in plan.all() {
            let row = match (tree.get(path), change, overwrite) {
                // What is there becomes what was written; the next command brings it up to date.
                (Some(output), Change::Drifted { on_disk: Some(found) }, Overwrite::Adopt) => {
                    Row::new(found.clone(), &output.template)
                }
                (Some(output), Change::Same, _) | (Some(output), _, Overwrite::Never | Overwrite::Force) => {
                    Row::new(digest(&output.bytes), &output.template)
                }
                (None, Change::Drifted { .. }, Overwrite::Adopt)
                | (None, _, Overwrite::Never | Overwrite::Force) => {
                    rows.remove(path);
                    continue;
                }
                (_, _, Overwrite::Adopt) => continue,
            };
            rows.insert(path.to_owned(), row);
        }
        Self(rows)
    }
}

impl Row {
    fn new(sha256: String, template: &str) -> Self {
        Self { sha256, template: template.to_owned(), mode: format!("{MODE:04o}") }
    }
}

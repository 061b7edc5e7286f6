//! Where the schema of a kind is found that is none of the core: a definition in the tree itself, the directories that were named, and
//! what is kept beside the cluster. The first hit wins. A directory holds definitions as YAML, or `GROUP/KIND_VERSION.json`.

use super::Kind;
use crate::documents;
use portreeve_yaml::Limits;
use serde_json::Value;
use std::{
    cell::OnceCell,
    fs, io,
    path::{Path, PathBuf},
};

/// Where schemas are kept beside a cluster.
pub const KEPT: &str = ".portreeve/schemas";
/// No file is longer; all definitions of a cluster with everything, as one list, have some 20 MiB.
const LONGEST: u64 = 64 << 20;
/// Files of YAML in one directory; a cluster with everything has some three hundred definitions.
const MOST: usize = 10_000;
/// Levels of directories below one that was named.
const DEEPEST: usize = 4;

/// A directory of schemas that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the schemas in `{path}` cannot be read")]
pub struct SchemaError {
    path: PathBuf,
    source: io::Error,
}

/// The directories where schemas are looked for.
#[derive(Debug, Default)]
pub struct Sources {
    directories: Vec<PathBuf>,
    definitions: Vec<Definitions>,
}

/// A file that may define kinds; it is read once, when one of its kinds is asked for.
#[derive(Debug)]
struct Definitions {
    text: String,
    objects: OnceCell<Vec<Value>>,
}

impl Definitions {
    /// The objects of the file, those of a list included.
    fn objects(&self) -> &[Value] {
        self.objects.get_or_init(|| {
            let documents = documents::read_within(&self.text, Limits::PROGRAMS).unwrap_or_default();
            documents.into_iter().flat_map(|document| listed(document.value)).collect()
        })
    }
}

/// What `kubectl get` prints of several objects is one list.
fn listed(mut object: Value) -> Vec<Value> {
    match object.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if object["kind"] == "List" => items,
        _ => vec![object],
    }
}

impl Sources {
    /// Opens the directories that were named, and then what is kept beside a cluster.
    ///
    /// # Errors
    /// A directory that was named is not there, or something in one cannot be read.
    pub fn open(cluster: &Path, named: &[PathBuf]) -> Result<Self, SchemaError> {
        let mut sources = Self { directories: named.to_vec(), definitions: Vec::new() };
        let kept = cluster.join(KEPT);
        if kept.is_dir() {
            sources.directories.push(kept);
        }
        for directory in &sources.directories {
            let failed = |source| SchemaError { path: directory.clone(), source };
            read(directory, 0, &mut sources.definitions).map_err(failed)?;
        }
        Ok(sources)
    }

    pub(super) fn find(&self, kind: &Kind) -> Option<Value> {
        let file = format!("{}_{}.json", kind.kind.to_lowercase(), kind.version);
        let single = self.directories.iter().find_map(|directory| {
            let text = fs::read_to_string(directory.join(&kind.group).join(&file)).ok()?;
            serde_json::from_str(&text).ok()
        });
        single.or_else(|| {
            let likely =
                |file: &&Definitions| file.text.contains(&kind.group) && file.text.contains(&kind.kind);
            let mut objects = self.definitions.iter().filter(likely).flat_map(Definitions::objects);
            objects.find_map(|object| defined(object, kind))
        })
    }
}

/// The schema of a kind, if this object defines it.
pub(super) fn defined(object: &Value, kind: &Kind) -> Option<Value> {
    let spec = object.get("spec").filter(|_| object["kind"] == "CustomResourceDefinition")?;
    if spec["group"] != kind.group.as_str() || spec["names"]["kind"] != kind.kind.as_str() {
        return None;
    }
    let mut versions = spec["versions"].as_array()?.iter();
    let version = versions.find(|version| version["name"] == kind.version.as_str())?;
    version.pointer("/schema/openAPIV3Schema").cloned()
}

/// Collects the texts that may define a kind.
fn read(directory: &Path, depth: usize, definitions: &mut Vec<Definitions>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let about = fs::metadata(&path)?;
        if about.is_dir() && depth < DEEPEST {
            read(&path, depth + 1, definitions)?;
        }
        let yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if !about.is_file() || !yaml {
            continue;
        }
        if about.len() > LONGEST || definitions.len() == MOST {
            return Err(io::Error::other(format!("`{}` is too long, or one too many", path.display())));
        }
        let text = fs::read_to_string(&path)?;
        if text.contains("CustomResourceDefinition") {
            definitions.push(Definitions { text, objects: OnceCell::new() });
        }
    }
    Ok(())
}

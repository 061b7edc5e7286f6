//! Where templates come from: those in the binary, files of the same path under `templates/overrides/` that take their place, and
//! further applications under `templates/apps/`. Nothing outside these two directories is read, and no link is followed.

use super::RenderError;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Where a user's own templates lie, below the directory of `cluster.yaml`.
pub const OWN: &str = "templates";
/// No template is longer; the longest of ours has 10 KiB.
const LONGEST: u64 = 1 << 20;
/// A user has fewer.
const MOST: usize = 5_000;

/// One template.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) text: String,
    /// Where it came from, as messages name it.
    pub(super) origin: String,
    /// The digest of its text.
    pub(super) digest: String,
}

/// A template of the user that takes the place of a built-in one.
#[derive(Debug, Clone)]
pub struct Override {
    /// The path of both.
    pub path: String,
    /// Where it lies, as messages name it.
    pub origin: String,
    /// The text of the built-in one.
    pub base: String,
}

/// All templates by path.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<String, Template>);

impl Default for Templates {
    fn default() -> Self {
        let mut all = BTreeMap::new();
        let mut left = vec![&EMBEDDED];
        while let Some(directory) = left.pop() {
            left.extend(directory.dirs());
            for file in directory.files() {
                let path = file.path().to_string_lossy().replace('\\', "/");
                // What is embedded is text; a test reads all of it.
                let text = String::from_utf8_lossy(file.contents()).into_owned();
                all.insert(path.clone(), Template::new(text, path));
            }
        }
        Self(all)
    }
}

impl Template {
    fn new(text: String, origin: String) -> Self {
        let digest = digest(text.as_bytes());
        Self { text, origin, digest }
    }
}

/// The digest of a text, as the manifest has it.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl Templates {
    /// The templates in the binary, and those below a directory with a `cluster.yaml`.
    ///
    /// # Errors
    /// A template cannot be read, takes the place of nothing, or would take that of a built-in application.
    pub fn with_own(directory: &Path) -> Result<Self, RenderError> {
        let mut all = Self::default();
        let own = directory.join(OWN);
        for (path, text) in read_below(&own.join("overrides"))? {
            let origin = format!("{OWN}/overrides/{path}");
            if !all.0.contains_key(&path) {
                let mend = match portreeve_yaml::nearest(&path, all.0.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a new application belongs into `{OWN}/apps`"),
                };
                return Err(RenderError::new(&origin, "there is no template of this path").mend(mend));
            }
            all.0.insert(path, Template::new(text, origin));
        }
        for (path, text) in read_below(&own.join("apps"))? {
            let (path, origin) = (format!("apps/{path}"), format!("{OWN}/apps/{path}"));
            if all.0.contains_key(&path) {
                let mend = format!("to change it put the file into `{OWN}/overrides/{path}`");
                return Err(RenderError::new(&origin, "this application is built in").mend(mend));
            }
            all.0.insert(path, Template::new(text, origin));
        }
        Ok(all)
    }

    /// The user's templates that take the place of built-in ones.
    pub fn overrides(&self) -> Vec<Override> {
        let directory = format!("{OWN}/overrides/");
        let own = self.0.iter().filter(|(_, template)| template.origin.starts_with(&directory));
        own.filter_map(|(path, template)| {
            let base = EMBEDDED.get_file(path)?.contents_utf8()?.to_owned();
            Some(Override { path: path.clone(), origin: template.origin.clone(), base })
        })
        .collect()
    }

    pub(super) fn get(&self, path: &str) -> Option<&Template> {
        self.0.get(path)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.0.iter().map(|(path, template)| (path.as_str(), template))
    }

    /// Those below a directory, by the path from there.
    pub(super) fn below<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let prefix = format!("{directory}/");
        let from = self.0.range(prefix.clone()..).take_while(move |(path, _)| path.starts_with(&prefix));
        let length = directory.len() + 1;
        from.map(move |(path, _)| (path.as_str(), &path[length..]))
    }
}

/// Every file below a directory, by its path with forward slashes; none where there is no such directory.
fn read_below(root: &Path) -> Result<Vec<(String, String)>, RenderError> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| {
        RenderError::new(&path.display().to_string(), format!("the template cannot be read: {why}"))
    };
    let (mut found, mut left) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = left.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory == root => break,
            other => other.map_err(|error| failed(&directory, &error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed(&directory, &error))?;
            let (path, about) = (entry.path(), entry.metadata().map_err(|error| failed(&directory, &error))?);
            if about.is_dir() {
                left.push(path);
                continue;
            }
            if !about.is_file() || about.len() > LONGEST || found.len() == MOST {
                return Err(failed(&path, &"it is a link, too long, or one too many"));
            }
            let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            found.push((name, text));
        }
    }
    found.sort();
    Ok(found)
}

//! The files that inputs come from, as texts: the two with settings and those with keys beside them. Reading them is the thin
//! shell; what they say is read elsewhere.

use super::{own::Own, problem::File};
use portreeve_model::Secret;
use std::{collections::BTreeMap, fmt, fs, io, path::Path};

/// No file of inputs is longer; the largest real one has 60 KiB.
const LONGEST: u64 = 4 << 20;

/// One file.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its text; it may hold secrets wherever it likes.
    pub text: Secret<String>,
    /// Its permissions, where the system has such.
    pub mode: Option<u32>,
}

/// The files, as far as they are there.
#[derive(Debug, Clone, Default)]
pub struct Files {
    texts: BTreeMap<File, Text>,
    own: Own,
}

/// A file that is there and cannot be read.
#[derive(Debug, thiserror::Error)]
pub struct ReadError {
    file: &'static str,
    #[source]
    source: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be read", self.file)
    }
}

impl Files {
    /// Reads the files of a directory, and the age key from elsewhere if the directory has none.
    ///
    /// # Errors
    /// A file is there and cannot be read; one that is not there is a finding, not an error.
    pub fn read(directory: &Path, age_key: Option<&Path>) -> Result<Self, ReadError> {
        let mut files = Self::default();
        for file in File::ALL {
            let mut path = directory.join(file.name());
            if let Some(elsewhere) = age_key.filter(|_| file == File::Age && !path.exists()) {
                elsewhere.clone_into(&mut path);
            }
            let failed = |source| ReadError { file: file.name(), source };
            let about = match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed)?,
            };
            if about.len() > LONGEST {
                return Err(failed(io::Error::other(format!("longer than {LONGEST} bytes"))));
            }
            let text = fs::read_to_string(&path).map_err(failed)?;
            files.insert(file, text, mode(&about));
        }
        Ok(files)
    }

    /// Adds a file.
    pub fn insert(&mut self, file: File, mut text: String, mode: Option<u32>) {
        // A mark of byte order is no part of the text.
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        self.texts.insert(file, Text { text: Secret::new(text), mode });
    }

    /// A file, if it is there.
    pub fn get(&self, file: File) -> Option<&Text> {
        self.texts.get(&file)
    }

    /// With settings that applications declare; they may stand in `cluster.yaml` from now on.
    pub fn with(mut self, own: Own) -> Self {
        self.own = own;
        self
    }

    /// The settings that applications declare.
    pub fn own(&self) -> &Own {
        &self.own
    }
}

#[cfg(unix)]
fn mode(about: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    Some(about.mode() & 0o777)
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> Option<u32> {
    None
}

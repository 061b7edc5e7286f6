//! Where the configuration and the data are, and what references are answered with: the one place of the program that
//! reads the environment. What a configuration says is decided elsewhere.

use super::{Config, Lookup, Problem, Warning, parse};
use std::{
    cell::RefCell,
    ffi::OsString,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The largest configuration and the largest file that a reference may read: both are written by hand.
const LARGEST: u64 = 1 << 20;

/// A configuration together with where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Warning>,
    /// Where it came from.
    pub source: Source,
    /// The files that its references read.
    pub files: Vec<PathBuf>,
}

/// Where a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// There is no file: the demo on loopback.
    Demo,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that was named, or found, cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is wrong; each problem is one thing to mend.
    #[error("{} in {}", count(.problems.len()), file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it.
        problems: Vec<Problem>,
    },
    /// There is no directory for the data.
    #[error("there is no place for data: give `--data DIR`, or set PORTREEVE_DATA or HOME")]
    NoDataDirectory,
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// Finds and reads the configuration: the given file, `$PORTREEVE_CONFIG`, `./portreeve.yaml`,
/// `$XDG_CONFIG_HOME/portreeve/portreeve.yaml` (else `~/.config/…`), or the demo.
///
/// # Errors
/// A file that was named or found and cannot be read, or is wrong. A file that was named must exist.
pub fn load(given: Option<&Path>) -> Result<Loaded, LoadError> {
    let (paths, presence) = candidates(given, variable);
    for path in paths {
        match read(&path) {
            Ok(text) => return load_text(&path, &text),
            Err(error) if presence == Presence::Optional && is_absent(&error) => {}
            Err(source) => return Err(LoadError::Read { path, source }),
        }
    }
    Ok(Loaded { config: Config::demo(), warnings: Vec::new(), source: Source::Demo, files: Vec::new() })
}

/// Whether a file may be absent: the usual places are optional, a file that somebody named is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

/// Where a configuration is looked for, in this order.
fn candidates(given: Option<&Path>, variable: impl Fn(&str) -> Option<PathBuf>) -> (Vec<PathBuf>, Presence) {
    if let Some(named) = given.map(Path::to_owned).or_else(|| variable("PORTREEVE_CONFIG")) {
        return (vec![named], Presence::Required);
    }
    let home = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let usual =
        [Some(PathBuf::from("portreeve.yaml")), home.map(|home| home.join("portreeve/portreeve.yaml"))];
    (usual.into_iter().flatten().collect(), Presence::Optional)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a configuration whose text is at hand; `path` names it and says where relative paths start.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_text(path: &Path, text: &str) -> Result<Loaded, LoadError> {
    let machine = Machine::default();
    match parse(text, &path.to_string_lossy(), &machine) {
        Ok((config, warnings)) => {
            let (source, files) = (Source::File(path.to_owned()), machine.files.into_inner());
            Ok(Loaded { config, warnings, source, files })
        }
        Err(problems) => Err(LoadError::Wrong { file: path.to_owned(), problems }),
    }
}

/// Where the data is: the given directory, `$PORTREEVE_DATA`, `$XDG_DATA_HOME/portreeve`, `~/.local/share/portreeve`.
/// The directory need not exist yet.
///
/// # Errors
/// None of them can be had.
pub fn data_directory(given: Option<&Path>) -> Result<PathBuf, LoadError> {
    data_in(given, variable).ok_or(LoadError::NoDataDirectory)
}

fn data_in(given: Option<&Path>, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    given
        .map(Path::to_owned)
        .or_else(|| variable("PORTREEVE_DATA"))
        .or_else(|| Some(variable("XDG_DATA_HOME")?.join("portreeve")))
        .or_else(|| Some(variable("HOME")?.join(".local/share/portreeve")))
}

/// A path from the environment; an empty variable counts as absent (XDG Base Directory Specification).
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Whether nothing shall be coloured (`NO_COLOR`).
pub fn no_color() -> bool {
    variable("NO_COLOR").is_some()
}

/// The whole environment, for the crate that chooses what child processes may see of it.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// References answered by this machine.
#[derive(Default)]
struct Machine {
    /// What was read.
    files: RefCell<Vec<PathBuf>>,
}

impl Lookup for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn env(&self, name: &str) -> Result<Option<String>, String> {
        match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err("it is not UTF-8".to_owned()),
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.files.borrow_mut().push(path.to_owned());
        read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
            io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => error.to_string(),
        })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LARGEST} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables = &'static [(&'static str, &'static str)];

    fn from(variables: Variables) -> impl Fn(&str) -> Option<PathBuf> {
        move |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
    }

    #[test]
    fn the_configuration_is_looked_for_in_order() {
        let all: Variables = &[("PORTREEVE_CONFIG", "/v.yaml"), ("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")];
        for (given, variables, expected, presence) in [
            (Some("g.yaml"), all, &["g.yaml"][..], Presence::Required),
            (None, all, &["/v.yaml"], Presence::Required),
            (None, &all[1..], &["portreeve.yaml", "/x/portreeve/portreeve.yaml"], Presence::Optional),
            (None, &all[2..], &["portreeve.yaml", "/h/.config/portreeve/portreeve.yaml"], Presence::Optional),
            (None, &[], &["portreeve.yaml"], Presence::Optional),
        ] {
            let (paths, found) = candidates(given.map(Path::new), from(variables));
            assert_eq!(
                paths,
                expected.iter().map(PathBuf::from).collect::<Vec<_>>(),
                "{given:?} {variables:?}"
            );
            assert_eq!(found, presence, "{given:?} {variables:?}");
        }
    }

    #[test]
    fn data_lies_in_the_first_place_that_is_named() {
        let all: Variables = &[("PORTREEVE_DATA", "/v"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")];
        for (given, variables, expected) in [
            (Some("g"), all, Some("g")),
            (None, all, Some("/v")),
            (None, &all[1..], Some("/x/portreeve")),
            (None, &all[2..], Some("/h/.local/share/portreeve")),
            (None, &[], None),
        ] {
            let found = data_in(given.map(Path::new), from(variables));
            assert_eq!(found, expected.map(PathBuf::from), "{given:?} {variables:?}");
        }
    }

    #[test]
    fn a_file_is_read_or_said_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let largest = usize::try_from(LARGEST).unwrap();
        for (path, expected) in [
            (file("good", b"text\n"), Ok("text\n".to_owned())),
            (file("full", &vec![b' '; largest]), Ok(" ".repeat(largest))),
            (file("over", &vec![b' '; largest + 1]), Err("it is larger than 1048576 bytes")),
            (file("binary", b"\xff"), Err("it is not UTF-8 text")),
            (directory.path().join("absent"), Err("there is no such file")),
            (directory.path().to_owned(), Err("it is a directory")),
        ] {
            assert_eq!(Machine::default().file(&path), expected.map_err(str::to_owned), "{}", path.display());
        }
    }

    #[test]
    fn a_named_file_must_exist_and_be_right() {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().join("absent.yaml");
        assert!(matches!(load(Some(&absent)), Err(LoadError::Read { path, .. }) if path == absent));

        let wrong = directory.path().join("wrong.yaml");
        std::fs::write(&wrong, "listen: x\nlog: 1\n").unwrap();
        let error = load(Some(&wrong)).unwrap_err();
        assert_eq!(error.to_string(), format!("2 problems in {}", wrong.display()));

        let good = directory.path().join("good.yaml");
        std::fs::write(directory.path().join("token"), "secret\n").unwrap();
        std::fs::write(&good, "servers: {a: {url: 'http://h/', credential: {bearer: '${file:token}'}}}")
            .unwrap();
        let loaded = load(Some(&good)).unwrap();
        assert_eq!((loaded.source, loaded.warnings), (Source::File(good), vec![]));
        assert_eq!(loaded.files, [directory.path().join("token")], "what a change of it is watched for");
    }
}

//! What to start and how, and the errors of starting it, each with its mend. Commands come from the configuration
//! alone, never from a client (mcp.md 5.5 number 8). Nothing is interpreted by a shell.

use portreeve_model::ServerName;
use rustix::fs::{Access, access};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
};
use tokio_util::task::TaskTracker;

/// What a child inherits of our environment if its [`Spec`] says nothing else. Everything else may hold secrets of ours
/// or of another server.
const INHERITED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER"];

/// A program to run.
#[derive(Clone, PartialEq, Eq)]
pub struct Spec {
    /// The server that it is, for logs.
    pub name: ServerName,
    /// A name to look for in `PATH`, or a path (from `cwd` on, if it is relative).
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, beside the few variables that it inherits.
    pub env: BTreeMap<String, String>,
    /// Its working directory; `None` = ours.
    pub cwd: Option<PathBuf>,
}

impl fmt::Debug for Spec {
    /// Values of arguments and variables are left out: both are where people put tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("args", &self.args.len())
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .finish()
    }
}

/// How a command is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launcher {
    /// Through a keeper: the program at this absolute path, started with [`crate::KEEPER_ARGUMENT`] first. The child dies with us.
    Reexec(PathBuf),
    /// Directly. Should we be killed by SIGKILL, only its closed stdin tells the child.
    Direct,
}

impl Launcher {
    /// Through the running program itself. On Linux by the kernel's link to it, which still works after an upgrade has
    /// replaced the file.
    pub fn this_program() -> io::Result<Self> {
        let link = Path::new("/proc/self/exe");
        if cfg!(target_os = "linux") && link.exists() {
            return Ok(Self::Reexec(link.to_owned()));
        }
        std::env::current_exe().map(Self::Reexec)
    }
}

/// What all children share.
#[derive(Debug, Clone)]
pub struct Supervisor {
    pub(crate) launcher: Launcher,
    pub(crate) inherited: BTreeMap<OsString, OsString>,
    pub(crate) tasks: TaskTracker,
}

impl Supervisor {
    /// `environment` is ours; of it children get `PATH`, `HOME`, `LANG`, `LC_ALL`, `TMPDIR` and `USER`. `tasks` owns what
    /// reads their stderr and waits for their end.
    pub fn new(
        launcher: Launcher,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        tasks: TaskTracker,
    ) -> Self {
        let inherited = environment
            .into_iter()
            .filter(|(name, _)| INHERITED.iter().any(|inherited| name.as_os_str() == *inherited))
            .collect();
        Self { launcher, inherited, tasks }
    }
}

/// A child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such command.
    #[error("the command `{command}` was not found in {searched}; install it, or write its whole path")]
    NotFound {
        /// As configured.
        command: String,
        /// Where it was looked for.
        searched: String,
    },
    /// The file is there but may not be run.
    #[error("{} is not an executable file; `chmod +x` makes it one", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The working directory does not exist.
    #[error("the working directory {} does not exist; create it or change `cwd`", path.display())]
    MissingDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused.
    #[error("the command `{command}` could not be started")]
    Start {
        /// As configured.
        command: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Spec {
    /// The file to execute. Found here and not by the system, whose error does not say what was missing.
    pub(crate) fn resolve(&self, inherited: &BTreeMap<OsString, OsString>) -> Result<PathBuf, SpawnError> {
        if let Some(path) = self.cwd.as_ref().filter(|path| !path.is_dir()) {
            return Err(SpawnError::MissingDirectory { path: path.clone() });
        }
        let path = self.find(inherited)?;
        // It is executed in `cwd`, where a path that is relative to ours would mean something else.
        std::path::absolute(path)
            .map_err(|source| SpawnError::Start { command: self.command.clone(), source })
    }

    fn find(&self, inherited: &BTreeMap<OsString, OsString>) -> Result<PathBuf, SpawnError> {
        if self.command.contains('/') {
            let path = self.in_cwd(Path::new(&self.command));
            return match judge(&path) {
                Candidate::Runs => Ok(path),
                Candidate::DoesNotRun => Err(SpawnError::NotExecutable { path }),
                Candidate::Missing => Err(self.not_found("the file system".to_owned())),
            };
        }
        let path = self.env.get("PATH").map(OsStr::new);
        let path =
            path.or_else(|| inherited.get(OsStr::new("PATH")).map(OsString::as_os_str)).unwrap_or_default();
        self.search(path)
    }

    fn search(&self, path: &OsStr) -> Result<PathBuf, SpawnError> {
        let mut blocked = None;
        // An empty entry would mean the working directory, which nobody wants to run programs from by accident.
        for directory in std::env::split_paths(path).filter(|directory| !directory.as_os_str().is_empty()) {
            let candidate = self.in_cwd(&directory).join(&self.command);
            match judge(&candidate) {
                Candidate::Runs => return Ok(candidate),
                Candidate::DoesNotRun => blocked = blocked.or(Some(candidate)),
                Candidate::Missing => {}
            }
        }
        match blocked {
            Some(path) => Err(SpawnError::NotExecutable { path }),
            None => Err(self.not_found(format!("PATH ({})", path.display()))),
        }
    }

    fn in_cwd(&self, path: &Path) -> PathBuf {
        self.cwd.as_ref().map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
    }

    fn not_found(&self, searched: String) -> SpawnError {
        SpawnError::NotFound { command: self.command.clone(), searched }
    }
}

enum Candidate {
    Runs,
    DoesNotRun,
    Missing,
}

fn judge(path: &Path) -> Candidate {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() && access(path, Access::EXEC_OK).is_ok() => Candidate::Runs,
        Ok(_) => Candidate::DoesNotRun,
        Err(_) => Candidate::Missing,
    }
}

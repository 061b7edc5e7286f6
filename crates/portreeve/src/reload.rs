//! The configuration while the gate runs (decision D53): its directory is watched, and those of the files that it refers to, so
//! that an editor's rename and the swapped link of a ConfigMap are both noticed; SIGHUP asks for the same. What cannot be
//! used is refused whole and named, and the gate goes on with what it has. What changes in the gateway is `gate`'s business.

use crate::{
    commands::CommandError,
    config::{self, Config, LoadError, Loaded, Source},
    gate::{Changes, Gate, certificate},
    log::Levels,
    systemd,
};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use portreeve_edge::Edge;
use portreeve_model::ServerName;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// How long it has to be quiet before a change is read: editors and the kubelet change files in several steps.
const QUIET: Duration = Duration::from_millis(50);
/// How long a directory that never gets quiet is waited for.
const LONGEST: Duration = Duration::from_secs(2);
/// A ConfigMap's files are links to `..data`, which is a link itself; this is what its name begins with.
const LINKED: &str = "..";

/// Where a configuration comes from when it is read again.
pub struct Reloads {
    file: PathBuf,
    /// Everything that was read.
    read: Vec<PathBuf>,
    adjust: Box<dyn Fn(Config) -> Result<Config, CommandError> + Send + Sync>,
}

impl Reloads {
    /// What to watch for a configuration; nothing where there is no file. `adjust` is applied to whatever is read.
    pub fn of(
        loaded: &Loaded,
        adjust: impl Fn(Config) -> Result<Config, CommandError> + Send + Sync + 'static,
    ) -> Option<Self> {
        let Source::File(file) = &loaded.source else { return None };
        let read = loaded.files.iter().cloned().chain([file.clone()]).collect();
        Some(Self { file: file.clone(), read, adjust: Box::new(adjust) })
    }

    /// Reads it again.
    fn load(&mut self) -> Result<Config, CommandError> {
        let loaded = config::load(Some(&self.file)).map_err(CommandError::Configuration)?;
        self.read = loaded.files.into_iter().chain([self.file.clone()]).collect();
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        (self.adjust)(loaded.config)
    }
}

/// Follows a configuration from the moment that it exists.
pub struct Following {
    reloads: Reloads,
    changed: Arc<Notify>,
    watching: Watching,
    hangup: Signal,
}

impl Following {
    /// Watches from now on; what changed since the configuration was read is found as well.
    pub fn start(reloads: Reloads) -> std::io::Result<Self> {
        let hangup = signal(SignalKind::hangup())?;
        let changed = Arc::new(Notify::new());
        let watching = Watching::start(&reloads.read, &changed);
        changed.notify_one();
        Ok(Self { reloads, changed, watching, hangup })
    }

    /// Keeps a gate at what its configuration says, for as long as it is polled.
    pub async fn run(mut self, gate: &Gate, edge: &Edge, levels: &Levels) {
        // What was refused is said once, however often its directory changes.
        let mut refused = None;
        loop {
            let asked = tokio::select! {
                () = self.changed.notified() => {
                    quiet(&self.changed).await;
                    false
                }
                _ = self.hangup.recv() => {
                    refused = None;
                    // Whoever asks waits for the answer, whatever it is (`Type=notify-reload`).
                    systemd::reloading();
                    true
                }
            };
            let applied = self.reloads.load().and_then(|config| {
                let shown = certificate(&config)?;
                let changes = gate.reload(&config)?;
                // The same certificate again changes nothing.
                if let Some(shown) = shown.filter(|_| changes.is_some()) {
                    edge.exchange(shown);
                }
                Ok((config, changes))
            });
            match applied {
                Ok((config, changes)) => {
                    refused = None;
                    if let Some(changes) = changes {
                        levels.set(config.log.level);
                        gate.metrics.reloaded(true);
                        systemd::served(gate.gateway.servers().len());
                        tell(&changes);
                    }
                }
                Err(error) => {
                    let said = reasons(&error);
                    if refused.as_ref() != Some(&said) {
                        gate.metrics.reloaded(false);
                        tracing::error!(
                            "the changed configuration is refused, the gate goes on with the one before"
                        );
                        said.iter().for_each(|reason| tracing::error!("{reason}"));
                        refused = Some(said);
                    }
                }
            }
            if asked {
                systemd::ready(gate.gateway.servers().len());
            }
            self.watching = self.watching.again(&self.reloads.read, &self.changed);
        }
    }
}

/// Waits until nothing has changed for a moment.
async fn quiet(changed: &Notify) {
    let settle = async { while tokio::time::timeout(QUIET, changed.notified()).await.is_ok() {} };
    // A directory that never gets quiet is read as it is.
    let _ = tokio::time::timeout(LONGEST, settle).await;
}

/// Everything that is wrong, one line for each.
fn reasons(error: &CommandError) -> Vec<String> {
    if let CommandError::Configuration(LoadError::Wrong { problems, .. }) = error {
        return problems.iter().map(ToString::to_string).collect();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    vec![text]
}

fn tell(changes: &Changes) {
    let named = |names: &[ServerName]| names.iter().map(ServerName::as_str).collect::<Vec<_>>().join(" ");
    tracing::info!(
        added = %named(&changes.added),
        removed = %named(&changes.removed),
        changed = %named(&changes.changed),
        "the configuration was read again"
    );
    if !changes.restart.is_empty() {
        let keys = changes.restart.join(", ");
        tracing::warn!("{keys}: what changed here has no effect before the gate is started again");
    }
}

/// A watch of directories, by the names in them that matter.
struct Watching {
    places: BTreeSet<(PathBuf, OsString)>,
    /// Watches for as long as it is there; none where the system has no watches left.
    _watcher: Option<RecommendedWatcher>,
}

impl Watching {
    fn start(read: &[PathBuf], changed: &Arc<Notify>) -> Self {
        let places: BTreeSet<_> = read.iter().filter_map(|path| place(path)).collect();
        let watcher = watch(&places, changed).map_err(|error| {
            tracing::warn!(%error, "the configuration cannot be watched; send SIGHUP after a change");
        });
        Self { places, _watcher: watcher.ok() }
    }

    /// The same watch, or another one where other files matter now.
    fn again(self, read: &[PathBuf], changed: &Arc<Notify>) -> Self {
        let places: BTreeSet<_> = read.iter().filter_map(|path| place(path)).collect();
        if places == self.places {
            return self;
        }
        let next = Self::start(read, changed);
        // Whatever changed while none of the two was looking is read now.
        changed.notify_one();
        next
    }
}

/// The directory of a file, and its name in there.
fn place(path: &Path) -> Option<(PathBuf, OsString)> {
    let name = path.file_name()?.to_owned();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Some((parent.unwrap_or(Path::new(".")).to_owned(), name))
}

fn watch(
    places: &BTreeSet<(PathBuf, OsString)>,
    changed: &Arc<Notify>,
) -> notify::Result<RecommendedWatcher> {
    let names: BTreeSet<OsString> = places.iter().map(|(_, name)| name.clone()).collect();
    let changed = changed.clone();
    let matters = move |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        names.contains(name) || name.to_string_lossy().starts_with(LINKED)
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading is an event as well, and we read.
        if event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(&matters)) {
            changed.notify_one();
        }
    })?;
    let directories: BTreeSet<&PathBuf> = places.iter().map(|(directory, _)| directory).collect();
    for directory in directories {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

//! The programs that are measured, and how: makejinja in its virtual environment, our renderer, and `portreeve`. Each measurement is
//! one process from its start to its end, started and waited for by a script whose own time does not count.

use crate::command::{self, Outcome, command};
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// The scripts, from the root of the workspace.
const SCRIPTS: &str = "xtask/src/bench/cluster";
/// Our templates, from there as well.
const TEMPLATES: &str = "crates/cluster/templates";

/// What one process used.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Used {
    /// Seconds by the clock.
    pub(super) wall: f64,
    /// Seconds of CPU.
    pub(super) cpu: f64,
    code: i32,
}

/// Where everything is.
pub(super) struct Tools {
    /// The program.
    pub(super) portreeve: PathBuf,
    environment: PathBuf,
    own: PathBuf,
}

impl Tools {
    /// Installs makejinja where it is not yet, with everything pinned.
    pub(super) fn install(stack: &Path, portreeve: PathBuf) -> Result<Self, Box<dyn Error>> {
        let environment = stack.join("makejinja");
        let pins = command::root().join(SCRIPTS).join("requirements.txt");
        let (wanted, stamp) = (fs::read_to_string(&pins)?, environment.join(".installed"));
        if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
            let place = environment.display().to_string();
            command::run(command("python3", &["-m", "venv", "--clear", &place]))?;
            let pip = environment.join("bin/pip").display().to_string();
            let quiet = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
            let pins = pins.display().to_string();
            command::run(command(&pip, &[&quiet[..], &[&pins]].concat()))?;
            command::run(command(&pip, &["check", "--disable-pip-version-check"]))?;
            fs::write(stamp, wanted)?;
        }
        Ok(Self { portreeve, environment, own: std::env::current_exe()? })
    }

    /// Lays the templates out as makejinja wants them.
    pub(super) fn stage(&self, cluster: &Path, values: &Path, site: &Path) -> Outcome {
        let templates = command::root().join(TEMPLATES);
        let mut command = command(&self.program("python"), &[&script("stage.py")]);
        let output = command.args([&templates, cluster, values, site]).output()?;
        if !output.status.success() {
            return Err(format!("stage.py: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(())
    }

    /// makejinja renders into `out/` of the place that was laid out for it.
    pub(super) fn makejinja(&self, site: &Path) -> Result<Used, Box<dyn Error>> {
        let out = site.join("out");
        if out.exists() {
            fs::remove_dir_all(out)?;
        }
        self.measure(site, &[&self.program("makejinja")])
    }

    /// We render in the clear.
    pub(super) fn ours(&self, cluster: &Path, out: &Path) -> Result<Used, Box<dyn Error>> {
        let own = self.own.display().to_string();
        let (from, to) = (cluster.display().to_string(), out.display().to_string());
        self.measure(cluster, &[&own, "bench-render", &from, &to])
    }

    /// The program renders, checks, encrypts and writes.
    pub(super) fn configure(&self, cluster: &Path) -> Result<Used, Box<dyn Error>> {
        self.measure(cluster, &[&self.portreeve.display().to_string(), "cluster", "configure"])
    }

    fn measure(&self, place: &Path, words: &[&str]) -> Result<Used, Box<dyn Error>> {
        let place = place.display().to_string();
        let first = [script("measure.py"), place];
        let mut command = command(&self.program("python"), &[]);
        let output = command.args(&first).args(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let used: Used = serde_json::from_slice(&output.stdout).map_err(|_| said.clone())?;
        if used.code == 0 { Ok(used) } else { Err(format!("`{}` failed: {said}", words.join(" ")).into()) }
    }

    fn program(&self, name: &str) -> String {
        self.environment.join("bin").join(name).display().to_string()
    }
}

fn script(name: &str) -> String {
    command::root().join(SCRIPTS).join(name).display().to_string()
}

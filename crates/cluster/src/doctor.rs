//! What stands between a cluster's directory and a good day: inputs, the age key and what was encrypted for it, keys that Git
//! has taken, programs that later steps call. Reads only, and prints nothing of what keys hold.

use crate::{
    commit::STATE,
    configure::own_settings,
    inputs::{self, File, Files, Level, ReadError},
    seal,
    values::Value,
};
use portreeve_sops::{CreationRules, Format, Keys, open};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Not needed for `configure`, and missing.
    Absent,
    /// To be mended.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// How it is.
    pub state: State,
    /// What was found.
    pub what: String,
    /// How to mend it; empty where there is nothing to mend.
    pub mend: String,
}

/// Programs that other steps need, each with the step.
const TOOLS: [(&str, &str); 6] = [
    ("git", "Flux follows a Git repository"),
    ("talhelper", "makes the configurations of the machines"),
    ("talosctl", "brings them to the machines"),
    ("helmfile", "installs what must run before Flux"),
    ("kubectl", "looks at the cluster"),
    ("flux", "looks at Flux"),
];

/// Looks at a directory; `path` is where programs are looked for, `age_key` where the key is if it is not in the directory.
///
/// # Errors
/// A file of the inputs is there and cannot be read.
pub fn doctor(
    directory: &Path,
    path: Option<&OsStr>,
    age_key: Option<&Path>,
) -> Result<Vec<Check>, ReadError> {
    // What is wrong with templates is said by whoever renders them.
    let own = own_settings(directory).unwrap_or_default();
    let files = Files::read(directory, age_key)?.with(own);
    let mut checks = vec![settings(&files)];
    let keys = files.get(File::Age).and_then(|text| Keys::parse(text.text.expose()).ok());
    checks.extend(keys.map(|keys| recipients(directory, &keys)).into_iter().flatten());
    checks.push(tracked(directory, &files));
    let directories: Vec<PathBuf> =
        path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    for (tool, use_) in TOOLS {
        let found = directories.iter().map(|directory| directory.join(tool)).find(|path| path.is_file());
        checks.push(match found {
            Some(found) => Check::good(format!("`{tool}` is {}", found.display())),
            None => Check {
                state: State::Absent,
                what: format!("`{tool}` is not on the path; it {use_}"),
                mend: "`configure` does without it".to_owned(),
            },
        });
    }
    Ok(checks)
}

impl Check {
    fn good(what: impl Into<String>) -> Self {
        Self { state: State::Good, what: what.into(), mend: String::new() }
    }

    fn bad(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Bad, what: what.into(), mend: mend.into() }
    }
}

fn settings(files: &Files) -> Check {
    let (report, _) = inputs::check(files, inputs::Scope::All);
    let (errors, warnings) = (report.count(Level::Error, false), report.count(Level::Warning, false));
    let what = format!("the inputs have {errors} errors and {warnings} warnings");
    if errors == 0 { Check::good(what) } else { Check::bad(what, "`portreeve cluster validate` says which") }
}

/// Whether the key is the one that everything was encrypted for.
fn recipients(directory: &Path, keys: &Keys) -> Vec<Check> {
    const COPY: &str = "restore the age key that the tree was encrypted for; a new one cannot read it";
    let mut checks = Vec::new();
    let own = keys.recipients();
    if let Ok(text) = fs::read_to_string(directory.join(seal::RULES)) {
        let named = CreationRules::parse(&text).ok().and_then(|rules| rules.find(seal::OF_THE_KEY).cloned());
        checks.push(match named {
            Some(rule) if rule.recipients.iter().any(|name| own.contains(name)) => {
                Check::good("`.sops.yaml` names this age key")
            }
            _ => Check::bad("`.sops.yaml` does not name this age key", COPY),
        });
    }
    let Ok(manifest) = fs::read_to_string(directory.join(STATE).join("manifest.json")) else { return checks };
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
    let written = manifest["files"].as_object().into_iter().flat_map(|files| files.keys());
    let mut opened = 0;
    for path in written.filter(|path| seal::sealed(path)) {
        let text = fs::read_to_string(directory.join(path)).map_err(|error| error.to_string());
        match text.and_then(|text| open(&text, Format::of(path), keys).map_err(|error| error.to_string())) {
            Ok(_) => opened += 1,
            Err(why) => checks.push(Check::bad(format!("`{path}` does not open: {why}"), COPY)),
        }
    }
    checks.push(Check::good(format!("{opened} encrypted files open with this age key")));
    checks
}

/// Whether Git has taken a key, or settings with secrets. Its index holds the paths as they are.
fn tracked(directory: &Path, files: &Files) -> Check {
    let Ok(index) = fs::read(directory.join(".git/index")) else {
        return Check::good(
            "no key is in Git: this is not the root of a repository, or nothing was added yet",
        );
    };
    let (_, values) = inputs::check(files, inputs::Scope::Settings);
    let secret = |value: &Value| matches!(value, Value::Secret(_));
    let settings = values.filter(|values| values.values().any(secret)).map(|_| File::Cluster);
    let keys = [File::Age, File::Tunnel, File::DeployKey, File::PushToken];
    let private: Vec<&str> = keys.into_iter().chain(settings).map(File::name).collect();
    let holds = |name: &&str| {
        let entry = [name.as_bytes(), b"\0"].concat();
        index.windows(entry.len()).enumerate().any(|(at, window)| {
            // The name is the whole path: two bytes of length stand before it.
            window == entry && at >= 2 && usize::from(index[at - 1]) == name.len()
        })
    };
    let taken: Vec<&str> = private.iter().filter(|name| holds(name)).copied().collect();
    if taken.is_empty() {
        return Check::good("no key is in Git");
    }
    let names = taken.join(" ");
    let mend = format!("`git rm --cached {names}`, and make them anew if they were ever pushed");
    Check::bad(format!("Git has taken {}", taken.join(", ")), mend)
}

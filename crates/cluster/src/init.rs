//! The first files of a cluster: samples of the two with settings, and keys that are made here. What is there stays as it is:
//! a key that is made anew could not read what was encrypted with the old one.

mod ssh;

use portreeve_model::Secret;
use portreeve_yaml::Data;
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const SAMPLES: [(&str, u32, &str); 2] = [
    ("cluster.yaml", 0o600, include_str!("../samples/cluster.yaml")),
    ("nodes.yaml", 0o644, include_str!("../samples/nodes.yaml")),
];
/// What must never be committed. The settings are among them: tokens and passwords stand there in the open.
const PRIVATE: [&str; 5] =
    ["age.key", "cloudflare-tunnel.json", "github-deploy.key", "github-push-token.txt", "cluster.yaml"];
const IGNORED: &str = ".gitignore";

const DEPLOY: &str = "github-deploy.key";
const DEPLOY_PUBLIC: &str = "github-deploy.key.pub";
/// What the public half of a deploy key is called.
const COMMENT: &str = "flux";

/// What is there now.
#[derive(Debug)]
pub struct Outcome {
    /// The files, with what became of them.
    pub made: Vec<(&'static str, Made)>,
    /// The public half of the deploy key, as one line, where there is such a key.
    pub deploy_key: Option<String>,
}

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New,
    /// It was there and stays.
    Kept,
    /// It was there, and lines were added at its end.
    Extended,
}

/// The files that are not there cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make `{file}`")]
pub struct InitError {
    file: String,
    #[source]
    source: io::Error,
}

/// Makes what is missing; says of each file what became of it. A deploy key is made where the settings name a private repository, or
/// where one is asked for.
///
/// # Errors
/// A file cannot be written, or there is no chance to be had.
pub fn init(
    directory: &Path,
    deploy_key: bool,
    random: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
) -> Result<Outcome, InitError> {
    let failed = |file: &str| {
        let file = file.to_owned();
        move |source| InitError { file, source }
    };
    fs::create_dir_all(directory).map_err(failed(&directory.display().to_string()))?;
    let mut made = Vec::new();
    for (file, mode, text) in SAMPLES {
        made.push((file, write(&directory.join(file), mode, text.as_bytes()).map_err(failed(file))?));
    }
    let key = Secret::new(portreeve_sops::generate().0.expose().clone());
    let file = "age.key";
    made.push((file, write(&directory.join(file), 0o600, key.expose().as_bytes()).map_err(failed(file))?));
    let file = "github-push-token.txt";
    let mut bytes = [0; 32];
    random(&mut bytes).map_err(|why| failed(file)(io::Error::other(why)))?;
    let mut token = bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing into a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    token.push('\n');
    let token = Secret::new(token);
    made.push((file, write(&directory.join(file), 0o600, token.expose().as_bytes()).map_err(failed(file))?));
    let wanted = deploy_key || is_private(&directory.join("cluster.yaml"));
    if wanted {
        let mut bytes = [0; 32];
        random(&mut bytes).map_err(|why| failed(DEPLOY)(io::Error::other(why)))?;
        let bytes = Secret::new(bytes);
        made.push((DEPLOY, deploy(&directory.join(DEPLOY), bytes.expose()).map_err(failed(DEPLOY))?));
    }
    let deploy_key = match fs::read_to_string(directory.join(DEPLOY)).map(Secret::new) {
        Ok(key) if wanted => ssh::public(key.expose(), COMMENT),
        _ => None,
    };
    if let Some(line) = &deploy_key {
        let path = directory.join(DEPLOY_PUBLIC);
        made.push((DEPLOY_PUBLIC, write(&path, 0o644, line.as_bytes()).map_err(failed(DEPLOY_PUBLIC))?));
    }
    made.push((IGNORED, ignore(&directory.join(IGNORED)).map_err(failed(IGNORED))?));
    Ok(Outcome { made, deploy_key })
}

/// Whether the settings name a private repository; whether they are right is not asked here.
fn is_private(settings: &Path) -> bool {
    let tree = fs::read_to_string(settings).ok().and_then(|text| portreeve_yaml::parse(&text).ok());
    let Some(Data::Map(entries)) = tree.map(|tree| tree.data) else { return false };
    entries.iter().any(|entry| {
        let private = matches!(&entry.value.data, Data::Scalar(scalar) if scalar.text == "private");
        entry.key == "repository_visibility" && private
    })
}

/// Makes a deploy key that is not there.
fn deploy(path: &Path, seed: &[u8; 32]) -> io::Result<Made> {
    let key = ssh::private(seed, COMMENT).map_err(io::Error::other)?;
    write(path, 0o600, key.expose().as_bytes())
}

/// Makes a file that is not there.
fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<Made> {
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Kept),
        Err(error) => Err(error),
        Ok(mut file) => {
            file.write_all(bytes)?;
            file.sync_all()?;
            Ok(Made::New)
        }
    }
}

/// Keeps Git from taking keys, and what is of this machine alone.
fn ignore(path: &Path) -> io::Result<Made> {
    let lines = PRIVATE.iter().map(|name| format!("/{name}"));
    let lines: Vec<String> =
        lines.chain(["/.portreeve/lock".to_owned(), "/talos/clusterconfig/".to_owned()]).collect();
    let Ok(there) = fs::read_to_string(path) else {
        return write(path, 0o644, (lines.join("\n") + "\n").as_bytes());
    };
    let has = |line: &String| {
        there.lines().any(|other| other.trim().trim_start_matches('/') == line.trim_start_matches('/'))
    };
    let missing: Vec<String> = lines.into_iter().filter(|line| !has(line)).collect();
    if missing.is_empty() {
        return Ok(Made::Kept);
    }
    let seam = if there.is_empty() || there.ends_with('\n') { "" } else { "\n" };
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(format!("{seam}{}\n", missing.join("\n")).as_bytes())?;
    Ok(Made::Extended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn random(bytes: &mut [u8]) -> Result<(), String> {
        getrandom::fill(bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".gitignore"), "age.key\n*.log").unwrap();
        let made = init(directory.path(), false, &mut random).unwrap().made;
        assert_eq!(made.iter().filter(|(_, made)| *made == Made::New).count(), 4);
        assert_eq!(made.last(), Some(&(".gitignore", Made::Extended)));
        let ignored = fs::read_to_string(directory.path().join(".gitignore")).unwrap();
        assert!(ignored.starts_with("age.key\n*.log\n/cloudflare-tunnel.json\n"), "{ignored}");
        let key = directory.path().join("age.key");
        let before = fs::read(&key).unwrap();
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let made = init(directory.path(), false, &mut random).unwrap().made;
        assert!(made.iter().all(|(_, made)| *made == Made::Kept), "{made:?}");
        assert_eq!(fs::read(&key).unwrap(), before);
    }

    #[test]
    fn a_deploy_key_is_made_for_a_private_repository_and_never_again() {
        let directory = tempfile::tempdir().unwrap();
        assert!(init(directory.path(), false, &mut random).unwrap().deploy_key.is_none());
        let key = directory.path().join(DEPLOY);
        assert!(!key.exists());
        let settings = directory.path().join("cluster.yaml");
        let text = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, format!("{text}\nrepository_visibility: private\n")).unwrap();
        let first = init(directory.path(), false, &mut random).unwrap();
        let line = first.deploy_key.unwrap();
        assert!(
            first.made.contains(&(DEPLOY, Made::New)) && first.made.contains(&(DEPLOY_PUBLIC, Made::New))
        );
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(directory.path().join(DEPLOY_PUBLIC)).unwrap(), line);
        let before = fs::read(&key).unwrap();
        fs::remove_file(directory.path().join(DEPLOY_PUBLIC)).unwrap();
        let second = init(directory.path(), true, &mut random).unwrap();
        assert!(
            second.made.contains(&(DEPLOY, Made::Kept)) && second.made.contains(&(DEPLOY_PUBLIC, Made::New))
        );
        assert_eq!((fs::read(&key).unwrap(), second.deploy_key), (before, Some(line)));
        // What `validate` asks of the file is what was made.
        let files = crate::inputs::Files::read(directory.path(), None).unwrap();
        let (report, _) = crate::inputs::check(&files, crate::inputs::Scope::All);
        assert!(
            report.problems.iter().all(|problem| problem.place.file.name() != DEPLOY),
            "{}",
            report.text(false)
        );
    }
}

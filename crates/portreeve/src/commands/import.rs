//! `portreeve import`: take over the servers of other programs' configuration (decision D56). It shows what would change, and
//! writes only when it is told to; what looks like a secret goes into files of its own. How other programs write their servers
//! is told in `foreign`, what a secret looks like in `secret`, and how ours are written in `write`.

mod foreign;
mod secret;
mod write;

use super::{CommandError, Exit, Setup};
use crate::{
    cli::{ImportArguments, print},
    config::{self, LoadError, Source},
};
use foreign::Draft;
use portreeve_model::ServerName;
use similar::TextDiff;
use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// How many unchanged lines stand around a change.
const CONTEXT: usize = 2;
/// The file that is written where there is none yet.
const NEW_FILE: &str = "portreeve.yaml";

/// A secret that goes into a file of its own.
pub(super) struct SecretFile {
    path: PathBuf,
    value: String,
}

/// What an import comes to.
#[derive(Default)]
struct Taken {
    drafts: Vec<(ServerName, Draft)>,
    secrets: Vec<SecretFile>,
    /// What a person has to know.
    notices: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn run(setup: &Setup, arguments: &ImportArguments) -> Result<Exit, CommandError> {
    let text = fs::read_to_string(&arguments.file).map_err(|error| {
        CommandError::new(Exit::Usage, format!("cannot read {}", arguments.file.display()), error)
    })?;
    let found = foreign::read(&text)
        .map_err(|why| CommandError::plain(Exit::Usage, format!("{}: {why}", arguments.file.display())))?;
    let target = match &setup.loaded.source {
        Source::File(path) => path.clone(),
        Source::Demo => PathBuf::from(NEW_FILE),
    };
    let before = match &setup.loaded.source {
        Source::File(path) => fs::read_to_string(path).map_err(|error| {
            CommandError::new(Exit::Failed, format!("cannot read {}", path.display()), error)
        })?,
        Source::Demo => String::new(),
    };
    let secrets = arguments.secrets.clone().unwrap_or_else(|| setup.data.join("secrets"));
    // References are read from where the configuration is, which may be elsewhere.
    let secrets = std::path::absolute(&secrets).map_err(|error| {
        CommandError::new(Exit::Usage, format!("`{}` is no directory", secrets.display()), error)
    })?;
    let known = if before.is_empty() { &[][..] } else { &setup.loaded.config.servers[..] };
    let known: Vec<&str> = known.iter().map(|server| server.name.as_str()).collect();
    let taken = take(found, &known, &secrets);
    let after = write::add(&before, &taken.drafts)
        .map_err(|why| CommandError::plain(Exit::Usage, format!("{}: {why}", target.display())))?;
    show(&target, &before, &after, &taken)?;
    if !arguments.write || taken.drafts.is_empty() {
        return Ok(Exit::Done);
    }
    save(&target, &before, &after, &taken.secrets)
}

/// Chooses names, and takes secrets out.
fn take(found: foreign::Found, known: &[&str], directory: &Path) -> Taken {
    let mut taken = Taken { notices: found.notices, ..Taken::default() };
    for (given, mut draft) in found.servers {
        let Some(name) = legal(&given) else {
            taken.notices.push(format!("`{given}` is left out: nothing of its name can be used"));
            continue;
        };
        if name.as_str() != given {
            taken
                .notices
                .push(format!("`{given}` becomes `{name}`: a name has letters, digits, `-` and `_`"));
        }
        let there = known.contains(&name.as_str()) || taken.drafts.iter().any(|(other, _)| *other == name);
        if there {
            taken.notices.push(format!("`{name}` is left out: there is a server of this name already"));
            continue;
        }
        secret::take_out(&name, &mut draft, directory, &mut taken.secrets);
        taken.drafts.push((name, draft));
    }
    taken
}

/// The nearest name that a server can have here.
fn legal(given: &str) -> Option<ServerName> {
    if let Ok(name) = ServerName::new(given) {
        return Some(name);
    }
    let fits = |one: char| if one.is_ascii_alphanumeric() || one == '_' { one } else { '-' };
    let text: String = given.chars().map(fits).collect();
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    ServerName::new(&parts.join("-")).ok()
}

fn show(target: &Path, before: &str, after: &str, taken: &Taken) -> Result<(), CommandError> {
    let mut out = String::new();
    if before != after {
        let name = target.display().to_string();
        let diff = TextDiff::from_lines(before, after);
        let old = if before.is_empty() { "/dev/null" } else { &name };
        out.push_str(&diff.unified_diff().context_radius(CONTEXT).header(old, &name).to_string());
    }
    for secret in &taken.secrets {
        out.push_str(&format!("secret: {} (mode 0600)\n", secret.path.display()));
    }
    for notice in &taken.notices {
        out.push_str(&format!("notice: {notice}\n"));
    }
    if taken.drafts.is_empty() {
        out.push_str("nothing to take over\n");
    }
    print(coloured(&out).as_bytes()).map(|_| ())
}

/// Green and red on a terminal.
fn coloured(text: &str) -> String {
    if !io::stdout().is_terminal() || config::no_color() {
        return text.to_owned();
    }
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("\x1b[32m{line}\x1b[0m\n"),
        Some(b'-') => format!("\x1b[31m{line}\x1b[0m\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Writes the secrets, then the configuration, each at once; what the configuration would not accept is not written.
fn save(target: &Path, before: &str, after: &str, secrets: &[SecretFile]) -> Result<Exit, CommandError> {
    let failed = |what: &Path| {
        let text = format!("cannot write {}", what.display());
        move |error: io::Error| CommandError::new(Exit::Failed, text.clone(), error)
    };
    for secret in secrets {
        let directory = secret.path.parent().unwrap_or(&secret.path);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed(directory))?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&secret.path);
        file.and_then(|mut file| file.write_all(secret.value.as_bytes())).map_err(failed(&secret.path))?;
    }
    if let Err(error) = config::load_text(target, after) {
        let mut said =
            String::from("what was made of it cannot be used; nothing was written to the configuration");
        if let LoadError::Wrong { problems, .. } = &error {
            problems.iter().for_each(|problem| said.push_str(&format!("\n  {problem}")));
        }
        return Err(CommandError::plain(Exit::Failed, said));
    }
    let beside = target.with_extension("yaml.new");
    fs::write(&beside, after).map_err(failed(&beside))?;
    fs::rename(&beside, target).map_err(failed(target))?;
    let what = if before.is_empty() { "written" } else { "changed" };
    print(format!("{what}: {}; try `portreeve doctor`\n", target.display()).as_bytes())
}

//! All of it in a row: inputs, templates, lint, encryption, one transaction. What is printed and with which code a command ends is
//! the program's business; clock and chance come from there.

mod bases;

use crate::{
    commit::{CommitError, Overwrite, Plan, RealDisk, Recovered, Scope, Tree, View, Workspace},
    inputs::{self, File, Files, Level, Own, ReadError, Report},
    lint::{self, Checked, Finding, SchemaError, Sources, Verdicts},
    render::{self, Override, RenderError, RenderedTree, Templates},
    seal::{self, SealError, Sealing},
    values::Values,
};
use portreeve_sops::{CreationRules, Error, Keys};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Why nothing was written; the tree is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file of the inputs cannot be read.
    #[error("the inputs cannot be read")]
    Read(#[from] ReadError),
    /// The inputs are wrong.
    #[error("the inputs cannot be used")]
    Inputs(Box<Report>),
    /// A template is wrong.
    #[error("a template cannot be rendered")]
    Render(#[from] RenderError),
    /// A directory of schemas cannot be read.
    #[error("the schemas cannot be used")]
    Schemas(#[from] SchemaError),
    /// The tree that was rendered is wrong.
    #[error("the rendered tree cannot be used")]
    Lint(Vec<Finding>),
    /// The tree cannot be encrypted.
    #[error("the secrets cannot be encrypted")]
    Seal(#[from] SealError),
    /// The age key is not at hand.
    #[error("without the age key the tree can be compared, not written")]
    Keyless,
    /// The tree cannot be written.
    #[error("the tree cannot be written")]
    Commit(#[from] CommitError),
}

/// A tree that is right, in memory and in the clear.
pub struct Prepared {
    /// What was said of the inputs; no errors.
    pub report: Report,
    /// What was said of the tree; no errors.
    pub findings: Vec<Finding>,
    /// What the schemas said of its objects.
    pub verdicts: Verdicts,
    /// The tree.
    pub tree: RenderedTree,
    /// None where the age key is not at hand, and so nothing can be written.
    keys: Option<Keys>,
    /// Where it comes from.
    home: PathBuf,
    overrides: Vec<Override>,
}

/// How a tree is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Warnings of rules are errors.
    pub strict: bool,
    /// Directories with schemas, beside those that are kept with the cluster.
    pub schemas: &'a [PathBuf],
    /// Where the age key is, if it is not beside the settings.
    pub age_key: Option<&'a Path>,
    /// The age key may be missing; what is encrypted is not compared then, and nothing can be written.
    pub keyless: bool,
}

/// What encryption and the manifest need from the machine.
pub struct Machine<'a> {
    /// The moment, as RFC 3339 in UTC with whole seconds.
    pub now: &'a str,
    /// Fills a buffer with random bytes, or says why it cannot.
    pub random: &'a mut dyn FnMut(&mut [u8]) -> Result<(), String>,
}

/// A tree that can be written, and what that would do.
pub struct Ready {
    /// The tree, encrypted.
    pub tree: Tree,
    /// What writing it does.
    pub plan: Plan,
    /// Encrypted files that were not compared, since the key is not at hand.
    pub uncompared: usize,
}

/// The settings that the applications of a directory declare, beside those that every cluster has.
///
/// # Errors
/// A template cannot be read, or a declaration is wrong.
pub fn own_settings(directory: &Path) -> Result<Own, RenderError> {
    render::own_settings(&Templates::with_own(directory)?)
}

/// Reads, checks and renders.
///
/// # Errors
/// The first step that finds something wrong, with all that it found.
pub fn prepare(directory: &Path, options: &Options<'_>) -> Result<Prepared, Failure> {
    let templates = Templates::with_own(directory)?;
    let mut files = Files::read(directory, options.age_key)?.with(render::own_settings(&templates)?);
    let scope = match options.keyless && files.get(File::Age).is_none() && stand_in(directory, &mut files) {
        true => inputs::Scope::Keyless,
        false => inputs::Scope::All,
    };
    let (mut report, values) = inputs::check(&files, scope);
    if options.strict {
        report.make_strict();
    }
    if report.count(Level::Error, false) > 0 {
        return Err(Failure::Inputs(Box::new(report)));
    }
    let keys = keys(&files);
    let Some(values) = values.filter(|_| keys.is_some() || scope == inputs::Scope::Keyless) else {
        return Err(Failure::Inputs(Box::new(report)));
    };
    let (tree, Checked { findings, verdicts }) = checked(directory, &values, &files, &templates, options)?;
    let home = directory.to_owned();
    Ok(Prepared { report, findings, verdicts, tree, keys, home, overrides: templates.overrides() })
}

/// Puts the public key of the tree that is there in the place of the age key; whether there was one.
fn stand_in(directory: &Path, files: &mut Files) -> bool {
    let rules = fs::read_to_string(directory.join(seal::RULES)).ok();
    let rules = rules.and_then(|text| CreationRules::parse(&text).ok());
    let found = rules.as_ref().and_then(|rules| rules.find(seal::OF_THE_KEY)?.recipients.first());
    let Some(recipient) = found else { return false };
    files.insert(File::Age, format!("# public key: {recipient}\n"), None);
    true
}

fn keys(files: &Files) -> Option<Keys> {
    Keys::parse(files.get(File::Age)?.text.expose()).ok()
}

fn checked(
    directory: &Path,
    values: &Values,
    files: &Files,
    templates: &Templates,
    options: &Options<'_>,
) -> Result<(RenderedTree, Checked), Failure> {
    let tree = render::render(values, files, templates)?;
    let sources = Sources::open(directory, options.schemas)?;
    let mut checked = lint::check(&tree, values, files, templates, &sources);
    checked.findings.extend(bases::check(directory, templates));
    if options.strict {
        checked.findings.iter_mut().for_each(|finding| finding.level = Level::Error);
    }
    if checked.findings.iter().any(|finding| finding.level == Level::Error) {
        return Err(Failure::Lint(checked.findings));
    }
    Ok((tree, checked))
}

impl Prepared {
    /// Encrypts the tree for a place where perhaps another one is, and says what writing it there would do. Writes nothing.
    ///
    /// # Errors
    /// It cannot be encrypted, or what is there cannot be understood.
    pub fn ready(
        &self,
        directory: &Path,
        machine: &mut Machine<'_>,
        scope: &Scope<'_>,
    ) -> Result<Ready, Failure> {
        let view = View::open(directory, RealDisk)?;
        self.ready_in(&view, machine, scope)
    }

    fn ready_in(
        &self,
        view: &View<RealDisk>,
        machine: &mut Machine<'_>,
        scope: &Scope<'_>,
    ) -> Result<Ready, Failure> {
        let Some(keys) = &self.keys else {
            let tree = seal::in_the_clear(&self.tree);
            let only = |path: &str| !seal::sealed(path) && matches!(scope, Scope::Only(takes) if takes(path));
            let scope = match scope {
                Scope::Only(_) => Scope::Only(&only),
                _ => Scope::Except(&seal::sealed),
            };
            let plan = view.plan(&tree, &scope)?;
            let uncompared = self.tree.len() - tree.len();
            return Ok(Ready { tree, plan, uncompared });
        };
        let mut random = |bytes: &mut [u8]| (machine.random)(bytes).map_err(|what| Error::Key { what });
        let mut how = Sealing { keys, now: machine.now, random: &mut random };
        let tree = seal::seal(&self.tree, &mut how, |path| view.current(path))?;
        let plan = view.plan(&tree, scope)?;
        Ok(Ready { tree, plan, uncompared: 0 })
    }

    /// Encrypts the tree and writes it as one transaction.
    ///
    /// # Errors
    /// It cannot be encrypted or written, the age key is not at hand, or somebody changed files by hand; nothing was written.
    pub fn write(
        &self,
        directory: &Path,
        machine: &mut Machine<'_>,
        scope: &Scope<'_>,
        overwrite: Overwrite,
    ) -> Result<(Ready, Option<Recovered>), Failure> {
        if self.keys.is_none() {
            return Err(Failure::Keyless);
        }
        let mut workspace = Workspace::open(directory, RealDisk)?;
        let ready = self.ready_in(&workspace, machine, scope)?;
        workspace.commit(&ready.tree, &ready.plan, overwrite)?;
        if directory == self.home {
            bases::record(directory, &self.overrides)?;
        }
        Ok((ready, workspace.recovered()))
    }
}

#[cfg(test)]
mod tests;

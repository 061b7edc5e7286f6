//! All of it in a row: inputs, templates, lint, encryption, one transaction. What is printed and with which code a command ends is
//! the program's business; clock and chance come from there.

use crate::{
    commit::{CommitError, Overwrite, Plan, RealDisk, Recovered, Scope, Tree, View, Workspace},
    inputs::{self, File, Files, Level, ReadError, Report},
    lint::{self, Finding},
    render::{self, RenderError, RenderedTree, Templates},
    seal::{self, SealError, Sealing},
    values::Values,
};
use portreeve_sops::{Error, Keys};
use std::path::Path;

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
    /// The tree that was rendered is wrong.
    #[error("the rendered tree cannot be used")]
    Lint(Vec<Finding>),
    /// The tree cannot be encrypted.
    #[error("the secrets cannot be encrypted")]
    Seal(#[from] SealError),
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
    /// The tree.
    pub tree: RenderedTree,
    keys: Keys,
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
}

/// Reads, checks and renders; with `strict` the warnings of rules are errors.
///
/// # Errors
/// The first step that finds something wrong, with all that it found.
pub fn prepare(directory: &Path, strict: bool) -> Result<Prepared, Failure> {
    let files = Files::read(directory)?;
    let (report, values) = inputs::check(&files, inputs::Scope::All);
    if report.count(Level::Error, strict) > 0 {
        return Err(Failure::Inputs(Box::new(report)));
    }
    let (Some(values), Some(keys)) = (values, keys(&files)) else {
        return Err(Failure::Inputs(Box::new(report)));
    };
    let (tree, findings) = checked(directory, &values, &files, strict)?;
    Ok(Prepared { report, findings, tree, keys })
}

fn keys(files: &Files) -> Option<Keys> {
    Keys::parse(files.get(File::Age)?.text.expose()).ok()
}

fn checked(
    directory: &Path,
    values: &Values,
    files: &Files,
    strict: bool,
) -> Result<(RenderedTree, Vec<Finding>), Failure> {
    let templates = Templates::with_own(directory)?;
    let tree = render::render(values, files, &templates)?;
    let mut findings = lint::check(&tree, values, files);
    if strict {
        findings.iter_mut().for_each(|finding| finding.level = Level::Error);
    }
    if findings.iter().any(|finding| finding.level == Level::Error) {
        return Err(Failure::Lint(findings));
    }
    Ok((tree, findings))
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
        let mut random = |bytes: &mut [u8]| (machine.random)(bytes).map_err(|what| Error::Key { what });
        let mut how = Sealing { keys: &self.keys, now: machine.now, random: &mut random };
        let tree = seal::seal(&self.tree, &mut how, |path| view.current(path))?;
        let plan = view.plan(&tree, scope)?;
        Ok(Ready { tree, plan })
    }

    /// Encrypts the tree and writes it as one transaction.
    ///
    /// # Errors
    /// It cannot be encrypted or written, or somebody changed files by hand; nothing was written.
    pub fn write(
        &self,
        directory: &Path,
        machine: &mut Machine<'_>,
        scope: &Scope<'_>,
        overwrite: Overwrite,
    ) -> Result<(Ready, Option<Recovered>), Failure> {
        let mut workspace = Workspace::open(directory, RealDisk)?;
        let ready = self.ready_in(&workspace, machine, scope)?;
        workspace.commit(&ready.tree, &ready.plan, overwrite)?;
        Ok((ready, workspace.recovered()))
    }
}

#[cfg(test)]
mod tests;

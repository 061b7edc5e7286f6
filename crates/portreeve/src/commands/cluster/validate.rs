//! `portreeve cluster validate`: everything that `configure` would say, and nothing written.

use super::{age_key, configure, directory};
use crate::{
    cli::print,
    commands::{CommandError, Exit},
};
use clap::{Args, ValueHint};
use portreeve_cluster::{
    configure::{Failure, Options, Prepared, own_settings, prepare},
    inputs::{self, Files, Level, Report, Scope},
    lint::Verdicts,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `cluster validate`.
#[derive(Debug, Args)]
pub struct ValidateArguments {
    /// The directory with `cluster.yaml` and `nodes.yaml`
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Check the two files of settings alone, not the keys beside them and not the tree
    #[arg(long)]
    pub inputs_only: bool,
    /// A directory with schemas of custom kinds: definitions as YAML, or `GROUP/KIND_VERSION.json`; may be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "inputs_only")]
    pub schemas: Vec<PathBuf>,
    /// Take warnings of rules for errors
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document and nothing else
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(arguments: &ValidateArguments) -> Result<Exit, CommandError> {
    directory(&arguments.directory)?;
    if arguments.inputs_only {
        return settings(arguments);
    }
    let key = age_key();
    let options = Options {
        strict: arguments.strict,
        schemas: &arguments.schemas,
        age_key: key.as_deref(),
        keyless: true,
    };
    match prepare(&arguments.directory, &options) {
        Ok(prepared) => good(arguments, &prepared),
        Err(Failure::Inputs(report)) => reported(arguments, &report),
        Err(failure) => failed(arguments, failure),
    }
}

fn failed(arguments: &ValidateArguments, failure: Failure) -> Result<Exit, CommandError> {
    let shown = arguments.directory.display();
    let (exit, text, problems) = configure::explained(failure, &format!("{shown}: cannot be used"))?;
    let document = json!({"ok": false, "problems": problems});
    print(if arguments.json { format!("{document:#}\n") } else { format!("{text}\n") }.as_bytes())?;
    Ok(exit)
}

fn settings(arguments: &ValidateArguments) -> Result<Exit, CommandError> {
    let files = Files::read(&arguments.directory, None).map_err(|error| {
        let what = format!("the inputs in `{}` cannot be read", arguments.directory.display());
        CommandError::new(Exit::Failed, what, error)
    })?;
    let own = match own_settings(&arguments.directory) {
        Ok(own) => own,
        Err(error) => return failed(arguments, Failure::Render(error)),
    };
    let (report, _) = inputs::check(&files.with(own), Scope::Settings);
    reported(arguments, &report)
}

/// What is said of the inputs alone.
fn reported(arguments: &ValidateArguments, report: &Report) -> Result<Exit, CommandError> {
    let errors = report.count(Level::Error, arguments.strict);
    let warnings = report.count(Level::Warning, arguments.strict);
    let out = if arguments.json {
        let document = json!({"ok": errors == 0, "problems": report.json(arguments.strict)});
        format!("{document:#}\n")
    } else {
        let verdict = if errors == 0 { "good" } else { "cannot be used" };
        let shown = arguments.directory.display();
        let counts = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
        format!("{}{shown}: {verdict}, {counts}\n", report.text(arguments.strict))
    };
    print(out.as_bytes())?;
    Ok(if errors == 0 { Exit::Done } else { Exit::Inputs })
}

fn good(arguments: &ValidateArguments, prepared: &Prepared) -> Result<Exit, CommandError> {
    let out = if arguments.json {
        let findings: Vec<Value> = prepared.findings.iter().map(|finding| finding.json()).collect();
        let document = json!({
            "ok": true, "problems": prepared.report.json(false), "findings": findings,
            "files": prepared.tree.len(), "objects": configure::objects(prepared),
        });
        format!("{document:#}\n")
    } else {
        let mut text = prepared.report.text(false);
        text.extend(prepared.findings.iter().map(ToString::to_string));
        let warnings = prepared.report.count(Level::Warning, false) + prepared.findings.len();
        let Verdicts { valid, unchecked, .. } = prepared.verdicts;
        let shown = arguments.directory.display();
        let counts = format!("0 errors, {}", counted(warnings, "warning"));
        format!(
            "{text}{shown}: good, {counts}; {} files, {valid} objects valid, {unchecked} unchecked\n",
            prepared.tree.len()
        )
    };
    print(out.as_bytes())?;
    Ok(Exit::Done)
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

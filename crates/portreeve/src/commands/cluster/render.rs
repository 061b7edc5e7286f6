//! `portreeve cluster render`: the tree into another directory, or the list of what is in it.

use super::{configure, directory};
use crate::{
    cli::print,
    commands::{CommandError, Exit},
};
use clap::{Args, ValueHint};
use portreeve_cluster::{
    commit::{Overwrite, Scope},
    lint,
};
use std::{fmt::Write, fs, path::PathBuf};

/// `cluster render`.
#[derive(Debug, Args)]
pub struct RenderArguments {
    /// The directory with `cluster.yaml` and `nodes.yaml`
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Where the tree is written
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "list")]
    pub out: Option<PathBuf>,
    /// Print every object instead: file, apiVersion, kind, namespace and name, with tabs between them
    #[arg(long, conflicts_with = "out")]
    pub list: bool,
}

pub(super) fn run(arguments: &RenderArguments) -> Result<Exit, CommandError> {
    directory(&arguments.directory)?;
    let prepared = match configure::prepared(&arguments.directory, false)? {
        Ok(prepared) => prepared,
        Err(exit) => return Ok(exit),
    };
    let Some(out) = &arguments.out else {
        let rows = lint::list(&prepared.tree).into_iter().fold(String::new(), |mut rows, row| {
            // Writing into a text cannot fail.
            let _ = writeln!(
                rows,
                "{}\t{}\t{}\t{}\t{}",
                row.file, row.version, row.kind, row.namespace, row.name
            );
            rows
        });
        return print(rows.as_bytes());
    };
    fs::create_dir_all(out).map_err(|error| {
        CommandError::new(Exit::Failed, format!("cannot make `{}`", out.display()), error)
    })?;
    let now = configure::now()?;
    let mut machine = configure::machine(&now);
    match prepared.write(out, &mut machine.lend(), &Scope::All, Overwrite::Never) {
        Ok((ready, _)) => print(format!("{}: {} files\n", out.display(), ready.tree.len()).as_bytes()),
        Err(failure) => configure::failed(failure, false),
    }
}

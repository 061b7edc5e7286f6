//! `portreeve cluster`: the cluster renderer from a terminal. Arguments and where things are printed; what is right or wrong with a
//! cluster is the crate `cluster`'s business.

mod configure;
mod doctor;
mod init;
mod render;
mod validate;

use super::{CommandError, Exit};
use crate::{cli::print, config};
use clap::{Subcommand, ValueEnum, ValueHint};
use portreeve_cluster::{
    configure as cluster,
    inputs::{self, Own},
};
use std::path::{Path, PathBuf};

pub use configure::ConfigureArguments;
pub use render::RenderArguments;
pub use validate::ValidateArguments;

/// The commands of `cluster`.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make the first files of a cluster: samples of its settings, an age key, a token, and a deploy key where the
    /// repository is private; what is there stays
    #[command(after_help = "Examples:
  portreeve cluster init
  portreeve cluster init clusters/harbour
  portreeve cluster init --deploy-key         a key for Flux too, whatever `repository_visibility` says

Exit codes: 0 done; 1 a file cannot be made.")]
    Init {
        /// The directory of the cluster; it is made if it is not there
        #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
        /// Make a deploy key, also where the settings do not say that the repository is private
        #[arg(long)]
        deploy_key: bool,
    },
    /// Render the tree from the settings, encrypt its secrets and write it, all or nothing
    #[command(after_help = "Examples:
  portreeve cluster configure
  portreeve cluster configure clusters/harbour --diff     what would change; writes nothing
  portreeve cluster configure --check                     the same as an exit code, for pipelines
  portreeve cluster configure --only kubernetes/apps/network

Files that somebody changed by hand stop it; `--force` overwrites them, `--adopt` takes them as they are.

Exit codes: 0 done, or nothing to do; 1 a file cannot be read or written; 2 wrong usage; 3 the inputs are wrong;
4 a template is wrong; 5 the tree breaks a rule; 6 files were changed by hand; 7 a key or secret is wrong;
9 another command is writing; 10 `--check` or `--diff` found changes.")]
    Configure(ConfigureArguments),
    /// Render the tree into another directory, encrypted as well, or list what is in it
    #[command(after_help = "Examples:
  portreeve cluster render --out ../tree
  portreeve cluster render --list | grep HTTPRoute

Exit codes: as those of `configure`.")]
    Render(RenderArguments),
    /// Look at the directory of a cluster: inputs, age key, encrypted files, keys in Git, programs that other steps need
    #[command(after_help = "Example:
  portreeve cluster doctor clusters/harbour

Exit codes: 0 nothing has to be mended; 1 a file cannot be read; 2 wrong usage; 3 something has to be mended.")]
    Doctor {
        /// The directory with `cluster.yaml` and `nodes.yaml`
        #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
    /// Check the settings of a cluster, the keys beside them and the tree that they make; writes nothing
    #[command(after_help = "Examples:
  portreeve cluster validate
  portreeve cluster validate clusters/harbour --json
  portreeve cluster validate --schemas ../definitions
  portreeve cluster validate --inputs-only     where the keys are not, such as in a pipeline

Each object is valid by its schema, invalid, or unchecked where there is no schema; an unchecked one is a warning.

Exit codes: 0 the cluster can be used (warnings may be printed); 1 a file cannot be read; 2 wrong usage;
3 the inputs are wrong; 4 a template is wrong; 5 the tree breaks a rule.")]
    Validate(ValidateArguments),
    /// Say what a setting, a field of a node or a rule means
    #[command(after_help = "Examples:
  portreeve cluster explain                    all settings, one a line
  portreeve cluster explain node_cidr
  portreeve cluster explain nodes.mtu
  portreeve cluster explain V-07

Exit codes: 0 done; 2 there is no such setting.")]
    Explain {
        /// The setting, field or rule; without it all settings
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Print the JSON Schema of a file of settings, for editors, or the reference of all settings
    #[command(after_help = "Examples:
  portreeve cluster schema > cluster.schema.json
  portreeve cluster schema nodes > nodes.schema.json
  portreeve cluster schema --markdown

The first line `# yaml-language-server: $schema=cluster.schema.json` tells an editor to use it.")]
    Schema {
        /// Which file
        #[arg(value_enum, default_value = "cluster")]
        file: SchemaFile,
        /// Print the reference of all settings as Markdown instead
        #[arg(long, conflicts_with = "file")]
        markdown: bool,
    },
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaFile {
    /// `cluster.yaml`
    Cluster,
    /// `nodes.yaml`
    Nodes,
}

/// Runs a command of `cluster`.
///
/// # Errors
/// A file cannot be read, or nothing has the name that is to be explained. Inputs that are wrong are a result, not an error.
pub fn run(command: &ClusterCommand) -> Result<Exit, CommandError> {
    match command {
        ClusterCommand::Init { directory, deploy_key } => init::run(directory, *deploy_key),
        ClusterCommand::Doctor { directory } => doctor::run(directory),
        ClusterCommand::Configure(arguments) => configure::run(arguments),
        ClusterCommand::Render(arguments) => render::run(arguments),
        ClusterCommand::Validate(arguments) => validate::run(arguments),
        ClusterCommand::Explain { name: None } => print(inputs::list(&own_settings()?).as_bytes()),
        ClusterCommand::Explain { name: Some(name) } => {
            let text = inputs::explain(name, &own_settings()?);
            let text = text.map_err(|why| CommandError::plain(Exit::Usage, why.to_string()))?;
            print(text.as_bytes())
        }
        ClusterCommand::Schema { markdown: true, .. } => print(inputs::page(&own_settings()?).as_bytes()),
        ClusterCommand::Schema { file, .. } => {
            let schema = match file {
                SchemaFile::Cluster => inputs::cluster_schema(&own_settings()?),
                SchemaFile::Nodes => inputs::nodes_schema(),
            };
            print(format!("{schema:#}\n").as_bytes())
        }
    }
}

/// The settings that applications under `templates/` of the working directory declare.
fn own_settings() -> Result<Own, CommandError> {
    cluster::own_settings(Path::new("."))
        .map_err(|error| CommandError::plain(Exit::Template, error.to_string()))
}

/// Where SOPS is told that its key is, for directories without one.
fn age_key() -> Option<PathBuf> {
    let named = config::environment().find(|(name, _)| name == "SOPS_AGE_KEY_FILE");
    named.map(|(_, path)| PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
}

/// The directory of a cluster has to be there.
fn directory(path: &Path) -> Result<(), CommandError> {
    if path.is_dir() {
        return Ok(());
    }
    let what = format!("`{}` is not a directory; name the one with cluster.yaml", path.display());
    Err(CommandError::plain(Exit::Usage, what))
}

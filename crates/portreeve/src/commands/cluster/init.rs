//! `portreeve cluster init`: the first files of a cluster, and what to do next.

use crate::{
    cli::print,
    commands::{CommandError, Exit},
};
use portreeve_cluster::init::{self, Made, Outcome};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

const NEXT: &str = "
Next:
  1. Keep copies of age.key and cluster.yaml, which Git does not take: without the key no secret of the tree can be read again.
  2. Describe the cluster in cluster.yaml and nodes.yaml.
  3. Put cloudflare-tunnel.json beside them: `cloudflared tunnel create --credentials-file cloudflare-tunnel.json NAME`;
     or set `exposure: direct` or `exposure: internal`.
  4. `portreeve cluster validate`, then `portreeve cluster configure`.
";

pub(super) fn run(directory: &Path, deploy_key: bool) -> Result<Exit, CommandError> {
    let mut random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| error.to_string());
    let Outcome { made, deploy_key } = init::init(directory, deploy_key, &mut random).map_err(|error| {
        CommandError::new(Exit::Failed, format!("`{}` cannot be prepared", directory.display()), error)
    })?;
    let mut text = String::new();
    for (file, made) in made {
        let word = match made {
            Made::New => "made",
            Made::Kept => "kept",
            Made::Extended => "extended",
        };
        let path = if directory == Path::new(".") { PathBuf::from(file) } else { directory.join(file) };
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{word:<8} {}", path.display());
    }
    let grant = match deploy_key {
        None => "",
        Some(_) => {
            "  5. Give the repository this deploy key (at GitHub under Settings, Deploy keys), for reading alone:\n"
        }
    };
    let line = deploy_key.map(|line| format!("     {line}")).unwrap_or_default();
    print(format!("{text}{NEXT}{grant}{line}").as_bytes())
}

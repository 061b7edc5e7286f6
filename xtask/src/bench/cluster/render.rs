//! The program whose rendering is measured: inputs, templates, and the tree in the clear as files. `portreeve` itself never writes one
//! in the clear, so this belongs to the benchmark. It also hands the checked values to the other renderer.

use crate::command::Outcome;
use portreeve_cluster::{
    inputs::{self, Files, Scope},
    render::{self, Templates},
    values::{Value, Values},
};
use serde_json::Value as Json;
use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// What to render.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The directory of the cluster
    cluster: PathBuf,
    /// Where the tree goes
    out: PathBuf,
}

/// Renders and writes.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (files, values) = checked(&arguments.cluster)?;
    let templates = Templates::with_own(&arguments.cluster)?;
    for (path, file) in render::render(&values, &files, &templates)? {
        let path = arguments.out.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&arguments.out))?;
        fs::write(path, file.text.expose())?;
    }
    Ok(())
}

/// Writes the values of a cluster, after defaults and derivation, as JSON.
pub(super) fn values(cluster: &Path, to: &Path) -> Outcome {
    let (_, values) = checked(cluster)?;
    let all: serde_json::Map<String, Json> =
        values.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
    Ok(fs::write(to, Json::from(all).to_string())?)
}

fn checked(cluster: &Path) -> Result<(Files, Values), Box<dyn Error>> {
    let files = Files::read(cluster, None)?;
    let (report, values) = inputs::check(&files, Scope::All);
    Ok((files, values.ok_or_else(|| report.text(false))?))
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Unset => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Secret(secret) => secret.expose().as_str().into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(map) => {
            Json::Object(map.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_what_templates_see() {
        let map = [("on".to_owned(), Value::Bool(true)), ("unset".to_owned(), Value::Unset)];
        let list = Value::List(vec![Value::Int(7), Value::Text("a".to_owned()), Value::Map(map.into())]);
        assert_eq!(plain(&list), json!([7, "a", {"on": true, "unset": null}]));
    }
}

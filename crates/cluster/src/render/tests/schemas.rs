//! What is rendered is valid by the schemas of those who read it. The schemas lie beside the repository and are only read; where
//! they are missing, the tests say so and do nothing.

use super::inputs_of;
use crate::{
    documents,
    inputs::tests::support::{CLUSTERS, cluster},
    render::{RenderedTree, Templates, render},
    values::Value,
};
use serde_json::{Value as Json, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn schemas() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/schemas");
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("SKIPPED: {} is not there", directory.display());
    None
}

fn json(path: &Path) -> Json {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn problems(validator: &jsonschema::Validator, value: &Json) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn with_talos(name: &str, version: &str) -> RenderedTree {
    let (mut values, files) = inputs_of(&cluster(name));
    values.insert("talos_version".to_owned(), Value::Text(version.to_owned()));
    render(&values, &files, &Templates::default()).unwrap()
}

#[test]
fn talos_takes_every_patch_of_every_version() {
    let Some(root) = schemas() else { return };
    for version in ["1.11", "1.12", "1.13", "1.14"] {
        let all = json(&root.join(format!("talos/config-v{version}.json")));
        let machine = json!({"$ref": "#/$defs/v1alpha1.Config", "$defs": all["$defs"]});
        let machine = jsonschema::validator_for(&machine).unwrap();
        let document = jsonschema::validator_for(&all).unwrap();
        for name in CLUSTERS {
            let tree = with_talos(name, &format!("{version}.0"));
            let patches: Vec<_> =
                tree.iter().filter(|(path, _)| path.starts_with("talos/patches/")).collect();
            assert!(patches.len() >= 7, "{name} has {} patches", patches.len());
            for (path, file) in patches.into_iter().filter(|(path, _)| path.ends_with(".yaml")) {
                for part in documents::read(file.text.expose()).unwrap() {
                    let own = part.value.get("kind").is_some();
                    let found = problems(if own { &document } else { &machine }, &part.value);
                    assert!(found.is_empty(), "{version} {name} {path}: {found:#?}");
                }
            }
            for node in documents::read(tree["talos/talconfig.yaml"].text.expose()).unwrap()[0].value["nodes"]
                .as_array()
                .unwrap()
            {
                for patch in node["patches"].as_array().into_iter().flatten() {
                    let part = &documents::read(patch.as_str().unwrap()).unwrap()[0];
                    let found = problems(&document, &part.value);
                    assert!(found.is_empty(), "{version} {name}: {found:#?}");
                }
            }
        }
    }
}

#[test]
fn talhelper_takes_its_configuration() {
    let Some(root) = schemas() else { return };
    let validator = jsonschema::validator_for(&json(&root.join("talos/talconfig.json"))).unwrap();
    for name in CLUSTERS {
        for version in ["1.11.3", "1.14.0"] {
            let text = with_talos(name, version)["talos/talconfig.yaml"].text.expose().clone();
            let text = text
                .replace("${talosVersion}", &format!("v{version}"))
                .replace("${kubernetesVersion}", "v1.35.0");
            let found = problems(&validator, &documents::read(&text).unwrap()[0].value);
            assert!(found.is_empty(), "{name}: {found:#?}");
        }
    }
}

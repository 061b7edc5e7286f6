//! What is rendered is valid by the schemas of those who read it. The schemas lie beside the repository and are only read; where
//! they are missing, the tests say so and do nothing.

use super::{inputs_of, tree};
use crate::{
    documents,
    inputs::tests::support::{CLUSTERS, cluster},
    render::{RenderedTree, Templates, render},
    values::Value,
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
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

/// A schema in which a name that is not listed is a mistake, as the API server's strict validation has it.
fn strict(schema: &mut Json) {
    if let Some(map) = schema.as_object_mut() {
        let free = map.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
        if map.contains_key("properties") && !free && !map.contains_key("additionalProperties") {
            map.insert("additionalProperties".to_owned(), json!(false));
        }
        map.values_mut().for_each(strict);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(strict);
    }
}

fn substituted(text: &str) -> String {
    (1..9).fold(text.replace("${SECRET_DOMAIN}", "example.com"), |text, number| {
        text.replace(&format!("${{SECRET_DOMAIN_{number}}}"), "example.org")
    })
}

fn problems(validator: &jsonschema::Validator, value: &Json) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn every_object_is_valid() {
    /// What the API server knows by itself; there is no file for them.
    const CORE: [&str; 4] = ["v1/Secret", "v1/Namespace", "v1/Service", "policy/v1/PodDisruptionBudget"];
    let Some(root) = schemas() else { return };
    let mut validators = BTreeMap::new();
    let (mut wrong, mut checked) = (Vec::new(), BTreeSet::new());
    for name in CLUSTERS {
        for (path, file) in tree(name).iter().filter(|(path, _)| path.starts_with("kubernetes/")) {
            for document in documents::read(&substituted(file.text.expose())).unwrap() {
                let (version, kind) = (&document.value["apiVersion"], &document.value["kind"]);
                let id = format!("{}/{}", version.as_str().unwrap(), kind.as_str().unwrap());
                if CORE.contains(&id.as_str()) {
                    continue;
                }
                let (group, rest) = id.split_once('/').unwrap();
                let (version, kind) = rest.split_once('/').unwrap();
                let validator = validators.entry(id.clone()).or_insert_with(|| {
                    let file = format!("{}_{version}.json", kind.to_lowercase());
                    let mut schema = json(&root.join("crds").join(group).join(file));
                    strict(&mut schema);
                    jsonschema::validator_for(&schema).unwrap()
                });
                checked.insert(id);
                let found = problems(validator, &document.value);
                wrong.extend(found.into_iter().map(|problem| format!("{name}: {path}: {problem}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked.len() > 15, "{checked:?}");
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

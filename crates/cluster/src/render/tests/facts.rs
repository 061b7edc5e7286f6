//! `tests/facts.tsv` holds: what the tree of each cluster must say, object by object. The facts are those that clusters of this
//! kind rely on, not a copy of the output.

use super::tree;
use crate::documents;
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn every_fact_holds() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts.tsv");
    let table = fs::read_to_string(table).unwrap();
    let (mut trees, mut wrong, mut count) = (BTreeMap::new(), Vec::new(), 0);
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let [fixture, object, pointer, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not four columns: {line}")
        };
        count += 1;
        let tree = trees.entry(fixture.to_owned()).or_insert_with(|| tree(fixture));
        let (path, id) = object.split_once('#').unwrap_or((object, ""));
        let found = tree.get(path).map(|file| documents::read(file.text.expose()).unwrap());
        let found = found.and_then(|all| {
            let named = |value: &Value| {
                let name = value["metadata"]["name"].as_str().unwrap_or_default();
                id.is_empty() || format!("{}/{name}", value["kind"].as_str().unwrap_or_default()) == id
            };
            all.into_iter().map(|document| document.value).find(named)
        });
        let value = found.as_ref().and_then(|value| value.pointer(pointer)).cloned();
        let expected = match expected {
            "(absent)" => None,
            json => Some(serde_json::from_str(json).unwrap_or_else(|_| panic!("not JSON: {line}"))),
        };
        if value != expected || (found.is_none() && expected.is_some()) {
            wrong.push(format!("{line}\n    is {value:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 120, "{count} facts");
}

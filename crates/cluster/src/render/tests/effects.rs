//! A setting of phase one that changes no file of any cluster is a promise that is not kept.

use super::inputs_of;
use crate::{
    inputs::{
        Files,
        table::{GROUPS, Kind, NODE, Phase, Var},
        tests::support::{CLUSTERS, cluster},
    },
    render::{Templates, render},
    values::{DERIVED, Value, Values, derive},
};
use portreeve_model::Secret;
use std::collections::{BTreeMap, BTreeSet};

/// Settings whose effect is another's.
const SPELLINGS: [&str; 1] = ["cloudflare_domain"];
/// Fields of a node that are for its virtual machine, which a later phase makes.
const MACHINES: &str = "vm_";

/// Another value that the setting could have.
fn other(var: &Var, value: &Value) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    match var.kind {
        Kind::Flag => Value::Bool(value != &Value::Bool(true)),
        Kind::Int(least, _) | Kind::Digits(least, _) => match value {
            Value::Int(number) => Value::Int(number + 1),
            _ => Value::Int(least),
        },
        Kind::Ip => text("10.99.0.9"),
        Kind::Cidr => text("10.99.0.0/24"),
        Kind::Choice(words) => {
            text(words.iter().find(|word| value.text() != Some(**word)).expect("two words"))
        }
        Kind::Secret => Value::Secret(Secret::new("another-secret".to_owned())),
        Kind::List(_, _) | Kind::OneOrList(_) => Value::List(vec![text("10.99.0.7"), text("10.99.0.8")]),
        Kind::Labels => Value::Map(BTreeMap::from([("another/label".to_owned(), text("x"))])),
        Kind::Mac => text("5a:99:00:00:00:01"),
        Kind::Form(_) if var.name == "talos_version" => text("1.14.2"),
        _ => text("another"),
    }
}

/// The texts of a tree after everything that follows from a setting was derived anew.
fn texts(values: &Values, name: &str, files: &Files) -> Option<Vec<(String, String)>> {
    let mut values = values.clone();
    let mut stale = BTreeSet::from([name]);
    while let Some(next) =
        DERIVED.iter().find(|d| !stale.contains(d.name) && d.from.iter().any(|from| stale.contains(from)))
    {
        stale.insert(next.name);
        values.remove(next.name);
    }
    derive(&mut values, &BTreeSet::new());
    let tree = render(&values, files, &Templates::default()).ok()?;
    Some(tree.into_iter().map(|(path, file)| (path, file.text.expose().clone())).collect())
}

#[test]
fn every_setting_of_phase_one_changes_a_file() {
    let inputs: Vec<(Values, Files)> = CLUSTERS.iter().map(|name| inputs_of(&cluster(name))).collect();
    let vars = GROUPS.iter().filter(|group| group.phase == Phase::One).flat_map(|group| group.vars);
    let mut idle = Vec::new();
    for var in vars.filter(|var| !SPELLINGS.contains(&var.name)) {
        let changes = |(values, files): &(Values, Files)| {
            let mut changed = values.clone();
            changed.insert(var.name.to_owned(), other(var, &values[var.name]));
            let after = texts(&changed, var.name, files);
            after.is_some() && after != texts(values, var.name, files)
        };
        if !inputs.iter().any(changes) {
            idle.push(var.name);
        }
    }
    assert!(idle.is_empty(), "these change nothing: {idle:?}");
}

#[test]
fn every_field_of_a_node_changes_a_file() {
    let (values, files) = inputs_of(&cluster("gateway"));
    let before = texts(&values, "nodes", &files).unwrap();
    for var in NODE.iter().filter(|var| !var.name.starts_with(MACHINES)) {
        let mut changed = values.clone();
        let Some(Value::List(nodes)) = changed.get_mut("nodes") else { panic!("no nodes") };
        let Value::Map(node) = &mut nodes[0] else { panic!("no node") };
        let value = other(var, node.get(var.name).unwrap_or(&Value::Unset));
        node.insert(var.name.to_owned(), value);
        assert_ne!(texts(&changed, "nodes", &files).unwrap(), before, "{} changes nothing", var.name);
    }
}

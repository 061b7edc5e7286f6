//! Nodes: what each has to have, what no two may share, and whether there are enough of a kind.

use super::{Given, Problem};
use crate::inputs::{
    given::Node,
    problem::{File, Place},
    table::{NODE, Need},
};
use crate::values::Value;
use std::collections::BTreeMap;

/// Names of groups of patches.
const RESERVED: [&str; 3] = ["global", "controller", "worker"];

pub(super) fn check(given: &Given, problems: &mut Vec<Problem>) {
    for (number, node) in given.nodes.iter().enumerate() {
        single(node, number, problems);
    }
    for (field, noun) in [("name", "name"), ("mac_addr", "network card"), ("vm_id", "virtual machine")] {
        unique(given, field, noun, problems);
    }
    if given.nodes_read {
        controllers(given, problems);
        if given.cluster {
            workloads(given, problems);
            region(given, problems);
        }
    }
}

fn single(node: &Node, number: usize, problems: &mut Vec<Problem>) {
    let path = |field: &str| format!("nodes[{number}].{field}");
    for var in
        NODE.iter().filter(|var| matches!(var.need, Need::Always) && !node.fields.contains_key(var.name))
    {
        let place = node.empty.get(var.name).copied().unwrap_or(node.place);
        let what = format!("{} has no `{}`", node.called(number), var.name);
        problems.push(
            Problem::error("V-03", place, path(var.name), what)
                .mend(format!("add `{}`: {}", var.name, var.doc)),
        );
    }
    if let Some(name) = node.value("name").and_then(Value::text).filter(|name| RESERVED.contains(name)) {
        let what = format!("`{name}` is the name of a group of patches and cannot name a node");
        problems
            .push(Problem::error("V-19", node.place("name"), path("name"), what).mend("choose another name"));
    }
    if node.on("encrypt_disk")
        && !node.on("secureboot")
        && node.fields.get("secureboot").is_none_or(|given| given.value.is_some())
    {
        let what = "without `secureboot` anybody who has the machine can start it and read the disk";
        let problem = Problem::warning("V-38", node.place("encrypt_disk"), path("encrypt_disk"), what);
        problems.push(problem.mend("set `secureboot: true` as well"));
    }
}

fn unique(given: &Given, field: &str, noun: &str, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<String, (usize, Place)> = BTreeMap::new();
    for (number, node) in given.nodes.iter().enumerate() {
        let value = match node.value(field) {
            Some(Value::Text(text)) => text.clone(),
            Some(Value::Int(number)) => number.to_string(),
            _ => continue,
        };
        // The test network of the origin has cards of zeros only, and many of them.
        if value == "00:00:00:00:00:00" {
            continue;
        }
        let place = node.place(field);
        match seen.get(&value) {
            None => drop(seen.insert(value, (number, place))),
            Some((first, earlier)) => {
                let what = format!("two nodes have the {noun} `{value}`");
                let problem = Problem::error("V-21", place, format!("nodes[{number}].{field}"), what);
                let problem = problem
                    .label(format!("nodes[{number}]"))
                    .other(*earlier, format!("nodes[{first}] has it first"));
                problems.push(problem.mend(format!("give one of them its own `{field}`")));
            }
        }
    }
}

fn controllers(given: &Given, problems: &mut Vec<Problem>) {
    let known = given.nodes.iter().all(|node| node.value("controller").is_some());
    let count = given.nodes.iter().filter(|node| node.on("controller")).count();
    let whole = Place::whole(File::Nodes);
    if known && count == 0 {
        let problem = Problem::error("V-35", whole, "nodes", "no node is a control plane");
        problems.push(problem.mend("set `controller: true` for one node, or for three"));
    } else if known && count % 2 == 0 {
        let what = format!("{count} control planes survive no more losses than {} would", count - 1);
        problems.push(Problem::warning("V-36", whole, "nodes", what).mend("use an odd number: 1, 3 or 5"));
    }
}

fn workloads(given: &Given, problems: &mut Vec<Problem>) {
    let Some(everywhere) = given.flag("allow_scheduling_on_control_planes") else { return };
    let runs = |node: &&Node| everywhere || node.value("controller").and_then(Value::flag) != Some(true);
    let count = given.nodes.iter().filter(runs).count();
    if count == 0 && !given.nodes.is_empty() {
        let name = "allow_scheduling_on_control_planes";
        let what = "workloads are kept off control planes, and there is no other node";
        problems.push(
            Problem::error("V-22", given.place(name), name, what)
                .mend("set it to true, or add a node with `controller: false`"),
        );
        return;
    }
    let replicas = given.int("keycloak_replicas").and_then(|replicas| usize::try_from(replicas).ok());
    if let Some(replicas) = replicas.filter(|replicas| given.on("keycloak_enabled") && *replicas > count) {
        let nodes = if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
        let what = format!("{replicas} pods of Keycloak need a node each, and workloads may run on {nodes}");
        let problem = Problem::warning("V-23", given.place("keycloak_replicas"), "keycloak_replicas", what);
        problems.push(
            problem
                .mend(format!("set `keycloak_replicas: {}`; the others would wait for ever", count.max(1))),
        );
    }
}

fn region(given: &Given, problems: &mut Vec<Problem>) {
    const LABEL: &str = "topology.kubernetes.io/region";
    let Some(region) = given.text("proxmox_region").filter(|_| given.on("proxmox_csi_enabled")) else {
        return;
    };
    let label = |node: &Node| match node.value("nodeLabels")?.field(LABEL)? {
        Value::Text(label) => Some(label.clone()),
        _ => None,
    };
    let nodes =
        given.nodes.iter().enumerate().filter_map(|(number, node)| Some((number, node, label(node)?)));
    let mut others = nodes.filter(|(_, _, label)| label != region);
    let Some((number, node, label)) = others.next() else { return };
    let what = format!(
        "{} is labelled with region `{label}`, and the storage driver looks in `{region}`",
        node.called(number)
    );
    let key = format!("nodes[{number}].nodeLabels");
    let problem = Problem::error("V-31", node.place("nodeLabels"), key, what);
    let problem = problem.other(given.place("proxmox_region"), "`proxmox_region`");
    // The other nodes are most probably the same mistake.
    let problem = others.fold(problem, |problem, (number, node, label)| {
        problem.other(node.place("nodeLabels"), format!("{} has `{label}`", node.called(number)))
    });
    problems.push(problem.mend(format!("make `{LABEL}` and `proxmox_region` equal")));
}

//! A cluster with very many nodes, made from the smallest of the fixtures: three controllers, and workers as far as one network of
//! 65,534 hosts goes. Everything about a node that must be its own is made of its number.

use std::fmt::Write as _;

/// Of all nodes; the factory makes it of what an image contains.
const SCHEMATIC: &str = "7b99cc941c71c8743ad36db7e95fe2d2c4806bfd69806fbd8a1d5d6c9ba8d0e1";
/// The first nodes; an odd number keeps its quorum longest.
const CONTROLLERS: u16 = 3;

/// The settings of the smallest cluster in a network that is large enough.
pub(super) fn settings(small: &str) -> String {
    small.replace("192.168.40.0/24", "10.64.0.0/16").replace("192.168.40.", "10.64.0.")
}

/// That many nodes.
pub(super) fn list(count: u16) -> String {
    let mut text = String::from("---\nnodes:\n");
    for number in 1..=count {
        // The network's first 256 addresses are left to the settings.
        let [high, low] = (number + 255).to_be_bytes();
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            r#"  - name: "node-{number}"
    address: "10.64.{high}.{low}"
    controller: {}
    disk: "/dev/sda"
    mac_addr: "5a:64:00:00:{high:02x}:{low:02x}"
    schematic_id: "{SCHEMATIC}"
    nodeLabels:
      topology.kubernetes.io/zone: "rack-{}"
"#,
            number <= CONTROLLERS,
            number % 100,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use portreeve_cluster::inputs::{File, Files, Level, Scope, check};

    #[test]
    fn all_rules_hold() {
        let fixture = crate::command::root().join("crates/cluster/tests/fixtures/minimal/cluster.yaml");
        let mut files = Files::default();
        files.insert(File::Cluster, settings(&std::fs::read_to_string(fixture).unwrap()), None);
        files.insert(File::Nodes, list(10_000), None);
        let (report, values) = check(&files, Scope::Settings);
        assert_eq!(report.count(Level::Error, true), 0, "{}", report.text(false));
        assert_eq!(values.unwrap()["nodes"].items().len(), 10_000);
    }
}

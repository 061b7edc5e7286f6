//! The three clusters are right, and their values are what the settings mean.

use super::support::{CLUSTERS, cluster, files};
use crate::{
    inputs::{Level, Scope, check, table},
    values::{Value, Values},
};

fn values(name: &str) -> Values {
    let (report, values) = check(&files(&cluster(name)), Scope::All);
    values.unwrap_or_else(|| panic!("{name}:\n{}", report.text(false)))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn texts(list: &[&str]) -> Value {
    Value::List(list.iter().copied().map(text).collect())
}

#[test]
fn what_is_right_is_told_no_error_and_every_name_has_a_value() {
    for name in CLUSTERS {
        let values = values(name);
        for var in table::all().filter(|var| !matches!(var.kind, table::Kind::Alias(_))) {
            assert!(values.contains_key(var.name), "{name}: {}", var.name);
        }
        for (derived, _) in table::DERIVED {
            assert!(values.contains_key(*derived), "{name}: {derived}");
        }
    }
}

#[test]
fn notices_of_the_three_are_those_that_are_meant() {
    for (name, expected) in [
        ("minimal", vec![]),
        ("gateway", vec!["V-13 prometheus_storage_class"]),
        (
            "platform",
            vec![
                "W-03 unifi_host",
                "W-02 unifi_host",
                "W-03 proxmox_ccm_enabled",
                "W-02 proxmox_vm_defaults",
            ],
        ),
    ] {
        let (report, _) = check(&files(&cluster(name)), Scope::All);
        assert_eq!(report.count(Level::Error, false), 0);
        let told: Vec<String> =
            report.problems.iter().map(|one| format!("{} {}", one.code, one.key)).collect();
        for one in &expected {
            assert!(told.iter().any(|told| told == one), "{name}: {one} is not in {told:?}");
        }
        if name != "platform" {
            assert_eq!(told, expected);
        }
        let families = report
            .problems
            .iter()
            .filter(|one| !expected.contains(&format!("{} {}", one.code, one.key).as_str()));
        assert!(families.clone().all(|one| one.code == "W-02"), "{name}: {told:?}");
    }
}

#[test]
fn values_of_the_smallest_cluster() {
    let values = values("minimal");
    for (name, expected) in [
        ("node_default_gateway", text("192.168.40.1")),
        ("primary_domain", text("dinghy.example.com")),
        ("cloudflare_domains", texts(&["dinghy.example.com"])),
        ("cloudflare_domain", text("dinghy.example.com")),
        ("k8s_gateway_fallback_dns", texts(&["1.1.1.1", "1.0.0.1"])),
        ("cluster_pod_cidr", text("10.42.0.0/16")),
        ("cert_sans", texts(&["127.0.0.1", "192.168.40.10"])),
        ("spegel_enabled", Value::Bool(false)),
        ("cilium_bgp_enabled", Value::Bool(false)),
        ("proxmox_csi_enabled", Value::Bool(false)),
        ("keycloak_enabled", Value::Bool(false)),
        ("controller_count", Value::Int(1)),
        ("node_vlan_tag", Value::Unset),
        ("keycloak_issuer_url", text("https://auth.dinghy.example.com/realms/k8s-cluster")),
    ] {
        assert_eq!(values[name], expected, "{name}");
    }
    let node = &values["nodes"].items()[0];
    assert_eq!(node.field("mtu"), Some(&Value::Int(1500)));
    assert_eq!(node.field("vm_id"), Some(&Value::Unset));
}

#[test]
fn values_of_the_large_clusters() {
    let gateway = values("gateway");
    for (name, expected) in [
        ("node_vlan_tag", Value::Int(220)),
        ("keycloak_postgres_version", text("16")),
        ("keycloak_enabled", Value::Bool(true)),
        ("cilium_bgp_enabled", Value::Bool(true)),
        ("monitoring_enabled", Value::Bool(true)),
        ("cilium_bgp_router_asn", Value::Int(4_200_000_001)),
    ] {
        assert_eq!(gateway[name], expected, "{name}");
    }
    let platform = values("platform");
    for (name, expected) in [
        ("proxmox_api_url", text("https://10.61.0.5:8006/api2/json")),
        ("cilium_bgp_node_asn", Value::Int(64621)),
        ("obot_hostname", text("crew.agents.example.net")),
        ("obot_backup_enabled", Value::Bool(true)),
        ("obot_keycloak_effective", Value::Bool(true)),
        ("spegel_enabled", Value::Bool(false)),
        ("oidc_google_enabled", Value::Bool(true)),
        ("obot_mcp_max_pods", Value::Int(32)),
        ("k8s_gateway_fallback_dns", texts(&["1.1.1.1"])),
        ("k8s_gateway_enabled", Value::Bool(false)),
    ] {
        assert_eq!(platform[name], expected, "{name}");
    }
    assert_eq!(platform["nodes"].items()[0].field("mac_addr"), Some(&text("5a:3c:00:0b:00:01")));
    let Value::Secret(password) = &platform["litellm_db_password"] else { panic!("no secret") };
    assert_eq!(password.expose(), "~ yes: no, on/off? 0123 null 1e3 fixture");
}

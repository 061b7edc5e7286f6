//! Schemas, page and explanations are those of the table.

use super::support::{CLUSTERS, fixtures};
use crate::inputs::{self, Own, RULES, Unknown, nodes_schema, table};
use portreeve_yaml::{Data, Node, Style, parse};
use serde_json::{Value, json};

fn cluster_schema() -> Value {
    inputs::cluster_schema(&Own::default())
}

fn explain(name: &str) -> Result<String, Unknown> {
    inputs::explain(name, &Own::default())
}

fn page() -> String {
    inputs::page(&Own::default())
}

fn list() -> String {
    inputs::list(&Own::default())
}

/// The value of a tree as an editor's YAML parser sees it.
fn value(node: &Node) -> Value {
    match &node.data {
        Data::Empty => Value::Null,
        Data::Scalar(scalar) if scalar.style == Style::Quoted => json!(scalar.text),
        Data::Scalar(scalar) => {
            let number = scalar.text.parse::<i64>().map(|number| json!(number)).ok();
            let number = number.or_else(|| scalar.text.parse::<f64>().map(|number| json!(number)).ok());
            let flag = scalar.text.parse::<bool>().map(|flag| json!(flag)).ok();
            number.or(flag).unwrap_or_else(|| json!(scalar.text))
        }
        Data::List(items) => items.iter().map(value).collect(),
        Data::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect(),
    }
}

fn faults(schema: &Value, text: &str) -> Vec<String> {
    let schema = jsonschema::validator_for(schema).unwrap();
    schema.iter_errors(&value(&parse(text).unwrap())).map(|fault| fault.to_string()).collect()
}

#[test]
fn the_schemas_take_the_clusters_that_are_right() {
    for name in CLUSTERS {
        for (file, schema) in [("cluster.yaml", cluster_schema()), ("nodes.yaml", nodes_schema())] {
            let text = std::fs::read_to_string(fixtures().join(name).join(file)).unwrap();
            assert_eq!(faults(&schema, &text), Vec::<String>::new(), "{name}/{file}");
        }
    }
}

#[test]
fn the_schemas_refuse_what_one_value_gets_wrong() {
    let minimal = std::fs::read_to_string(fixtures().join("minimal/cluster.yaml")).unwrap();
    for wrong in [
        "repository_brunch: main",
        "exposure: tunel",
        "mcp_rate_limit_requests: \"240\"",
        "node_vlan_tag: 4095",
        "cilium_lb_pool_cidr: 10.0.0.0",
        "obot_encryption_key: short",
        "obot_keycloak_cookie_secret: short",
        "primary_domain: a.example.com",
        "google_domain_role_mapping: {domain: example.com}",
    ] {
        assert_eq!(faults(&cluster_schema(), &format!("{minimal}{wrong}\n")).len(), 1, "{wrong}");
    }
    assert!(!faults(&nodes_schema(), "nodes: [{name: a}]").is_empty());
}

#[test]
fn the_page_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster-variables.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text == page(),
        "stale: run `cargo run -- cluster schema --markdown > docs/cluster-variables.md`"
    );
    assert!(table::all().all(|var| text.contains(&format!("| `{}` |", var.name))));
}

#[test]
fn everything_can_be_explained() {
    for name in table::all().chain(table::NODE).map(|var| var.name) {
        assert!(explain(name).unwrap().contains("value:"), "{name}");
    }
    for rule in RULES {
        assert!(explain(rule.code).unwrap().starts_with(rule.code));
    }
    let lines = list().lines().count();
    assert_eq!(lines, table::GROUPS.len() + 1 + table::all().chain(table::NODE).count());
}

#[test]
fn an_explanation_has_what_the_table_says() {
    let expected = "redis_password (cluster.yaml, “Redis”)
  The password of Redis, which keeps sign-on sessions of the MCP gateway and the cache of LiteLLM.
  value:    secret
  required: with `mcp_gateway_enabled`, or `litellm_enabled`
  rendered: phase 2
";
    assert_eq!(explain("redis_password").unwrap(), expected);
    assert!(explain("proxmox_api_url").unwrap().contains("also:     proxmox_endpoint\n"));
    assert!(explain("nodes.mtu").unwrap().starts_with("nodes[].mtu (nodes.yaml)"));
    assert!(explain("primary_domain").unwrap().contains("Cannot be set"));
    assert!(explain("minio_enabled").unwrap().contains("none here"));
    let error = explain("repository_brunch").unwrap_err().to_string();
    assert_eq!(error, "`repository_brunch` is not a setting; did you mean `repository_branch`?");
}

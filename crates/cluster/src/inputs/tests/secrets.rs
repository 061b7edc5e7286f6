//! Nothing that is secret is told, whatever is wrong around it.

use super::support::{cluster, files};
use crate::inputs::{Report, Scope, check};

const SECRET: &str = "hunter2-of-the-harbour";

fn report(text: &str) -> Report {
    let mut texts = cluster("minimal");
    texts.insert("cluster.yaml".to_owned(), (text.to_owned(), 0o600));
    check(&files(&texts), Scope::All).0
}

#[test]
fn no_finding_repeats_a_secret() {
    for text in [
        format!("clodflare_token: {SECRET}"),
        format!("cloudflare_token: {SECRET} # was {SECRET}\ncloudflare_token: {SECRET}"),
        format!("cloudflare_token: [{SECRET}]"),
        format!("cloudflare_token: \"{SECRET}\nnode_cidr: 1"),
        format!("obot_encryption_key: {SECRET} # {SECRET}"),
        format!("obot_encryption_key: |\n  {SECRET}\n  {SECRET}\nnode_cidr: {{}}"),
        format!(
            "{{obot_encryption_key: \"{SECRET}\", node_cidr: 10.0.0.1/8, \"litellm_master_key\": '{SECRET}'}}"
        ),
        SECRET.to_owned(),
        format!("- {SECRET}"),
        format!(
            "node_cidr: \"10.0.0.1/8\" # {SECRET}\nnode_vlan_tag: '9999' # {SECRET}\ncluster_pod_cidr: 1 # {SECRET}"
        ),
        format!("extra: {{deep: [{SECRET}, {{more: {SECRET}}}]}}"),
        format!("node_cidr: {{a: {SECRET}}}"),
        format!("primary_domain: {SECRET}"),
        format!("proxmox_vm_advanced: {{token: {SECRET}}}\nproxmox_vm_advanced: 1"),
        format!(
            "grafana_admin_password: &it {SECRET}\nkeycloak_admin_password: *it\nredis_password: !!str {SECRET}"
        ),
    ] {
        let report = report(&text);
        assert!(!report.problems.is_empty(), "{text}");
        let said = format!("{}{}{:?}", report.text(false), report.json(false), report.problems);
        assert!(!said.contains("hunter2"), "{text}\n{said}");
    }
}

#[test]
fn a_secret_of_the_wrong_form_is_told_by_its_length() {
    let said = report("obot_encryption_key: \"short\"\n").text(false);
    let expected = "error[V-17]: this secret of 5 characters must be base64 of exactly 32 bytes
  --> cluster.yaml:1:22
   |
 1 | obot_encryption_key: <redacted, 5 chars>
   |                      ^^^^^^^^^^^^^^^^^^^
";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn keys_beside_the_settings_are_not_repeated() {
    let mut texts = cluster("gateway");
    for name in ["age.key", "cloudflare-tunnel.json", "github-deploy.key", "github-push-token.txt"] {
        texts.insert(name.to_owned(), (format!("{SECRET} {SECRET}: {{"), 0o644));
    }
    let report = check(&files(&texts), Scope::All).0;
    assert!(report.problems.iter().filter(|one| one.code == "V-25").count() >= 4, "{}", report.text(false));
    assert!(!report.text(false).contains("hunter2") && !report.json(true).to_string().contains("hunter2"));
}

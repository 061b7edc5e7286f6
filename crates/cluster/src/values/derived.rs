//! What follows from other settings: the defaults that are computed, and names that cannot be set. Each says what it is made of
//! and sees nothing else, so the order is found and not written down. What is made of an unknown value is unknown.

use super::{Value, Values};
use crate::inputs::net::Net;
use std::{collections::BTreeSet, net::Ipv4Addr};

/// A value that follows from others.
#[derive(Debug)]
pub struct Derived {
    /// Its name.
    pub name: &'static str,
    /// What it is made of.
    pub from: &'static [&'static str],
    make: fn(&View<'_>) -> Value,
}

/// The values that one derivation may see.
struct View<'a> {
    values: &'a Values,
    from: &'static [&'static str],
}

impl View<'_> {
    fn get(&self, name: &str) -> &Value {
        static UNSET: Value = Value::Unset;
        let seen = self.from.contains(&name);
        debug_assert!(seen, "{name} is not among {:?}", self.from);
        self.values.get(name).filter(|_| seen).unwrap_or(&UNSET)
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).text().unwrap_or_default()
    }

    fn on(&self, name: &str) -> bool {
        self.get(name).flag() == Some(true)
    }

    fn set(&self, name: &str) -> bool {
        self.get(name).is_set()
    }

    fn all(&self, test: fn(&Self, &str) -> bool) -> Value {
        Value::Bool(self.from.iter().all(|name| test(self, name)))
    }
}

/// Adds what follows from the values that are there; what is there already stays. A name that is missing is unknown, and so is
/// whatever is made of it; so are the names in `unknown`, which were given and cannot be used.
pub fn derive(values: &mut Values, unknown: &BTreeSet<&str>) {
    let open = |derived: &&Derived| !values.contains_key(derived.name) && !unknown.contains(derived.name);
    let mut pending: Vec<&Derived> = DERIVED.iter().filter(open).collect();
    loop {
        let before = pending.len();
        pending.retain(|derived| {
            if !derived.from.iter().all(|name| values.contains_key(*name)) {
                return true;
            }
            let value = (derived.make)(&View { values, from: derived.from });
            values.insert(derived.name.to_owned(), value);
            false
        });
        if pending.len() == before {
            return;
        }
    }
}

const fn derived(name: &'static str, from: &'static [&'static str], make: fn(&View<'_>) -> Value) -> Derived {
    Derived { name, from, make }
}

/// Everything that follows from other settings.
pub const DERIVED: &[Derived] = &[
    derived("node_default_gateway", &["node_cidr"], |view| {
        let first = Net::parse(view.text("node_cidr")).ok().and_then(|net| net.nth(1));
        first.map_or(Value::Unset, |first| text(first.to_string()))
    }),
    derived("primary_domain", &["cloudflare_domains"], |view| {
        view.get("cloudflare_domains").items().first().cloned().unwrap_or(Value::Unset)
    }),
    derived("cloudflare_domain", &["primary_domain"], |view| view.get("primary_domain").clone()),
    derived("k8s_gateway_fallback_dns", &["node_dns_servers"], fallback_dns),
    derived(
        "cilium_bgp_enabled",
        &["cilium_bgp_router_addr", "cilium_bgp_router_asn", "cilium_bgp_node_asn"],
        |view| view.all(View::set),
    ),
    derived("spegel_enabled", &["nodes"], |view| Value::Bool(view.get("nodes").items().len() > 1)),
    derived("controller_count", &["nodes"], |view| {
        let controls = |node: &&Value| node.field("controller").and_then(Value::flag) == Some(true);
        Value::Int(
            i64::try_from(view.get("nodes").items().iter().filter(controls).count()).unwrap_or(i64::MAX),
        )
    }),
    derived("cert_sans", &["cluster_api_addr", "cluster_api_tls_sans"], |view| {
        let mut names = vec![text("127.0.0.1"), view.get("cluster_api_addr").clone()];
        names.extend_from_slice(view.get("cluster_api_tls_sans").items());
        Value::List(names)
    }),
    derived("proxmox_csi_enabled", &["proxmox_csi_token_id", "proxmox_csi_token_secret"], |view| {
        view.all(View::set)
    }),
    derived("cnpg_storage_class", &["storage_class"], |view| view.get("storage_class").clone()),
    derived("rustfs_storage_class", &["storage_class"], |view| view.get("storage_class").clone()),
    derived("obot_storage_class", &["storage_class"], |view| view.get("storage_class").clone()),
    derived("keycloak_enabled", &["mcp_gateway_enabled"], |view| Value::Bool(view.on("mcp_gateway_enabled"))),
    derived("keycloak_hostname", &["keycloak_subdomain", "primary_domain"], |view| {
        text(format!("{}.{}", view.text("keycloak_subdomain"), view.text("primary_domain")))
    }),
    derived("keycloak_issuer_url", &["keycloak_hostname", "keycloak_realm"], |view| {
        text(format!("https://{}/realms/{}", view.text("keycloak_hostname"), view.text("keycloak_realm")))
    }),
    derived("keycloak_jwks_uri", &["keycloak_issuer_url"], |view| {
        text(format!("{}/protocol/openid-connect/certs", view.text("keycloak_issuer_url")))
    }),
    derived("keycloak_internal_issuer_url", &["keycloak_namespace", "keycloak_realm"], |view| {
        let host = format!("keycloak-service.{}.svc.cluster.local:8080", view.text("keycloak_namespace"));
        text(format!("http://{host}/realms/{}", view.text("keycloak_realm")))
    }),
    derived("oidc_cookie_domain", &["primary_domain"], |view| view.get("primary_domain").clone()),
    derived("ai_gateway_hostname", &["primary_domain"], |view| {
        text(format!("llms.{}", view.text("primary_domain")))
    }),
    derived("mcp_hostname", &["primary_domain"], |view| text(format!("mcp.{}", view.text("primary_domain")))),
    derived("obot_hostname", &["obot_subdomain", "primary_domain"], |view| {
        text(format!("{}.{}", view.text("obot_subdomain"), view.text("primary_domain")))
    }),
    derived("obot_chart_version", &["obot_version"], |view| view.get("obot_version").clone()),
    derived("obot_keycloak_effective", &["keycloak_enabled", "obot_keycloak_enabled"], |view| {
        view.all(View::on)
    }),
    derived("obot_monitoring_effective", &["monitoring_enabled", "obot_monitoring_enabled"], |view| {
        view.all(View::on)
    }),
    derived("obot_tracing_effective", &["tracing_enabled", "obot_tracing_enabled"], |view| {
        view.all(View::on)
    }),
    derived("obot_litellm_effective", &["litellm_enabled", "obot_litellm_enabled"], |view| {
        view.all(View::on)
    }),
    derived("obot_keycloak_base_url", &["keycloak_hostname"], |view| {
        text(format!("https://{}", view.text("keycloak_hostname")))
    }),
    derived("obot_keycloak_realm", &["keycloak_realm"], |view| view.get("keycloak_realm").clone()),
    derived("obot_keycloak_issuer_url", &["keycloak_issuer_url"], |view| {
        view.get("keycloak_issuer_url").clone()
    }),
    derived("obot_backup_enabled", &["rustfs_enabled", "obot_s3_access_key", "obot_s3_secret_key"], |view| {
        Value::Bool(
            view.on("rustfs_enabled") && view.set("obot_s3_access_key") && view.set("obot_s3_secret_key"),
        )
    }),
    derived("unifi_dns_enabled", &[], |_| Value::Bool(false)),
    derived("k8s_gateway_enabled", &["cluster_dns_gateway_addr"], |view| {
        Value::Bool(view.set("cluster_dns_gateway_addr"))
    }),
];

fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

/// The name servers that are not of a private network; one that answers from everywhere is always among them.
fn fallback_dns(view: &View<'_>) -> Value {
    const EVERYWHERE: &str = "1.1.1.1";
    let public = |server: &&Value| {
        let address = server.text().and_then(|text| text.parse::<Ipv4Addr>().ok());
        address.is_some_and(|address| {
            !address.is_private() && !address.is_loopback() && !address.is_link_local()
        })
    };
    let mut servers: Vec<Value> =
        view.get("node_dns_servers").items().iter().filter(public).cloned().collect();
    if !servers.iter().any(|server| server.text() == Some(EVERYWHERE)) {
        servers.push(text(EVERYWHERE));
    }
    Value::List(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_derived_can_be_and_in_whatever_order() {
        let mut values: Values = DERIVED
            .iter()
            .flat_map(|derived| derived.from)
            .map(|name| ((*name).to_owned(), Value::Unset))
            .collect();
        values.retain(|name, _| !DERIVED.iter().any(|derived| derived.name == name));
        derive(&mut values, &BTreeSet::new());
        for derived in DERIVED {
            assert!(values.contains_key(derived.name), "{} waits for itself", derived.name);
        }
    }

    #[test]
    fn what_is_made_of_an_unknown_value_is_unknown() {
        let mut values = Values::from([("keycloak_subdomain".to_owned(), text("auth"))]);
        derive(&mut values, &BTreeSet::new());
        assert!(!values.contains_key("keycloak_hostname") && values.contains_key("unifi_dns_enabled"));
    }

    #[test]
    fn private_name_servers_are_no_fallback() {
        let servers = ["10.0.0.1", "198.51.100.53"].map(text).to_vec();
        let mut values = Values::from([("node_dns_servers".to_owned(), Value::List(servers))]);
        derive(&mut values, &BTreeSet::new());
        assert_eq!(
            values["k8s_gateway_fallback_dns"],
            Value::List(["198.51.100.53", "1.1.1.1"].map(text).to_vec())
        );
    }
}

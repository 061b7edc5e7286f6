//! `cargo xtask cluster inventory`: the objects that the renderer makes of the fixtures' clusters, against the objects that
//! trees of the same kind have. The list lies beside the repository and is only read. What is missing has a reason here, and a
//! reason that nothing needs is a fault too.

use crate::command::{self, Outcome, cargo, command};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;

/// What to look at.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Compare what is rendered with the list of what such clusters have
    Inventory {
        /// The list
        #[arg(long, default_value = "../shared/reference/data/renderer-inventory.tsv")]
        reference: PathBuf,
    },
}

/// Each cluster of ours with the tree, and its fixture, that it is compared with.
const PAIRS: [(&str, &str, &str); 3] = [
    ("minimal", "jrm-seed001", "private"),
    ("gateway", "jrm-seed001", "public"),
    ("platform", "mn-seed000", "all"),
];

/// Where the files of phase one lie.
const PHASE_ONE: [&str; 22] = [
    ".sops.yaml",
    "bootstrap/",
    "talos/",
    "kubernetes/flux/",
    "kubernetes/components/",
    "kubernetes/apps/cert-manager/cert-manager/",
    "kubernetes/apps/cert-manager/kustomization.yaml",
    "kubernetes/apps/cert-manager/namespace.yaml",
    "kubernetes/apps/default/",
    "kubernetes/apps/flux-system/flux-instance/",
    "kubernetes/apps/flux-system/flux-operator/",
    "kubernetes/apps/flux-system/kustomization.yaml",
    "kubernetes/apps/flux-system/namespace.yaml",
    "kubernetes/apps/kube-system/cilium/",
    "kubernetes/apps/kube-system/coredns/",
    "kubernetes/apps/kube-system/kustomization.yaml",
    "kubernetes/apps/kube-system/metrics-server/",
    "kubernetes/apps/kube-system/reloader/",
    "kubernetes/apps/kube-system/spegel/",
    "kubernetes/apps/network/cloudflare-",
    "kubernetes/apps/network/envoy-gateway/",
    "kubernetes/apps/network/k8s-gateway/",
];

const LATER: &str =
    "belongs to the gateways for models and MCP and to single sign-on, which are rendered later";
const OWN_DOMAIN: &str = "is named after the domain of the cluster, and there the domain is another";
const ONE_NODE: &str = "one node has nobody to hand images to";
const HUBBLE: &str = "only with `hubble_enabled` and `hubble_ui_enabled`";
const ONE_POD: &str = "has one pod, and a budget for one pod only keeps nodes from being drained";
const OWN_PLACE: &str = "belongs to an application that is rendered later, and will lie beside it";
const UNIFI: &str = "UniFi answers for the domains of this cluster";
const OFF: &str = "is switched off in this cluster";

/// What is missing on purpose: our cluster (or all), how the object begins, and why.
const REASONS: &[(&str, &str, &str)] = &[
    ("*", "cert-manager.io/Certificate/", OWN_DOMAIN),
    ("minimal", "/Secret/github-deploy-key", "the repository of this cluster is public"),
    ("minimal", "helm.toolkit.fluxcd.io/HelmRelease/spegel", ONE_NODE),
    ("minimal", "kustomize.toolkit.fluxcd.io/Kustomization/spegel", ONE_NODE),
    ("minimal", "source.toolkit.fluxcd.io/OCIRepository/spegel", ONE_NODE),
    ("minimal", "kubernetes/apps/kube-system/spegel/", ONE_NODE),
    ("minimal", "gateway.networking.k8s.io/HTTPRoute/hubble-ui", HUBBLE),
    ("gateway", "gateway.networking.k8s.io/HTTPRoute/hubble-ui", HUBBLE),
    (
        "gateway",
        "cilium.io/CiliumL2AnnouncementPolicy/l2-policy",
        "BGP announces the addresses of this cluster",
    ),
    ("gateway", "gateway.networking.k8s.io/Gateway/envoy-auth", LATER),
    ("gateway", "gateway.networking.k8s.io/Gateway/envoy-ai", LATER),
    ("gateway", "gateway.networking.k8s.io/Gateway/envoy-mcp", LATER),
    ("gateway", "gateway.envoyproxy.io/ClientTrafficPolicy/envoy-", LATER),
    ("gateway", "gateway.envoyproxy.io/BackendTrafficPolicy/envoy-", LATER),
    ("gateway", "gateway.envoyproxy.io/BackendTrafficPolicy/mcp-", LATER),
    ("gateway", "gateway.envoyproxy.io/SecurityPolicy/", LATER),
    ("gateway", "gateway.networking.k8s.io/HTTPRoute/oidc-callback-", LATER),
    ("gateway", "/Secret/keycloak-oidc-client-secret", LATER),
    ("gateway", "/Service/oidc-callback-placeholder", LATER),
    ("platform", "policy/PodDisruptionBudget/cert-manager", ONE_POD),
    ("platform", "policy/PodDisruptionBudget/envoy-gateway", ONE_POD),
    ("platform", "gateway.networking.k8s.io/ReferenceGrant/", "routes lie beside their services here"),
    ("platform", "gateway.networking.k8s.io/HTTPRoute/grafana", OWN_PLACE),
    ("platform", "gateway.networking.k8s.io/HTTPRoute/rustfs-console", OWN_PLACE),
    ("platform", "gateway.networking.k8s.io/HTTPRoute/litellm", OWN_PLACE),
    ("platform", "gateway.networking.k8s.io/HTTPRoute/langfuse", OWN_PLACE),
    ("platform", "gateway.networking.k8s.io/HTTPRoute/obot", OWN_PLACE),
    ("platform", "gateway.envoyproxy.io/SecurityPolicy/", LATER),
    ("platform", "/Secret/oidc-client-secret", LATER),
    ("platform", "helm.toolkit.fluxcd.io/HelmRelease/spegel", OFF),
    ("platform", "kustomize.toolkit.fluxcd.io/Kustomization/spegel", OFF),
    ("platform", "source.toolkit.fluxcd.io/OCIRepository/spegel", OFF),
    ("platform", "kubernetes/apps/kube-system/spegel/", OFF),
    ("platform", "helm.toolkit.fluxcd.io/HelmRelease/k8s-gateway", UNIFI),
    ("platform", "kustomize.toolkit.fluxcd.io/Kustomization/k8s-gateway", UNIFI),
    ("platform", "source.toolkit.fluxcd.io/OCIRepository/k8s-gateway", UNIFI),
    ("platform", "kubernetes/apps/network/k8s-gateway/", UNIFI),
    ("platform", "talos/patches/controller/machine-talos-api", "is for programs that are rendered later"),
    ("platform", "talos/patches/global/machine-cloud-provider", "the cloud controller is rendered later"),
    ("platform", "talos/patches/global/machine-logging", "logs are collected later"),
];

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let What::Inventory { reference } = &arguments.what;
    let Ok(text) = fs::read_to_string(command::root().join(reference)) else {
        println!("SKIPPED: {} is not there", reference.display());
        return Ok(());
    };
    build()?;
    let mut used = BTreeSet::new();
    let mut nameless = 0;
    for (ours, tree, fixture) in PAIRS {
        let there = rendered(ours)?;
        let expected: BTreeMap<String, &str> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{tree}\t{fixture}\t")))
            .filter(|row| PHASE_ONE.iter().any(|place| row.starts_with(place)))
            .map(|row| (identity(row), row.split('\t').next().unwrap_or_default()))
            .collect();
        println!("{ours}: {} objects, compared with {} of {tree} {fixture}", there.len(), expected.len());
        for (object, file) in expected.iter().filter(|(object, _)| !there.contains(*object)) {
            let reason = REASONS.iter().position(|(cluster, begin, _)| {
                (*cluster == "*" || *cluster == ours) && object.starts_with(begin)
            });
            match reason {
                Some(reason) => {
                    used.insert(reason);
                    println!("  not there: {object}: {}", REASONS[reason].2);
                }
                None => {
                    nameless += 1;
                    println!("  MISSING: {object} ({file})");
                }
            }
        }
    }
    let idle: Vec<&str> = (0..REASONS.len()).filter(|n| !used.contains(n)).map(|n| REASONS[n].1).collect();
    println!("missing without a reason: {nameless}; reasons that nothing needs: {idle:?}");
    if nameless > 0 || !idle.is_empty() {
        return Err("the inventory does not hold".into());
    }
    Ok(())
}

/// What an object is known by, whatever version its group is at; a file that is no object by its path.
fn identity(row: &str) -> String {
    let fields: Vec<&str> = row.split('\t').collect();
    let [file, version, kind, _, name] = fields[..] else { return row.trim().to_owned() };
    if name.is_empty() {
        return file.to_owned();
    }
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    format!("{group}/{kind}/{name}")
}

/// A cluster of the fixtures with fresh keys beside it, ready to be configured.
pub(crate) fn prepared(name: &str) -> Result<TempDir, Box<dyn Error>> {
    prepared_by(&debug()?, name)
}

/// The same, with keys that this program makes.
pub(crate) fn prepared_by(program: &Path, name: &str) -> Result<TempDir, Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let fixture = command::root().join("crates/cluster/tests/fixtures").join(name);
    for file in ["cluster.yaml", "nodes.yaml"] {
        fs::copy(fixture.join(file), place.path().join(file))?;
    }
    let tunnel = r#"{"AccountTag": "account", "TunnelID": "tunnel", "TunnelSecret": "secret"}"#;
    fs::write(place.path().join("cloudflare-tunnel.json"), tunnel)?;
    let deploy = "-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n-----END OPENSSH PRIVATE KEY-----\n";
    fs::write(place.path().join("github-deploy.key"), deploy)?;
    output(program, &["cluster", "init"], place.path())?;
    Ok(place)
}

/// What the program makes of it.
fn rendered(name: &str) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let place = prepared(name)?;
    let listed = portreeve(&["cluster", "render", "--list"], place.path())?;
    Ok(listed.lines().map(identity).collect())
}

/// Builds the program that the next functions run.
pub(crate) fn build() -> Outcome {
    Ok(command::run(cargo(&["build", "--package", "portreeve"]))?)
}

/// The program's own output.
pub(crate) fn portreeve(words: &[&str], place: &Path) -> Result<String, Box<dyn Error>> {
    output(&debug()?, words, place)
}

fn debug() -> Result<PathBuf, Box<dyn Error>> {
    Ok(command::target_folder()?.join("debug/portreeve"))
}

fn output(program: &Path, words: &[&str], place: &Path) -> Result<String, Box<dyn Error>> {
    let mut command = command(&program.display().to_string(), words);
    let output = command.arg(place).stderr(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("`portreeve {}` ended with {}", words.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

//! Applications: what one needs of another, storage classes, amounts, host names.

use super::{Given, Problem};
use crate::inputs::table::{self, GROUPS, Phase};

/// The class that the storage driver of Proxmox makes, and how the names of its others begin.
const CSI_CLASS: &str = "proxmox-csi";

/// What is promised, and what it may be at most.
const AMOUNTS: &[(&str, &str)] = &[
    ("obot_mcp_cpu_requests_quota", "obot_mcp_cpu_limits_quota"),
    ("obot_mcp_memory_requests_quota", "obot_mcp_memory_limits_quota"),
    ("obot_mcp_default_cpu_request", "obot_mcp_default_cpu_limit"),
    ("obot_mcp_default_cpu_limit", "obot_mcp_max_cpu"),
    ("obot_mcp_default_memory_request", "obot_mcp_default_memory_limit"),
    ("obot_mcp_default_memory_limit", "obot_mcp_max_memory"),
    ("obot_cpu_request", "obot_cpu_limit"),
    ("obot_memory_request", "obot_memory_limit"),
];

/// Applications with a host name below the first domain: the switch, and the setting of the first label or the label itself.
const HOSTS: &[(&str, &str)] = &[
    ("keycloak_enabled", "keycloak_subdomain"),
    ("envoy_ai_gateway_enabled", "llms"),
    ("mcp_gateway_enabled", "mcp"),
    ("obot_enabled", "obot_subdomain"),
    ("litellm_enabled", "litellm_subdomain"),
    ("rustfs_enabled", "rustfs_subdomain"),
    ("monitoring_enabled", "grafana_subdomain"),
];

pub(super) fn check(given: &Given, problems: &mut Vec<Problem>) {
    sign_on(given, problems);
    obot(given, problems);
    classes(given, problems);
    amounts(given, problems);
    hosts(given, problems);
    vectors(given, problems);
}

fn sign_on(given: &Given, problems: &mut Vec<Problem>) {
    let users: Vec<&str> =
        ["oidc_enabled", "mcp_gateway_enabled"].into_iter().filter(|name| given.on(name)).collect();
    if let (Some(user), Some(false)) = (users.first(), given.flag("keycloak_enabled")) {
        let named =
            users.iter().map(|user| format!("`{}`", given.spelled(user))).collect::<Vec<_>>().join(" and ");
        let verb = if users.len() == 1 { "needs" } else { "need" };
        let what = format!("{named} {verb} Keycloak, which is off");
        let (key, mend) = match given.has("keycloak_enabled") {
            true => ("keycloak_enabled", "remove it, or set it to true"),
            false => (*user, "set `mcp_gateway_enabled: true` or `keycloak_enabled: true`"),
        };
        let mut problem = Problem::error("V-11", given.place(key), key, what).mend(mend);
        if key == "keycloak_enabled" {
            problem = users
                .iter()
                .fold(problem, |problem, user| problem.other(given.place(user), format!("`{user}`")));
        }
        problems.push(problem);
    }
    if given.has("oidc_github_team") && given.unset("oidc_github_org") {
        let what = "a team belongs to an organisation, and none is named";
        let problem = Problem::error("V-33", given.place("oidc_github_team"), "oidc_github_team", what);
        problems.push(problem.mend("set `oidc_github_org` as well"));
    }
    let (Some(cookie), Some(domains)) = (given.text("oidc_cookie_domain"), given.value("cloudflare_domains"))
    else {
        return;
    };
    let reached = |domain: &str| domain == cookie || domain.ends_with(&format!(".{cookie}"));
    let left = domains.items().iter().filter_map(|domain| domain.text()).find(|domain| !reached(domain));
    if let Some(left) = left.filter(|_| given.on("oidc_enabled")) {
        let what = format!("a cookie of {cookie} does not reach the hosts of {left}");
        let problem = Problem::error("V-32", given.place("oidc_cookie_domain"), "oidc_cookie_domain", what);
        problems.push(
            problem.mend("set it to a domain that all `cloudflare_domains` end with, or use one domain"),
        );
    }
}

fn obot(given: &Given, problems: &mut Vec<Problem>) {
    if !given.on("obot_enabled") {
        return;
    }
    let sign_on = given.on("obot_keycloak_enabled").then_some(("keycloak_enabled", "obot_keycloak_enabled"));
    let base = [("cnpg_enabled", "obot_enabled"), ("cnpg_pgvector_enabled", "obot_enabled")];
    for (needed, by) in base.into_iter().chain(sign_on) {
        if given.flag(needed) == Some(false) {
            let at = if given.has(needed) { needed } else { by };
            let what = format!("`{by}` needs `{needed}`, which is off");
            let mut problem = Problem::error("V-14", given.place(at), needed, what);
            if at != by {
                problem = problem.other(given.place(by), format!("`{by}`"));
            }
            problems.push(problem.mend(format!("set `{needed}: true`, or `{by}: false`")));
        }
    }
    let replicas = given.int("obot_replicas").filter(|replicas| *replicas > 1);
    if let (Some(replicas), Some("directory")) = (replicas, given.text("obot_workspace_provider")) {
        let what = format!(
            "{replicas} pods cannot share files in a directory: its volume can be written from one node only"
        );
        let mut problem = Problem::error("V-15", given.place("obot_replicas"), "obot_replicas", what);
        if given.has("obot_workspace_provider") {
            problem = problem.other(given.place("obot_workspace_provider"), "`obot_workspace_provider`");
        }
        problems.push(problem.mend("set `obot_replicas: 1`, or `obot_workspace_provider: s3`"));
    }
    for name in ["obot_postgres_user", "obot_postgres_db"] {
        if let Some(taken) = given.text(name).filter(|text| matches!(*text, "postgres" | "streaming_replica"))
        {
            let what = format!("`{taken}` belongs to PostgreSQL itself");
            problems.push(
                Problem::error("V-04", given.place(name), name, what)
                    .mend("choose another name, such as `obot`"),
            );
        }
    }
    namespace(given, problems);
}

/// The servers of obot are kept apart by a namespace that nobody else has.
fn namespace(given: &Given, problems: &mut Vec<Problem>) {
    const TAKEN: [&str; 20] = [
        "ai-system",
        "auth-system",
        "cert-manager",
        "cnpg-system",
        "csi-proxmox",
        "database",
        "default",
        "envoy-ai-gateway-system",
        "flux-system",
        "kube-node-lease",
        "kube-public",
        "kube-system",
        "monitoring",
        "network",
        "storage",
        "system-upgrade",
        "cache",
        "cluster-policies",
        "external-secrets",
        "identity",
    ];
    let name = "obot_mcp_namespace";
    let taken = given
        .text(name)
        .filter(|text| TAKEN.contains(text) || given.text("keycloak_namespace") == Some(text));
    if let Some(taken) = taken {
        let what = format!("the namespace `{taken}` is used by the platform");
        problems.push(
            Problem::error("V-04", given.place(name), name, what)
                .mend("choose one of its own, such as `obot-mcp`"),
        );
    }
}

fn classes(given: &Given, problems: &mut Vec<Problem>) {
    let driver = given.flag("proxmox_csi_enabled");
    let extra: Vec<&str> = given
        .value("extra_storage_classes")
        .map(|list| list.items().iter().filter_map(|item| item.text()).collect())
        .unwrap_or_default();
    let names = GROUPS.iter().filter(|group| group.phase != Phase::Later).flat_map(|group| group.vars);
    for name in names.map(|var| var.name).filter(|name| name.ends_with("storage_class")) {
        let Some(class) = given.text(name).filter(|_| given.has(name) || used(given, name)) else { continue };
        let made = class == CSI_CLASS || class.starts_with("proxmox-csi-");
        if extra.contains(&class) || (made && driver != Some(false)) {
            continue;
        }
        let problem = if made {
            let how = if given.has(name) { "" } else { " by default" };
            let what = format!(
                "`{name}` is `{class}`{how}, a class that only the storage driver of Proxmox makes, which is off"
            );
            let mend = "set `proxmox_csi_token_id` and `proxmox_csi_token_secret`, or name another class";
            Problem::error("V-13", given.place(name), name, what).mend(mend)
        } else if given.has(name) {
            let what = format!("nothing here makes the storage class `{class}`");
            let mend = format!("if somebody else makes it: `extra_storage_classes: [\"{class}\"]`");
            Problem::warning("V-13", given.place(name), name, what).mend(mend)
        } else {
            continue;
        };
        problems.push(problem);
    }
}

/// Whether volumes of a class that is left to its default are made.
fn used(given: &Given, name: &str) -> bool {
    match name {
        "mcp_storage_class" => given.on("keycloak_enabled") || given.on("mcp_gateway_enabled"),
        "prometheus_storage_class" => given.on("monitoring_enabled"),
        _ => false,
    }
}

fn amounts(given: &Given, problems: &mut Vec<Problem>) {
    for (low, high) in AMOUNTS {
        let (Some(less), Some(more)) = (given.text(low), given.text(high)) else { continue };
        let (Some(least), Some(most)) = (amount(less), amount(more)) else { continue };
        if least <= most || !(given.has(low) || given.has(high)) {
            continue;
        }
        let at = if given.has(low) { low } else { high };
        let what = format!("`{low}` {less} is more than `{high}` {more}");
        let mut problem = Problem::error("V-16", given.place(at), *at, what);
        if at == low && given.has(high) {
            problem = problem.other(given.place(high), format!("`{high}`"));
        }
        problems.push(problem.mend(format!("lower `{low}`, or raise `{high}`")));
    }
}

/// An amount of processors in thousandths, or one of bytes.
fn amount(text: &str) -> Option<u128> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u128 = text[..split].parse().ok()?;
    let factor = match &text[split..] {
        "" => 1000,
        "m" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn hosts(given: &Given, problems: &mut Vec<Problem>) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (_, setting) in HOSTS.iter().filter(|(switch, _)| given.on(switch)) {
        let label = if table::find(setting).is_some() { given.text(setting) } else { Some(*setting) };
        let Some(label) = label else { continue };
        let Some((_, first)) = seen.iter().find(|(other, _)| *other == label) else {
            seen.push((label, setting));
            continue;
        };
        // Of two it is the one that can be changed, and that somebody did change.
        let at = [*setting, first].into_iter().find(|name| given.has(name)).unwrap_or(setting);
        let other = if at == *setting { first } else { setting };
        let what = format!("two applications have the host name `{label}` (`{other}`)");
        let mut problem = Problem::error("V-34", given.place(at), at, what);
        if given.has(other) {
            problem = problem.other(given.place(other), format!("`{other}`"));
        }
        problems.push(problem.mend("choose another first label for one of them"));
    }
}

fn vectors(given: &Given, problems: &mut Vec<Problem>) {
    if given.on("cnpg_backup_enabled") && given.flag("cnpg_barman_plugin_enabled") == Some(false) {
        let name = "cnpg_barman_plugin_enabled";
        let what = "`cnpg_backup_enabled` needs the plugin that backups are made with, which is off";
        let at = if given.has(name) { name } else { "cnpg_backup_enabled" };
        problems
            .push(Problem::error("V-40", given.place(at), name, what).mend(format!("set `{name}: true`")));
    }
    if !given.on("cnpg_pgvector_enabled") {
        return;
    }
    let number = |text: &str| text.parse::<u32>().ok();
    let kubernetes = given.text("kubernetes_version").and_then(|text| {
        let mut parts = text.split('.').map_while(number);
        Some((text, parts.next()?, parts.next()?))
    });
    if let Some((version, ..)) = kubernetes.filter(|(_, major, minor)| (*major, *minor) < (1, 35)) {
        let what = format!("pgvector comes as an image volume, which Kubernetes {version} does not have");
        let problem = Problem::error("V-39", given.place("kubernetes_version"), "kubernetes_version", what);
        problems.push(problem.mend("use Kubernetes 1.35.0 or newer, or `cnpg_pgvector_enabled: false`"));
    }
    let image = given.text("cnpg_postgres_image").and_then(|image| {
        let tag = image.rsplit_once(':')?.1;
        number(tag.split(['.', '-']).next()?)
    });
    if let Some(major) = image.filter(|major| *major < 18) {
        let what = format!("pgvector comes as an image volume, which PostgreSQL {major} cannot load");
        let problem = Problem::error("V-39", given.place("cnpg_postgres_image"), "cnpg_postgres_image", what);
        problems
            .push(problem.mend("use an image of PostgreSQL 18 or newer, or `cnpg_pgvector_enabled: false`"));
    }
}

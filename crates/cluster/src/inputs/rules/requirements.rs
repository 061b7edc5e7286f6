//! What is required, always or because something is switched on; and what is good only as a pair. The conditions of single
//! settings stand in the table.

use super::{Given, Problem, cluster};
use crate::inputs::{
    problem::Place,
    table::{self, If, Kind, Need, Phase, Var},
};

/// What is good only as a pair, and what the pair is for.
const PAIRS: &[(&str, &str, &str)] = &[
    ("proxmox_csi_token_id", "proxmox_csi_token_secret", "without both the storage driver is off"),
    ("proxmox_ccm_token_id", "proxmox_ccm_token_secret", "without both there is no cloud controller"),
    ("obot_s3_access_key", "obot_s3_secret_key", "without both obot has no object storage"),
    ("cnpg_s3_access_key", "cnpg_s3_secret_key", "without both there are no backups"),
    ("litellm_s3_access_key", "litellm_s3_secret_key", "without both there are no backups"),
    ("keycloak_s3_access_key", "keycloak_s3_secret_key", "without both there are no backups"),
    ("loki_s3_access_key", "loki_s3_secret_key", "without both logs have no object storage"),
    ("backup_s3_access_key", "backup_s3_secret_key", "without both there are no backups"),
    ("litellm_langfuse_public_key", "litellm_langfuse_secret_key", "without both nothing is recorded"),
];

const AZURE: [&str; 3] = ["azure_tenant_id", "azure_client_id", "azure_client_secret"];
const REGIONS: [(&str, &str); 2] = [
    ("azure_openai_us_east_api_key", "azure_openai_us_east_resource_name"),
    ("azure_openai_us_east2_api_key", "azure_openai_us_east2_resource_name"),
];

pub(super) fn check(given: &Given, problems: &mut Vec<Problem>) {
    for group in table::GROUPS.iter().chain(given.own.groups()) {
        for var in group.vars.iter().filter(|var| !given.has(var.name)) {
            single(given, var, group.phase, problems);
        }
    }
    if !given.has("cloudflare_domains") {
        let what = "`cloudflare_domains` is required, or `cloudflare_domain` with one";
        let place =
            given.empty.get("cloudflare_domain").copied().unwrap_or(given.place("cloudflare_domains"));
        let problem = Problem::error("V-03", place, "cloudflare_domain", what);
        problems.push(problem.mend("add `cloudflare_domains: [\"k8s.example.com\"]`"));
    }
    known_hosts(given, problems);
    for (one, two, why) in PAIRS {
        pair(given, one, two, why, problems);
    }
    azure(given, problems);
}

fn single(given: &Given, var: &Var, phase: Phase, problems: &mut Vec<Problem>) {
    let name = var.name;
    match var.need {
        Need::Optional => {}
        Need::Unless(conditions) if conditions.iter().any(|condition| given.holds(condition)) => {}
        Need::Always | Need::Unless(_) => {
            let mend = format!("add `{name}: {}`", example(given, var));
            problems.push(
                Problem::error("V-03", given.place(name), name, format!("`{name}` is required")).mend(mend),
            );
        }
        Need::When(_) if phase == Phase::Later => {}
        Need::When(conditions) => {
            let Some(switch) = conditions.iter().find(|condition| given.holds(condition)).and_then(switch)
            else {
                return;
            };
            let source = source(given, switch);
            let problem =
                Problem::error("V-12", at(given, name, source), name, format!("`{source}` needs `{name}`"));
            let off = if var_is_flag(source) { format!(", or set `{source}: false`") } else { String::new() };
            problems.push(
                problem
                    .label(format!("needs `{name}`"))
                    .mend(format!("add `{name}: {}`{off}", example(given, var))),
            );
        }
    }
}

/// Where a missing setting is reported: where it stands empty, else at what needs it.
fn at(given: &Given, name: &str, source: &str) -> Place {
    given.empty.get(name).copied().unwrap_or_else(|| given.place(source))
}

fn var_is_flag(name: &str) -> bool {
    table::find(name).is_some_and(|(var, _)| matches!(var.kind, Kind::Flag))
}

/// The switch that a condition is about.
fn switch(condition: &If) -> Option<&'static str> {
    match condition {
        If::On(name) | If::Given(name) | If::Is(name, _) => Some(name),
        If::All(all) => all.last().and_then(switch),
    }
}

/// The setting that a switch follows from, where it is not set itself.
fn source(given: &Given, switch: &'static str) -> &'static str {
    match switch {
        "keycloak_enabled" if !given.has(switch) => "mcp_gateway_enabled",
        "proxmox_csi_enabled" if !given.has(switch) => "proxmox_csi_token_id",
        other => other,
    }
}

fn example(given: &Given, var: &Var) -> String {
    match table::kind(var) {
        Kind::Form(form) if !form.example.is_empty() => format!("\"{}\"", form.example),
        Kind::Secret | Kind::SecretForm(_) => "\"…\"".to_owned(),
        Kind::Ip => {
            super::network::example(given).map_or("\"10.10.10.100\"".to_owned(), |free| format!("\"{free}\""))
        }
        Kind::Cidr => "\"10.10.10.0/24\"".to_owned(),
        _ => "…".to_owned(),
    }
}

/// A Git server that nobody knows the host keys of would be trusted blindly.
fn known_hosts(given: &Given, problems: &mut Vec<Problem>) {
    let ssh = given.text("repository_url").is_some_and(|url| url.starts_with("ssh://"));
    if ssh && given.unset("repository_known_hosts") {
        let what = "`repository_url` with `ssh://` needs `repository_known_hosts`";
        let problem = Problem::error("V-12", given.place("repository_url"), "repository_known_hosts", what);
        problems.push(
            problem.mend("add what `ssh-keyscan HOST` prints, after comparing it with the server's own keys"),
        );
    }
}

fn pair(given: &Given, one: &str, two: &str, why: &str, problems: &mut Vec<Problem>) {
    let (there, missing) = match (given.has(one), given.has(two)) {
        (true, false) => (one, two),
        (false, true) => (two, one),
        _ => return,
    };
    if problems.iter().any(|problem| problem.key == missing) {
        return;
    }
    let spelled = given.spelled(there);
    let problem = Problem::error(
        "V-10",
        given.place(there),
        missing,
        format!("`{spelled}` is good only with `{missing}`"),
    );
    problems.push(
        problem
            .label(format!("`{missing}` is missing"))
            .mend(format!("set `{missing}` too, or remove `{spelled}`; {why}")),
    );
}

fn azure(given: &Given, problems: &mut Vec<Problem>) {
    let there: Vec<&str> = AZURE.into_iter().filter(|name| given.has(name)).collect();
    if let (Some(first), Some(missing)) = (there.first(), AZURE.into_iter().find(|name| !given.has(name))) {
        let what = format!(
            "`{first}` is good only with all three of {}",
            AZURE.map(|name| format!("`{name}`")).join(", ")
        );
        let problem = Problem::error("V-10", given.place(first), missing, what);
        problems.push(
            problem
                .label(format!("`{missing}` is missing"))
                .mend(format!("set `{missing}` too, or remove the others")),
        );
    }
    let whole = there.len() == AZURE.len();
    for (key, resource) in REGIONS {
        if !(whole && given.has(resource)) {
            pair(given, key, resource, "without both there is no such region", problems);
        }
    }
    let any = REGIONS.iter().any(|(key, resource)| given.has(key) || given.has(resource));
    if given.on("envoy_ai_gateway_enabled") && !any {
        let (key, resource) = REGIONS[0];
        let what = format!(
            "`envoy_ai_gateway_enabled` needs one region: `{key}` and `{resource}`, or those of us_east2"
        );
        let place = given.settings.get("envoy_ai_gateway_enabled").map_or(cluster(), |setting| setting.place);
        let mend = "set both of one region, its name with the three `azure_…` in the place of the key, or `envoy_ai_gateway_enabled: false`";
        problems.push(Problem::error("V-12", place, key, what).mend(mend));
    }
}

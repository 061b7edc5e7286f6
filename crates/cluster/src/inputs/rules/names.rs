//! Names: several spellings of one setting, and families from which nothing is rendered yet.

use super::{Given, Problem};
use crate::inputs::table::{GROUPS, Kind, Phase};

pub(super) fn check(given: &Given, problems: &mut Vec<Problem>) {
    spellings(given, problems);
    later(given, problems);
    no_effect(given, problems);
}

fn spellings(given: &Given, problems: &mut Vec<Problem>) {
    for (meant, alias) in &given.aliases {
        let Some(kept) = given.settings.get(meant) else { continue };
        if kept.name == alias.name {
            continue;
        }
        let (Some(one), Some(two)) = (&kept.value, &alias.value) else { continue };
        if one != two {
            let what =
                format!("`{}` and `{}` are one setting and have different values", alias.name, kept.name);
            let problem = Problem::error("V-27", alias.place, alias.name, what);
            let mend = format!("keep `{}` alone", if kept.name == *meant { kept.name } else { meant });
            problems
                .push(problem.other(kept.place, format!("`{}` says something else", kept.name)).mend(mend));
        }
    }
}

fn later(given: &Given, problems: &mut Vec<Problem>) {
    for group in GROUPS.iter().filter(|group| group.phase == Phase::Later) {
        let names = group.vars.iter().filter(|var| !matches!(var.kind, Kind::Alias(_)));
        let mut there: Vec<_> = names.filter_map(|var| given.settings.get(var.name)).collect();
        there.sort_by_key(|setting| (setting.place.mark.line, setting.place.mark.column));
        let Some(first) = there.first() else { continue };
        let count = match there.len() {
            1 => "1 setting".to_owned(),
            count => format!("{count} settings"),
        };
        let what = format!("nothing is rendered from {count} of “{}” yet", group.title);
        problems.push(Problem::warning("W-02", first.place, first.name, what).label("the first of them"));
    }
}

fn no_effect(given: &Given, problems: &mut Vec<Problem>) {
    let controller = ["proxmox_ccm_enabled", "proxmox_ccm_token_id", "proxmox_ccm_token_secret"];
    let whole = given.has("proxmox_ccm_token_id") == given.has("proxmox_ccm_token_secret");
    if let Some(name) = controller.into_iter().find(|name| whole && given.has(name)) {
        let what = "nothing is rendered from the settings of Proxmox' cloud controller yet";
        problems.push(Problem::warning("W-03", given.place(name), name, what).mend("they may stay"));
    }
    if given.has("unifi_host") && given.unset("cluster_dns_gateway_addr") {
        let what =
            "no DNS server for the domains is rendered: UniFi's is not yet, and the other has no address";
        let problem = Problem::warning("W-03", given.place("unifi_host"), "unifi_host", what);
        problems.push(problem.mend("set `cluster_dns_gateway_addr` as well"));
    }
}

//! Addresses, networks and BGP.

use super::{Given, Problem};
use crate::inputs::{net::Net, problem::Place};
use std::net::Ipv4Addr;

/// What has an address of its own, in the order in which a clash is told at the later one.
const ADDRESSES: [&str; 8] = [
    "node_default_gateway",
    "cluster_api_addr",
    "cluster_dns_gateway_addr",
    "cluster_gateway_addr",
    "cloudflare_gateway_addr",
    "auth_gateway_addr",
    "envoy_ai_gateway_addr",
    "mcp_gateway_addr",
];
/// Those that BGP can announce from anywhere.
const GATEWAYS: [&str; 6] = [
    "cluster_dns_gateway_addr",
    "cluster_gateway_addr",
    "cloudflare_gateway_addr",
    "auth_gateway_addr",
    "envoy_ai_gateway_addr",
    "mcp_gateway_addr",
];
const BGP: [&str; 3] = ["cilium_bgp_router_addr", "cilium_bgp_router_asn", "cilium_bgp_node_asn"];
const BGP_EXTRAS: [&str; 7] = [
    "cilium_lb_pool_cidr",
    "cilium_bgp_hold_time",
    "cilium_bgp_keepalive_time",
    "cilium_bgp_graceful_restart",
    "cilium_bgp_graceful_restart_time",
    "cilium_bgp_ecmp_max_paths",
    "cilium_bgp_password",
];

pub(super) fn check(given: &Given, problems: &mut Vec<Problem>) {
    networks(given, problems);
    unique(given, problems);
    inside(given, problems);
    services(given, problems);
    bgp(given, problems);
    pool(given, problems);
}

/// What stands at a setting that may be left to its default.
fn said(given: &Given, name: &str) -> String {
    if given.has(name) { format!("`{}`", given.spelled(name)) } else { format!("`{name}` (default)") }
}

fn networks(given: &Given, problems: &mut Vec<Problem>) {
    let pairs = [
        ("node_cidr", "cluster_pod_cidr"),
        ("node_cidr", "cluster_svc_cidr"),
        ("cluster_pod_cidr", "cluster_svc_cidr"),
    ];
    for (one, two) in pairs {
        let (Some(first), Some(second)) = (given.net(one), given.net(two)) else { continue };
        if !first.overlaps(second) {
            continue;
        }
        // A default is not where a mistake was made.
        let (at, other, net, with) =
            if given.has(two) { (two, one, second, first) } else { (one, two, first, second) };
        let what = format!("{net} overlaps {} {with}", said(given, other));
        let mut problem = Problem::error("V-06", given.place(at), at, what);
        if given.has(other) {
            problem = problem.other(given.place(other), format!("`{other}`"));
        }
        problems.push(problem.mend("choose another network for one of them before the first installation; later it means a new cluster"));
    }
}

struct Taken {
    address: Ipv4Addr,
    called: String,
    place: Option<Place>,
    key: String,
}

fn taken(given: &Given) -> Vec<Taken> {
    let settings = ADDRESSES.into_iter().filter_map(|name| {
        let place = given.has(name).then(|| given.place(name));
        Some(Taken { address: given.ip(name)?, called: said(given, name), place, key: name.to_owned() })
    });
    let nodes = given.nodes.iter().enumerate().filter_map(|(number, node)| {
        let address = node.value("address")?.text()?.parse().ok()?;
        let key = format!("nodes[{number}].address");
        Some(Taken { address, called: node.called(number), place: Some(node.place("address")), key })
    });
    settings.chain(nodes).collect()
}

fn unique(given: &Given, problems: &mut Vec<Problem>) {
    let taken = taken(given);
    for (number, one) in taken.iter().enumerate() {
        let Some(first) = taken[..number].iter().find(|other| other.address == one.address) else { continue };
        // The default gateway alone can be without a place, and it comes first.
        let Some(place) = one.place else { continue };
        let what = format!("address {} is used twice", one.address);
        let problem = Problem::error("V-07", place, one.key.as_str(), what).label(one.called.as_str());
        let problem = match first.place {
            Some(place) => problem.other(place, format!("{} has it first", first.called)),
            None => problem.other(
                given.place("node_cidr"),
                format!("{} has it first: it is the first host", first.called),
            ),
        };
        problems.push(problem.mend(free(given, &taken)));
    }
}

/// How to find another address, with one that nobody has.
fn free(given: &Given, taken: &[Taken]) -> String {
    let Some(net) = given.net("node_cidr") else { return "give one of them another address".to_owned() };
    let example = unused(net, taken).map_or(String::new(), |free| format!(", for example {free}"));
    format!("give one of them another free address of {net}{example}")
}

fn unused(net: Net, taken: &[Taken]) -> Option<Ipv4Addr> {
    net.hosts().skip(99).chain(net.hosts()).find(|host| taken.iter().all(|one| one.address != *host))
}

/// An address of the nodes' network that nobody has.
pub(super) fn example(given: &Given) -> Option<Ipv4Addr> {
    unused(given.net("node_cidr")?, &taken(given))
}

fn inside(given: &Given, problems: &mut Vec<Problem>) {
    let Some(net) = given.net("node_cidr") else { return };
    let bgp = given.flag("cilium_bgp_enabled");
    let taken = taken(given);
    for one in &taken {
        let Some(place) = one.place else { continue };
        let gateway = GATEWAYS.contains(&one.key.as_str());
        let what = match net.contains(one.address) {
            true if net.is_edge(one.address) => {
                let which = if one.address == net.first() { "first" } else { "last" };
                format!("{} is the {which} address of `node_cidr` {net} and cannot be used", one.address)
            }
            // Whether BGP is on may be unknown; then nobody can say.
            false if !gateway || bgp == Some(false) => {
                format!("{} is not inside `node_cidr` {net}", one.address)
            }
            _ => continue,
        };
        let problem = Problem::error("V-08", place, one.key.as_str(), what)
            .other(given.place("node_cidr"), "`node_cidr`");
        let mend = if one.key == "cluster_api_addr" && bgp == Some(true) {
            "BGP frees gateways only: the API's address is shared on the nodes' own network".to_owned()
        } else {
            free(given, &taken).replace("give one of them another", "choose a")
        };
        problems.push(problem.mend(mend));
    }
}

fn services(given: &Given, problems: &mut Vec<Problem>) {
    let Some(net) = given.net("cluster_svc_cidr").filter(|net| net.nth(10).is_none()) else { return };
    let what = format!("{net} is too small: the cluster's DNS takes the tenth address");
    let problem = Problem::error("V-08", given.place("cluster_svc_cidr"), "cluster_svc_cidr", what);
    problems.push(problem.mend("use a network of /28 or larger; /16 is usual"));
}

fn bgp(given: &Given, problems: &mut Vec<Problem>) {
    let there: Vec<&str> = BGP.into_iter().filter(|name| given.has(name)).collect();
    let missing: Vec<&str> = BGP.into_iter().filter(|name| !given.has(name)).collect();
    if let (Some(first), [first_missing, more @ ..]) = (there.first(), missing.as_slice()) {
        let key = if more.is_empty() { first_missing } else { first };
        let named = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
        let verb = if more.is_empty() { "is" } else { "are" };
        let what = format!("BGP needs three settings, {named} {verb} missing");
        problems.push(
            Problem::error("V-09", given.place(first), *key, what)
                .mend(format!("set {named}, or remove the rest")),
        );
        return;
    }
    if there.is_empty() {
        for name in BGP_EXTRAS.into_iter().filter(|name| given.has(name)) {
            let what = format!("`{name}` is about BGP, which is off");
            let named = BGP.map(|name| format!("`{name}`")).join(", ");
            problems.push(
                Problem::error("V-28", given.place(name), name, what)
                    .mend(format!("remove it, or set {named}")),
            );
        }
        return;
    }
    if let (Some(hold), Some(keepalive)) =
        (given.int("cilium_bgp_hold_time"), given.int("cilium_bgp_keepalive_time"))
        && keepalive * 3 > hold
    {
        let at = if given.has("cilium_bgp_keepalive_time") {
            "cilium_bgp_keepalive_time"
        } else {
            "cilium_bgp_hold_time"
        };
        let what = format!(
            "three times `cilium_bgp_keepalive_time` {keepalive} is more than `cilium_bgp_hold_time` {hold}"
        );
        let mend = format!(
            "set `cilium_bgp_keepalive_time` to at most {}, or `cilium_bgp_hold_time` to at least {}",
            hold / 3,
            keepalive * 3
        );
        let problem = Problem::error("V-29", given.place(at), at, what).mend(mend);
        let other = "cilium_bgp_hold_time";
        let two = at != other && given.has(other);
        problems.push(if two { problem.other(given.place(other), format!("`{other}`")) } else { problem });
    }
    if let (Some(router), Some(node)) = (given.int("cilium_bgp_router_asn"), given.int("cilium_bgp_node_asn"))
        && router == node
    {
        let what =
            format!("router and nodes have the same number {node}: a peering inside one system (iBGP)");
        let problem =
            Problem::warning("V-37", given.place("cilium_bgp_node_asn"), "cilium_bgp_node_asn", what);
        let problem = problem.other(given.place("cilium_bgp_router_asn"), "`cilium_bgp_router_asn`");
        problems.push(problem.mend("give the nodes a number of their own, unless this is meant"));
    }
}

fn pool(given: &Given, problems: &mut Vec<Problem>) {
    let Some(pool) = given.net("cilium_lb_pool_cidr").filter(|_| given.on("cilium_bgp_enabled")) else {
        return;
    };
    let place = given.place("cilium_lb_pool_cidr");
    for name in ["node_cidr", "cluster_pod_cidr", "cluster_svc_cidr"] {
        if let Some(net) = given.net(name).filter(|net| Net::overlaps(*net, pool)) {
            let what = format!("the pool {pool} overlaps {} {net}", said(given, name));
            let problem = Problem::error("V-30", place, "cilium_lb_pool_cidr", what);
            problems.push(problem.mend("choose a network that nothing else uses"));
        }
    }
    for name in GATEWAYS {
        if let Some(address) = given.ip(name).filter(|address| !pool.contains(*address)) {
            let what = format!("{address} is not inside the pool {pool}");
            let problem =
                Problem::error("V-30", given.place(name), name, what).other(place, "`cilium_lb_pool_cidr`");
            problems.push(problem.mend("choose an address of the pool, or make the pool larger"));
        }
    }
}

//! Addresses, networks, Cilium and domains. That addresses fit together is what `rules::network` is for.

use super::{Group, If, Kind, Phase, forms, var};

const VIP: Kind = Kind::Ip;
const BGP: &str =
    "all three of `cilium_bgp_router_addr`, `cilium_bgp_router_asn` and `cilium_bgp_node_asn` switch BGP on";

pub(super) const NETWORK: Group = Group {
    title: "Network",
    phase: Phase::One,
    vars: &[
        var("node_cidr", Kind::Cidr, "The network of the nodes; it overlaps neither pods nor services")
            .always(),
        var("node_default_gateway", Kind::Ip, "The router of the nodes")
            .computed("the first host of `node_cidr`"),
        var("node_dns_servers", Kind::List(&Kind::Ip, 1), "The name servers of the nodes")
            .texts(&["1.1.1.1", "1.0.0.1"]),
        var("node_ntp_servers", Kind::List(&Kind::Ip, 1), "The time servers of the nodes")
            .texts(&["162.159.200.1", "162.159.200.123"]),
        var("node_vlan_tag", Kind::Digits(1, 4094), "The VLAN that the nodes tag their traffic with"),
        var("cluster_pod_cidr", Kind::Cidr, "The network of the pods").text("10.42.0.0/16"),
        var(
            "cluster_svc_cidr",
            Kind::Cidr,
            "The network of the services; its tenth address is the cluster's DNS",
        )
        .text("10.43.0.0/16"),
        var(
            "cluster_api_addr",
            VIP,
            "The address of the Kubernetes API, shared by the control planes; always inside `node_cidr`",
        )
        .always(),
        var(
            "cluster_api_tls_sans",
            Kind::List(&Kind::Form(&forms::HOST), 0),
            "Further names of the Kubernetes API in its certificate",
        )
        .texts(&[]),
        var("cluster_dns_gateway_addr", VIP, "The address of the DNS server for the domains (k8s_gateway)")
            .unless(&[If::Given("unifi_host")]),
        var("cluster_gateway_addr", VIP, "The address of the internal gateway (envoy-internal)").always(),
        var("cloudflare_gateway_addr", VIP, "The address of the external gateway (envoy-external)")
            .unless(&[If::Is("exposure", "internal")]),
        var(
            "k8s_gateway_fallback_dns",
            Kind::List(&Kind::Ip, 1),
            "Where the DNS server sends what it does not know",
        )
        .computed("the public ones of `node_dns_servers`, and 1.1.1.1"),
    ],
};

pub(super) const CILIUM: Group = Group {
    title: "Load balancing and BGP",
    phase: Phase::One,
    vars: &[
        var(
            "cilium_loadbalancer_mode",
            Kind::Choice(&["dsr", "snat"]),
            "How answers travel: straight back, or through the node that was asked",
        )
        .text("dsr"),
        var("cilium_bgp_router_addr", Kind::Ip, BGP),
        var(
            "cilium_bgp_router_asn",
            Kind::Digits(1, 4_294_967_295),
            "The router's number; see `cilium_bgp_router_addr`",
        ),
        var(
            "cilium_bgp_node_asn",
            Kind::Digits(1, 4_294_967_295),
            "The nodes' number; see `cilium_bgp_router_addr`",
        ),
        var(
            "cilium_lb_pool_cidr",
            Kind::Cidr,
            "The network that addresses of load balancers are taken from; without it only those that are named",
        ),
        var(
            "cilium_bgp_hold_time",
            Kind::Int(3, 300),
            "Seconds of silence after which a peer is taken for gone",
        )
        .int(30),
        var(
            "cilium_bgp_keepalive_time",
            Kind::Int(1, 100),
            "Seconds between signs of life; at most a third of `cilium_bgp_hold_time`",
        )
        .int(10),
        var("cilium_bgp_graceful_restart", Kind::Flag, "Whether routes survive a restart of the agent").off(),
        var("cilium_bgp_graceful_restart_time", Kind::Int(30, 600), "Seconds that routes survive a restart")
            .int(120),
        var("cilium_bgp_ecmp_max_paths", Kind::Int(1, 16), "The most ways to one address").int(3),
        var("cilium_bgp_password", Kind::Secret, "The password of the peering (MD5)"),
    ],
};

pub(super) const DOMAINS: Group = Group {
    title: "Domains and exposure",
    phase: Phase::One,
    vars: &[
        var(
            "cloudflare_domain",
            Kind::OneOrList(&Kind::Form(&forms::DOMAIN)),
            "The older spelling of `cloudflare_domains`; one of the two is required",
        )
        .computed("the first of `cloudflare_domains`"),
        var(
            "cloudflare_domains",
            Kind::List(&Kind::Form(&forms::DOMAIN), 1),
            "The domains of the cluster; the first is the primary one",
        )
        .computed("`cloudflare_domain`"),
        var(
            "cloudflare_token",
            Kind::Secret,
            "The token of the Cloudflare API, for DNS records and certificates",
        )
        .unless(&[
            If::All(&[If::Is("exposure", "direct"), If::Is("tls_issuer", "internal_ca")]),
            If::All(&[If::Is("exposure", "internal"), If::Is("tls_issuer", "internal_ca")]),
        ]),
        var(
            "exposure",
            Kind::Choice(&["cloudflare_tunnel", "direct", "internal"]),
            "How people outside reach the cluster: through a tunnel, at its own address, or not at all",
        )
        .text("cloudflare_tunnel"),
        var("tls_issuer", Kind::Choice(&["letsencrypt", "internal_ca"]), "Who signs certificates")
            .text("letsencrypt"),
    ],
};

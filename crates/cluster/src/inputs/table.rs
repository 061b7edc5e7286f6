//! The one table of all settings: name, kind, default, when it is needed, phase, meaning. The reader, the rules, `explain`, the JSON
//! Schema and the reference page are made of it. Which values fit together is not said here but in `rules`.
//!
//! Phase one is what Talos, the bootstrap, Flux and the core applications need, phase two what is rendered beside them. Later
//! families are known and typed, so that a file from elsewhere can be used as it is, and say that nothing is rendered from them.

mod data;
mod foreign;
mod forms;
mod gateway;
mod keycloak;
mod langfuse;
mod later;
mod litellm;
mod monitoring;
mod network;
mod nodes;
mod obot;
mod proxmox;
mod repository;
mod signon;
mod talos;

pub use foreign::FOREIGN;
pub use forms::Form;
pub(super) use forms::MAC;
pub use nodes::NODE;

/// When a family of settings is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The core of every cluster.
    One,
    /// What can be switched on beside it.
    Two,
    /// Known and checked, not rendered yet.
    Later,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Var {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What holds where it is left out.
    pub default: Default,
    /// When it may not be left out.
    pub need: Need,
    /// What it means, without a dot at the end.
    pub doc: &'static str,
}

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A text of a form.
    Form(&'static Form),
    /// A text that may also be empty, which has a meaning of its own.
    MayBeEmpty,
    /// A text that is never printed.
    Secret,
    /// A secret of a form.
    SecretForm(&'static Form),
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Int(i64, i64),
    /// A whole number, with quotes or without.
    Digits(i64, i64),
    /// A number from 0 to 1.
    Fraction,
    /// An IPv4 address.
    Ip,
    /// An IPv4 network.
    Cidr,
    /// One word of a few.
    Choice(&'static [&'static str]),
    /// A list of such values, none twice, at least so many.
    List(&'static Kind, usize),
    /// A list, or one such value.
    OneOrList(&'static Kind),
    /// Values by fixed names.
    Fields(&'static [Var]),
    /// A MAC address, with colons or dashes, in capitals or not.
    Mac,
    /// Labels of Kubernetes: texts by names.
    Labels,
    /// A map that is passed on as it is.
    Anything,
    /// Another spelling of this setting.
    Alias(&'static str),
}

/// What holds where a setting is left out.
#[derive(Debug, Clone, Copy)]
pub enum Default {
    /// Nothing: it is then not set.
    None,
    /// A switch.
    Flag(bool),
    /// A number.
    Int(i64),
    /// A text.
    Text(&'static str),
    /// A list of texts.
    Texts(&'static [&'static str]),
    /// It follows from other settings, as these words say (`values::derived` has the code).
    Computed(&'static str),
}

/// When a setting may not be left out.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Never.
    Optional,
    /// Always.
    Always,
    /// Always, but where one of these holds.
    Unless(&'static [If]),
    /// Where one of these holds.
    When(&'static [If]),
}

/// A condition over other settings.
#[derive(Debug, Clone, Copy)]
pub enum If {
    /// A switch is on, by itself or by its default.
    On(&'static str),
    /// A setting is given.
    Given(&'static str),
    /// A setting has this value.
    Is(&'static str, &'static str),
    /// All of these hold.
    All(&'static [If]),
}

/// Settings that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// When they are rendered.
    pub phase: Phase,
    /// The settings.
    pub vars: &'static [Var],
}

/// All settings of `cluster.yaml`.
pub const GROUPS: &[Group] = &[
    talos::TALOS,
    network::NETWORK,
    network::CILIUM,
    network::DOMAINS,
    repository::REPOSITORY,
    proxmox::PROXMOX,
    data::STORAGE,
    data::CNPG,
    data::RUSTFS,
    data::REDIS,
    gateway::AI,
    gateway::AZURE,
    gateway::MCP,
    signon::SIGN_ON,
    signon::PROVIDERS,
    keycloak::KEYCLOAK,
    obot::OBOT,
    obot::QUOTAS,
    litellm::LITELLM,
    monitoring::MONITORING,
    monitoring::TRACING,
    monitoring::POLICIES,
    keycloak::KEYCLOAK_LATER,
    signon::TOKENS,
    proxmox::MACHINES,
    langfuse::LANGFUSE,
    later::DRAGONFLY,
    later::LOKI,
    later::UNIFI,
    later::VOLSYNC,
    later::EXTERNAL_SECRETS,
    later::BACKUP,
    later::AZURE_MODELS,
    later::TRACELOOP,
    later::ONEDEV,
    later::OTHER,
];

/// Names that follow from other settings and cannot be set, each with what it is made of.
pub const DERIVED: &[(&str, &str)] = &[
    ("primary_domain", "the first of `cloudflare_domains`"),
    (
        "cilium_bgp_enabled",
        "whether all three of `cilium_bgp_router_addr`, `cilium_bgp_router_asn` and `cilium_bgp_node_asn` are set",
    ),
    ("controller_count", "the nodes with `controller: true`"),
    ("cert_sans", "`127.0.0.1`, `cluster_api_addr` and `cluster_api_tls_sans`"),
    ("keycloak_hostname", "`keycloak_subdomain` and the first domain"),
    ("keycloak_issuer_url", "the host name of Keycloak and `keycloak_realm`"),
    ("keycloak_jwks_uri", "the issuer of Keycloak"),
    ("keycloak_internal_issuer_url", "`keycloak_namespace` and `keycloak_realm`"),
    ("ai_gateway_hostname", "`llms.` and the first domain"),
    ("mcp_hostname", "`mcp.` and the first domain"),
    ("obot_keycloak_base_url", "the host name of Keycloak"),
    ("obot_keycloak_realm", "`keycloak_realm`"),
    ("obot_keycloak_issuer_url", "the issuer of Keycloak"),
    ("obot_backup_enabled", "whether `rustfs_enabled` and both S3 keys of obot are set"),
    ("obot_keycloak_effective", "`keycloak_enabled` and `obot_keycloak_enabled`"),
    ("obot_monitoring_effective", "`monitoring_enabled` and `obot_monitoring_enabled`"),
    ("obot_tracing_effective", "`tracing_enabled` and `obot_tracing_enabled`"),
    ("obot_litellm_effective", "`litellm_enabled` and `obot_litellm_enabled`"),
    ("unifi_dns_enabled", "nothing: UniFi DNS is not rendered yet"),
    ("k8s_gateway_enabled", "whether `cluster_dns_gateway_addr` is set"),
];

/// The setting of this name, with its group.
pub fn find(name: &str) -> Option<(&'static Var, &'static Group)> {
    GROUPS.iter().find_map(|group| Some((group.vars.iter().find(|var| var.name == name)?, group)))
}

/// All settings of `cluster.yaml`, in the order of the groups.
pub fn all() -> impl Iterator<Item = &'static Var> {
    GROUPS.iter().flat_map(|group| group.vars)
}

/// The kind of a setting; of another spelling the kind of what is spelled.
pub fn kind(var: &Var) -> Kind {
    match var.kind {
        Kind::Alias(name) => find(name).map_or(Kind::Text, |(meant, _)| meant.kind),
        kind => kind,
    }
}

/// A setting that is optional and has no default, for the tables to start from.
const fn var(name: &'static str, kind: Kind, doc: &'static str) -> Var {
    Var { name, kind, default: Default::None, need: Need::Optional, doc }
}

/// A switch that is off.
const fn switch(name: &'static str, doc: &'static str) -> Var {
    var(name, Kind::Flag, doc).off()
}

/// Another spelling.
const fn alias(name: &'static str, meant: &'static str) -> Var {
    var(name, Kind::Alias(meant), "Another spelling")
}

impl Var {
    const fn off(mut self) -> Self {
        self.default = Default::Flag(false);
        self
    }

    const fn on(mut self) -> Self {
        self.default = Default::Flag(true);
        self
    }

    const fn int(mut self, value: i64) -> Self {
        self.default = Default::Int(value);
        self
    }

    const fn text(mut self, value: &'static str) -> Self {
        self.default = Default::Text(value);
        self
    }

    const fn texts(mut self, values: &'static [&'static str]) -> Self {
        self.default = Default::Texts(values);
        self
    }

    const fn computed(mut self, words: &'static str) -> Self {
        self.default = Default::Computed(words);
        self
    }

    const fn always(mut self) -> Self {
        self.need = Need::Always;
        self
    }

    const fn unless(mut self, conditions: &'static [If]) -> Self {
        self.need = Need::Unless(conditions);
        self
    }

    const fn when(mut self, conditions: &'static [If]) -> Self {
        self.need = Need::When(conditions);
        self
    }
}

//! Metrics, traces and network policies.

use super::{Group, If, Kind, Phase, alias, forms, switch, var};

pub(super) const MONITORING: Group = Group {
    title: "Monitoring",
    phase: Phase::Two,
    vars: &[
        switch("monitoring_enabled", "Prometheus, Alertmanager and Grafana, in the namespace `monitoring`"),
        alias("observability_enabled", "monitoring_enabled"),
        var("monitoring_stack", Kind::Choice(&["prometheus"]), "What they are").text("prometheus"),
        var("monitoring_alerts_enabled", Kind::Flag, "Rules that raise alerts").on(),
        var(
            "node_cpu_threshold",
            Kind::Int(50, 99),
            "The load of a node's processors, in percent, that raises an alert",
        )
        .int(90),
        var(
            "node_memory_threshold",
            Kind::Int(50, 99),
            "The use of a node's memory, in percent, that raises an alert",
        )
        .int(90),
        var("grafana_subdomain", Kind::Form(&forms::LABEL), "The first label of Grafana's host name")
            .text("grafana"),
        var("grafana_admin_user", Kind::Text, "The name of Grafana's administrator").text("admin"),
        var(
            "grafana_admin_password",
            Kind::SecretForm(&forms::AT_LEAST_8),
            "The password of Grafana's administrator",
        )
        .when(&[If::On("monitoring_enabled")]),
        var("grafana_storage_size", Kind::Form(&forms::MEMORY), "The size of Grafana's volume").text("10Gi"),
        switch("grafana_oidc_enabled", "Sign-in at Grafana through Keycloak"),
        var("grafana_oidc_client_secret", Kind::Secret, "The secret of its client at Keycloak")
            .when(&[If::All(&[If::On("monitoring_enabled"), If::On("grafana_oidc_enabled")])]),
        var("prometheus_replicas", Kind::Int(1, 10), "How many pods of Prometheus").int(1),
        var("prometheus_retention", Kind::Form(&forms::RETENTION), "How long metrics are kept").text("7d"),
        alias("metrics_retention", "prometheus_retention"),
        var("prometheus_retention_size", Kind::Form(&forms::BYTES), "The most that metrics take")
            .text("45GB"),
        var("prometheus_storage_class", Kind::Form(&forms::CLASS), "The class of the volumes")
            .text("proxmox-csi"),
        var("prometheus_storage_size", Kind::Form(&forms::MEMORY), "The size of Prometheus' volume")
            .text("50Gi"),
        alias("metrics_storage_size", "prometheus_storage_size"),
        var("prometheus_alertmanager_replicas", Kind::Int(1, 10), "How many pods of Alertmanager").int(1),
        var("alertmanager_storage_size", Kind::Form(&forms::MEMORY), "The size of Alertmanager's volume")
            .text("5Gi"),
    ],
};

pub(super) const TRACING: Group = Group {
    title: "Traces",
    phase: Phase::Two,
    vars: &[
        switch("tracing_enabled", "Tempo, which keeps traces"),
        var("tracing_sample_rate", Kind::Int(1, 100), "The share of requests that are traced, in percent")
            .int(10),
        var("trace_retention", Kind::Form(&forms::RETENTION), "How long traces are kept").text("72h"),
        var("trace_storage_size", Kind::Form(&forms::MEMORY), "The size of Tempo's volume").text("10Gi"),
    ],
};

pub(super) const POLICIES: Group = Group {
    title: "Network policies",
    phase: Phase::Two,
    vars: &[
        switch("network_policies_enabled", "Rules about who may talk to whom in the cluster"),
        var("network_policies_mode", Kind::Choice(&["audit", "enforce"]), "Whether they are only watched")
            .text("audit"),
    ],
};

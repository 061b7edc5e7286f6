//! Keycloak and its database. Who people sign in with stands in `signon`.

use super::{Group, If, Kind, Phase, alias, forms, switch, var};

const ON: &[If] = &[If::On("keycloak_enabled")];

pub(super) const KEYCLOAK: Group = Group {
    title: "Keycloak",
    phase: Phase::Two,
    vars: &[
        var("keycloak_enabled", Kind::Flag, "Keycloak in the cluster").computed("`mcp_gateway_enabled`"),
        var("keycloak_namespace", Kind::Form(&forms::LABEL), "Where Keycloak runs").text("auth-system"),
        var("keycloak_subdomain", Kind::Form(&forms::LABEL), "The first label of its host name").text("auth"),
        var("keycloak_replicas", Kind::Int(1, 10), "How many pods, each on a node of its own").int(3),
        var("keycloak_version", Kind::Form(&forms::SEMVER), "The version of Keycloak").text("26.4.7"),
        var("keycloak_realm", Kind::Form(&forms::REALM), "The realm").text("k8s-cluster"),
        var(
            "keycloak_admin_password",
            Kind::SecretForm(&forms::AT_LEAST_8),
            "The password of its administrator",
        )
        .when(ON),
        var("keycloak_postgres_replicas", Kind::Int(1, 5), "How many instances its database has").int(1),
        var("keycloak_postgres_version", Kind::Form(&forms::MAJOR), "The major version of its database")
            .text("17"),
        var(
            "keycloak_postgres_storage_size",
            Kind::Form(&forms::MEMORY),
            "The size of its database's volume",
        )
        .text("10Gi"),
        var("keycloak_postgres_password", Kind::Secret, "The password of its database").when(ON),
        alias("keycloak_db_instances", "keycloak_postgres_replicas"),
        alias("keycloak_storage_size", "keycloak_postgres_storage_size"),
        alias("keycloak_db_password", "keycloak_postgres_password"),
        var("keycloak_db_user", Kind::Form(&forms::PG_NAME), "The user of its database").text("keycloak"),
        var("keycloak_db_name", Kind::Form(&forms::PG_NAME), "The name of its database").text("keycloak"),
    ],
};

pub(super) const KEYCLOAK_LATER: Group = Group {
    title: "Keycloak's further settings",
    phase: Phase::Later,
    vars: &[
        var(
            "keycloak_db_mode",
            Kind::Choice(&["embedded", "cnpg"]),
            "How the other origin ran its database; here it is always `cnpg`",
        )
        .text("cnpg"),
        var("keycloak_operator_version", Kind::Form(&forms::SEMVER), "The version of its operator")
            .text("26.5.0"),
        var(
            "keycloak_config_cli_version",
            Kind::Form(&forms::CLI_VERSION),
            "The version of the tool that configures realms",
        )
        .text("6.4.0-26.1.0"),
        switch("keycloak_backup_enabled", "Backups of its database"),
        var("keycloak_backup_schedule", Kind::Form(&forms::CRON), "When backups are made").text("0 2 * * *"),
        var("keycloak_backup_retention_days", Kind::Int(1, 365), "How many days backups are kept").int(7),
        var("keycloak_s3_access_key", Kind::Text, "The key of the backups' storage"),
        var("keycloak_s3_secret_key", Kind::Secret, "Its secret"),
        switch("keycloak_monitoring_enabled", "Its metrics and dashboards"),
        switch("keycloak_tracing_enabled", "Its traces"),
        var(
            "keycloak_tracing_sample_rate",
            Kind::Form(&forms::RATIO),
            "The share of requests that are traced",
        )
        .text("0.1"),
    ],
};

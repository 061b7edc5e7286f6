//! obot, the agent platform, and what its MCP servers may use.

use super::{Group, If, Kind, Phase, forms, switch, var};

const ON: &[If] = &[If::On("obot_enabled")];
const SIGN_ON: &[If] = &[If::All(&[If::On("obot_enabled"), If::On("obot_keycloak_enabled")])];

pub(super) const OBOT: Group = Group {
    title: "obot",
    phase: Phase::Two,
    vars: &[
        switch("obot_enabled", "The agent platform; needs `cnpg_enabled` and `cnpg_pgvector_enabled`"),
        var("obot_subdomain", Kind::Form(&forms::LABEL), "The first label of its host name").text("obot"),
        var("obot_hostname", Kind::Form(&forms::DOMAIN), "Its host name")
            .computed("`obot_subdomain` and the first domain"),
        var("obot_version", Kind::Form(&forms::SEMVER), "The version of obot, without `v`").text("0.2.30"),
        var("obot_chart_version", Kind::Form(&forms::SEMVER), "The version of its chart")
            .computed("`obot_version`"),
        var(
            "obot_replicas",
            Kind::Int(1, 10),
            "How many pods; more than one needs `obot_workspace_provider` other than `directory`",
        )
        .int(1),
        var("obot_db_password", Kind::Secret, "The password of its database").when(ON),
        var(
            "obot_postgres_user",
            Kind::Form(&forms::PG_NAME),
            "The user of its database; not `postgres` or `streaming_replica`",
        )
        .text("obot"),
        var("obot_postgres_db", Kind::Form(&forms::PG_NAME), "The name of its database").text("obot"),
        var("obot_postgresql_replicas", Kind::Int(1, 5), "How many instances its database has").int(1),
        var("obot_postgresql_storage_size", Kind::Form(&forms::MEMORY), "The size of its database's volume")
            .text("10Gi"),
        var("obot_storage_size", Kind::Form(&forms::MEMORY), "The size of its volume").text("20Gi"),
        var("obot_storage_class", Kind::Form(&forms::CLASS), "The class of its volumes")
            .computed("`storage_class`"),
        var(
            "obot_encryption_provider",
            Kind::Choice(&["custom", "azure-keyvault", "aws-kms", "gcp-kms"]),
            "Who keeps the key of its data",
        )
        .text("custom"),
        var(
            "obot_encryption_key",
            Kind::SecretForm(&forms::KEY_32),
            "The key of its data: base64 of 32 bytes",
        )
        .when(ON),
        var(
            "obot_bootstrap_token",
            Kind::Secret,
            "The token of the first sign-in; 64 digits of hex are recommended",
        ),
        switch("obot_keycloak_enabled", "Sign-in at obot through Keycloak"),
        var("obot_keycloak_client_id", Kind::Text, "Its client at Keycloak").text("obot"),
        var("obot_keycloak_client_secret", Kind::Secret, "The secret of its client").when(SIGN_ON),
        var(
            "obot_keycloak_cookie_secret",
            Kind::SecretForm(&forms::AT_LEAST_32),
            "The secret of its cookies",
        )
        .when(SIGN_ON),
        var(
            "obot_keycloak_allowed_groups",
            Kind::MayBeEmpty,
            "Only people of these groups, with commas; empty lets everybody in",
        )
        .text(""),
        var(
            "obot_keycloak_allowed_roles",
            Kind::MayBeEmpty,
            "Only people with these roles, with commas; empty lets everybody in",
        )
        .text(""),
        var("obot_admin_emails", Kind::Form(&forms::MAILS), "Who administers it"),
        var("obot_owner_emails", Kind::Form(&forms::MAILS), "Who owns it"),
        var(
            "obot_entra_tenant_id",
            Kind::Form(&forms::TENANT),
            "The tenant where people sign in with Microsoft instead of Keycloak",
        ),
        var("obot_entra_client_id", Kind::Form(&forms::GUID), "The client there"),
        var("obot_entra_client_secret", Kind::Secret, "Its secret"),
        var(
            "obot_workspace_provider",
            Kind::Choice(&["directory", "s3", "azure"]),
            "Where files of agents lie",
        )
        .text("directory"),
        var(
            "obot_s3_access_key",
            Kind::Text,
            "The key of its object storage; with RustFS it also switches backups on",
        ),
        var("obot_s3_secret_key", Kind::Secret, "Its secret"),
        var("obot_s3_bucket", Kind::Text, "The bucket of the files"),
        var("obot_s3_endpoint", Kind::Form(&forms::URL), "The address of the object storage"),
        var("obot_s3_region", Kind::Text, "Its region").text("us-east-1"),
        switch("obot_s3_use_path_style", "Whether the bucket stands in the path instead of the host"),
        var("obot_backup_retention", Kind::Form(&forms::RETENTION), "How long backups are kept").text("14d"),
        switch("obot_monitoring_enabled", "Its metrics, where monitoring is on"),
        switch("obot_tracing_enabled", "Its traces, where tracing is on"),
        var("obot_otel_sample_prob", Kind::Fraction, "The share of requests that are traced").text("0.1"),
        switch("obot_litellm_enabled", "Models through LiteLLM, where it is on"),
        var("obot_cpu_request", Kind::Form(&forms::CPU), "Processors that it is promised").text("500m"),
        var("obot_cpu_limit", Kind::Form(&forms::CPU), "The most processors").text("2000m"),
        var("obot_memory_request", Kind::Form(&forms::MEMORY), "Memory that it is promised").text("1Gi"),
        var("obot_memory_limit", Kind::Form(&forms::MEMORY), "The most memory").text("4Gi"),
    ],
};

pub(super) const QUOTAS: Group = Group {
    title: "What obot's MCP servers may use",
    phase: Phase::Two,
    vars: &[
        var(
            "obot_mcp_namespace",
            Kind::Form(&forms::LABEL),
            "Where its MCP servers run; a namespace of their own",
        )
        .text("obot-mcp"),
        var(
            "obot_mcp_cpu_requests_quota",
            Kind::Form(&forms::CPU),
            "Processors that all are promised together",
        )
        .text("4"),
        var("obot_mcp_cpu_limits_quota", Kind::Form(&forms::CPU), "The most processors of all together")
            .text("8"),
        var(
            "obot_mcp_memory_requests_quota",
            Kind::Form(&forms::MEMORY),
            "Memory that all are promised together",
        )
        .text("8Gi"),
        var("obot_mcp_memory_limits_quota", Kind::Form(&forms::MEMORY), "The most memory of all together")
            .text("16Gi"),
        var("obot_mcp_max_pods", Kind::Digits(1, 100_000), "The most pods").int(20),
        var(
            "obot_mcp_default_cpu_request",
            Kind::Form(&forms::CPU),
            "Processors that one is promised where it says nothing",
        )
        .text("100m"),
        var(
            "obot_mcp_default_cpu_limit",
            Kind::Form(&forms::CPU),
            "The most processors of one that says nothing",
        )
        .text("500m"),
        var(
            "obot_mcp_default_memory_request",
            Kind::Form(&forms::MEMORY),
            "Memory that one is promised where it says nothing",
        )
        .text("256Mi"),
        var(
            "obot_mcp_default_memory_limit",
            Kind::Form(&forms::MEMORY),
            "The most memory of one that says nothing",
        )
        .text("512Mi"),
        var("obot_mcp_max_cpu", Kind::Form(&forms::CPU), "The most processors that one may ask for")
            .text("1000m"),
        var("obot_mcp_max_memory", Kind::Form(&forms::MEMORY), "The most memory that one may ask for")
            .text("1Gi"),
    ],
};

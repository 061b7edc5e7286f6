//! Storage classes, PostgreSQL, object storage, Redis.

use super::{Group, If, Kind, Phase, forms, switch, var};

pub(super) const STORAGE: Group = Group {
    title: "Storage classes",
    phase: Phase::Two,
    vars: &[
        var("storage_class", Kind::Form(&forms::CLASS), "The class of volumes where nothing else is said")
            .text("local-path"),
        var(
            "extra_storage_classes",
            Kind::List(&Kind::Text, 0),
            "Classes that somebody else makes in the cluster, so that their names are known",
        )
        .texts(&[]),
    ],
};

const BACKUP: &[If] = &[If::On("cnpg_backup_enabled")];

pub(super) const CNPG: Group = Group {
    title: "PostgreSQL (CloudNativePG)",
    phase: Phase::Two,
    vars: &[
        switch("cnpg_enabled", "The operator of PostgreSQL"),
        switch("cnpg_pgvector_enabled", "Vectors in PostgreSQL; needs Kubernetes 1.35 and PostgreSQL 18"),
        var("cnpg_pgvector_version", Kind::Form(&forms::SEMVER), "The version of pgvector").text("0.8.1"),
        var("cnpg_pgvector_image", Kind::Form(&forms::IMAGE), "The image that holds pgvector")
            .text("ghcr.io/cloudnative-pg/pgvector:0.8.1-18-trixie"),
        var("cnpg_postgres_image", Kind::Form(&forms::IMAGE), "The image of PostgreSQL")
            .text("ghcr.io/cloudnative-pg/postgresql:18.1-standard-trixie"),
        var("cnpg_storage_class", Kind::Form(&forms::CLASS), "The class of its volumes")
            .computed("`storage_class`"),
        var("cnpg_priority_class", Kind::Text, "The priority of its pods").text("system-cluster-critical"),
        var("cnpg_control_plane_only", Kind::Flag, "Whether the operator runs on control planes only").on(),
        switch("cnpg_backup_enabled", "Backups to object storage"),
        var("cnpg_s3_access_key", Kind::Text, "The key of the backups' storage").when(BACKUP),
        var("cnpg_s3_secret_key", Kind::Secret, "Its secret").when(BACKUP),
        switch("cnpg_barman_plugin_enabled", "The plugin that backups are made with"),
        var("cnpg_barman_plugin_version", Kind::Form(&forms::SEMVER), "The version of the plugin")
            .text("0.10.0"),
        var(
            "cnpg_barman_plugin_log_level",
            Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
            "How much the plugin says",
        )
        .text("info"),
    ],
};

pub(super) const RUSTFS: Group = Group {
    title: "Object storage (RustFS)",
    phase: Phase::Two,
    vars: &[
        switch("rustfs_enabled", "Object storage in the cluster"),
        var("rustfs_subdomain", Kind::Form(&forms::LABEL), "The first label of its host name").text("rustfs"),
        var("rustfs_replicas", Kind::Int(1, 16), "How many pods").int(1),
        var("rustfs_data_volume_size", Kind::Form(&forms::MEMORY), "The size of each volume").text("20Gi"),
        var("rustfs_log_volume_size", Kind::Form(&forms::MEMORY), "The size of each volume for logs")
            .text("1Gi"),
        var("rustfs_storage_class", Kind::Form(&forms::CLASS), "The class of its volumes")
            .computed("`storage_class`"),
        var("rustfs_access_key", Kind::Text, "The name of its administrator").text("rustfsadmin"),
        var("rustfs_secret_key", Kind::Secret, "The secret of its administrator")
            .when(&[If::On("rustfs_enabled")]),
        var(
            "rustfs_buffer_profile",
            Kind::Choice(&["DataAnalytics", "General", "Streaming", "Archival"]),
            "What its buffers are made for",
        )
        .text("DataAnalytics"),
        switch("rustfs_monitoring_enabled", "Its metrics and dashboard"),
    ],
};

pub(super) const REDIS: Group = Group {
    title: "Redis",
    phase: Phase::Two,
    vars: &[
        var(
            "redis_password",
            Kind::Secret,
            "The password of Redis, which keeps sign-on sessions of the MCP gateway and the cache of LiteLLM",
        )
        .when(&[If::On("mcp_gateway_enabled"), If::On("litellm_enabled")]),
        var(
            "redis_replicas",
            Kind::Int(1, 1),
            "Always 1: without a sentinel a second pod would be another, empty Redis",
        )
        .int(1),
        var("redis_version", Kind::Form(&forms::VERSION), "The version of Redis").text("7.4"),
        var("redis_storage_size", Kind::Form(&forms::MEMORY), "The size of its volume").text("5Gi"),
    ],
};

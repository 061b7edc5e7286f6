//! Families of the origin that are known and typed, so that its files can be used, and not rendered yet.

use super::{Group, Kind, Phase, forms, switch, var};

pub(super) const DRAGONFLY: Group = Group {
    title: "Dragonfly",
    phase: Phase::Later,
    vars: &[
        switch("dragonfly_acl_enabled", "Users of their own for each application"),
        var("dragonfly_appcache_password", Kind::Secret, "The password of the user appcache"),
        switch("dragonfly_backup_enabled", "Backups of Dragonfly"),
        switch("dragonfly_cache_mode", "Old entries make way for new ones"),
        switch("dragonfly_control_plane_only", "Whether it runs on control planes only"),
        var("dragonfly_cpu_request", Kind::Form(&forms::CPU), "Processors that it is promised").text("100m"),
        switch("dragonfly_enabled", "Dragonfly"),
        var("dragonfly_keycloak_password", Kind::Secret, "The password of the user keycloak"),
        var("dragonfly_langfuse_password", Kind::Secret, "The password of the user langfuse"),
        var("dragonfly_litellm_password", Kind::Secret, "The password of the user litellm"),
        var("dragonfly_maxmemory", Kind::Form(&forms::SMALL_BYTES), "The most memory of its data")
            .text("512mb"),
        var("dragonfly_memory_limit", Kind::Form(&forms::MEMORY), "The most memory").text("1Gi"),
        var("dragonfly_memory_request", Kind::Form(&forms::MEMORY), "Memory that it is promised")
            .text("256Mi"),
        switch("dragonfly_monitoring_enabled", "Monitoring of Dragonfly"),
        var("dragonfly_operator_version", Kind::Form(&forms::SEMVER), "The version of its operator")
            .text("1.3.1"),
        var("dragonfly_password", Kind::Secret, "The password of Dragonfly"),
        var("dragonfly_replicas", Kind::Int(1, 10), "How many pods").int(1),
        var("dragonfly_s3_access_key", Kind::Text, "The key of its object storage"),
        var("dragonfly_s3_endpoint", Kind::Text, "The address of its object storage")
            .text("rustfs-svc.storage.svc.cluster.local:9000"),
        var("dragonfly_s3_secret_key", Kind::Secret, "The secret of that key"),
        var("dragonfly_slowlog_max_len", Kind::Int(0, 1000), "How many slow commands are kept").int(128),
        var(
            "dragonfly_slowlog_threshold",
            Kind::Int(0, 1_000_000),
            "Microseconds after which a command is slow",
        )
        .int(10_000),
        var("dragonfly_snapshot_cron", Kind::Form(&forms::CRON), "When snapshots are made")
            .text("0 */6 * * *"),
        var("dragonfly_threads", Kind::Int(1, 16), "Its threads").int(2),
        var("dragonfly_version", Kind::Form(&forms::V_VERSION), "Its version").text("v1.36.0"),
    ],
};

pub(super) const LOKI: Group = Group {
    title: "Logs (Loki)",
    phase: Phase::Later,
    vars: &[
        var("logs_retention", Kind::Form(&forms::RETENTION), "How long data is kept").text("7d"),
        var("logs_storage_size", Kind::Form(&forms::MEMORY), "The size of its volume").text("50Gi"),
        switch("loki_enabled", "Loki"),
        switch("loki_monitoring_enabled", "Monitoring of Loki"),
        var("loki_s3_access_key", Kind::Text, "The key of its object storage"),
        var("loki_s3_secret_key", Kind::Secret, "The secret of that key"),
    ],
};

pub(super) const UNIFI: Group = Group {
    title: "UniFi DNS",
    phase: Phase::Later,
    vars: &[
        var("unifi_api_key", Kind::Secret, "Its key"),
        switch("unifi_external_controller", "Whether the controller runs outside the router"),
        var(
            "unifi_host",
            Kind::Form(&forms::URL),
            "The address of the UniFi controller that keeps DNS; not rendered yet",
        ),
        var("unifi_site", Kind::Text, "Its site").text("default"),
    ],
};

pub(super) const VOLSYNC: Group = Group {
    title: "Copies of volumes (VolSync)",
    phase: Phase::Later,
    vars: &[
        var("volsync_copy_method", Kind::Choice(&["Clone", "Snapshot"]), "How volumes are copied")
            .text("Clone"),
        switch("volsync_enabled", "VolSync"),
        var("volsync_restic_password", Kind::Secret, "What copies are encrypted with"),
        var("volsync_retain_daily", Kind::Int(1, 365), "How many daily copies are kept").int(7),
        var("volsync_retain_monthly", Kind::Int(1, 24), "How many monthly copies are kept").int(3),
        var("volsync_retain_weekly", Kind::Int(1, 52), "How many weekly copies are kept").int(4),
        var("volsync_s3_bucket", Kind::Text, "Its bucket"),
        var("volsync_s3_endpoint", Kind::Form(&forms::URL), "The address of its object storage"),
        var("volsync_schedule", Kind::Form(&forms::CRON), "When volumes are copied").text("0 */6 * * *"),
    ],
};

pub(super) const EXTERNAL_SECRETS: Group = Group {
    title: "External Secrets",
    phase: Phase::Later,
    vars: &[
        switch("external_secrets_enabled", "External Secrets, which fetches secrets from elsewhere"),
        var(
            "external_secrets_provider",
            Kind::Choice(&["1password", "bitwarden", "vault"]),
            "Where secrets come from",
        )
        .text("1password"),
        var("onepassword_connect_host", Kind::Form(&forms::URL), "Where 1Password Connect is"),
    ],
};

pub(super) const BACKUP: Group = Group {
    title: "Backups of etcd",
    phase: Phase::Later,
    vars: &[
        var("backup_age_public_key", Kind::Form(&forms::AGE), "Whom backups of etcd are encrypted for"),
        var("backup_s3_access_key", Kind::Text, "The key of its object storage"),
        var("backup_s3_bucket", Kind::Text, "Its bucket"),
        var("backup_s3_endpoint", Kind::Form(&forms::URL), "The address of its object storage"),
        var("backup_s3_region", Kind::Text, "Its region").text("us-east-1"),
        var("backup_s3_secret_key", Kind::Secret, "The secret of that key"),
    ],
};

pub(super) const AZURE_MODELS: Group = Group {
    title: "Further models at Azure",
    phase: Phase::Later,
    vars: &[
        var("azure_anthropic_api_base", Kind::Form(&forms::URL), "Anthropic: the address of its API"),
        var("azure_anthropic_api_key", Kind::Secret, "Anthropic: the key of its API"),
        var("azure_cohere_embed_api_base", Kind::Form(&forms::URL), "Cohere embed: the address of its API"),
        var("azure_cohere_embed_api_key", Kind::Secret, "Cohere embed: the key of its API"),
        var("azure_cohere_rerank_api_base", Kind::Form(&forms::URL), "Cohere rerank: the address of its API"),
        var("azure_cohere_rerank_api_key", Kind::Secret, "Cohere rerank: the key of its API"),
    ],
};

pub(super) const TRACELOOP: Group = Group {
    title: "Traceloop",
    phase: Phase::Later,
    vars: &[
        var("traceloop_anthropic_api_key", Kind::Secret, "Anthropic: the key of its API"),
        switch("traceloop_enabled", "Traceloop"),
        var("traceloop_hub_cpu_limit", Kind::Form(&forms::CPU), "Hub: the most processors").text("500m"),
        var("traceloop_hub_cpu_request", Kind::Form(&forms::CPU), "Hub: processors that it is promised")
            .text("100m"),
        switch("traceloop_hub_enabled", "Hub of Traceloop"),
        var("traceloop_hub_memory_limit", Kind::Form(&forms::MEMORY), "Hub: the most memory").text("512Mi"),
        var("traceloop_hub_memory_request", Kind::Form(&forms::MEMORY), "Hub: memory that it is promised")
            .text("256Mi"),
        var("traceloop_hub_replicas", Kind::Int(1, 1_000_000), "Hub: how many pods").int(2),
        var("traceloop_hub_version", Kind::Form(&forms::VERSION), "Hub: its version").text("v0.7.2"),
        var("traceloop_openai_api_key", Kind::Secret, "OpenAI: the key of its API"),
    ],
};

pub(super) const ONEDEV: Group = Group {
    title: "OneDev",
    phase: Phase::Later,
    vars: &[
        var("onedev_admin_password", Kind::Secret, "The password of its administrator"),
        var("onedev_cpu_limit", Kind::Form(&forms::CPU), "The most processors").text("2000m"),
        var("onedev_cpu_request", Kind::Form(&forms::CPU), "Processors that it is promised").text("500m"),
        var("onedev_database_host", Kind::Text, "The host of its database"),
        var("onedev_database_name", Kind::Text, "The name of its database").text("onedev"),
        var("onedev_database_password", Kind::Secret, "The password of its database"),
        var("onedev_database_port", Kind::Digits(1, 65_535), "The port of the database").int(3306),
        var(
            "onedev_database_type",
            Kind::Choice(&["mysql", "postgresql", "mariadb", "mssql"]),
            "The kind of database",
        ),
        var("onedev_database_user", Kind::Text, "The user of its database").text("onedev"),
        switch("onedev_enabled", "OneDev"),
        var("onedev_memory_limit", Kind::Form(&forms::MEMORY), "The most memory").text("4Gi"),
        var("onedev_memory_request", Kind::Form(&forms::MEMORY), "Memory that it is promised").text("2Gi"),
        var("onedev_ssh_port", Kind::Int(1, 65_535), "The port of Git over SSH").int(6611),
        var("onedev_storage_class", Kind::Form(&forms::CLASS), "The class of its volumes")
            .text("proxmox-csi"),
        var("onedev_storage_size", Kind::Form(&forms::MEMORY), "The size of its volume").text("100Gi"),
    ],
};

pub(super) const OTHER: Group = Group {
    title: "Further settings of the origin",
    phase: Phase::Later,
    vars: &[
        var("cf_account_id", Kind::Text, "The account at Cloudflare"),
        var(
            "environment",
            Kind::Choice(&["production", "staging", "development"]),
            "What kind of cluster it is",
        )
        .text("production"),
        var("observability_namespace", Kind::Form(&forms::LABEL), "Where the other origin put monitoring")
            .text("monitoring"),
        var("proxmox_vm_advanced", Kind::Anything, "Details of virtual machines on Proxmox"),
        var("tfstate_password", Kind::Secret, "The password of that store"),
        var("tfstate_username", Kind::Text, "The user of the store of OpenTofu's state").text("terraform"),
    ],
};

//! langfuse: known and typed, not rendered yet.

use super::{Group, Kind, Phase, forms, switch, var};

pub(super) const LANGFUSE: Group = Group {
    title: "langfuse",
    phase: Phase::Later,
    vars: &[
        switch("langfuse_backup_enabled", "Backups of langfuse"),
        var("langfuse_backup_s3_access_key", Kind::Text, "The key of the backups' storage"),
        var("langfuse_backup_s3_secret_key", Kind::Secret, "The secret of that key"),
        var("langfuse_batch_export_enabled", Kind::Flag, "Batch export of langfuse").on(),
        switch("langfuse_cache_api_key_enabled", "Keys are cached"),
        var("langfuse_cache_api_key_ttl", Kind::Int(1, 86_400), "How many seconds keys are cached"),
        switch("langfuse_cache_prompt_enabled", "Prompts are cached"),
        var("langfuse_cache_prompt_ttl", Kind::Int(1, 86_400), "How many seconds prompts are cached"),
        var("langfuse_chart_version", Kind::Text, "The version of its chart").text("*"),
        switch("langfuse_clickhouse_cluster_enabled", "Whether ClickHouse is a cluster"),
        var("langfuse_clickhouse_password", Kind::Secret, "The password of ClickHouse of langfuse"),
        var("langfuse_clickhouse_replicas", Kind::Int(1, 5), "ClickHouse: how many pods").int(1),
        var("langfuse_clickhouse_storage", Kind::Form(&forms::MEMORY), "ClickHouse: the size of its volume")
            .text("20Gi"),
        var("langfuse_default_org_id", Kind::Form(&forms::SLUG), "The id of the organisation of new people"),
        var(
            "langfuse_default_org_role",
            Kind::Choice(&["VIEWER", "OWNER", "ADMIN", "MEMBER", "NONE"]),
            "The role of new people in the organisation",
        )
        .text("VIEWER"),
        var("langfuse_default_project_id", Kind::Form(&forms::SLUG), "The id of the project of new people"),
        var(
            "langfuse_default_project_role",
            Kind::Choice(&["OWNER", "ADMIN", "MEMBER", "VIEWER"]),
            "The role of new people in the project",
        ),
        switch("langfuse_disable_password_auth", "Nobody can sign in with a password"),
        switch("langfuse_disable_signup", "Nobody can make an account"),
        var("langfuse_email_from", Kind::Form(&forms::MAIL), "Whom mails come from"),
        switch("langfuse_enabled", "langfuse"),
        var(
            "langfuse_encryption_key",
            Kind::SecretForm(&forms::LANGFUSE_KEY),
            "What stored keys are encrypted with",
        ),
        var("langfuse_export_bucket", Kind::Text, "Export: its bucket").text("langfuse-exports"),
        var("langfuse_init_org_id", Kind::Form(&forms::SLUG), "The id of the first organisation"),
        var("langfuse_init_org_name", Kind::Text, "The name of the first organisation"),
        var("langfuse_init_project_id", Kind::Form(&forms::SLUG), "The id of the first project of langfuse"),
        var("langfuse_init_project_name", Kind::Text, "The name of the first project of langfuse"),
        var(
            "langfuse_init_project_public_key",
            Kind::Form(&forms::PUBLIC_KEY),
            "The public key of the first project",
        ),
        var(
            "langfuse_init_project_retention",
            Kind::Int(1, 3650),
            "How many days the first project keeps its data",
        ),
        var(
            "langfuse_init_project_secret_key",
            Kind::SecretForm(&forms::LANGFUSE_SECRET),
            "The secret key of the first project",
        ),
        var(
            "langfuse_init_user_email",
            Kind::Form(&forms::MAIL),
            "The mail address of the first user of langfuse",
        ),
        var("langfuse_init_user_name", Kind::Text, "The name of the first user of langfuse").text("Admin"),
        var(
            "langfuse_init_user_password",
            Kind::SecretForm(&forms::AT_LEAST_16),
            "The password of the first user of langfuse",
        ),
        var("langfuse_keycloak_client_secret", Kind::Secret, "Keycloak: the secret of its client"),
        var("langfuse_log_format", Kind::Choice(&["text", "json"]), "The form of logs").text("text"),
        var(
            "langfuse_log_level",
            Kind::Choice(&["info", "trace", "debug", "warn", "error", "fatal"]),
            "How much it says",
        )
        .text("info"),
        var("langfuse_media_bucket", Kind::Text, "Media: its bucket").text("langfuse-media"),
        var(
            "langfuse_media_download_url_expiry",
            Kind::Int(60, 86_400),
            "How many seconds a link to media is good",
        ),
        var("langfuse_media_max_size", Kind::Int(1, 10_000_000_000), "The most bytes of one medium"),
        switch("langfuse_monitoring_enabled", "Monitoring of langfuse"),
        var(
            "langfuse_nextauth_secret",
            Kind::SecretForm(&forms::AT_LEAST_32),
            "What sessions are signed with",
        ),
        var("langfuse_postgres_instances", Kind::Int(1, 5), "PostgreSQL: how many instances").int(1),
        var("langfuse_postgres_password", Kind::Secret, "The password of PostgreSQL of langfuse"),
        var("langfuse_postgres_storage", Kind::Form(&forms::MEMORY), "PostgreSQL: the size of its volume")
            .text("10Gi"),
        var("langfuse_s3_access_key", Kind::Text, "The key of its object storage"),
        var(
            "langfuse_s3_concurrent_reads",
            Kind::Int(1, 500),
            "How many reads of object storage run at once",
        ),
        var(
            "langfuse_s3_concurrent_writes",
            Kind::Int(1, 500),
            "How many writes of object storage run at once",
        ),
        var("langfuse_s3_secret_key", Kind::Secret, "The secret of that key"),
        var("langfuse_salt", Kind::SecretForm(&forms::AT_LEAST_32), "What keys of projects are hashed with"),
        var("langfuse_session_max_age", Kind::Int(3600, 31_536_000), "How long a session lasts, in seconds")
            .int(2_592_000),
        var("langfuse_smtp_url", Kind::SecretForm(&forms::SMTP), "The mail server, with its password"),
        var(
            "langfuse_sso_domain_enforcement",
            Kind::Form(&forms::DOMAINS),
            "Domains whose people have to sign in through Keycloak, with commas",
        ),
        switch("langfuse_sso_enabled", "Sign-on through Keycloak"),
        var("langfuse_subdomain", Kind::Form(&forms::LABEL), "The first label of its host name")
            .text("langfuse"),
        var(
            "langfuse_trace_sampling_ratio",
            Kind::Form(&forms::RATIO),
            "The share of requests that are traced",
        )
        .text("0.1"),
        switch("langfuse_tracing_enabled", "Tracing of langfuse"),
        var("langfuse_web_replicas", Kind::Int(1, 10), "Web: how many pods").int(1),
        var("langfuse_worker_replicas", Kind::Int(1, 10), "Worker: how many pods").int(1),
    ],
};

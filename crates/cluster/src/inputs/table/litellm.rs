//! LiteLLM, the proxy in front of models.

use super::{Group, If, Kind, Phase, forms, switch, var};

const ON: &[If] = &[If::On("litellm_enabled")];
const BACKUP: &[If] = &[If::All(&[If::On("litellm_enabled"), If::On("litellm_backup_enabled")])];
const LANGFUSE: &[If] = &[If::All(&[If::On("litellm_enabled"), If::On("litellm_langfuse_enabled")])];

pub(super) const LITELLM: Group = Group {
    title: "LiteLLM",
    phase: Phase::Two,
    vars: &[
        switch("litellm_enabled", "The proxy in front of models"),
        var("litellm_subdomain", Kind::Form(&forms::LABEL), "The first label of its host name")
            .text("litellm"),
        var("litellm_replicas", Kind::Int(1, 10), "How many pods").int(1),
        var("litellm_master_key", Kind::SecretForm(&forms::MASTER_KEY), "The key of its administrator")
            .when(ON),
        var(
            "litellm_salt_key",
            Kind::SecretForm(&forms::AT_LEAST_32),
            "What it encrypts keys of models with; it cannot be changed later",
        )
        .when(ON),
        var("litellm_db_user", Kind::Form(&forms::PG_NAME), "The user of its database").text("litellm"),
        var("litellm_db_password", Kind::Secret, "The password of its database").when(ON),
        var("litellm_db_name", Kind::Form(&forms::PG_NAME), "The name of its database").text("litellm"),
        var("litellm_db_instances", Kind::Int(1, 5), "How many instances its database has").int(1),
        var("litellm_storage_size", Kind::Form(&forms::MEMORY), "The size of its database's volume")
            .text("10Gi"),
        switch("litellm_oidc_enabled", "Sign-in at its page through Keycloak"),
        var("litellm_oidc_client_secret", Kind::Secret, "The secret of its client at Keycloak")
            .when(&[If::All(&[If::On("litellm_enabled"), If::On("litellm_oidc_enabled")])]),
        switch("litellm_backup_enabled", "Backups of its database"),
        var("litellm_s3_access_key", Kind::Text, "The key of the backups' storage").when(BACKUP),
        var("litellm_s3_secret_key", Kind::Secret, "Its secret").when(BACKUP),
        switch("litellm_monitoring_enabled", "Its metrics and dashboard"),
        switch("litellm_tracing_enabled", "Its traces"),
        switch("litellm_alerting_enabled", "Messages about slow and failing models"),
        var("litellm_alerting_threshold", Kind::Int(60, 3600), "Seconds after which an answer is slow")
            .int(300),
        var("litellm_slack_webhook_url", Kind::SecretForm(&forms::WEBHOOK), "Where messages go at Slack"),
        var("litellm_discord_webhook_url", Kind::SecretForm(&forms::WEBHOOK), "Where messages go at Discord"),
        switch("litellm_guardrails_enabled", "Checks of what is asked and answered"),
        switch("litellm_presidio_enabled", "Personal data is masked"),
        switch("litellm_prompt_injection_check", "Injected instructions are looked for"),
        switch("litellm_langfuse_enabled", "Calls are recorded in langfuse"),
        var("litellm_langfuse_host", Kind::Form(&forms::URL), "Where langfuse is")
            .text("https://cloud.langfuse.com"),
        var("litellm_langfuse_public_key", Kind::Text, "The public key there").when(LANGFUSE),
        var("litellm_langfuse_secret_key", Kind::Secret, "The secret key there").when(LANGFUSE),
    ],
};

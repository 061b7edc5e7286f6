//! The gateways for models and for MCP. That an AI gateway has a region at all is what `rules::requirements` is for.

use super::{Group, If, Kind, Phase, forms, switch, var};

pub(super) const AI: Group = Group {
    title: "AI gateway",
    phase: Phase::Two,
    vars: &[
        switch("envoy_ai_gateway_enabled", "The gateway for models"),
        var("envoy_ai_gateway_addr", Kind::Ip, "Its address").when(&[If::On("envoy_ai_gateway_enabled")]),
    ],
};

const TRIPLE: &str = "all three of `azure_tenant_id`, `azure_client_id` and `azure_client_secret`, or none; they take the place of a region's key";

pub(super) const AZURE: Group = Group {
    title: "Azure OpenAI",
    phase: Phase::Two,
    vars: &[
        var("azure_openai_us_east_api_key", Kind::Secret, "The key of the first region"),
        var("azure_openai_us_east_resource_name", Kind::Form(&forms::LABEL), "The name of its resource"),
        var("azure_openai_us_east_api_version", Kind::Form(&forms::AZURE_VERSION), "The version of its API")
            .text("2025-01-01-preview"),
        var("azure_openai_us_east2_api_key", Kind::Secret, "The key of the second region"),
        var("azure_openai_us_east2_resource_name", Kind::Form(&forms::LABEL), "The name of its resource"),
        var("azure_openai_us_east2_api_version", Kind::Form(&forms::AZURE_VERSION), "The version of its API")
            .text("2025-04-01-preview"),
        var("azure_tenant_id", Kind::Form(&forms::GUID), TRIPLE),
        var("azure_client_id", Kind::Form(&forms::GUID), "The application; see `azure_tenant_id`"),
        var("azure_client_secret", Kind::Secret, "Its secret; see `azure_tenant_id`"),
    ],
};

pub(super) const MCP: Group = Group {
    title: "MCP gateway",
    phase: Phase::Two,
    vars: &[
        switch(
            "mcp_gateway_enabled",
            "The gateway for MCP servers; switches Keycloak, PostgreSQL and Redis on",
        ),
        var("mcp_gateway_addr", Kind::Ip, "Its address").when(&[If::On("mcp_gateway_enabled")]),
        var("mcp_gateway_client_secret", Kind::Secret, "The secret of the client `mcp-gateway` at Keycloak"),
        var(
            "mcp_storage_class",
            Kind::Form(&forms::CLASS),
            "The class of the volumes of Keycloak's database and Redis",
        )
        .text("proxmox-csi"),
        var("mcp_request_timeout", Kind::Form(&forms::DURATION), "How long a request may take").text("120s"),
        var("mcp_rate_limit_requests", Kind::Int(1, 1_000_000), "Requests a minute for each person").int(100),
    ],
};

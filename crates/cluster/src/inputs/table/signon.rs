//! Single sign-on at the gateways, and who people sign in with. Keycloak itself stands in `keycloak`.

use super::{Group, If, Kind, Phase, Var, alias, forms, switch, var};

pub(super) const SIGN_ON: Group = Group {
    title: "Single sign-on",
    phase: Phase::Two,
    vars: &[
        switch("oidc_enabled", "Single sign-on at the gateways; needs Keycloak"),
        var("auth_gateway_addr", Kind::Ip, "The address of the gateway in front of Keycloak")
            .when(&[If::On("keycloak_enabled")]),
        var(
            "oidc_cookie_domain",
            Kind::Form(&forms::DOMAIN),
            "The domain of the cookie: every protected host, or a parent of all",
        )
        .computed("the first domain"),
        var("keycloak_oidc_client_secret", Kind::Secret, "The secret of the gateways' client at Keycloak")
            .when(&[If::On("oidc_enabled")]),
    ],
};

const GOOGLE: &[If] = &[If::On("oidc_google_enabled")];
const ENTRA: &[If] = &[If::On("oidc_entra_enabled")];
const GITHUB: &[If] = &[If::On("oidc_github_enabled")];

const REALM_ROLE: &[Var] =
    &[var("name", Kind::Text, "The role").always(), var("description", Kind::Text, "What it is for")];
const DOMAIN_ROLE: &[Var] = &[
    var("domain", Kind::Form(&forms::DOMAIN), "The domain of the person's address").always(),
    var("role", Kind::Text, "The role that they get").always(),
];
const ORG_ROLE: &[Var] = &[
    var("org", Kind::Text, "The organisation of the person").always(),
    var("role", Kind::Text, "The role that they get").always(),
];
const GROUP_ROLE: &[Var] = &[
    var("group_id", Kind::Form(&forms::GUID), "The group of the person").always(),
    var("role", Kind::Text, "The role that they get").always(),
];

pub(super) const PROVIDERS: Group = Group {
    title: "Identity providers",
    phase: Phase::Two,
    vars: &[
        switch("oidc_google_enabled", "Sign-in with Google"),
        var("oidc_google_client_id", Kind::Form(&forms::GOOGLE_CLIENT), "The client at Google").when(GOOGLE),
        var("oidc_google_client_secret", Kind::Secret, "Its secret").when(GOOGLE),
        alias("google_idp_enabled", "oidc_google_enabled"),
        alias("google_client_id", "oidc_google_client_id"),
        alias("google_client_secret", "oidc_google_client_secret"),
        alias("keycloak_google_enabled", "oidc_google_enabled"),
        alias("keycloak_google_client_id", "oidc_google_client_id"),
        alias("keycloak_google_client_secret", "oidc_google_client_secret"),
        var("google_default_role", Kind::Text, "The role of everybody who comes from Google"),
        var("google_domain_role_mapping", Kind::Fields(DOMAIN_ROLE), "A role for the people of one domain"),
        switch("oidc_entra_enabled", "Sign-in with Microsoft Entra ID"),
        var("oidc_entra_tenant_id", Kind::Form(&forms::TENANT), "The tenant, or `common`").when(ENTRA),
        var("oidc_entra_client_id", Kind::Form(&forms::GUID), "The client at Microsoft").when(ENTRA),
        var("oidc_entra_client_secret", Kind::Secret, "Its secret").when(ENTRA),
        alias("microsoft_idp_enabled", "oidc_entra_enabled"),
        alias("microsoft_tenant_id", "oidc_entra_tenant_id"),
        alias("microsoft_client_id", "oidc_entra_client_id"),
        alias("microsoft_client_secret", "oidc_entra_client_secret"),
        alias("keycloak_entra_id_enabled", "oidc_entra_enabled"),
        alias("keycloak_entra_id_tenant_id", "oidc_entra_tenant_id"),
        alias("keycloak_entra_id_client_id", "oidc_entra_client_id"),
        alias("keycloak_entra_id_client_secret", "oidc_entra_client_secret"),
        var("microsoft_default_role", Kind::Text, "The role of everybody who comes from Microsoft"),
        var(
            "microsoft_group_role_mappings",
            Kind::List(&Kind::Fields(GROUP_ROLE), 0),
            "Roles for the people of groups",
        ),
        switch("oidc_github_enabled", "Sign-in with GitHub"),
        var("oidc_github_client_id", Kind::Text, "The client at GitHub").when(GITHUB),
        var("oidc_github_client_secret", Kind::Secret, "Its secret").when(GITHUB),
        var("oidc_github_org", Kind::Text, "Only people of this organisation"),
        var("oidc_github_team", Kind::Text, "Only people of these teams of the organisation, with commas"),
        alias("github_idp_enabled", "oidc_github_enabled"),
        alias("github_client_id", "oidc_github_client_id"),
        alias("github_client_secret", "oidc_github_client_secret"),
        alias("keycloak_github_enabled", "oidc_github_enabled"),
        alias("keycloak_github_client_id", "oidc_github_client_id"),
        alias("keycloak_github_client_secret", "oidc_github_client_secret"),
        var("github_default_role", Kind::Text, "The role of everybody who comes from GitHub"),
        var("github_org_role_mapping", Kind::Fields(ORG_ROLE), "A role for the people of one organisation"),
        var("keycloak_realm_roles", Kind::List(&Kind::Fields(REALM_ROLE), 0), "Roles that the realm has"),
    ],
};

const CLAIM: &[Var] = &[
    var("name", Kind::Text, "The claim").always(),
    var("header", Kind::Form(&forms::HEADER), "The header that carries it").always(),
];

pub(super) const TOKENS: Group = Group {
    title: "Tokens of another issuer at the gateways",
    phase: Phase::Later,
    vars: &[
        switch("oidc_sso_enabled", "Sign-on at the gateways with the issuer below"),
        var("oidc_provider_name", Kind::Text, "What the issuer is called").text("keycloak"),
        var("oidc_issuer_url", Kind::Form(&forms::URL), "The issuer"),
        var("oidc_jwks_uri", Kind::Form(&forms::URL), "Where its keys are"),
        var("oidc_client_id", Kind::Text, "The client there"),
        var("oidc_client_secret", Kind::Secret, "Its secret"),
        var("oidc_redirect_url", Kind::Form(&forms::URL), "Where people come back to"),
        var("oidc_logout_path", Kind::Form(&forms::PATH), "Where people sign out").text("/logout"),
        var("oidc_scopes", Kind::List(&Kind::Text, 0), "What is asked for"),
        var("oidc_refresh_token", Kind::Flag, "Whether sessions are renewed").on(),
        var(
            "oidc_cookie_samesite",
            Kind::Choice(&["Lax", "Strict", "None"]),
            "Which requests of other sites carry the cookie",
        )
        .text("Lax"),
        var("oidc_additional_claims", Kind::List(&Kind::Fields(CLAIM), 0), "Claims that become headers"),
    ],
};

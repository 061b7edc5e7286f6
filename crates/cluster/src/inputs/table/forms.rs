//! The forms of texts: what a person calls each, the regular expression that decides, an example. A form that needs more than
//! an expression, such as a key of 32 bytes, says so in `check`.

/// The form of a text.
#[derive(Debug)]
pub struct Form {
    /// What it is called, with its article.
    pub called: &'static str,
    /// What decides; the schema for editors has it as well.
    pub pattern: &'static str,
    /// One that is right.
    pub example: &'static str,
    /// The code of a text that is not of this form.
    pub code: &'static str,
}

const fn form(called: &'static str, pattern: &'static str, example: &'static str) -> Form {
    Form { called, pattern, example, code: "V-04" }
}

const fn secret(called: &'static str, pattern: &'static str, example: &'static str) -> Form {
    Form { called, pattern, example, code: "V-17" }
}

pub(super) const DOMAIN: Form =
    form("a domain name", r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$", "k8s.example.com");
pub(super) const HOST: Form = form(
    "a domain name or an IPv4 address",
    r"^(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}|((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9]))$",
    "api.example.com",
);
pub(super) const LABEL: Form =
    form("one label of a host name", r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "agents");
pub(super) const CLASS: Form =
    form("the name of a storage class", r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", "proxmox-csi");
pub(super) const SLUG: Form =
    form("lower-case letters, digits and dashes", r"^[a-z0-9][a-z0-9-]*[a-z0-9]$", "my-team");
pub(super) const REALM: Form =
    form("lower-case letters, digits and dashes", r"^[a-z0-9][a-z0-9-]*$", "k8s-cluster");
pub(super) const URL: Form = form("an address", r"^https?://[^\s]+$", "https://host.example.com");
pub(super) const SMTP: Form = secret("an address of a mail server", r"^smtps?://.+$", "smtps://host:465");
pub(super) const WEBHOOK: Form = secret("an https address", r"^https://.+$", "https://host.example.com/hook");
pub(super) const PROXMOX: Form = form(
    "the address of the Proxmox API, which ends in /api2/json",
    r"^https?://.+/api2/json$",
    "https://pve.example.com:8006/api2/json",
);
pub(super) const TOKEN_ID: Form = form("the id of a Proxmox token", r"^.+@.+!.+$", "kubernetes-csi@pve!csi");
pub(super) const REPOSITORY: Form =
    form("owner/repository, without a host and `.git`", r"^[\w.-]+/[\w.-]*[\w-]$", "owner/repo");
pub(super) const GIT_URL: Form = form(
    "the address of a Git repository",
    r"^(https|ssh)://[^\s]+$",
    "ssh://git@git.example.com/owner/repo.git",
);
pub(super) const BRANCH: Form =
    form("the name of a branch", r"^[A-Za-z0-9_]([A-Za-z0-9_+=,#-]|[./@][A-Za-z0-9_+=,#-])*$", "main");
pub(super) const SEMVER: Form =
    form("a version of three numbers, without `v`", r"^[0-9]+\.[0-9]+\.[0-9]+$", "1.2.3");
pub(super) const VERSION: Form = form("a version", r"^v?[0-9]+(\.[0-9]+){0,2}([-+][0-9A-Za-z.-]+)?$", "7.4");
pub(super) const MAJOR: Form = form("a major version", r"^[0-9]+$", "17");
pub(super) const V_VERSION: Form =
    form("a version of three numbers with `v`", r"^v[0-9]+\.[0-9]+\.[0-9]+$", "v1.2.3");
pub(super) const CLI_VERSION: Form =
    form("two versions of three numbers", r"^[0-9]+\.[0-9]+\.[0-9]+-[0-9]+\.[0-9]+\.[0-9]+$", "6.4.0-26.1.0");
pub(super) const AZURE_VERSION: Form =
    form("a version of the Azure API", r"^\d{4}-\d\d-\d\d(-preview)?$", "2025-04-01-preview");
pub(super) const CPU: Form = form("an amount of processors", r"^[0-9]+m?$", "500m");
pub(super) const MEMORY: Form = form("an amount of bytes", r"^[0-9]+[KMGT]i$", "10Gi");
pub(super) const BYTES: Form = form("an amount of bytes", r"^[0-9]+([KMGTP]i?)?B$", "45GB");
pub(super) const SMALL_BYTES: Form = form("an amount of bytes", r"^[0-9]+[kmgt]b$", "512mb");
pub(super) const DURATION: Form = form("a duration", r"^[0-9]+(ms|s|m|h)$", "120s");
pub(super) const RETENTION: Form = form("a time to keep", r"^[0-9]+[hdw]$", "7d");
pub(super) const CRON: Form =
    form("five fields of cron", r"^[0-9*,/-]+ [0-9*,/-]+ [0-9*,/-]+ [0-9*,/-]+ [0-9*,/-]+$", "0 2 * * *");
pub(super) const GUID: Form = form(
    "a GUID",
    r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "00000000-0000-4000-8000-000000000000",
);
pub(super) const TENANT: Form =
    form("a GUID, or `common`", r"^(common|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$", "common");
pub(super) const GOOGLE_CLIENT: Form = form(
    "a client id of Google",
    r"^.+\.apps\.googleusercontent\.com$",
    "000000000000-name.apps.googleusercontent.com",
);
pub(super) const PG_NAME: Form = form("a name of PostgreSQL", r"^[a-z_][a-z0-9_]{0,62}$", "my_database");
pub(super) const IMAGE: Form = form(
    "an image of CloudNativePG",
    r"^ghcr\.io/cloudnative-pg/.+$",
    "ghcr.io/cloudnative-pg/postgresql:18",
);
pub(super) const MAIL: Form = form("a mail address", r"^[^@\s]+@[^@\s]+$", "person@example.com");
pub(super) const MAILS: Form = form(
    "mail addresses with commas",
    r"^[^@\s,]+@[^@\s,]+(,[^@\s,]+@[^@\s,]+)*$",
    "one@example.com,two@example.com",
);
pub(super) const DOMAINS: Form =
    form("domain names with commas", r"^[a-z0-9.-]+(,[a-z0-9.-]+)*$", "example.com,example.net");
pub(super) const RATIO: Form = form("a number from 0 to 1", r"^([01](\.\d+)?|\.\d+)$", "0.1");
pub(super) const AGE: Form = form("an age recipient", r"^age1[a-z0-9]+$", "age1…");
pub(super) const PATH: Form = form("a path", r"^/.*$", "/logout");
pub(super) const HEADER: Form = form("a header that begins with X-", r"^[Xx]-[A-Za-z0-9-]+$", "X-User");
pub(super) const PUBLIC_KEY: Form = form("a public key of langfuse", r"^lf_pk_[a-zA-Z0-9]+$", "lf_pk_abc");

pub(super) const AT_LEAST_8: Form = secret("at least 8 characters", r"^(?s:.{8,})$", "");
pub(super) const AT_LEAST_16: Form = secret("at least 16 characters", r"^(?s:.{16,})$", "");
pub(super) const AT_LEAST_32: Form = secret("at least 32 characters", r"^(?s:.{32,})$", "");
pub(super) const MASTER_KEY: Form = secret("`sk-` and at least 29 characters", r"^sk-(?s:.{29,})$", "");
pub(super) const LANGFUSE_KEY: Form =
    secret("32 bytes in lower-case hex", r"^[a-f0-9]{64}$", "`openssl rand -hex 32`");
pub(super) const LANGFUSE_SECRET: Form = secret("a secret key of langfuse", r"^lf_sk_[a-zA-Z0-9]+$", "");
/// Base64 of exactly 32 bytes: 43 characters and one of padding.
pub(super) const KEY_32: Form =
    secret("base64 of exactly 32 bytes", r"^[A-Za-z0-9+/]{43}=$", "`openssl rand -base64 32`");

/// Six pairs of hex digits.
pub(in super::super) const MAC: Form = Form {
    called: "a MAC address",
    pattern: r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$",
    example: "aa:bb:cc:dd:ee:ff",
    code: "V-19",
};
pub(super) const SCHEMATIC: Form = Form {
    called: "a schematic id of the Talos image factory, 64 digits of lower-case hex",
    pattern: r"^[0-9a-f]{64}$",
    example: "",
    code: "V-19",
};

//! `_meta`: the envelope of a modern request and the reserved keys (spec: basic/index, general fields).
//! Reserved keys are hop-by-hop and rebuilt at each side; third-party keys pass end to end.

use crate::{
    ClientCapabilities, JsonError, LogLevel, Method, RawJson, Version, caps::TASKS_EXTENSION, json,
    json::Member,
};

/// `_meta` key of the revision.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of the client's capabilities.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta` key of the client's name and version.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// `_meta` key of the wanted log level.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// `_meta` key of the server's name and version in results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// `_meta` key that ties a notification to a listen stream.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// `_meta` key that ties a legacy message to a task (spec 2025-11-25: basic/utilities/tasks).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Whether a `_meta` key belongs to the protocol: the second label of its prefix is `modelcontextprotocol` or `mcp`.
pub fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return false };
    matches!(prefix.split('.').nth(1), Some("modelcontextprotocol" | "mcp"))
}

/// What the `_meta` of an incoming request says.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    members: Vec<Member>,
}

impl Meta {
    /// Reads `_meta`; absent is empty. Anything but an object, or a key twice, is refused.
    pub fn parse(raw: Option<&RawJson>) -> Result<Self, JsonError> {
        raw.map_or_else(|| Ok(Self::default()), |raw| raw.members().map(|members| Self { members }))
    }

    /// One value.
    pub fn get(&self, key: &str) -> Option<&RawJson> {
        self.members.iter().find(|member| member.key == *key).map(|member| &member.value)
    }

    /// The claimed revision, as text.
    pub fn protocol_version(&self) -> Option<&RawJson> {
        self.get(PROTOCOL_VERSION)
    }

    /// The caller's progress token: a string or a number.
    pub fn progress_token(&self) -> Option<&RawJson> {
        self.get("progressToken").filter(|raw| matches!(raw.kind(), json::Kind::String | json::Kind::Number))
    }

    /// The keys that go on to a server: everything that is not reserved, not the progress token and not trace context
    /// (which is rebuilt).
    pub fn passing(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.key != *"progressToken" && !is_reserved(&m.key))
    }
}

/// What goes into the `_meta` of a modern request that we send.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The revision.
    pub version: Version,
    /// What the caller behind us can do.
    pub capabilities: &'a ClientCapabilities,
    /// Who the caller says it is.
    pub client_info: Option<&'a RawJson>,
    /// The log level it wants.
    pub log_level: Option<LogLevel>,
    /// Our progress token.
    pub progress_token: Option<u64>,
    /// The caller's declaration of the tasks extension, which is kept apart from its other capabilities.
    pub tasks: Option<&'a RawJson>,
    /// Third-party keys that pass.
    pub extra: &'a [Member],
}

impl Envelope<'_> {
    /// Writes the object.
    pub fn encode(&self) -> RawJson {
        let mut out = Vec::with_capacity(256);
        out.push(b'{');
        if self.version.era() == crate::Era::Modern {
            json::write_member(&mut out, PROTOCOL_VERSION, format!("\"{}\"", self.version).as_bytes());
            json::write_member(&mut out, CLIENT_CAPABILITIES, self.declared().as_bytes());
            if let Some(info) = self.client_info {
                json::write_member(&mut out, CLIENT_INFO, info.as_bytes());
            }
            if let Some(level) = self.log_level {
                json::write_member(&mut out, LOG_LEVEL, format!("\"{}\"", level.as_str()).as_bytes());
            }
        }
        if let Some(token) = self.progress_token {
            json::write_member(&mut out, "progressToken", itoa::Buffer::new().format(token).as_bytes());
        }
        for member in self.extra {
            json::write_member(&mut out, &member.key, member.value.as_bytes());
        }
        out.push(b'}');
        RawJson::trusted(out)
    }

    fn declared(&self) -> RawJson {
        let raw = self.capabilities.raw_modern();
        let Some(settings) = self.tasks else { return raw.clone() };
        let extensions = raw.get("extensions").filter(|raw| raw.kind() == json::Kind::Object);
        let extensions =
            extensions.unwrap_or(RawJson::EMPTY_OBJECT).with(&[], &[(TASKS_EXTENSION, settings)]);
        raw.with(&[], &[("extensions", &extensions)])
    }
}

/// The progress token inside the params of a `notifications/progress`.
pub fn progress_token_of(params: &RawJson) -> Option<RawJson> {
    params.get("progressToken")
}

/// The id inside the params of a `notifications/cancelled`.
pub fn cancelled_id(method: &Method, params: Option<&RawJson>) -> Option<crate::Id> {
    if *method != Method::Cancelled {
        return None;
    }
    crate::Id::from_raw(&params?.get("requestId")?)
}

//! What a client says it can do, and how much it wants to hear (spec: basic/lifecycle of each revision, basic/index).
//! The raw object is kept: a capability that Portreeve does not know still reaches a server of the same era.

use crate::{Feature, RawJson, Version, json::Kind};
use std::sync::{Arc, LazyLock};

/// The name of the tasks extension in `capabilities.extensions`.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A client's capabilities, read once. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCapabilities(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    raw: RawJson,
    /// Where it differs.
    modern: Option<RawJson>,
    flags: Flags,
}

/// The capabilities that decide something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that a peer declares one by one")]
pub struct Flags {
    /// Forms for the person.
    pub elicitation_form: bool,
    /// URLs for the person.
    pub elicitation_url: bool,
    /// Text from the client's model.
    pub sampling: bool,
    /// … with tools.
    pub sampling_tools: bool,
    /// … with context of other servers.
    pub sampling_context: bool,
    /// The client's folders.
    pub roots: bool,
    /// The tasks extension.
    pub tasks: bool,
}

impl Flags {
    /// Whether a server may ask this client anything at all.
    pub fn can_be_asked(self) -> bool {
        self.elicitation_form || self.elicitation_url || self.sampling || self.roots
    }
}

static NONE: LazyLock<ClientCapabilities> = LazyLock::new(|| {
    ClientCapabilities(Arc::new(Inner { raw: RawJson::EMPTY_OBJECT, modern: None, flags: Flags::default() }))
});

impl std::hash::Hash for ClientCapabilities {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // The flags follow from the raw object and the revision; equal ones hash alike.
        self.0.raw.hash(state);
    }
}

impl ClientCapabilities {
    /// `{}`
    pub fn none() -> Self {
        NONE.clone()
    }

    /// Reads the `capabilities` of `initialize` or the `clientCapabilities` of a modern request.
    /// `elicitation: {}` means form only (spec: client/elicitation); before 2025-06-18 there is none.
    pub fn read(raw: &RawJson, version: Version) -> Option<Self> {
        if raw.kind() != Kind::Object {
            return None;
        }
        if raw.as_bytes().len() == 2 {
            return Some(Self::none());
        }
        let object =
            |parent: &RawJson, key: &str| parent.get(key).filter(|value| value.kind() == Kind::Object);
        let elicitation = object(raw, "elicitation").filter(|_| version.supports(Feature::Elicitation));
        let sampling = object(raw, "sampling");
        let rich = version.supports(Feature::RichElicitation);
        let has = |parent: &Option<RawJson>, key: &str| {
            parent.as_ref().is_some_and(|parent| object(parent, key).is_some())
        };
        let url = rich && has(&elicitation, "url");
        let flags = Flags {
            elicitation_form: elicitation.is_some() && (!url || has(&elicitation, "form")),
            elicitation_url: url,
            sampling: sampling.is_some(),
            sampling_tools: version.supports(Feature::SamplingTools) && has(&sampling, "tools"),
            sampling_context: has(&sampling, "context")
                || (sampling.is_some() && !version.supports(Feature::SamplingTools)),
            roots: object(raw, "roots").is_some(),
            tasks: object(raw, "extensions").is_some_and(|ext| ext.get(TASKS_EXTENSION).is_some()),
        };
        // Sessions, watches and lists are kept by them, long after the request that they came in.
        let raw = meant(raw, version).detached();
        Some(Self(Arc::new(Inner { modern: stateless(&raw), raw, flags })))
    }

    /// The object as it came, less what its revision does not know.
    pub fn raw(&self) -> &RawJson {
        &self.0.raw
    }

    /// The same for a modern server, which is told of no changes of roots.
    pub fn raw_modern(&self) -> &RawJson {
        self.0.modern.as_ref().unwrap_or(&self.0.raw)
    }

    /// What decides something.
    pub fn flags(&self) -> Flags {
        self.0.flags
    }

    /// What the client said with its declaration of the tasks extension, if it declared it.
    pub fn tasks(&self) -> Option<RawJson> {
        if !self.0.flags.tasks {
            return None;
        }
        self.0.raw.get("extensions")?.get(TASKS_EXTENSION)
    }
}

/// What a client of this revision means: members of elicitation and sampling that came later say nothing, but would to a
/// server of a later revision (mcp.md 4.4.2).
fn meant(raw: &RawJson, version: Version) -> RawJson {
    let bare = RawJson::EMPTY_OBJECT;
    let mut drop = Vec::new();
    let mut set = Vec::new();
    let elicitation = raw.get("elicitation");
    if !version.supports(Feature::Elicitation) {
        drop.extend(elicitation.is_some().then_some("elicitation"));
    } else if !version.supports(Feature::RichElicitation) && elicitation.is_some_and(|it| it != bare) {
        set.push(("elicitation", &bare));
    }
    let sampling = raw.get("sampling").filter(|_| !version.supports(Feature::SamplingTools));
    let sampling = sampling.filter(|it| it.get("tools").is_some()).map(|it| it.with(&["tools"], &[]));
    set.extend(sampling.as_ref().map(|sampling| ("sampling", sampling)));
    if set.is_empty() && drop.is_empty() {
        return raw.clone();
    }
    raw.with(&drop, &set)
}

/// Without `roots.listChanged`, for which the modern revision has no notification. `None`: it is not there.
fn stateless(raw: &RawJson) -> Option<RawJson> {
    let roots = raw.get("roots").filter(|roots| roots.get("listChanged").is_some())?;
    Some(raw.with(&[], &[("roots", &roots.with(&["listChanged"], &[]))]))
}

/// Severity of a log message (RFC 5424), least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `notice`
    Notice,
    /// `warning`
    Warning,
    /// `error`
    Error,
    /// `critical`
    Critical,
    /// `alert`
    Alert,
    /// `emergency`
    Emergency,
}

impl LogLevel {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Debug, "debug"),
        (Self::Info, "info"),
        (Self::Notice, "notice"),
        (Self::Warning, "warning"),
        (Self::Error, "error"),
        (Self::Critical, "critical"),
        (Self::Alert, "alert"),
        (Self::Emergency, "emergency"),
    ];

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(level, _)| *level)
    }

    /// The wire form.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("debug", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_follow_the_version() {
        let flags = |text: &str, version| {
            ClientCapabilities::read(&RawJson::from_text(text).unwrap(), version).unwrap().flags()
        };
        let modern = Version::V2026_07_28;
        assert!(flags(r#"{"elicitation":{}}"#, modern).elicitation_form);
        assert!(!flags(r#"{"elicitation":{}}"#, modern).elicitation_url);
        let url_only = flags(r#"{"elicitation":{"url":{}}}"#, modern);
        assert!(url_only.elicitation_url && !url_only.elicitation_form);
        assert!(!flags(r#"{"elicitation":{}}"#, Version::V2025_03_26).can_be_asked());
        assert!(!flags(r#"{"elicitation":{"form":{},"url":{}}}"#, Version::V2025_06_18).elicitation_url);
        assert!(flags(r#"{"sampling":{"tools":{}}}"#, modern).sampling_tools);
        assert!(!flags("{}", modern).can_be_asked());
        assert!(ClientCapabilities::read(&RawJson::NULL, modern).is_none());
    }

    #[test]
    fn capabilities_that_are_kept_do_not_keep_the_request_that_they_came_in() {
        let body =
            bytes::Bytes::from(br#"{"capabilities":{"roots":{"listChanged":true}},"more":1}"#.to_vec());
        let raw = RawJson::parse(&body, crate::json::MAX_DEPTH).unwrap().get("capabilities").unwrap();
        let kept = ClientCapabilities::read(&raw, Version::NEWEST_LEGACY).unwrap();
        drop(raw);
        assert!(body.is_unique());
        assert_eq!(kept.raw().as_str(), r#"{"roots":{"listChanged":true}}"#);
    }

    #[test]
    fn what_a_revision_does_not_know_is_not_declared_in_its_name() {
        let rows = [
            (Version::V2024_11_05, r#"{"roots":{},"elicitation":{}}"#, r#"{"roots":{}}"#),
            (Version::V2025_03_26, r#"{"elicitation":{"url":{}}}"#, "{}"),
            (Version::V2025_06_18, r#"{"elicitation":{"form":{},"url":{}}}"#, r#"{"elicitation":{}}"#),
            (Version::V2025_06_18, r#"{"sampling":{"tools":{},"x":1}}"#, r#"{"sampling":{"x":1}}"#),
            (Version::V2025_06_18, r#"{"elicitation":{},"new":{}}"#, r#"{"elicitation":{},"new":{}}"#),
            (Version::V2025_11_25, r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{"url":{}}}"#),
        ];
        for (version, declared, meant) in rows {
            let read = ClientCapabilities::read(&RawJson::from_text(declared).unwrap(), version).unwrap();
            assert_eq!(read.raw().as_str(), meant, "{version} {declared}");
        }
        let declared = RawJson::from_text(r#"{"roots":{"listChanged":true},"x":1}"#).unwrap();
        let read = ClientCapabilities::read(&declared, Version::V2025_11_25).unwrap();
        assert_eq!(read.raw(), &declared);
        assert_eq!(read.raw_modern().as_str(), r#"{"roots":{},"x":1}"#);
    }
}

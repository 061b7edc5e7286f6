//! The five protocol revisions, what each can do, and which era it belongs to (spec: basic/versioning).
//! Nothing compares version strings anywhere else.

/// The two ways the protocol works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize` handshake, sessions, requests from server to client (2024-11-05 … 2025-11-25).
    Legacy,
    /// Stateless requests that carry their version and capabilities (2026-07-28).
    Modern,
}

/// A protocol revision that Portreeve speaks. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 2024-11-05
    V2024_11_05,
    /// 2025-03-26
    V2025_03_26,
    /// 2025-06-18
    V2025_06_18,
    /// 2025-11-25
    V2025_11_25,
    /// 2026-07-28
    V2026_07_28,
}

/// Something that not every revision has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Several messages in one array (2025-03-26 only).
    Batches,
    /// Audio content blocks.
    Audio,
    /// `resource_link` content blocks.
    ResourceLink,
    /// `structuredContent` and `outputSchema` (objects).
    StructuredContent,
    /// `structuredContent` of any JSON type.
    AnyStructuredContent,
    /// Elicitation in form mode.
    Elicitation,
    /// Elicitation in URL mode, titled and multi-select enums, defaults of every type.
    RichElicitation,
    /// Sampling with tools and content arrays.
    SamplingTools,
    /// The `MCP-Protocol-Version` header is expected after initialization.
    VersionHeader,
    /// Completion takes a `context`.
    CompletionContext,
    /// The `completions` capability has to be declared.
    CompletionsCapability,
    /// `Mcp-Session-Id` over Streamable HTTP.
    StreamableHttp,
    /// An error response may go without an id.
    ErrorWithoutId,
    /// Streams begin with an empty event, and a server may close them before the answer.
    Polling,
}

impl Version {
    /// Every revision, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];
    /// The newest revision with a handshake; what an unknown `initialize` version gets.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;
    /// The newest revision.
    pub const NEWEST: Self = Self::V2026_07_28;
    /// What `supported` and `supportedVersions` list: only what can be served inside a modern envelope.
    pub const MODERN: [Self; 1] = [Self::V2026_07_28];

    /// Reads the wire form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// The wire form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// The era of this revision.
    pub fn era(self) -> Era {
        if self == Self::V2026_07_28 { Era::Modern } else { Era::Legacy }
    }

    /// Whether this revision has the feature.
    pub fn supports(self, feature: Feature) -> bool {
        match feature {
            Feature::Batches => self == Self::V2025_03_26,
            Feature::Audio | Feature::StreamableHttp | Feature::CompletionsCapability => {
                self >= Self::V2025_03_26
            }
            Feature::ResourceLink
            | Feature::StructuredContent
            | Feature::Elicitation
            | Feature::VersionHeader
            | Feature::CompletionContext => self >= Self::V2025_06_18,
            Feature::RichElicitation | Feature::SamplingTools | Feature::ErrorWithoutId => {
                self >= Self::V2025_11_25
            }
            Feature::Polling => self == Self::V2025_11_25,
            Feature::AnyStructuredContent => self >= Self::V2026_07_28,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

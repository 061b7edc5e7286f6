//! Method names: the ones that some step treats specially, and any other, which passes as data.

use crate::{Text, Version};

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $wire:literal,)*) => {
        /// A JSON-RPC method. Unknown ones are data, not errors.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $name,)*
            /// Any other method.
            Other(Text),
        }

        impl Method {
            /// Reads the wire form; names are case-sensitive.
            pub fn from_text(text: &Text) -> Self {
                match text.as_str() {
                    $($wire => Self::$name,)*
                    _ => Self::Other(text.clone()),
                }
            }

            /// The wire form.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $wire,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

methods! {
    /// The legacy handshake.
    Initialize = "initialize",
    /// The modern description of a server.
    Discover = "server/discover",
    /// Liveness, legacy only.
    Ping = "ping",
    /// The tools of a server.
    ToolsList = "tools/list",
    /// Runs a tool.
    ToolsCall = "tools/call",
    /// The prompts of a server.
    PromptsList = "prompts/list",
    /// Fills a prompt.
    PromptsGet = "prompts/get",
    /// The resources of a server.
    ResourcesList = "resources/list",
    /// The resource templates of a server.
    ResourceTemplatesList = "resources/templates/list",
    /// Reads a resource.
    ResourcesRead = "resources/read",
    /// Legacy subscription to one resource.
    ResourcesSubscribe = "resources/subscribe",
    /// Ends a legacy subscription.
    ResourcesUnsubscribe = "resources/unsubscribe",
    /// Argument completion.
    Complete = "completion/complete",
    /// The log level of a legacy session.
    SetLevel = "logging/setLevel",
    /// The modern stream of changes.
    Listen = "subscriptions/listen",
    /// A server's form or URL for a person.
    Elicit = "elicitation/create",
    /// A server's request for a model's text.
    Sample = "sampling/createMessage",
    /// A server's question for the client's folders.
    Roots = "roots/list",
    /// State of a task.
    TasksGet = "tasks/get",
    /// Result of a legacy task.
    TasksResult = "tasks/result",
    /// Tasks of a legacy session.
    TasksList = "tasks/list",
    /// Ends a task.
    TasksCancel = "tasks/cancel",
    /// Answers to a modern task's questions.
    TasksUpdate = "tasks/update",
    /// Legacy: the client is ready.
    Initialized = "notifications/initialized",
    /// A request is no longer wanted.
    Cancelled = "notifications/cancelled",
    /// Progress of a request.
    Progress = "notifications/progress",
    /// A log message.
    LogMessage = "notifications/message",
    /// Legacy: the client's roots changed.
    RootsChanged = "notifications/roots/list_changed",
    /// The tools changed.
    ToolsChanged = "notifications/tools/list_changed",
    /// The prompts changed.
    PromptsChanged = "notifications/prompts/list_changed",
    /// The resources changed.
    ResourcesChanged = "notifications/resources/list_changed",
    /// A resource changed.
    ResourceUpdated = "notifications/resources/updated",
    /// First message of a modern listen stream.
    ListenAcknowledged = "notifications/subscriptions/acknowledged",
    /// A modern task changed.
    TaskChanged = "notifications/tasks",
    /// Legacy: a task changed.
    TaskStatus = "notifications/tasks/status",
    /// Legacy: the out-of-band part of a URL elicitation is done.
    ElicitationComplete = "notifications/elicitation/complete",
}

impl Method {
    /// Whether a modern server may answer this with `input_required` (spec: basic/patterns/mrtr).
    pub fn may_ask(&self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }

    /// The parameter that `Mcp-Name` mirrors (spec: streamable-http, tasks extension).
    pub fn name_parameter(&self) -> Option<&'static str> {
        match self {
            Self::ToolsCall | Self::PromptsGet => Some("name"),
            Self::ResourcesRead => Some("uri"),
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel => Some("taskId"),
            _ => None,
        }
    }

    /// Whether this is about a task that is there already.
    pub fn is_about_task(&self) -> bool {
        matches!(
            self,
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel | Self::TasksResult | Self::TasksList
        )
    }

    /// Whether a client of this revision may send this request.
    pub fn is_request_in(&self, version: Version) -> bool {
        let modern = version == Version::V2026_07_28;
        match self {
            Self::ToolsList
            | Self::ToolsCall
            | Self::PromptsList
            | Self::PromptsGet
            | Self::ResourcesList
            | Self::ResourceTemplatesList
            | Self::ResourcesRead
            | Self::Complete => true,
            Self::Discover | Self::Listen | Self::TasksUpdate => modern,
            Self::Initialize
            | Self::Ping
            | Self::SetLevel
            | Self::ResourcesSubscribe
            | Self::ResourcesUnsubscribe => !modern,
            Self::TasksGet | Self::TasksCancel => version >= Version::V2025_11_25,
            Self::TasksResult | Self::TasksList => version == Version::V2025_11_25,
            _ => false,
        }
    }
}

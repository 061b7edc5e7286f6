//! What both transports say and read in the same words: requests of each era, the handshakes, answers to questions.
//! It builds on the frames of `mcp` and holds no state.

use futures_channel::oneshot::Canceled;
use portreeve_mcp::{
    Code, Ctx, Event, Id, LogLevel, Method, Outcome, Params, RawJson, Request, RpcError, Text, Version,
    frame,
    json::Kind,
    meta,
    service::{AskKind, Description, FailureKind, InputRequest, InputRequired, Notice},
};

/// How deep an upstream's message may be nested: what the scanner can hold. Results are passed, not walked.
pub(crate) const DEPTH: usize = portreeve_mcp::json::MAX_DEPTH;

/// What we call ourselves where the caller gave no name.
const CLIENT_INFO: RawJson =
    RawJson::from_static(concat!(r#"{"name":"portreeve","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#));

/// A request of the modern era: `_meta` is rebuilt, whatever the caller's held (spec digest 4.1).
pub(crate) fn modern_request(id: &Id, ctx: &Ctx, request: &Request, progress: Option<u64>) -> Vec<u8> {
    let own = CLIENT_INFO;
    let envelope = meta::Envelope {
        version: Version::NEWEST,
        capabilities: &ctx.capabilities,
        client_info: Some(ctx.client_info.as_ref().unwrap_or(&own)),
        log_level: ctx.log_level,
        progress_token: progress,
        tasks: ctx.tasks.as_ref(),
        extra: &ctx.meta,
    };
    let params = request.params.encode(Some(&envelope.encode()));
    frame::encode_request(id, request.method.as_str(), Some(&params))
}

/// A request of the legacy era: no reserved keys in `_meta` (check 159), and no `_meta` that holds nothing.
pub(crate) fn legacy_request(id: &Id, ctx: &Ctx, request: &Request, progress: Option<u64>) -> Vec<u8> {
    let bare = ctx.meta.is_empty() && progress.is_none();
    let envelope = (!bare).then(|| {
        let envelope = meta::Envelope {
            version: Version::NEWEST_LEGACY,
            capabilities: &ctx.capabilities,
            client_info: None,
            log_level: None,
            progress_token: progress,
            tasks: None,
            extra: &ctx.meta,
        };
        envelope.encode()
    });
    let empty = request.params.members().iter().all(|member| member.key.as_str() == "_meta");
    let params = (!empty || envelope.is_some()).then(|| request.params.encode(envelope.as_ref()));
    frame::encode_request(id, request.method.as_str(), params.as_ref())
}

/// The probe of the modern era.
pub(crate) fn discover(id: &Id, ctx: &Ctx) -> Vec<u8> {
    modern_request(id, ctx, &Request { method: Method::Discover, params: Params::default() }, None)
}

/// The handshake of the legacy era. It declares exactly what the caller declared (check 111).
pub(crate) fn initialize(id: &Id, ctx: &Ctx) -> Vec<u8> {
    let mut params = Params::default();
    params.set("protocolVersion", RawJson::string(Version::NEWEST_LEGACY.as_str()));
    params.set("capabilities", ctx.capabilities.raw().clone());
    params.set("clientInfo", ctx.client_info.clone().unwrap_or(CLIENT_INFO));
    frame::encode_request(id, Method::Initialize.as_str(), Some(&params.encode(None)))
}

/// Tells that the handshake is done.
pub(crate) fn initialized() -> Vec<u8> {
    frame::encode_notification(Method::Initialized.as_str(), None)
}

/// Tells that nobody wants an answer any more.
pub(crate) fn cancelled(id: u64) -> Vec<u8> {
    let mut params = Params::default();
    params.set("requestId", Id::number(id).raw().clone());
    params.set("reason", RawJson::from_static(r#""the caller no longer wants the answer""#));
    frame::encode_notification(Method::Cancelled.as_str(), Some(&params.encode(None)))
}

/// A request with one text parameter, for the connector's own use.
pub(crate) fn own_request(id: &Id, method: &Method, key: &str, value: &str) -> Vec<u8> {
    let mut params = Params::default();
    params.set(key, RawJson::string(value));
    frame::encode_request(id, method.as_str(), Some(&params.encode(None)))
}

/// Sets the log level of a session.
pub(crate) fn set_level(id: u64, level: LogLevel) -> Vec<u8> {
    own_request(&Id::number(id), &Method::SetLevel, "level", level.as_str())
}

/// A modern server that refuses to describe itself.
pub(crate) fn unnamed() -> Description {
    Description {
        era: Some(portreeve_mcp::Era::Modern),
        version: Version::NEWEST,
        capabilities: RawJson::EMPTY_OBJECT,
        server_info: None,
        instructions: None,
    }
}

/// Reads the answer to `initialize`. A version that we do not know, or a modern one, is no common ground.
pub(crate) fn read_initialize(result: &RawJson) -> Result<Description, String> {
    let named = result.get("protocolVersion").and_then(|version| version.string_value());
    let Some(named) = named else { return Err("the answer to initialize names no protocol version".into()) };
    let version = Version::parse(&named).filter(|version| *version <= Version::NEWEST_LEGACY);
    let Some(version) = version else { return Err(format!("it chose protocol version {named:?}")) };
    Ok(Description {
        era: Some(portreeve_mcp::Era::Legacy),
        version,
        capabilities: object(result, "capabilities"),
        server_info: result.get("serverInfo"),
        instructions: result.get("instructions"),
    })
}

/// Reads a DiscoverResult; `None` unless it names a modern revision that we speak (check 54).
pub(crate) fn read_discover(result: &RawJson) -> Option<Description> {
    let versions = result.get("supportedVersions")?.elements()?;
    let version = common_modern(&versions)?;
    Some(Description {
        era: Some(portreeve_mcp::Era::Modern),
        version,
        capabilities: object(result, "capabilities"),
        server_info: result.get("_meta").and_then(|meta| meta.get(meta::SERVER_INFO)),
        instructions: result.get("instructions"),
    })
}

fn object(parent: &RawJson, key: &str) -> RawJson {
    parent.get(key).filter(|value| value.kind() == Kind::Object).unwrap_or(RawJson::EMPTY_OBJECT)
}

fn common_modern(versions: &[RawJson]) -> Option<Version> {
    let known = versions.iter().filter_map(|raw| Version::parse(&raw.string_value()?));
    known.filter(|version| *version > Version::NEWEST_LEGACY).max()
}

/// What an error says about the era of the server that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EraEvidence {
    /// Only a modern server says that.
    Modern,
    /// A server that knows the modern envelope, but serves only legacy revisions.
    LegacyOnly,
    /// A server that knows the modern envelope, but no revision that we speak.
    Foreign,
    /// Nothing, or a legacy server.
    None,
}

/// Reads the evidence in an error (checks 48, 49): -32022 is answered from its `supported`, never by guessing.
pub(crate) fn evidence(error: &RpcError) -> EraEvidence {
    if !error.code.proves_modern() {
        return EraEvidence::None;
    }
    if error.code != Code::UNSUPPORTED_VERSION {
        return EraEvidence::Modern;
    }
    let supported =
        error.data.as_ref().and_then(|data| data.get("supported")?.elements()).unwrap_or_default();
    if common_modern(&supported).is_some() {
        return EraEvidence::Modern;
    }
    let legacy =
        supported.iter().filter_map(|raw| raw.string_value()).any(|text| Version::parse(&text).is_some());
    if legacy { EraEvidence::LegacyOnly } else { EraEvidence::Foreign }
}

/// The last event of a modern leg (spec digest 2.4, 2.7).
pub(crate) fn modern_end(outcome: Outcome, method: &Method) -> Event {
    let Outcome::Result(result) = outcome else {
        return Event::Final(portreeve_mcp::service::Final::Whole(outcome));
    };
    let kind = result.get("resultType");
    let kind = kind.as_ref().map(|raw| raw.as_str());
    match kind {
        None | Some("\"complete\"" | "\"task\"") => Event::result(result),
        Some("\"input_required\"") if method.may_ask() => input_required(result),
        Some("\"input_required\"") => {
            Event::failed(FailureKind::Protocol, format!("{} was answered with questions", method.as_str()))
        }
        Some(other) => {
            let other: String = other.chars().take(64).collect();
            Event::failed(FailureKind::Protocol, format!("the result has the unknown type {other}"))
        }
    }
}

fn input_required(result: RawJson) -> Event {
    let fail = |why: &str| Event::failed(FailureKind::Protocol, format!("input_required {why}"));
    let state = match result.get("requestState") {
        None => None,
        Some(raw) => match raw.string_value() {
            Some(state) => Some(state),
            None => return fail("has a requestState that is not a string"),
        },
    };
    let mut asks = Vec::new();
    if let Some(requests) = result.get("inputRequests") {
        let Ok(members) = requests.members() else { return fail("has inputRequests that are not an object") };
        for member in members {
            let Some(method) = member.value.get("method").and_then(|method| method.string_value()) else {
                return fail("has an input request without a method");
            };
            let Some(kind) = AskKind::from_method(&Method::from_text(&method)) else {
                return fail("asks for something that no client can be asked");
            };
            asks.push(InputRequest { key: member.key, kind, params: member.value.get("params") });
        }
    }
    if asks.is_empty() && state.is_none() {
        return fail("has neither questions nor a state");
    }
    Event::InputRequired(InputRequired { state, asks, raw: result })
}

fn not_found(method: &Method) -> RpcError {
    RpcError::new(Code::METHOD_NOT_FOUND, format!("{} is not available here", method.as_str()))
}

/// What a server gets that asks for something that no client knows.
pub(crate) fn unknown_request(id: &Id, method: &Method) -> Vec<u8> {
    frame::encode_response(Some(id), &Outcome::Error(not_found(method)))
}

/// The answer to `ping`.
pub(crate) fn pong(id: &Id) -> Vec<u8> {
    frame::encode_response(Some(id), &Outcome::Result(RawJson::EMPTY_OBJECT))
}

/// What a server gets when no call can carry its question (check 112).
pub(crate) fn nobody(kind: AskKind) -> Outcome {
    match kind {
        AskKind::Elicit => Outcome::Result(RawJson::from_static(r#"{"action":"cancel"}"#)),
        AskKind::Sample | AskKind::Roots => Outcome::Error(RpcError::new(
            Code::INVALID_PARAMS,
            "no call is there that could carry this request",
        )),
    }
}

/// What a server gets when the client's side went away without an answer.
pub(crate) fn outcome_of(kind: AskKind, answer: Result<Outcome, Canceled>) -> Outcome {
    answer.unwrap_or_else(|Canceled| match kind {
        AskKind::Elicit => nobody(kind),
        AskKind::Sample => Outcome::Error(RpcError::new(Code::REJECTED, "nobody answered")),
        AskKind::Roots => Outcome::Error(RpcError::new(Code::INTERNAL, "nobody answered")),
    })
}

/// Whether a log message is one that the caller asked for.
pub(crate) fn log_wanted(wanted: Option<LogLevel>, params: Option<&RawJson>) -> bool {
    let Some(wanted) = wanted else { return false };
    let level = params.and_then(|params| params.get("level")?.string_value());
    level.is_some_and(|level| LogLevel::parse(&level).is_none_or(|level| level >= wanted))
}

/// What a notification outside any call means to watchers.
pub(crate) fn notice(method: &Method, params: Option<&RawJson>) -> Option<Notice> {
    Some(match method {
        Method::ToolsChanged => Notice::ToolsChanged,
        Method::PromptsChanged => Notice::PromptsChanged,
        Method::ResourcesChanged => Notice::ResourcesChanged,
        Method::ResourceUpdated => {
            let params = params?;
            Notice::ResourceUpdated { uri: params.get("uri")?.string_value()?, params: params.clone() }
        }
        _ => return None,
    })
}

/// Whether a server declared a capability, by its path.
pub(crate) fn has_capability(description: &Description, path: &[&str]) -> bool {
    let mut at = Some(description.capabilities.clone());
    for key in path {
        at = at.and_then(|raw| raw.get(key));
    }
    at.is_some_and(|raw| !matches!(raw.as_str(), "false" | "null"))
}

/// One line for the log about bytes that are no message: cut, without control characters.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(160)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text of a name parameter, for `Mcp-Name`.
pub(crate) fn mirrored_name(request: &Request) -> Option<Text> {
    request.params.text(request.method.name_parameter()?)
}

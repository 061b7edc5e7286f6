//! The header rules of modern HTTP requests (spec 2026-07-28: basic/transports/streamable-http): names, the sentinel
//! that carries any text through a header, and the comparison of mirrored headers with the body.
//! Knows nothing of an HTTP library: values are bytes, look-ups are closures. Which requests have to obey, and in which
//! order faults are told, is decided by the doors.

use crate::{
    Code, Method, Params, RawJson, RpcError, Text,
    annotation::{Annotation, Kind},
    json,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::borrow::Cow;

/// The revision of a request.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The method of a modern request.
pub const METHOD: &str = "mcp-method";
/// The tool, prompt, resource or task that a modern request is about.
pub const NAME: &str = "mcp-name";
/// Before the names that tools give to their mirrored arguments.
pub const PARAM_PREFIX: &str = "mcp-param-";
/// The session of a legacy client.
pub const SESSION_ID: &str = "mcp-session-id";
/// Where a legacy client resumes a stream.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// Tells proxies to pass a stream on as it comes.
pub const ACCEL_BUFFERING: &str = "x-accel-buffering";

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It has to be there.
    Missing,
    /// It says something else than the body.
    Differs,
    /// It has a value although the body has none.
    Unexpected,
    /// It holds bytes that a header value may not hold.
    Characters,
    /// A right sentinel around something that is not base64.
    Base64,
    /// A right sentinel around something that is not UTF-8.
    Utf8,
    /// The body has the mirrored argument twice, so nothing can be compared (decision D14).
    Ambiguous,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Self::Missing => "is required but missing",
            Self::Differs => "differs from the request body",
            Self::Unexpected => "has a value, but the request body has none",
            Self::Characters => "holds characters that a header value may not hold",
            Self::Base64 => "holds invalid base64",
            Self::Utf8 => "holds base64 of something that is not UTF-8",
            Self::Ambiguous => "mirrors an argument that the request body has twice",
        }
    }
}

/// Why a request's headers are refused: -32020 with a sentence that names the header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header {header} {}", problem.text())]
pub struct HeaderFault {
    /// The header as callers know it; `value` while it is not known whose value it is.
    pub header: Text,
    /// What is wrong with it.
    pub problem: Problem,
}

impl HeaderFault {
    fn new(header: &str, problem: Problem) -> Self {
        Self { header: Text::from(header), problem }
    }

    /// The error object for the answer.
    pub fn to_rpc(&self) -> RpcError {
        RpcError::new(Code::HEADER_MISMATCH, self.to_string())
    }
}

/// Makes text fit for a header: as it is where that is legal and reads back as itself, else inside the sentinel.
pub fn encode_value(text: &str) -> Cow<'_, str> {
    let legal = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let padded = text.starts_with(' ') || text.ends_with(' ');
    // A text whose two markers share a character is encoded too: receivers disagree whether it is a sentinel.
    let looks_encoded = text.starts_with(SENTINEL_START) && text.ends_with(SENTINEL_END);
    if legal && !padded && !looks_encoded {
        return Cow::Borrowed(text);
    }
    Cow::Owned([SENTINEL_START, &STANDARD.encode(text), SENTINEL_END].concat())
}

/// Reads a header value that may use the sentinel. Only the exact lower-case markers, both of them, make one; anything
/// else is literal text.
pub fn decode_value(raw: &[u8]) -> Result<Cow<'_, str>, HeaderFault> {
    decode(raw).map_err(|problem| HeaderFault::new("value", problem))
}

fn decode(raw: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let text = plain(raw)?;
    let inner = text.strip_prefix(SENTINEL_START).and_then(|rest| rest.strip_suffix(SENTINEL_END));
    let Some(inner) = inner else { return Ok(Cow::Borrowed(text)) };
    let bytes = STANDARD.decode(inner).map_err(|_| Problem::Base64)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Problem::Utf8)
}

/// The value without the blanks around it, which are not part of a header value (RFC 9110, 5.5).
fn plain(raw: &[u8]) -> Result<&str, Problem> {
    if !raw.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Err(Problem::Characters);
    }
    let text = std::str::from_utf8(raw).map_err(|_| Problem::Characters)?;
    Ok(text.trim_matches([' ', '\t']))
}

/// The headers of a modern request that repeat something from its body, as they came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mirrored<'a> {
    /// `MCP-Protocol-Version`
    pub version: Option<&'a [u8]>,
    /// `Mcp-Method`
    pub method: Option<&'a [u8]>,
    /// `Mcp-Name`
    pub name: Option<&'a [u8]>,
}

impl Mirrored<'_> {
    /// Compares `MCP-Protocol-Version` with the revision that `_meta` claims.
    pub fn check_version(&self, claimed: &str) -> Result<(), HeaderFault> {
        exact("MCP-Protocol-Version", self.version, claimed)
    }

    /// Compares `Mcp-Method` and `Mcp-Name` with the body. A body that lacks the name altogether is left to the check
    /// of its parameters, unless the header has one.
    pub fn check(&self, method: &Method, params: &Params) -> Result<(), HeaderFault> {
        exact("Mcp-Method", self.method, method.as_str())?;
        let Some(parameter) = method.name_parameter() else { return Ok(()) };
        let fault = |problem| HeaderFault::new("Mcp-Name", problem);
        let wanted = params.text(parameter);
        match (self.name, wanted) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(fault(Problem::Missing)),
            (Some(_), None) => Err(fault(Problem::Unexpected)),
            (Some(raw), Some(wanted)) => {
                let same = decode(raw).map_err(fault)? == wanted.as_str();
                if same { Ok(()) } else { Err(fault(Problem::Differs)) }
            }
        }
    }
}

/// A header that never uses the sentinel and is compared letter by letter.
fn exact(header: &str, value: Option<&[u8]>, wanted: &str) -> Result<(), HeaderFault> {
    let fault = |problem| HeaderFault::new(header, problem);
    let value = plain(value.ok_or_else(|| fault(Problem::Missing))?).map_err(fault)?;
    if value == wanted { Ok(()) } else { Err(fault(Problem::Differs)) }
}

/// Compares the `Mcp-Param-*` headers with the arguments that they mirror. `get` finds a header's value by its name
/// and ignores letter case. Headers that no annotation explains are not looked at: they pass.
pub fn check_params<'v>(
    annotations: &[Annotation],
    arguments: Option<&RawJson>,
    get: &dyn Fn(&str) -> Option<&'v [u8]>,
) -> Result<(), HeaderFault> {
    for annotation in annotations {
        check_param(annotation, arguments, get(&annotation.header))
            .map_err(|problem| HeaderFault { header: annotation.header.clone(), problem })?;
    }
    Ok(())
}

fn check_param(
    annotation: &Annotation,
    arguments: Option<&RawJson>,
    header: Option<&[u8]>,
) -> Result<(), Problem> {
    let argument = resolve(arguments, &annotation.path).map_err(|Twice| Problem::Ambiguous)?;
    let Some(argument) = argument else {
        return if header.is_some() { Err(Problem::Unexpected) } else { Ok(()) };
    };
    match (Mirror::of(annotation.kind, &argument), header) {
        // What has no header form is a wrong argument; the server says so better than we can.
        (None, None) => Ok(()),
        (Some(_), None) => Err(Problem::Missing),
        (Some(mirror), Some(raw)) if mirror.equals(&decode(raw)?) => Ok(()),
        (_, Some(_)) => Err(Problem::Differs),
    }
}

/// The `Mcp-Param-*` headers that a call with these arguments needs: names as annotated, values ready to send.
/// Absent and `null` arguments have none (spec: streamable-http).
pub fn param_headers(annotations: &[Annotation], arguments: Option<&RawJson>) -> Vec<(Text, Text)> {
    let header = |annotation: &Annotation| {
        // The server that reads a key twice has its own opinion of it; a header cannot mend that.
        let argument = resolve(arguments, &annotation.path).ok().flatten()?;
        let text = Mirror::of(annotation.kind, &argument)?.into_text();
        let value = match encode_value(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(encoded) => Text::from(encoded),
        };
        Some((annotation.header.clone(), value))
    };
    annotations.iter().filter_map(header).collect()
}

/// The same key twice on the way to an argument.
struct Twice;

/// The argument at a path; `None` where it is absent or `null`.
fn resolve(arguments: Option<&RawJson>, path: &[Text]) -> Result<Option<RawJson>, Twice> {
    let Some(mut value) = arguments.cloned() else { return Ok(None) };
    for step in path {
        let members = match value.members() {
            Ok(members) => members,
            Err(crate::JsonError::DuplicateKey(_)) => return Err(Twice),
            Err(_) => return Ok(None),
        };
        let found = members.into_iter().find(|member| member.key == *step);
        let Some(member) = found else { return Ok(None) };
        value = member.value;
    }
    Ok(Some(value).filter(|value| value.kind() != json::Kind::Null))
}

/// What an argument looks like in a header.
enum Mirror {
    Text(Text),
    Number(RawJson),
}

impl Mirror {
    /// By the type of the argument itself; `None` for what a header cannot carry.
    fn of(kind: Kind, argument: &RawJson) -> Option<Self> {
        match (argument.kind(), kind) {
            (json::Kind::String, _) => argument.string_value().map(Self::Text),
            (json::Kind::Bool, _) if argument.as_bytes() == b"true" => {
                Some(Self::Text(Text::from_static("true")))
            }
            (json::Kind::Bool, _) => Some(Self::Text(Text::from_static("false"))),
            (json::Kind::Number, Kind::Integer) => Some(Self::Number(argument.clone())),
            (json::Kind::Number, _) => Some(Self::Text(Text::from(argument.as_str()))),
            _ => None,
        }
    }

    fn equals(&self, header: &str) -> bool {
        match self {
            Self::Text(text) => text.as_str() == header,
            Self::Number(raw) => same_number(raw.as_str(), header),
        }
    }

    fn into_text(self) -> Text {
        match self {
            Self::Text(text) => text,
            Self::Number(raw) => decimal(raw.as_str()),
        }
    }
}

/// The largest whole number that JSON peers read alike (2^53 - 1).
const SAFE: f64 = 9_007_199_254_740_991.0;

/// Whether two spellings are one number: letter by letter for any, by value for the numbers that every peer can hold
/// exactly.
fn same_number(body: &str, header: &str) -> bool {
    if body == header {
        return true;
    }
    let number = |text: &str| to_the_last_bit(text).filter(|number| number.abs() <= SAFE);
    matches!((number(body), number(header)), (Some(a), Some(b)) if a == b)
}

/// The value of a JSON number to its last bit. The JSON reader checks the form and may be off by one in the last digit;
/// the standard library is exact and takes other forms, too.
fn to_the_last_bit(number: &str) -> Option<f64> {
    serde_json::from_str::<f64>(number).ok().and_then(|_| number.trim().parse().ok())
}

/// A whole number in decimal, whatever its JSON spelling; anything else as it was written, for the server to refuse.
fn decimal(number: &str) -> Text {
    let value = to_the_last_bit(number).unwrap_or(f64::NAN);
    if value.fract() != 0.0 || value.is_nan() || value.abs() > SAFE {
        return Text::from(number);
    }
    // Without a fraction, and small enough for every digit to be exact.
    Text::from(format!("{value:.0}"))
}

#[cfg(test)]
mod tests;

//! What a call is about: a tool, a prompt, a resource, or the method alone; and how somebody is told that it is not
//! there, or not there for them. Whether it is, is asked elsewhere.

use crate::error::{self, Refusal};
use portreeve_mcp::{Code, Era, Method, Params, RawJson, RpcError, Version};
use portreeve_policy::Kind;
use std::sync::Arc;

/// What a call is about.
pub(crate) struct Aim {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<str>,
}

impl Aim {
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.into() }
    }

    /// What somebody hears who names a thing that is not there, or not there for them.
    pub(crate) fn not_found(&self, version: Version) -> RpcError {
        match self.kind {
            Kind::Tool => error::unknown_tool(&self.name),
            Kind::Prompt => RpcError::new(Code::INVALID_PARAMS, format!("Unknown prompt: {}", self.name)),
            Kind::Resource | Kind::ResourceTemplate => {
                let modern = version.era() == Era::Modern;
                let code = if modern { Code::INVALID_PARAMS } else { Code::RESOURCE_NOT_FOUND };
                let data = RawJson::EMPTY_OBJECT.with(&[], &[("uri", &RawJson::string(&self.name))]);
                RpcError::new(code, format!("Resource not found: {}", self.name)).with_data(data)
            }
            Kind::Method => error::method_not_found(&self.name),
        }
    }
}

/// What a request names.
pub(crate) fn aim(method: &Method, params: &Params) -> Result<Aim, Refusal> {
    let needed = |key: &str| {
        params.text(key).ok_or_else(|| {
            Refusal::handler(
                Code::INVALID_PARAMS,
                format!("`{}` needs `params.{key}`, a string", method.as_str()),
            )
        })
    };
    Ok(match method {
        Method::ToolsCall => Aim::new(Kind::Tool, &needed("name")?),
        Method::PromptsGet => Aim::new(Kind::Prompt, &needed("name")?),
        Method::ResourcesRead => Aim::new(Kind::Resource, &needed("uri")?),
        Method::Complete => completion_aim(params)?,
        other => Aim::new(Kind::Method, other.as_str()),
    })
}

fn completion_aim(params: &Params) -> Result<Aim, Refusal> {
    let reference = params.get("ref");
    let part =
        |key: &str| reference.and_then(|reference| reference.get(key)).and_then(|raw| raw.string_value());
    match (part("type").as_deref(), part("name"), part("uri")) {
        (Some("ref/prompt"), Some(name), _) => Ok(Aim::new(Kind::Prompt, &name)),
        (Some("ref/resource"), _, Some(uri)) => Ok(Aim::new(Kind::ResourceTemplate, &uri)),
        _ => Err(Refusal::handler(
            Code::INVALID_PARAMS,
            "`completion/complete` needs `params.ref`: a `ref/prompt` with `name` or a `ref/resource` with `uri`",
        )),
    }
}

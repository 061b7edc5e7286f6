//! Error codes across the eras (spec 2026-07-28: basic/index; checks 35, 140, 141). A code that means something in one
//! era only never reaches a client of the other under that meaning.

use crate::{Code, Era, Method, Params, RawJson, RpcError, Version};

/// A server's error as a client of this revision may see it. -32021 passes: whether the client, policy or the gate
/// lacks the capability is known to the gateway only. `params` are those of the request that failed.
#[must_use]
pub fn error_for_client(
    error: &RpcError,
    method: &Method,
    params: &Params,
    client: Version,
    server: Era,
) -> RpcError {
    let code = error.code;
    let reading = *method == Method::ResourcesRead;
    match (server, client.era()) {
        (_, Era::Modern) if reading && code == Code::RESOURCE_NOT_FOUND => not_found(error, params),
        (Era::Modern, Era::Legacy) if reading && code == Code::INVALID_PARAMS && names_uri(error, params) => {
            error.clone().with_code(Code::RESOURCE_NOT_FOUND)
        }
        (Era::Modern, _) if matches!(code, Code::HEADER_MISMATCH | Code::UNSUPPORTED_VERSION) => {
            // Between the gate and the server; nothing that the client could mend.
            RpcError::new(Code::INTERNAL, "the server did not accept the form of the request")
        }
        (Era::Modern, _) if code == Code::MISSING_CAPABILITY => error.clone(),
        (Era::Modern, Era::Modern) if code == Code::RESOURCE_NOT_FOUND => internal(error),
        // A legacy server has no code for this, but it may say what it needs in the same words.
        (Era::Legacy, Era::Modern) if names_capabilities(error) => {
            error.clone().with_code(Code::MISSING_CAPABILITY)
        }
        (Era::Legacy, Era::Modern) if (-32099..=-32000).contains(&code.0) => internal(error),
        (Era::Modern, _) if (-32099..=-32020).contains(&code.0) => internal(error),
        _ => error.clone(),
    }
}

/// Modern: a missing resource is a wrong parameter, and `data.uri` says which.
fn not_found(error: &RpcError, params: &Params) -> RpcError {
    let error = error.clone().with_code(Code::INVALID_PARAMS);
    let data = error.data.clone().unwrap_or(RawJson::EMPTY_OBJECT);
    let Some(uri) = params.get("uri") else { return error };
    if data.get("uri").is_some() {
        return error;
    }
    if super::is_object(&data) {
        return error.with_data(data.with(&[], &[("uri", uri)]));
    }
    error.with_data(RawJson::EMPTY_OBJECT.with(&[], &[("uri", uri), ("original", &data)]))
}

/// Whether an error says which client capabilities it needs.
fn names_capabilities(error: &RpcError) -> bool {
    let required = error.data.as_ref().and_then(|data| data.get("requiredCapabilities"));
    required.is_some_and(|required| super::is_object(&required))
}

/// Whether an error speaks of the URI that was asked for.
fn names_uri(error: &RpcError, params: &Params) -> bool {
    let named = error.data.as_ref().and_then(|data| data.get("uri")).and_then(|uri| uri.string_value());
    named.is_some() && named == params.text("uri")
}

/// A code without meaning for this client; the original stays readable.
fn internal(error: &RpcError) -> RpcError {
    let data = RawJson::EMPTY_OBJECT.with(&[], &[("original", &error.encode())]);
    error.clone().with_code(Code::INTERNAL).with_data(data)
}

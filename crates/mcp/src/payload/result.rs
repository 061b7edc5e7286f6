//! Results and tools on their way to a client, parameters on their way to a server. The lists inside list results are
//! not touched: their tools go through [`tool_for_client`] one by one, where lists are read.

use super::{Edit, content, escapes_ascii, is_object, may_have, prepend};
use crate::{Era, Feature, Method, Params, RawJson, Version, annotation, json::Kind};
use memchr::memmem;

const COMPLETE: RawJson = RawJson::from_static("\"complete\"");
const NO_TTL: RawJson = RawJson::from_static("0");
const PRIVATE: RawJson = RawJson::from_static("\"private\"");

/// A server's result as a client of this revision may see it (checks 38, 124, 142, 143, 159).
#[must_use]
pub fn result_for_client(method: &Method, result: &RawJson, client: Version, server: Era) -> RawJson {
    match (is_object(result), client.era(), server) {
        (false, _, _) => result.clone(),
        (true, Era::Modern, Era::Modern) => complete(method, result),
        (true, Era::Modern, Era::Legacy) => upgrade(method, result),
        (true, Era::Legacy, _) => downgrade(method, result, client),
    }
}

/// The results that carry cache hints (spec: server/utilities/caching).
fn is_cacheable(method: &Method) -> bool {
    matches!(
        method,
        Method::Discover
            | Method::ToolsList
            | Method::PromptsList
            | Method::ResourcesList
            | Method::ResourceTemplatesList
            | Method::ResourcesRead
    )
}

const HEAD: &[u8] = br#""resultType":"complete""#;
const CACHEABLE_HEAD: &[u8] = br#""resultType":"complete","ttlMs":0,"cacheScope":"private""#;

/// Modern to modern: what a server forgot is filled in.
fn complete(method: &Method, result: &RawJson) -> RawJson {
    if is_cacheable(method) {
        return complete_cacheable(result);
    }
    if has_type_where_usual(result) || may_have(result, &["resultType"]) && result.get("resultType").is_some()
    {
        return result.clone();
    }
    prepend(result, HEAD)
}

/// Whether `resultType` stands where servers write it, which spares the scan. Behind a comma and before the last brace it
/// can only be a member of the result itself.
pub(super) fn has_type_where_usual(result: &RawJson) -> bool {
    let bytes = result.as_bytes();
    bytes.starts_with(b"{\"resultType\":") || bytes.ends_with(b",\"resultType\":\"complete\"}")
}

fn complete_cacheable(result: &RawJson) -> RawJson {
    let [kind, ttl, scope] = result.get_all(["resultType", "ttlMs", "cacheScope"]);
    let mut edit = Edit::default();
    if kind.is_none() {
        edit.set("resultType", COMPLETE);
    }
    if kind.is_none_or(|kind| kind == COMPLETE) {
        if !ttl.is_some_and(|ttl| is_count(&ttl)) {
            edit.set("ttlMs", NO_TTL);
        }
        if !scope.is_some_and(|scope| matches!(scope.as_bytes(), b"\"private\"" | b"\"public\"")) {
            edit.set("cacheScope", PRIVATE);
        }
    }
    edit.apply(result)
}

fn is_count(ttl: &RawJson) -> bool {
    ttl.as_bytes().iter().all(u8::is_ascii_digit)
}

/// Legacy to modern. Members that only a modern server can mean are overwritten, not believed.
fn upgrade(method: &Method, result: &RawJson) -> RawJson {
    let head = if is_cacheable(method) { CACHEABLE_HEAD } else { HEAD };
    if !may_have(result, &["resultType", "ttlMs", "cacheScope", "_meta"]) {
        return prepend(result, head);
    }
    let [kind, ttl, scope, meta] = result.get_all(["resultType", "ttlMs", "cacheScope", "_meta"]);
    let mut edit = Edit::default();
    edit.clean_meta(meta.as_ref());
    if kind.is_some() {
        edit.drop("resultType");
    }
    if is_cacheable(method) && (ttl.is_some() || scope.is_some()) {
        edit.drop("ttlMs");
        edit.drop("cacheScope");
    }
    prepend(&edit.apply(result), head)
}

/// To a legacy client, from either era.
fn downgrade(method: &Method, result: &RawJson, client: Version) -> RawJson {
    if !may_be_downgraded(method, result, client) {
        return result.clone();
    }
    let mut edit = Edit::default();
    let [kind, ttl, scope, meta, content, structured, messages] = result.get_all([
        "resultType",
        "ttlMs",
        "cacheScope",
        "_meta",
        "content",
        "structuredContent",
        "messages",
    ]);
    for (key, value) in [("resultType", kind), ("ttlMs", ttl), ("cacheScope", scope)] {
        if value.is_some() {
            edit.drop(key);
        }
    }
    edit.clean_meta(meta.as_ref());
    match method {
        Method::ToolsCall => tool_result(&mut edit, content.as_ref(), structured, client),
        Method::PromptsGet => {
            if let Some(messages) = messages.and_then(|messages| content::messages(&messages, client)) {
                edit.set("messages", messages);
            }
        }
        _ => {}
    }
    edit.apply(result)
}

/// Whether a legacy client may have to see less than the server sent, or something else. A look at the bytes only, which
/// spares large results the scan; never "no" by mistake.
pub(super) fn may_be_downgraded(method: &Method, result: &RawJson, client: Version) -> bool {
    let special = match method {
        Method::ToolsCall => content::may_change(result, client) || may_hide_structure(result, client),
        Method::PromptsGet => content::may_change(result, client),
        _ => false,
    };
    special || may_have(result, &["resultType", "ttlMs", "cacheScope", "_meta"])
}

fn tool_result(edit: &mut Edit<'_>, old: Option<&RawJson>, structured: Option<RawJson>, client: Version) {
    let mut new = old.and_then(|blocks| content::blocks(blocks, client));
    if let Some(value) = structured.filter(|value| !may_see(value, client)) {
        edit.drop("structuredContent");
        let now = new.as_ref().or(old);
        new = content::with_text_copy(now, &value).or(new);
    }
    if let Some(new) = new {
        edit.set("content", new);
    }
}

/// Whether there can be a `structuredContent` that this client must not see. A look at the bytes only: where each
/// mention of it stands before an object, there is none that 2025-06-18 and later would refuse.
fn may_hide_structure(result: &RawJson, client: Version) -> bool {
    const KEY: &[u8] = b"\"structuredContent\"";
    let objects = client.supports(Feature::StructuredContent);
    let bytes = result.as_bytes();
    let harmless = |at: usize| {
        let rest = bytes[at + KEY.len()..].trim_ascii_start();
        objects && rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"{"))
    };
    !memmem::find_iter(bytes, KEY).all(harmless) || escapes_ascii(bytes)
}

/// Whether a client of this revision knows such a `structuredContent`.
fn may_see(structured: &RawJson, client: Version) -> bool {
    client.supports(Feature::AnyStructuredContent)
        || client.supports(Feature::StructuredContent) && is_object(structured)
}

/// One tool of a list as a client of this revision may see it. `x-mcp-header` is stripped for legacy clients: they
/// cannot use it, and some of the model providers behind them refuse schemas with keywords that they do not know.
/// Titles, icons and annotations are tolerated everywhere and pass.
#[must_use]
pub fn tool_for_client(tool: &RawJson, client: Version, server: Era) -> RawJson {
    let [input, output, execution, meta] =
        tool.get_all(["inputSchema", "outputSchema", "execution", "_meta"]);
    let mut edit = Edit::default();
    if client.era() == Era::Modern {
        if execution.is_some() {
            edit.drop("execution");
        }
    } else {
        let stripped = input.as_ref().map(annotation::strip);
        if let Some(stripped) = stripped.filter(|stripped| Some(stripped) != input.as_ref()) {
            edit.set("inputSchema", stripped);
        }
        if output.is_some_and(|schema| !may_see_schema(&schema, client)) {
            edit.drop("outputSchema");
        }
    }
    if client.era() == Era::Legacy || server == Era::Legacy {
        edit.clean_meta(meta.as_ref());
    }
    edit.apply(tool)
}

/// Legacy revisions that have `outputSchema` want an object schema at its root.
fn may_see_schema(schema: &RawJson, client: Version) -> bool {
    let object = || schema.get("type").is_some_and(|kind| kind.as_bytes() == b"\"object\"");
    client.supports(Feature::AnyStructuredContent) || client.supports(Feature::StructuredContent) && object()
}

/// Parameters as a server of this revision understands them: `completion/complete` got its `context` in 2025-06-18
/// (check 145). `_meta` is not looked at: connectors write their own.
pub fn params_for_server(method: &Method, params: &mut Params, server: Version) {
    if *method == Method::Complete
        && !server.supports(Feature::CompletionContext)
        && params.get("context").is_some_and(|context| context.kind() != Kind::Null)
    {
        params.take("context");
    }
}

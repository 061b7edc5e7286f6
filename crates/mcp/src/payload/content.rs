//! Content blocks that older revisions do not know: audio (from 2025-03-26) and resource links (from 2025-06-18).

use super::{block_type, text_block};
use crate::{Feature, RawJson, Version, json::Kind};
use memchr::memmem;

/// Whether a result can hold a block that has to change; a look at the bytes only.
pub(super) fn may_change(result: &RawJson, client: Version) -> bool {
    let has = |needle: &[u8]| memmem::find(result.as_bytes(), needle).is_some();
    !client.supports(Feature::ResourceLink) && has(b"\"resource_link\"")
        || !client.supports(Feature::Audio) && has(b"\"audio\"")
}

/// An array of blocks with the unknown ones replaced; `None` where none is.
pub(super) fn blocks(blocks: &RawJson, client: Version) -> Option<RawJson> {
    edit_elements(blocks, |index, block| downgraded(block, index, client))
}

/// An array of messages, each with one block or several, with the unknown ones replaced.
pub(super) fn messages(messages: &RawJson, client: Version) -> Option<RawJson> {
    edit_elements(messages, |index, message| {
        let content = message.get("content")?;
        let edited = match content.kind() {
            Kind::Array => blocks(&content, client)?,
            _ => downgraded(&content, index, client)?,
        };
        Some(message.with(&[], &[("content", &edited)]))
    })
}

fn edit_elements(array: &RawJson, edit: impl Fn(usize, &RawJson) -> Option<RawJson>) -> Option<RawJson> {
    let old = array.elements()?;
    let new: Vec<_> = old.iter().enumerate().map(|(index, element)| edit(index, element)).collect();
    if new.iter().all(Option::is_none) {
        return None;
    }
    Some(RawJson::array(old.iter().zip(&new).map(|(old, new)| new.as_ref().unwrap_or(old))))
}

fn downgraded(block: &RawJson, index: usize, client: Version) -> Option<RawJson> {
    match block_type(block)?.as_str() {
        "audio" if !client.supports(Feature::Audio) => Some(embedded_audio(block, index)),
        "resource_link" if !client.supports(Feature::ResourceLink) => Some(linked_text(block)),
        _ => None,
    }
}

/// An embedded resource keeps the sound itself. Its URI only has to be one: nothing can be read from it.
fn embedded_audio(block: &RawJson, index: usize) -> RawJson {
    let [data, mime, annotations] = block.get_all(["data", "mimeType", "annotations"]);
    let uri = RawJson::string(&format!("attachment:audio-{index}"));
    let mut members = vec![("uri", &uri)];
    members.extend(mime.as_ref().map(|mime| ("mimeType", mime)));
    members.extend(data.as_ref().map(|data| ("blob", data)));
    let resource = RawJson::EMPTY_OBJECT.with(&[], &members);
    let mut members = vec![("resource", &resource)];
    members.extend(annotations.as_ref().map(|annotations| ("annotations", annotations)));
    RawJson::from_static(r#"{"type":"resource"}"#).with(&[], &members)
}

fn linked_text(block: &RawJson) -> RawJson {
    let [uri, name, title, description] = block.get_all(["uri", "name", "title", "description"]);
    let text = |raw: Option<RawJson>| raw.and_then(|raw| raw.string_value()).filter(|text| !text.is_empty());
    let uri = text(uri).unwrap_or(crate::Text::from_static(""));
    let mut line = match text(title).or_else(|| text(name)) {
        Some(label) => format!("{label}: {uri}"),
        None => uri.to_string(),
    };
    if let Some(description) = text(description) {
        line.push_str(" - ");
        line.push_str(&description);
    }
    text_block(&line, Some(block))
}

/// `content` with the JSON of a `structuredContent` as text; `None` if a text block says the same already.
pub(super) fn with_text_copy(content: Option<&RawJson>, structured: &RawJson) -> Option<RawJson> {
    let mut blocks = content.and_then(RawJson::elements).unwrap_or_default();
    let texts: Vec<_> = blocks.iter().filter_map(|block| block.get("text")?.string_value()).collect();
    if texts.iter().any(|text| says(text, structured)) || is_wrapped(&texts, structured) {
        return None;
    }
    blocks.push(text_block(structured.as_str(), None));
    Some(RawJson::array(&blocks))
}

/// Whether a text is this JSON, perhaps laid out otherwise; only where it may be are the two compared as values.
fn says(text: &crate::Text, json: &RawJson) -> bool {
    let same_start = || text.trim_start().as_bytes().first() == json.as_bytes().first();
    text.as_str() == json.as_str()
        || (same_start() && serde_json::from_str(text).ok() == Some(json.to_value()))
}

/// Whether the only text is the only member: libraries wrap what is no object (`{"result": 5}` beside the text `5`), and a
/// second copy would tell a model everything twice.
fn is_wrapped(texts: &[crate::Text], structured: &RawJson) -> bool {
    let ([text], Ok(members)) = (texts, structured.members()) else { return false };
    let [member] = members.as_slice() else { return false };
    says(text, &member.value) || member.value.string_value().is_some_and(|value| value == *text)
}

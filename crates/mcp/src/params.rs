//! The parameters of a request: the top level is looked at, everything below stays raw.
//! Duplicate keys are refused here and in `_meta` (decision D14); edits replace whole members.

use crate::{JsonError, RawJson, Text, json, json::Member};
use std::sync::Arc;

/// The members of `params`, in their order. Cheap to clone: a request is kept beside what was sent of it.
#[derive(Debug, Clone, Default)]
pub struct Params(Arc<Vec<Member>>);

impl Params {
    /// Reads `params`; absent ones are empty.
    pub fn parse(raw: Option<&RawJson>) -> Result<Self, JsonError> {
        raw.map_or_else(|| Ok(Self::default()), |raw| raw.members().map(|members| Self(Arc::new(members))))
    }

    /// One member.
    pub fn get(&self, key: &str) -> Option<&RawJson> {
        self.0.iter().find(|member| member.key == *key).map(|member| &member.value)
    }

    /// A member that has to be a string.
    pub fn text(&self, key: &str) -> Option<Text> {
        self.get(key).and_then(RawJson::string_value)
    }

    /// `_meta`, if it is there.
    pub fn meta(&self) -> Option<&RawJson> {
        self.get("_meta")
    }

    /// Sets a member, at its place or at the end.
    pub fn set(&mut self, key: &str, value: RawJson) {
        let members = Arc::make_mut(&mut self.0);
        match members.iter_mut().find(|member| member.key == *key) {
            Some(member) => member.value = value,
            None => members.push(Member { key: Text::from(key), value }),
        }
    }

    /// Takes a member out.
    pub fn take(&mut self, key: &str) -> Option<RawJson> {
        let index = self.0.iter().position(|member| member.key == *key)?;
        Some(Arc::make_mut(&mut self.0).remove(index).value)
    }

    /// The members.
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    /// Writes the object, with `_meta` replaced by the given one (or left out).
    pub fn write(&self, out: &mut Vec<u8>, meta: Option<&[u8]>) {
        out.push(b'{');
        if let Some(meta) = meta {
            json::write_member(out, "_meta", meta);
        }
        for member in self.0.iter().filter(|member| member.key != *"_meta") {
            json::write_member(out, &member.key, member.value.as_bytes());
        }
        out.push(b'}');
    }

    /// The object as raw JSON, with `_meta` replaced by the given one (or left out).
    pub fn encode(&self, meta: Option<&RawJson>) -> RawJson {
        let members = self.0.iter().flat_map(|member| [member.key.len(), member.value.as_bytes().len(), 4]);
        let size: usize = members.chain(meta.map(|meta| meta.as_bytes().len())).sum();
        let mut out = Vec::with_capacity(size.saturating_add(16));
        self.write(&mut out, meta.map(RawJson::as_bytes));
        RawJson::trusted(out)
    }

    /// What a retry has to repeat: everything but `_meta`, `inputResponses` and `requestState`, in one canonical form
    /// (keys sorted at every level), so that a client that writes its JSON anew still means the same call.
    pub fn canonical(&self) -> Vec<u8> {
        let salient =
            self.0.iter().filter(|m| !matches!(m.key.as_str(), "_meta" | "inputResponses" | "requestState"));
        let sorted: std::collections::BTreeMap<&str, serde_json::Value> =
            salient.map(|member| (member.key.as_str(), sort(member.value.to_value()))).collect();
        serde_json::to_vec(&sorted).unwrap_or_default()
    }
}

fn sort(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            let mut members: Vec<_> = map.into_iter().map(|(key, value)| (key, sort(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            serde_json::Value::Object(members.into_iter().collect())
        }
        serde_json::Value::Array(items) => serde_json::Value::Array(items.into_iter().map(sort).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_replaced_not_rebuilt() {
        let raw =
            RawJson::from_text(r#"{"name":"a", "arguments": {"x" : 1}, "_meta":{"k":1}, "future":[1 ]}"#)
                .unwrap();
        let mut params = Params::parse(Some(&raw)).unwrap();
        params.set("name", RawJson::string("b"));
        let encoded = params.encode(Some(&RawJson::EMPTY_OBJECT));
        assert_eq!(encoded.as_str(), r#"{"_meta":{},"name":"b","arguments":{"x" : 1},"future":[1 ]}"#);
    }

    #[test]
    fn the_canonical_form_ignores_order_and_answers() {
        let form = |text| Params::parse(Some(&RawJson::from_text(text).unwrap())).unwrap().canonical();
        let first = form(r#"{"name":"a","arguments":{"x":1,"y":{"b":1,"a":2}},"_meta":{"progressToken":1}}"#);
        let retry = form(
            r#"{"arguments":{"y":{"a":2,"b":1},"x":1},"name":"a","inputResponses":{},"requestState":"s"}"#,
        );
        assert_eq!(first, retry);
        assert_ne!(first, form(r#"{"name":"a","arguments":{"x":2,"y":{"b":1,"a":2}}}"#));
    }
}

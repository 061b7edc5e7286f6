//! Forms for clients of 2025-06-18, which know flat fields, `enum` with `enumNames`, and defaults of booleans only.
//! A multi-select becomes one boolean for each option; the answer is put together again, and asked for again where it
//! breaks the limits that the booleans cannot express.

use super::{Edit, ask::Unaskable};
use crate::{RawJson, Text, json, json::Kind, json::Member};

/// More options than a person can be asked as single questions.
const MAX_OPTIONS: usize = 64;

/// A multi-select that was taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    name: Text,
    label: Text,
    /// The boolean field of each option, and its value.
    options: Vec<(Text, RawJson)>,
    min: u64,
    max: Option<u64>,
    required: bool,
}

/// `params` of `elicitation/create` in the terms of 2025-06-18.
pub(super) fn form(params: &RawJson, choices: &mut Vec<Choice>) -> Result<RawJson, Unaskable> {
    let [mode, schema] = params.get_all(["mode", "requestedSchema"]);
    let mut edit = Edit::default();
    if let Some(mode) = mode {
        if mode.as_bytes() != b"\"form\"" {
            return Err(Unaskable::Url);
        }
        edit.drop("mode");
    }
    if let Some(schema) = schema
        && let Some(plain) = plain_schema(&schema, choices)?
    {
        edit.set("requestedSchema", plain);
    }
    Ok(edit.apply(params))
}

/// `None` where nothing changes.
fn plain_schema(schema: &RawJson, choices: &mut Vec<Choice>) -> Result<Option<RawJson>, Unaskable> {
    let [properties, required] = schema.get_all(["properties", "required"]);
    let Some(properties) = properties else { return Ok(None) };
    let Ok(fields) = properties.members() else { return Err(Unaskable::Form) };
    let required: Vec<Text> = required
        .and_then(|list| list.elements())
        .map_or_else(Vec::new, |names| names.iter().filter_map(RawJson::string_value).collect());
    let mut out = vec![b'{'];
    let mut changed = false;
    for field in &fields {
        if field.value.get("type").is_some_and(|kind| kind.as_bytes() == b"\"array\"") {
            let choice = split(field, &fields, required.contains(&field.key), &mut out)?;
            choices.push(choice);
            changed = true;
            continue;
        }
        let plain = plain_field(&field.value);
        changed |= plain != field.value;
        json::write_member(&mut out, &field.key, plain.as_bytes());
    }
    out.push(b'}');
    if !changed {
        return Ok(None);
    }
    let left: Vec<RawJson> = required
        .iter()
        .filter(|name| choices.iter().all(|choice| choice.name != **name))
        .map(|name| RawJson::string(name))
        .collect();
    let mut edit = Edit::default();
    edit.set("properties", RawJson::trusted(out));
    if left.len() < required.len() {
        edit.set("required", RawJson::array(&left));
    }
    Ok(Some(edit.apply(schema)))
}

/// A field with titled options as `enum` and `enumNames`, and without a default that is not a boolean.
fn plain_field(field: &RawJson) -> RawJson {
    let [one_of, any_of, default] = field.get_all(["oneOf", "anyOf", "default"]);
    let mut edit = Edit::default();
    if default.is_some_and(|default| default.kind() != Kind::Bool) {
        edit.drop("default");
    }
    if let Some(options) = one_of.or(any_of).and_then(|options| titled(&options)) {
        edit.drop("oneOf");
        edit.drop("anyOf");
        edit.set("enum", RawJson::array(options.iter().map(|option| &option.value)));
        let names: Vec<_> = options.iter().map(|option| RawJson::string(&option.title)).collect();
        edit.set("enumNames", RawJson::array(&names));
    }
    edit.apply(field)
}

/// One option of a select.
struct Choosable {
    value: RawJson,
    title: Text,
}

impl Choosable {
    fn new(value: RawJson, title: Option<Text>) -> Self {
        let title = title.or_else(|| value.string_value()).unwrap_or_else(|| Text::from(value.as_str()));
        Self { value, title }
    }
}

/// `[{const, title}]`; `None` if it is anything else.
fn titled(options: &RawJson) -> Option<Vec<Choosable>> {
    let option = |raw: &RawJson| {
        let [value, title] = raw.get_all(["const", "title"]);
        Some(Choosable::new(value?, title.and_then(|title| title.string_value())))
    };
    options.elements()?.iter().map(option).collect()
}

/// The options of a multi-select.
fn items(field: &RawJson) -> Option<Vec<Choosable>> {
    let [values, names, one_of, any_of] =
        field.get("items")?.get_all(["enum", "enumNames", "oneOf", "anyOf"]);
    if let Some(options) = any_of.or(one_of) {
        return titled(&options);
    }
    let names = names.and_then(|names| names.elements()).unwrap_or_default();
    let named = |(index, value): (usize, RawJson)| {
        Choosable::new(value, names.get(index).and_then(RawJson::string_value))
    };
    Some(values?.elements()?.into_iter().enumerate().map(named).collect())
}

/// Writes one boolean for each option and returns how they belong together.
fn split(field: &Member, fields: &[Member], required: bool, out: &mut Vec<u8>) -> Result<Choice, Unaskable> {
    let options =
        items(&field.value).filter(|options| options.len() <= MAX_OPTIONS).ok_or(Unaskable::Form)?;
    let [title, description, default, min, max] =
        field.value.get_all(["title", "description", "default", "minItems", "maxItems"]);
    let label = title.and_then(|title| title.string_value()).unwrap_or_else(|| field.key.clone());
    let defaults = default.and_then(|default| default.elements()).unwrap_or_default();
    let mut choice = Choice {
        name: field.key.clone(),
        label,
        options: Vec::with_capacity(options.len()),
        min: min.and_then(|min| min.read()).unwrap_or(0),
        max: max.and_then(|max| max.read()),
        required,
    };
    for (index, option) in options.into_iter().enumerate() {
        let mut name = format!("{}_{}", field.key, index + 1);
        while fields.iter().any(|field| field.key.as_str() == name) {
            name.push('_');
        }
        let title = RawJson::string(&format!("{}: {}", choice.label, option.title));
        let default = RawJson::from_static(if defaults.contains(&option.value) { "true" } else { "false" });
        let mut members = vec![("title", &title), ("default", &default)];
        members.extend(description.as_ref().filter(|_| index == 0).map(|text| ("description", text)));
        let boolean = RawJson::from_static(r#"{"type":"boolean"}"#).with(&[], &members);
        json::write_member(out, &name, boolean.as_bytes());
        choice.options.push((Text::from(name), option.value));
    }
    Ok(choice)
}

/// Puts the booleans of an accepted form together again. The error is what the person has to be told.
pub(super) fn join(content: &RawJson, choices: &[Choice]) -> Result<RawJson, String> {
    let members = content.members().unwrap_or_default();
    let mut edit = Edit::default();
    for choice in choices {
        let is_set = |name: &Text| members.iter().any(|m| m.key == *name && m.value.as_bytes() == b"true");
        let chosen: Vec<&RawJson> =
            choice.options.iter().filter(|(name, _)| is_set(name)).map(|(_, value)| value).collect();
        for (name, _) in &choice.options {
            edit.drop(name);
        }
        // Nothing chosen in an optional field is no answer to it, which `minItems` does not forbid.
        if chosen.is_empty() && !choice.required {
            continue;
        }
        choice.check(chosen.len() as u64)?;
        edit.set(&choice.name, RawJson::array(chosen));
    }
    Ok(edit.apply(content))
}

impl Choice {
    fn check(&self, chosen: u64) -> Result<(), String> {
        if chosen < self.min {
            return Err(format!("Choose at least {} for \"{}\".", self.min, self.label));
        }
        match self.max {
            Some(max) if chosen > max => Err(format!("Choose at most {max} for \"{}\".", self.label)),
            _ => Ok(()),
        }
    }
}

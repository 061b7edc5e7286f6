//! What schemas say of each object: valid, invalid or, where no schema is at hand, unchecked, which never counts as valid.
//! Rules that a schema writes as expressions (`x-kubernetes-validations`) are the API server's business, and nothing comes from the network.
//!
//! Reading order: `sources` (where a schema is found), `core` (what every API server knows), `kustomize`, `strict` (what the API server makes of one).

mod core;
mod kustomize;
mod sources;
mod strict;

#[cfg(test)]
mod tests;

pub use sources::{KEPT, SchemaError, Sources};

use super::{
    Notes, UNCHECKED,
    objects::{Object, Objects},
};
use crate::{
    told::Spot,
    values::{Value as Setting, Values},
};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// The annotation that asks Flux not to replace variables.
const NO_VARIABLES: &str = "kustomize.toolkit.fluxcd.io/substitute";
/// One object that is nothing like its schema shall not bury the others.
const MOST: usize = 20;

/// The kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// The group; that of the core has none.
    group: String,
    version: String,
    kind: String,
}

impl Kind {
    fn of(object: &Object) -> Self {
        let version = object.text("/apiVersion");
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        Self { group: group.to_owned(), version: version.to_owned(), kind: object.text("/kind").to_owned() }
    }

    /// As `apiVersion` has it.
    fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.api_version())
    }
}

/// How many objects there are of each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Right by their schema.
    pub valid: usize,
    /// Wrong by their schema.
    pub invalid: usize,
    /// There is no schema.
    pub unchecked: usize,
}

/// A schema, ready to be asked.
struct Schema {
    text: Value,
    validator: Validator,
}

/// Asks the schema of every object that Flux applies or `kustomize` reads.
pub(super) fn check(
    objects: &Objects,
    values: &Values,
    sources: &Sources,
    notes: &mut Notes<'_>,
) -> Verdicts {
    let (mut known, mut verdicts) = (BTreeMap::new(), Verdicts::default());
    let mut unchecked: BTreeMap<Kind, usize> = BTreeMap::new();
    let domain = values.get("primary_domain").and_then(Setting::text).unwrap_or("example.com");
    for (path, object) in concerned(objects) {
        let kind = Kind::of(object);
        let schema = known.entry(kind.clone()).or_insert_with(|| schema(&kind, objects, sources));
        let Some(schema) = schema else {
            verdicts.unchecked += 1;
            *unchecked.entry(kind).or_default() += 1;
            continue;
        };
        let seen = as_applied(&object.value, domain);
        let mut wrong = false;
        for error in schema.validator.iter_errors(&seen).take(MOST) {
            wrong = true;
            note(path, object, &kind, schema, &error, notes);
        }
        match wrong {
            true => verdicts.invalid += 1,
            false => verdicts.valid += 1,
        }
    }
    if let Some(path) = first_unchecked(objects, &unchecked) {
        told(path, &verdicts, &unchecked, notes);
    }
    verdicts
}

/// The objects that somebody will check; those of Talos are none of them.
fn concerned(objects: &Objects) -> impl Iterator<Item = (&str, &Object)> {
    let ours = |path: &str| path.starts_with("kubernetes/") || path.starts_with("bootstrap/");
    let files = objects.iter().filter(move |(path, _)| ours(path));
    files
        .flat_map(|(path, all)| all.iter().map(move |object| (path.as_str(), object)))
        .filter(|(_, object)| !object.text("/kind").is_empty() && !object.text("/apiVersion").is_empty())
}

fn schema(kind: &Kind, objects: &Objects, sources: &Sources) -> Option<Schema> {
    let mut text = core::schema(&kind.api_version(), &kind.kind)
        .or_else(|| kustomize::schema(&kind.api_version(), &kind.kind))
        .or_else(|| concerned(objects).find_map(|(_, object)| sources::defined(&object.value, kind)))
        .or_else(|| sources.find(kind))?;
    strict::strict(&mut text);
    let validator = jsonschema::validator_for(&text).ok()?;
    Some(Schema { text, validator })
}

/// The object as the API server gets it: Flux has replaced variables, and what is null is not there.
fn as_applied(value: &Value, domain: &str) -> Value {
    let fixed = value["metadata"]["annotations"][NO_VARIABLES] == "disabled";
    seen(value, if fixed { None } else { Some(domain) })
}

fn seen(value: &Value, domain: Option<&str>) -> Value {
    match value {
        Value::String(text) => Value::from(match domain.filter(|_| text.contains("${")) {
            Some(domain) => replaced(text, domain),
            None => text.clone(),
        }),
        Value::Array(items) => items.iter().map(|item| seen(item, domain)).collect(),
        Value::Object(map) => {
            let there = map.iter().filter(|(_, value)| !value.is_null());
            there.map(|(name, value)| (name.clone(), seen(value, domain))).collect()
        }
        other => other.clone(),
    }
}

/// A text with a domain in the place of each variable; all variables of the tree are domains.
fn replaced(text: &str, domain: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        let end = rest[at..].find('}').filter(|_| !escaped);
        out.push_str(&rest[..at - usize::from(escaped)]);
        match end {
            Some(end) => {
                out.push_str(domain);
                rest = &rest[at + end + 1..];
            }
            None => {
                out.push_str("${");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Says what is wrong with one object. Its values are not shown: it may be a Secret.
fn note(
    path: &str,
    object: &Object,
    kind: &Kind,
    schema: &Schema,
    error: &ValidationError<'_>,
    notes: &mut Notes<'_>,
) {
    let pointer = error.instance_path().as_str();
    let at = if pointer.is_empty() { String::new() } else { format!(" at `{pointer}`") };
    let name = object.text("/metadata/name");
    let (mut said, mut mend) =
        (error.masked().to_string(), format!("see `{}` in the reference of {kind}", dotted(pointer)));
    let mut place = object.place(pointer);
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        let unknown = unexpected.first().map(String::as_str).unwrap_or_default();
        said = format!("nothing is called `{unknown}` here");
        let near = listed(&schema.text, error.schema_path().as_str());
        let near = portreeve_yaml::nearest(unknown, near.iter().map(String::as_str));
        mend = near.map_or_else(
            || format!("take `{unknown}` out, or see which names {kind} has here"),
            |near| format!("did you mean `{near}`?"),
        );
        place = object.place(&format!("{pointer}/{}", unknown.replace('~', "~0").replace('/', "~1")));
    }
    notes.add("O-08", path, place, format!("{} `{name}`{at}: {said}", kind.kind), mend);
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// The names beside an `additionalProperties` of a schema.
fn listed(schema: &Value, path: &str) -> Vec<String> {
    let mut at = schema;
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    for part in above.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(items) => {
                part.parse::<usize>().ok().and_then(|n| items.get(n)).unwrap_or(&Value::Null)
            }
            other => &other[part.as_str()],
        };
    }
    at["properties"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

fn first_unchecked<'a>(objects: &'a Objects, unchecked: &BTreeMap<Kind, usize>) -> Option<&'a str> {
    let without = |object: &Object| unchecked.contains_key(&Kind::of(object));
    concerned(objects).find(|(_, object)| without(object)).map(|(path, _)| path)
}

/// One warning for all that has no schema.
fn told(path: &str, verdicts: &Verdicts, unchecked: &BTreeMap<Kind, usize>, notes: &mut Notes<'_>) {
    let all = verdicts.valid + verdicts.invalid + verdicts.unchecked;
    /// As many kinds as a person reads.
    const SHOWN: usize = 8;
    let mut kinds: Vec<String> = unchecked.keys().take(SHOWN).map(ToString::to_string).collect();
    if unchecked.len() > SHOWN {
        kinds.push(format!("{} more", unchecked.len() - SHOWN));
    }
    let what = format!(
        "{} of {all} objects are unchecked: there is no schema of {}",
        verdicts.unchecked,
        kinds.join(", ")
    );
    let mend = format!(
        "put the definitions of these kinds into `{KEPT}/`, or name their directory with `--schemas DIR`"
    );
    notes.add(UNCHECKED, path, Spot::WHOLE, what, mend);
}

//! A schema as the API server's strict validation reads it: a name that is not listed is a mistake, and the words that only Kubernetes
//! knows become words of JSON Schema. Parts under `allOf`, `anyOf`, `oneOf` and `not` list no names by themselves and stay as they are.

use serde_json::{Map, Value, json};

/// What every object has, listed or not.
const ALWAYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Makes a schema strict.
pub(super) fn strict(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        object(map);
        part(map);
        for definitions in ["$defs", "definitions"] {
            if let Some(Value::Object(all)) = map.get_mut(definitions) {
                all.values_mut().filter_map(Value::as_object_mut).for_each(part);
            }
        }
    }
}

/// The root of an object, and what is embedded as one.
fn object(map: &mut Map<String, Value>) {
    let properties = map.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        for name in ALWAYS {
            let kind = if name == "metadata" { "object" } else { "string" };
            properties.entry(name).or_insert_with(|| json!({"type": kind}));
        }
    }
}

fn part(map: &mut Map<String, Value>) {
    let says = |map: &Map<String, Value>, word: &str| map.get(word) == Some(&Value::Bool(true));
    if says(map, "x-kubernetes-embedded-resource") {
        object(map);
    }
    if says(map, "x-kubernetes-int-or-string") {
        map.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if says(map, "nullable") {
        nullable(map);
    }
    let free = says(map, "x-kubernetes-preserve-unknown-fields");
    if map.contains_key("properties") && !free && !map.contains_key("additionalProperties") {
        map.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for word in ["items", "additionalProperties"] {
        if let Some(Value::Object(below)) = map.get_mut(word) {
            part(below);
        }
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(part);
    }
}

fn nullable(map: &mut Map<String, Value>) {
    if let Some(kind @ Value::String(_)) = map.get_mut("type") {
        *kind = json!([kind.clone(), "null"]);
    }
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.push(Value::Null);
    }
}

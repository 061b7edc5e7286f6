//! A tool's arguments, checked against the part of JSON Schema that the demo's own schemas use: `required`, `type`,
//! `enum`, `minimum`, `maximum`, `maxLength` of top-level properties. Not a schema validator: the demo's schemas are
//! its only input. What is wrong is said in words that a model can act on (spec: server/tools, error handling).

use serde_json::{Map, Value};

/// The arguments of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    /// Takes what stands in `params.arguments`; absent is empty.
    pub(super) fn new(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::default()),
            Value::Object(map) => Some(Self(map)),
            _ => None,
        }
    }

    /// Everything that is wrong, or nothing.
    pub(super) fn check(&self, schema: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !self.0.contains_key(name) {
                faults.push(format!("`{name}` is missing"));
            }
        }
        let Some(properties) = schema["properties"].as_object() else { return faults };
        for (name, value) in &self.0 {
            match properties.get(name) {
                Some(property) => faults.extend(check_value(name, value, property)),
                None if schema["additionalProperties"] == Value::Bool(false) => {
                    faults.push(format!("`{name}` is not an argument of this tool"));
                }
                None => {}
            }
        }
        faults
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// All of them, as they came.
    pub(super) fn all(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn check_value(name: &str, value: &Value, property: &Value) -> Option<String> {
    let (good, kind) = match property["type"].as_str() {
        Some("string") => (value.is_string(), "a string"),
        Some("integer") => (value.is_i64() || value.is_u64(), "a whole number"),
        Some("number") => (value.is_number(), "a number"),
        Some("boolean") => (value.is_boolean(), "true or false"),
        _ => return None,
    };
    if !good {
        return Some(format!("`{name}` must be {kind}"));
    }
    if let Some(allowed) = property["enum"].as_array()
        && !allowed.contains(value)
    {
        return Some(format!("`{name}` must be one of {}", Value::from(allowed.clone())));
    }
    if let (Some(least), Some(given)) = (property["minimum"].as_f64(), value.as_f64())
        && given < least
    {
        return Some(format!("`{name}` must be at least {least}"));
    }
    if let (Some(most), Some(given)) = (property["maximum"].as_f64(), value.as_f64())
        && given > most
    {
        return Some(format!("`{name}` must be at most {most}"));
    }
    let longest = property["maxLength"].as_u64()?;
    let length = value.as_str()?.chars().count() as u64;
    (length > longest).then(|| format!("`{name}` must have at most {longest} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults_are_named() {
        let schema = json!({
            "properties": {
                "s": {"type": "string", "maxLength": 3}, "e": {"type": "string", "enum": ["a", "b"]},
                "i": {"type": "integer", "minimum": 1, "maximum": 5}, "n": {"type": "number"}, "b": {"type": "boolean"}
            },
            "required": ["s"]
        });
        let rows = [
            (json!({"s": "abc", "e": "a", "i": 5, "n": 0.5, "b": true, "other": 1}), ""),
            (json!({}), "`s` is missing"),
            (json!({"s": 1}), "`s` must be a string"),
            (json!({"s": "äöüß"}), "`s` must have at most 3 characters"),
            (json!({"s": "", "e": "c"}), "`e` must be one of [\"a\",\"b\"]"),
            (json!({"s": "", "i": 1.5}), "`i` must be a whole number"),
            (json!({"s": "", "i": 0}), "`i` must be at least 1"),
            (json!({"s": "", "i": 6}), "`i` must be at most 5"),
            (json!({"s": "", "n": "1"}), "`n` must be a number"),
            (json!({"s": "", "b": null}), "`b` must be true or false"),
        ];
        for (given, fault) in rows {
            assert_eq!(Arguments::new(given.clone()).unwrap().check(&schema).join("; "), fault, "{given}");
        }
        let closed = json!({"properties": {}, "additionalProperties": false});
        let faults = Arguments::new(json!({"x": 1})).unwrap().check(&closed);
        assert_eq!(faults, ["`x` is not an argument of this tool"]);
        assert!(Arguments::new(json!([])).is_none());
    }
}

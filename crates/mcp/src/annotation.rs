//! `x-mcp-header`: which arguments of a tool are mirrored into `Mcp-Param-*` headers (spec 2026-07-28: server/tools,
//! basic/transports/streamable-http). Reads a schema once, when a list arrives; never resolves a `$ref`.
//! What happens to a tool whose annotations break a rule is decided by whoever lists it.

use crate::{JsonError, RawJson, Text, json, json::Member};
use memchr::memmem;

const KEYWORD: &str = "x-mcp-header";

/// Keywords whose value is one schema or an array of them, and that a path of `properties` does not pass.
const SCHEMAS: [&str; 16] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
];

/// Keywords whose value is an object of schemas that no path of `properties` passes.
const MAPS: [&str; 5] = ["$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies"];

/// The types that have a header form. `number` has none: its text is not canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The text itself.
    String,
    /// Decimal digits, compared by value.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// One mirrored argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The whole header name, `Mcp-Param-<X>`, with `<X>` spelled as in the schema.
    pub header: Text,
    /// The property names that lead from the arguments to it.
    pub path: Vec<Text>,
    /// Its type.
    pub kind: Kind,
}

/// The rule that an annotation breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The name is empty.
    Empty,
    /// The name is not a string or not an RFC 9110 token.
    Token,
    /// Another property has the same name, letter case aside.
    Unique,
    /// The property is not a string, integer or boolean.
    Type,
    /// The property is not reached from the root by `properties` alone.
    Reach,
}

impl Rule {
    fn text(self) -> &'static str {
        match self {
            Self::Empty => "is empty",
            Self::Token => "is not a token that a header name can hold",
            Self::Unique => "names a header that another property has",
            Self::Type => "stands on something that is not a string, integer or boolean",
            Self::Reach => "stands where `properties` alone do not lead",
        }
    }
}

/// Why the annotations of a schema cannot be used. The specification wants such a tool left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationFault {
    /// A rule is broken.
    #[error("`x-mcp-header` at `{place}` {}", rule.text())]
    Broken {
        /// The keywords and properties that lead to it, with dots.
        place: String,
        /// Which rule.
        rule: Rule,
    },
    /// An object on the way cannot be read.
    #[error("the schema at `{place}` cannot be read")]
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        source: JsonError,
    },
}

/// Reads the annotations of an `inputSchema`, in the order of its properties.
pub fn read(input_schema: &RawJson) -> Result<Vec<Annotation>, AnnotationFault> {
    let bytes = input_schema.as_bytes();
    // A key may be written with escapes; a schema that has any is read properly.
    if memmem::find(bytes, KEYWORD.as_bytes()).is_none() && memmem::find(bytes, b"\\u").is_none() {
        return Ok(Vec::new());
    }
    let mut reader = Reader { place: Vec::new(), found: Vec::new() };
    reader.schema(input_schema, Reach::Properties)?;
    Ok(reader.found)
}

/// The schema without its annotations, which mean nothing before 2026-07-28: strict validators and model providers
/// refuse keywords that they do not know. Shares the bytes where there are none.
#[must_use]
pub fn strip(schema: &RawJson) -> RawJson {
    if memmem::find(schema.as_bytes(), KEYWORD.as_bytes()).is_none() {
        return schema.clone();
    }
    without(schema).unwrap_or_else(|| schema.clone())
}

/// `None` where nothing changes.
fn without(schema: &RawJson) -> Option<RawJson> {
    let members = schema.members().ok()?;
    let annotated = members.iter().any(|member| member.key.as_str() == KEYWORD);
    let changed: Vec<(&str, RawJson)> = members
        .iter()
        .filter_map(|Member { key, value }| {
            let keyword = key.as_str();
            let edited = if keyword == "properties" || MAPS.contains(&keyword) {
                without_in_map(value)
            } else if SCHEMAS.contains(&keyword) {
                without_in_any(value)
            } else {
                None
            };
            Some((keyword, edited?))
        })
        .collect();
    if !annotated && changed.is_empty() {
        return None;
    }
    let set: Vec<_> = changed.iter().map(|(key, value)| (*key, value)).collect();
    Some(schema.with(&[KEYWORD], &set))
}

fn without_in_map(map: &RawJson) -> Option<RawJson> {
    let members = map.members().ok()?;
    let changed: Vec<_> = members.iter().filter_map(|m| Some((m.key.as_str(), without(&m.value)?))).collect();
    let set: Vec<_> = changed.iter().map(|(key, value)| (*key, value)).collect();
    (!set.is_empty()).then(|| map.with(&[], &set))
}

fn without_in_any(value: &RawJson) -> Option<RawJson> {
    let Some(schemas) = value.elements() else { return without(value) };
    let edited: Vec<_> = schemas.iter().map(without).collect();
    if edited.iter().all(Option::is_none) {
        return None;
    }
    Some(RawJson::array(schemas.iter().zip(&edited).map(|(old, new)| new.as_ref().unwrap_or(old))))
}

/// How a schema is reached from the root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// By `properties` steps only: an annotation counts.
    Properties,
    /// Otherwise: an annotation is a fault.
    Other,
}

struct Reader {
    /// Property names while `Reach::Properties` holds, property names and keywords below.
    place: Vec<Text>,
    found: Vec<Annotation>,
}

impl Reader {
    /// Recursion is bounded by the nesting that the scanner accepts.
    fn schema(&mut self, schema: &RawJson, reach: Reach) -> Result<(), AnnotationFault> {
        // `true` and `false` are schemas too.
        if schema.kind() != json::Kind::Object {
            return Ok(());
        }
        let members = self.members(schema)?;
        for Member { key, value } in &members {
            match key.as_str() {
                KEYWORD => self.annotation(value, &members, reach)?,
                "properties" => self.map(None, value, reach)?,
                keyword if MAPS.contains(&keyword) => self.map(Some(key), value, Reach::Other)?,
                keyword if SCHEMAS.contains(&keyword) => self.below(key, value)?,
                // Values (`default`, `const`, `enum`, `examples`) and foreign keywords hold no schemas.
                _ => {}
            }
        }
        Ok(())
    }

    fn map(&mut self, keyword: Option<&Text>, map: &RawJson, reach: Reach) -> Result<(), AnnotationFault> {
        if map.kind() != json::Kind::Object {
            return Ok(());
        }
        let depth = self.place.len();
        self.place.extend(keyword.cloned());
        for Member { key, value } in self.members(map)? {
            self.place.push(key);
            self.schema(&value, reach)?;
            self.place.pop();
        }
        self.place.truncate(depth);
        Ok(())
    }

    fn below(&mut self, keyword: &Text, value: &RawJson) -> Result<(), AnnotationFault> {
        self.place.push(keyword.clone());
        match value.elements() {
            Some(schemas) => schemas.iter().try_for_each(|schema| self.schema(schema, Reach::Other))?,
            None => self.schema(value, Reach::Other)?,
        }
        self.place.pop();
        Ok(())
    }

    fn annotation(
        &mut self,
        name: &RawJson,
        members: &[Member],
        reach: Reach,
    ) -> Result<(), AnnotationFault> {
        if reach == Reach::Other {
            return Err(self.broken(Rule::Reach));
        }
        let name = name.string_value().ok_or_else(|| self.broken(Rule::Token))?;
        if name.is_empty() {
            return Err(self.broken(Rule::Empty));
        }
        if !name.bytes().all(is_token) {
            return Err(self.broken(Rule::Token));
        }
        let kind = kind(members).ok_or_else(|| self.broken(Rule::Type))?;
        let header = format!("Mcp-Param-{name}");
        if self.found.iter().any(|other| other.header.eq_ignore_ascii_case(&header)) {
            return Err(self.broken(Rule::Unique));
        }
        self.found.push(Annotation { header: Text::from(header), path: self.place.clone(), kind });
        Ok(())
    }

    fn members(&self, object: &RawJson) -> Result<Vec<Member>, AnnotationFault> {
        object.members().map_err(|source| AnnotationFault::Unreadable { place: self.place(), source })
    }

    fn broken(&self, rule: Rule) -> AnnotationFault {
        AnnotationFault::Broken { place: self.place(), rule }
    }

    fn place(&self) -> String {
        self.place.iter().map(Text::as_str).collect::<Vec<_>>().join(".")
    }
}

/// The type of an annotated property. One that may also be `null` keeps its header form, because `null` has none.
fn kind(members: &[Member]) -> Option<Kind> {
    let value = &members.iter().find(|member| member.key.as_str() == "type")?.value;
    let mut names = match value.elements() {
        Some(elements) => elements.iter().map(RawJson::string_value).collect::<Option<Vec<_>>>()?,
        None => vec![value.string_value()?],
    };
    names.retain(|name| name.as_str() != "null");
    match names.as_slice() {
        [one] => match one.as_str() {
            "string" => Some(Kind::String),
            "integer" => Some(Kind::Integer),
            "boolean" => Some(Kind::Boolean),
            _ => None,
        },
        _ => None,
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(schema: &str) -> (String, Rule) {
        match read(&RawJson::from_text(schema).unwrap()) {
            Err(AnnotationFault::Broken { place, rule }) => (place, rule),
            other => panic!("{schema}: {other:?}"),
        }
    }

    #[test]
    fn nested_properties_are_found_with_their_paths() {
        let schema = r#"{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"type":"object","properties":{"a.b":{"type":"object","properties":{
                "count":{"x-mcp-header":"Count","type":"integer"}}}}},
            "dry":{"type":["boolean","null"],"x-mcp-header":"Dry_Run"},
            "plain":{"type":"number"}}}"#;
        let found = read(&RawJson::from_text(schema).unwrap()).unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|a| (a.header.as_str(), a.path.iter().map(Text::as_str).collect::<Vec<_>>(), a.kind))
            .collect();
        assert_eq!(
            seen,
            [
                ("Mcp-Param-Region", vec!["region"], Kind::String),
                ("Mcp-Param-Count", vec!["deep", "a.b", "count"], Kind::Integer),
                ("Mcp-Param-Dry_Run", vec!["dry"], Kind::Boolean),
            ]
        );
    }

    #[test]
    fn a_schema_without_annotations_has_none() {
        for schema in [
            r#"{"type":"object"}"#,
            "true",
            // A property of that name, and data that looks like an annotation, are not annotations.
            r#"{"type":"object","properties":{"x-mcp-header":{"type":"number"}}}"#,
            r#"{"properties":{"a":{"type":"object","default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":""}]}}}"#,
            r#"{"x-vendor":{"x-mcp-header":5},"properties":{"a":{"description":"\u0078-mcp-header"}}}"#,
        ] {
            assert_eq!(read(&RawJson::from_text(schema).unwrap()), Ok(Vec::new()), "{schema}");
        }
    }

    #[test]
    fn check_025_broken_annotations_are_faults() {
        let on = |property: &str| format!(r#"{{"type":"object","properties":{{"a":{property}}}}}"#);
        let annotated = r#"{"type":"string","x-mcp-header":"A"}"#;
        let mut rows = vec![
            (on(r#"{"type":"string","x-mcp-header":""}"#), "a", Rule::Empty),
            (on(r#"{"type":"string","x-mcp-header":"a b"}"#), "a", Rule::Token),
            (on(r#"{"type":"string","x-mcp-header":"a:b"}"#), "a", Rule::Token),
            (on(r#"{"type":"string","x-mcp-header":"é"}"#), "a", Rule::Token),
            (on(r#"{"type":"string","x-mcp-header":"a\r\nb"}"#), "a", Rule::Token),
            (on(r#"{"type":"string","x-mcp-header":1}"#), "a", Rule::Token),
            (on(r#"{"type":"number","x-mcp-header":"A"}"#), "a", Rule::Type),
            (on(r#"{"type":"object","x-mcp-header":"A"}"#), "a", Rule::Type),
            (on(r#"{"type":"array","x-mcp-header":"A"}"#), "a", Rule::Type),
            (on(r#"{"type":"null","x-mcp-header":"A"}"#), "a", Rule::Type),
            (on(r#"{"type":["string","integer"],"x-mcp-header":"A"}"#), "a", Rule::Type),
            (on(r##"{"$ref":"#/$defs/x","x-mcp-header":"A"}"##), "a", Rule::Type),
            (on(r#"{"type":"string","\u0078-mcp-header":""}"#), "a", Rule::Empty),
            (r#"{"type":"object","x-mcp-header":"A"}"#.to_owned(), "", Rule::Type),
            (
                r#"{"properties":{"a":{"type":"string","x-mcp-header":"Id"},
                    "b":{"properties":{"c":{"type":"string","x-mcp-header":"iD"}}}}}"#
                    .to_owned(),
                "b.c",
                Rule::Unique,
            ),
        ];
        for keyword in SCHEMAS {
            let schema = format!(r#"{{"properties":{{"a":{{"{keyword}":{annotated}}}}}}}"#);
            let place: &str = Box::leak(format!("a.{keyword}").into_boxed_str());
            rows.push((schema, place, Rule::Reach));
        }
        for keyword in ["oneOf", "anyOf", "allOf", "prefixItems"] {
            let schema = format!(r#"{{"{keyword}":[true,{{"properties":{{"p":{annotated}}}}}]}}"#);
            let place: &str = Box::leak(format!("{keyword}.p").into_boxed_str());
            rows.push((schema, place, Rule::Reach));
        }
        for keyword in MAPS {
            let place: &str = Box::leak(format!("{keyword}.d").into_boxed_str());
            rows.push((format!(r#"{{"{keyword}":{{"d":{annotated}}}}}"#), place, Rule::Reach));
        }
        for (schema, place, rule) in rows {
            assert_eq!(faults(&schema), (place.to_owned(), rule), "{schema}");
        }
    }

    #[test]
    fn annotations_are_stripped_and_nothing_else() {
        let rows = [
            (r#"{"type" : "object"}"#, r#"{"type" : "object"}"#),
            (
                r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b": {"type":"null"}},"required":["a"]}"#,
                r#"{"properties":{"a":{"type":"string"},"b":{"type":"null"}},"required":["a"]}"#,
            ),
            (
                r#"{"oneOf":[true,{"items":{"x-mcp-header":"A"}}],"$defs":{"d":{"x-mcp-header":"B"}}}"#,
                r#"{"oneOf":[true,{"items":{}}],"$defs":{"d":{}}}"#,
            ),
            (
                r#"{"properties":{"x-mcp-header":{"default":{"x-mcp-header":1}}}}"#,
                r#"{"properties":{"x-mcp-header":{"default":{"x-mcp-header":1}}}}"#,
            ),
        ];
        for (schema, wanted) in rows {
            let stripped = strip(&RawJson::from_text(schema).unwrap());
            assert_eq!(stripped.to_value(), RawJson::from_text(wanted).unwrap().to_value(), "{schema}");
            assert_eq!(stripped.as_str() == schema, schema == wanted, "{schema}");
        }
    }

    #[test]
    fn a_key_twice_is_refused_where_annotations_are_read() {
        let schema = r#"{"properties":{"a":{"type":"string","x-mcp-header":"A","type":"number"}}}"#;
        let fault = read(&RawJson::from_text(schema).unwrap()).unwrap_err();
        assert_eq!(fault.to_string(), "the schema at `a` cannot be read");
    }
}

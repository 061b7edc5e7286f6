//! The table in other forms: what `explain` says of a name, JSON Schemas for editors, the reference page. Nothing is known here that
//! the table does not say.

use super::{
    own::Own,
    problem::RULES,
    table::{self, DERIVED, Default, FOREIGN, GROUPS, Group, If, Kind, NODE, Need, Phase, Var},
};
use crate::{lint, render};
use portreeve_yaml::nearest;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` is not a setting{}", .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct Unknown {
    name: String,
    near: Option<&'static str>,
}

/// What a setting, a field of a node (`nodes.mtu`), or a rule (`V-07`) is.
///
/// # Errors
/// There is none of this name; the error has the nearest.
pub fn explain(name: &str, own: &Own) -> Result<String, Unknown> {
    if let Some(rule) = RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(name)) {
        let levels: Vec<&str> = rule.levels.iter().map(|level| level.word()).collect();
        return Ok(format!("{} ({})\n  {}.\n", rule.code, levels.join(" or "), rule.title));
    }
    let (templates, tree) = (render::RULES.iter(), lint::RULES.iter());
    if let Some((code, level, title)) =
        templates.chain(tree).find(|(code, ..)| code.eq_ignore_ascii_case(name))
    {
        return Ok(format!("{code} ({})\n  {title}.\n", level.word()));
    }
    if let Some((var, group)) = table::find(name).or_else(|| own.find(name)) {
        return Ok(about(var.name, var, "cluster.yaml", Some(group)));
    }
    let field =
        name.rsplit_once('.').filter(|(list, _)| list.starts_with("nodes")).map_or(name, |(_, field)| field);
    if let Some(var) = NODE.iter().find(|var| var.name == field) {
        return Ok(about(&format!("nodes[].{field}"), var, "nodes.yaml", None));
    }
    if let Some((_, from)) = DERIVED.iter().find(|(derived, _)| *derived == name) {
        return Ok(format!("{name}\n  Cannot be set: it follows from {from}.\n"));
    }
    if FOREIGN.contains(&name) {
        return Ok(format!(
            "{name}\n  A setting of a later version of the origin's template; there is none here.\n"
        ));
    }
    let known = table::all()
        .chain(own.vars())
        .chain(NODE)
        .map(|var| var.name)
        .chain(DERIVED.iter().map(|(name, _)| *name));
    Err(Unknown { name: name.to_owned(), near: nearest(name, known) })
}

/// All settings, one a line, by families.
pub fn list(own: &Own) -> String {
    let mut out = String::new();
    for group in GROUPS.iter().chain(own.groups()) {
        // Writing into a `String` cannot fail.
        let _ = writeln!(out, "{} ({})", group.title, phase(group.phase));
        for var in group.vars {
            let _ = writeln!(out, "  {:<38} {}", var.name, meaning(var));
        }
    }
    out.push_str("Fields of a node\n");
    for var in NODE {
        let _ = writeln!(out, "  {:<38} {}", format!("nodes[].{}", var.name), meaning(var));
    }
    out
}

fn about(name: &str, var: &Var, file: &str, group: Option<&Group>) -> String {
    let family = group.map_or(String::new(), |group| format!(", “{}”", group.title));
    let mut out = format!("{name} ({file}{family})\n  {}.\n", meaning(var));
    let mut line = |what: &str, text: &str| {
        if !text.is_empty() {
            let _ = writeln!(out, "  {what:<9} {text}");
        }
    };
    line("value:", &shown(table::kind(var)));
    if let Kind::Form(form) = table::kind(var) {
        line("example:", form.example);
    }
    line("default:", &default(var));
    line("required:", &need(var));
    let spellings: Vec<&str> =
        table::all().filter(|other| spells(other, var.name)).map(|other| other.name).collect();
    line("also:", &spellings.join(", "));
    if let Some(group) = group {
        line("rendered:", phase(group.phase));
    }
    out
}

fn spells(var: &Var, name: &str) -> bool {
    matches!(var.kind, Kind::Alias(meant) if meant == name)
}

fn meaning(var: &Var) -> String {
    match var.kind {
        Kind::Alias(meant) => format!("Another spelling of `{meant}`"),
        _ => var.doc.to_owned(),
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::One => "phase 1",
        Phase::Two => "phase 2",
        Phase::Later => "not yet",
    }
}

/// A kind as people read it.
fn shown(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Form(form) => form.called.to_owned(),
        Kind::MayBeEmpty => "text, may be empty".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::SecretForm(form) => format!("secret: {}", form.called),
        Kind::Flag => "true or false".to_owned(),
        Kind::Int(least, most) if least == most => format!("{least}"),
        Kind::Int(least, most) => format!("{least} … {most}"),
        Kind::Digits(least, most) => format!("{least} … {most}, with quotes or without"),
        Kind::Fraction => "a number from 0 to 1".to_owned(),
        Kind::Ip => "an IPv4 address".to_owned(),
        Kind::Cidr => "an IPv4 network".to_owned(),
        Kind::Mac => "a MAC address".to_owned(),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::List(inner, _) => format!("list: {}", shown(*inner)),
        Kind::OneOrList(inner) => format!("{}, or a list of such", shown(*inner)),
        Kind::Fields(vars) => {
            let fields: Vec<String> = vars.iter().map(|var| format!("`{}`", var.name)).collect();
            format!("map of {}", fields.join(", "))
        }
        Kind::Labels => "labels of Kubernetes".to_owned(),
        Kind::Anything => "map".to_owned(),
        Kind::Alias(meant) => table::find(meant).map_or(String::new(), |(var, _)| shown(var.kind)),
    }
}

fn default(var: &Var) -> String {
    match var.default {
        Default::None => String::new(),
        Default::Flag(flag) => format!("`{flag}`"),
        Default::Int(number) => format!("`{number}`"),
        Default::Text("") | Default::Texts([]) => "empty".to_owned(),
        Default::Text(text) => format!("`{text}`"),
        Default::Texts(texts) => texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", "),
        Default::Computed(words) => words.to_owned(),
    }
}

fn need(var: &Var) -> String {
    let any = |conditions: &[If]| conditions.iter().map(condition).collect::<Vec<_>>().join(", or ");
    match var.need {
        Need::Optional => String::new(),
        Need::Always => "always".to_owned(),
        Need::Unless(conditions) => format!("unless {}", any(conditions)),
        Need::When(conditions) => format!("with {}", any(conditions)),
    }
}

fn condition(condition: &If) -> String {
    match condition {
        If::On(name) | If::Given(name) => format!("`{name}`"),
        If::Is(name, word) => format!("`{name}: {word}`"),
        If::All(all) => all.iter().map(self::condition).collect::<Vec<_>>().join(" and "),
    }
}

/// The JSON Schema (2020-12) of `cluster.yaml`. It knows names and forms; what fits together is known to `validate` alone.
pub fn cluster_schema(own: &Own) -> Value {
    root("cluster.yaml", "The settings of a cluster", object(table::all().chain(own.vars())))
}

/// The JSON Schema of `nodes.yaml`.
pub fn nodes_schema() -> Value {
    let nodes = json!({"type": "array", "items": object(NODE.iter()), "minItems": 1});
    let schema = json!({"type": "object", "properties": {"nodes": nodes}, "required": ["nodes"], "additionalProperties": false});
    root("nodes.yaml", "The machines of a cluster", schema)
}

fn root(title: &str, description: &str, mut schema: Value) -> Value {
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema["description"] = json!(description);
    schema
}

fn object(vars: impl Iterator<Item = &'static Var>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for var in vars {
        let mut property = kind(table::kind(var));
        let default = default(var);
        let default = if default.is_empty() { default } else { format!(" Default: {default}.") };
        property["description"] = json!(format!("{}.{default}", meaning(var)));
        properties.insert(var.name.to_owned(), property);
        if matches!(var.need, Need::Always) {
            required.push(var.name);
        }
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn kind(kind: Kind) -> Value {
    // Text without quotes may look like a number; whether it may stay so is said by `validate`.
    let text = || json!({"type": ["string", "number", "boolean"]});
    let form = |pattern: &str| json!({"anyOf": [{"type": "string", "pattern": schema_pattern(pattern)}, {"type": "number"}]});
    match kind {
        Kind::Text | Kind::MayBeEmpty | Kind::Secret | Kind::Alias(_) => text(),
        Kind::Form(one) | Kind::SecretForm(one) => form(one.pattern),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Int(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::Digits(least, most) => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": "^[0-9]+$"},
        ]}),
        Kind::Fraction => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Kind::Ip => json!({"type": "string", "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}$"}),
        Kind::Cidr => json!({"type": "string", "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"}),
        Kind::Mac => json!({"type": "string", "pattern": table::MAC.pattern}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::List(inner, least) => json!({"type": "array", "items": self::kind(*inner), "minItems": least}),
        Kind::OneOrList(inner) => {
            let one = self::kind(*inner);
            json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
        }
        Kind::Fields(vars) => object(vars.iter()),
        Kind::Labels => json!({"type": "object", "additionalProperties": text()}),
        Kind::Anything => json!({"type": "object"}),
    }
}

/// Editors have no switches within expressions; a secret of several lines is rare enough.
fn schema_pattern(pattern: &str) -> String {
    pattern.replace("(?s:.", "([\\s\\S]")
}

/// The reference page.
pub fn page(own: &Own) -> String {
    let mut out = String::from(
        "# Settings of a cluster\n\n<!-- Made by `portreeve cluster schema --markdown`; edit the table of `crates/cluster` instead. -->\n\n\
         Every setting of `cluster.yaml` and `nodes.yaml`. `portreeve cluster explain NAME` says the same of one, `portreeve cluster validate`\n\
         holds a cluster against all of it. Settings of phase 1 and 2 are rendered as their parts arrive; from the others nothing is yet.\n",
    );
    for group in GROUPS.iter().chain(own.groups()) {
        // Writing into a `String` cannot fail.
        let _ = writeln!(out, "\n## {}\n\nRendered: {}.\n", group.title, phase(group.phase));
        rows(&mut out, group.vars.iter(), "");
    }
    out.push_str("\n## Fields of a node\n\nEach entry of `nodes` in `nodes.yaml`.\n\n");
    rows(&mut out, NODE.iter(), "");
    out.push_str("\n## What cannot be set\n\n| name | follows from |\n|---|---|\n");
    for (name, from) in DERIVED {
        let _ = writeln!(out, "| `{name}` | {from} |");
    }
    out.push_str("\n## Rules\n\n| code | level | what it asks for |\n|---|---|---|\n");
    for rule in RULES {
        let levels: Vec<&str> = rule.levels.iter().map(|level| level.word()).collect();
        let _ = writeln!(out, "| {} | {} | {} |", rule.code, levels.join(", "), rule.title);
    }
    out
}

fn rows(out: &mut String, vars: impl Iterator<Item = &'static Var>, before: &str) {
    let _ = writeln!(out, "| setting | value | default | required | meaning |\n|---|---|---|---|---|");
    for var in vars {
        let (value, default, need) = (shown(table::kind(var)), default(var), need(var));
        let _ = writeln!(out, "| `{before}{}` | {value} | {default} | {need} | {} |", var.name, meaning(var));
    }
}

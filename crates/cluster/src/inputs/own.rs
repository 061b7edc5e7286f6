//! Settings that applications of the user declare, in the `variables` of their `app.yaml`: entries of the table like ours, with the
//! same kinds, so that checks, schema and explanations need not know the difference. What templates make of them is not known here.

use super::table::{self, DERIVED, Default as Preset, FOREIGN, Group, Kind, Need, Phase, Var};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{Mutex, OnceLock, PoisonError},
};

/// What an entry of `variables` may hold.
const KEYS: [&str; 9] = ["name", "type", "default", "required", "secret", "docs", "choices", "least", "most"];
/// The words for kinds.
const TYPES: [&str; 12] =
    ["text", "flag", "int", "fraction", "ip", "cidr", "mac", "choice", "texts", "ips", "cidrs", "map"];

/// The settings that applications declare.
#[derive(Debug, Clone, Default)]
pub struct Own(Vec<&'static Group>);

/// What is wrong with a declaration: where, as a JSON pointer below `app.yaml`, what, and how to mend it.
#[derive(Debug)]
pub(crate) struct Misdeclared {
    pub(crate) pointer: String,
    pub(crate) what: String,
    pub(crate) mend: String,
}

impl Own {
    /// Their groups, one for each application.
    pub fn groups(&self) -> impl Iterator<Item = &'static Group> {
        self.0.iter().copied()
    }

    /// All of them.
    pub fn vars(&self) -> impl Iterator<Item = &'static Var> {
        self.groups().flat_map(|group| group.vars)
    }

    /// One of this name, with its group.
    pub fn find(&self, name: &str) -> Option<(&'static Var, &'static Group)> {
        self.groups().find_map(|group| Some((group.vars.iter().find(|var| var.name == name)?, group)))
    }

    /// Adds what one application declares; `taken` are names that templates know already.
    pub(crate) fn declare(
        &mut self,
        application: &str,
        variables: &Value,
        taken: &dyn Fn(&str) -> bool,
    ) -> Result<(), Misdeclared> {
        let wrong =
            |pointer: String, what: String, mend: &str| Misdeclared { pointer, what, mend: mend.to_owned() };
        let Some(entries) = variables.as_array() else {
            let what = "`variables` is a list".to_owned();
            return Err(wrong("/variables".to_owned(), what, "write lines that begin with `- name: …`"));
        };
        let mut vars: Vec<Var> = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            let at = |key: &str| format!("/variables/{number}{key}");
            let var = one(entry).map_err(|(key, what, mend)| wrong(at(&key), what, &mend))?;
            let elsewhere = self.find(var.name).map(|(_, group)| group.title);
            let twice = vars.iter().any(|other| other.name == var.name).then_some("this application");
            let ours = (known(var.name) || taken(var.name)).then_some("portreeve");
            if let Some(whose) = elsewhere.or(twice).or(ours) {
                let what = format!("`{}` is a name of {whose} already", var.name);
                return Err(wrong(
                    at("/name"),
                    what,
                    "give it another name, such as one that begins with the application's",
                ));
            }
            vars.push(var);
        }
        if !vars.is_empty() {
            let title = kept(application);
            self.0.push(Box::leak(Box::new(Group { title, phase: Phase::One, vars: vars.leak() })));
        }
        Ok(())
    }
}

/// Whether the table has a name.
fn known(name: &str) -> bool {
    table::find(name).is_some()
        || DERIVED.iter().any(|(derived, _)| *derived == name)
        || FOREIGN.contains(&name)
}

/// The table of settings lives as long as the program; what is declared joins it, each text once. A command reads one directory.
fn kept(text: &str) -> &'static str {
    static KEPT: OnceLock<Mutex<BTreeSet<&'static str>>> = OnceLock::new();
    let mut all = KEPT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(text) {
        return known;
    }
    let text: &'static str = Box::leak(text.to_owned().into_boxed_str());
    all.insert(text);
    text
}

type Wrong = (String, String, String);

fn wrong(key: &str, what: impl Into<String>, mend: impl Into<String>) -> Wrong {
    (key.to_owned(), what.into(), mend.into())
}

/// One entry of `variables`.
fn one(entry: &Value) -> Result<Var, Wrong> {
    let Some(map) = entry.as_object() else {
        return Err(wrong(
            "",
            "a variable is a map",
            "write `- name: …`, and `type`, `default`, `docs` below it",
        ));
    };
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let near = portreeve_yaml::nearest(key, KEYS);
        let mend = near.map_or_else(
            || format!("the names here are {}", KEYS.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(wrong(&format!("/{key}"), format!("`{key}` means nothing here"), mend));
    }
    let name = entry["name"].as_str().unwrap_or_default();
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(letters) {
        return Err(wrong(
            "/name",
            "a variable has a `name` of small letters, digits and `_`",
            "write `name: hello_greeting`",
        ));
    }
    let docs = entry["docs"].as_str().unwrap_or_default().trim().trim_end_matches('.');
    if docs.is_empty() || docs.contains('\n') {
        return Err(wrong(
            "/docs",
            format!("`{name}` has no `docs` of one line"),
            "say in one line what it means",
        ));
    }
    let flag = |key: &str| match &entry[key] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(wrong(&format!("/{key}"), format!("`{key}` is true or false"), "write true or false")),
    };
    let (required, secret) = (flag("required")?, flag("secret")?);
    let kind = kind(entry, secret)?;
    let default = preset(&entry["default"], kind)?;
    if required && !matches!(default, Preset::None) {
        return Err(wrong("/required", "what has a default is not required", "take one of the two out"));
    }
    let need = if required { Need::Always } else { Need::Optional };
    Ok(Var { name: kept(name), kind, default, need, doc: kept(docs) })
}

fn kind(entry: &Value, secret: bool) -> Result<Kind, Wrong> {
    let word = entry["type"].as_str().unwrap_or("text");
    let number = |key: &str, or: i64| match &entry[key] {
        Value::Null => Ok(or),
        value => value
            .as_i64()
            .ok_or_else(|| wrong(&format!("/{key}"), format!("`{key}` is a whole number"), "write digits")),
    };
    if let Some(key) = ["least", "most"].into_iter().find(|key| word != "int" && !entry[*key].is_null()) {
        return Err(wrong(&format!("/{key}"), format!("`{key}` is for `type: int`"), "take it out"));
    }
    if word != "choice" && !entry["choices"].is_null() {
        return Err(wrong(
            "/choices",
            "`choices` is for `type: choice`",
            "write `type: choice`, or take them out",
        ));
    }
    Ok(match (word, secret) {
        ("text", true) => Kind::Secret,
        (_, true) => return Err(wrong("/type", "a secret is a text", "take `type` out")),
        ("text", false) => Kind::Text,
        ("flag", _) => Kind::Flag,
        ("int", _) => Kind::Int(number("least", i64::MIN)?, number("most", i64::MAX)?),
        ("fraction", _) => Kind::Fraction,
        ("ip", _) => Kind::Ip,
        ("cidr", _) => Kind::Cidr,
        ("mac", _) => Kind::Mac,
        ("texts", _) => Kind::List(&Kind::Text, 0),
        ("ips", _) => Kind::List(&Kind::Ip, 0),
        ("cidrs", _) => Kind::List(&Kind::Cidr, 0),
        ("map", _) => Kind::Anything,
        ("choice", _) => {
            let words: Vec<&'static str> = entry["choices"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(kept)
                .collect();
            if words.len() < 2 {
                return Err(wrong(
                    "/choices",
                    "`type: choice` has two `choices` or more",
                    "write `choices: [one, two]`",
                ));
            }
            Kind::Choice(words.leak())
        }
        (other, _) => {
            let mend = portreeve_yaml::nearest(other, TYPES).map_or_else(
                || format!("the types are {}", TYPES.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(wrong("/type", format!("`{other}` is no type"), mend));
        }
    })
}

fn preset(value: &Value, kind: Kind) -> Result<Preset, Wrong> {
    let texts = |items: &[Value]| -> Option<Vec<&'static str>> {
        items.iter().map(|item| item.as_str().map(kept)).collect()
    };
    Ok(match (value, kind) {
        (Value::Null, _) => Preset::None,
        (_, Kind::Secret) => {
            return Err(wrong("/default", "a secret has no default", "set it in cluster.yaml"));
        }
        (Value::Bool(flag), Kind::Flag) => Preset::Flag(*flag),
        (Value::Number(number), Kind::Int(least, most))
            if number.as_i64().is_some_and(|n| (least..=most).contains(&n)) =>
        {
            Preset::Int(number.as_i64().unwrap_or(least))
        }
        (Value::String(text), Kind::Choice(words)) if words.contains(&text.as_str()) => {
            Preset::Text(kept(text))
        }
        (Value::String(text), Kind::Text | Kind::Mac) => Preset::Text(kept(text)),
        (Value::String(text), Kind::Ip) if text.parse::<std::net::Ipv4Addr>().is_ok() => {
            Preset::Text(kept(text))
        }
        (Value::String(text), Kind::Cidr) if super::net::Net::parse(text).is_ok() => Preset::Text(kept(text)),
        (Value::Array(items), Kind::List(..)) if texts(items).is_some() => {
            Preset::Texts(texts(items).unwrap_or_default().leak())
        }
        _ => {
            return Err(wrong(
                "/default",
                "the default is not of the type",
                "write a value of it (a text in quotes), or take it out",
            ));
        }
    })
}

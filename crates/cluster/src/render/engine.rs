//! The template engine with what templates may use: the settings, what the key files hold, and the filters. Texts of people reach a
//! file through `q` only, unless they mean the same without quotes; secrets only in files that are going to be encrypted.
//! The environment, the clock and chance are not there: the same inputs give the same bytes.

use super::{RenderError, error::Refused, keys::KeyFiles, names, secret::Hidden};
use crate::{
    inputs::{Files, net::Net, plain},
    told::Spot,
    values::{self, Values},
};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, context,
    escape_formatter, syntax::SyntaxConfig,
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps that one template may take; the longest takes a few thousand, and ten thousand nodes a few hundred thousand.
const FUEL: u64 = 20_000_000;
/// The functions, for messages about unknown names.
const FUNCTIONS: [&str; 7] = [
    "age_key",
    "cloudflare_tunnel_id",
    "cloudflare_tunnel_secret",
    "github_deploy_key",
    "github_push_token",
    "secret_domain",
    "range",
];
/// How a text is printed.
const QUOTE: &str = "write `| q` behind it, which puts it into quotes";
/// What the shared templates are given beside the settings.
const GIVEN: [&str; 7] = ["app", "apps", "charts", "chart", "namespace", "values", "talos_patches"];

/// The engine.
pub(super) struct Engine {
    environment: Environment<'static>,
    settings: Value,
    names: BTreeSet<String>,
}

impl Engine {
    pub(super) fn new(values: &Values, files: &Files) -> Self {
        let mut environment = Environment::empty();
        if let Ok(syntax) = SyntaxConfig::builder()
            .block_delimiters("#%", "%#")
            .variable_delimiters("#{", "}#")
            .comment_delimiters("#|", "|#")
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
        {
            environment.set_syntax(syntax);
        }
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        // It would put values into errors.
        environment.set_debug(false);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(print);
        add_filters(&mut environment);
        KeyFiles::read(files).offer(&mut environment);
        let mut settings: BTreeMap<String, Value> =
            values.iter().map(|(name, value)| (name.clone(), seen(value))).collect();
        settings.insert("talos_minor".to_owned(), Value::from(talos_minor(values)));
        let names = settings.keys().cloned().collect();
        Self { environment, settings: Value::from(settings), names }
    }

    /// Renders a text. A file has exactly one end of line at its end, or is blank and none at all.
    pub(super) fn render(&self, path: &str, text: &str, given: Value) -> Result<Option<String>, RenderError> {
        let all = context! { ..given, ..self.settings.clone() };
        let failed = |error| RenderError::engine(path, text, &error);
        let text = self.environment.render_named_str(path, text, all).map_err(failed)?;
        let text = text.trim_end();
        Ok((!text.trim().is_empty()).then(|| format!("{text}\n")))
    }

    /// Whether a condition holds that stands at a place of a text.
    pub(super) fn holds(
        &self,
        origin: &str,
        text: &str,
        spot: Spot,
        condition: &str,
    ) -> Result<bool, RenderError> {
        let failed = |error| RenderError::refused(origin, &error).at(text, spot);
        let expression = self.environment.compile_expression_owned(condition.to_owned()).map_err(failed)?;
        if let Some(name) = self.unknown(expression.undeclared_variables(false)).first() {
            let line = text.lines().nth(spot.line - 1).unwrap_or_default();
            let start: usize = line.chars().take(spot.column - 1).map(char::len_utf8).sum();
            let within = names::in_expression(&line[start..], name).map(|found| Spot {
                column: spot.column + line[start..start + found.start].chars().count(),
                length: name.chars().count(),
                ..spot
            });
            return Err(self.nameless(origin, name).at(text, within.unwrap_or(spot)));
        }
        Ok(expression.eval(self.settings.clone()).map_err(failed)?.is_true())
    }

    /// Refuses names that nothing has, in every branch of a template; the one that stands first.
    pub(super) fn check(&self, origin: &str, text: &str) -> Result<(), RenderError> {
        let template = self.environment.template_from_named_str(origin, text);
        let template = template.map_err(|error| RenderError::engine(origin, text, &error))?;
        let unknown = self.unknown(template.undeclared_variables(false));
        let place = |name: &String| names::find(text, name);
        let first = unknown.iter().min_by_key(|name| place(name).map_or(usize::MAX, |place| place.start));
        let Some(name) = first else { return Ok(()) };
        let spot = place(name).map_or(Spot::WHOLE, |place| Spot::of(text, place));
        Err(self.nameless(origin, name).at(text, spot))
    }

    fn unknown(&self, used: impl IntoIterator<Item = String>) -> Vec<String> {
        let known =
            |name: &str| self.names.contains(name) || FUNCTIONS.contains(&name) || GIVEN.contains(&name);
        let mut unknown: Vec<String> = used.into_iter().filter(|name| !known(name)).collect();
        unknown.sort();
        unknown
    }

    fn nameless(&self, origin: &str, name: &str) -> RenderError {
        let near = portreeve_yaml::nearest(name, self.names.iter().map(String::as_str));
        let mend = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`portreeve cluster explain` lists all settings".to_owned(),
        };
        let error = RenderError::new(origin, format!("nothing is called `{name}`")).mend(mend);
        RenderError { code: "R-01", ..error }
    }
}

/// Whether a name has a meaning in templates that is none of a setting.
pub(super) fn takes(name: &str) -> bool {
    let derived = || values::DERIVED.iter().any(|derived| derived.name == name);
    FUNCTIONS.contains(&name)
        || GIVEN.contains(&name)
        || matches!(name, "nodes" | "talos_minor" | "loop")
        || derived()
}

fn add_filters(environment: &mut Environment<'static>) {
    use minijinja::{filters, functions, tests};
    environment.add_filter("q", quoted);
    environment.add_filter("nthhost", nth_host);
    environment.add_filter("basename", |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.split_once('.').map_or(name, |(stem, _)| stem).to_owned()
    });
    environment.add_filter("indented", indented);
    environment.add_filter("default", filters::default);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("length", filters::length);
    environment.add_filter("join", filters::join);
    environment.add_filter("list", filters::list);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("items", filters::items);
    environment.add_filter("split", filters::split);
    environment.add_filter("tojson", filters::tojson);
    environment.add_filter("selectattr", filters::selectattr);
    environment.add_filter("rejectattr", filters::rejectattr);
    environment.add_filter("map", filters::map);
    environment.add_function("range", functions::range);
    environment.add_function("secret_domain", |index: usize| match index {
        0 => Value::from_safe_string("${SECRET_DOMAIN}".to_owned()),
        index => Value::from_safe_string(format!("${{SECRET_DOMAIN_{index}}}")),
    });
    environment.add_test("defined", |value: &Value| !value.is_undefined());
    environment.add_test("none", |value: &Value| value.is_none());
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("eq", tests::is_eq);
}

/// A value as templates see it.
fn seen(value: &values::Value) -> Value {
    match value {
        values::Value::Unset => Value::from(()),
        values::Value::Bool(flag) => Value::from(*flag),
        values::Value::Int(number) => Value::from(*number),
        values::Value::Text(text) => Value::from(text.as_str()),
        values::Value::Secret(secret) => Hidden::value(secret.expose()),
        values::Value::List(items) => items.iter().map(seen).collect(),
        values::Value::Map(map) => Value::from(
            map.iter().map(|(name, value)| (name.clone(), seen(value))).collect::<BTreeMap<_, _>>(),
        ),
    }
}

/// The second number of the version of Talos, which decides the form of its configuration.
fn talos_minor(values: &Values) -> u32 {
    let version = values.get("talos_version").and_then(values::Value::text).unwrap_or_default();
    version.trim_start_matches('v').split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// An error of ours.
fn refuse(code: &'static str, what: impl Into<String>, mend: &'static str) -> Error {
    let what = what.into();
    Error::new(ErrorKind::InvalidOperation, what.clone()).with_source(Refused { code, what, mend })
}

/// Something is printed that has no value.
fn unset() -> Error {
    refuse(
        "R-02",
        "something is printed that is not set",
        "ask with `if` whether it is set, or give `default(…)`",
    )
}

/// Prints a value into a file.
fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if Hidden::of(value).is_some() {
        return Err(refuse("R-03", "a secret is printed without `| q`", QUOTE));
    }
    if value.is_none() {
        return Err(unset());
    }
    if let Some(text) = value.as_str().filter(|text| !value.is_safe() && !tame(text)) {
        let kind = if text.contains('\n') { "a text of several lines" } else { "a text" };
        return Err(refuse(
            "R-03",
            format!("{kind} is printed that YAML would read as something else"),
            QUOTE,
        ));
    }
    escape_formatter(out, state, value)
}

/// Whether a text without quotes reads as itself, with whatever stands beside it.
fn tame(text: &str) -> bool {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._/:@-+".contains(c);
    let edges = |c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.';
    let word = text.starts_with(edges) && !text.ends_with(':') && text.chars().all(harmless);
    let number = text.parse::<f64>().is_ok() && text.parse::<u64>().is_err();
    word && !number
        && plain::trap(text).is_none()
        && !matches!(text, "null" | "Null" | "NULL" | "true" | "false")
}

/// A text in quotes that mean the same in JSON and in every version of YAML.
fn quoted(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let sealed = state.name().contains(".sops.");
    if let Some(secret) = Hidden::of(value) {
        if !sealed {
            let what = "a secret stands in a file that is not encrypted";
            return Err(refuse("R-02", what, "only `*.sops.yaml` files are; refer to the Secret in one"));
        }
        return Ok(Value::from_safe_string(in_quotes(secret.expose())));
    }
    if value.is_none() || value.is_undefined() {
        return Err(unset());
    }
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_number() || value.kind() == minijinja::value::ValueKind::Bool => value.to_string(),
        None => {
            return Err(refuse(
                "R-02",
                "`q` is for single values",
                "go through them with `for`, or print `tojson`",
            ));
        }
    };
    // Flux replaces variables in everything that it applies, but in our Secrets, which ask it not to.
    let text = if state.name().starts_with("apps/") && !sealed { text.replace("${", "$${") } else { text };
    Ok(Value::from_safe_string(in_quotes(&text)))
}

/// JSON's quotes, with everything escaped that YAML takes for the end of a line or for unprintable.
fn in_quotes(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            other => out.push(other),
        }
    }
    out
}

fn nth_host(network: &str, n: u32) -> Result<String, Error> {
    const MEND: &str = "give it a network such as 10.0.0.0/24, and a number below its size";
    let net = Net::parse(network).map_err(|_| refuse("R-02", "`nthhost` is given no network", MEND))?;
    let what = || format!("the network {net} has no host number {n}");
    let host = net.nth(n).ok_or_else(|| refuse("R-02", what(), MEND))?;
    Ok(host.to_string())
}

/// The lines of a text, moved to the right; blank lines stay blank.
fn indented(text: &str, spaces: usize) -> Value {
    let pad = " ".repeat(spaces);
    let lines: Vec<String> = text
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") })
        .collect();
    Value::from_safe_string(lines.join("\n"))
}

//! Why nothing was rendered, with the place in the template. A message never holds a value: the engine runs without the mode in
//! which it would print them, and a line that is shown is one of a template, which holds none.

use crate::{
    inputs::Level,
    told::{Excerpt, Spot, Told},
};
use minijinja::ErrorKind;
use serde_json::{Value, json};
use std::ops::Range;

/// The rules of templates, each with what it asks for.
pub const RULES: &[(&str, Level, &str)] = &[
    ("R-01", Level::Error, "Every name in a template is that of a setting"),
    (
        "R-02",
        Level::Error,
        "A template can be rendered: it is in its place and whole, and prints nothing that is not set",
    ),
    (
        "R-03",
        Level::Error,
        "What YAML could read as something else is printed in quotes, and a secret by `q` alone",
    ),
    ("R-04", Level::Warning, "An override was made from the built-in template as it is now"),
    ("R-05", Level::Warning, "Templates of the origin's project are brought over or gone"),
];

/// Why nothing was rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{template}{}: {what}", shown(*.spot))]
pub struct RenderError {
    /// The code of the rule that is broken.
    pub code: &'static str,
    /// The template.
    pub template: String,
    /// The place in it.
    pub spot: Spot,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: String,
    pub(super) excerpt: Option<Box<Excerpt>>,
}

/// What our own parts of the engine refuse, with the code of the rule: it travels as the source of the engine's error.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) what: String,
    pub(super) mend: &'static str,
}

fn shown(spot: Spot) -> String {
    if spot.length == 0 { String::new() } else { format!(":{}:{}", spot.line, spot.column) }
}

/// The range of what is printed, where the engine points at the filter alone.
fn whole(text: &str, range: Range<usize>) -> Range<usize> {
    let before = text.get(..range.start).unwrap_or_default();
    let open = before.rfind("#{").filter(|at| !before[*at..].contains("}#") && !before[*at..].contains('\n'));
    match open.filter(|_| before.trim_end().ends_with('|')) {
        Some(at) => at + 2 + (text[at + 2..].len() - text[at + 2..].trim_start().len())..range.end,
        None => range,
    }
}

impl RenderError {
    pub(super) fn new(template: &str, what: impl Into<String>) -> Self {
        let (template, what) = (template.to_owned(), what.into());
        Self { code: "R-02", template, spot: Spot::WHOLE, what, mend: String::new(), excerpt: None }
    }

    pub(super) fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }

    /// With the place in the template's text.
    pub(super) fn at(self, text: &str, spot: Spot) -> Self {
        Self { spot, excerpt: Excerpt::of(text, spot).map(Box::new), ..self }
    }

    /// What the engine says of a text.
    pub(super) fn engine(template: &str, text: &str, error: &minijinja::Error) -> Self {
        let spot = match (error.range(), error.line()) {
            (Some(range), _) => Spot::of(text, whole(text, range)),
            (None, Some(line)) => Spot::line(text, line),
            (None, None) => Spot::WHOLE,
        };
        Self::refused(template, error).at(text, spot)
    }

    /// The same without the place.
    pub(super) fn refused(template: &str, error: &minijinja::Error) -> Self {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(Refused { code, what, mend }) = cause.downcast_ref() {
                return Self { code, ..Self::new(template, what).mend(*mend) };
            }
            source = cause.source();
        }
        let kind = error.kind().to_string();
        let what = error.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
        let mend = match error.kind() {
            ErrorKind::SyntaxError => {
                "look for a delimiter, a quote or an `#% endif %#` or `#% endfor %#` that is missing"
            }
            ErrorKind::OutOfFuel => "the template takes too many steps; look for a loop in a loop",
            ErrorKind::UndefinedError => "ask with `if` whether it is there",
            _ => "mend the expression",
        };
        Self::new(template, what).mend(mend)
    }

    /// For people.
    pub fn text(&self) -> String {
        let told = Told {
            level: Level::Error,
            code: self.code,
            what: &self.what,
            file: &self.template,
            spot: self.spot,
            excerpt: self.excerpt.as_deref(),
            label: "",
            others: &[],
            detail: "",
            note: "",
            help: &self.mend,
        };
        told.to_string()
    }

    /// For programs: the same fields.
    pub fn json(&self) -> Value {
        json!({
            "code": self.code, "level": Level::Error.word(), "template": self.template,
            "line": self.spot.line, "column": self.spot.column, "what": self.what, "mend": self.mend,
        })
    }
}

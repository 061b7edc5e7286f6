//! Why nothing was rendered. A message names the template and the line, and never a value: the engine is built without the
//! part that would print them.

/// Why nothing was rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{template}{}: {what}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct RenderError {
    /// The code of the rule that is broken: R-01 an unknown name, R-02 everything else.
    pub code: &'static str,
    /// The template.
    pub template: String,
    /// The line in it, counted from 1.
    pub line: Option<usize>,
    /// What is wrong, and how to mend it.
    pub what: String,
}

impl RenderError {
    pub(super) fn new(template: &str, what: impl Into<String>) -> Self {
        Self { code: "R-02", template: template.to_owned(), line: None, what: what.into() }
    }

    pub(super) fn at(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// What the engine says, of the template that was rendered if it names no other.
    pub(super) fn engine(template: &str, error: &minijinja::Error) -> Self {
        let kind = error.kind().to_string();
        let what = error.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}"));
        let template = error.name().filter(|name| !name.starts_with('<')).unwrap_or(template);
        Self { code: "R-02", template: template.to_owned(), line: error.line(), what }
    }
}

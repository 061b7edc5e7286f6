//! Reads typed values out of the YAML tree and collects everything that is wrong on the way.
//! A value that cannot be read is reported once and is `None` from then on; reading goes on, so that a person sees
//! all mistakes of a file at once. Which keys exist and what they mean is not known here.

use super::{
    problem::{Problem, Warning},
    reference::{self, Lookup},
    table::Keys,
    units,
};
use portreeve_model::Secret;
use portreeve_yaml::{Data, Entry, Mark, Node, Scalar, Style, nearest};
use std::{fmt::Display, path::Path, time::Duration};

/// What is shorter cannot be told from the words of a message.
const REPEATED: usize = 4;
/// The most of a value that an error repeats.
const SHOWN: usize = 60;

/// Collects problems and resolves references.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) source: &'a str,
    pub(super) lookup: &'a dyn Lookup,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    /// What references stand for, and what texts with references came to: no problem repeats it.
    pub(super) yielded: Vec<String>,
}

/// A node together with its path.
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

/// A mapping whose keys have been checked.
pub(super) struct Table<'a> {
    pub(super) path: String,
    entries: Vec<&'a Entry>,
    /// The keys that unknown ones were probably meant to be.
    meant: Vec<&'static str>,
}

/// What a number may be, and why.
pub(super) struct Bounds<T> {
    pub(super) least: T,
    pub(super) most: T,
    pub(super) why: &'static str,
}

impl<'a> Table<'a> {
    /// The value of a key, if the key is there.
    pub(super) fn get(&self, key: &str) -> Option<At<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(At { node: &entry.value, path: join(&self.path, key) })
    }

    /// Whether an unknown key was taken for a misspelling of this one, so that it need not be missed as well.
    pub(super) fn misspelt(&self, key: &str) -> bool {
        self.meant.contains(&key)
    }

    /// All keys with the places of the keys themselves, in the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, Mark, At<'a>)> + '_ {
        self.entries.iter().map(|entry| {
            (entry.key.as_str(), entry.mark, At { node: &entry.value, path: join(&self.path, &entry.key) })
        })
    }
}

impl<'a> At<'a> {
    pub(super) fn mark(&self) -> Mark {
        self.node.mark
    }

    /// The value as it was written, for errors; references stay references. Not for keys that may hold a secret.
    pub(super) fn shown(&self) -> String {
        let Data::Scalar(Scalar { text, .. }) = &self.node.data else { return self.form().to_owned() };
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("`{}…`", &text[..end]),
            None => format!("`{text}`"),
        }
    }

    /// What the value is, without the value: where another form was expected, a secret may have come instead.
    fn form(&self) -> &'static str {
        match &self.node.data {
            Data::Empty => "nothing",
            Data::Scalar(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a table",
        }
    }
}

impl<'a> Reader<'a> {
    /// Records a problem at a value.
    pub(super) fn problem(&mut self, at: &At<'_>, what: impl Into<String>, mend: Option<String>) {
        self.problem_at(at.mark(), &at.path, what, mend);
    }

    /// Records a problem at a place of its own, such as a key.
    pub(super) fn problem_at(
        &mut self,
        mark: Mark,
        path: &str,
        what: impl Into<String>,
        mend: Option<String>,
    ) {
        let (file, path) = (self.file.to_owned(), path.to_owned());
        self.problems.push(Problem { file, mark, path, what: what.into(), mend });
    }

    /// Records a warning at a value.
    pub(super) fn warn(&mut self, at: &At<'_>, what: impl Into<String>, mend: Option<String>) {
        let (file, path) = (self.file.to_owned(), at.path.clone());
        self.warnings.push(Warning(Problem { file, mark: at.mark(), path, what: what.into(), mend }));
    }

    /// Everything that was found, without a word of what references yielded, however it got there.
    pub(super) fn found(self) -> (Vec<Problem>, Vec<Warning>) {
        let Self { mut problems, mut warnings, mut yielded, .. } = self;
        yielded.retain(|value| value.trim().len() >= REPEATED);
        // What contains others goes first.
        yielded.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let every = problems.iter_mut().chain(warnings.iter_mut().map(|warning| &mut warning.0));
        for problem in every {
            for text in std::iter::once(&mut problem.what).chain(&mut problem.mend) {
                for value in &yielded {
                    *text = text.replace(value.trim(), "…");
                }
            }
        }
        (problems, warnings)
    }

    /// A table with exactly these keys; all others are problems.
    pub(super) fn table<'n>(&mut self, at: &At<'n>, keys: &Keys) -> Option<Table<'n>> {
        let mut table = self.free_table(at)?;
        let (known, unknown): (Vec<_>, Vec<_>) =
            table.entries.into_iter().partition(|entry| keys.knows(&entry.key));
        table.entries = known;
        table.meant =
            unknown.into_iter().filter_map(|entry| self.unknown(entry, &table.path, keys)).collect();
        Some(table)
    }

    /// A table whose keys are names that the person chose; repeated ones are problems.
    pub(super) fn free_table<'n>(&mut self, at: &At<'n>) -> Option<Table<'n>> {
        let Data::Map(entries) = &at.node.data else {
            let mend = "write `key: value` lines, indented under the key".to_owned();
            self.problem(at, format!("expected a table, found {}", at.form()), Some(mend));
            return None;
        };
        let mut kept: Vec<&'n Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            match kept.iter().find(|earlier| earlier.key == entry.key) {
                None => kept.push(entry),
                Some(first) => {
                    let what = format!("this key is already given in line {}", first.mark.line);
                    let path = join(&at.path, &entry.key);
                    self.problem_at(entry.mark, &path, what, Some("keep one of the two".to_owned()));
                }
            }
        }
        Some(Table { path: at.path.clone(), entries: kept, meant: Vec::new() })
    }

    /// Reports a key that is not known here; the known one that was probably meant.
    fn unknown(&mut self, entry: &Entry, path: &str, keys: &Keys) -> Option<&'static str> {
        let key = entry.key.as_str();
        let path = join(path, key);
        if keys.later.contains(&key) {
            let what = format!("`{key}` is known, but this version does not support it yet");
            let mend = "remove it: nothing may look configured that has no effect".to_owned();
            self.problem_at(entry.mark, &path, what, Some(mend));
            return None;
        }
        let hint = keys.hints.iter().find(|(name, _)| *name == key).map(|(_, hint)| *hint);
        let near = nearest(key, keys.names());
        let (mend, meant) = match (hint, near) {
            (Some(hint), _) => {
                let meant = keys.names().find(|known| hint == format!("write `{known}`"));
                (hint.to_owned(), meant)
            }
            (None, Some(near)) => (format!("did you mean `{near}`?"), Some(near)),
            (None, None) if keys.known.is_empty() => ("remove it: there are no keys here".to_owned(), None),
            (None, None) => {
                (format!("the keys here are {}", keys.names().collect::<Vec<_>>().join(", ")), None)
            }
        };
        self.problem_at(entry.mark, &path, format!("`{key}` is not a key here"), Some(mend));
        meant
    }

    /// A list; a single value is not taken for a list of one, so that files read alike.
    pub(super) fn list<'n>(&mut self, at: &At<'n>) -> Option<Vec<At<'n>>> {
        let Data::List(items) = &at.node.data else {
            let mend = "write `[one, two]`, or lines that start with `- `".to_owned();
            self.problem(at, format!("expected a list, found {}", at.form()), Some(mend));
            return None;
        };
        Some(
            items
                .iter()
                .enumerate()
                .map(|(i, node)| At { node, path: format!("{}[{i}]", at.path) })
                .collect(),
        )
    }

    /// A list of texts that are not empty.
    pub(super) fn texts(&mut self, at: &At<'_>) -> Option<Vec<String>> {
        Some(self.list(at)?.iter().filter_map(|item| self.text(item)).collect())
    }

    /// A text that may be empty, with its references resolved.
    pub(super) fn any_text(&mut self, at: &At<'_>) -> Option<String> {
        let Data::Scalar(scalar) = &at.node.data else {
            let mend =
                matches!(at.node.data, Data::Empty).then(|| "give it a value, or remove the key".to_owned());
            self.problem(at, format!("expected a text, found {}", at.form()), mend);
            return None;
        };
        if !reference::present(&scalar.text) {
            return Some(scalar.text.clone());
        }
        match reference::resolve(&scalar.text, self.base(), self.lookup, &mut self.yielded) {
            Ok(text) => {
                self.yielded.push(text.clone());
                Some(text)
            }
            Err(broken) => {
                for one in broken {
                    let mark = self.reference_mark(at.node, one.nth);
                    self.problem_at(mark, &at.path, one.what, one.mend);
                }
                None
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn text(&mut self, at: &At<'_>) -> Option<String> {
        let text = self.any_text(at)?;
        if text.is_empty() {
            let what =
                if is_reference(at) { "the reference yields an empty text" } else { "the text is empty" };
            self.problem(at, what, Some("give it a value, or remove the key".to_owned()));
            return None;
        }
        Some(text)
    }

    /// A secret: never shown, and a warning where it is written into the file itself.
    pub(super) fn secret(&mut self, at: &At<'_>) -> Option<Secret<String>> {
        let secret = Secret::new(self.text(at)?);
        if !is_reference(at) {
            let mend = "move it out: `${env:NAME}` or `${file:/path}`".to_owned();
            self.warn(at, "a secret is written into the file itself", Some(mend));
        }
        Some(secret)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, at: &At<'_>) -> Option<bool> {
        match self.unquoted(at).as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                let mend = "write true or false, without quotes".to_owned();
                self.problem(at, format!("{} is neither true nor false", at.shown()), Some(mend));
                None
            }
            None => None,
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, at: &At<'_>, bounds: &Bounds<u64>) -> Option<u64> {
        let text = self.unquoted(at)?;
        let Some(value) = text.parse::<u64>().ok().filter(|_| !text.starts_with('+')) else {
            self.problem(at, format!("{} is not a whole number", at.shown()), None);
            return None;
        };
        self.within(at, value, bounds, u64::to_string)
    }

    /// A duration such as `30s` within bounds.
    pub(super) fn duration(&mut self, at: &At<'_>, bounds: &Bounds<Duration>) -> Option<Duration> {
        let text = self.text(at)?;
        let value = self.unit(at, units::duration(&text), "for example 250ms, 30s, 5m, 2h")?;
        self.within(at, value, bounds, |value| units::show_duration(*value))
    }

    /// A size such as `4MiB` within bounds.
    pub(super) fn size(&mut self, at: &At<'_>, bounds: &Bounds<u64>) -> Option<usize> {
        let text = self.text(at)?;
        let value = self.unit(at, units::size(&text), "for example 64KiB, 4MiB, 10MB")?;
        let value = self.within(at, value, bounds, |value| units::show_size(*value))?;
        usize::try_from(value).ok()
    }

    /// One word of a few.
    pub(super) fn choice<T: Clone>(&mut self, at: &At<'_>, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(at)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let mend = nearest(&text, all.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.problem(at, format!("{} is not one of {}", at.shown(), all.join(", ")), mend);
        None
    }

    /// The text of a plain scalar, or of one that a reference filled: what numbers and truth values are read from.
    fn unquoted(&mut self, at: &At<'_>) -> Option<String> {
        if let Data::Scalar(Scalar { style: Style::Quoted, .. }) = &at.node.data
            && !is_reference(at)
        {
            self.problem(at, "this is a text in quotes", Some("remove the quotes".to_owned()));
            return None;
        }
        self.text(at)
    }

    fn unit<T>(&mut self, at: &At<'_>, read: Result<T, String>, example: &str) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            // The phrase of `units` repeats the value, which may have come from a reference.
            Err(_) if is_reference(at) => {
                self.problem(at, "the reference does not yield a usable value", Some(example.to_owned()));
                None
            }
            Err(what) => {
                self.problem(at, what, Some(example.to_owned()));
                None
            }
        }
    }

    fn within<T: PartialOrd>(
        &mut self,
        at: &At<'_>,
        value: T,
        bounds: &Bounds<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let (side, bound) = if value < bounds.least {
            ("small: at least", &bounds.least)
        } else if value > bounds.most {
            ("large: at most", &bounds.most)
        } else {
            return Some(value);
        };
        self.problem(at, format!("{} is too {side} {} ({})", at.shown(), show(bound), bounds.why), None);
        None
    }

    /// The directory that relative paths start from: that of the configuration file.
    pub(super) fn base(&self) -> &'a Path {
        Path::new(self.file).parent().unwrap_or(Path::new(""))
    }

    /// Where the nth `${` of a scalar stands in the source.
    fn reference_mark(&self, node: &Node, nth: usize) -> Mark {
        let Some((start, _)) = self.source.char_indices().nth(node.start) else { return node.mark };
        let tail = &self.source[start..];
        let Some((offset, _)) = tail.match_indices("${").nth(nth) else { return node.mark };
        let before = &tail[..offset];
        match before.rsplit_once('\n') {
            None => Mark { line: node.mark.line, column: node.mark.column + before.chars().count() },
            Some((lines, last)) => Mark {
                line: node.mark.line + lines.matches('\n').count() + 1,
                column: last.chars().count() + 1,
            },
        }
    }
}

/// Whether a value comes, wholly or in part, from outside the file.
pub(super) fn is_reference(at: &At<'_>) -> bool {
    matches!(&at.node.data, Data::Scalar(scalar) if reference::present(&scalar.text))
}

/// Says what an error of another crate says, in one line.
pub(super) fn said(error: &impl Display) -> String {
    error.to_string().replace('\n', " ")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

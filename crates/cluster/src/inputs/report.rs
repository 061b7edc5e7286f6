//! Findings as people and programs read them. A line of a file is shown without its comment and without every value that is
//! not known to be harmless: those that the reader saw as values of settings that are no secrets.

use super::{
    files::Files,
    problem::{File, Level, Place, Problem},
};
use crate::told::{Excerpt, Other, Spot, Told};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write, ops::Range};

/// What may be shown of one file: its text, and where values lie, in characters.
#[derive(Debug, Default, Clone)]
pub(super) struct Shown {
    /// Keys and values that are harmless.
    pub(super) harmless: Vec<Range<usize>>,
    /// Values that are not.
    pub(super) hidden: Vec<Hidden>,
}

/// A value that is not shown.
#[derive(Debug, Clone)]
pub(super) struct Hidden {
    pub(super) span: Range<usize>,
    /// The length of the value itself, without quotes.
    pub(super) length: usize,
}

/// What may be shown of all files.
pub(super) type Sources = BTreeMap<File, Shown>;

/// Findings with what is needed to show them.
#[derive(Debug)]
pub struct Report {
    /// The findings, by file and place.
    pub problems: Vec<Problem>,
    lines: Vec<Option<Excerpt>>,
}

impl Report {
    pub(super) fn new(mut problems: Vec<Problem>, files: &Files, sources: &Sources) -> Self {
        problems.sort_by_key(|problem| {
            let Place { file, mark, .. } = problem.place;
            (file.name(), mark.line, mark.column, problem.code)
        });
        let lines = problems.iter().map(|problem| line(problem.place, files, sources)).collect();
        Self { problems, lines }
    }

    /// How many findings of a level there are; with `strict` the warnings of rules count as errors.
    pub fn count(&self, level: Level, strict: bool) -> usize {
        self.problems.iter().filter(|problem| self.level(problem, strict) == level).count()
    }

    /// Makes errors of the warnings that `strict` takes for errors.
    pub(crate) fn make_strict(&mut self) {
        for at in 0..self.problems.len() {
            self.problems[at].level = self.level(&self.problems[at], true);
        }
    }

    fn level(&self, problem: &Problem, strict: bool) -> Level {
        if strict && problem.code.starts_with('V') { Level::Error } else { problem.level }
    }

    /// For people.
    pub fn text(&self, strict: bool) -> String {
        let mut out = String::new();
        for (problem, line) in self.problems.iter().zip(&self.lines) {
            // Writing into a `String` cannot fail.
            let _ = one(&mut out, problem, self.level(problem, strict), line.as_ref());
        }
        out
    }

    /// For programs: the same fields.
    pub fn json(&self, strict: bool) -> Value {
        let place = |place: Place, text: &str| json!({"file": place.file.name(), "line": place.mark.line, "column": place.mark.column, "what": text});
        let problems = self.problems.iter().map(|problem| {
            json!({
                "code": problem.code,
                "level": self.level(problem, strict).word(),
                "file": problem.place.file.name(),
                "line": problem.place.mark.line,
                "column": problem.place.mark.column,
                "key": problem.key,
                "what": problem.what,
                "label": problem.label,
                "others": problem.others.iter().map(|(other, text)| place(*other, text)).collect::<Vec<_>>(),
                "mend": problem.mend,
            })
        });
        problems.collect()
    }
}

fn one(out: &mut String, problem: &Problem, level: Level, line: Option<&Excerpt>) -> std::fmt::Result {
    let spot = |place: Place| Spot { line: place.mark.line, column: place.mark.column, length: place.length };
    let other = |(place, what): &(Place, String)| Other {
        file: place.file.name().to_owned(),
        spot: spot(*place),
        what: what.clone(),
    };
    let others: Vec<Other> = problem.others.iter().map(other).collect();
    let told = Told {
        level,
        code: problem.code,
        what: &problem.what,
        file: problem.place.file.name(),
        spot: spot(problem.place),
        excerpt: line,
        label: &problem.label,
        others: &others,
        detail: "",
        note: "",
        help: &problem.mend,
    };
    write!(out, "{told}")
}

/// The line of a place, as far as it may be shown; a line of which nothing is known is not.
fn line(place: Place, files: &Files, sources: &Sources) -> Option<Excerpt> {
    if place.length == 0 {
        return None;
    }
    let shown = sources.get(&place.file)?;
    let source: Vec<char> = files.get(place.file)?.text.expose().chars().collect();
    let start = start_of(&source, place.mark.line)?;
    let end = source[start..].iter().position(|c| *c == '\n').map_or(source.len(), |length| start + length);
    let last = |ranges: &mut dyn Iterator<Item = &Range<usize>>| {
        ranges.filter(|range| range.start < end && range.end > start).map(|range| range.end.min(end)).max()
    };
    // Behind the last value there is a comment, and a comment may hold anything.
    let end = last(&mut shown.harmless.iter().chain(shown.hidden.iter().map(|hidden| &hidden.span)))?;
    let at = start + place.mark.column - 1;
    let (mut text, mut column, mut length) = (String::new(), None, 0);
    let mut index = start;
    while index < end {
        if index >= at && column.is_none() {
            column = Some(text.chars().count());
        }
        let before = text.chars().count();
        match shown.hidden.iter().find(|hidden| hidden.span.contains(&index)) {
            Some(hidden) => {
                let _ = write!(text, "<redacted, {} chars>", hidden.length);
                index = hidden.span.end;
            }
            None => {
                text.push(if source[index].is_control() { ' ' } else { source[index] });
                index += 1;
            }
        }
        if column.is_some() && index <= at + place.length {
            length += text.chars().count() - before;
        }
    }
    Some(Excerpt { before: column?, text: text.trim_end().to_owned(), length })
}

fn start_of(source: &[char], line: usize) -> Option<usize> {
    if line == 1 {
        return Some(0);
    }
    source.iter().enumerate().filter(|(_, c)| **c == '\n').nth(line - 2).map(|(at, _)| at + 1)
}

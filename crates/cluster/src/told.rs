//! The one shape in which everything is told that is found in inputs, templates and the rendered tree: code, place, the line with a
//! mark under it, other places, help. Whether a line may be shown is decided by whoever makes the excerpt, not here.

use crate::inputs::Level;
use std::{
    fmt::{self, Write},
    ops::Range,
};

/// A place in a text; lines and columns are counted from 1, columns and lengths in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters it takes; 0 points at the text as a whole.
    pub length: usize,
}

impl Spot {
    /// The text as a whole.
    pub const WHOLE: Self = Self { line: 1, column: 1, length: 0 };

    /// The place of a range of bytes, as far as its first line goes.
    pub(crate) fn of(text: &str, range: Range<usize>) -> Self {
        let before = text.get(..range.start).unwrap_or(text);
        let found = text.get(range).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let length = found.lines().next().unwrap_or_default().trim_end().chars().count().max(1);
        Self { line, column, length }
    }

    /// A whole line, without the blanks around it.
    pub(crate) fn line(text: &str, line: usize) -> Self {
        let found = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        let blanks = found.chars().count() - found.trim_start().chars().count();
        Self { line, column: blanks + 1, length: found.trim().chars().count().max(1) }
    }
}

/// A line with the place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) text: String,
    /// How many characters stand before the place.
    pub(crate) before: usize,
    pub(crate) length: usize,
}

impl Excerpt {
    /// The line of a place; none, if the place is the text as a whole.
    pub(crate) fn of(text: &str, spot: Spot) -> Option<Self> {
        let line = text.lines().nth(spot.line.saturating_sub(1)).filter(|_| spot.length > 0)?.trim_end();
        let text: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = spot.column.saturating_sub(1);
        let length = spot.length.min(text.chars().count().saturating_sub(before)).max(1);
        Some(Self { text, before, length })
    }
}

/// Another place, with what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// The file.
    pub file: String,
    /// The place in it.
    pub spot: Spot,
    /// What stands there.
    pub what: String,
}

/// Something that was found.
pub(crate) struct Told<'a> {
    pub(crate) level: Level,
    pub(crate) code: &'a str,
    pub(crate) what: &'a str,
    pub(crate) file: &'a str,
    pub(crate) spot: Spot,
    pub(crate) excerpt: Option<&'a Excerpt>,
    pub(crate) label: &'a str,
    pub(crate) others: &'a [Other],
    /// Lines of their own, such as a difference.
    pub(crate) detail: &'a str,
    pub(crate) note: &'a str,
    pub(crate) help: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { line, column, .. } = self.spot;
        writeln!(out, "{}[{}]: {}", self.level.word(), self.code, self.what)?;
        writeln!(out, "  --> {}:{line}:{column}", self.file)?;
        let width = line.to_string().len().max(2);
        if let Some(Excerpt { text, before, length }) = self.excerpt {
            let mut mark = " ".repeat(*before) + &"^".repeat((*length).max(1));
            write!(mark, " {}", self.label)?;
            writeln!(out, "{:width$} |", "")?;
            writeln!(out, "{line:>width$} | {text}")?;
            writeln!(out, "{:width$} | {}", "", mark.trim_end())?;
        }
        for Other { file, spot, what } in self.others {
            writeln!(out, "  ::: {file}:{}:{}  {what}", spot.line, spot.column)?;
        }
        for line in self.detail.lines() {
            writeln!(out, "{}", format!("{:width$} | {line}", "").trim_end())?;
        }
        for (word, text) in [("note", self.note), ("help", self.help)] {
            if !text.is_empty() {
                writeln!(out, "{:width$} = {word}: {text}", "")?;
            }
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_bytes_is_a_line_and_a_column_of_characters() {
        let text = "a\nä: #{ x }#\n";
        let spot = Spot::of(text, 5..12);
        assert_eq!(spot, Spot { line: 2, column: 3, length: 7 });
        assert_eq!(Spot::of(text, 99..100), Spot { line: 3, column: 1, length: 1 });
        let excerpt = Excerpt::of(text, Spot { length: 70, ..spot }).unwrap();
        assert_eq!((excerpt.text.as_str(), excerpt.before, excerpt.length), ("ä: #{ x }#", 2, 8));
        assert_eq!(Excerpt::of(text, Spot::WHOLE), None);
    }
}

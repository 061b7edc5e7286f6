//! What can be wrong with a configuration, and where: one line for a person, a hint that mends it.
//! A problem never carries a value that came from `${env:…}` or `${file:…}`, nor the value of a key that holds a
//! secret, because problems end in terminals and logs.

use std::fmt;

/// A place in the file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Something that makes the configuration unusable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named.
    pub file: String,
    /// Where in the file.
    pub mark: Mark,
    /// The key, such as `servers.files.isolation` or `keys[0].secret`; empty for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.mark.line, self.mark.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        match &self.mend {
            Some(mend) => write!(f, "\n    mend: {mend}"),
            None => Ok(()),
        }
    }
}

/// Something that is allowed and probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The candidate that a mistyped or half-remembered word most probably meant, or nothing where none is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&word, &lower);
            let part = word.len().min(lower.len()) >= 3 && (word.contains(&lower) || lower.contains(&word));
            // Words that are near come before words that only contain each other.
            (distance <= allowed || part).then_some(((distance > allowed, distance), candidate))
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let words = ["shared", "principal", "session"];
        for (word, expected) in [
            ("sharde", Some("shared")),
            ("SESSION", Some("session")),
            ("princpal", Some("principal")),
            ("princip", Some("principal")),
            ("per-session", Some("session")),
            ("ess", Some("session")),
            ("none", None),
            ("is", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word:?}");
        }
    }
}

//! Globs over names: `*` is any run of characters, `?` exactly one; the whole value must match, case counts.
//! No classes, no alternatives, no escapes: a rule that needs those is better written as two rules.
//! Matching never backtracks over a `*`, so a hostile name costs no more than a long one.

use std::fmt;

/// The longest glob. Tool names have at most 128 characters, so a longer glob is a mistake;
/// the bound also caps the work for one character of a name.
const LONGEST: usize = 256;

/// A glob was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGlob {
    /// It matches only the empty name, which nothing has.
    #[error("an empty pattern matches nothing; write `*` for everything")]
    Empty,
    /// It is longer than any name.
    #[error("the pattern has more than {LONGEST} bytes")]
    TooLong,
}

/// A pattern over whole names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    text: Box<str>,
    shape: Shape,
}

/// What the matcher has to do; most globs are one of the first three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Everything,
    Exactly,
    Prefix,
    General,
}

impl Glob {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, InvalidGlob> {
        if text.is_empty() {
            return Err(InvalidGlob::Empty);
        }
        if text.len() > LONGEST {
            return Err(InvalidGlob::TooLong);
        }
        let shape = match text.find(['*', '?']) {
            None => Shape::Exactly,
            Some(_) if text.bytes().all(|byte| byte == b'*') => Shape::Everything,
            Some(at) if at + 1 == text.len() && text.ends_with('*') => Shape::Prefix,
            Some(_) => Shape::General,
        };
        Ok(Self { text: text.into(), shape })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every name matches.
    pub fn is_everything(&self) -> bool {
        self.shape == Shape::Everything
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        match self.shape {
            Shape::Everything => true,
            Shape::Exactly => *self.text == *name,
            Shape::Prefix => name.starts_with(&self.text[..self.text.len() - 1]),
            Shape::General => general(&self.text, name),
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The parts between stars, taken from the left: the first is tied to the start, each further one is found as
/// early as possible (which leaves the most for the rest, so no choice ever has to be taken back), the last
/// one is tied to the end.
fn general(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return prefix(pattern, name) == Some(name.len());
    };
    let Some(start) = prefix(first, name) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let mut left = &name[start..];
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match find(part, left) {
            Some(end) => left = &left[end..],
            None => return false,
        }
    }
    suffix(last, left)
}

/// How many bytes of `name` the part covers when it is laid on its start.
fn prefix(part: &str, name: &str) -> Option<usize> {
    let mut characters = name.chars();
    for wanted in part.chars() {
        let found = characters.next()?;
        if wanted != '?' && wanted != found {
            return None;
        }
    }
    Some(name.len() - characters.as_str().len())
}

fn suffix(part: &str, name: &str) -> bool {
    let mut characters = name.chars().rev();
    part.chars().rev().all(|wanted| characters.next().is_some_and(|found| wanted == '?' || wanted == found))
}

/// Where the first occurrence of the part ends. Without `?` this is a plain search, linear in the name.
fn find(part: &str, name: &str) -> Option<usize> {
    if !part.contains('?') {
        return name.find(part).map(|start| start + part.len());
    }
    name.char_indices().find_map(|(start, _)| prefix(part, &name[start..]).map(|length| start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_match() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("*", &["", "a", "ä/b c"], &[]),
            ("**", &["", "abc"], &[]),
            ("read", &["read"], &["Read", "reads", "rea", ""]),
            ("read_*", &["read_", "read_file"], &["read", "xread_file", "READ_x"]),
            ("*_file", &["_file", "read_file", "a_file_file"], &["file", "read_files"]),
            ("*delete*", &["delete", "xdelete", "deletex", "undelete_all"], &["delet", "dele_te"]),
            ("?", &["a", "ä", "\u{1F600}"], &["", "ab"]),
            ("a?c", &["abc", "aäc"], &["ac", "abbc", "abcd"]),
            ("?*", &["a", "ab"], &[""]),
            ("*?", &["a", "ab"], &[""]),
            ("a*b*c", &["abc", "aXbYc", "abcbc", "abbcc"], &["ac", "abcd", "xabc", "acb"]),
            ("a*b?d*e", &["abcde", "abbxde", "a--bXd--e"], &["abde", "abcd"]),
            ("aba*aba", &["abaaba", "ababaaba"], &["aba", "ababa"]),
            ("*ab*ba*", &["abba", "xabxbax"], &["aba", "baab"]),
            ("[a-z]*", &["[a-z]x"], &["abc"]),
        ];
        for (pattern, good, bad) in table {
            let glob = Glob::new(pattern).unwrap();
            for name in *good {
                assert!(glob.matches(name), "{pattern} should match {name:?}");
            }
            for name in *bad {
                assert!(!glob.matches(name), "{pattern} should not match {name:?}");
            }
        }
    }

    /// The definition of a glob, exponential on purpose, against the matcher for every short pattern and name.
    #[test]
    fn agrees_with_the_definition() {
        fn defined(pattern: &[u8], name: &[u8]) -> bool {
            match (pattern.split_first(), name.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| defined(rest, &name[skip..])),
                (Some((b'?', rest)), Some((_, left))) => defined(rest, left),
                (Some((wanted, rest)), Some((found, left))) => wanted == found && defined(rest, left),
                _ => false,
            }
        }
        fn words(letters: &[char], longest: u32) -> Vec<String> {
            let mut all = vec![String::new()];
            for length in 1..=longest {
                let shorter: Vec<String> =
                    all.iter().filter(|word| word.len() == length as usize - 1).cloned().collect();
                all.extend(
                    shorter
                        .iter()
                        .flat_map(|word| letters.iter().map(move |letter| format!("{word}{letter}"))),
                );
            }
            all
        }
        let names = words(&['a', 'b'], 5);
        for pattern in words(&['a', 'b', '*', '?'], 5).iter().filter(|pattern| !pattern.is_empty()) {
            let glob = Glob::new(pattern).unwrap();
            for name in &names {
                assert_eq!(
                    glob.matches(name),
                    defined(pattern.as_bytes(), name.as_bytes()),
                    "{pattern} on {name:?}"
                );
            }
        }
    }

    /// A matcher that backtracks over stars would need longer than the universe has been there.
    #[test]
    fn many_stars_on_a_long_name_end() {
        let glob = Glob::new(&format!("{}b", "*a".repeat(120))).unwrap();
        assert!(!glob.matches(&"a".repeat(1 << 20)));
    }

    #[test]
    fn useless_patterns_are_refused() {
        assert_eq!(Glob::new(""), Err(InvalidGlob::Empty));
        assert_eq!(Glob::new(&"x".repeat(257)), Err(InvalidGlob::TooLong));
        assert!(Glob::new(&"x".repeat(256)).is_ok());
    }
}

//! Where a name stands in a template: between the delimiters, outside of texts and comments, as a word of its own that is neither
//! part of another name nor the name of an attribute, a filter or an argument.

use std::ops::Range;

/// The first place of a name; bytes of the text.
pub(super) fn find(text: &str, name: &str) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(open) = text[at..].find(['#']).map(|found| at + found) {
        let close = match text.as_bytes().get(open + 1) {
            Some(b'{') => "}#",
            Some(b'%') => "%#",
            Some(b'|') => "|#",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let from = open + 2;
        let to = text[from..].find(close).map_or(text.len(), |length| from + length);
        if close != "|#"
            && let Some(found) = in_expression(&text[from..to], name)
        {
            return Some(from + found.start..from + found.end);
        }
        at = (to + close.len()).min(text.len());
    }
    None
}

/// The first place of a name in an expression.
pub(super) fn in_expression(text: &str, name: &str) -> Option<Range<usize>> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, _) if text[at..].starts_with(name) => {
                let (before, after) = (&text[..at], text[at + name.len()..].trim_start());
                let whole = !before.ends_with(part) && !text[at + name.len()..].starts_with(part);
                let argument = after.starts_with('=') && !after.starts_with("==");
                if whole && !argument && !before.trim_end().ends_with(['.', '|']) {
                    return Some(at..at + name.len());
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_between_delimiters() {
        for (text, at) in [
            ("nam: #{ nam | q }#", Some(8)),
            ("#| nam |##{ name.nam | nam }##{ nam }#", Some(32)),
            (r##"#{ "nam\" nam" ~ nam }#"##, Some(17)),
            ("# nam\n#% if x_nam or nam == 1 %#", Some(21)),
            ("#{ f(nam=1) }#", None),
            ("#{ ä | f(nam) }#", Some(10)),
            ("#{ nam", Some(3)),
            ("#", None),
        ] {
            assert_eq!(find(text, "nam").map(|found| found.start), at, "{text}");
        }
    }
}

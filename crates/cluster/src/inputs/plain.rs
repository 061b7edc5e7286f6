//! What a value without quotes means to readers of YAML 1.1 and of YAML 1.2, where they differ, and where the number that both
//! read does not print as it was written. Pure text; which settings mind is the reader's business.

/// What is wrong with leaving the quotes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    /// Readers of the two versions read different values; the words say what those of 1.1 read.
    Differs(&'static str),
    /// Every reader takes it for something that does not print as it was written.
    Changes(&'static str),
}

/// The trap that a plain scalar is, if it is one.
pub(crate) fn trap(text: &str) -> Option<Trap> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let lower = text.to_ascii_lowercase();
    let cased = text == lower || text == text.to_ascii_uppercase() || text.get(1..) == lower.get(1..);
    if cased && matches!(lower.as_str(), "yes" | "no" | "on" | "off") {
        return Some(Trap::Differs("a truth value"));
    }
    if digits(body) {
        return (body.len() > 1 && body.starts_with('0'))
            .then_some(Trap::Differs("a number in base 8, or a text"));
    }
    if body.contains(':') {
        return sexagesimal(body).then_some(Trap::Differs("a number in base 60"));
    }
    let spaced = |text: &str| {
        let parts = text.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b'.');
        parts && text.contains('_') && text.matches('.').count() < 2
    };
    if body.starts_with(|c: char| c.is_ascii_digit()) && spaced(body) {
        return Some(Trap::Differs("a number without its underscores"));
    }
    let radix = |prefix: &str, radix: u32| {
        body.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    if radix("0b", 2) || radix("0o", 8) {
        return Some(Trap::Differs("another number, or a text"));
    }
    if radix("0x", 16) {
        return Some(Trap::Changes("a number in base 16"));
    }
    if matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE") {
        return Some(Trap::Changes("a truth value"));
    }
    if date(text) {
        return Some(Trap::Changes("a date, where they read YAML 1.1"));
    }
    float(body)
}

/// Digits with colons between them, of which every part but the first is below 60.
fn sexagesimal(body: &str) -> bool {
    let body = body.split('.').next().unwrap_or_default();
    let mut parts = body.split(':');
    let first = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    first && parts.all(|part| part.len() <= 2 && part.parse::<u8>().is_ok_and(|number| number < 60))
}

/// `2025-01-31`.
fn date(text: &str) -> bool {
    let shape: Vec<usize> = text.split('-').map(str::len).collect();
    shape == [4, 2, 2] && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

fn float(body: &str) -> Option<Trap> {
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !body.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let number: f64 = body.parse().ok()?;
    if body.contains(['e', 'E']) {
        // The exponent of 1.1 needs a point before it and a sign.
        let old = body.contains('.') && body.contains(['+', '-']);
        return Some(if old { Trap::Changes("a number") } else { Trap::Differs("a text") });
    }
    (number.to_string() != body).then_some(Trap::Changes("a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_take_for_something_else() {
        for (differs, texts) in [
            (
                Some(true),
                "on Off YES no 0123 0891 12:34:56 10:20:30:40:50:10 1_000 0b11 0o17 1e3 1.5e3 190:20:30.15",
            ),
            (Some(false), "7.10 1.0 0x1F true FALSE 2025-04-01 1.5e+3 .50"),
            (
                None,
                "main oN 16 0 7.2 26.4.7 10.0.0.1 10.0.0.0/8 5a:20:00:00:0a:01 a:b 1:99 99:61 v1 - 10Gi 500m 1.2.3_4 2025-1-1",
            ),
        ] {
            for text in texts.split(' ') {
                let found = trap(text).map(|trap| matches!(trap, Trap::Differs(_)));
                assert_eq!(found, differs, "{text}");
            }
        }
    }
}

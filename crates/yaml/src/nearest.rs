//! The word that a mistyped one most probably meant. A guess for a hint, never for a decision.

/// The candidate that a mistyped or half-remembered word most probably meant, or nothing where none is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

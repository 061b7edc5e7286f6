//! What looks like a secret, by its name or by its shape, and where it goes: a file of its own, which the configuration refers to.
//! Rather one too many than one too few: a file in place of a harmless value does no harm.

use super::{SecretFile, foreign::Draft};
use portreeve_model::ServerName;
use std::path::Path;

/// Parts of names of what is secret.
const NAMES: [&str; 15] = [
    "token",
    "secret",
    "passw",
    "pwd",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "private",
    "cookie",
    "auth",
    "session",
    "dsn",
    "_key",
    "-key",
];
/// What tokens of well-known services begin with.
const SHAPES: [&str; 16] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "eyJ",
    "ya29.",
    "Basic ",
];
/// A run of letters and digits this long is no word.
const LONG: usize = 24;

/// A shorter value may be part of anything.
const SHORTEST: usize = 8;

/// Moves every secret of a server into files.
pub(super) fn take_out(
    server: &ServerName,
    draft: &mut Draft,
    directory: &Path,
    files: &mut Vec<SecretFile>,
) {
    let mut hidden = Vec::new();
    let hide = |name: &str, value: &mut String, hidden: &mut Vec<SecretFile>| {
        let fits = |one: char| if one.is_ascii_alphanumeric() { one } else { '_' };
        let name: String = name.chars().map(fits).collect();
        let path = directory.join(format!("{server}_{}", name.trim_matches('_')));
        let reference = format!("${{file:{}}}", path.display());
        // What was escaped for the configuration is itself again in a file of its own.
        let plain = std::mem::replace(value, reference).replace("$${", "${");
        hidden.push(SecretFile { path, value: plain });
    };
    for (name, value) in &mut draft.env {
        if is_secret(name, value) {
            hide(name, value, &mut hidden);
        }
    }
    for (name, value) in &mut draft.headers {
        if is_secret(name, value) {
            hide(name, value, &mut hidden);
        }
    }
    if let Some(value) = draft.bearer.as_mut().filter(|value| !is_reference(value)) {
        hide("bearer", value, &mut hidden);
    }
    if let Some(url) = draft.url.as_mut().filter(|url| url_has_secret(url)) {
        hide("url", url, &mut hidden);
    }
    // What is secret in one place is secret in every other.
    let known: Vec<String> =
        hidden.iter().map(|file| file.value.clone()).filter(|value| value.len() >= SHORTEST).collect();
    let repeats = |value: &str| known.iter().any(|known| value.contains(known.as_str()));
    let mut before = String::new();
    for (place, arg) in draft.args.iter_mut().enumerate() {
        let (flag, value) = match arg.split_once('=').filter(|(flag, _)| flag.starts_with('-')) {
            Some((flag, value)) => (flag.to_owned(), value.to_owned()),
            None => (std::mem::take(&mut before), arg.clone()),
        };
        let named = flag.starts_with('-') && is_secret(&flag, &value);
        if !value.starts_with('-') && (named || shaped(&value) || url_has_secret(&value) || repeats(&value)) {
            let name = if flag.is_empty() { format!("arg{place}") } else { flag.clone() };
            let whole = value == *arg;
            let mut reference = value;
            hide(&name, &mut reference, &mut hidden);
            *arg = if whole { reference } else { format!("{flag}={reference}") };
        }
        before = arg.clone();
    }
    files.append(&mut hidden);
}

fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_lowercase();
    let named = NAMES.iter().any(|part| name.contains(part));
    let trivial = value.is_empty() || matches!(value, "true" | "false" | "0" | "1");
    !trivial && !is_reference(value) && (named || shaped(value) || url_has_secret(value))
}

/// Whether it is nothing but references to somewhere else.
fn is_reference(value: &str) -> bool {
    value.starts_with("${") && value.ends_with('}')
}

/// Whether it has the shape of a token.
fn shaped(value: &str) -> bool {
    let value = value.strip_prefix("Bearer ").unwrap_or(value);
    if SHAPES.iter().any(|shape| value.starts_with(shape)) && value.len() > 12 {
        return true;
    }
    let token = value.len() >= LONG
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'+'));
    token
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether an address has a password, or a secret among its parameters or in its path.
fn url_has_secret(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = before.split('/').next().unwrap_or_default();
    let password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let parameter =
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|(name, value)| is_secret(name, value));
    password || parameter || before.split('/').skip(1).any(shaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_settings() {
        for (name, value, secret) in [
            ("GITHUB_TOKEN", "abc", true),
            ("API_KEY", "x", true),
            ("Authorization", "Basic dXNlcjpwYXNz", true),
            ("DATABASE", "postgresql://u:p@h/db", true),
            ("NOTE", "ghp_0123456789abcdef", true),
            ("VALUE", "a1b2c3d4e5f6a1b2c3d4e5f6a1b2", true),
            ("GITHUB_TOKEN", "${env:GITHUB_TOKEN}", false),
            ("LOG_LEVEL", "debug", false),
            ("AUTH_ENABLED", "true", false),
            ("URL", "https://example.com/a/long/path/without/secrets", false),
            ("HOME", "/srv/with/a/very/long/path/and/no/secret", false),
        ] {
            assert_eq!(is_secret(name, value), secret, "{name}={value}");
        }
    }
}

//! `${env:X}` and `${file:/path}` inside values, and `$${` for a literal `${`.
//! Pure: the environment and the files are behind [`Lookup`]. What a reference yields is never part of an error.

use std::path::{Path, PathBuf};

/// Where references are looked up. The program's own answers from the environment and the disk; tests have tables.
pub trait Lookup {
    /// The value of an environment variable, if it is set.
    fn env(&self, name: &str) -> Result<Option<String>, String>;
    /// The text of a file; an error is said in one phrase, such as "no such file".
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// Why a reference could not be resolved.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Which `${` of the text, counted from 0.
    pub(super) nth: usize,
    pub(super) what: String,
    pub(super) mend: Option<String>,
}

/// Whether the text has anything to resolve.
pub(super) fn present(text: &str) -> bool {
    text.contains("${")
}

/// The text with every reference replaced; all that are broken, if any is. `yielded` learns what each reference stands for.
pub(super) fn resolve(
    text: &str,
    base: &Path,
    lookup: &dyn Lookup,
    yielded: &mut Vec<String>,
) -> Result<String, Vec<Broken>> {
    let mut out = String::with_capacity(text.len());
    let mut broken = Vec::new();
    let mut rest = text;
    let mut nth = 0;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = &from[2..];
        } else {
            out.push_str(before);
            let (found, after) = one(&from[2..], base, lookup);
            match found {
                Ok(value) => {
                    out.push_str(&value);
                    yielded.push(value);
                }
                Err((what, mend)) => broken.push(Broken { nth, what, mend }),
            }
            rest = after;
        }
        nth += 1;
    }
    out.push_str(rest);
    if broken.is_empty() { Ok(out) } else { Err(broken) }
}

type Found = Result<String, (String, Option<String>)>;

/// One reference, from behind its `${`; also what follows it.
fn one<'a>(from: &'a str, base: &Path, lookup: &dyn Lookup) -> (Found, &'a str) {
    let Some(end) = from.find('}') else {
        let mend = Some("close it with `}`, or write `$${` for a literal `${`".to_owned());
        return (Err(("a reference is not closed".to_owned(), mend)), "");
    };
    let (inside, after) = (&from[..end], &from[end + 1..]);
    let found = match inside.split_once(':') {
        Some(("env", name)) => variable(name, lookup),
        Some(("file", path)) => file(path, base, lookup),
        _ => Err((
            format!("`${{{inside}}}` is not a reference"),
            Some("use `${env:NAME}` or `${file:/path}`, or write `$${` for a literal `${`".to_owned()),
        )),
    };
    (found, after)
}

fn variable(name: &str, lookup: &dyn Lookup) -> Found {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(plain) || name.as_bytes()[0].is_ascii_digit() {
        return Err((format!("`{name}` is not the name of an environment variable"), None));
    }
    match lookup.env(name) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err((
            format!("the environment variable {name} is not set"),
            Some(format!("set {name} where portreeve is started, or remove the reference")),
        )),
        Err(why) => Err((format!("the environment variable {name} cannot be used: {why}"), None)),
    }
}

fn file(path: &str, base: &Path, lookup: &dyn Lookup) -> Found {
    if path.is_empty() {
        return Err(("a file reference names no file".to_owned(), Some("write `${file:/path}`".to_owned())));
    }
    let full = absolute(path, base).map_err(|why| (why, None))?;
    match lookup.file(&full) {
        Ok(text) => Ok(trimmed(text)),
        Err(why) => Err((format!("cannot read {}: {why}", full.display()), None)),
    }
}

/// A path as written, seen from the directory of the configuration.
pub(super) fn absolute(path: &str, base: &Path) -> Result<PathBuf, String> {
    if path == "~" || path.starts_with("~/") {
        return Err(format!("`{path}`: `~` is not expanded here; write `${{env:HOME}}` or the whole path"));
    }
    Ok(base.join(path))
}

/// One newline at the end belongs to the editor, not to the value.
fn trimmed(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

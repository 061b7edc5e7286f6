//! Differences as people read them. Encrypted values are shown as what they are, never as noise.

use similar::TextDiff;

/// How many unchanged lines stand around a change.
const CONTEXT: usize = 3;

/// The difference between two versions of a file in the unified form; an absent version is empty.
pub fn unified(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    let (before, after) = (readable(old), readable(new));
    let name =
        |side: &str, there: bool| if there { format!("{side}/{path}") } else { "/dev/null".to_owned() };
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&name("a", old.is_some()), &name("b", new.is_some()))
        .to_string()
}

/// The text of a version, with a short mark for each encrypted value: equal values give equal marks.
fn readable(bytes: Option<&[u8]>) -> String {
    let text = String::from_utf8_lossy(bytes.unwrap_or_default());
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let sealed =
            line.find("ENC[AES256_GCM,").and_then(|start| Some((start, start + line[start..].find(']')?)));
        match sealed {
            Some((start, end)) => {
                let mark = super::manifest::digest(&line.as_bytes()[start..end]);
                out.push_str(&format!("{}ENC[{}]{}", &line[..start], &mark[..8], &line[end + 1..]));
            }
            None => out.push_str(line),
        }
    }
    out
}

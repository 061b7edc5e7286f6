//! Secrets in the open: no value of a secret may stand in a file that is not encrypted, in whatever writing.

use super::Notes;
use crate::{
    inputs::{File, Files},
    told::Spot,
    values::{Value, Values},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;

/// What a URL writes as it is (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A shorter one is found by chance.
const SHORTEST: usize = 6;

/// Looks for every secret in every file that stays readable.
pub(super) fn check(values: &Values, files: &Files, notes: &mut Notes<'_>) {
    let mut secrets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in values {
        if let Value::Secret(secret) = value {
            secrets.insert(format!("`{name}`"), writings(secret.expose()));
        }
    }
    for (file, text) in [File::Age, File::DeployKey, File::PushToken]
        .into_iter()
        .filter_map(|file| Some((file, files.get(file)?.text.expose())))
    {
        // The last line of an armoured key may be a few characters long; the others are not.
        let long = |line: &&str| !line.starts_with(['#', '-']) && line.len() >= 2 * SHORTEST;
        let lines = text.lines().map(str::trim).filter(long);
        secrets.insert(format!("what `{}` holds", file.name()), lines.flat_map(writings).collect());
    }
    let tree = notes.tree;
    for (path, file) in tree.iter().filter(|(path, _)| !path.contains(".sops.")) {
        let text = file.text.expose();
        for (name, writings) in &secrets {
            let Some(at) = writings.iter().find_map(|writing| text.find(writing.as_str())) else { continue };
            let what = format!("{name} stands in a file that is not encrypted");
            let mend = "move it into a `*.sops.yaml` file and refer to that Secret";
            notes.add("O-07", path, Spot::of(text, at..at), what, mend);
        }
    }
}

/// The ways in which a text may be written down; none of a text that is too short.
pub(crate) fn writings(text: &str) -> Vec<String> {
    if text.chars().count() < SHORTEST {
        return Vec::new();
    }
    let json = serde_json::Value::from(text).to_string();
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let url = utf8_percent_encode(text, RESERVED).to_string();
    let mut all =
        vec![text.to_owned(), json.trim_matches('"').to_owned(), text.replace('\'', "''"), hex, url];
    // What stands before it shifts the groups of base64; the characters at the seams are shared and left out.
    for shift in 0..3 {
        let shifted = [&[b' '; 3][..shift], text.as_bytes()].concat();
        let coded = STANDARD_NO_PAD.encode(shifted);
        let (from, to) = ([0, 2, 3][shift], coded.len().saturating_sub(2));
        all.extend(coded.get(from..to).filter(|part| part.len() >= SHORTEST).map(str::to_owned));
    }
    all.dedup();
    all
}

//! Whatever is changed in an encrypted file, it is refused: a byte of a value, a key's name, the order, the metadata.

use super::support::{data_only, everything, own_key, seal_with};
use crate::{Error, Format, Keys, Rule, Selector, open};

const TEXT: &str = "kind: Secret\nname: n\ndata:\n  first: aaaa\n  second: bbbb\n  list: [x, y]\n";

fn sealed(rule: &Rule) -> (Keys, String) {
    let (keys, recipients) = own_key();
    (keys, seal_with(TEXT, rule, &recipients).unwrap())
}

/// Every character of the values, their names and the metadata is exchanged for another one.
#[test]
fn no_byte_can_be_changed() {
    for rule in [everything(), data_only()] {
        let (keys, text) = sealed(&rule);
        let recipient = keys.recipients()[0].to_string();
        let reference = super::support::flat(&open(&text, Format::Yaml, &keys).unwrap().documents);
        let mut accepted = Vec::new();
        for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
            let mut changed = text.clone().into_bytes();
            changed[at] = if byte == b'Q' { b'R' } else { b'Q' };
            let changed = String::from_utf8(changed).unwrap();
            if let Ok(opened) = open(&changed, Format::Yaml, &keys)
                && (super::support::flat(&opened.documents) != reference
                    || *opened.rule() != rule
                    || opened.recipients().next() != Some(recipient.as_str()))
            {
                let line = text[..at].matches('\n').count();
                accepted.push(text.lines().nth(line).unwrap().chars().take(20).collect::<String>());
            }
        }
        accepted.dedup();
        // With the code over encrypted values alone, the others are free by the rule's own word. A rule that selects the same
        // values is the same rule to the format; whoever writes the file again goes by the rule of `.sops.yaml`.
        let free: &[&str] = match rule.mac_only_encrypted {
            true => &["kind: Secret", "name: n", "    encrypted_regex:"],
            false => &["    unencrypted_suff"],
        };
        assert!(accepted.iter().all(|line| free.contains(&line.as_str())), "{rule:?}: {accepted:?}");
    }
}

#[test]
fn values_cannot_be_moved_removed_or_added() {
    let (keys, text) = sealed(&data_only());
    let line = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    let (first, second) = (line("first"), line("second"));
    let swapped = {
        let value = |line: &str| line.split_once(": ").unwrap().1.to_owned();
        text.replace(&value(&first), "§")
            .replace(&value(&second), &value(&first))
            .replace('§', &value(&second))
    };
    let tampered = Error::Tampered { path: "data.first".to_owned() };
    assert_eq!(open(&swapped, Format::Yaml, &keys).unwrap_err(), tampered);
    for (what, changed) in [
        ("removed", text.replace(&format!("{first}\n"), "")),
        ("order", text.replace(&first, "§").replace(&second, &first).replace('§', &second)),
        ("emptied", text.replace(&first, "  first: \"\"")),
    ] {
        assert_eq!(open(&changed, Format::Yaml, &keys).unwrap_err(), Error::Mac, "{what}");
    }
    let added = text.replace(&first, &format!("  zero: plain\n{first}"));
    assert_eq!(
        open(&added, Format::Yaml, &keys).unwrap_err(),
        Error::Tampered { path: "data.zero".to_owned() }
    );
}

#[test]
fn metadata_is_needed_whole() {
    let (keys, text) = sealed(&data_only());
    let without = |name: &str| {
        let kept = text.lines().filter(|line| !line.trim_start().starts_with(name));
        kept.map(|line| format!("{line}\n")).collect::<String>()
    };
    let said = |text: &str| open(text, Format::Yaml, &keys).unwrap_err().to_string();
    assert_eq!(said(TEXT), "the `sops` block is missing: this file is not encrypted");
    assert_eq!(said(&without("mac:")), "the `sops` block has no `mac`");
    assert_eq!(said(&without("lastmodified")), "the `sops` block has no `lastmodified`");
    assert_eq!(said(&without("mac_only_encrypted")), Error::Mac.to_string());
    let later = text.replace("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z");
    assert_eq!(said(&later), Error::Mac.to_string());
    let two = text.replace("    encrypted_regex", "    encrypted_suffix: x\n    encrypted_regex");
    assert_eq!(said(&two), "the `sops` block has more than one rule that says which values are encrypted");
    let pgp = text.replace("    age:\n", "    pgp:\n        - fp: ABC\n    age:\n");
    assert_eq!(
        said(&pgp),
        "the data key is wrapped with pgp; only age recipients in one group are understood"
    );
}

#[test]
fn every_selector_encrypts_what_it_says() {
    let text = "# top\na_clear: one\nb_secret: two\n# keep: open\nc: three\n# hide: this\n# and this\nd:\n  e: four\n  f_clear: five\n";
    for (selector, hidden) in [
        (Selector::Everything, "one two three four five"),
        (Selector::UnencryptedSuffix("_clear".into()), "two three four"),
        (Selector::EncryptedSuffix("_secret".into()), "two"),
        (Selector::UnencryptedRegex("^(d|b_.*)$".into()), "one three"),
        (Selector::EncryptedRegex("^d$".into()), "four five"),
        (Selector::UnencryptedCommentRegex("keep:".into()), "one two four five"),
        (Selector::EncryptedCommentRegex("hide:".into()), "four five"),
    ] {
        let rule = Rule { selector, mac_only_encrypted: false };
        let (keys, recipients) = own_key();
        let sealed = seal_with(text, &rule, &recipients).unwrap();
        let words = ["one", "two", "three", "four", "five"];
        let body = sealed.split("\nsops:").next().unwrap();
        let gone: Vec<&str> = words.into_iter().filter(|word| !body.contains(&format!(": {word}"))).collect();
        assert_eq!(gone.join(" "), hidden, "{rule:?}");
        open(&sealed, Format::Yaml, &keys).unwrap_or_else(|error| panic!("{rule:?}: {error}"));
    }
}

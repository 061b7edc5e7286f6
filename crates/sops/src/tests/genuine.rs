//! Files that the real program wrote read to the values that it reads itself. They lie beside the repository and are only
//! read; where they are missing, the tests say so and do nothing.

use super::support::{fixture, fixtures, flat};
use crate::{Error, Format, Keys, open};

/// Each file, and the key that opens it.
const FILES: [(&str, &str); 10] = [
    ("secret.regex.sops.yaml", "age.key"),
    ("secret.regex-mac.sops.yaml", "age.key"),
    ("secret.two-keys.sops.yaml", "age.key"),
    ("secret.full.sops.yaml", "age.key"),
    ("scalars.full.sops.yaml", "age.key"),
    ("talsecret.full.sops.yaml", "age.key"),
    ("scalars.unencrypted-suffix.sops.yaml", "age.key"),
    ("multi.regex.sops.yaml", "age.key"),
    ("values.full.sops.json", "age.key"),
    ("app.sops.env", "age.key"),
];

fn keys(name: &str) -> Keys {
    Keys::parse(&fixture(name)).unwrap()
}

#[test]
fn every_genuine_file_reads_to_the_values_of_the_real_program() {
    let Some(directory) = fixtures() else { return };
    let mut there: Vec<String> = std::fs::read_dir(directory.join("genuine"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    let mut named: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(there, named, "the table names every file");
    for (name, key) in FILES {
        let text = fixture(&format!("genuine/{name}"));
        let opened =
            open(&text, Format::of(name), &keys(key)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let decrypted = fixture(&format!("decrypted/{name}"));
        assert_eq!(flat(&opened.documents), super::support::plain(&decrypted, Format::of(name)), "{name}");
    }
}

#[test]
fn a_file_for_two_opens_with_either_key_and_with_no_other() {
    if fixtures().is_none() {
        return;
    }
    let both = fixture("genuine/secret.two-keys.sops.yaml");
    let opened = |key: &str, text: &str| open(text, Format::Yaml, &keys(key));
    assert_eq!(
        flat(&opened("age.key", &both).unwrap().documents),
        flat(&opened("age2.key", &both).unwrap().documents)
    );
    let one = fixture("genuine/secret.regex.sops.yaml");
    let refused = opened("age2.key", &one).unwrap_err();
    assert!(matches!(&refused, Error::NoKey { recipients } if recipients.starts_with("age1")), "{refused}");
}

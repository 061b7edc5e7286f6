//! Files of SOPS: whatever the text, reading it is an answer or an error, in every form; and what we seal opens again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_sops::{Format, Keys, Recipient, Rule, Seal, Selector, generate, open, seal};
use std::sync::OnceLock;

fn key() -> &'static (Keys, Recipient) {
    static KEY: OnceLock<(Keys, Recipient)> = OnceLock::new();
    KEY.get_or_init(|| {
        let (secret, recipient) = generate();
        (Keys::parse(secret.expose()).unwrap(), recipient)
    })
}

fuzz_target!(|text: &str| {
    let (keys, recipient) = key();
    for format in [Format::Yaml, Format::Json, Format::Dotenv] {
        assert!(open(text, format, keys).is_err(), "nobody sealed this for that key");
    }
    let rule = Rule { selector: Selector::Everything, mac_only_encrypted: false };
    let mut how = Seal {
        rule: &rule,
        recipients: std::slice::from_ref(recipient),
        now: "2026-01-01T00:00:00Z",
        random: &mut |buffer| {
            buffer.fill(7);
            Ok(())
        },
    };
    if let Ok(sealed) = seal(text, &mut how, None) {
        open(&sealed, Format::Yaml, keys).unwrap_or_else(|error| panic!("{error}\n{sealed}"));
    }
});

//! Sealed values: nothing opens but what was sealed, for whom and for what it was sealed. The input is a value that somebody
//! made up, and a mask over a real one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_model::{PrincipalId, Secret, Timestamp};
use portreeve_seal::{Bound, KeyRing, Purpose};
use std::sync::OnceLock;

/// Seconds; before and after the end of what is sealed here.
const NOW: Timestamp = Timestamp(1_000);
const END: Timestamp = Timestamp(2_000);

fn ring() -> &'static KeyRing {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    RING.get_or_init(|| KeyRing::from_secrets(&[Secret::new("k".repeat(32))]).unwrap())
}

fuzz_target!(|data: &[u8]| {
    let principal = PrincipalId::new("somebody");
    let bound = Bound { purpose: Purpose::Cursor, principal: &principal, tenant: None, server: None };
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(ring().open(&bound, text, NOW).is_err(), "nobody sealed this");
    }
    let sealed = ring().seal_bytes(&bound, data, END);
    assert_eq!(ring().open_bytes(&bound, &sealed, NOW).as_deref(), Ok(data));
    let other = Bound { purpose: Purpose::Session, ..bound };
    assert!(ring().open_bytes(&other, &sealed, NOW).is_err(), "it is for something else");
    let masked: Vec<u8> =
        sealed.iter().enumerate().map(|(at, byte)| byte ^ data.get(at).copied().unwrap_or(0)).collect();
    assert_eq!(ring().open_bytes(&bound, &masked, NOW).is_ok(), masked == sealed);
});

//! What the tests of payloads share: reading JSON and rewriting it for a receiver.

mod asks;
mod errors;
mod looks;
mod results;

use super::*;
use crate::{Era, Method, Version, service::AskKind};

fn raw(text: &str) -> RawJson {
    RawJson::from_text(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The same values in the same order of elements; the order of members is free.
#[track_caller]
fn same(got: &RawJson, wanted: &str, about: &str) {
    assert!(RawJson::from_text(got.as_str()).is_ok(), "not JSON: {got:?}");
    let plain: serde_json::Value = serde_json::from_str(wanted).unwrap();
    assert_eq!(got.to_value(), plain, "{about}");
}

/// Not only equal: the very bytes, not a copy of them.
#[track_caller]
fn untouched(got: &RawJson, from: &RawJson) {
    assert_eq!(got.as_bytes().as_ptr(), from.as_bytes().as_ptr(), "{from:?} became {got:?}");
    assert_eq!(got, from);
}

const OLDEST: Version = Version::V2024_11_05;
const AUDIO: Version = Version::V2025_03_26;
const FORMS: Version = Version::V2025_06_18;
const RICH: Version = Version::V2025_11_25;
const MODERN: Version = Version::V2026_07_28;

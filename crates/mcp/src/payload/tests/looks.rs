//! The quick looks that spare large results a scan. What they decide cannot be told from a result, only its cost can, so
//! that they are asked themselves: always "yes" would be right, and slow.

use super::*;
use crate::payload::{content, result};

/// More than [`SMALL`] bytes that hold `inner` and nothing else of interest.
fn large(inner: &str) -> RawJson {
    raw(&format!(r#"{{"content":[{inner}],"pad":"{}"}}"#, "x".repeat(SMALL)))
}

#[test]
fn large_results_without_any_of_the_keys_are_not_scanned() {
    let of_size = |size: usize| raw(&format!(r#"{{"a":"{}"}}"#, "x".repeat(size - 8)));
    assert!(may_have(&of_size(SMALL - 1), &["b"]), "a scan costs less than the search");
    assert!(!may_have(&of_size(SMALL), &["b"]));
    assert!(!may_have(&of_size(SMALL + 1), &["b"]));
    assert!(may_have(&of_size(SMALL), &["b", "x"]));
    assert!(may_have(&large(r#"{"\u0062":1}"#), &["b"]), "a key may be written with escapes");
    assert!(!may_have(&large(r#""\u001f\u0080""#), &["b"]), "no key that matters has such characters");
}

#[test]
fn a_result_type_at_either_end_is_found_without_a_scan() {
    for (text, found) in [
        (r#"{"resultType":"complete","a":1}"#, true),
        (r#"{"a":1,"resultType":"complete"}"#, true),
        (r#"{"a":1,"resultType":"complete","b":1}"#, false),
        (r#"{"a":1}"#, false),
    ] {
        assert_eq!(result::has_type_where_usual(&raw(text)), found, "{text}");
    }
}

#[test]
fn blocks_are_looked_for_only_where_a_client_does_not_know_them() {
    let (link, audio) = (r#"{"type":"resource_link"}"#, r#"{"type":"audio"}"#);
    for (block, client, found) in [
        (link, OLDEST, true),
        (link, AUDIO, true),
        (link, FORMS, false),
        (audio, OLDEST, true),
        (audio, AUDIO, false),
        (r#"{"type":"text"}"#, OLDEST, false),
    ] {
        assert_eq!(content::may_change(&large(block), client), found, "{block} for {client}");
    }
}

#[test]
fn large_results_without_anything_new_pass_to_legacy_clients_without_a_scan() {
    let audio = r#"{"type":"audio"}"#;
    let object = r#"{"structuredContent": {}}"#;
    for (method, inner, client, found) in [
        (Method::ToolsCall, "1", OLDEST, false),
        (Method::ToolsCall, audio, OLDEST, true),
        (Method::ToolsCall, audio, AUDIO, false),
        (Method::ToolsCall, object, AUDIO, true),
        (Method::ToolsCall, object, RICH, false),
        (Method::ToolsCall, r#"{"structuredContent":[]}"#, RICH, true),
        (Method::ToolsCall, r#"[{"structuredContent":{}},{"structuredContent":1}]"#, RICH, true),
        (Method::ToolsCall, r#"{"\u0073tructuredContent":[]}"#, RICH, true),
        (Method::PromptsGet, audio, OLDEST, true),
        (Method::PromptsGet, object, OLDEST, false),
        (Method::ResourcesRead, audio, OLDEST, false),
        (Method::ResourcesRead, r#"{"ttlMs":1}"#, OLDEST, true),
        (Method::ResourcesRead, r#"{"_meta":{}}"#, OLDEST, true),
    ] {
        let got = result::may_be_downgraded(&method, &large(inner), client);
        assert_eq!(got, found, "{method:?} {inner} for {client}");
    }
}

//! The scanner against what JSON allows and forbids, and edits that keep every other byte.

use super::*;

fn parse(text: &str) -> Result<RawJson, JsonError> {
    RawJson::parse(&Bytes::copy_from_slice(text.as_bytes()), 8)
}

#[test]
fn accepts_exactly_json() {
    let good = [
        "null",
        " true ",
        "false",
        "0",
        "-0",
        "12.5e+3",
        "1E9",
        r#""""#,
        r#""a\"\\\/\b\f\n\r\t\u00e9""#,
        "[]",
        "[ ]",
        "{}",
        "{ }",
        r#"{"a":1}"#,
        r#" {"a" : [1 , {"b":null}] , "c":"d"} "#,
        "[[[[[[[[]]]]]]]]",
        r#"[{"a":{}},[],"x"]"#,
    ];
    for text in good {
        assert!(parse(text).is_ok(), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
    }
    let bad = [
        "",
        " ",
        "nul",
        "tru e",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "\"",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{1:2}",
        "1 2",
        "[1}",
        "{\"a\":1]",
        "nullx",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "NaN",
        "'a'",
    ];
    for text in bad {
        assert!(matches!(parse(text), Err(JsonError::Syntax(_))), "{text}: {:?}", parse(text));
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
    }
}

#[test]
fn depth_and_encoding_are_bounded() {
    assert!(matches!(parse("[[[[[[[[[]]]]]]]]]"), Err(JsonError::Depth(8))));
    assert!(matches!(parse(r#"{"a":[[[[[[[[1]]]]]]]]}"#), Err(JsonError::Depth(_))));
    assert_eq!(RawJson::parse(&Bytes::from_static(b"\"\xff\""), 8), Err(JsonError::Utf8(1)));
    let deep = "[".repeat(100_000);
    assert!(matches!(RawJson::from_text(&deep), Err(JsonError::Depth(128))));
}

#[test]
fn members_keep_order_bytes_and_refuse_duplicates() {
    let raw = parse(r#"{ "b" : {"x": 1.0} , "a":"\u0041", "\u0063":[1 ,2] }"#).unwrap();
    let members = raw.members().unwrap();
    let seen: Vec<_> = members.iter().map(|m| (m.key.as_str(), m.value.as_str())).collect();
    assert_eq!(seen, [("b", r#"{"x": 1.0}"#), ("a", r#""\u0041""#), ("c", "[1 ,2]")]);
    assert_eq!(members[1].value.string_value().as_deref(), Some("A"));
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#] {
        assert!(matches!(parse(text).unwrap().members(), Err(JsonError::DuplicateKey(_))), "{text}");
    }
}

#[test]
fn edits_are_splices() {
    let raw = parse(r#"{"a":1,"b": {"c" :2},"d":3}"#).unwrap();
    let edited = raw.with(&["a"], &[("d", &RawJson::NULL), ("e", &RawJson::EMPTY_OBJECT)]);
    assert_eq!(edited.as_str(), r#"{"b":{"c" :2},"d":null,"e":{}}"#);
    assert_eq!(RawJson::EMPTY_OBJECT.with(&[], &[("k\"", &RawJson::NULL)]).as_str(), r#"{"k\"":null}"#);
    assert_eq!(parse("[1, [2],{}]").unwrap().elements().unwrap().len(), 3);
    assert_eq!(raw.get("b").unwrap().as_str(), r#"{"c" :2}"#);
    assert!(raw.get("x").is_none());
    let twice = parse(r#"{"a":1,"b":2,"a":3,"d":4}"#).unwrap();
    let seen = twice.get_all(["d", "a", "x"]).map(|value| value.map(|value| value.as_str().to_owned()));
    assert_eq!(seen, [Some("4".to_owned()), Some("1".to_owned()), None]);
    assert_eq!(RawJson::array(&twice.get_all(["a", "b"]).map(Option::unwrap)).as_str(), "[1,2]");
    assert_eq!(RawJson::array([]).as_str(), "[]");
}

#[test]
fn strings_end_where_they_end_whatever_stands_before() {
    for length in 0..40 {
        for (special, good) in [
            ("\\n", true),
            ("\\\"", true),
            ("é", true),
            ("\u{1f}", false),
            ("\u{7f}", true),
            ("\u{80}", true),
            (" ", true),
        ] {
            let text = format!("\"{}{special}{}\"", "x".repeat(length), "y".repeat(length % 11));
            assert_eq!(parse(&text).is_ok(), good, "{text:?}");
            assert_eq!(serde_json::from_str::<String>(&text).is_ok(), good, "{text:?}");
        }
        assert!(parse(&format!("\"{}", "x".repeat(length))).is_err());
    }
}

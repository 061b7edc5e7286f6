//! Header rules as tables: values that pass and come back, and values that are refused, with the reason.

use super::*;
use crate::annotation;

fn params(text: &str) -> Params {
    Params::parse(Some(&RawJson::from_text(text).unwrap())).unwrap()
}

type Checked = Result<(), HeaderFault>;

fn fault(header: &'static str, problem: Problem) -> Checked {
    Err(HeaderFault::new(header, problem))
}

#[test]
fn check_024_values_that_a_header_cannot_hold_are_encoded() {
    let rows = [
        ("plain", "plain"),
        ("with inner blank", "with inner blank"),
        ("", ""),
        ("~!@#$%^&*()=?", "~!@#$%^&*()=?"),
        ("=?base64?", "=?base64?"),
        ("lone end?=", "lone end?="),
        ("=?BASE64?QQ==?=", "=?BASE64?QQ==?="),
        ("=?base64?QQ==?=", "=?base64?PT9iYXNlNjQ/UVE9PT89?="),
        ("=?base64?=", "=?base64?PT9iYXNlNjQ/PQ==?="),
        (" padded", "=?base64?IHBhZGRlZA==?="),
        ("padded ", "=?base64?cGFkZGVkIA==?="),
        ("a\tb", "=?base64?YQli?="),
        ("a\r\nX: y", "=?base64?YQ0KWDogeQ==?="),
        ("nul\0", "=?base64?bnVsAA==?="),
        ("日本", "=?base64?5pel5pys?="),
        ("\u{7f}", "=?base64?fw==?="),
    ];
    for (text, wanted) in rows {
        let encoded = encode_value(text);
        assert_eq!(encoded, wanted, "{text:?}");
        assert_eq!(matches!(encoded, Cow::Borrowed(_)), text == wanted, "{text:?}");
        assert_eq!(decode_value(encoded.as_bytes()).unwrap(), text, "{text:?}");
    }
}

#[test]
fn check_012_013_014_only_a_right_sentinel_is_decoded() {
    let good: [(&[u8], &str); 10] = [
        (b"plain", "plain"),
        (b"  \tpadded \t", "padded"),
        (b"a\tb", "a\tb"),
        (b"=?base64?SGVsbG8=?=", "Hello"),
        (b" =?base64?SGVsbG8=?= ", "Hello"),
        (b"=?base64??=", ""),
        (b"=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?="),
        (b"=?Base64?!?=", "=?Base64?!?="),
        (b"=?base64?SGVsbG8=", "=?base64?SGVsbG8="),
        (b"SGVsbG8=?=", "SGVsbG8=?="),
    ];
    for (raw, wanted) in good {
        assert_eq!(decode_value(raw).unwrap(), wanted, "{raw:?}");
    }
    let bad: [(&[u8], Problem); 8] = [
        (b"=?base64?SGVsbG8?=", Problem::Base64),
        (b"=?base64?SGVs!G8=?=", Problem::Base64),
        (b"=?base64?SGVs bG8=?=", Problem::Base64),
        (b"=?base64?SGVsbG9=?=", Problem::Base64),
        (b"=?base64?_-8=?=", Problem::Base64),
        (b"=?base64?/w==?=", Problem::Utf8),
        (b"caf\xc3\xa9", Problem::Characters),
        (b"a\x01b", Problem::Characters),
    ];
    for (raw, wanted) in bad {
        assert_eq!(decode_value(raw).unwrap_err().problem, wanted, "{raw:?}");
    }
}

#[test]
fn check_008_009_the_method_is_mirrored_letter_by_letter() {
    let rows: [(Option<&[u8]>, Checked); 6] = [
        (Some(b"tools/list"), Ok(())),
        (Some(b" tools/list "), Ok(())),
        (None, fault("Mcp-Method", Problem::Missing)),
        (Some(b"Tools/List"), fault("Mcp-Method", Problem::Differs)),
        (Some(b"=?base64?dG9vbHMvbGlzdA==?="), fault("Mcp-Method", Problem::Differs)),
        (Some(b"tools/list\xff"), fault("Mcp-Method", Problem::Characters)),
    ];
    for (method, wanted) in rows {
        let mirrored = Mirrored { method, ..Mirrored::default() };
        assert_eq!(mirrored.check(&Method::ToolsList, &Params::default()), wanted, "{method:?}");
    }
    let missing = Mirrored::default().check(&Method::ToolsList, &Params::default()).unwrap_err();
    assert_eq!(missing.to_string(), "header Mcp-Method is required but missing");
    assert_eq!(missing.to_rpc().code, Code::HEADER_MISMATCH);
}

#[test]
fn check_010_011_012_the_name_is_mirrored_from_the_right_parameter() {
    let tool = r#"{"name":"caf\u00e9","uri":"x","taskId":"y"}"#;
    let uri = r#"{"name":"x","uri":"file:///a b","taskId":"y"}"#;
    let task = r#"{"taskId":"t1"}"#;
    let rows: [(Method, &str, Option<&[u8]>, Checked); 13] = [
        (Method::ToolsCall, tool, Some(b"=?base64?Y2Fmw6k=?="), Ok(())),
        (Method::PromptsGet, tool, Some(b"=?base64?Y2Fmw6k=?="), Ok(())),
        (Method::ToolsCall, tool, None, fault("Mcp-Name", Problem::Missing)),
        (Method::ToolsCall, tool, Some(b"x"), fault("Mcp-Name", Problem::Differs)),
        (Method::ToolsCall, tool, Some(b"=?base64?Y2Fmw6k?="), fault("Mcp-Name", Problem::Base64)),
        (Method::ToolsCall, r#"{"name":"Get"}"#, Some(b"get"), fault("Mcp-Name", Problem::Differs)),
        (Method::ToolsCall, "{}", Some(b"x"), fault("Mcp-Name", Problem::Unexpected)),
        (Method::ToolsCall, "{}", None, Ok(())),
        (Method::ResourcesRead, uri, Some(b"file:///a b"), Ok(())),
        (Method::ResourcesRead, uri, Some(b"x"), fault("Mcp-Name", Problem::Differs)),
        (Method::TasksGet, task, Some(b"t1"), Ok(())),
        (Method::TasksCancel, task, None, fault("Mcp-Name", Problem::Missing)),
        (Method::ToolsList, "{}", Some(b"whatever"), Ok(())),
    ];
    for (method, body, name, wanted) in rows {
        let mirrored = Mirrored { method: Some(method.as_str().as_bytes()), name, version: None };
        assert_eq!(mirrored.check(&method, &params(body)), wanted, "{method:?} {body} {name:?}");
    }
}

#[test]
fn check_004_005_the_version_is_mirrored() {
    let check = |version| Mirrored { version, ..Mirrored::default() }.check_version("2026-07-28");
    assert_eq!(check(Some(b"2026-07-28")), Ok(()));
    assert_eq!(check(None), fault("MCP-Protocol-Version", Problem::Missing));
    assert_eq!(check(Some(b"v999")), fault("MCP-Protocol-Version", Problem::Differs));
}

fn annotations() -> Vec<Annotation> {
    let schema = r#"{"type":"object","properties":{
        "s":{"type":"string","x-mcp-header":"Text"},
        "n":{"type":"integer","x-mcp-header":"Count"},
        "deep":{"type":"object","properties":{"b":{"type":"boolean","x-mcp-header":"Flag"}}}}}"#;
    annotation::read(&RawJson::from_text(schema).unwrap()).unwrap()
}

type CheckedCall = Result<(), (String, Problem)>;

fn check_call(arguments: &str, headers: &[(&str, &'static str)]) -> CheckedCall {
    let raw = RawJson::from_text(arguments).unwrap();
    let get = |name: &str| {
        let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    };
    check_params(&annotations(), Some(&raw), &get).map_err(|fault| (fault.header.to_string(), fault.problem))
}

#[test]
fn check_016_integers_are_compared_as_numbers() {
    let equal = [
        ("42", "42"),
        ("42", "42.0"),
        ("42.0", "42"),
        ("4.2e1", "42"),
        ("42", "4.2E+1"),
        ("-0", "0"),
        ("-7", "-7.00"),
        ("9007199254740993", "9007199254740993"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("42", "=?base64?NDI=?="),
    ];
    for (argument, header) in equal {
        let call = check_call(&format!(r#"{{"n":{argument}}}"#), &[("mcp-param-count", header)]);
        assert_eq!(call, Ok(()), "{argument} {header}");
    }
    let different = [
        ("42", "43"),
        ("42", "042"),
        ("42", "+42"),
        ("42", "0x2a"),
        ("42", "42.5"),
        ("42", ""),
        ("42", "NaN"),
        ("1", "true"),
        ("9007199254740993", "9007199254740992"),
        ("9007199254740993", "9007199254740992.0"),
    ];
    for (argument, header) in different {
        let call = check_call(&format!(r#"{{"n":{argument}}}"#), &[("mcp-param-count", header)]);
        assert_eq!(call, Err(("Mcp-Param-Count".into(), Problem::Differs)), "{argument} {header}");
    }
}

#[test]
fn check_017_018_019_headers_and_arguments_come_together() {
    let fault = |header: &str, problem| Err((header.to_owned(), problem));
    type Headers = &'static [(&'static str, &'static str)];
    let rows: [(&str, Headers, CheckedCall); 16] = [
        (
            r#"{"s":"a","n":1,"deep":{"b":true}}"#,
            &[("MCP-PARAM-TEXT", "a"), ("mcp-param-count", "1"), ("mcp-param-flag", "true")],
            Ok(()),
        ),
        (r#"{"s":"a"}"#, &[], fault("Mcp-Param-Text", Problem::Missing)),
        (r#"{"n":1}"#, &[], fault("Mcp-Param-Count", Problem::Missing)),
        (r#"{"deep":{"b":false}}"#, &[], fault("Mcp-Param-Flag", Problem::Missing)),
        (
            r#"{"deep":{"b":false}}"#,
            &[("mcp-param-flag", "False")],
            fault("Mcp-Param-Flag", Problem::Differs),
        ),
        (r#"{"s":"é"}"#, &[("mcp-param-text", "=?base64?w6k=?=")], Ok(())),
        (r#"{"s":"A"}"#, &[("mcp-param-text", "a")], fault("Mcp-Param-Text", Problem::Differs)),
        (r#"{"s":""}"#, &[("mcp-param-text", "")], Ok(())),
        (r#"{"s":"a"}"#, &[("mcp-param-text", "=?base64?YQ?=")], fault("Mcp-Param-Text", Problem::Base64)),
        ("{}", &[], Ok(())),
        (r#"{"s":null,"deep":null}"#, &[], Ok(())),
        (r#"{"s":null}"#, &[("mcp-param-text", "a")], fault("Mcp-Param-Text", Problem::Unexpected)),
        ("{}", &[("mcp-param-flag", "true")], fault("Mcp-Param-Flag", Problem::Unexpected)),
        ("{}", &[("mcp-param-unknown", "x")], Ok(())),
        (r#"{"s":["a"]}"#, &[], Ok(())),
        (r#"{"s":"a","s":"b"}"#, &[("mcp-param-text", "b")], fault("Mcp-Param-Text", Problem::Ambiguous)),
    ];
    for (arguments, headers, wanted) in rows {
        assert_eq!(check_call(arguments, headers), wanted, "{arguments} {headers:?}");
    }
    assert_eq!(check_params(&annotations(), None, &|_| None), Ok(()));
}

#[test]
fn check_022_023_024_arguments_become_headers() {
    let rows: [(&str, &[(&str, &str)]); 14] = [
        (
            r#"{"deep":{"b":true},"n":12,"s":"a b"}"#,
            &[("Mcp-Param-Text", "a b"), ("Mcp-Param-Count", "12"), ("Mcp-Param-Flag", "true")],
        ),
        (r#"{"s":null,"n":null,"deep":{}}"#, &[]),
        ("{}", &[]),
        (r#"{"s":""}"#, &[("Mcp-Param-Text", "")]),
        (r#"{"s":"\u00e9"}"#, &[("Mcp-Param-Text", "=?base64?w6k=?=")]),
        (r#"{"s":" a"}"#, &[("Mcp-Param-Text", "=?base64?IGE=?=")]),
        (r#"{"s":"a\nb"}"#, &[("Mcp-Param-Text", "=?base64?YQpi?=")]),
        (r#"{"n":4.2e1}"#, &[("Mcp-Param-Count", "42")]),
        (r#"{"n":-3.0}"#, &[("Mcp-Param-Count", "-3")]),
        // No whole number that every peer reads alike: as it was written, for the server to refuse.
        (r#"{"n":1.5}"#, &[("Mcp-Param-Count", "1.5")]),
        (r#"{"n":1e300}"#, &[("Mcp-Param-Count", "1e300")]),
        (r#"{"n":9007199254740993}"#, &[("Mcp-Param-Count", "9007199254740993")]),
        (r#"{"n":9007199254740991.0}"#, &[("Mcp-Param-Count", "9007199254740991")]),
        (r#"{"n":0}"#, &[("Mcp-Param-Count", "0")]),
    ];
    for (arguments, wanted) in rows {
        let raw = RawJson::from_text(arguments).unwrap();
        let headers = param_headers(&annotations(), Some(&raw));
        let seen: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(seen, wanted, "{arguments}");
        // What we send, we would accept.
        let get = |name: &str| {
            let found = headers.iter().find(|(header, _)| header.as_str() == name);
            found.map(|(_, value)| value.as_bytes())
        };
        assert_eq!(check_params(&annotations(), Some(&raw), &get), Ok(()), "{arguments}");
    }
    assert_eq!(param_headers(&annotations(), None), []);
}

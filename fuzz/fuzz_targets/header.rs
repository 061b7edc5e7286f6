//! Header values: decoding is total, and any text survives being sent. Arguments that are mirrored into headers are
//! found equal to them. The input is the text, and, where it is JSON, a schema and a call.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve_mcp::{RawJson, annotation, header, json::MAX_DEPTH};

fuzz_target!(|data: &[u8]| {
    if let Ok(decoded) = header::decode_value(data) {
        let encoded = header::encode_value(&decoded).into_owned();
        assert_eq!(header::decode_value(encoded.as_bytes()).unwrap(), decoded);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let encoded = header::encode_value(text);
        assert!(encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{encoded:?}");
        assert_eq!(header::decode_value(encoded.as_bytes()).unwrap(), text);
    }
    if let Ok(raw) = RawJson::parse(&Bytes::copy_from_slice(data), MAX_DEPTH) {
        mirrored(&raw);
    }
});

/// `{"schema": …, "arguments": …}`
fn mirrored(raw: &RawJson) {
    let (Some(schema), arguments) = (raw.get("schema"), raw.get("arguments")) else { return };
    let stripped = annotation::strip(&schema);
    let Ok(annotations) = annotation::read(&schema) else { return };
    if schema.as_str().find("\\u").is_none() {
        assert_eq!(annotation::read(&stripped), Ok(Vec::new()), "{stripped:?}");
    }
    let headers = header::param_headers(&annotations, arguments.as_ref());
    let get = |name: &str| {
        let found = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_bytes())
    };
    match header::check_params(&annotations, arguments.as_ref(), &get) {
        Ok(()) => {}
        Err(fault) => assert_eq!(fault.problem, header::Problem::Ambiguous, "{fault}"),
    }
}

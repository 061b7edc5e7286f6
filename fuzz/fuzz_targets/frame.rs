//! Frames: whatever a peer sends is refused or understood, and what is understood goes out with the same meaning.
//! Rewriting by revision never makes something else than JSON of it.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve_mcp::{
    Era, Frame, JsonError, Method, Outcome, Params, RawJson, RpcError, Text, Version, annotation,
    frame::{self, Body},
    json::{Kind, MAX_DEPTH},
    payload,
    service::AskKind,
};
use std::sync::LazyLock;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    agrees(&bytes);
    match frame::decode_body(&bytes, MAX_DEPTH) {
        Ok(Body::One(frame)) => round_trip(&frame),
        Ok(Body::Batch(frames)) => frames.iter().flatten().for_each(round_trip),
        Err(error) => drop(error.to_rpc().encode()),
    }
});

/// Our scanner and another parser have one opinion of what is JSON, but for the limits that each has of its own.
fn agrees(bytes: &Bytes) {
    let ours = RawJson::parse(bytes, MAX_DEPTH);
    let theirs: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
    match (&ours, &theirs) {
        (Ok(raw), Err(error)) => {
            // Grammar without a value there: numbers beyond any float, lone surrogates; and a lower limit of depth.
            let text = error.to_string();
            let known =
                ["number out of range", "surrogate", "unexpected end of hex escape", "recursion limit"];
            assert!(known.iter().any(|known| text.contains(known)), "{raw:?}: {text}");
        }
        (Err(JsonError::Depth(_)), _) => {}
        (Err(error), Ok(_)) => panic!("refused as {error}: {bytes:?}"),
        _ => {}
    }
    if let Ok(raw) = ours {
        walk(&raw, 0);
    }
}

fn walk(raw: &RawJson, depth: usize) {
    if depth > 8 {
        return;
    }
    if let Ok(members) = raw.members() {
        for member in &members {
            assert!(raw.get(&member.key).is_some(), "{raw:?} lost {:?}", member.key);
            walk(&member.value, depth + 1);
        }
    }
    for element in raw.elements().unwrap_or_default() {
        walk(&element, depth + 1);
    }
    let _ = raw.string_value();
}

fn round_trip(frame: &Frame) {
    match frame {
        Frame::Request { method, params, .. } => rewrite(method, params.as_ref()),
        Frame::Response { outcome, .. } => rewrite_outcome(outcome),
        Frame::Notification { .. } => {}
    }
    let wire = encode(frame);
    let again = frame::decode(&Bytes::from(wire.clone()), MAX_DEPTH);
    // A malformed error is replaced by one of our own, so the frames need not be equal, but what goes out is.
    let again = again.unwrap_or_else(|error| panic!("{error}: {frame:?}"));
    assert_eq!(encode(&again), wire);
    assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(frame));
}

fn encode(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Request { id, method, params } => frame::encode_request(id, method.as_str(), params.as_ref()),
        Frame::Notification { method, params } => {
            frame::encode_notification(method.as_str(), params.as_ref())
        }
        Frame::Response { id, outcome } => frame::encode_response(id.as_ref(), outcome),
    }
}

fn valid(raw: &RawJson) {
    assert!(RawJson::from_text(raw.as_str()).is_ok(), "not JSON any more: {raw:?}");
}

const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

fn rewrite(method: &Method, params: Option<&RawJson>) {
    let Ok(parsed) = Params::parse(params) else { return };
    let _ = parsed.canonical();
    valid(&parsed.encode(Some(&RawJson::EMPTY_OBJECT)));
    let Some(params) = params else { return };
    let _ = annotation::read(params);
    valid(&annotation::strip(params));
    let kinds = AskKind::from_method(method)
        .map_or(vec![AskKind::Elicit, AskKind::Sample, AskKind::Roots], |k| vec![k]);
    for (kind, version) in kinds.iter().flat_map(|kind| Version::ALL.map(|version| (*kind, version))) {
        let _ = payload::check_answer(kind, params);
        let Ok(rewrite) = payload::ask_for_client(kind, Some(params), version) else { continue };
        rewrite.params.iter().for_each(valid);
        match payload::answer_for_server(kind, &rewrite, params, version) {
            payload::Answered::Done(raw) | payload::Answered::Again(raw) => valid(&raw),
        }
    }
}

fn rewrite_outcome(outcome: &Outcome) {
    for (client, server) in Version::ALL.into_iter().flat_map(|version| ERAS.map(|era| (version, era))) {
        match outcome {
            Outcome::Result(result) => {
                for method in [Method::ToolsCall, Method::PromptsGet, Method::ToolsList, Method::Complete] {
                    let once = payload::result_for_client(&method, result, client, server);
                    valid(&once);
                    large_as_small(&method, result, &once, client, server);
                    assert_eq!(
                        payload::result_for_client(&method, &once, client, server).to_value(),
                        once.to_value()
                    );
                }
                valid(&payload::tool_for_client(result, client, server));
            }
            Outcome::Error(error) => rewrite_error(error, client, server),
        }
    }
}

/// Large results take shortcuts past the scan; they come to the same as small ones.
fn large_as_small(method: &Method, result: &RawJson, once: &RawJson, client: Version, server: Era) {
    static PAD: LazyLock<RawJson> = LazyLock::new(|| RawJson::string(&"x".repeat(2000)));
    if result.kind() == Kind::Object {
        let large = result.with(&["pad"], &[("pad", &PAD)]);
        let wanted = once.with(&["pad"], &[("pad", &PAD)]).to_value();
        assert_eq!(payload::result_for_client(method, &large, client, server).to_value(), wanted);
    }
}

fn rewrite_error(error: &RpcError, client: Version, server: Era) {
    for method in [Method::ResourcesRead, Method::Other(Text::from("x"))] {
        let shown = payload::error_for_client(error, &method, &Params::default(), client, server);
        valid(&shown.encode());
        if client.era() == Era::Modern {
            assert!(!matches!(shown.code.0, -32002 | -32020 | -32022 | -32099..=-32023), "{shown:?}");
        }
    }
}

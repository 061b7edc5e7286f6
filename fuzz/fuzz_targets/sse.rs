//! Server-sent events: any stream, divided anywhere, gives what it gives in one piece; and what is encoded is decoded.
//! The first bytes of the input choose the limit and the cuts.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use portreeve_mcp::{
    Text,
    sse::{self, Decoder, SseError, SseEvent},
};

fuzz_target!(|data: &[u8]| {
    let Some((&[limit, a, b, c], stream)) = data.split_first_chunk::<4>() else { return };
    let limit = if limit < 128 { usize::from(limit) } else { 1 << 20 };
    let whole = decode(&[stream], limit);
    let step = usize::from(c) % 17 + 1;
    assert_eq!(decode(&stream.chunks(step).collect::<Vec<_>>(), limit), whole, "steps of {step}");
    let first = usize::from(a).min(stream.len());
    let second = first + usize::from(b).min(stream.len() - first);
    let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
    assert_eq!(decode(&pieces, limit), whole, "cut at {first} and {second}");
    encoded(stream);
});

type Decoded = (Vec<Result<SseEvent, SseError>>, Option<Text>, Option<u64>);

fn decode(pieces: &[&[u8]], limit: usize) -> Decoded {
    let mut decoder = Decoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        events.extend(decoder.by_ref());
    }
    (events, decoder.last_event_id().cloned(), decoder.retry())
}

/// Arbitrary bytes as data come out as one event with line ends as blanks.
fn encoded(data: &[u8]) {
    let mut wire = Vec::new();
    sse::encode_comment(&mut wire, &String::from_utf8_lossy(data));
    sse::encode_event(&mut wire, Some("id"), Some("kind"), data);
    let (events, id, _) = decode(&[&wire], usize::MAX);
    let blank = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
    let wanted: Vec<u8> = data.iter().map(blank).collect();
    assert_eq!(id.as_deref(), Some("id"));
    let [Ok(event)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.event.as_str(), &*event.data), ("kind", &*wanted));
}

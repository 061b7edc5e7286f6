//! Event streams, cut at every place.

use super::*;

const LIMIT: usize = 1 << 16;

/// An event as (type, data, id, retry).
type Seen = (String, String, Option<String>, Option<u64>);

fn seen(event: &SseEvent) -> Seen {
    let data = String::from_utf8(event.data.to_vec()).unwrap();
    (event.event.to_string(), data, event.id.as_ref().map(ToString::to_string), event.retry)
}

/// Everything that a decoder says about a stream in these pieces, with its memory at the end.
fn decode(pieces: &[&[u8]], limit: usize) -> (Vec<Result<Seen, SseError>>, Option<String>, Option<u64>) {
    let mut decoder = Decoder::new(limit);
    let mut all = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        for event in decoder.by_ref() {
            all.push(event.map(|event| seen(&event)));
        }
    }
    (all, decoder.last_event_id().map(ToString::to_string), decoder.retry())
}

fn message(data: &str) -> Seen {
    ("message".into(), data.into(), None, None)
}

fn event(kind: &str, data: &str, id: Option<&str>, retry: Option<u64>) -> Seen {
    (kind.into(), data.into(), id.map(Into::into), retry)
}

fn corpus() -> Vec<(&'static str, Vec<Seen>)> {
    vec![
        ("data: a\n\n", vec![message("a")]),
        ("data: a\r\n\r\ndata: b\r\n\r\n", vec![message("a"), message("b")]),
        ("data: a\r\rdata: b\r\r", vec![message("a"), message("b")]),
        ("data: a\n\r\ndata: b\r\n\n\r", vec![message("a"), message("b")]),
        ("\u{feff}data: a\n\n", vec![message("a")]),
        ("\u{feff}\u{feff}data: a\n\n", vec![]),
        ("data: a\ndata:b\ndata\ndata:  c\n\n", vec![message("a\nb\n\n c")]),
        ("data\n\n", vec![message("")]),
        ("data:\ndata:\n\n", vec![message("\n")]),
        (": comment\ndata: a\n:\n: another: one\n\n:last\n\n", vec![message("a")]),
        ("event: ping\ndata: {}\n\ndata: x\n\n", vec![event("ping", "{}", None, None), message("x")]),
        ("event:\ndata: x\n\n", vec![message("x")]),
        ("event: lost\n\ndata: x\n\n", vec![message("x")]),
        ("id: 7\ndata: x\n\ndata: y\n\n", vec![event("message", "x", Some("7"), None), message("y")]),
        ("id: 7\nretry: 500\ndata:\n\n", vec![event("message", "", Some("7"), Some(500))]),
        ("id: 7\nretry: 500\n\ndata: x\n\n", vec![event("message", "x", Some("7"), Some(500))]),
        (
            "id: 7\ndata: x\n\nid\ndata: y\n\n",
            vec![event("message", "x", Some("7"), None), event("message", "y", Some(""), None)],
        ),
        ("id: a\0b\ndata: x\n\n", vec![message("x")]),
        (
            "retry: 5s\nretry:\nretry: -1\nretry: +1\nretry: 99999999999999999999\ndata: x\n\n",
            vec![message("x")],
        ),
        ("Data: no\ndatax: no\n data: no\ndata : no\nfoo\ndata: x\n\n", vec![message("x")]),
        ("data: a\n\ndata: unfinished\n", vec![message("a")]),
        ("data: a\n\ndata: unfini", vec![message("a")]),
        ("data:日本: é\n\n", vec![message("日本: é")]),
        ("\n\n\r\n\rdata: a\n\n\n\n", vec![message("a")]),
        ("", vec![]),
    ]
}

#[test]
fn a_stream_gives_its_events() {
    for (stream, wanted) in corpus() {
        let (got, _, _) = decode(&[stream.as_bytes()], LIMIT);
        assert_eq!(got, wanted.into_iter().map(Ok).collect::<Vec<_>>(), "{stream:?}");
    }
}

#[test]
fn any_division_gives_the_same_events() {
    let mut streams: Vec<String> = corpus().into_iter().map(|(stream, _)| stream.to_owned()).collect();
    streams.push(streams.iter().skip(1).cloned().collect());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for stream in &streams {
        let bytes = stream.as_bytes();
        for limit in [LIMIT, 20, 7, 0] {
            let whole = decode(&[bytes], limit);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single, limit), whole, "byte by byte, limit {limit}: {stream:?}");
            for at in 0..=bytes.len() {
                let (a, b) = bytes.split_at(at);
                assert_eq!(decode(&[a, b], limit), whole, "cut at {at}, limit {limit}: {stream:?}");
            }
            for _ in 0..50 {
                let pieces = random.pieces(bytes);
                assert_eq!(decode(&pieces, limit), whole, "{pieces:?}, limit {limit}");
            }
        }
    }
}

/// A fixed sequence (xorshift), so that a failure comes back.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pieces<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.below(9).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

#[test]
fn several_pushes_wait_for_their_turn() {
    let mut decoder = Decoder::new(LIMIT);
    for piece in ["da", "ta: a\n", "\ndata: b", "\n\n"] {
        decoder.push(Bytes::from_static(piece.as_bytes()));
    }
    let all: Vec<_> = decoder.by_ref().map(|event| seen(&event.unwrap())).collect();
    assert_eq!(all, [message("a"), message("b")]);
}

#[test]
fn data_in_one_chunk_is_a_slice_of_it() {
    let chunk = Bytes::from(b"id: 1\nevent: message\ndata: {\"a\":1}\n\ndata: x\n\n".to_vec());
    let range = chunk.as_ptr_range();
    let mut decoder = Decoder::new(LIMIT);
    decoder.push(chunk);
    let events: Vec<_> = decoder.by_ref().map(Result::unwrap).collect();
    assert_eq!(events.len(), 2);
    for event in events {
        assert!(range.contains(&event.data.as_ptr()), "{event:?}");
    }
}

#[test]
fn memory_is_bounded_and_comments_are_free() {
    let too_large = Some(Err(SseError::TooLarge { limit: 10 }));
    let first = |stream: &[u8]| decode(&[stream], 10).0.into_iter().next();
    assert_eq!(first(b"data:12345\n\n"), Some(Ok(message("12345"))));
    assert_eq!(first(b"data:123456\n\n"), too_large);
    assert_eq!(first(b"data:123456"), too_large);
    assert_eq!(first(b"data:\ndata:\nx\n"), too_large);
    assert_eq!(first(b"0123456789x"), too_large);
    let comment = [b":".repeat(1000), b"\ndata:1\n\n".to_vec()].concat();
    assert_eq!(first(&comment), Some(Ok(message("1"))));

    let mut decoder = Decoder::new(10);
    for _ in 0..1000 {
        decoder.push(Bytes::from_static(b": an endless comment"));
        assert!(decoder.next().is_none());
    }
    assert_eq!(decoder.partial.len(), 1);
    decoder.push(Bytes::from_static(b"\ndata:123456\n\ndata:1\n\n"));
    assert!(decoder.next().is_some_and(|event| event.is_err()));
    decoder.push(Bytes::from_static(b"data:1\n\n"));
    assert!(decoder.next().is_none(), "nothing comes after an error");
}

#[test]
fn ids_and_retry_are_remembered_once_their_block_is_complete() {
    let rows: [(&str, Option<&str>, Option<u64>); 6] = [
        ("id: 1\ndata: x\n\n", Some("1"), None),
        ("id: 1\ndata: x\n\nid: 2\ndata: y\n", Some("1"), None),
        ("id: 1\n\n", Some("1"), None),
        ("id: 1\n\nid:\n\n", None, None),
        ("retry: 10\n\ndata: x\n\n", None, Some(10)),
        ("retry: 10\n\nretry: 20\ndata: x\n\n", None, Some(20)),
    ];
    for (stream, id, retry) in rows {
        let (_, last_id, last_retry) = decode(&[stream.as_bytes()], LIMIT);
        assert_eq!((last_id.as_deref(), last_retry), (id, retry), "{stream:?}");
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    type Event = (Option<&'static str>, Option<&'static str>, &'static str);
    let rows: [(Event, &str, Seen); 6] = [
        ((None, None, "{}"), "data: {}\n\n", message("{}")),
        ((None, Some("message"), "{}"), "event: message\ndata: {}\n\n", message("{}")),
        ((Some("7"), Some("x"), "[]"), "id: 7\nevent: x\ndata: []\n\n", event("x", "[]", Some("7"), None)),
        ((Some("7"), None, ""), "id: 7\ndata: \n\n", event("message", "", Some("7"), None)),
        (
            (None, None, "{\n  \"a\":\r\n  \"b\\n\"\n}"),
            "data: {   \"a\":    \"b\\n\" }\n\n",
            message("{   \"a\":    \"b\\n\" }"),
        ),
        ((Some("7\ndata: forged\n\n"), None, "1"), "id: 7data: forged\ndata: 1\n\n", {
            event("message", "1", Some("7data: forged"), None)
        }),
    ];
    for ((id, kind, json), wire, wanted) in rows {
        let mut out = Vec::new();
        encode_event(&mut out, id, kind, json.as_bytes());
        assert_eq!(String::from_utf8(out.clone()).unwrap(), wire);
        assert_eq!(decode(&[&out], LIMIT).0, [Ok(wanted)]);
    }
}

#[test]
fn check_078_comments_and_retry_are_no_events() {
    let mut out = Vec::new();
    encode_comment(&mut out, "alive\ndata: forged");
    encode_retry(&mut out, 1500);
    assert_eq!(String::from_utf8(out.clone()).unwrap(), ": alive data: forged\n\nretry: 1500\n\n");
    assert_eq!(decode(&[&out], LIMIT), (vec![], None, Some(1500)));
}

#[test]
fn an_empty_piece_changes_nothing() {
    // Between CR and LF, before the byte order mark is complete, and within a line.
    let pieces: [&[u8]; 9] =
        [b"\xef\xbb", b"", b"\xbfdata: a\r", b"", b"\n\r", b"", b"\ndata: b", b"", b"\n\n"];
    let (events, _, _) = decode(&pieces, LIMIT);
    assert_eq!(events, [Ok(message("a")), Ok(message("b"))]);
    let (events, _, _) = decode(&[b"data: a\r", b"", b"\ndata: b\n\n"], LIMIT);
    assert_eq!(events, [Ok(message("a\nb"))], "the line feed belongs to the line before");
}

#[test]
fn after_a_fault_nothing_more_is_taken() {
    let mut decoder = Decoder::new(8);
    decoder.push(Bytes::from_static(b"data: far too long for eight\n\n"));
    assert!(matches!(decoder.next(), Some(Err(_))));
    decoder.push(Bytes::from_static(b"data: a\n\n"));
    assert!(decoder.next().is_none(), "the stream is over");
}

#[test]
fn a_stream_that_can_be_taken_up_begins_with_its_id_and_the_time_to_come_back() {
    let mut out = Vec::new();
    encode_start(&mut out, "c1-0", 1500);
    assert_eq!(String::from_utf8(out.clone()).unwrap(), "retry: 1500\nid: c1-0\ndata: \n\n");
    assert_eq!(decode(&[&out], LIMIT).0, [Ok(event("message", "", Some("c1-0"), Some(1500)))]);
}

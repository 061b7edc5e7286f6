//! The ring alone: ids, order, bounds, who reads. Nothing here sends anything.

use super::*;
use futures_util::task::noop_waker;

const SMALL: Bounds = Bounds { events: 4, bytes: 1000 };

fn ring(bounds: Bounds, total: usize) -> (Ring, Arc<Total>) {
    let total = Arc::new(Total::new(total));
    (Ring::new(bounds, total.clone()), total)
}

fn call(number: u64) -> StreamName {
    StreamName { kind: Kind::Call, number }
}

fn at(stream: StreamName, event: u64) -> EventId {
    EventId { stream, event }
}

/// Takes a stream over after this event and reads what is there.
fn read(ring: &mut Ring, after: EventId) -> Option<(Vec<u64>, bool)> {
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    let (holder, _) = ring.attach(after)?;
    let (mut numbers, mut from) = (Vec::new(), after.event + 1);
    loop {
        match ring.read(after.stream, holder, from, &mut cx) {
            Read::Event(number, _) => {
                numbers.push(number);
                from = number + 1;
            }
            Read::Current => return Some((numbers, false)),
            Read::Over => return Some((numbers, true)),
            Read::Lost => return None,
        }
    }
}

fn message(size: usize) -> Bytes {
    vec![b'x'; size].into()
}

#[test]
fn ids_are_read_as_they_are_written() {
    for kind in [Kind::Call, Kind::Session] {
        for number in [0, 1, 0xabcd, u64::MAX] {
            let id = at(StreamName { kind, number }, 17);
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
    }
    for wrong in ["", "-", "c-", "c1", "c1-", "c1-x", "x1-1", "1-1", "c1-1-1", "ä1-1"] {
        assert_eq!(EventId::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_reader_gets_what_followed_and_the_end() {
    let (mut ring, _) = ring(SMALL, 10_000);
    let holder = ring.open(call(1), None);
    for number in 1..=3 {
        assert_eq!(ring.push(call(1), holder, &message(1)), Some(number));
    }
    assert_eq!(read(&mut ring, at(call(1), 1)), Some((vec![2, 3], false)));
    assert_eq!(ring.push(call(1), holder, &message(1)), None, "another reader has it now");
    ring.end(call(1), None);
    assert_eq!(read(&mut ring, at(call(1), 0)), Some((vec![1, 2, 3, 4], true)));
    assert_eq!(read(&mut ring, at(call(1), 4)), Some((vec![], true)));
    assert_eq!(read(&mut ring, at(call(1), 5)), None, "never sent");
    assert_eq!(read(&mut ring, at(call(2), 0)), None);
}

#[test]
fn the_oldest_of_the_largest_goes_first() {
    let (mut ring, total) = ring(SMALL, 10_000);
    for number in [1, 2] {
        ring.open(call(number), None);
    }
    ring.push(call(1), None, &message(10));
    for _ in 0..5 {
        ring.push(call(2), None, &message(10));
    }
    assert_eq!(read(&mut ring, at(call(1), 0)), Some((vec![1], false)));
    assert_eq!(read(&mut ring, at(call(2), 0)), Some((vec![3, 4, 5], false)));
    // By bytes too; what can never fit changes nothing.
    ring.push(call(1), None, &message(2000));
    ring.push(call(1), None, &message(800));
    assert_eq!(read(&mut ring, at(call(1), 0)), Some((vec![1, 3], false)));
    assert_eq!(read(&mut ring, at(call(2), 0)), Some((vec![], false)));
    drop(ring);
    assert_eq!(total.bytes.load(Ordering::Relaxed), 0, "everything is given back");
}

#[test]
fn what_was_read_to_its_end_goes_before_everything() {
    let (mut ring, _) = ring(SMALL, 10_000);
    let first = ring.open(call(1), None);
    ring.push(call(1), first, &message(1));
    ring.end(call(1), first);
    ring.open(call(2), None);
    for _ in 0..4 {
        ring.push(call(2), None, &message(300));
    }
    assert_eq!(read(&mut ring, at(call(1), 0)), None);
    ring.end(call(2), None);
    ring.open(call(3), None);
    for _ in 0..5 {
        ring.push(call(3), None, &message(1));
    }
    assert_eq!(read(&mut ring, at(call(2), 0)), None, "its answer was forgotten, so it is unknown");
}

#[test]
fn sessions_share_what_the_gate_spends() {
    let total = Arc::new(Total::new(500));
    let rings = [(); 2].map(|()| Ring::new(SMALL, total.clone()));
    let [mut one, mut two] = rings;
    for ring in [&mut one, &mut two] {
        ring.open(call(1), None);
        ring.push(call(1), None, &message(300));
    }
    assert_eq!(read(&mut one, at(call(1), 0)), Some((vec![1], false)));
    assert_eq!(read(&mut two, at(call(1), 0)), Some((vec![], false)), "not kept");
    drop(one);
    two.push(call(1), None, &message(300));
    assert_eq!(read(&mut two, at(call(1), 0)), Some((vec![2], false)));
}

#[test]
fn streams_are_bounded_and_live_ones_stay() {
    let (mut ring, _) = ring(SMALL, 10_000);
    for number in 0..STREAMS as u64 {
        assert!(ring.open(call(number), None).is_some());
    }
    assert!(ring.open(call(1000), None).is_none());
    ring.end(call(5), None);
    assert!(ring.open(call(1000), None).is_some());
    assert_eq!(read(&mut ring, at(call(5), 0)), None);
}

#[test]
fn ended_streams_are_forgotten_after_a_while() {
    let (mut ring, total) = ring(SMALL, 10_000);
    for number in [1, 2] {
        ring.open(call(number), None);
        ring.push(call(number), None, &message(1));
    }
    ring.end(call(1), None);
    ring.sweep(Instant::now() + KEPT);
    assert_eq!(read(&mut ring, at(call(1), 0)), None);
    assert_eq!(read(&mut ring, at(call(2), 0)), Some((vec![1], false)), "it has not ended");
    assert_eq!(total.bytes.load(Ordering::Relaxed), 1 + OVERHEAD);
}

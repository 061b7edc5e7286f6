//! What went out on the event streams of one legacy session, kept for a while, so that a client whose connection broke
//! gets the rest with `Last-Event-ID` (spec 2025-11-25: basic/transports; decision D2). It is bounded in streams, events
//! and bytes for the session and in bytes for the gate; what has been read to its end goes first. Who writes and reads it
//! is in `sending.rs`.

use crate::exchange::Exchange;
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// How long a stream is kept after its end: longer than clients go on trying to reconnect.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// How many streams of one session are kept; hosts rarely have more than a handful of calls under way.
const STREAMS: usize = 64;
/// What an event costs besides its bytes.
const OVERHEAD: usize = 64;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to one request.
    Call,
    /// What belongs to no request.
    Session,
}

/// A stream's name. Its number is never given twice, so a stream of one session cannot be named in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamName {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
}

/// An event's id, as clients bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    pub(crate) stream: StreamName,
    pub(crate) event: u64,
}

impl EventId {
    /// Reads the wire form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, event) = text.split_once('-')?;
        let (kind, number) = match stream.as_bytes().first()? {
            b'c' => (Kind::Call, &stream[1..]),
            b's' => (Kind::Session, &stream[1..]),
            _ => return None,
        };
        let number = u64::from_str_radix(number, 16).ok()?;
        Some(Self { stream: StreamName { kind, number }, event: event.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.stream.kind {
            Kind::Call => 'c',
            Kind::Session => 's',
        };
        write!(f, "{kind}{:x}-{}", self.stream.number, self.event)
    }
}

/// The bytes that all sessions together keep.
#[derive(Debug)]
pub(crate) struct Total {
    bytes: AtomicUsize,
    most: usize,
}

impl Total {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), most }
    }

    fn take(&self, size: usize) -> bool {
        let add = |bytes: usize| bytes.checked_add(size).filter(|sum| *sum <= self.most);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn give(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }
}

/// What one session may keep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Bounds {
    /// Whether a message of this size can be kept at all.
    pub(crate) fn takes(&self, message: &[u8]) -> bool {
        message.len() + OVERHEAD <= self.bytes
    }
}

/// The call behind a stream, while a connection drives it. Whoever takes it out drives it from then on.
pub(crate) type Slot = Arc<Mutex<Option<Box<Exchange>>>>;

/// Who reads a stream: there is one at a time, and a newer one takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder(u64);

/// How far a stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Live,
    Ended { at: Instant, read: bool },
}

struct Stream {
    name: StreamName,
    /// The number of the next event; the first is 1, since 0 is the stream's beginning.
    next: u64,
    events: VecDeque<(u64, Bytes)>,
    bytes: usize,
    progress: Progress,
    holder: Option<Holder>,
    reader: Option<Waker>,
    driver: Option<Waker>,
    slot: Option<Slot>,
}

impl Stream {
    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_driver(&mut self) {
        self.driver.take().into_iter().for_each(Waker::wake);
    }

    fn pop(&mut self) -> usize {
        let size = self.events.pop_front().map_or(0, |(_, message)| message.len() + OVERHEAD);
        self.bytes -= size;
        size
    }
}

/// What a reader finds.
pub(crate) enum Read {
    /// The next event.
    Event(u64, Bytes),
    /// Nothing yet; the reader is woken.
    Current,
    /// Nothing more comes.
    Over,
    /// Another reader has taken over, or the session has ended.
    Lost,
}

/// The kept streams of one session, oldest first.
pub(crate) struct Ring {
    streams: VecDeque<Stream>,
    bounds: Bounds,
    events: usize,
    bytes: usize,
    holders: u64,
    total: Arc<Total>,
}

impl Ring {
    pub(crate) fn new(bounds: Bounds, total: Arc<Total>) -> Self {
        Self { streams: VecDeque::new(), bounds, events: 0, bytes: 0, holders: 0, total }
    }

    fn position(&self, name: StreamName) -> Option<usize> {
        // Newer streams are asked for more often.
        self.streams.iter().rposition(|stream| stream.name == name)
    }

    fn stream(&mut self, name: StreamName) -> Option<&mut Stream> {
        self.position(name).map(|at| &mut self.streams[at])
    }

    fn holder(&mut self) -> Holder {
        self.holders += 1;
        Holder(self.holders)
    }

    /// Begins a stream. `None`: the session has too many that have not ended.
    pub(crate) fn open(&mut self, name: StreamName, slot: Option<Slot>) -> Option<Holder> {
        if self.streams.len() >= STREAMS {
            let ended = |stream: &Stream| stream.progress != Progress::Live;
            let at = self.read_to_its_end().or_else(|| self.streams.iter().position(ended))?;
            self.remove(at);
        }
        let holder = self.holder();
        self.streams.push_back(Stream {
            name,
            next: 1,
            events: VecDeque::new(),
            bytes: 0,
            progress: Progress::Live,
            holder: Some(holder),
            reader: None,
            driver: None,
            slot,
        });
        Some(holder)
    }

    /// Takes over the stream of an event that was sent. `None`: no such event is known.
    pub(crate) fn attach(&mut self, id: EventId) -> Option<(Holder, Option<Slot>)> {
        let holder = self.holder();
        let stream = self.stream(id.stream).filter(|stream| id.event < stream.next)?;
        stream.holder = Some(holder);
        if id.stream.kind == Kind::Session {
            stream.progress = Progress::Live;
        }
        stream.wake_reader();
        stream.wake_driver();
        Some((holder, stream.slot.clone()))
    }

    /// Whether nothing comes after this event of a call any more: the client has had all there was, be it that it
    /// cancelled the call.
    pub(crate) fn is_over(&mut self, id: EventId) -> bool {
        let last = |stream: &&mut Stream| id.stream.kind == Kind::Call && id.event + 1 == stream.next;
        let Some(stream) = self.stream(id.stream).filter(last) else { return false };
        match &mut stream.progress {
            Progress::Live => false,
            Progress::Ended { read, .. } => {
                *read = true;
                true
            }
        }
    }

    /// A reader goes. The session's own stream rests until it is taken up again.
    pub(crate) fn release(&mut self, name: StreamName, holder: Holder) {
        let Some(stream) = self.stream(name).filter(|stream| stream.holder == Some(holder)) else { return };
        stream.holder = None;
        stream.reader = None;
        stream.wake_driver();
        if name.kind == Kind::Session {
            stream.progress = Progress::Ended { at: Instant::now(), read: false };
        }
    }

    /// Keeps a message and gives its number. `by` is who sends it right away; `None`: that is not its reader any more.
    pub(crate) fn push(&mut self, name: StreamName, by: Option<Holder>, message: &Bytes) -> Option<u64> {
        let stream = self.stream(name)?;
        let number = stream.next;
        stream.next += 1;
        let held = stream.holder == by;
        if !held {
            stream.wake_reader();
        }
        self.keep(name, number, message);
        held.then_some(number)
    }

    fn keep(&mut self, name: StreamName, number: u64, message: &Bytes) {
        if !self.bounds.takes(message) {
            return;
        }
        let size = message.len() + OVERHEAD;
        while self.events >= self.bounds.events || self.bytes + size > self.bounds.bytes {
            if !self.make_room() {
                return;
            }
        }
        while !self.total.take(size) {
            let Some(at) = self.read_to_its_end() else { return };
            self.remove(at);
        }
        let Some(stream) = self.stream(name) else { return self.total.give(size) };
        stream.events.push_back((number, message.clone()));
        stream.bytes += size;
        self.events += 1;
        self.bytes += size;
    }

    /// The oldest stream whose client has had everything.
    fn read_to_its_end(&self) -> Option<usize> {
        self.streams.iter().position(|stream| matches!(stream.progress, Progress::Ended { read: true, .. }))
    }

    /// Forgets what is needed least: a stream that was read to its end, else the oldest event of the largest stream. A
    /// stream whose answer went this way is not known any more.
    fn make_room(&mut self) -> bool {
        if let Some(at) = self.read_to_its_end() {
            self.remove(at);
            return true;
        }
        let largest = (0..self.streams.len()).max_by_key(|at| self.streams[*at].bytes);
        let Some((at, stream)) = largest.map(|at| (at, &mut self.streams[at])) else { return false };
        let size = stream.pop();
        let useless = stream.events.is_empty() && stream.progress != Progress::Live;
        self.events -= usize::from(size > 0);
        self.bytes -= size;
        self.total.give(size);
        if useless {
            self.remove(at);
        }
        size > 0
    }

    fn remove(&mut self, at: usize) {
        let Some(mut stream) = self.streams.remove(at) else { return };
        self.events -= stream.events.len();
        self.bytes -= stream.bytes;
        self.total.give(stream.bytes);
        stream.wake_reader();
        stream.wake_driver();
    }

    /// The next kept event from this number on.
    pub(crate) fn read(&mut self, name: StreamName, holder: Holder, from: u64, cx: &mut Context<'_>) -> Read {
        let Some(stream) = self.stream(name).filter(|stream| stream.holder == Some(holder)) else {
            return Read::Lost;
        };
        let at = stream.events.partition_point(|(number, _)| *number < from);
        if let Some((number, message)) = stream.events.get(at) {
            return Read::Event(*number, message.clone());
        }
        if let Progress::Ended { read, .. } = &mut stream.progress {
            *read = true;
            return Read::Over;
        }
        if stream.reader.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            stream.reader = Some(cx.waker().clone());
        }
        Read::Current
    }

    /// Whether somebody reads the stream; its driver is woken when that changes.
    pub(crate) fn is_read(&mut self, name: StreamName, cx: &mut Context<'_>) -> bool {
        let Some(stream) = self.stream(name) else { return false };
        if stream.driver.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            stream.driver = Some(cx.waker().clone());
        }
        stream.holder.is_some()
    }

    /// Nothing more comes on a stream. `by` is who has sent it all.
    pub(crate) fn end(&mut self, name: StreamName, by: Option<Holder>) {
        let Some(stream) = self.stream(name) else { return };
        let read = by.is_some() && stream.holder == by;
        stream.progress = Progress::Ended { at: Instant::now(), read };
        stream.slot = None;
        stream.wake_reader();
    }

    /// Forgets streams that ended long ago.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let old = |stream: &Stream| matches!(stream.progress, Progress::Ended { at, .. } if at + KEPT <= now);
        while let Some(at) = self.streams.iter().position(old) {
            self.remove(at);
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        while !self.streams.is_empty() {
            self.remove(0);
        }
    }
}

#[cfg(test)]
mod tests;

//! Server-sent events (WHATWG HTML, 9.2), sans-IO: a decoder that is fed chunks as they come from a socket, and an
//! encoder. Any division of a stream into chunks gives the same events, and the data of an event that lies in one chunk
//! is a slice of it. Knows no JSON-RPC; reconnecting and keep-alive are decided by the connectors.

use crate::Text;
use bytes::{Buf as _, Bytes};
use std::{collections::VecDeque, mem};

const BOM: [u8; 3] = *b"\xef\xbb\xbf";
const MESSAGE: Text = Text::from_static("message");

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its type; `message` unless the stream named another.
    pub event: Text,
    /// Its data, lines joined by `\n`. Empty for the priming event of 2025-11-25.
    pub data: Bytes,
    /// The id that came since the last event; an empty one takes the last id back.
    pub id: Option<Text>,
    /// The reconnection time in milliseconds that came since the last event.
    pub retry: Option<u64>,
}

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// Larger than the decoder was told to hold.
    #[error("a server-sent event is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// Reads a stream. After an error nothing more comes out. What stands after the last blank line is not an event.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    chunks: VecDeque<Bytes>,
    /// How many bytes of a byte order mark have been seen; [`STARTED`] once that is decided.
    bom: usize,
    /// The last line ended with CR at the end of a chunk: an LF at the start of the next one belongs to it.
    skip_lf: bool,
    /// The beginning of a line whose end has not come yet. Of a comment only the colon is kept.
    partial: Vec<u8>,
    block: Block,
    last_id: Option<Text>,
    retry: Option<u64>,
    failed: bool,
}

const STARTED: usize = usize::MAX;

/// What has come since the last blank line.
#[derive(Debug, Default)]
struct Block {
    /// Bytes of the lines so far, comments aside: what the limit is about.
    size: usize,
    data: Data,
    event: Option<Text>,
    id: Option<Text>,
    retry: Option<u64>,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// A single line, a slice of its chunk.
    One(Bytes),
    /// Several, joined.
    Many(Vec<u8>),
}

impl Decoder {
    /// A decoder that refuses events of more than `max_event_bytes`.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            limit: max_event_bytes,
            chunks: VecDeque::new(),
            bom: 0,
            skip_lf: false,
            partial: Vec::new(),
            block: Block::default(),
            last_id: None,
            retry: None,
            failed: false,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !self.failed && !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The id at which the stream can be resumed: that of the last complete event (or block without data) that had one.
    pub fn last_event_id(&self) -> Option<&Text> {
        self.last_id.as_ref()
    }

    /// The reconnection time that the stream last asked for, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<Option<Bytes>, SseError> {
        while let Some(mut chunk) = self.chunks.pop_front() {
            self.skip_start(&mut chunk);
            let Some(end) = memchr::memchr2(b'\r', b'\n', &chunk) else {
                self.keep(&chunk)?;
                continue;
            };
            let ended_by = chunk[end];
            let mut line = chunk.split_to(end);
            chunk.advance(1);
            if ended_by == b'\r' {
                match chunk.first() {
                    Some(b'\n') => chunk.advance(1),
                    Some(_) => {}
                    None => self.skip_lf = true,
                }
            }
            if !chunk.is_empty() {
                self.chunks.push_front(chunk);
            }
            if !self.partial.is_empty() {
                self.keep(&line)?;
                line = Bytes::from(mem::take(&mut self.partial));
            }
            return Ok(Some(line));
        }
        Ok(None)
    }

    /// Takes away the LF of a CRLF that was cut in two, and a byte order mark at the very start.
    fn skip_start(&mut self, chunk: &mut Bytes) {
        if mem::take(&mut self.skip_lf) && chunk.first() == Some(&b'\n') {
            chunk.advance(1);
        }
        while let (Some(wanted), Some(first)) = (BOM.get(self.bom), chunk.first()) {
            if first == wanted {
                self.bom += 1;
                chunk.advance(1);
            } else {
                // No mark after all: what looked like one begins the first line.
                self.partial.extend_from_slice(&BOM[..self.bom]);
                self.bom = STARTED;
            }
        }
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), SseError> {
        if self.partial.first().or(part.first()) == Some(&b':') {
            self.partial = b":".to_vec();
            return Ok(());
        }
        self.check(self.partial.len() + part.len())?;
        self.partial.extend_from_slice(part);
        Ok(())
    }

    /// Whether a line of this size still fits into the event.
    fn check(&self, line: usize) -> Result<(), SseError> {
        if self.block.size + line > self.limit {
            return Err(SseError::TooLarge { limit: self.limit });
        }
        Ok(())
    }

    fn field(&mut self, line: &Bytes) -> Result<(), SseError> {
        let colon = memchr::memchr(b':', line);
        if colon == Some(0) {
            return Ok(());
        }
        self.check(line.len())?;
        self.block.size += line.len();
        let name = &line[..colon.unwrap_or(line.len())];
        let mut value = colon.map_or(line.len(), |colon| colon + 1);
        if line.get(value) == Some(&b' ') {
            value += 1;
        }
        let value = line.slice(value..);
        match name {
            b"data" => self.block.data.add(value),
            b"event" => self.block.event = Some(text(&value)).filter(|event| !event.is_empty()),
            b"id" if memchr::memchr(0, &value).is_none() => self.block.id = Some(text(&value)),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let time = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                self.block.retry = time.or(self.block.retry);
            }
            _ => {}
        }
        Ok(())
    }

    /// A blank line: the event is complete, if there is one.
    fn dispatch(&mut self) -> Option<SseEvent> {
        let block = mem::take(&mut self.block);
        if let Some(id) = &block.id {
            self.last_id = Some(id.clone()).filter(|id| !id.is_empty());
        }
        self.retry = block.retry.or(self.retry);
        let data = match block.data {
            Data::One(data) => data,
            Data::Many(data) => Bytes::from(data),
            Data::None => {
                // Without data there is no event; what else the block said is told with the next one.
                self.block.id = block.id;
                self.block.retry = block.retry;
                return None;
            }
        };
        Some(SseEvent { event: block.event.unwrap_or(MESSAGE), data, id: block.id, retry: block.retry })
    }

    fn advance(&mut self) -> Result<Option<SseEvent>, SseError> {
        while let Some(line) = self.line()? {
            if !line.is_empty() {
                self.field(&line)?;
            } else if let Some(event) = self.dispatch() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

impl Iterator for Decoder {
    type Item = Result<SseEvent, SseError>;

    /// The next event of the bytes so far. `None` means that more bytes are needed.
    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.advance().transpose();
        if let Some(Err(_)) = step {
            self.failed = true;
            self.chunks.clear();
            self.partial = Vec::new();
            self.block = Block::default();
        }
        step
    }
}

impl Data {
    fn add(&mut self, line: Bytes) {
        *self = match mem::take(self) {
            Self::None => Self::One(line),
            Self::One(first) => Self::Many([&*first, &*line].join(&b'\n')),
            many @ Self::Many(_) => many.with(&line),
        };
    }

    fn with(mut self, line: &[u8]) -> Self {
        if let Self::Many(joined) = &mut self {
            joined.push(b'\n');
            joined.extend_from_slice(line);
        }
        self
    }
}

fn text(bytes: &[u8]) -> Text {
    if bytes == MESSAGE.as_bytes() { MESSAGE } else { Text::from(&*String::from_utf8_lossy(bytes)) }
}

/// Writes one event. Line ends in the JSON, which can only stand between its tokens, become blanks: an event has one
/// line of data, whatever a peer's JSON looks like.
pub fn encode_event(out: &mut Vec<u8>, id: Option<&str>, event: Option<&str>, json: &[u8]) {
    // With room for the names and line ends around them.
    out.reserve([json.len(), id.map_or(0, str::len), event.map_or(0, str::len), 24].iter().sum());
    for (name, value) in [("id: ", id), ("event: ", event)] {
        let Some(value) = value else { continue };
        out.extend_from_slice(name.as_bytes());
        // A line end would begin another field, and a NUL makes an id void.
        out.extend(value.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    push_line(out, json);
    out.extend_from_slice(b"\n\n");
}

/// Writes a comment, which receivers ignore: a sign of life (check 78).
pub fn encode_comment(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b": ");
    push_line(out, text.as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Writes the time after which a client may reconnect, in milliseconds.
pub fn encode_retry(out: &mut Vec<u8>, milliseconds: u64) {
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Writes the empty event with which a stream begins that can be taken up again after this many milliseconds (spec
/// 2025-11-25: basic/transports): from then on its client has an id to come back with.
pub fn encode_start(out: &mut Vec<u8>, id: &str, milliseconds: u64) {
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(itoa::Buffer::new().format(milliseconds).as_bytes());
    out.push(b'\n');
    encode_event(out, Some(id), None, b"");
}

/// One line of these bytes, with line ends as blanks.
fn push_line(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..end]);
        out.push(b' ');
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests;

//! Just enough HTTP/1.1 for a benchmark's two ends: whole messages, kept connections, lengths and chunks.
//! It is this lean because both ends share one core and must not be what is measured. It trusts its peers:
//! nothing here may ever face a network.

use std::io;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No message of the benchmark is longer.
const LARGEST: usize = 4 * 1024 * 1024;
/// Enough for most messages, and for a large part of a 100 KB one.
const FIRST_BUFFER: usize = 32 * 1024;

/// One side of a kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    consumed: usize,
}

/// A message that has fully arrived.
pub(crate) struct Message<'a> {
    head: &'a [u8],
    /// Its body, chunks already joined.
    pub(crate) body: &'a [u8],
}

/// Where the body of a message ends.
enum Framing {
    Length(usize),
    Chunks,
}

impl Connection {
    /// Takes over a stream.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; FIRST_BUFFER], filled: 0, consumed: 0 })
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends two pieces without joining them first.
    pub(crate) async fn send_both(&mut self, first: &[u8], second: &[u8]) -> io::Result<()> {
        let sent = self.stream.write_vectored(&[io::IoSlice::new(first), io::IoSlice::new(second)]).await?;
        if sent < first.len() {
            self.stream.write_all(&first[sent..]).await?;
            return self.stream.write_all(second).await;
        }
        self.stream.write_all(&second[sent - first.len()..]).await
    }

    /// The next message; `None` when the peer closed between messages.
    pub(crate) async fn receive(&mut self) -> io::Result<Option<Message<'_>>> {
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= self.consumed;
        self.consumed = 0;
        let Some(head) = self.head().await? else { return Ok(None) };
        let end = match framing(&self.buffer[..head])? {
            Framing::Length(length) => {
                self.need(head + length).await?;
                self.consumed = head + length;
                head + length
            }
            Framing::Chunks => self.join_chunks(head).await?,
        };
        Ok(Some(Message { head: &self.buffer[..head], body: &self.buffer[head..end] }))
    }

    /// Waits for an event of the next message that holds `part`, and gives it without taking it: `receive` gives the
    /// whole message later. Events are taken for chunks, which is how they are sent.
    pub(crate) async fn event_with(&mut self, part: &[u8]) -> io::Result<&[u8]> {
        self.buffer.copy_within(self.consumed..self.filled, 0);
        self.filled -= self.consumed;
        self.consumed = 0;
        let head = self.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if let Framing::Length(length) = framing(&self.buffer[..head])? {
            self.need(head + length).await?;
            let body = String::from_utf8_lossy(&self.buffer[head..head + length.min(200)]);
            return Err(io::Error::other(format!("an answer instead of events: {body}")));
        }
        loop {
            let seen = &self.buffer[head..self.filled];
            let found = memmem::find(seen, part).map(|at| head + at);
            let end = found.and_then(|at| Some(at + memmem::find(&self.buffer[at..self.filled], b"\n\n")?));
            if let (Some(at), Some(end)) = (found, end) {
                let from = memmem::rfind(&self.buffer[..at], b"\n").map_or(head, |line| line + 1);
                return Ok(&self.buffer[from..end]);
            }
            self.fill().await?;
        }
    }

    /// Reads until the empty line; gives the length of the head with it.
    async fn head(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some(at) = memmem::find(&self.buffer[..self.filled], b"\r\n\r\n") {
                return Ok(Some(at + 4));
            }
            match self.fill().await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.filled == 0 => {
                    return Ok(None);
                }
                filled => filled?,
            }
        }
    }

    async fn need(&mut self, length: usize) -> io::Result<()> {
        while self.filled < length {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            if self.filled >= LARGEST {
                return Err(io::Error::other("a message longer than any of the benchmark"));
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += read;
        Ok(())
    }

    /// Moves the chunks together, behind the head; gives the end of the joined body.
    async fn join_chunks(&mut self, head: usize) -> io::Result<usize> {
        let (mut from, mut to) = (head, head);
        loop {
            let line = self.line(from).await?;
            let size = chunk_size(&self.buffer[from..line])?;
            if size == 0 {
                // Trailers are not used here: the empty line follows at once.
                self.consumed = self.line(line).await?;
                return Ok(to);
            }
            self.need(line + size + 2).await?;
            self.buffer.copy_within(line..line + size, to);
            to += size;
            from = line + size + 2;
        }
    }

    /// Where the line that begins at `from` ends, its line feed included.
    async fn line(&mut self, from: usize) -> io::Result<usize> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[from..self.filled]) {
                return Ok(from + at + 1);
            }
            self.fill().await?;
        }
    }
}

impl<'a> Message<'a> {
    /// The status of an answer; 0 where there is none.
    pub(crate) fn status(&self) -> u16 {
        let digits = self.head.get(9..12).and_then(|bytes| std::str::from_utf8(bytes).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// The method and path of a request.
    pub(crate) fn request_line(&self) -> &'a [u8] {
        self.head.split(|byte| *byte == b'\r').next().unwrap_or_default()
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        header(self.head, name)
    }
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let value = memchr::memchr_iter(b'\n', head).find_map(|end| {
        let (own, value) = head.get(end + 1..)?.split_at_checked(name.len())?;
        own.eq_ignore_ascii_case(name.as_bytes()).then_some(value)?.strip_prefix(b":")
    })?;
    let end = memchr::memchr(b'\r', value).unwrap_or(value.len());
    std::str::from_utf8(&value[..end]).ok().map(str::trim)
}

fn framing(head: &[u8]) -> io::Result<Framing> {
    if let Some(length) = header(head, "content-length") {
        return length.parse().map(Framing::Length).map_err(|_| io::Error::other("bad content-length"));
    }
    Ok(if header(head, "transfer-encoding").is_some() { Framing::Chunks } else { Framing::Length(0) })
}

fn chunk_size(line: &[u8]) -> io::Result<usize> {
    let text = std::str::from_utf8(line).ok().and_then(|text| text.split([';', '\r', '\n']).next());
    text.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
        .ok_or_else(|| io::Error::other("bad chunk size"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Feeds the bytes in pieces of the given size and collects (status, body) of each message.
    async fn received(bytes: &'static [u8], piece: usize) -> Vec<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = Connection::new(stream).unwrap();
        let feed = async move {
            for part in bytes.chunks(piece) {
                sender.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut found = Vec::new();
            while let Some(message) = connection.receive().await.unwrap() {
                found.push((message.status(), String::from_utf8(message.body.to_vec()).unwrap()));
            }
            found
        };
        tokio::join!(feed, read).1
    }

    #[tokio::test]
    async fn messages_are_the_same_however_they_are_cut() {
        let bytes = b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 5\r\n\r\nhello\
            HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n\
            HTTP/1.1 202 Accepted\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nz";
        let expected = [(200, "hello"), (404, "abc0123456789"), (202, ""), (200, "z")];
        let expected: Vec<_> = expected.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        for piece in [1, 2, 7, 64, bytes.len()] {
            assert_eq!(received(bytes, piece).await, expected, "pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn an_event_is_seen_before_its_message_is_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Connection::new(listener.accept().await.unwrap().0).unwrap();
        let begun =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n";
        sender.write_all(begun).await.unwrap();
        assert_eq!(connection.event_with(b"b").await.unwrap(), b"data: b");
        sender.write_all(b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz").await.unwrap();
        assert_eq!(connection.receive().await.unwrap().unwrap().body, b"data: a\n\ndata: b\n\n");
        let error = connection.event_with(b"b").await.unwrap_err();
        assert_eq!(error.to_string(), "an answer instead of events: z");
    }

    #[test]
    fn a_header_is_found_by_its_whole_name() {
        let head = b"POST / HTTP/1.1\r\nX-Mcp-Name: no\r\nMcp-Name-Too: no\r\nmcp-name:  yes \r\n\r\n";
        assert_eq!(header(head, "Mcp-Name"), Some("yes"));
        assert_eq!(header(head, "Mcp"), None);
    }
}

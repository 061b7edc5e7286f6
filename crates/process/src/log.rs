//! The last lines of a child's stderr. What a child says there is no error by itself (check 200); it goes to our own log
//! at debug level and stays at hand for the message that explains why the child ended.

use portreeve_model::ServerName;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How many lines are kept: a stack trace fits.
const LINES: usize = 200;
/// How much of a line is kept, in bytes. With [`LINES`] this bounds a child's log to 800 KiB.
const LINE: usize = 4 << 10;

/// A ring of lines.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Mutex<VecDeque<String>>,
}

impl Log {
    /// The kept lines, oldest first.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Reads a child's stderr to its end. A reading error ends it as well: the child's exit tells the rest.
    pub(crate) async fn drain(&self, server: &ServerName, mut stderr: impl AsyncRead + Unpin) {
        let mut cutter = Cutter::default();
        let mut buffer = vec![0; 4 << 10];
        let mut keep = |line: String| {
            tracing::debug!(%server, line, "stderr");
            self.push(line);
        };
        while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
            cutter.feed(&buffer[..length], &mut keep);
        }
        cutter.finish(&mut keep);
    }
}

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
struct Cutter {
    line: Vec<u8>,
    whole: Whole,
}

/// Whether the line is kept from its start to its end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Whole {
    #[default]
    Yes,
    Cut,
}

impl Cutter {
    fn feed(&mut self, bytes: &[u8], keep: &mut impl FnMut(String)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LINE - self.line.len();
            if text.len() > room {
                self.whole = Whole::Cut;
            }
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.emit(keep);
            }
        }
    }

    /// The last line may lack its line end.
    fn finish(&mut self, keep: &mut impl FnMut(String)) {
        if !self.line.is_empty() {
            self.emit(keep);
        }
    }

    fn emit(&mut self, keep: &mut impl FnMut(String)) {
        // Control characters would let a child paint on the terminal of whoever reads the log.
        let mut text: String = String::from_utf8_lossy(&self.line)
            .chars()
            .filter(|character| !character.is_control() || *character == '\t')
            .collect();
        if self.whole == Whole::Cut {
            text.push('…');
        }
        self.line.clear();
        self.whole = Whole::Yes;
        keep(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut cutter, mut lines) = (Cutter::default(), Vec::new());
        for piece in pieces {
            cutter.feed(piece, &mut |line| lines.push(line));
        }
        cutter.finish(&mut |line| lines.push(line));
        lines
    }

    #[test]
    fn lines_come_out_however_they_arrive() {
        let text = "one\n\ntwo\u{e4}\r\n\x1b[31mred\x1b[0m\tend\nlast";
        let expected = ["one", "", "two\u{e4}", "[31mred[0m\tend", "last"];
        assert_eq!(cut(&[text.as_bytes()]), expected);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(cut(&bytes), expected);
        assert_eq!(cut(&[b"bad \xff byte\n"]), ["bad \u{fffd} byte"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn long_lines_are_cut() {
        let exact = "x".repeat(LINE);
        assert_eq!(cut(&[exact.as_bytes(), b"\n"]), [&*exact]);
        let long = "x".repeat(LINE * 3 + 1);
        let lines = cut(&[long.as_bytes(), b"yy\nnext"]);
        assert_eq!(lines, [format!("{exact}…"), "next".to_owned()]);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let log = Log::default();
        for number in 0..LINES + 50 {
            log.push(number.to_string());
        }
        let tail = log.tail();
        assert_eq!((tail.len(), &*tail[0], &*tail[LINES - 1]), (LINES, "50", "249"));
    }
}

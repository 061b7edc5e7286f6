//! Which bytes of a text a scalar is. The parser counts characters, begins block scalars behind their header and lets quoted
//! ones run into a comment; a writer needs the exact range.

use saphyr_parser::{Marker, ScalarStyle, Span};
use std::ops::Range;

/// A text, with the places of its characters.
pub(crate) struct Source<'a> {
    text: &'a str,
    /// The byte of each character, where not every character is one byte.
    bytes: Option<Vec<usize>>,
    /// How many brackets and braces are open.
    flow: usize,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { text, bytes, flow: 0 }
    }

    pub(crate) fn byte(&self, marker: Marker) -> usize {
        let index = marker.index();
        match &self.bytes {
            None => index.min(self.text.len()),
            Some(bytes) => bytes.get(index).copied().unwrap_or(self.text.len()),
        }
    }

    /// Where the line begins that a document ends on.
    pub(crate) fn line_start(&self, marker: Marker) -> usize {
        let at = self.byte(marker);
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1).max(if marker.col() == 0 {
            at
        } else {
            0
        })
    }

    /// Whether a collection that begins here is written with brackets or braces.
    pub(crate) fn is_flow(&self, start: Marker) -> bool {
        self.text[self.byte(start)..].starts_with(['[', '{'])
    }

    /// A collection begins here.
    pub(crate) fn enter(&mut self, start: Marker) {
        if self.flow > 0 || self.is_flow(start) {
            self.flow += 1;
        }
    }

    /// A collection ends here.
    pub(crate) fn leave(&mut self) {
        self.flow = self.flow.saturating_sub(1);
    }

    /// Whether what is read now stands between brackets or braces.
    pub(crate) fn in_flow(&self) -> bool {
        self.flow > 0
    }

    /// The bytes of a scalar with its quotes or its header, without what follows it.
    pub(crate) fn extent(&self, span: Span, style: ScalarStyle) -> Range<usize> {
        let (start, end) = (self.byte(span.start), self.byte(span.end));
        match style {
            ScalarStyle::Plain => start..start + self.text[start..end].trim_end().len(),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                start..start + quoted(&self.text[start..end])
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header = header(&self.text[..start]);
                header..start + self.text[start..end].trim_end().len()
            }
        }
    }
}

/// The length of a quoted scalar that begins here; an anchor or a tag may stand before it.
fn quoted(text: &str) -> usize {
    let Some(open) = text.find(['"', '\'']) else { return text.len() };
    let quote = text.as_bytes()[open];
    let mut rest = text.bytes().enumerate().skip(open + 1).peekable();
    while let Some((at, byte)) = rest.next() {
        match byte {
            b'\\' if quote == b'"' => {
                rest.next();
            }
            _ if byte != quote => {}
            _ if quote == b'\'' && rest.peek().is_some_and(|(_, next)| *next == quote) => {
                rest.next();
            }
            _ => return at + 1,
        }
    }
    text.len()
}

/// Where the header of a block scalar is whose content begins behind this text: in the last line that is not empty. The
/// header stands behind a blank, so that neither a key nor a comment is taken for it.
fn header(before: &str) -> usize {
    let line = before.trim_end().rfind('\n').map_or(0, |newline| newline + 1);
    let mut earlier = b' ';
    for (at, byte) in before.bytes().enumerate().skip(line) {
        if matches!(byte, b'|' | b'>') && matches!(earlier, b' ' | b'\t') {
            return at;
        }
        earlier = byte;
    }
    before.len()
}

//! The scanner: one pass over bytes that are known to be UTF-8, without recursion and without a tree. It says where values
//! begin and end and what is wrong; what they mean is read by its callers.

use super::{JsonError, MAX_DEPTH};
use std::{borrow::Cow, ops::Range};

/// How many bytes of a string stand before its next quote, backslash or control character. Eight bytes at a time: strings
/// are most of what passes, and this is the one loop that sees each of their bytes.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The classic tests for "some byte is zero" and "some byte is below n"; the lowest hit is always a true one.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = control | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c));
        if hits != 0 {
            return at * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    bytes.len() - rest.len() + rest.iter().position(special).unwrap_or(rest.len())
}

/// A validating, iterative JSON scanner over bytes that are known to be UTF-8.
pub struct Scanner<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at the first byte; `depth` is cut to [`MAX_DEPTH`].
    pub fn new(bytes: &'a [u8], depth: usize) -> Self {
        Self { bytes, at: 0, depth: depth.min(MAX_DEPTH) }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn syntax<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax(self.at))
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.syntax()
        }
    }

    /// Scans one value and returns where it stands.
    pub(super) fn value(&mut self) -> Result<Range<usize>, JsonError> {
        let start = self.at;
        // One bit for each open bracket: 1 = object, 0 = array.
        let mut stack: u128 = 0;
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if open == self.depth {
                        return Err(JsonError::Depth(self.at));
                    }
                    self.at += 1;
                    open += 1;
                    stack = (stack << 1) + u128::from(bracket == b'{');
                    self.blank();
                    if self.peek() != Some(bracket + 2) {
                        if bracket == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    self.string()?;
                }
                Some(_) => self.scalar()?,
                None => return self.syntax(),
            }
            // A value has just ended (or an empty container is about to): close what closes, or go on to the next.
            if !self.after_value(&mut stack, &mut open)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Returns whether another value follows inside an open container.
    fn after_value(&mut self, stack: &mut u128, open: &mut usize) -> Result<bool, JsonError> {
        while *open > 0 {
            self.blank();
            let object = *stack & 1 == 1;
            match self.peek() {
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(b',') => {
                    self.at += 1;
                    self.blank();
                    if object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                _ => return self.syntax(),
            }
            self.at += 1;
            *stack >>= 1;
            *open -= 1;
        }
        Ok(false)
    }

    pub(super) fn key(&mut self) -> Result<Range<usize>, JsonError> {
        let range = self.string()?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(range)
    }

    /// Scans a string and returns the range between its quotes.
    pub(super) fn string(&mut self) -> Result<Range<usize>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => self.escape()?,
                _ => return self.syntax(),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return self.syntax();
                }
                self.at += 5;
            }
            _ => return self.syntax(),
        }
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        for literal in [&b"true"[..], b"false", b"null"] {
            if self.bytes[self.at..].starts_with(literal) {
                self.at += literal.len();
                return Ok(());
            }
        }
        self.number()
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.syntax() } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    pub(super) fn object_members(
        &mut self,
        visit: &mut impl FnMut(Cow<'a, [u8]>, usize, Range<usize>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.expect(b'{')?;
        self.blank();
        if self.peek() == Some(b'}') {
            return Ok(());
        }
        loop {
            let start = self.at;
            let key = self.key()?;
            let value = self.skip()?;
            visit(self.decoded(key), start, value)?;
            self.blank();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b'}'),
            }
            self.blank();
        }
    }

    pub(super) fn decoded(&self, inner: Range<usize>) -> Cow<'a, [u8]> {
        let raw = &self.bytes[inner.clone()];
        if !raw.contains(&b'\\') {
            return Cow::Borrowed(raw);
        }
        let quoted = &self.bytes[inner.start - 1..=inner.end];
        // A key with a lone surrogate has no text; its raw form is unique and matches no known key.
        let decoded = serde_json::from_slice::<String>(quoted);
        Cow::Owned(decoded.map_or_else(|_| raw.to_vec(), String::into_bytes))
    }

    /// Steps over a value that was checked before: only strings and brackets are looked at.
    pub(super) fn skip(&mut self) -> Result<Range<usize>, JsonError> {
        let start = self.at;
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.skip_string()?;
                }
                Some(b'{' | b'[') => {
                    self.at += 1;
                    open += 1;
                    continue;
                }
                Some(b'}' | b']') => {
                    let Some(outer) = open.checked_sub(1) else { return self.syntax() };
                    self.at += 1;
                    open = outer;
                }
                Some(b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') => {
                    self.at += 1;
                    continue;
                }
                Some(_) => {
                    let from = self.at;
                    while self
                        .peek()
                        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                    {
                        self.at += 1;
                    }
                    if self.at == from {
                        return self.syntax();
                    }
                }
                None => return self.syntax(),
            }
            if open == 0 {
                return Ok(start..self.at);
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            self.at += plain_prefix(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(_) => self.at += 2,
                None => return self.syntax(),
            }
        }
    }
}

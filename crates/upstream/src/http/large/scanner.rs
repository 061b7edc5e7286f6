//! An incremental JSON scanner for one JSON-RPC response: fed in pieces of any size, it says which part of each piece
//! belongs to the value of `result`. Keeps nothing but its place, the short values that decide something, and up to
//! three bytes of a character that two pieces share.

use portreeve_mcp::Era;
use std::ops::Range;

/// What is wrong, as the end of a sentence about the answer.
pub(super) type Fault = &'static str;

const SYNTAX: Fault = "is not valid JSON";
const UTF8: Fault = "is not valid UTF-8";
const DEPTH: Fault = "is nested too deeply";
const ENVELOPE: Fault = "is not a JSON-RPC result for this request";

/// The longest key or scalar that is looked at; longer keys are nobody's, longer numbers are refused.
const CAPTURE: usize = 512;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// After `[`.
    ValueOrEnd,
    /// After `{`.
    KeyOrEnd,
    /// After a comma in an object.
    Key,
    Colon,
    CommaOrEnd,
    /// After the whole value.
    Nothing,
}

/// Inside what the last byte ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    String,
    /// After a backslash.
    Escape,
    /// With this many hexadecimal digits to come.
    Unicode(u8),
    Scalar,
}

/// A member of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Version,
    Id,
    Result,
    Other,
}

/// The scanner.
pub(super) struct Scanner {
    id: u64,
    expect: Expect,
    inside: Inside,
    /// One bit for each open bracket: 1 = object.
    stack: u128,
    depth: usize,
    is_key: bool,
    /// The raw text of the string or scalar that is being read, if it may decide something.
    captured: Vec<u8>,
    overflow: bool,
    member: Member,
    /// Whether the value that is being read belongs to the `resultType` of the result.
    at_type: bool,
    seen_version: bool,
    seen_id: bool,
    seen_result: bool,
    in_result: bool,
    complete: bool,
    /// The beginning of a character whose end is in the next piece.
    partial: [u8; 4],
    partial_len: usize,
}

impl Scanner {
    pub(super) fn new(era: Era, id: u64) -> Self {
        Self {
            id,
            expect: Expect::Value,
            inside: Inside::Nothing,
            stack: 0,
            depth: 0,
            is_key: false,
            captured: Vec::new(),
            overflow: false,
            member: Member::Other,
            at_type: false,
            seen_version: false,
            seen_id: false,
            seen_result: false,
            in_result: false,
            complete: era == Era::Legacy,
            partial: [0; 4],
            partial_len: 0,
        }
    }

    /// Whether it is certain that this is a complete result.
    pub(super) fn is_certain(&self) -> bool {
        self.seen_result && self.complete
    }

    /// Takes the next piece; gives the part of it that belongs to the result.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<Option<Range<usize>>, Fault> {
        self.check_utf8(piece)?;
        let mut start = self.in_result.then_some(0);
        let mut end = None;
        let mut at = 0;
        while at < piece.len() {
            let was = self.in_result;
            let next = self.step(piece, at)?;
            if !was && self.in_result {
                start = Some(at);
            }
            if was && !self.in_result {
                end = Some(next);
            }
            at = next;
        }
        Ok(start.map(|start| start..end.unwrap_or(piece.len())))
    }

    /// The answer has ended.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.expect != Expect::Nothing || self.inside != Inside::Nothing || self.partial_len > 0 {
            return Err("broke off");
        }
        if self.seen_version && self.seen_id && self.seen_result { Ok(()) } else { Err(ENVELOPE) }
    }

    /// Reads from here to the end of something; gives where it got to, which is at least one byte further.
    fn step(&mut self, piece: &[u8], at: usize) -> Result<usize, Fault> {
        match self.inside {
            Inside::String => self.string(piece, at),
            Inside::Escape => self.escape(piece[at]).map(|()| at + 1),
            Inside::Unicode(left) => {
                if !piece[at].is_ascii_hexdigit() {
                    return Err(SYNTAX);
                }
                self.capture(&piece[at..=at]);
                self.inside = if left == 1 { Inside::String } else { Inside::Unicode(left - 1) };
                Ok(at + 1)
            }
            Inside::Scalar => self.scalar(piece, at),
            Inside::Nothing => self.token(piece[at]).map(|()| at + 1),
        }
    }

    fn string(&mut self, piece: &[u8], at: usize) -> Result<usize, Fault> {
        let rest = &piece[at..];
        let found = memchr::memchr2(b'"', b'\\', rest);
        let plain = &rest[..found.unwrap_or(rest.len())];
        if plain.iter().any(|byte| *byte < 0x20) {
            return Err(SYNTAX);
        }
        self.capture(plain);
        let Some(found) = found else { return Ok(piece.len()) };
        if rest[found] == b'\\' {
            self.capture(b"\\");
            self.inside = Inside::Escape;
        } else {
            self.inside = Inside::Nothing;
            self.string_ended()?;
        }
        Ok(at + found + 1)
    }

    fn escape(&mut self, byte: u8) -> Result<(), Fault> {
        self.capture(&[byte]);
        self.inside = match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Inside::String,
            b'u' => Inside::Unicode(4),
            _ => return Err(SYNTAX),
        };
        Ok(())
    }

    fn scalar(&mut self, piece: &[u8], at: usize) -> Result<usize, Fault> {
        let rest = &piece[at..];
        let end = rest.iter().position(|byte| !is_scalar(*byte));
        self.captured.extend_from_slice(&rest[..end.unwrap_or(rest.len()).min(CAPTURE + 1)]);
        if self.captured.len() > CAPTURE {
            return Err(SYNTAX);
        }
        let Some(end) = end else { return Ok(piece.len()) };
        self.inside = Inside::Nothing;
        self.scalar_ended()?;
        // The byte that ended it is still to be read.
        self.token(rest[end])?;
        Ok(at + end + 1)
    }

    fn token(&mut self, byte: u8) -> Result<(), Fault> {
        match (byte, self.expect) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => Ok(()),
            (b'{' | b'[', Expect::Value | Expect::ValueOrEnd) => self.open(byte),
            (b'"', Expect::Value | Expect::ValueOrEnd) => {
                self.begin_value(byte)?;
                self.begin(Inside::String, false);
                Ok(())
            }
            (b'"', Expect::Key | Expect::KeyOrEnd) => {
                self.begin(Inside::String, true);
                Ok(())
            }
            (b':', Expect::Colon) => {
                self.expect = Expect::Value;
                Ok(())
            }
            (b',', Expect::CommaOrEnd) => {
                self.expect = if self.stack & 1 == 1 { Expect::Key } else { Expect::Value };
                Ok(())
            }
            (b'}', Expect::CommaOrEnd | Expect::KeyOrEnd) if self.stack & 1 == 1 => self.close(),
            (b']', Expect::CommaOrEnd | Expect::ValueOrEnd) if self.stack & 1 == 0 => self.close(),
            (_, Expect::Value | Expect::ValueOrEnd) if is_scalar(byte) => {
                self.begin_value(byte)?;
                self.begin(Inside::Scalar, false);
                self.captured.push(byte);
                Ok(())
            }
            _ => Err(SYNTAX),
        }
    }

    fn begin(&mut self, inside: Inside, is_key: bool) {
        self.inside = inside;
        self.is_key = is_key;
        self.captured.clear();
        self.overflow = false;
    }

    /// Keeps short strings where they may decide something: keys and values of the envelope and of the result.
    fn capture(&mut self, text: &[u8]) {
        let matters = self.depth == 1 || (self.depth == 2 && (self.is_key || self.at_type));
        if !matters {
            return;
        }
        self.overflow |= self.captured.len() + text.len() > CAPTURE;
        if !self.overflow {
            self.captured.extend_from_slice(text);
        }
    }

    fn open(&mut self, bracket: u8) -> Result<(), Fault> {
        self.begin_value(bracket)?;
        if self.depth == portreeve_mcp::json::MAX_DEPTH {
            return Err(DEPTH);
        }
        self.depth += 1;
        self.stack = self.stack << 1 | u128::from(bracket == b'{');
        self.expect = if bracket == b'{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd };
        self.at_type = false;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.stack >>= 1;
        self.depth -= 1;
        self.value_ended();
        Ok(())
    }

    /// A value begins: in the envelope it matters which.
    fn begin_value(&mut self, byte: u8) -> Result<(), Fault> {
        match (self.depth, self.member) {
            (0, _) if byte != b'{' => Err(ENVELOPE),
            (1, Member::Result) if byte != b'{' || self.seen_result => Err(ENVELOPE),
            (1, Member::Result) => {
                self.seen_result = true;
                self.in_result = true;
                Ok(())
            }
            (1, Member::Id) if self.seen_id || matches!(byte, b'{' | b'[' | b'"') => Err(ENVELOPE),
            (1, Member::Version) if self.seen_version || byte != b'"' => Err(ENVELOPE),
            _ => Ok(()),
        }
    }

    fn value_ended(&mut self) {
        if self.depth == 1 {
            self.in_result = false;
        }
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrEnd };
    }

    fn string_ended(&mut self) -> Result<(), Fault> {
        if self.is_key {
            self.expect = Expect::Colon;
            return self.key_ended();
        }
        if self.depth == 1 && self.member == Member::Version {
            self.seen_version = true;
            if self.captured != b"2.0" {
                return Err(ENVELOPE);
            }
        }
        if self.at_type {
            self.complete = !self.overflow && self.captured == b"complete";
            self.at_type = false;
            if !self.complete {
                return Err("is not complete");
            }
        }
        self.value_ended();
        Ok(())
    }

    fn key_ended(&mut self) -> Result<(), Fault> {
        self.at_type = false;
        if self.depth == 1 {
            self.member = match self.key().as_deref() {
                Some("jsonrpc") => Member::Version,
                Some("id") => Member::Id,
                Some("result") => Member::Result,
                Some("error" | "method") => return Err(ENVELOPE),
                _ => Member::Other,
            };
        } else if self.depth == 2 && self.in_result {
            self.at_type = !self.complete && self.key().as_deref() == Some("resultType");
        }
        Ok(())
    }

    fn key(&self) -> Option<String> {
        if self.overflow {
            return None;
        }
        if !self.captured.contains(&b'\\') {
            return String::from_utf8(self.captured.clone()).ok();
        }
        let quoted = [b"\"", self.captured.as_slice(), b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }

    fn scalar_ended(&mut self) -> Result<(), Fault> {
        if serde_json::from_slice::<&serde_json::value::RawValue>(&self.captured).is_err() {
            return Err(SYNTAX);
        }
        if self.depth == 1 && self.member == Member::Id {
            self.seen_id = true;
            if self.captured != itoa::Buffer::new().format(self.id).as_bytes() {
                return Err(ENVELOPE);
            }
        }
        self.value_ended();
        Ok(())
    }

    fn check_utf8(&mut self, piece: &[u8]) -> Result<(), Fault> {
        let mut piece = piece;
        while self.partial_len > 0 {
            let Some((first, rest)) = piece.split_first() else { return Ok(()) };
            self.partial[self.partial_len] = *first;
            self.partial_len += 1;
            piece = rest;
            match std::str::from_utf8(&self.partial[..self.partial_len]) {
                Ok(_) => self.partial_len = 0,
                Err(error) if error.error_len().is_some() || self.partial_len == 4 => return Err(UTF8),
                Err(_) => {}
            }
        }
        if let Err(error) = std::str::from_utf8(piece) {
            if error.error_len().is_some() {
                return Err(UTF8);
            }
            let rest = &piece[error.valid_up_to()..];
            self.partial[..rest.len()].copy_from_slice(rest);
            self.partial_len = rest.len();
        }
        Ok(())
    }
}

/// Bytes of numbers and literals.
fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the text in pieces; gives the result's text.
    fn scan(era: Era, pieces: &[&[u8]]) -> Result<String, Fault> {
        let mut scanner = Scanner::new(era, 7);
        let mut found = Vec::new();
        for piece in pieces {
            if let Some(range) = scanner.feed(piece)? {
                found.extend_from_slice(&piece[range]);
            }
        }
        scanner.finish()?;
        Ok(String::from_utf8(found).unwrap())
    }

    const GOOD: [(&str, &str); 5] = [
        (r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","a":[1,{"b":null}]}}"#, "first"),
        (
            r#" { "result" : {"x":"é\"\\}\u00e9", "resultType" : "complete" } , "id" : 7 , "jsonrpc":"2.0" } "#,
            "spaced",
        ),
        (
            r#"{"result":{"resultType":"complete","n":-1.5e+10,"t":true},"jsonrpc":"2.0","id":7,"more":[[]]}"#,
            "numbers",
        ),
        (
            r#"{"res\u0075lt":{"resultType":"complete","result":{"id":9}},"jsonrpc":"2.0","id":7}"#,
            "escaped key",
        ),
        (
            r#"{"jsonrpc":"2.0","other":{"resultType":"odd"},"id":7,"result":{"resultType":"complete","😀":"😀"}}"#,
            "emoji",
        ),
    ];

    #[test]
    fn the_result_is_found_however_the_answer_is_cut() {
        for (text, name) in GOOD {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let whole = scan(Era::Modern, &[text.as_bytes()]).unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(&whole).unwrap(), value["result"], "{name}");
            assert!(text.contains(&whole), "{name}: byte for byte");
            for first in 0..text.len() {
                let (a, b) = text.as_bytes().split_at(first);
                assert_eq!(scan(Era::Modern, &[a, b]).as_ref(), Ok(&whole), "{name} cut at {first}");
                let (b, c) = b.split_at(b.len() / 2);
                assert_eq!(
                    scan(Era::Modern, &[a, b, c]).as_ref(),
                    Ok(&whole),
                    "{name} cut at {first} and once more"
                );
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(scan(Era::Modern, &bytes), Ok(whole), "{name} byte by byte");
        }
    }

    #[test]
    fn certainty_comes_with_the_type_in_the_modern_era_and_with_the_result_in_the_legacy_one() {
        for (era, text, certain) in [
            (Era::Modern, r#"{"id":7,"result":{"a":1"#, false),
            (Era::Modern, r#"{"id":7,"result":{"a":{"resultType":"complete""#, false),
            (Era::Modern, r#"{"id":7,"result":{"resultType":"complete""#, true),
            (Era::Legacy, r#"{"id":7,"result""#, false),
            (Era::Legacy, r#"{"id":7,"result":{"#, true),
        ] {
            let mut scanner = Scanner::new(era, 7);
            scanner.feed(text.as_bytes()).unwrap();
            assert_eq!(scanner.is_certain(), certain, "{text}");
        }
    }

    #[test]
    fn what_a_decoder_would_refuse_is_refused() {
        let deep = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":{}"#, "[".repeat(200));
        for (text, fault) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{}"#, "broke off"),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":"#, "broke off"),
            (r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, ENVELOPE),
            (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, ENVELOPE),
            (r#"{"jsonrpc":"2.0","result":{}}"#, ENVELOPE),
            (r#"{"jsonrpc":"1.0","id":7,"result":{}}"#, ENVELOPE),
            (r#"{"id":7,"result":{}}"#, ENVELOPE),
            (r#"{"jsonrpc":"2.0","id":7,"result":{},"result":{}}"#, ENVELOPE),
            (r#"{"jsonrpc":"2.0","id":7,"error":{}}"#, ENVELOPE),
            (r#"{"jsonrpc":"2.0","id":7,"result":[]}"#, ENVELOPE),
            (r#"[{"jsonrpc":"2.0"}]"#, ENVELOPE),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":01}}"#, SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":tru}}"#, SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a" 1}}"#, SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":1,}}"#, SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1}}"#, SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":"\x"}}"#, SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{"a":"\u12g4"}}"#, SYNTAX),
            ("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":\"\n\"}}", SYNTAX),
            (r#"{"jsonrpc":"2.0","id":7,"result":{}} x"#, SYNTAX),
            (&deep, DEPTH),
        ] {
            assert_eq!(scan(Era::Legacy, &[text.as_bytes()]), Err(fault), "{text}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(scan(Era::Legacy, &bytes), Err(fault), "{text} byte by byte");
        }
        let odd = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}"#;
        assert_eq!(scan(Era::Modern, &[odd.as_bytes()]), Err("is not complete"));
        for bad in [&b"{\"a\":\"\xff\"}"[..], b"{\"a\":\"\xc3\"}", b"{\"a\":\"\xf0\x9f\x98\"}"] {
            assert_eq!(scan(Era::Legacy, &[bad]), Err(UTF8));
            let bytes: Vec<&[u8]> = bad.chunks(1).collect();
            assert_eq!(scan(Era::Legacy, &bytes), Err(UTF8));
        }
    }
}

//! Raw JSON that is checked once and then passed byte for byte, and the scanner that checks it.
//! A value is never turned into a tree here; what a step needs is looked at, edits are splices.
//! The scanner is iterative and total: hostile input costs one pass and no stack.

mod scan;
mod text;

pub use scan::Scanner;
pub use text::Text;

use bytes::Bytes;
use std::{borrow::Cow, fmt, ops::Range};

/// The deepest nesting that is accepted anywhere unless a caller asks for less; the bound of the scanner's bit stack.
pub const MAX_DEPTH: usize = 128;

/// Why bytes are not one acceptable JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not valid UTF-8 (at byte {0})")]
    Utf8(usize),
    /// Not JSON.
    #[error("not valid JSON (at byte {0})")]
    Syntax(usize),
    /// Nested too deeply.
    #[error("nested too deeply (at byte {0})")]
    Depth(usize),
    /// The same key twice in an object that is read (decision D14).
    #[error("an object has the same key twice (at byte {0})")]
    DuplicateKey(usize),
    /// An object was needed.
    #[error("not an object")]
    NotObject,
}

/// One complete, valid JSON value without surrounding blanks. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawJson(Bytes);

/// The type of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// One member of an object: its key decoded, its value raw.
#[derive(Debug, Clone)]
pub struct Member {
    /// The key, escapes resolved.
    pub key: Text,
    /// The value.
    pub value: RawJson,
}

impl RawJson {
    /// `{}`
    pub const EMPTY_OBJECT: Self = Self(Bytes::from_static(b"{}"));
    /// `null`
    pub const NULL: Self = Self(Bytes::from_static(b"null"));

    /// Checks that the bytes are exactly one JSON value, nested at most `depth` levels.
    pub fn parse(bytes: &Bytes, depth: usize) -> Result<Self, JsonError> {
        if let Err(error) = std::str::from_utf8(bytes) {
            return Err(JsonError::Utf8(error.valid_up_to()));
        }
        let mut scan = Scanner::new(bytes, depth);
        scan.blank();
        let range = scan.value()?;
        scan.blank();
        if scan.at < bytes.len() {
            return Err(JsonError::Syntax(scan.at));
        }
        Ok(Self(bytes.slice(range)))
    }

    /// Parses text that the program itself made or a test wrote.
    pub fn from_text(text: &str) -> Result<Self, JsonError> {
        Self::parse(&Bytes::copy_from_slice(text.as_bytes()), MAX_DEPTH)
    }

    /// A value from a literal of the program, known to be valid JSON.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// Takes JSON that the program has just written with [`write_member`] and the like. Checked in debug builds.
    pub fn built(bytes: Vec<u8>) -> Self {
        let raw = Self(bytes.into());
        debug_assert!(Self::parse(&raw.0, MAX_DEPTH).is_ok(), "not JSON: {raw:?}");
        raw
    }

    /// Takes bytes that are JSON by construction (written by this crate's encoders).
    pub(crate) fn trusted(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Encodes a value; `null` for what JSON cannot express (a map with keys that are no strings).
    pub fn encode<T: serde::Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_vec(value).map_or(Self::NULL, |bytes| Self(bytes.into()))
    }

    /// A JSON string with this content.
    pub fn string(text: &str) -> Self {
        let mut out = Vec::with_capacity(text.len().saturating_add(2));
        write_string(&mut out, text);
        Self(out.into())
    }

    /// The same value in bytes of its own, for whoever keeps it longer than the message that it came in: a slice holds the
    /// whole buffer of its message.
    #[must_use]
    pub fn detached(&self) -> Self {
        match self.as_bytes() {
            b"{}" => Self::EMPTY_OBJECT,
            bytes => Self(Bytes::copy_from_slice(bytes)),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, shared.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The type of the value.
    pub fn kind(&self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The content of a JSON string, escapes resolved; `None` for other types.
    pub fn string_value(&self) -> Option<Text> {
        if self.kind() != Kind::String {
            return None;
        }
        let inner = 1..self.0.len().saturating_sub(1);
        if memchr::memchr(b'\\', &self.0[inner.clone()]).is_none() {
            return Some(Text(self.0.slice(inner)));
        }
        serde_json::from_slice::<String>(&self.0).ok().map(Text::from)
    }

    /// The value as a tree, for the few payloads that are really edited.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0).unwrap_or(serde_json::Value::Null)
    }

    /// Reads the value into a type.
    pub fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_slice(&self.0).ok()
    }

    /// The members of an object in their order. Duplicate keys are refused (decision D14).
    pub fn members(&self) -> Result<Vec<Member>, JsonError> {
        let mut members: Vec<Member> = Vec::with_capacity(8);
        self.walk(|key, start, value| {
            let key = match key {
                Cow::Borrowed(bytes) => Text(self.0.slice_ref(bytes)),
                Cow::Owned(bytes) => Text(bytes.into()),
            };
            if members.iter().any(|member| member.key == key) {
                return Err(JsonError::DuplicateKey(start));
            }
            members.push(Member { key, value: Self(self.0.slice(value)) });
            Ok(())
        })?;
        Ok(members)
    }

    /// The first member of that name, if this is an object that has it.
    pub fn get(&self, wanted: &str) -> Option<Self> {
        let [found] = self.get_all([wanted]);
        found
    }

    /// The first member of each of these names, in one scan that ends with the last one found.
    pub(crate) fn get_all<const N: usize>(&self, wanted: [&str; N]) -> [Option<Self>; N] {
        let mut found = [const { None }; N];
        let _ = self.walk(|key, at, value| {
            let Some(index) = wanted.iter().position(|name| name.as_bytes() == &*key) else { return Ok(()) };
            found[index].get_or_insert_with(|| Self(self.0.slice(value)));
            // Any error ends the walk.
            if found.iter().all(Option::is_some) { Err(JsonError::Syntax(at)) } else { Ok(()) }
        });
        found
    }

    /// The elements of an array; `None` for other types.
    pub fn elements(&self) -> Option<Vec<Self>> {
        if self.kind() != Kind::Array {
            return None;
        }
        let mut scan = Scanner::new(&self.0, MAX_DEPTH);
        let mut elements = Vec::new();
        scan.at = 1;
        loop {
            scan.blank();
            if scan.peek() == Some(b']') {
                return Some(elements);
            }
            elements.push(Self(self.0.slice(scan.skip().ok()?)));
            scan.blank();
            if scan.peek() == Some(b',') {
                scan.at += 1;
            }
        }
    }

    /// An array of these values.
    pub(crate) fn array<'a>(elements: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut out = vec![b'['];
        for element in elements {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(&element.0);
        }
        out.push(b']');
        Self(out.into())
    }

    /// The object with some members dropped and others set (at their place, or at the end). Not an object: as it is.
    #[must_use]
    pub fn with(&self, drop: &[&str], set: &[(&str, &RawJson)]) -> Self {
        if self.kind() != Kind::Object {
            return self.clone();
        }
        let room: usize = set.iter().flat_map(|(key, value)| [key.len(), value.0.len(), 4]).sum();
        let mut out = Vec::with_capacity(self.0.len().saturating_add(room));
        out.push(b'{');
        let mut done = vec![false; set.len()];
        let _ = self.walk(|key, _, value| {
            if drop.iter().any(|name| name.as_bytes() == &*key) {
                return Ok(());
            }
            let replaced = set.iter().position(|(name, _)| name.as_bytes() == &*key);
            let bytes = replaced.map_or(&self.0[value], |index| {
                done[index] = true;
                set[index].1.as_bytes()
            });
            write_member(&mut out, std::str::from_utf8(&key).unwrap_or_default(), bytes);
            Ok(())
        });
        for ((name, value), _) in set.iter().zip(done).filter(|(_, done)| !done) {
            write_member(&mut out, name, value.as_bytes());
        }
        out.push(b'}');
        Self(out.into())
    }

    fn walk<'a>(
        &'a self,
        mut visit: impl FnMut(Cow<'a, [u8]>, usize, Range<usize>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        if self.kind() != Kind::Object {
            return Err(JsonError::NotObject);
        }
        let mut scan = Scanner::new(&self.0, MAX_DEPTH);
        scan.object_members(&mut visit)
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<serde_json::Value> for RawJson {
    fn from(value: serde_json::Value) -> Self {
        Self::encode(&value)
    }
}

/// Writes `"key":value`, with a comma unless the output ends with `{`.
pub fn write_member(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    write_string(out, key);
    out.push(b':');
    out.extend_from_slice(value);
}

/// Writes a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to a vector cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests;

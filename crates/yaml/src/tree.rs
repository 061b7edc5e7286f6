//! A YAML document as a tree that remembers where everything stands and what was written twice.
//! Scalars keep their source text: `7.10` stays `7.10`, and what a scalar means is decided by the key that reads it.
//! One document, no tags; aliases are copied, within a bound.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};
use std::collections::HashMap;

/// How much a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels; deeper is an accident or an attack on whoever reads the tree.
    pub depth: usize,
    /// Values. Bounds what aliases of aliases can make of a short file.
    pub nodes: usize,
}

impl Limits {
    /// What people write: a configuration nests about six levels, a template's output about twenty.
    pub const PEOPLE: Self = Self { depth: 32, nodes: 50_000 };
    /// What people let a program write: ten thousand nodes of a cluster, and what a template makes of them.
    pub const LONG: Self = Self { depth: 32, nodes: 500_000 };
    /// What programs write, such as definitions of kinds.
    pub const PROGRAMS: Self = Self { depth: 128, nodes: 4_000_000 };
}

/// A place in the file, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One node of the tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub mark: Mark,
    /// The index of the node's first character in the source.
    pub start: usize,
    /// The index after its last character; a block of text may reach to the next key.
    pub end: usize,
    /// What it is.
    pub data: Data,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Data {
    /// Nothing at all, `~` or `null`.
    Empty,
    /// A text, a number or a truth value.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name.
    Map(Vec<Entry>),
}

/// A scalar as it was written, before references are resolved.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// Its text, without quotes and escapes.
    pub text: String,
    /// How it was written.
    pub style: Style,
}

/// Whether a scalar could be a number or a truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In quotes, or as a block.
    Quoted,
}

/// A key and its value, in the order of the file; keys may be repeated here, the reader refuses them.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub mark: Mark,
    /// The index of the key's first character in the source.
    pub start: usize,
    /// The value.
    pub value: Node,
}

/// Why there is no tree.
#[derive(Debug)]
pub struct Unreadable {
    /// Where the trouble is.
    pub mark: Mark,
    /// What it is.
    pub what: String,
}

/// Reads the one document of a text; an empty text is an empty node.
///
/// # Errors
/// Why there is no tree, with the place.
pub fn parse(text: &str) -> Result<Node, Unreadable> {
    parse_within(text, Limits::PEOPLE)
}

/// Reads the one document of a text that may be larger or deeper than what people write.
///
/// # Errors
/// As those of [`parse`].
pub fn parse_within(text: &str, limits: Limits) -> Result<Node, Unreadable> {
    let source: Vec<char> = text.chars().collect();
    let lines = starts(&source);
    let parser = Parser::new_from_str(text);
    let mut builder = Builder { parser, source, lines, limits, anchors: HashMap::new(), nodes: 0 };
    let mut root = Node { mark: Mark { line: 1, column: 1 }, start: 0, end: 0, data: Data::Empty };
    let mut documents = 0;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) if documents == 1 => {
                return Err(unreadable(
                    span.start,
                    "a second YAML document starts here; this file is one document",
                ));
            }
            Event::DocumentStart(_) => documents += 1,
            other => root = builder.node(other, span, 0)?,
        }
    }
    Ok(root)
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: Vec<char>,
    /// Where each line begins.
    lines: Vec<usize>,
    limits: Limits,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Unreadable> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                Err(unreadable(*error.marker(), &format!("not valid YAML: {}", error.info())))
            }
        }
    }

    /// The next event inside a collection, where the end of the stream cannot come.
    fn inner(&mut self, span: Span) -> Result<(Event<'a>, Span), Unreadable> {
        self.next()?.ok_or_else(|| unreadable(span.start, "the document ends too early"))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Unreadable> {
        self.count(1, span)?;
        if depth > self.limits.depth {
            let what = format!("nested deeper than {} levels", self.limits.depth);
            return Err(unreadable(span.start, &what));
        }
        let (start, mut end) = (self.index(span.start), self.index(span.end));
        let (data, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                end = self.end(span, style);
                (scalar(text.into_owned(), style), anchor, tag)
            }
            Event::SequenceStart(anchor, tag) => (self.list(span, depth, &mut end)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.map(span, depth, &mut end)?, anchor, tag),
            _ => return Err(unreadable(span.start, "not valid YAML here")),
        };
        if tag.is_some() {
            return Err(unreadable(span.start, "YAML tags (`!…`) have no meaning in this file"));
        }
        let node = Node { mark: mark(span.start), start, end, data };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The index of a place in the source. The parser's own index counts the bytes of a directive, not its characters.
    fn index(&self, marker: Marker) -> usize {
        let start = self.lines.get(marker.line().saturating_sub(1)).copied();
        start.map_or(self.source.len(), |start| (start + marker.col()).min(self.source.len()))
    }

    /// Where a scalar ends: behind one in quotes the parser also counts a comment.
    fn end(&self, span: Span, style: ScalarStyle) -> usize {
        let (start, end) = (self.index(span.start), self.index(span.end));
        let quote = match style {
            ScalarStyle::SingleQuoted => '\'',
            ScalarStyle::DoubleQuoted => '"',
            _ => return end,
        };
        let mut at = start + 1;
        while at < end {
            match self.source[at] {
                '\\' if quote == '"' => at += 1,
                // Within single quotes two stand for one.
                c if c == quote && quote == '\'' && self.source.get(at + 1) == Some(&quote) => at += 1,
                c if c == quote => return at + 1,
                _ => {}
            }
            at += 1;
        }
        end
    }

    fn list(&mut self, span: Span, depth: usize, end: &mut usize) -> Result<Data, Unreadable> {
        let mut items = Vec::new();
        loop {
            match self.inner(span)? {
                (Event::SequenceEnd, last) => {
                    *end = self.index(last.end);
                    return Ok(Data::List(items));
                }
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, span: Span, depth: usize, end: &mut usize) -> Result<Data, Unreadable> {
        let mut entries = Vec::new();
        loop {
            let (key, at, start) = match self.inner(span)? {
                (Event::MappingEnd, last) => {
                    *end = self.index(last.end);
                    return Ok(Data::Map(entries));
                }
                (Event::Scalar(key, ..), at) => (key.into_owned(), mark(at.start), self.index(at.start)),
                (_, at) => return Err(unreadable(at.start, "a key must be a plain word")),
            };
            let (event, span) = self.inner(span)?;
            let mut value = self.node(event, span, depth + 1)?;
            if matches!(value.data, Data::Empty) {
                // The parser puts an absent value anywhere up to the next key; the key is where a person looks.
                value.mark = at;
            }
            entries.push(Entry { key, mark: at, start, value });
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Unreadable> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(unreadable(span.start, "this alias names an anchor that is not complete yet"));
        };
        self.count(size(&node), span)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Unreadable> {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            let what = format!("more than {} values, aliases included", self.limits.nodes);
            return Err(unreadable(span.start, &what));
        }
        Ok(())
    }
}

/// Where each line begins; lines end as YAML 1.2 has it.
fn starts(source: &[char]) -> Vec<usize> {
    let ends = |at: &usize| match source[*at] {
        '\n' => true,
        '\r' => source.get(at + 1) != Some(&'\n'),
        _ => false,
    };
    let after = (0..source.len()).filter(ends).map(|at| at + 1);
    std::iter::once(0).chain(after).collect()
}

fn scalar(text: String, style: ScalarStyle) -> Data {
    match style {
        ScalarStyle::Plain if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => Data::Empty,
        ScalarStyle::Plain => Data::Scalar(Scalar { text, style: Style::Plain }),
        _ => Data::Scalar(Scalar { text, style: Style::Quoted }),
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.data {
        Data::Empty | Data::Scalar(_) => 0,
        Data::List(items) => items.iter().map(size).sum::<usize>(),
        Data::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
    }
}

fn mark(marker: Marker) -> Mark {
    Mark { line: marker.line(), column: marker.col() + 1 }
}

fn unreadable(marker: Marker, what: &str) -> Unreadable {
    Unreadable { mark: mark(marker), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(node: &'a Node, key: &str) -> &'a Node {
        let Data::Map(entries) = &node.data else { panic!("no map") };
        &entries.iter().find(|entry| entry.key == key).unwrap().value
    }

    #[test]
    fn a_value_knows_its_place_and_how_long_it_is() {
        let text =
            "---\na: 10.0.0.1 # one\nü: {b: \"x\\\"y\", c: [1, 2]}\nd: \"e\" # two\nf: 'it''s' # three\n";
        let tree = parse(text).unwrap();
        let source: Vec<char> = text.chars().collect();
        let inner = at(&tree, "ü");
        for (node, mark, written) in [
            (at(&tree, "a"), (2, 4), "10.0.0.1"),
            (at(inner, "b"), (3, 8), "\"x\\\"y\""),
            (at(inner, "c"), (3, 19), "[1, 2]"),
            (at(&tree, "d"), (4, 4), "\"e\""),
            (at(&tree, "f"), (5, 4), "'it''s'"),
        ] {
            assert_eq!((node.mark.line, node.mark.column), mark);
            assert_eq!(source[node.start..node.end].iter().collect::<String>(), written);
        }
    }

    #[test]
    fn a_directive_moves_no_place() {
        for (text, written) in [("%ü𐌸𐌸\n--- 2", "2"), ("%YAML 1.2\r\n---\r\n\"ü\" # ü\r\n", "\"ü\"")]
        {
            let tree = parse(text).unwrap();
            let source: Vec<char> = text.chars().collect();
            assert_eq!(source[tree.start..tree.end].iter().collect::<String>(), written);
        }
    }

    #[test]
    fn what_was_written_twice_is_there_twice() {
        let tree = parse("a: 1\na: 2\n").unwrap();
        let Data::Map(entries) = &tree.data else { panic!("no map") };
        assert_eq!(entries.iter().map(|entry| entry.mark.line).collect::<Vec<_>>(), [1, 2]);
    }
}

//! A YAML document as a tree that remembers where everything stands and what was written twice.
//! Scalars keep their source text: `7.10` stays `7.10`, and what a scalar means is decided by the key that reads it.
//! One document, no tags; aliases are copied, within a bound.

use super::problem::Mark;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};
use std::collections::HashMap;

/// A configuration nests about six levels; deeper is an accident or an attack on whoever reads the tree.
const DEPTH: usize = 32;
/// Bounds what aliases of aliases can make of a short file.
const NODES: usize = 50_000;

/// One node of the tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) mark: Mark,
    /// The index of the node's first character in the source.
    pub(super) start: usize,
    pub(super) data: Data,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// Nothing at all, `~` or `null`.
    Empty,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as it was written, before references are resolved.
#[derive(Debug, Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: Style,
}

/// Whether a scalar could be a number or a truth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
}

/// A key and its value, in the order of the file; keys may be repeated here, the reader refuses them.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

/// Why there is no tree.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) mark: Mark,
    pub(super) what: String,
}

/// Reads the one document of a text; an empty text is an empty node.
pub(super) fn parse(text: &str) -> Result<Node, Unreadable> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut root = Node { mark: Mark { line: 1, column: 1 }, start: 0, data: Data::Empty };
    let mut documents = 0;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) if documents == 1 => {
                return Err(unreadable(
                    span.start,
                    "a second YAML document starts here; a configuration is one document",
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
        if depth > DEPTH {
            return Err(unreadable(span.start, &format!("nested deeper than {DEPTH} levels")));
        }
        let (data, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => (scalar(text.into_owned(), style), anchor, tag),
            Event::SequenceStart(anchor, tag) => (self.list(span, depth)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.map(span, depth)?, anchor, tag),
            _ => return Err(unreadable(span.start, "not valid YAML here")),
        };
        if tag.is_some() {
            return Err(unreadable(span.start, "YAML tags (`!…`) have no meaning in this file"));
        }
        let node = Node { mark: mark(span.start), start: span.start.index(), data };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<Data, Unreadable> {
        let mut items = Vec::new();
        loop {
            match self.inner(span)? {
                (Event::SequenceEnd, _) => return Ok(Data::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Data, Unreadable> {
        let mut entries = Vec::new();
        loop {
            let (key, at) = match self.inner(span)? {
                (Event::MappingEnd, _) => return Ok(Data::Map(entries)),
                (Event::Scalar(key, ..), at) => (key.into_owned(), mark(at.start)),
                (_, at) => return Err(unreadable(at.start, "a key must be a plain word")),
            };
            let (event, span) = self.inner(span)?;
            let mut value = self.node(event, span, depth + 1)?;
            if matches!(value.data, Data::Empty) {
                // The parser puts an absent value anywhere up to the next key; the key is where a person looks.
                value.mark = at;
            }
            entries.push(Entry { key, mark: at, value });
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
        if self.nodes > NODES {
            return Err(unreadable(span.start, &format!("more than {NODES} values, aliases included")));
        }
        Ok(())
    }
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

//! YAML documents as trees whose leaves know which bytes of the text they are, comments included. Aliases are expanded, as SOPS
//! does; keys are texts. What scalars mean is `resolve`'s business, and where they end `extent`'s.

mod comments;
mod extent;
mod resolve;

use crate::{
    Error,
    tree::{Branch, Form, Item, Leaf, Node, Scalar, Shape},
};
use comments::Comments;
use extent::Source;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use std::{borrow::Cow, collections::HashMap};
use zeroize::Zeroizing;

/// Secrets nest a few levels; deeper is an accident or an attack on whoever reads the tree.
const DEPTH: usize = 64;
/// Bounds what aliases of aliases can make of a short file.
const NODES: usize = 100_000;

/// One document of a file.
pub(crate) struct Document {
    /// Its map; a document that is anything else is refused.
    pub(crate) root: Branch,
    /// The byte behind its last line, where a block of metadata goes.
    pub(crate) end: usize,
}

/// Reads every document of a text. Documents without content are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, Error> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        source: Source::new(text),
        comments: Comments::default(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    builder.comments = comments::find(text, &mut Parser::new_from_str(text), &builder.source)?;
    let mut documents = Vec::new();
    let mut root = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
            Event::DocumentEnd => {
                let end = builder.source.line_start(span.start);
                if let Some(root) = root.take() {
                    documents.push(Document { root, end });
                }
            }
            other => match builder.node(other, span, 0)? {
                Node::Branch(branch) if branch.shape == Shape::Map && !builder.source.is_flow(span.start) => {
                    root = Some(branch);
                }
                Node::Null => {}
                _ => return Err(Error::at(span.start.line(), "a document has to be a map in block style")),
            },
        }
    }
    if let Some(last) = documents.last_mut()
        && text[last.end..].lines().all(|line| line.trim().is_empty() || line.starts_with('#'))
    {
        last.end = text.len();
    }
    Ok(documents)
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: Source<'a>,
    comments: Comments,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Error> {
        next(&mut self.parser)
    }

    fn inner(&mut self, span: Span) -> Result<(Event<'a>, Span), Error> {
        self.next()?.ok_or_else(|| Error::at(span.start.line(), "the document ends too early"))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Error> {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Err(Error::at(span.start.line(), format!("more than {DEPTH} levels or {NODES} values")));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(text, style, anchor, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(anchor, _) => (Node::Branch(self.list(span, depth)?), anchor),
            Event::MappingStart(anchor, _) => (Node::Branch(self.map(span, depth)?), anchor),
            _ => return Err(Error::at(span.start.line(), "not valid YAML here")),
        };
        if anchor > 0 {
            let mut copy = node.clone();
            bind(&mut copy);
            self.anchors.insert(anchor, copy);
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Node, Error> {
        let node = self.anchors.get(&anchor).cloned();
        let node = node.ok_or_else(|| Error::at(span.start.line(), "this alias has no anchor before it"))?;
        self.nodes += count(&node);
        Ok(node)
    }

    fn scalar(
        &self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Node, Error> {
        let text = Zeroizing::new(text.into_owned());
        let value = match tag {
            None if style == ScalarStyle::Plain => resolve::plain(&text),
            None => Some(Scalar::Text(text)),
            Some(tag) if tag.is_yaml_core_schema() => resolve::tagged(&tag.suffix, &text)
                .ok_or_else(|| Error::at(span.start.line(), format!("this is no `!!{}`", tag.suffix)))?,
            Some(_) => {
                return Err(Error::at(span.start.line(), "tags of one's own have no meaning in such files"));
            }
        };
        let Some(value) = value else { return Ok(Node::Null) };
        let at = self.source.extent(span, style);
        let form = match () {
            () if anchor > 0 || tag.is_some() => Form::Bound,
            () if self.source.in_flow() => Form::Flow,
            () => Form::Open,
        };
        Ok(Node::Leaf(Leaf { value, at, form }))
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<Branch, Error> {
        self.source.enter(span.start);
        let mut items = Vec::new();
        let end = loop {
            let (event, span) = self.inner(span)?;
            if matches!(event, Event::SequenceEnd) {
                break span;
            }
            self.comments.before(self.source.byte(span.start), &mut items);
            let node = self.node(event, span, depth + 1)?;
            items.push(Item::Element(node));
        };
        self.source.leave();
        self.comments.trailing(self.source.byte(end.start), span.start.col(), &mut items);
        Ok(Branch { shape: Shape::List, items })
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Branch, Error> {
        self.source.enter(span.start);
        let mut items = Vec::new();
        let end = loop {
            let (event, at) = self.inner(span)?;
            let key = match event {
                Event::MappingEnd => break at,
                Event::Scalar(text, style, ..) => key(&text, style, at)?,
                _ => return Err(Error::at(at.start.line(), "a key has to be a text")),
            };
            if items.iter().any(|item| matches!(item, Item::Pair(name, _) if *name == key)) {
                return Err(Error::at(at.start.line(), format!("the key `{key}` stands here a second time")));
            }
            self.comments.before(self.source.byte(at.start), &mut items);
            let (event, span) = self.inner(at)?;
            let node = self.node(event, span, depth + 1)?;
            items.push(Item::Pair(key, node));
        };
        self.source.leave();
        self.comments.trailing(self.source.byte(end.start), span.start.col(), &mut items);
        Ok(Branch { shape: Shape::Map, items })
    }
}

pub(crate) fn next<'a>(parser: &mut Parser<'a, StrInput<'a>>) -> Result<Option<(Event<'a>, Span)>, Error> {
    match parser.next_event() {
        None => Ok(None),
        Some(Ok(event)) => Ok(Some(event)),
        // The parser quotes no content.
        Some(Err(error)) => {
            Err(Error::at(error.marker().line(), format!("not valid YAML: {}", error.info())))
        }
    }
}

/// The text of a key; numbers and the like are none, as SOPS has it.
fn key(text: &str, style: ScalarStyle, span: Span) -> Result<String, Error> {
    let is_text = style != ScalarStyle::Plain || matches!(resolve::plain(text), Some(Scalar::Text(_)));
    if is_text || text == "<<" {
        return Ok(text.to_owned());
    }
    Err(Error::at(span.start.line(), format!("the key `{text}` is no text; put it in quotes")))
}

fn count(node: &Node) -> usize {
    match node {
        Node::Null | Node::Leaf(_) => 1,
        Node::Branch(branch) => {
            let nodes = branch.items.iter().map(|item| match item {
                Item::Comment(_) => 0,
                Item::Pair(_, node) | Item::Element(node) => count(node),
            });
            1 + nodes.sum::<usize>()
        }
    }
}

/// Marks what an alias repeats: its text is somewhere else.
fn bind(node: &mut Node) {
    match node {
        Node::Null => {}
        Node::Leaf(leaf) => leaf.form = Form::Bound,
        Node::Branch(branch) => {
            branch.items.retain(|item| !matches!(item, Item::Comment(_)));
            for item in &mut branch.items {
                match item {
                    Item::Comment(leaf) => leaf.form = Form::Bound,
                    Item::Pair(_, node) | Item::Element(node) => bind(node),
                }
            }
        }
    }
}

//! The comments of a text and where they belong. The parser drops them: they are what begins with a `#` behind a blank, outside
//! every scalar.

use super::{extent::Source, next};
use crate::{
    Error,
    tree::{Form, Item, Leaf, Scalar},
};
use saphyr_parser::{Event, Parser, StrInput};
use std::{collections::VecDeque, ops::Range};

/// Comments that are not placed yet, in the order of the text.
#[derive(Default)]
pub(crate) struct Comments(VecDeque<Comment>);

struct Comment {
    /// The bytes behind the `#`, to the end of the line.
    at: Range<usize>,
    text: String,
    /// The column of the `#`, or `None` where something else stands before it on the line.
    column: Option<usize>,
}

impl Comments {
    /// Places every comment that stands before this byte.
    pub(crate) fn before(&mut self, byte: usize, items: &mut Vec<Item>) {
        while self.0.front().is_some_and(|comment| comment.at.start <= byte) {
            self.place(items);
        }
    }

    /// Places the comments behind the last entry of a branch that are its own by their indentation: those of the parent
    /// stand further to the left.
    pub(crate) fn trailing(&mut self, end: usize, column: usize, items: &mut Vec<Item>) {
        let belongs = |comment: &Comment| {
            comment.at.start <= end && comment.column.is_none_or(|own| own >= column && column > 0)
        };
        while self.0.front().is_some_and(belongs) {
            self.place(items);
        }
    }

    fn place(&mut self, items: &mut Vec<Item>) {
        if let Some(comment) = self.0.pop_front() {
            let value = Scalar::Comment(comment.text.into());
            items.push(Item::Comment(Leaf { value, at: comment.at, form: Form::Open }));
        }
    }
}

/// Finds the comments of a text.
pub(crate) fn find<'a>(
    text: &'a str,
    parser: &mut Parser<'a, StrInput<'a>>,
    source: &Source<'a>,
) -> Result<Comments, Error> {
    let mut found = VecDeque::new();
    let mut from = 0;
    while let Some((event, span)) = next(parser)? {
        let Event::Scalar(content, style, ..) = event else { continue };
        if content.is_empty() && span.is_empty() {
            continue;
        }
        let at = source.extent(span, style);
        gap(text, from..at.start.max(from), &mut found);
        from = at.end.max(from);
    }
    gap(text, from..text.len(), &mut found);
    Ok(Comments(found))
}

/// Finds the comments between two scalars.
fn gap(text: &str, range: Range<usize>, found: &mut VecDeque<Comment>) {
    let mut at = range.start;
    while let Some(hash) = text.get(at..range.end).and_then(|rest| rest.find('#')).map(|offset| at + offset) {
        let line = text[..hash].rfind('\n').map_or(0, |newline| newline + 1);
        at = hash + 1;
        if !text[line..hash].ends_with([' ', '\t']) && hash > line {
            continue;
        }
        let end = text[hash..].find('\n').map_or(text.len(), |offset| hash + offset);
        let end = hash + text[hash..end].trim_end_matches('\r').len();
        let alone = text[line..hash].trim().is_empty();
        found.push_back(Comment {
            at: hash + 1..end,
            text: text[hash + 1..end].to_owned(),
            column: alone.then(|| hash - line),
        });
        at = end;
    }
}

//! Files of `NAME=value` lines: read alone. Values are taken as they stand, quotes included; the metadata is spread over names
//! such as `sops_age__list_0__map_enc`.

use crate::{
    Error,
    tree::{Branch, Form, Item, Leaf, Node, Scalar, Shape},
};

/// What the names of metadata begin with.
const PREFIX: &str = "sops_";

/// Reads a file. Its metadata becomes a map under `sops`.
pub(crate) fn parse(text: &str) -> Result<Branch, Error> {
    let (mut items, mut sops) = (Vec::new(), Branch { shape: Shape::Map, items: Vec::new() });
    for (number, line) in text.lines().enumerate() {
        if let Some(comment) = line.strip_prefix('#') {
            items.push(Item::Comment(leaf(Scalar::Comment(comment.to_owned().into()))));
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) =
            line.split_once('=').ok_or_else(|| Error::at(number + 1, "there is no `=` in this line"))?;
        let value = value.replace("\\n", "\n");
        match name.strip_prefix(PREFIX) {
            Some(path) => insert(&mut sops, path, value, number + 1)?,
            None => items.push(Item::Pair(name.to_owned(), Node::Leaf(leaf(Scalar::text(value))))),
        }
    }
    if !sops.items.is_empty() {
        items.push(Item::Pair("sops".to_owned(), Node::Branch(sops)));
    }
    Ok(Branch { shape: Shape::Map, items })
}

fn leaf(value: Scalar) -> Leaf {
    Leaf { value, at: 0..0, form: Form::Bound }
}

/// Puts a value where its flattened path says: `a__list_0__map_b` is the member `b` of the first element of `a`.
fn insert(branch: &mut Branch, path: &str, value: String, line: usize) -> Result<(), Error> {
    let (head, rest) = path.split_once("__").map_or((path, None), |(head, rest)| (head, Some(rest)));
    let head = head.strip_prefix("map_").unwrap_or(head);
    let Some(rest) = rest else {
        branch.items.push(Item::Pair(head.to_owned(), Node::Leaf(leaf(Scalar::text(value)))));
        return Ok(());
    };
    let (shape, place) = match rest.strip_prefix("list_") {
        Some(_) => (Shape::List, branch_under(branch, head, Shape::List)),
        None => (Shape::Map, branch_under(branch, head, Shape::Map)),
    };
    let wrong = || Error::at(line, "this name of metadata leads nowhere");
    let inner = place.ok_or_else(wrong)?;
    if shape == Shape::Map {
        return insert(inner, rest, value, line);
    }
    let (index, member) =
        rest.strip_prefix("list_").and_then(|rest| rest.split_once("__")).ok_or_else(wrong)?;
    let index: usize = index.parse().map_err(|_| wrong())?;
    // Entries come in order.
    if index == inner.items.len() {
        inner.items.push(Item::Element(Node::Branch(Branch { shape: Shape::Map, items: Vec::new() })));
    }
    match inner.items.get_mut(index) {
        Some(Item::Element(Node::Branch(element))) => insert(element, member, value, line),
        _ => Err(wrong()),
    }
}

fn branch_under<'a>(branch: &'a mut Branch, name: &str, shape: Shape) -> Option<&'a mut Branch> {
    if branch.get(name).is_none() {
        branch.items.push(Item::Pair(name.to_owned(), Node::Branch(Branch { shape, items: Vec::new() })));
    }
    branch.items.iter_mut().find_map(|item| match item {
        Item::Pair(key, Node::Branch(inner)) if key == name && inner.shape == shape => Some(inner),
        _ => None,
    })
}

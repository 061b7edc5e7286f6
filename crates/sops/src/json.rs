//! JSON files: read alone. Numbers without a fraction or an exponent are whole ones, as SOPS reads them.

use crate::{
    Error,
    tree::{Branch, Form, Item, Leaf, Node, Scalar, Shape},
};
use serde_json::Value;

/// Reads a file; it has to be an object.
pub(crate) fn parse(text: &str) -> Result<Branch, Error> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::at(error.line(), format!("not valid JSON near column {}", error.column())))?;
    match node(value)? {
        Node::Branch(branch) if branch.shape == Shape::Map => Ok(branch),
        _ => Err(Error::at(1, "the file has to be a JSON object")),
    }
}

fn node(value: Value) -> Result<Node, Error> {
    let value = match value {
        Value::Null => return Ok(Node::Null),
        Value::Bool(flag) => Scalar::Bool(flag),
        Value::String(text) => Scalar::text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Scalar::Int(whole),
            (None, Some(float)) if number.is_f64() => Scalar::Float(float),
            _ => return Err(Error::at(1, "a whole number does not fit into 64 bits")),
        },
        Value::Array(values) => {
            let items = values.into_iter().map(|value| node(value).map(Item::Element));
            let items = items.collect::<Result<_, _>>()?;
            return Ok(Node::Branch(Branch { shape: Shape::List, items }));
        }
        Value::Object(map) => {
            let items = map.into_iter().map(|(key, value)| node(value).map(|node| Item::Pair(key, node)));
            let items = items.collect::<Result<_, _>>()?;
            return Ok(Node::Branch(Branch { shape: Shape::Map, items }));
        }
    };
    Ok(Node::Leaf(Leaf { value, at: 0..0, form: Form::Bound }))
}

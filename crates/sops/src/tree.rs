//! What a file holds, in the order of its text: the order counts for the authentication code. A leaf remembers where its
//! scalar stands, so that a writer can replace it and leave everything else as it is.

use crate::Error;
use std::ops::Range;
use zeroize::Zeroizing;

/// The value of a leaf.
#[derive(Clone, PartialEq)]
pub enum Scalar {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A point in time, as RFC 3339.
    Time(String),
    /// Text.
    Text(Zeroizing<String>),
    /// A comment: encrypted like text, but not authenticated.
    Comment(Zeroizing<String>),
}

/// Values may be secrets: only the kind is shown.
impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.kind())
    }
}

impl Scalar {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    /// The name of the kind in an encrypted value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Time(_) => "time",
            Self::Text(_) => "str",
            Self::Comment(_) => "comment",
        }
    }

    /// The bytes that are encrypted and authenticated: whole numbers in decimal, other numbers in the shortest form without
    /// an exponent, truth values with a capital.
    pub fn canonical(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) if number.is_infinite() => {
                if *number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
            }
            Self::Float(number) => number.to_string(),
            Self::Time(time) => time.clone(),
            Self::Text(text) | Self::Comment(text) => return text.clone(),
        })
    }

    /// The other way round.
    pub(crate) fn from_canonical(kind: &str, text: Zeroizing<String>) -> Option<Self> {
        Some(match kind {
            "bool" => match text.as_str() {
                "True" | "true" => Self::Bool(true),
                "False" | "false" => Self::Bool(false),
                _ => return None,
            },
            "int" => Self::Int(text.parse().ok()?),
            "float" => match text.as_str() {
                "+Inf" => Self::Float(f64::INFINITY),
                "-Inf" => Self::Float(f64::NEG_INFINITY),
                other => Self::Float(other.parse().ok()?),
            },
            "time" => Self::Time(text.to_string()),
            "str" | "bytes" => Self::Text(text),
            "comment" => Self::Comment(text),
            _ => return None,
        })
    }
}

/// A scalar and where it stands.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The value.
    pub value: Scalar,
    /// The bytes of the source that hold it, with its quotes or its block header.
    pub(crate) at: Range<usize>,
    /// What has to be kept in mind when other text takes its place.
    pub(crate) form: Form,
}

/// How a scalar stands in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By itself in block style: a plain scalar may replace it.
    Open,
    /// Between brackets or braces, where a plain scalar may hold no comma.
    Flow,
    /// With an anchor, a tag, or as an alias: nothing can replace it without changing something else.
    Bound,
}

/// Whether a branch has keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Keys and values.
    Map,
    /// Values alone.
    List,
}

/// A map or a list.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Which of the two.
    pub shape: Shape,
    /// What is in it, comments included.
    pub items: Vec<Item>,
}

/// One entry of a branch.
#[derive(Debug, Clone)]
pub enum Item {
    /// A comment, without its `#`.
    Comment(Leaf),
    /// An entry of a map.
    Pair(String, Node),
    /// An entry of a list.
    Element(Node),
}

/// One value.
#[derive(Debug, Clone)]
pub enum Node {
    /// Nothing: never encrypted, never authenticated.
    Null,
    /// A scalar.
    Leaf(Leaf),
    /// A map or a list.
    Branch(Branch),
}

impl Node {
    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Branch(branch) => branch.get(key),
            Self::Null | Self::Leaf(_) => None,
        }
    }

    /// The text of a leaf that is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Leaf(Leaf { value: Scalar::Text(text), .. }) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn elements(&self) -> impl Iterator<Item = &Node> {
        let items = match self {
            Self::Branch(branch) => &branch.items[..],
            Self::Null | Self::Leaf(_) => &[],
        };
        items.iter().filter_map(|item| match item {
            Item::Element(node) => Some(node),
            Item::Comment(_) | Item::Pair(..) => None,
        })
    }
}

impl Branch {
    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.items.iter().find_map(|item| match item {
            Item::Pair(name, node) if name == key => Some(node),
            _ => None,
        })
    }

    /// Takes a key out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Node> {
        let place = self.items.iter().position(|item| matches!(item, Item::Pair(name, _) if name == key))?;
        match self.items.remove(place) {
            Item::Pair(_, node) => Some(node),
            Item::Comment(_) | Item::Element(_) => None,
        }
    }

    /// Visits every leaf and comment in order.
    pub(crate) fn walk(
        &mut self,
        visit: &mut dyn FnMut(&mut Leaf, &Place<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        walk(self, &mut Vec::new(), &mut Vec::new(), visit)
    }
}

/// Where a leaf is, as far as rules and authentication look at it.
pub(crate) struct Place<'a> {
    /// The keys that lead there; positions in lists do not count.
    pub(crate) path: &'a [String],
    /// For each branch from the root on, the comments right above what is visited.
    pub(crate) comments: &'a [Vec<String>],
}

fn walk(
    branch: &mut Branch,
    path: &mut Vec<String>,
    comments: &mut Vec<Vec<String>>,
    visit: &mut dyn FnMut(&mut Leaf, &Place<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    comments.push(Vec::new());
    for item in &mut branch.items {
        match item {
            Item::Comment(leaf) => {
                if let (Some(above), Scalar::Comment(text)) = (comments.last_mut(), &leaf.value) {
                    above.push(text.to_string());
                }
                visit(leaf, &Place { path, comments })?;
                continue;
            }
            Item::Pair(key, node) => {
                path.push(key.clone());
                enter(node, path, comments, visit)?;
                path.pop();
            }
            Item::Element(node) => enter(node, path, comments, visit)?,
        }
        if let Some(above) = comments.last_mut() {
            above.clear();
        }
    }
    comments.pop();
    Ok(())
}

fn enter(
    node: &mut Node,
    path: &mut Vec<String>,
    comments: &mut Vec<Vec<String>>,
    visit: &mut dyn FnMut(&mut Leaf, &Place<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    match node {
        Node::Null => Ok(()),
        Node::Leaf(leaf) => visit(leaf, &Place { path, comments }),
        Node::Branch(branch) => walk(branch, path, comments, visit),
    }
}

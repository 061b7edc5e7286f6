//! What templates see: every setting by name after defaults and derivation, with secrets kept apart from text until the last
//! moment. Knows no rules and no files.

mod derived;

pub use derived::{DERIVED, Derived, derive};

use portreeve_model::Secret;
use std::collections::BTreeMap;

/// One value of a setting, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Not set, and without a default.
    Unset,
    /// A switch.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A text. Numbers that the table declares as texts keep their source text (decision D86).
    Text(String),
    /// A text that is printed nowhere and may occur in encrypted files only.
    Secret(Secret<String>),
    /// A list in the order of its source.
    List(Vec<Value>),
    /// A map in the order of its keys.
    Map(BTreeMap<String, Value>),
}

/// All settings by name: what was given, what was left to its default, and what follows from both. The nodes are under `nodes`.
pub type Values = BTreeMap<String, Value>;

impl Value {
    /// The text, if it is one; that of a secret is not.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The switch, if it is one.
    pub fn flag(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// A field, if it is a map that has it.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(name),
            _ => None,
        }
    }

    /// Whether there is a value at all.
    pub fn is_set(&self) -> bool {
        !matches!(self, Self::Unset)
    }
}

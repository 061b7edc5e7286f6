//! YAML that people wrote, for readers whose errors point at what they mean: a tree with the place of every key and value, and
//! the name that a mistyped one most probably meant. What a document may hold is its reader's business; files that have to
//! be written back are that of `sops`.

mod nearest;
mod tree;

pub use nearest::nearest;
pub use tree::{Data, Entry, Limits, Mark, Node, Scalar, Style, Unreadable, parse, parse_within};

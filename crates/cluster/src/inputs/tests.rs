//! The inputs as a whole: the three clusters that are right, small edits that make them wrong, and the table itself.

mod clusters;
mod described;
mod invalid;
mod secrets;
pub(crate) mod support;
mod table;

//! Rules and decisions, pure.

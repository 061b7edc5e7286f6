//! The `portreeve` binary; everything is in the library.

fn main() {}

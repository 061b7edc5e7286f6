//! The reader of configurations and of a cluster's settings: any text is a tree or an error with a place in it, and every
//! place that a tree names lies in its text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_yaml::{Data, Node, parse};

fuzz_target!(|text: &str| {
    // Whatever some version of YAML takes for the end of a line.
    let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.matches(ends).count() + 2;
    let length = text.chars().count();
    match parse(text) {
        Ok(node) => check(&node, lines, length),
        Err(unreadable) => {
            assert!(unreadable.mark.line <= lines && !unreadable.what.is_empty(), "{unreadable:?}")
        }
    }
});

fn check(node: &Node, lines: usize, length: usize) {
    assert!(node.mark.line <= lines && node.start <= length && node.end <= length, "{:?}", node.mark);
    match &node.data {
        Data::Empty | Data::Scalar(_) => {}
        Data::List(items) => items.iter().for_each(|item| check(item, lines, length)),
        Data::Map(entries) => entries.iter().for_each(|entry| check(&entry.value, lines, length)),
    }
}

//! Tells cargo that the embedded templates are part of the sources: a new file among them builds the crate anew. Makes nothing.

fn main() {
    println!("cargo::rerun-if-changed=templates");
}

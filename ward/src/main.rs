//! The hospital side: ingest, store, screen.
fn main() {}

//! What the description gives this task.
use lazaret_description::emit::{bedside, common, kernel};

fn main() {
    let description = kernel::task("vitals");
    common::write("bedside.rs", &bedside::limits(&description));
}

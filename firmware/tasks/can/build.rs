//! What the description gives this task.
use lazaret_description::emit::{bedside, common, kernel};

fn main() {
    let description = kernel::task("can");
    common::write("bedside.rs", &bedside::bus(&description));
}

//! Addresses of the board come from the description.
use lazaret_description::emit::common;

fn main() {
    let description = common::load();
    common::write("plan.rs", &common::constants(&description));
}

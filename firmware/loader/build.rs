//! Identity, regions and the linker script come from the description.
use lazaret_description::emit::{boot, common};

fn main() {
    let description = common("loader");
    common::write("boot.rs", &boot::plan(&description));
}

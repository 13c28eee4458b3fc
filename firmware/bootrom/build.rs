//! Identity, regions and the linker script come from the description.
use lazaret_description::emit::{boot, common};

fn main() {
    let description = common::load();
    common::write("boot.rs", &boot::plan(&description));
    common::write("link.ld", &boot::rom_linker_script(&description));
    common::link();
}

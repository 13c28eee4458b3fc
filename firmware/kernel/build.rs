//! Where the kernel is linked and the table of tasks come from the description.
use lazaret_description::emit;

fn main() {
    println!("cargo::rerun-if-changed=src/entry.S");
    println!("cargo::rerun-if-changed=src/vectors.S");
    let description = emit::common("kernel");
    emit::kernel::kernel(&description);
}

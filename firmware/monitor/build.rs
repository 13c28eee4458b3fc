//! Where the monitor is linked, and whose each core and interrupt is, come from the description.
use lazaret_description::emit;

fn main() {
    println!("cargo::rerun-if-changed=src/entry.S");
    println!("cargo::rerun-if-changed=src/vectors.S");
    let description = emit::common("monitor");
    emit::monitor::monitor(&description);
}

//! Where the hypervisor is linked, and what each partition has, come from the description.
use lazaret_description::emit;

fn main() {
    println!("cargo::rerun-if-changed=src/entry.S");
    println!("cargo::rerun-if-changed=src/vectors.S");
    let description = emit::common("hypervisor");
    emit::hypervisor::hypervisor(&description);
}

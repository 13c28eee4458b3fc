//! The guest runs where a partition's RAM begins: the description says where.
use lazaret_description::emit;

fn main() {
    println!("cargo::rerun-if-changed=src/measure.S");
    let _ = emit::common("linux-ram");
}

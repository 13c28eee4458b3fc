//! The guest runs where a partition's RAM begins, with that partition's cores: the description says which.
use lazaret_description::{World, emit};

fn main() {
    println!("cargo::rerun-if-changed=src/measure.S");
    let description = emit::common("linux-ram");
    let partition = description.partition.first().expect("a partition");
    let with = |world| {
        let mut cores = description
            .core
            .iter()
            .filter(move |core| core.world == Some(world));
        cores
            .next()
            .map(|core| *core.id.as_ref())
            .expect("such a core")
    };
    let text = [
        ("VSOCK_BASE: usize", partition.vsock.base),
        ("SECURE_CORE: u64", with(World::Secure).into()),
        ("FOREIGN_CORE: u64", with(World::Off).into()),
        ("OWN_CORE: u64", partition.cores[0].into()),
        ("OTHER_CORE: u64", partition.cores[1].into()),
    ]
    .map(|(name, value)| format!("pub const {name} = {value:#x};\n"))
    .concat();
    emit::common::write("partition.rs", &text);
}

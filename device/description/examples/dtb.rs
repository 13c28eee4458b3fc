//! Writes the device tree of a partition to standard output.
//! `cargo run -p lazaret-description --example dtb -- PARTITION INITRAMFS_BYTES ROOT_BYTES [CORE,...]`
//!
//! With cores given, they stand in for the partition's own: a machine without the hypervisor
//! starts on core 0.

use lazaret_description::{Description, dtb::linux_dtb};
use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, initramfs_bytes, root_bytes, cores @ ..] = arguments.as_slice() else {
        return Err("usage: dtb PARTITION INITRAMFS_BYTES ROOT_BYTES [CORE,...]".into());
    };
    let mut description = Description::load_default()?;
    let partition = description
        .partition
        .iter_mut()
        .find(|partition| partition.name() == name);
    let partition = partition.ok_or("no such partition")?;
    if let Some(cores) = cores.first() {
        partition.cores = cores.split(',').map(str::parse).collect::<Result<_, _>>()?;
    }
    let tree = linux_dtb(
        &description,
        name,
        initramfs_bytes.parse()?,
        root_bytes.parse()?,
    );
    Ok(std::io::stdout().write_all(&tree)?)
}

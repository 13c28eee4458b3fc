//! Constants for the hypervisor: what each partition has, and nothing else.

use super::common::write;
use crate::{Description, Partition};
use std::fmt::Write as _;

/// Private interrupts a partition has on each of its cores: SGIs 0 to 7, the virtual timer (27)
/// and EL1's physical timer (30). SGIs 8 to 15 are the secure world's.
const PRIVATE_INTERRUPTS: u32 = 0xff | (1 << 27) | (1 << 30);
/// Page of the mailbox that is the vsock device's register page (ARCHITECTURE.md).
const REGISTER_PAGE_OFFSET: u64 = 0x2000;
/// Bytes of that page.
const PAGE_BYTES: u64 = 0x1000;

/// Writes `partitions.rs` into `OUT_DIR`.
///
/// # Panics
/// In a build script only: where a partition names memory that is not described (the checks refuse that).
pub fn hypervisor(description: &Description) {
    write("partitions.rs", &partitions(description));
}

/// `PARTITIONS: [partition::Plan; N]`.
#[must_use]
pub fn partitions(description: &Description) -> String {
    let mut text = format!(
        "/// What each partition has.\npub static PARTITIONS: [partition::Plan; {}] = [\n",
        description.partition.len()
    );
    for partition in &description.partition {
        plan(&mut text, description, partition);
    }
    text.push_str("];\n");
    text
}

fn plan(text: &mut String, description: &Description, partition: &Partition) {
    let cores = partition
        .cores
        .iter()
        .fold(0u32, |bits, core| bits | 1 << core);
    let ram = description.memory(&partition.ram).expect("checked");
    let _ = writeln!(
        text,
        "    partition::Plan {{\n        name: {:?},\n        cores: {cores:#b},\n        boot_core: {},\n        \
         entry: {:#x},\n        device_tree: {:#x},\n        ranges: &[",
        partition.name(),
        partition.cores.first().expect("checked"),
        ram.base + partition.kernel_offset,
        ram.base + partition.dtb_offset,
    );
    for (base, physical, bytes, kind) in ranges(description, partition) {
        let _ = writeln!(
            text,
            "            partition::Range {{ base: {base:#x}, physical: {physical:#x}, bytes: {bytes:#x}, \
             kind: partition::Kind::{kind} }},"
        );
    }
    let _ = writeln!(
        text,
        "        ],\n        interrupts: partition::Interrupts::new({:?}, {PRIVATE_INTERRUPTS:#x}, {cores:#b}),\n        doorbell_page: {:#x},\n        streams: &{:?},\n    }},",
        shared_interrupts(description, partition),
        partition.vsock.base,
        partition.streams,
    );
}

/// Everything the partition may reach: its address, the physical one, bytes, kind.
fn ranges(description: &Description, partition: &Partition) -> Vec<(u64, u64, u64, &'static str)> {
    let memory = |name: &str| description.memory(name).expect("checked");
    let ram = memory(&partition.ram);
    let root = memory(&partition.root);
    let page = memory("mailbox").base + REGISTER_PAGE_OFFSET;
    let mut ranges = vec![
        (ram.base, ram.base, ram.size, "Ram"),
        (root.base, root.base, root.size, "ReadOnly"),
        (partition.vsock.base, page, PAGE_BYTES, "ReadOnly"),
    ];
    for device in description.peripherals_of(&owner(partition)) {
        ranges.push((device.base, device.base, device.size, "Device"));
    }
    ranges
}

/// A bit for each shared interrupt of the partition, 32 a word.
fn shared_interrupts(description: &Description, partition: &Partition) -> [u32; 32] {
    let mut words = [0u32; 32];
    let owner = owner(partition);
    let devices = description
        .peripherals_of(&owner)
        .flat_map(crate::Peripheral::all_interrupts);
    for interrupt in devices.chain([partition.vsock.interrupt]) {
        words[interrupt as usize / 32] |= 1 << (interrupt % 32);
    }
    words
}

fn owner(partition: &Partition) -> String {
    format!("partition:{}", partition.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_has_its_own_and_no_secure_thing() {
        let good = include_str!("../../../bedside-monitor.toml");
        let description = Description::parse(good).expect("good");
        let linux = &description.partition[0];
        // Interrupts 33 (console), 35 to 38 (PCIe), 48 (vsock); not 40 (CAN) nor the SMMU's.
        let mut expected = [0; 32];
        expected[1] = (1 << 1) | (0b1111 << 3) | (1 << 16);
        assert_eq!(shared_interrupts(&description, linux), expected);
        for (_, physical, bytes, _) in ranges(&description, linux) {
            assert!(physical >= 0x0900_0000 && bytes > 0);
            for name in ["mailbox", "hypervisor"] {
                let own = description.memory(name).expect("there");
                let register_page = physical == own.base + REGISTER_PAGE_OFFSET;
                let apart = physical + bytes <= own.base || physical >= own.end();
                assert!(apart || register_page, "{name} at {physical:#x}");
            }
        }
        let text = partitions(&description);
        for part in [
            "cores: 0b110,",
            "boot_core: 1,",
            "entry: 0x50000000,",
            "doorbell_page: 0xa000000,",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

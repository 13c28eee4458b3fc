//! The device tree a Linux partition gets: what the description gives it, and nothing else.
//!
//! A flattened device tree as the Devicetree Specification 0.4 defines it (chapter 5). What the
//! partition does not own is not in it: no SMMU (the hypervisor holds it, so DMA addresses are
//! plain addresses), no ITS, no clock, no flash, no core of another owner.

mod tree;

use crate::{Description, Memory, Partition, Peripheral};
use tree::{Tree, halves};

/// Interrupt controller of qemu-virt (QEMU `hw/arm/virt.c`, VIRT_GIC_DIST), bytes behind it.
const DISTRIBUTOR: (u64, u64) = (0x0800_0000, 0x1_0000);
/// Redistributor of core 0 (VIRT_GIC_REDIST); those of the other cores follow.
const REDISTRIBUTOR_BASE: u64 = 0x080a_0000;
/// From one redistributor to the next: RD_base and SGI_base, 64 KiB each (GICv3, 12.10).
const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;
/// Clock of the board's PL011 (`clk24mhz`).
const UART_HZ: u32 = 24_000_000;
/// Registers of a virtio-mmio device (virtio 1.2, 4.2.2), as QEMU sizes them.
const VIRTIO_MMIO_BYTES: u64 = 0x200;
/// Context identifier of whoever is behind the vsock device (virtio 1.2, 5.10.4: VMADDR_CID_HOST).
const HOST_CID: u32 = 2;
/// Linux maps a pmem region in blocks of this size (`PAGES_PER_SUBSECTION`).
const PMEM_ALIGNMENT: u64 = 2 << 20;
/// One bus of PCI configuration space (ECAM, PCIe 4.0, 7.2.2).
const BUS_BYTES: u64 = 1 << 20;
/// INTA to INTD.
const PCI_PINS: u32 = 4;
/// Devices after which the swizzle of the pins repeats.
const PCI_SLOTS: u32 = 4;

/// Names of the nodes that others point at (`phandle`).
mod handle {
    pub const INTERRUPT_CONTROLLER: u32 = 1;
    pub const UART_CLOCK: u32 = 2;
}

/// GIC interrupt specifiers (`arm,gic-v3` binding: kind, number, trigger).
mod irq {
    /// A shared peripheral interrupt; its number is the INTID less 32.
    pub const SHARED: u32 = 0;
    /// A private peripheral interrupt; its number is the INTID less 16.
    pub const PRIVATE: u32 = 1;
    /// Rising edge.
    pub const EDGE: u32 = 1;
    /// Level, active high.
    pub const LEVEL: u32 = 4;
    /// First shared INTID.
    pub const SHARED_FIRST: u32 = 32;
}

/// The device tree of `partition`, whose initramfs and root file system have these sizes in bytes.
///
/// The same description and sizes give the same bytes: no seed of randomness is in it (the
/// processor has its own source, RNDR).
///
/// Where the ward and the secure world are goes to the forwarder by the kernel's command line:
/// `lazaret.ward=HOST:PORT lazaret.secure=CID:PORT`.
///
/// # Panics
/// Where the description has no such partition, or the checks did not see to what they promise.
#[must_use]
pub fn linux_dtb(
    description: &Description,
    partition: &str,
    initramfs_bytes: u64,
    root_bytes: u64,
) -> Vec<u8> {
    let partition = description
        .partition
        .iter()
        .find(|candidate| candidate.name() == partition)
        .unwrap_or_else(|| panic!("partition {partition:?} is not described"));
    let mut tree = Tree::new();
    tree.begin("");
    tree.text("compatible", &["linux,dummy-virt"]);
    tree.text("model", &[&format!("lazaret,{}", description.product.name)]);
    tree.sizes(2, 2);
    tree.cells("interrupt-parent", &[handle::INTERRUPT_CONTROLLER]);
    let owner = format!("partition:{}", partition.name());
    let owned = |name: &str| {
        description
            .peripherals_of(&owner)
            .find(|peripheral| peripheral.name() == name)
    };
    chosen(
        &mut tree,
        description,
        partition,
        owned("console-uart"),
        initramfs_bytes,
    );
    memory(&mut tree, description, partition, root_bytes);
    cores(&mut tree, partition);
    interrupt_controller(&mut tree, partition);
    if let Some(uart) = owned("console-uart") {
        console(&mut tree, uart);
    }
    if let (Some(window), Some(configuration)) = (owned("pcie"), owned("pcie-ecam")) {
        pci(&mut tree, window, configuration);
    }
    vsock(&mut tree, partition);
    tree.end();
    tree.finish(partition.cores.first().copied().unwrap_or(0))
}

fn chosen(
    tree: &mut Tree,
    description: &Description,
    partition: &Partition,
    uart: Option<&Peripheral>,
    initramfs_bytes: u64,
) {
    let ram = region(description, &partition.ram);
    let start = ram.base + partition.initramfs_offset;
    let ward = &description.ward;
    let arguments = format!(
        "{} lazaret.ward={}:{} lazaret.secure={HOST_CID}:{}",
        partition.command_line,
        ward.host.as_ref(),
        ward.port,
        partition.vsock.port
    );
    tree.begin("chosen");
    tree.text("bootargs", &[&arguments]);
    if let Some(uart) = uart {
        tree.text("stdout-path", &[&format!("/pl011@{:x}", uart.base)]);
    }
    tree.wide("linux,initrd-start", &[start]);
    tree.wide("linux,initrd-end", &[start + initramfs_bytes]);
    tree.end();
}

fn memory(tree: &mut Tree, description: &Description, partition: &Partition, root_bytes: u64) {
    let ram = region(description, &partition.ram);
    tree.begin(&format!("memory@{:x}", ram.base));
    tree.text("device_type", &["memory"]);
    tree.wide("reg", &[ram.base, ram.size]);
    tree.end();
    let root = region(description, &partition.root);
    let bytes = root_bytes.next_multiple_of(PMEM_ALIGNMENT).min(root.size);
    tree.begin(&format!("pmem@{:x}", root.base));
    tree.text("compatible", &["pmem-region"]);
    tree.wide("reg", &[root.base, bytes]);
    tree.end();
}

/// Cores, how they are started, and the timer each of them has.
fn cores(tree: &mut Tree, partition: &Partition) {
    tree.begin("cpus");
    tree.sizes(1, 0);
    for core in &partition.cores {
        tree.begin(&format!("cpu@{core:x}"));
        tree.text("device_type", &["cpu"]);
        tree.text("compatible", &["arm,armv8"]);
        tree.cells("reg", &[*core]);
        tree.text("enable-method", &["psci"]);
        tree.end();
    }
    tree.end();
    tree.begin("psci");
    tree.text("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
    tree.text("method", &["hvc"]);
    tree.end();
    tree.begin("timer");
    tree.text("compatible", &["arm,armv8-timer"]);
    // Secure, non-secure, virtual and hypervisor timer, in the binding's order: INTIDs 29, 30, 27, 26.
    let interrupts: Vec<u32> = [13, 14, 11, 10]
        .iter()
        .flat_map(|&number| [irq::PRIVATE, number, irq::LEVEL])
        .collect();
    tree.cells("interrupts", &interrupts);
    tree.flag("always-on");
    tree.end();
}

/// The redistributors from the partition's first core to its last: the hypervisor shows no others,
/// and Linux stops looking at the first frame that shows nothing.
fn interrupt_controller(tree: &mut Tree, partition: &Partition) {
    let first = partition.cores.iter().min().copied().unwrap_or(0);
    let last = partition.cores.iter().max().copied().unwrap_or(0);
    tree.begin(&format!("intc@{:x}", DISTRIBUTOR.0));
    tree.text("compatible", &["arm,gic-v3"]);
    // Two cells of address, zero, stand before an interrupt in the PCI node's interrupt-map.
    tree.sizes(2, 0);
    tree.cells("#interrupt-cells", &[3]);
    tree.flag("interrupt-controller");
    tree.cells("#redistributor-regions", &[1]);
    tree.wide(
        "reg",
        &[
            DISTRIBUTOR.0,
            DISTRIBUTOR.1,
            REDISTRIBUTOR_BASE + u64::from(first) * REDISTRIBUTOR_STRIDE,
            u64::from(last - first + 1) * REDISTRIBUTOR_STRIDE,
        ],
    );
    tree.cells("phandle", &[handle::INTERRUPT_CONTROLLER]);
    tree.end();
}

fn console(tree: &mut Tree, uart: &Peripheral) {
    tree.begin("apb-pclk");
    tree.text("compatible", &["fixed-clock"]);
    tree.cells("#clock-cells", &[0]);
    tree.cells("clock-frequency", &[UART_HZ]);
    tree.cells("phandle", &[handle::UART_CLOCK]);
    tree.end();
    tree.begin(&format!("pl011@{:x}", uart.base));
    tree.text("compatible", &["arm,pl011", "arm,primecell"]);
    tree.wide("reg", &[uart.base, uart.size]);
    tree.cells("interrupts", &[irq::SHARED, shared(uart, 0), irq::LEVEL]);
    tree.cells("clocks", &[handle::UART_CLOCK, handle::UART_CLOCK]);
    tree.text("clock-names", &["uartclk", "apb_pclk"]);
    tree.end();
}

/// The PCI host bridge: as many buses as the ECAM given holds, one window below 4 GiB, no MSI.
fn pci(tree: &mut Tree, window: &Peripheral, configuration: &Peripheral) {
    let buses = u32::try_from(configuration.size / BUS_BYTES)
        .unwrap_or(1)
        .max(1);
    tree.begin(&format!("pcie@{:x}", window.base));
    tree.text("compatible", &["pci-host-ecam-generic"]);
    tree.text("device_type", &["pci"]);
    tree.sizes(3, 2);
    tree.cells("#interrupt-cells", &[1]);
    tree.cells("linux,pci-domain", &[0]);
    tree.cells("bus-range", &[0, buses - 1]);
    tree.flag("dma-coherent");
    tree.wide("reg", &[configuration.base, configuration.size]);
    // 32-bit memory space (PCI bus binding IEEE 1275, 2.2.1.1), at the same address on both sides.
    let mut ranges = vec![0x0200_0000];
    ranges.extend(
        [window.base, window.base, window.size]
            .into_iter()
            .flat_map(halves),
    );
    tree.cells("ranges", &ranges);
    // Pin p of device d is pin (d + p) mod 4 of the bridge (PCI bridge specification 1.2, 9.1).
    let mut map = Vec::new();
    for slot in 0..PCI_SLOTS {
        for pin in 0..PCI_PINS {
            let interrupt = shared(window, ((slot + pin) % PCI_PINS) as usize);
            map.extend([
                slot << 11,
                0,
                0,
                pin + 1,
                handle::INTERRUPT_CONTROLLER,
                0,
                0,
                irq::SHARED,
                interrupt,
                irq::LEVEL,
            ]);
        }
    }
    tree.cells("interrupt-map", &map);
    tree.cells("interrupt-map-mask", &[(PCI_SLOTS - 1) << 11, 0, 0, 7]);
    tree.end();
}

/// The one channel to the secure world.
fn vsock(tree: &mut Tree, partition: &Partition) {
    let vsock = &partition.vsock;
    tree.begin(&format!("virtio_mmio@{:x}", vsock.base));
    tree.text("compatible", &["virtio,mmio"]);
    tree.wide("reg", &[vsock.base, VIRTIO_MMIO_BYTES]);
    tree.cells(
        "interrupts",
        &[irq::SHARED, vsock.interrupt - irq::SHARED_FIRST, irq::EDGE],
    );
    tree.flag("dma-coherent");
    tree.end();
}

fn region<'a>(description: &'a Description, name: &str) -> &'a Memory {
    description
        .memory(name)
        .unwrap_or_else(|| panic!("memory {name:?} is not described"))
}

/// The `index`th interrupt of a peripheral as a device tree numbers it.
fn shared(peripheral: &Peripheral, index: usize) -> u32 {
    let intid = peripheral.all_interrupts().nth(index);
    intid.unwrap_or_else(|| panic!("peripheral {:?} lacks interrupt {index}", peripheral.name()))
        - irq::SHARED_FIRST
}

#[cfg(test)]
mod tests {
    //! Read back with another implementation of the format.
    use super::*;
    use dtoolkit::fdt::{Fdt, FdtNode};
    use dtoolkit::{Node as _, Property as _};

    const GOOD: &str = include_str!("../../bedside-monitor.toml");
    const INITRAMFS_BYTES: u64 = 0x12_3456;
    const ROOT_BYTES: u64 = 0x15_1000;

    fn description() -> Description {
        Description::parse(GOOD).expect("good")
    }

    fn built(description: &Description) -> Vec<u8> {
        linux_dtb(description, "linux", INITRAMFS_BYTES, ROOT_BYTES)
    }

    fn value<'a>(node: &FdtNode<'a>, name: &str) -> Vec<u8> {
        let property = node.property(name);
        property
            .unwrap_or_else(|| panic!("{} has no {name}", node.name()))
            .value()
            .to_vec()
    }

    fn text(node: &FdtNode, name: &str) -> String {
        let bytes = value(node, name);
        String::from_utf8(bytes.strip_suffix(&[0]).expect("terminated").to_vec()).expect("text")
    }

    fn cells(node: &FdtNode, name: &str) -> Vec<u32> {
        value(node, name)
            .chunks(4)
            .map(|cell| u32::from_be_bytes(cell.try_into().expect("cells")))
            .collect()
    }

    fn wide(node: &FdtNode, name: &str) -> Vec<u64> {
        value(node, name)
            .chunks(8)
            .map(|two| u64::from_be_bytes(two.try_into().expect("pairs of cells")))
            .collect()
    }

    #[test]
    fn it_is_read_by_another_reader_and_holds_what_the_partition_has() {
        let bytes = built(&description());
        let tree = Fdt::new(&bytes).expect("a device tree");
        let node = |path: &str| tree.find_node(path).unwrap_or_else(|| panic!("no {path}"));
        assert_eq!(tree.boot_cpuid_phys(), 1);
        assert_eq!(
            wide(&node("/memory@50000000"), "reg"),
            [0x5000_0000, 0x2000_0000]
        );
        assert_eq!(
            wide(&node("/pmem@70000000"), "reg"),
            [0x7000_0000, 0x20_0000]
        );
        let chosen = node("/chosen");
        assert_eq!(wide(&chosen, "linux,initrd-start"), [0x5420_0000]);
        assert_eq!(
            wide(&chosen, "linux,initrd-end"),
            [0x5420_0000 + INITRAMFS_BYTES]
        );
        let arguments = text(&chosen, "bootargs");
        assert!(
            arguments.ends_with(" lazaret.ward=10.0.2.2:7300 lazaret.secure=2:5000"),
            "{arguments}"
        );
        assert!(
            node(&text(&chosen, "stdout-path"))
                .property("clocks")
                .is_some()
        );
        assert_eq!(cells(&node("/pl011@9000000"), "interrupts"), [0, 1, 4]);
        assert_eq!(
            cells(&node("/virtio_mmio@a000000"), "interrupts"),
            [0, 16, 1]
        );
        assert_eq!(text(&node("/psci"), "method"), "hvc");
    }

    #[test]
    fn cores_and_redistributors_are_the_partitions() {
        let bytes = built(&description());
        let tree = Fdt::new(&bytes).expect("a device tree");
        let cpus = tree.find_node("/cpus").expect("cpus");
        let numbers: Vec<u32> = cpus.children().flat_map(|cpu| cells(&cpu, "reg")).collect();
        assert_eq!(numbers, [1, 2]);
        let controller = tree
            .find_node("/intc@8000000")
            .expect("interrupt controller");
        assert_eq!(
            wide(&controller, "reg"),
            [0x0800_0000, 0x1_0000, 0x080c_0000, 2 * 0x2_0000]
        );
        assert_eq!(
            cells(&tree.root(), "interrupt-parent"),
            cells(&controller, "phandle")
        );
    }

    /// The same numbers as in the tree QEMU 7.2 itself gives for this machine.
    #[test]
    fn pci_is_as_qemu_says() {
        let bytes = built(&description());
        let tree = Fdt::new(&bytes).expect("a device tree");
        let pci = tree.find_node("/pcie@10000000").expect("pcie");
        assert_eq!(wide(&pci, "reg"), [0x40_1000_0000, 0x10_0000]);
        assert_eq!(cells(&pci, "bus-range"), [0, 0]);
        assert_eq!(
            cells(&pci, "ranges"),
            [0x200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x2eff_0000]
        );
        assert_eq!(cells(&pci, "interrupt-map-mask"), [0x1800, 0, 0, 7]);
        let map = cells(&pci, "interrupt-map");
        let lines: Vec<&[u32]> = map.chunks(10).collect();
        assert_eq!(lines.len(), 16);
        assert_eq!(lines[0], [0, 0, 0, 1, 1, 0, 0, 0, 3, 4]);
        assert_eq!(lines[4], [0x800, 0, 0, 1, 1, 0, 0, 0, 4, 4]);
        assert_eq!(lines[7], [0x800, 0, 0, 4, 1, 0, 0, 0, 3, 4]);
        assert_eq!(lines[15], [0x1800, 0, 0, 4, 1, 0, 0, 0, 5, 4]);
    }

    #[test]
    fn what_is_not_the_partitions_is_not_there() {
        let bytes = built(&description());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for absent in [
            "smmu", "iommu", "9040000", "its@", "cpu@0", "cpu@3", "seed", "flash", "pl031",
            "secram",
        ] {
            assert!(!text.contains(absent), "{absent}");
        }
        let mut taken = description();
        for peripheral in &mut taken.peripheral {
            if peripheral.name() == "console-uart" {
                peripheral.owner = toml::Spanned::new(0..0, "hypervisor".to_owned());
            }
        }
        let bytes = built(&taken);
        let tree = Fdt::new(&bytes).expect("a device tree");
        assert!(tree.find_node("/pl011@9000000").is_none());
        assert!(
            tree.find_node("/chosen")
                .expect("chosen")
                .property("stdout-path")
                .is_none()
        );
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        assert_eq!(built(&description()), built(&description()));
    }
}

//! The assembly of the hypervisor and the numbers it is made with.

use crate::plan::{
    CORES, MEMORY_HYPERVISOR_BASE, MEMORY_HYPERVISOR_SIZE, MEMORY_MAILBOX_BASE,
    MEMORY_MAILBOX_SIZE, PERIPHERAL_CONSOLE_UART_BASE, PERIPHERAL_PCIE_ECAM_BASE,
    PERIPHERAL_PCIE_ECAM_SIZE, PERIPHERAL_SMMU_BASE, PERIPHERAL_SMMU_SIZE,
};
use arch::registers::{sctlr_el1, sctlr_el2};
use arch::translation::{Access, Leaf, MAIR, Memory};
use board::qemu_virt::{DISTRIBUTOR_BASE, REDISTRIBUTOR_BASE, REDISTRIBUTOR_STRIDE};

/// Two pages for each core: a hole and a stack.
const STACK_SHIFT: u32 = 13;
/// TCR_EL2: addresses of 39 bits (look-up starts at level 1), 4 KiB granule, walks cached and inner
/// shareable, physical addresses of 40 bits (DDI 0487, D19.2.140).
const TCR: u64 = 25 | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16) | (1 << 23) | (1 << 31);
/// SCTLR_EL2: MMU, caches, alignment of the stack pointer, writable is never executable.
const SCTLR: u64 =
    sctlr_el2::RES1 | sctlr_el1::M | sctlr_el1::C | sctlr_el1::SA | sctlr_el1::I | sctlr_el1::WXN;

const DEVICE: Leaf = Leaf::el2_or_el3(Memory::Device, Access::ReadWrite);
const DATA: Leaf = Leaf::el2_or_el3(Memory::Normal, Access::ReadWrite);

/// Entry of the root: a GiB each.
const fn gib_index(address: usize) -> usize {
    address >> 30
}
/// Entry of a second table: 2 MiB each.
const fn block_index(address: usize) -> usize {
    (address >> 21) & 511
}
/// Entry of a page table: 4 KiB each.
const fn page_index(address: usize) -> usize {
    (address >> 12) & 511
}

const _: () = {
    assert!(gib_index(MEMORY_MAILBOX_BASE) == 1 && gib_index(MEMORY_HYPERVISOR_BASE) == 1);
    assert!(gib_index(PERIPHERAL_SMMU_BASE) == 0 && gib_index(DISTRIBUTOR_BASE) == 0);
    assert!(MEMORY_HYPERVISOR_BASE.is_multiple_of(1 << 21) && MEMORY_HYPERVISOR_SIZE <= 1 << 21);
    assert!(block_index(MEMORY_MAILBOX_BASE) != block_index(MEMORY_HYPERVISOR_BASE));
    assert!(
        block_index(MEMORY_MAILBOX_BASE)
            == block_index(MEMORY_MAILBOX_BASE + MEMORY_MAILBOX_SIZE - 1)
    );
    assert!(block_index(PERIPHERAL_CONSOLE_UART_BASE) == block_index(PERIPHERAL_SMMU_BASE));
    assert!(
        block_index(PERIPHERAL_SMMU_BASE)
            == block_index(PERIPHERAL_SMMU_BASE + PERIPHERAL_SMMU_SIZE - 1)
    );
    assert!(block_index(DISTRIBUTOR_BASE) != block_index(PERIPHERAL_SMMU_BASE));
    assert!(gib_index(PERIPHERAL_PCIE_ECAM_BASE) > 1 && gib_index(PERIPHERAL_PCIE_ECAM_BASE) < 512);
    assert!(
        block_index(PERIPHERAL_PCIE_ECAM_BASE)
            == block_index(PERIPHERAL_PCIE_ECAM_BASE + PERIPHERAL_PCIE_ECAM_SIZE - 1)
    );
    assert!(
        block_index(DISTRIBUTOR_BASE)
            == block_index(REDISTRIBUTOR_BASE + CORES * REDISTRIBUTOR_STRIDE - 1)
    );
};

core::arch::global_asm!(
    include_str!("entry.S"),
    CORES = const CORES,
    STACK_SHIFT = const STACK_SHIFT,
    DEVICES_INDEX = const block_index(PERIPHERAL_SMMU_BASE),
    GIC_INDEX = const block_index(DISTRIBUTOR_BASE),
    GIC_BLOCK = const DEVICE.block((DISTRIBUTOR_BASE as u64) & !0x1f_ffff),
    MAILBOX_BLOCK = const block_index(MEMORY_MAILBOX_BASE),
    IMAGE_BLOCK = const block_index(MEMORY_HYPERVISOR_BASE),
    CONSOLE_INDEX = const page_index(PERIPHERAL_CONSOLE_UART_BASE),
    CONSOLE_PAGE = const DEVICE.page(PERIPHERAL_CONSOLE_UART_BASE as u64),
    SMMU_FIRST = const page_index(PERIPHERAL_SMMU_BASE),
    SMMU_PAGES = const PERIPHERAL_SMMU_SIZE >> 12,
    SMMU_PAGE = const DEVICE.page(PERIPHERAL_SMMU_BASE as u64),
    MAILBOX_FIRST = const page_index(MEMORY_MAILBOX_BASE),
    MAILBOX_PAGES = const MEMORY_MAILBOX_SIZE >> 12,
    MAILBOX_PAGE = const DATA.page(MEMORY_MAILBOX_BASE as u64),
    PCI_GIB = const gib_index(PERIPHERAL_PCIE_ECAM_BASE),
    PCI_BLOCK = const block_index(PERIPHERAL_PCIE_ECAM_BASE),
    PCI_FIRST = const page_index(PERIPHERAL_PCIE_ECAM_BASE),
    PCI_PAGES = const PERIPHERAL_PCIE_ECAM_SIZE >> 12,
    PCI_PAGE = const DEVICE.page(PERIPHERAL_PCIE_ECAM_BASE as u64),
    TEXT_BITS = const Leaf::el2_or_el3(Memory::Normal, Access::ReadExecute).page(0),
    CONSTANT_BITS = const Leaf::el2_or_el3(Memory::Normal, Access::Read).page(0),
    DATA_BITS = const DATA.page(0),
    MAIR = const MAIR,
    TCR = const TCR,
    SCTLR = const SCTLR,
);
core::arch::global_asm!(include_str!("vectors.S"));

unsafe extern "C" {
    /// Where the partition's other cores enter (entry.S).
    fn secondary_start();
}

/// Address at which the partition's other cores enter the hypervisor.
pub fn secondary_entry() -> u64 {
    secondary_start as *const () as u64
}

/// Enters the partition at EL1, for good: this core's stack starts anew with the next exit.
pub fn enter(entry: u64, context: u64) -> ! {
    let stack_top = arch::registers::tpidr_el2::read();
    // SAFETY: nothing on the stack is used after (no one returns here), and its top is as
    // entry.S set it: a multiple of a page.
    unsafe { arch::el2::enter(entry, context, stack_top) }
}

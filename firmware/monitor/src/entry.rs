//! The assembly of the monitor and the numbers it is made with.

use crate::plan::{
    CORES, DOORBELL_SGI, MEMORY_BOOT_INFO_BASE, MEMORY_BOOT_INFO_SIZE, MEMORY_MONITOR_BASE,
    MEMORY_MONITOR_SIZE, PERIPHERAL_CONSOLE_UART_BASE, SECURE_CORE,
};
use arch::registers::sctlr_el3;
use arch::translation::{Access, Leaf, MAIR, Memory, PAGE_BYTES};
use board::qemu_virt::{
    DISTRIBUTOR_BASE, REDISTRIBUTOR_BASE, REDISTRIBUTOR_STRIDE, SECONDARY_MAILBOX, SECURE_GPIO_BASE,
};

/// Stack of a core: 4 KiB.
const STACK_SHIFT: u32 = 12;
/// TCR_EL3: addresses of 30 bits (one GiB, so that look-up starts at level 2), 4 KiB granule,
/// walks cached and inner shareable, physical addresses of 32 bits (DDI 0487, D19.2.140).
const TCR: u64 = 34 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (1 << 31);
/// SCTLR_EL3: MMU, caches, alignment of the stack pointer, writable is never executable.
const SCTLR: u64 = sctlr_el3::RES1
    | arch::registers::sctlr_el1::M
    | arch::registers::sctlr_el1::C
    | arch::registers::sctlr_el1::SA
    | arch::registers::sctlr_el1::I
    | arch::registers::sctlr_el1::WXN;

const DEVICE: Leaf = Leaf::el2_or_el3(Memory::Device, Access::ReadWrite);
const DATA: Leaf = Leaf::el2_or_el3(Memory::Normal, Access::ReadWrite);
/// The word secondary cores read with their MMU off.
const UNCACHED: Leaf = Leaf::el2_or_el3(Memory::Uncached, Access::ReadWrite);

/// Entry of the root table: 2 MiB each.
const fn block_index(address: usize) -> usize {
    address >> 21
}
/// Entry of a page table: 4 KiB each.
const fn page_index(address: usize) -> usize {
    (address >> 12) & 511
}
/// First byte of the page of `address`.
const fn page(address: usize) -> u64 {
    address as u64 & !(PAGE_BYTES - 1)
}

const _: () = {
    assert!(block_index(PERIPHERAL_CONSOLE_UART_BASE) == block_index(SECURE_GPIO_BASE));
    assert!(block_index(MEMORY_BOOT_INFO_BASE) == block_index(SECONDARY_MAILBOX));
    assert!(
        block_index(MEMORY_MONITOR_BASE)
            == block_index(MEMORY_MONITOR_BASE + MEMORY_MONITOR_SIZE - 1)
    );
    assert!(page_index(MEMORY_MONITOR_BASE) == 0);
    assert!(block_index(MEMORY_MONITOR_BASE) != block_index(MEMORY_BOOT_INFO_BASE));
    assert!(
        block_index(DISTRIBUTOR_BASE)
            == block_index(REDISTRIBUTOR_BASE + CORES * REDISTRIBUTOR_STRIDE - 1)
    );
    assert!(block_index(MEMORY_MONITOR_BASE) < 512);
};

core::arch::global_asm!(
    include_str!("entry.S"),
    CORES = const CORES,
    STACK_SHIFT = const STACK_SHIFT,
    DEVICES_INDEX = const block_index(SECURE_GPIO_BASE),
    BOOT_INFO_INDEX = const block_index(MEMORY_BOOT_INFO_BASE),
    IMAGE_INDEX = const block_index(MEMORY_MONITOR_BASE),
    GIC_INDEX = const block_index(DISTRIBUTOR_BASE),
    GIC_BLOCK = const DEVICE.block((DISTRIBUTOR_BASE as u64) & !0x1f_ffff),
    CONSOLE_INDEX = const page_index(PERIPHERAL_CONSOLE_UART_BASE),
    CONSOLE_PAGE = const DEVICE.page(PERIPHERAL_CONSOLE_UART_BASE as u64),
    GPIO_INDEX = const page_index(SECURE_GPIO_BASE),
    GPIO_PAGE = const DEVICE.page(SECURE_GPIO_BASE as u64),
    MAILBOX_INDEX = const page_index(SECONDARY_MAILBOX),
    MAILBOX_PAGE = const UNCACHED.page(page(SECONDARY_MAILBOX)),
    BOOT_INFO_FIRST = const page_index(MEMORY_BOOT_INFO_BASE),
    BOOT_INFO_PAGES = const MEMORY_BOOT_INFO_SIZE >> 12,
    BOOT_INFO_PAGE = const DATA.page(MEMORY_BOOT_INFO_BASE as u64),
    TEXT_BITS = const Leaf::el2_or_el3(Memory::Normal, Access::ReadExecute).page(0),
    CONSTANT_BITS = const Leaf::el2_or_el3(Memory::Normal, Access::Read).page(0),
    DATA_BITS = const DATA.page(0),
    MAIR = const MAIR,
    TCR = const TCR,
    SCTLR = const SCTLR,
);

/// Set-pending register of the secure core's SGIs.
const DOORBELL_REGISTER: usize = REDISTRIBUTOR_BASE
    + SECURE_CORE * REDISTRIBUTOR_STRIDE
    + core::mem::offset_of!(arch::gic::Redistributor, local.set_pending);
const _: () = assert!(psci::function::VERSION & 0xffff == 0);
const _: () = assert!(psci::VERSION_1_1 & 0xffff == psci::VERSION_1_1 >> 16);

core::arch::global_asm!(
    include_str!("vectors.S"),
    PSCI_VERSION_HIGH = const psci::function::VERSION >> 16,
    VERSION_HALF = const psci::VERSION_1_1 & 0xffff,
    DOORBELL_HIGH = const psci::function::DOORBELL >> 16,
    DOORBELL_LOW = const psci::function::DOORBELL & 0xffff,
    DOORBELL_REGISTER = const DOORBELL_REGISTER,
    DOORBELL_BIT = const 1 << DOORBELL_SGI,
);

unsafe extern "C" {
    /// Where the other cores enter (entry.S).
    fn secondary_start();
}

/// Address at which the other cores enter the monitor.
pub fn secondary_entry() -> u64 {
    secondary_start as *const () as u64
}

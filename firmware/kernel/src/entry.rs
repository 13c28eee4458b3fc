//! The assembly of the kernel, the numbers it is made with, and the one way into a task.

use crate::plan::{
    MEMORY_BOOT_INFO_BASE, MEMORY_BOOT_INFO_SIZE, MEMORY_KERNEL_BASE, MEMORY_KERNEL_SIZE,
    MEMORY_TASK_IMAGES_BASE, MEMORY_TASK_IMAGES_SIZE, MEMORY_TASK_RAM_BASE, MEMORY_TASK_RAM_SIZE,
    PERIPHERAL_CONSOLE_UART_BASE,
};
use arch::registers::sctlr_el1;
use arch::translation::{Access, Leaf, MAIR, Memory};
use board::qemu_virt::{
    CORES, DISTRIBUTOR_BASE, REDISTRIBUTOR_BASE, REDISTRIBUTOR_STRIDE, SECURE_GPIO_BASE,
};
use kernel_core::Registers;

/// The kernel's stack; it holds every task's state and tables, see `main.rs`.
const STACK_BYTES: usize = 0x8_0000;
/// TCR_EL1: addresses of 39 bits in TTBR0 (look-up starts at level 1), 4 KiB granule, walks cached
/// and inner shareable, TTBR1 off, ASIDs of 16 bits, physical addresses of 32 bits (DDI 0487, D19.2.139).
const TCR: u64 = 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (1 << 36);
/// SCTLR_EL1: MMU, caches, stack alignment of both levels, writable is never executable, PAN set
/// on every exception (SPAN = 0).
const SCTLR: u64 = (sctlr_el1::RES1 & !sctlr_el1::SPAN)
    | sctlr_el1::M
    | sctlr_el1::C
    | sctlr_el1::SA
    | sctlr_el1::SA0
    | sctlr_el1::I
    | sctlr_el1::WXN;

const DEVICE: Leaf = Leaf::el1(Memory::Device, Access::ReadWrite);
const DATA: Leaf = Leaf::el1(Memory::Normal, Access::ReadWrite);
const CONSTANT: Leaf = Leaf::el1(Memory::Normal, Access::Read);

/// Entry of a table of 2 MiB blocks.
const fn block_index(address: usize) -> usize {
    address >> 21
}
/// Entry of a page table: 4 KiB each.
const fn page_index(address: usize) -> usize {
    (address >> 12) & 511
}

const _: () = {
    assert!(block_index(PERIPHERAL_CONSOLE_UART_BASE) == block_index(SECURE_GPIO_BASE));
    assert!(block_index(DISTRIBUTOR_BASE) != block_index(SECURE_GPIO_BASE));
    assert!(
        block_index(DISTRIBUTOR_BASE)
            == block_index(REDISTRIBUTOR_BASE + CORES * REDISTRIBUTOR_STRIDE - 1)
    );
    assert!(MEMORY_KERNEL_BASE.is_multiple_of(1 << 21) && MEMORY_KERNEL_SIZE <= 1 << 21);
    assert!((MEMORY_TASK_IMAGES_BASE | MEMORY_TASK_IMAGES_SIZE).is_multiple_of(1 << 21));
    assert!((MEMORY_TASK_RAM_BASE | MEMORY_TASK_RAM_SIZE).is_multiple_of(1 << 21));
    assert!(MEMORY_TASK_RAM_BASE + MEMORY_TASK_RAM_SIZE <= 1 << 30);
    assert!(block_index(MEMORY_BOOT_INFO_BASE) != block_index(MEMORY_KERNEL_BASE));
    assert!(size_of::<Registers>() == 8 * arch::el1::FRAME_WORDS);
};

core::arch::global_asm!(
    include_str!("entry.S"),
    STACK_BYTES = const STACK_BYTES,
    DEVICES_INDEX = const block_index(SECURE_GPIO_BASE),
    BOOT_INFO_INDEX = const block_index(MEMORY_BOOT_INFO_BASE),
    IMAGE_INDEX = const block_index(MEMORY_KERNEL_BASE),
    GIC_INDEX = const block_index(DISTRIBUTOR_BASE),
    GIC_BLOCK = const DEVICE.block((DISTRIBUTOR_BASE as u64) & !0x1f_ffff),
    CONSOLE_INDEX = const page_index(PERIPHERAL_CONSOLE_UART_BASE),
    CONSOLE_PAGE = const DEVICE.page(PERIPHERAL_CONSOLE_UART_BASE as u64),
    GPIO_INDEX = const page_index(SECURE_GPIO_BASE),
    GPIO_PAGE = const DEVICE.page(SECURE_GPIO_BASE as u64),
    BOOT_INFO_FIRST = const page_index(MEMORY_BOOT_INFO_BASE),
    BOOT_INFO_PAGES = const MEMORY_BOOT_INFO_SIZE >> 12,
    BOOT_INFO_PAGE = const CONSTANT.page(MEMORY_BOOT_INFO_BASE as u64),
    TASK_IMAGES_INDEX = const block_index(MEMORY_TASK_IMAGES_BASE),
    TASK_IMAGES_BLOCKS = const block_index(MEMORY_TASK_IMAGES_SIZE),
    TASK_IMAGES_BLOCK = const CONSTANT.block(MEMORY_TASK_IMAGES_BASE as u64),
    TASK_RAM_INDEX = const block_index(MEMORY_TASK_RAM_BASE),
    TASK_RAM_BLOCKS = const block_index(MEMORY_TASK_RAM_SIZE),
    TASK_RAM_BLOCK = const DATA.block(MEMORY_TASK_RAM_BASE as u64),
    TEXT_BITS = const Leaf::el1(Memory::Normal, Access::ReadExecute).page(0),
    CONSTANT_BITS = const CONSTANT.page(0),
    DATA_BITS = const DATA.page(0),
    MAIR = const MAIR,
    TCR = const TCR,
    SCTLR = const SCTLR,
);
core::arch::global_asm!(include_str!("vectors.S"));

/// What a task's trap is, as vectors.S numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Trap {
    /// A system call or a fault: ESR_EL1 says which.
    Synchronous = 0,
    /// An interrupt is pending.
    Interrupt = 1,
    /// The task hit an error of the memory system.
    Error = 2,
}

unsafe extern "C" {
    /// Enters EL0 with these registers; returns the kind of the trap, the registers saved (vectors.S).
    fn kernel_run(registers: &mut Registers) -> u64;
}

/// Runs the task with these registers in the current address space until it traps.
#[inline(always)]
pub fn run(registers: &mut Registers) -> Trap {
    // SAFETY: kernel_run keeps x19 to x30 and the stack, writes only `registers` (34 words, as
    // asserted), and EL0 reaches nothing that the current tables do not give to EL0. It is EL0 with
    // interrupts unmasked: the status is zero at a start and then what the core saved from EL0,
    // which can change neither its level nor its masks (SCTLR_EL1.UMA is 0).
    match unsafe { kernel_run(registers) } {
        0 => Trap::Synchronous,
        1 => Trap::Interrupt,
        _ => Trap::Error,
    }
}

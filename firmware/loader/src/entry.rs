//! The first instructions, tables and vectors of the loader, and the jump to the monitor.
//!
//! The boot ROM enters at the first byte: core 0, EL3, MMU off, x0 = the hand-over. Before any Rust runs there are
//! zeroed variables, a stack, vectors, caches, and an identity map of 2 GiB (31 bits, look-up starts at level 1):
//! flash read-only, console, SRAM and DRAM writable; of the first 2 MiB of SRAM, in pages, the loader's own text is
//! executable, its text and constants read-only. DRAM is mapped as memory of the normal world, whose it is.

use core::arch::global_asm;

global_asm!(
    ".equ BLOCK_RO, 0x00400000000007c5", // block, AF, inner shareable, read-only, normal, execute-never
    ".equ BLOCK_RW, 0x0040000000000745", // block, AF, inner shareable, read-write, normal, execute-never
    ".equ BLOCK_DEVICE, 0x0040000000000441", // block, AF, read-write, device, execute-never
    ".equ NORMAL_WORLD, 0x20",           // NS
    ".equ PAGE_RX, 0x00000000000007c7",  // page, AF, inner shareable, read-only, normal, executable
    ".equ PAGE_RO, 0x00400000000007c7",  // the same, execute-never
    ".equ PAGE_RW, 0x0040000000000747",  // page, AF, inner shareable, read-write, normal, execute-never
    ".section .bss.tables, \"aw\", @nobits",
    ".balign 4096",
    "loader_level_1: .skip 4096",
    "loader_level_2: .skip 4096",
    "loader_level_3: .skip 4096",
    ".section .text.entry, \"ax\"",
    ".global _start",
    "_start:",
    "mov x20, x0",
    "mrs x19, cntpct_el0",
    "adr x0, loader_vectors",
    "msr vbar_el3, x0",
    "msr cptr_el3, xzr", // no traps of floating point (DDI 0487, D19.2.35)
    "ldr x0, ={mair}",
    "msr mair_el3, x0",
    "ldr x0, ={tcr}",
    "msr tcr_el3, x0",
    "ldr x1, =__bss_start",
    "ldr x2, =__bss_end",
    "1: cmp x1, x2",
    "b.hs 2f",
    "str xzr, [x1], #8",
    "b 1b",
    "2: ldr x0, =loader_level_1",
    "msr ttbr0_el3, x0",
    "ldr x1, =loader_level_2",
    "ldr x2, =loader_level_3",
    "add x3, x1, #3",
    "str x3, [x0]",
    "ldr x3, =0x40000000 + BLOCK_RW + NORMAL_WORLD",
    "str x3, [x0, #8]",
    // Level 2: flash, console, SRAM.
    "ldr x6, =BLOCK_RO",
    "mov x7, #0x200000",
    "mov x4, x1",
    "mov x5, #32",
    "bl 4f",
    "ldr x6, ={console} + BLOCK_DEVICE",
    "add x4, x1, #72 * 8",
    "mov x5, #1",
    "bl 4f",
    "add x3, x2, #3",
    "str x3, [x1, #112 * 8]",
    "ldr x6, =0x0e200000 + BLOCK_RW",
    "add x4, x1, #113 * 8",
    "mov x5, #7",
    "bl 4f",
    // Level 3: up to the text, text, constants, the rest.
    "mov x7, #0x1000",
    "mov x4, x2",
    "ldr x6, =0x0e000000 + PAGE_RW",
    "ldr x5, =({base} - 0x0e000000) / 4096",
    "bl 4f",
    "ldr x6, =__text_start + PAGE_RX",
    "ldr x5, =__text_end",
    "bl 3f",
    "ldr x6, =__rodata_start + PAGE_RO",
    "ldr x5, =__rodata_end",
    "bl 3f",
    "ldr x6, =__rodata_end + PAGE_RW",
    "ldr x5, =0x0e200000",
    "bl 3f",
    "tlbi alle3",
    "ic iallu",
    "dsb sy",
    "isb",
    "ldr x0, ={sctlr}",
    "msr sctlr_el3, x0",
    "isb",
    "ldr x0, =__region_end",
    "mov sp, x0",
    "mov x0, x19",
    "mov x1, x20",
    "bl loader_main",
    "0: wfi",
    "b 0b",
    // Writes descriptors to x4: x6, and x7 more for each, up to the address in x5.
    "3: sub x5, x5, x6",
    "add x5, x5, #0xfff", // x6 has attributes in its low 12 bits, and some in the high ones
    "ubfx x5, x5, #12, #9",
    "4: cbz x5, 5f",
    "str x6, [x4], #8",
    "add x6, x6, x7",
    "sub x5, x5, #1",
    "b 4b",
    "5: ret",
    ".global loader_leave",
    // x0: entry, x1: argument. MMU and caches off, nothing cached, gone.
    "loader_leave:",
    "mov x2, x0",
    "mov x0, x1",
    "ldr x3, ={sctlr_off}",
    "msr sctlr_el3, x3",
    "isb",
    "tlbi alle3",
    "ic iallu",
    "dsb sy",
    "isb",
    "br x2",
    ".ltorg",
    // Whatever the exception, whatever the level: it was not expected.
    ".section .vectors, \"ax\"",
    ".balign 2048",
    "loader_vectors:",
    ".rept 16",
    "mrs x0, esr_el3",
    "mrs x1, elr_el3",
    "b loader_fault",
    ".balign 128",
    ".endr",
    mair = const arch::translation::MAIR,
    tcr = const TCR,
    sctlr = const SCTLR_ON,
    sctlr_off = const SCTLR_OFF,
    console = const board::plan::PERIPHERAL_CONSOLE_UART_BASE & !0x1f_ffff,
    base = const board::plan::MEMORY_LOADER_BASE,
);

/// TCR_EL3: 31 bits of address (T0SZ = 33), inner and outer write-back, inner shareable, 4 KiB, 40 bits out.
const TCR: u64 = 33 | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16) | (1 << 23) | (1 << 31);
/// SCTLR_EL3 bits that are one.
const SCTLR_OFF: u64 = 0x30c5_0830;
/// MMU, data cache, instruction cache; what is writable is never executable (WXN); stack aligned (SA).
const SCTLR_ON: u64 = SCTLR_OFF | 1 | (1 << 2) | (1 << 3) | (1 << 12) | (1 << 19);

// The tables above are for this board's first 2 GiB.
const _: () = assert!(board::plan::MEMORY_LOADER_BASE >> 21 == 0x0e00_0000 >> 21);
const _: () = assert!(
    board::plan::MEMORY_LOADER_BASE + board::plan::MEMORY_LOADER_SIZE == 0x0e20_0000
        && board::plan::PERIPHERAL_CONSOLE_UART_BASE >> 21 == 72
);

unsafe extern "C" {
    fn loader_leave(entry: u64, argument: u64) -> !;
}

/// Leaves the loader: MMU off, on to `entry` with `argument` in x0.
pub fn leave(entry: u64, argument: u64) -> ! {
    // SAFETY: loader_leave is identity-mapped, so switching the MMU off does not move the code below the
    // program counter; it does not return. That `entry` is verified code is what its only caller has established.
    unsafe { loader_leave(entry, argument) }
}

/// Entry of the Rust part; `entry_ticks` is CNTPCT_EL0 at entry, `boot_info` what the ROM handed over.
#[unsafe(no_mangle)]
extern "C" fn loader_main(entry_ticks: u64, boot_info: u64) -> ! {
    crate::main(entry_ticks, boot_info)
}

/// An exception in the loader: says where, and stops.
#[unsafe(no_mangle)]
extern "C" fn loader_fault(syndrome: u64, address: u64) -> ! {
    board::console::Line::new("loader")
        .text("STOPPED: exception, esr ")
        .hex(syndrome)
        .text(" at ")
        .hex(address)
        .end();
    crate::halt()
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo) -> ! {
    let line = information
        .location()
        .map_or(0, core::panic::Location::line);
    let file = information
        .location()
        .map_or("?", core::panic::Location::file);
    board::console::Line::new("loader")
        .text("STOPPED: panic at ")
        .text(file)
        .text(":")
        .decimal(u64::from(line))
        .end();
    crate::halt()
}

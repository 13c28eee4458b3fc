//! The first instructions, the tables and vectors of the boot ROM, and the jump to the loader.
//!
//! All cores leave reset here. Core 0 goes on; the others sleep until a Group 0 interrupt, and then look for an address in
//! the mailbox, the top 8 bytes of rom-ram, which secure software writes and clears again. Before any Rust runs, core 0 has a stack, vectors, an identity
//! map of the first GiB (4 KiB granule, 30 bits, so look-up starts at level 2), and caches. Read-only is all of the flash,
//! executable only the ROM's own region, writable only SRAM and the console.

use core::arch::global_asm;

global_asm!(
    ".equ BLOCK_RO, 0x00400000000007c5", // block, AF, inner shareable, read-only, normal, execute-never
    ".equ BLOCK_RW, 0x0040000000000745", // block, AF, inner shareable, read-write, normal, execute-never
    ".equ BLOCK_DEVICE, 0x0040000000000441", // block, AF, read-write, device, execute-never
    ".equ PAGE_RX, 0x00000000000007c7",  // page, AF, inner shareable, read-only, normal, executable
    ".equ PAGE_RO, 0x00400000000007c7",  // the same, execute-never
    ".section .text.entry, \"ax\"",
    ".global _start",
    "_start:",
    "mrs x0, mpidr_el1",
    "and x0, x0, #0xffff",
    "cbnz x0, 9f",
    "mrs x19, cntpct_el0",
    "adr x0, rom_vectors",
    "msr vbar_el3, x0",
    "msr cptr_el3, xzr", // no traps of floating point (DDI 0487, D19.2.35)
    "ldr x0, ={mair}",
    "msr mair_el3, x0",
    "ldr x0, ={tcr}",
    "msr tcr_el3, x0",
    // Variables: copied from flash, or zeroed. Level 2 table, 2 MiB blocks: flash, console, SRAM; level 3: the first block.
    "ldr x0, =__data_load",
    "ldr x1, =__data_start",
    "ldr x2, =__data_end",
    "1: cmp x1, x2",
    "b.hs 2f",
    "ldr x3, [x0], #8",
    "str x3, [x1], #8",
    "b 1b",
    "2: ldr x1, =__bss_start",
    "ldr x2, =__tables + 0x2000",
    "3: str xzr, [x1], #8",
    "cmp x1, x2",
    "b.lo 3b",
    "ldr x0, =__tables",
    "msr ttbr0_el3, x0",
    "add x1, x0, #0x1000",
    "add x2, x1, #3",
    "str x2, [x0]",
    "ldr x2, =0x200000 + BLOCK_RO",
    "mov x3, #0x200000",
    "add x4, x0, #8",
    "mov x5, #31",
    "bl 4f",
    "ldr x2, ={console} + BLOCK_DEVICE",
    "add x4, x0, #72 * 8",
    "mov x5, #1",
    "bl 4f",
    "ldr x2, =0x0e000000 + BLOCK_RW",
    "add x4, x0, #112 * 8",
    "mov x5, #8",
    "bl 4f",
    "ldr x2, =PAGE_RX",
    "mov x3, #0x1000",
    "mov x4, x1",
    "mov x5, #{rom_pages}",
    "bl 4f",
    "ldr x2, ={rom_pages} * 0x1000 + PAGE_RO",
    "mov x5, #512 - {rom_pages}",
    "bl 4f",
    "tlbi alle3",
    "ic iallu",
    "dsb sy",
    "isb",
    "ldr x0, ={sctlr}",
    "msr sctlr_el3, x0",
    "isb",
    "ldr x0, =__stack_top",
    "mov sp, x0",
    "mov x0, x19",
    "bl rom_main",
    "0: wfi",
    "b 0b",
    // Writes x5 descriptors to x4: x2, and x3 more for each.
    "4: str x2, [x4], #8",
    "add x2, x2, x3",
    "subs x5, x5, #1",
    "b.ne 4b",
    "ret",
    // The other cores: sleep until there is an address, MMU off. What wakes them is a Group 0 interrupt, masked and
    // taken by hand: an emulated `wfe` would keep a host core busy.
    "9: mov x0, #0xf", // system registers, no bypass (IHI 0069, 12.2.24)
    "msr icc_sre_el3, x0",
    "isb",
    "mov x0, #0xff",
    "msr icc_pmr_el1, x0",
    "mov x0, #1",
    "msr icc_igrpen0_el1, x0",
    "isb",
    "ldr x1, =__mailbox",
    "8: ldr x0, [x1]",
    "cbnz x0, 7f",
    "wfi",
    "mrs x2, icc_iar0_el1",
    "msr icc_eoir0_el1, x2", // ignored where there was none (1020 to 1023)
    "b 8b",
    "7: br x0",
    ".global rom_leave",
    // x0: entry, x1: argument. MMU and caches off, nothing cached, gone.
    "rom_leave:",
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
    "rom_vectors:",
    ".rept 16",
    "mrs x0, esr_el3",
    "mrs x1, elr_el3",
    "b rom_fault",
    ".balign 128",
    ".endr",
    mair = const arch::translation::MAIR,
    tcr = const TCR,
    sctlr = const SCTLR_ON,
    sctlr_off = const SCTLR_OFF,
    console = const board::plan::PERIPHERAL_CONSOLE_UART_BASE & !0x1f_ffff,
    rom_pages = const board::plan::FLASH_BOOTROM_SIZE / 4096,
);

/// TCR_EL3: 30 bits of address (T0SZ = 34), inner and outer write-back, inner shareable, 4 KiB, 40 bits out.
const TCR: u64 = 34 | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16) | (1 << 23) | (1 << 31);
/// SCTLR_EL3 bits that are one.
const SCTLR_OFF: u64 = 0x30c5_0830;
/// MMU, data cache, instruction cache; what is writable is never executable (WXN); stack aligned (SA).
const SCTLR_ON: u64 = SCTLR_OFF | 1 | (1 << 2) | (1 << 3) | (1 << 12) | (1 << 19);

// The tables above are for this board's first GiB.
const _: () = assert!(
    board::plan::FLASH_BOOTROM_BASE == 0 && board::plan::MEMORY_ROM_RAM_BASE == 0x0e00_0000
);
const _: () = assert!(board::plan::PERIPHERAL_CONSOLE_UART_BASE >> 21 == 72);

unsafe extern "C" {
    fn rom_leave(entry: u64, argument: u64) -> !;
}

/// Leaves the ROM: MMU off, on to `entry` with `argument` in x0.
pub fn leave(entry: u64, argument: u64) -> ! {
    // SAFETY: rom_leave is in identity-mapped ROM, so switching the MMU off does not move the code below the
    // program counter; it does not return. That `entry` is verified code is what its only caller has established.
    unsafe { rom_leave(entry, argument) }
}

/// Entry of the Rust part; `entry_ticks` is CNTPCT_EL0 at reset.
#[unsafe(no_mangle)]
extern "C" fn rom_main(entry_ticks: u64) -> ! {
    crate::main(entry_ticks)
}

/// An exception in the ROM: says where, and stops.
#[unsafe(no_mangle)]
extern "C" fn rom_fault(syndrome: u64, address: u64) -> ! {
    board::console::Line::new("rom")
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
    board::console::Line::new("rom")
        .text("STOPPED: panic at ")
        .text(file)
        .text(":")
        .decimal(u64::from(line))
        .end();
    crate::halt()
}

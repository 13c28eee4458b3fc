// The first instructions of the monitor: translation tables and MMU, before any Rust runs.
//
// _start: core 0, x0 = BootInfo. secondary_start: the other cores. Both: EL3, MMU off.
// The tables map, at their physical addresses, the image (text RX, constants R, the rest RW),
// BootInfo and the mailbox word's page (RW), and the registers of the interrupt controller,
// console and power GPIO. Nothing else exists for EL3: no DRAM, no flash.
    .section .text.entry, "ax"
    .global _start
_start:
    msr daifset, #15
    mov x20, x0
    // The image's zeroed data, tables among it.
    adrp x1, __bss_start
    adrp x2, __bss_end
1:  stp xzr, xzr, [x1], #16
    cmp x1, x2
    b.lo 1b

    adrp x10, tables                    // root: one entry for each 2 MiB of the first GiB
    add x11, x10, #0x1000               // pages around the console and the GPIO
    add x12, x10, #0x2000               // pages of ROM RAM and BootInfo
    add x13, x10, #0x3000               // pages of the image
    add x14, x10, #3
    add x1, x14, #0x1000
    str x1, [x10, #8 * {DEVICES_INDEX}]
    add x1, x14, #0x2000
    str x1, [x10, #8 * {BOOT_INFO_INDEX}]
    add x1, x14, #0x3000
    str x1, [x10, #8 * {IMAGE_INDEX}]
    ldr x1, ={GIC_BLOCK}
    str x1, [x10, #8 * {GIC_INDEX}]
    ldr x1, ={CONSOLE_PAGE}
    str x1, [x11, #8 * {CONSOLE_INDEX}]
    ldr x1, ={GPIO_PAGE}
    str x1, [x11, #8 * {GPIO_INDEX}]
    ldr x1, ={MAILBOX_PAGE}
    str x1, [x12, #8 * {MAILBOX_INDEX}]

    ldr x1, ={BOOT_INFO_PAGE}
    add x3, x12, #8 * {BOOT_INFO_FIRST}
    add x4, x3, #8 * {BOOT_INFO_PAGES}
2:  str x1, [x3], #8
    add x1, x1, #0x1000
    cmp x3, x4
    b.lo 2b

    // The image's own pages, each with the rights of its section.
    adrp x1, _start
    adrp x2, __text_end
    adrp x5, __rodata_end
    adrp x6, __free_start
    ldr x7, ={TEXT_BITS}
    ldr x8, ={CONSTANT_BITS}
    ldr x9, ={DATA_BITS}
3:  cmp x1, x5
    csel x3, x8, x9, lo
    cmp x1, x2
    csel x3, x7, x3, lo
    orr x3, x3, x1
    str x3, [x13], #8
    add x1, x1, #0x1000
    cmp x1, x6
    b.lo 3b
    dsb sy

    mov x21, #0
    b 4f

    .global secondary_start
secondary_start:
    msr daifset, #15
    mov x20, #0
    mrs x21, mpidr_el1
    and x21, x21, #0xff

4:  adrp x1, tables
    msr ttbr0_el3, x1
    ldr x1, ={MAIR}
    msr mair_el3, x1
    ldr x1, ={TCR}
    msr tcr_el3, x1
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el3, x1
    tlbi alle3
    ic iallu
    dsb sy
    isb
    ldr x1, ={SCTLR}
    msr sctlr_el3, x1
    isb

    // A stack for each core; its top is also kept in TPIDR_EL3.
    msr spsel, #1
    adrp x1, stacks
    add x2, x21, #1
    add x1, x1, x2, lsl #{STACK_SHIFT}
    mov sp, x1
    msr tpidr_el3, x1
    mov x0, x21
    mov x1, x20
    mov x29, xzr
    mov x30, xzr
    b monitor_main
    .ltorg

    .section .bss.tables, "aw", %nobits
    .balign 4096
tables:
    .space 4 * 4096
stacks:
    .space {CORES} << {STACK_SHIFT}

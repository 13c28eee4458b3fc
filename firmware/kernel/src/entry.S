// The first instructions of the kernel: translation tables and MMU, before any Rust runs.
//
// _start: secure core, x0 = BootInfo, EL1, MMU off. The tables map, at their physical addresses
// and for EL1 only: the image (text RX, constants R, the rest RW, a hole below the stack),
// BootInfo (R), the tasks' images (R) and RAM (RW), the interrupt controller, console and power GPIO.
// `kernel_pages` (the first GiB) hangs in the root of every task's tables too.
    .section .text.entry, "ax"
    .global _start
_start:
    msr daifset, #15
    mov x20, x0
    adrp x1, __bss_start
    adrp x2, __bss_end
1:  stp xzr, xzr, [x1], #16
    cmp x1, x2
    b.lo 1b

    adrp x9, kernel_root
    adrp x10, kernel_pages              // one entry for each 2 MiB of the first GiB
    add x11, x10, #0x1000               // pages around the console and the GPIO
    add x12, x10, #0x2000               // pages of BootInfo
    add x13, x10, #0x3000               // pages of the image
    add x14, x10, #3
    str x14, [x9]
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

    ldr x1, ={BOOT_INFO_PAGE}
    add x3, x12, #8 * {BOOT_INFO_FIRST}
    add x4, x3, #8 * {BOOT_INFO_PAGES}
2:  str x1, [x3], #8
    add x1, x1, #0x1000
    cmp x3, x4
    b.lo 2b

    // Blocks of the tasks' images and RAM.
    mov x5, #0x200000
    ldr x1, ={TASK_IMAGES_BLOCK}
    add x3, x10, #8 * {TASK_IMAGES_INDEX}
    add x4, x3, #8 * {TASK_IMAGES_BLOCKS}
3:  str x1, [x3], #8
    add x1, x1, x5
    cmp x3, x4
    b.lo 3b
    ldr x1, ={TASK_RAM_BLOCK}
    add x3, x10, #8 * {TASK_RAM_INDEX}
    add x4, x3, #8 * {TASK_RAM_BLOCKS}
4:  str x1, [x3], #8
    add x1, x1, x5
    cmp x3, x4
    b.lo 4b

    // The image's own pages, each with the rights of its section.
    adrp x1, _start
    adrp x2, __text_end
    adrp x5, __rodata_end
    adrp x6, __free_start
    ldr x7, ={TEXT_BITS}
    ldr x8, ={CONSTANT_BITS}
    ldr x9, ={DATA_BITS}
    adrp x15, stack_guard
5:  cmp x1, x5
    csel x3, x8, x9, lo
    cmp x1, x2
    csel x3, x7, x3, lo
    orr x3, x3, x1
    cmp x1, x15
    csel x3, xzr, x3, eq
    str x3, [x13], #8
    add x1, x1, #0x1000
    cmp x1, x6
    b.lo 5b
    dsb sy

    adrp x1, kernel_root
    msr ttbr0_el1, x1
    ldr x1, ={MAIR}
    msr mair_el1, x1
    ldr x1, ={TCR}
    msr tcr_el1, x1
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el1, x1
    adrp x1, fault_stack_top
    msr tpidr_el1, x1
    tlbi vmalle1
    ic iallu
    dsb sy
    isb
    ldr x1, ={SCTLR}
    msr sctlr_el1, x1
    isb
    .inst 0xd500419f                    // msr pan, #1: EL1 does not touch what EL0 may

    msr spsel, #1
    adrp x1, stack_top
    mov sp, x1
    mov x0, x20
    adrp x1, kernel_pages
    mov x29, xzr
    mov x30, xzr
    b kernel_main
    .ltorg

    .section .bss.entry, "aw", %nobits
    .balign 4096
kernel_root:
    .space 4096
kernel_pages:
    .space 4 * 4096
    .space 4096
fault_stack_top:
stack_guard:
    .space 4096
    .space {STACK_BYTES}
stack_top:

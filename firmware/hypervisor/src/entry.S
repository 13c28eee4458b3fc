// The first instructions of the hypervisor: translation tables and MMU, before any Rust runs.
//
// _start: the partition's first core, from the monitor; secondary_start: its other cores. Both: EL2,
// MMU off. The tables map, at their physical addresses, the image (text RX, constants R, the rest RW, a
// hole below each stack), the mailbox (RW), the registers of the interrupt controller, SMMU and
// console, and PCI's configuration space. Nothing else exists for EL2: not the partition's memory, no flash.
    // `count` pages in `table`, from entry `first` on.
    .macro pages table, first, count, descriptor
    ldr x1, =\descriptor
    add x3, \table, #8 * \first
    add x4, x3, #8 * \count
1:  str x1, [x3], #8
    add x1, x1, #0x1000
    cmp x3, x4
    b.lo 1b
    .endm

    .section .text.entry, "ax"
    .global _start
_start:
    msr daifset, #15
    adrp x1, __bss_start
    adrp x2, __bss_end
1:  stp xzr, xzr, [x1], #16
    cmp x1, x2
    b.lo 1b

    adrp x9, tables                     // root: one entry for each GiB
    add x10, x9, #0x1000                // 2 MiB each, first GiB: devices
    add x11, x9, #0x2000                // pages around the console and the SMMU
    add x12, x9, #0x3000                // 2 MiB each, second GiB: memory
    add x13, x9, #0x4000                // pages around the mailbox
    add x14, x9, #0x5000                // pages of the image
    add x17, x9, #0x6000                // 2 MiB each, the GiB of PCI's configuration space
    add x18, x9, #0x7000                // its pages
    add x1, x10, #3
    str x1, [x9]
    add x1, x12, #3
    str x1, [x9, #8]
    add x1, x17, #3
    str x1, [x9, #8 * {PCI_GIB}]
    add x1, x18, #3
    str x1, [x17, #8 * {PCI_BLOCK}]
    add x1, x11, #3
    str x1, [x10, #8 * {DEVICES_INDEX}]
    ldr x1, ={GIC_BLOCK}
    str x1, [x10, #8 * {GIC_INDEX}]
    add x1, x13, #3
    str x1, [x12, #8 * {MAILBOX_BLOCK}]
    add x1, x14, #3
    str x1, [x12, #8 * {IMAGE_BLOCK}]
    ldr x1, ={CONSOLE_PAGE}
    str x1, [x11, #8 * {CONSOLE_INDEX}]

    pages x11, {SMMU_FIRST}, {SMMU_PAGES}, {SMMU_PAGE}
    pages x13, {MAILBOX_FIRST}, {MAILBOX_PAGES}, {MAILBOX_PAGE}
    pages x18, {PCI_FIRST}, {PCI_PAGES}, {PCI_PAGE}

    // The image's own pages, each with the rights of its section.
    adrp x1, _start
    adrp x2, __text_end
    adrp x5, __rodata_end
    adrp x6, __free_start
    ldr x7, ={TEXT_BITS}
    ldr x8, ={CONSTANT_BITS}
    ldr x9, ={DATA_BITS}
    adrp x15, stacks
    adrp x16, stacks_end
4:  cmp x1, x5
    csel x3, x8, x9, lo
    cmp x1, x2
    csel x3, x7, x3, lo
    orr x3, x3, x1
    cmp x1, x15
    b.lo 5f
    cmp x1, x16
    b.hs 5f
    tbnz x1, #12, 5f                    // the lower page of each stack's two
    mov x3, xzr
5:  str x3, [x14], #8
    add x1, x1, #0x1000
    cmp x1, x6
    b.lo 4b
    dsb sy
    mov x20, #0
    b 6f

    .global secondary_start
secondary_start:
    msr daifset, #15
    mov x20, #1

6:  mrs x21, mpidr_el1
    and x21, x21, #0xff
    adrp x1, tables
    msr ttbr0_el2, x1
    ldr x1, ={MAIR}
    msr mair_el2, x1
    ldr x1, ={TCR}
    msr tcr_el2, x1
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el2, x1
    tlbi alle2
    ic iallu
    dsb sy
    isb
    ldr x1, ={SCTLR}
    msr sctlr_el2, x1
    isb

    // A stack for each core; its top is also kept in TPIDR_EL2. A core that is not the board's stops here.
7:  cmp x21, #{CORES}
    b.lo 8f
    wfi
    b 7b
8:  msr spsel, #1
    adrp x1, stacks
    add x2, x21, #1
    add x1, x1, x2, lsl #{STACK_SHIFT}
    mov sp, x1
    msr tpidr_el2, x1
    mov x0, x21
    mov x1, x20
    mov x29, xzr
    mov x30, xzr
    b hypervisor_main
    .ltorg

    .section .bss.entry, "aw", %nobits
    .balign 8192
stacks:
    .space {CORES} << {STACK_SHIFT}
stacks_end:
tables:
    .space 8 * 4096

// Exceptions that arrive at EL3. The two that matter for time stay in their slots: PSCI_VERSION
// and DOORBELL are answered at once, Group 0 is handed to EL2 at once. SP is this core's stack.

    .macro fault kind
    .balign 128
    mov x0, #\kind
    b report_fault
    .endm

    .section .vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    // Own level: the monitor itself is wrong.
    fault 0
    fault 1
    fault 2
    fault 3
    fault 4
    fault 5
    fault 6
    fault 7

    // Lower level, synchronous: SMC, else something that was not meant to reach us.
    .balign 128
    stp x16, x17, [sp, #-16]!
    mrs x16, esr_el3
    lsr x16, x16, #26
    cmp x16, #0x17                      // SMC from AArch64
    b.ne call_or_trap
    mov w16, #{PSCI_VERSION_HIGH}
    cmp w0, w16, lsl #16
    b.eq 1f
    mov w17, #{DOORBELL_HIGH}
    lsl w17, w17, #16
    orr w17, w17, #{DOORBELL_LOW}
    cmp w0, w17
    b.eq ring
    b call_or_trap
1:  mov w0, #{VERSION_HALF}             // both halves alike: version 1.1
    orr w0, w0, w0, lsl #16
    ldp x16, x17, [sp], #16
    eret

    // Lower level, IRQ: never routed here.
    fault 9

    // Lower level, FIQ: Group 0. To EL2 as if it had been taken there from EL1 or EL0.
    .balign 128
    stp x16, x17, [sp, #-16]!
    mrs x16, icc_iar0_el1
    cmp x16, #1020                      // special numbers: nothing to take
    b.hs 2f
    msr icc_eoir0_el1, x16
    mrs x16, scr_el3
    tbz x16, #0, 2f                     // secure core: Group 0 is not for it
    mrs x16, spsr_el3
    tbnz x16, #3, 2f                    // was in EL2: it finds out when it next looks
    msr spsr_el2, x16
    mrs x16, elr_el3
    msr elr_el2, x16
    mrs x16, vbar_el2
    add x16, x16, #0x500                // lower level, AArch64, FIQ
    msr elr_el3, x16
    mov x16, #0x3c9                     // EL2, own stack pointer, everything masked
    msr spsr_el3, x16
2:  ldp x16, x17, [sp], #16
    eret

    // Lower level, SError: never routed here.
    fault 11
    // Lower level that is AArch32: there is none.
    fault 12
    fault 13
    fault 14
    fault 15
    .balign 128

    .section .text
    // DOORBELL, from EL2 only: pends the secure SGI on the secure core by its redistributor.
ring:
    mrs x16, spsr_el3
    and x16, x16, #0xf
    cmp x16, #9                         // EL2 with its own stack pointer
    b.ne call_or_trap
    mrs x16, scr_el3
    tbz x16, #0, call_or_trap
    dsb sy                              // what EL2 wrote before is seen before the interrupt
    ldr x16, ={DOORBELL_REGISTER}
    mov w17, #{DOORBELL_BIT}
    str w17, [x16]
    mov x0, #0
    ldp x16, x17, [sp], #16
    eret

    // Everything else: registers as a frame (see Frame in main.rs), then Rust.
call_or_trap:
    sub sp, sp, #144
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x18, x30, [sp, #128]
    mov x0, sp
    bl monitor_synchronous
    ldp x0, x1, [sp]
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x18, x30, [sp, #128]
    add sp, sp, #144
    ldp x16, x17, [sp], #16
    eret

    // Does not come back: the core's stack starts anew.
report_fault:
    mrs x1, tpidr_el3
    mov sp, x1
    b monitor_fault
    .ltorg

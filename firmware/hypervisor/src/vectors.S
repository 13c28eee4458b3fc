// Exceptions that arrive at EL2. SP is this core's stack, empty while the partition runs.
//
// Calls change x0 to x3 only, so the registers that Rust keeps anyway are not saved for them; a
// fault may have to read or change any register. The frame: x0 to x30, a word each.
    .equ FRAME, 256

    .macro save_low
    stp x0, x1, [sp, #-FRAME]!
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    .endm

    .macro restore_low_and_return
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x0, x1, [sp], #FRAME
    eret
    dsb nsh                             // nothing is executed past the return, not even speculatively
    isb
    .endm

    .macro save_high
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    str x30, [sp, #240]
    .endm

    // From below, anything that is not synchronous: \handler(core's registers).
    .macro other handler
    .balign 128
    save_low
    save_high
    mov x0, sp
    bl \handler
    b restore_all
    .endm

    // From EL2 itself: the hypervisor is wrong. Its stack starts anew.
    .macro own kind
    .balign 128
    mrs x1, tpidr_el2
    mov sp, x1
    mov x0, #\kind
    b hypervisor_fault
    .endm

    .section .vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    own 0
    own 1
    own 2
    own 3
    own 4
    own 5
    own 6
    own 7

    .balign 128                         // lower level, synchronous
    save_low
    mrs x1, esr_el2
    ubfx x2, x1, #26, #6                // exception class: HVC is 0x16, SMC 0x17
    sub x2, x2, #0x16
    cmp x2, #1
    b.hi fault
    str x18, [sp, #144]
    str x30, [sp, #240]
    mov x0, sp
    bl hypervisor_call
    ldr x18, [sp, #144]
    ldr x30, [sp, #240]
    restore_low_and_return
    other hypervisor_unexpected         // IRQ: goes to the partition
    other hypervisor_reclaim            // FIQ: the monitor hands Group 0 here
    other hypervisor_system_error

    .balign 128                         // from AArch32 at EL0: as a fault
    save_low
    mrs x1, esr_el2
    b fault
    other hypervisor_unexpected
    other hypervisor_reclaim
    other hypervisor_system_error
    .balign 128

    .section .text
fault:
    save_high
    mov x0, sp
    bl hypervisor_exit
restore_all:
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldr x30, [sp, #240]
    restore_low_and_return

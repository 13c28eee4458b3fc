// Into a task and back: kernel_run(frame) enters EL0 and returns when the task traps.
//
// The kernel itself runs with everything masked and takes no exception: one from EL1 is a fault
// of the kernel. While a task runs, the kernel's stack holds what kernel_run pushed: the frame's
// address and x19 to x30.
    .section .vectors, "ax"
    .balign 2048
    .global vectors
vectors:
    .rept 8                             // from EL1
    .balign 128
    mov x3, x30
    mrs x0, tpidr_el1
    mov sp, x0
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b kernel_fault
    .endr

    .macro from_task kind
    .balign 128
    stp x0, x1, [sp, #-16]!
    mov x1, #\kind
    b save
    .endm
    from_task 0                         // synchronous
    from_task 1                         // IRQ
    from_task 1                         // FIQ: none is routed here
    from_task 2                         // SError
    from_task 2                         // from AArch32: EL0 never runs it
    from_task 2
    from_task 2
    from_task 2

save:
    ldr x0, [sp, #16]
    stp x2, x3, [x0, #16]
    stp x4, x5, [x0, #32]
    stp x6, x7, [x0, #48]
    stp x8, x9, [x0, #64]
    stp x10, x11, [x0, #80]
    stp x12, x13, [x0, #96]
    stp x14, x15, [x0, #112]
    stp x16, x17, [x0, #128]
    stp x18, x19, [x0, #144]
    stp x20, x21, [x0, #160]
    stp x22, x23, [x0, #176]
    stp x24, x25, [x0, #192]
    stp x26, x27, [x0, #208]
    stp x28, x29, [x0, #224]
    mrs x2, sp_el0
    mrs x3, elr_el1
    mrs x4, spsr_el1
    ldp x5, x6, [sp], #16
    stp x5, x6, [x0]
    stp x30, x2, [x0, #240]
    stp x3, x4, [x0, #256]
    mov x0, x1
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp x29, x30, [sp, #96]
    add sp, sp, #112
    ret

    .global kernel_run
kernel_run:
    sub sp, sp, #112
    str x0, [sp]
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp x29, x30, [sp, #96]
    ldp x3, x4, [x0, #256]
    ldp x30, x2, [x0, #240]
    msr spsr_el1, x4
    msr elr_el1, x3
    msr sp_el0, x2
    ldp x28, x29, [x0, #224]
    ldp x26, x27, [x0, #208]
    ldp x24, x25, [x0, #192]
    ldp x22, x23, [x0, #176]
    ldp x20, x21, [x0, #160]
    ldp x18, x19, [x0, #144]
    ldp x16, x17, [x0, #128]
    ldp x14, x15, [x0, #112]
    ldp x12, x13, [x0, #96]
    ldp x10, x11, [x0, #80]
    ldp x8, x9, [x0, #64]
    ldp x6, x7, [x0, #48]
    ldp x4, x5, [x0, #32]
    ldp x2, x3, [x0, #16]
    ldp x0, x1, [x0]
    eret
    dsb nsh                             // nothing is executed past the return, not even speculatively
    isb

// Entry, vectors and the measured loops. Everything is relative to the program counter, so the
// image runs wherever it is loaded: at the start of a partition's RAM, or in the place of the hypervisor.
//
// Loops: x0 = how often; the answer is the ticks of CNTVCT it took. Each loop but the empty one
// has one instruction more than the empty one, and what that one instruction brings about is measured.

    .section .text.entry, "ax"
    .global _start
_start:
    msr daifset, #15
    adrp x1, __bss_start
    adrp x2, __bss_end
1:  stp xzr, xzr, [x1], #16
    cmp x1, x2
    b.lo 1b
    adrp x1, bench_stack_top
    add x1, x1, :lo12:bench_stack_top
    mov sp, x1
    adrp x1, bench_vectors
    add x1, x1, :lo12:bench_vectors
    mrs x0, CurrentEL
    lsr x0, x0, #2
    cmp x0, #2
    b.eq 2f
    msr vbar_el1, x1
    b 3f
2:  msr vbar_el2, x1
3:  isb
    mov x29, xzr
    mov x30, xzr
    b bench_main

    .section .vectors, "ax"
    .balign 2048
bench_vectors:
    .rept 4
    .balign 128
    mov x0, #0
    b unexpected
    .endr
    .balign 128                         // own level, synchronous
    mrs x16, tpidr_el0                  // a probe is under way: go on where it says
    cbz x16, 1f
    mrs x17, CurrentEL
    tbnz x17, #3, 2f                    // EL2
    msr elr_el1, x16
    eret
2:  msr elr_el2, x16
    eret
1:  mov x0, #4
    b unexpected
    .balign 128                         // own level, IRQ: the timer; registers: see measure_timer
    br x10
    .rept 10
    .balign 128
    mov x0, #7
    b unexpected
    .endr
    .balign 128

    .section .text
unexpected:
    b bench_unexpected

    // \name: a loop whose measured instruction is \measured.
    .macro measure name, measured:vararg
    .global \name
\name:
    stp x19, x20, [sp, #-48]!
    stp x21, x22, [sp, #16]
    str x30, [sp, #32]
    mov x19, x0
    mov x20, x1
    isb
    mrs x21, cntvct_el0
1:  mov w0, #0x84000000
    \measured
    subs x19, x19, #1
    b.ne 1b
    isb
    mrs x22, cntvct_el0
    sub x0, x22, x21
    ldr x30, [sp, #32]
    ldp x21, x22, [sp, #16]
    ldp x19, x20, [sp], #48
    ret
    .endm

    measure measure_empty
    measure measure_hvc, hvc #0
    measure measure_smc, smc #0
    measure measure_read, ldr w1, [x20]

    // Timer: x0 = how often, x1 = interrupt number of the virtual timer. Each round sets a deadline on
    // a tick and waits for it. The vector's first instruction jumps into a row of `nop`s, fewer or
    // more with each round, at whose end the counter is read: a tick is 16 instructions, the rows have 0 to
    // 15, so the mean over a multiple of 16 rounds of (ticks late * 16 - instructions in the handler)
    // is exact to one instruction, less the 7.5 by which reading in whole ticks falls short.
    // The answer is the sum over the rounds, in instructions; x1: rounds in which another interrupt came.
    .global measure_timer
measure_timer:
    mov x2, x0                          // rounds left
    mov x3, #0                          // sum
    mov x4, #0                          // strangers
    mov x5, x1
1:  and x6, x2, #15                     // nops in this round
    adr x10, 5f
    sub x10, x10, x6, lsl #2
    mrs x7, cntvct_el0
    add x7, x7, #256
    msr cntv_cval_el0, x7
    mov x8, #1
    msr cntv_ctl_el0, x8
    isb
    msr daifclr, #2
2:  b 2b
    .rept 15
    nop
    .endr
5:  mrs x9, cntvct_el0
    mrs x8, icc_iar1_el1                // while the timer still asks
    mov x11, #2
    msr cntv_ctl_el0, x11
    isb
    msr icc_eoir1_el1, x8
    isb
    cmp x8, x5
    cinc x4, x4, ne
    sub x9, x9, x7
    lsl x9, x9, #4
    sub x9, x9, x6                      // the row
    sub x9, x9, #1                      // reading; the jump, the first instruction, counts
    add x3, x3, x9
    mov x9, #0x3c5
    msr spsr_el1, x9
    adr x9, 6f
    msr elr_el1, x9
    eret
6:  subs x2, x2, #1
    b.ne 1b
    mov x0, x3
    mov x1, x4
    ret

    // Probes: do one thing; the answer is 1 where it was refused by an exception, else 0.
    .macro probe name, probed:vararg
    .global \name
\name:
    adr x16, 1f
    msr tpidr_el0, x16
    \probed
    dsb sy
    msr tpidr_el0, xzr
    mov x0, #0
    ret
1:  msr tpidr_el0, xzr
    mov x0, #1
    ret
    .endm

    probe probe_read, ldr w1, [x0]
    probe probe_write, str wzr, [x0]
    probe probe_write_byte, strb wzr, [x0]
    probe probe_group_0, mrs x1, icc_iar0_el1
    probe probe_performance, mrs x1, pmcr_el0

    // Where a started core comes in: CPU_OFF.
    .global second_core
second_core:
    mov w0, #2
    movk w0, #0x8400, lsl #16
    smc #0
    b .

    .section .bss.stack, "aw", %nobits
    .balign 16
    .space 8192
bench_stack_top:

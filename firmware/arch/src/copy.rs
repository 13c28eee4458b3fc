//! `memcpy` for bare metal, 32 bytes a round: the compiler's own library moves eight.
//!
//! The boot copies every image out of flash and the signature arithmetic moves its polynomials by value, so
//! this is where a tenth of the boot's instructions were. The linker takes this symbol, the library's is weak.
//! Memory must be normal memory (unaligned accesses are allowed); none is copied before the MMU is on.

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
core::arch::global_asm!(
    ".section .text.memcpy, \"ax\"",
    ".global memcpy",
    ".type memcpy, %function",
    // x0: to, x1: from, x2: bytes; x0 is also the answer.
    "memcpy:",
    "mov x3, x0",
    "subs x2, x2, #32",
    "b.lo 2f",
    "1:",
    "ldp x4, x5, [x1], #16",
    "ldp x6, x7, [x1], #16",
    "stp x4, x5, [x3], #16",
    "stp x6, x7, [x3], #16",
    "subs x2, x2, #32",
    "b.hs 1b",
    // Bits 4:0 of what is left are those of the remainder: it went below zero by exactly 32.
    "2:",
    "tbz x2, #4, 3f",
    "ldp x4, x5, [x1], #16",
    "stp x4, x5, [x3], #16",
    "3:",
    "tbz x2, #3, 4f",
    "ldr x4, [x1], #8",
    "str x4, [x3], #8",
    "4:",
    "tbz x2, #2, 5f",
    "ldr w4, [x1], #4",
    "str w4, [x3], #4",
    "5:",
    "tbz x2, #1, 6f",
    "ldrh w4, [x1], #2",
    "strh w4, [x3], #2",
    "6:",
    "tbz x2, #0, 7f",
    "ldrb w4, [x1]",
    "strb w4, [x3]",
    "7:",
    "ret",
    ".size memcpy, . - memcpy",
);

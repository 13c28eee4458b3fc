//! AArch64: registers, vectors, translation tables, interrupts. One instruction per function.

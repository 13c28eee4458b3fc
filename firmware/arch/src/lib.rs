//! AArch64: registers, vectors, translation tables, interrupts. One instruction per function.
//!
//! On a host every instruction is a stub (reads give 0, writes vanish), so that what is
//! built on top compiles and its logic can be tested there; register blocks in memory
//! ([`mmio`], [`gic`]) work on plain memory and make their own fakes.
#![no_std]

pub mod barrier;
pub mod call;
mod copy;
pub mod counter;
pub mod el0;
pub mod el1;
pub mod el2;
pub mod el3;
pub mod gic;
pub mod maintenance;
pub mod mmio;
pub mod once;
pub mod registers;
pub mod smmu;
pub mod translation;
pub mod window;

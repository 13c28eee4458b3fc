//! EL1: a guest that measures the hypervisor and the monitor under it.
//!
//! Started like a Linux kernel (start of the partition's RAM, MMU off) it measures what a guest feels of
//! the hypervisor, and then tries what a hijacked guest would try; started in the hypervisor's place (EL2), what the hypervisor feels of the monitor, and
//! then it tries what a hijacked hypervisor would try (`check <name> ok` or `FAILED`).
//! It counts instructions, so run it with `-icount shift=0`: one instruction is one nanosecond.
//! Prints `bench <name> <instructions * 1000>` lines and `bench done`, then switches off.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod checks;
#[cfg(target_os = "none")]
mod dma;
#[cfg(target_os = "none")]
mod escapes;
#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}

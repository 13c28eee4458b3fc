//! EL2: partitions, nothing else.
//!
//! Wiring: decisions are in `partition` and `smmu-core`, instructions in `arch`. A partition owns its cores and
//! takes its interrupts itself; it comes here for calls, SGIs, its interrupt controller's registers,
//! the vsock device's doorbell, and for what it may not do. Nothing is allocated after start.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod devices;
#[cfg(target_os = "none")]
mod dma;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod exits;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod lifecycle;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod plan;

#[cfg(not(target_os = "none"))]
fn main() {}

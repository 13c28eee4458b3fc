//! S-EL1: the small real-time kernel.
//!
//! Wiring only: decisions are in `kernel_core`, registers in `arch`, devices in `board`. One core, interrupts
//! masked while it runs, no allocation, no floating point.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod plan;
#[cfg(target_os = "none")]
mod space;
#[cfg(target_os = "none")]
mod trap;

#[cfg(not(target_os = "none"))]
fn main() {}

//! S-EL1: the small real-time kernel.
//!
//! Wiring: decisions are in `kernel-core`, instructions in `arch`. The kernel is one loop: choose a
//! task, run it until it traps, do what it asks. It never takes an interrupt itself: it looks
//! for pending ones when a task was interrupted, or when it has nothing to run.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod plan;
#[cfg(target_os = "none")]
mod space;

#[cfg(not(target_os = "none"))]
fn main() {}

//! EL3, resident: worlds, PSCI, the few secure services.
//!
//! Wiring only: decisions are in `psci`, registers in `arch`, devices in `board`. A core belongs
//! to one world for ever, so nothing is ever switched or saved: EL3 is entered for a call, a
//! Group 0 interrupt, or not at all.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod plan;

#[cfg(not(target_os = "none"))]
fn main() {}

//! The kernel's decisions: scheduling, messages, leases, budgets. No unsafe, no registers.
//!
//! A [`Kernel`] holds every task's saved registers and state. The binary saves the registers of the
//! task that trapped, calls one method here, and resumes [`Kernel::current`]. An address from a task
//! is an allegation until [`plan::Space::locate`] has turned it into a physical range.
#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
mod calls;
pub mod image;
mod kernel;
pub mod plan;
pub mod policy;
#[cfg(test)]
mod tests;

pub use kernel::{Action, Fault, Kernel, Memory, NOBODY, Registers, State, Task};

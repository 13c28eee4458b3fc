//! The hypervisor's decisions: interrupt filters, PSCI, faults, and what it counts. No unsafe, no registers.
//!
//! Everything a partition does that leaves its own level arrives here as numbers and is answered
//! as numbers; the hypervisor carries the answers out.
#![no_std]
#![forbid(unsafe_code)]

pub mod counters;
pub mod mailbox;

pub use counters::{Counters, Exit, Refusal, State};

//! The kernel's decisions: scheduling, messages, leases, budgets. No unsafe, no registers.
#![no_std]
#![forbid(unsafe_code)]

//! What the description says of memory, devices and tasks.
#![allow(dead_code, reason = "generated; the kernel need not use all of it")]

include!(concat!(env!("OUT_DIR"), "/plan.rs"));
include!(concat!(env!("OUT_DIR"), "/tasks.rs"));

/// How many tasks there are.
pub const TASK_COUNT: usize = TASKS.len();
/// Private interrupt of the secure timer (CNTPS).
pub const TIMER_INTERRUPT: u32 = 29;

//! The hypervisor's decisions: distributor filter, PSCI, stage-2 tables, faults. No unsafe, no registers.
#![no_std]
#![forbid(unsafe_code)]

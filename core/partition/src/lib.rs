//! The hypervisor's decisions: interrupt filters, PSCI, faults, and what it counts. No unsafe, no registers.
//!
//! Everything a partition does that leaves its own level arrives here as numbers and is answered
//! as numbers; the hypervisor carries the answers out.
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod counters;
pub mod exception;
pub mod features;
pub mod interrupts;
pub mod mailbox;
pub mod power;

pub use access::Access;
pub use counters::{Counters, Exit, Refusal, State};
pub use interrupts::Interrupts;

/// A range of the partition's addresses, and what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First address, as the partition sees it.
    pub base: u64,
    /// Physical address of the same.
    pub physical: u64,
    /// Bytes, a multiple of 4096.
    pub bytes: u64,
    /// What it may do there.
    pub kind: Kind,
}

/// What a partition may do with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RAM: everything; inside it, W^X is the partition's own affair.
    Ram,
    /// Memory it reads only.
    ReadOnly,
    /// Device registers.
    Device,
}

/// A partition, as the description says.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Its name.
    pub name: &'static str,
    /// Its cores, a bit each.
    pub cores: u32,
    /// The core that boots.
    pub boot_core: usize,
    /// First instruction, as the partition sees it.
    pub entry: u64,
    /// Device tree, as the partition sees it.
    pub device_tree: u64,
    /// Everything it may reach.
    pub ranges: &'static [Range],
    /// Its interrupts.
    pub interrupts: Interrupts,
    /// First address of the vsock device's register page.
    pub doorbell_page: u64,
    /// SMMU streams whose DMA reaches its RAM.
    pub streams: &'static [u32],
}

impl Plan {
    /// True if `core` is one of its cores.
    #[must_use]
    pub const fn owns(&self, core: u64) -> bool {
        owns(self.cores, core)
    }
}

/// True if `cores` has the bit of `core`.
const fn owns(cores: u32, core: u64) -> bool {
    core < 32 && cores & (1 << core) != 0
}

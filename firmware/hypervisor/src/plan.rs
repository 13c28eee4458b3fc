//! What the description says about the partition, and the two mailbox pages.

use partition::mailbox::Mailbox;
use partition::{Counters, Plan};

/// Constants of the build script; other stages use more of them.
#[allow(
    dead_code,
    reason = "the description has more than the hypervisor needs"
)]
mod derived {
    include!(concat!(env!("OUT_DIR"), "/plan.rs"));
    include!(concat!(env!("OUT_DIR"), "/partitions.rs"));
}
pub use derived::*;

/// Cores of the machine.
pub const CORES: usize = board::qemu_virt::CORES;
const _: () = assert!(CORES <= partition::counters::CORES);
const _: () = assert!(
    PARTITIONS.len() == 1,
    "counters and mailbox are laid out for one partition"
);

/// The partition.
pub static LINUX: &Plan = &PARTITIONS[0];

/// Bytes of a page of the mailbox.
const PAGE_BYTES: usize = 4096;
const _: () = assert!(MEMORY_MAILBOX_SIZE >= 3 * PAGE_BYTES);

/// Page 0 of the mailbox.
#[inline(always)]
pub fn counters() -> &'static Counters {
    let page = core::ptr::with_exposed_provenance::<Counters>(MEMORY_MAILBOX_BASE);
    // SAFETY: the region is mapped (entry.S), page aligned, larger than the struct (asserted in
    // `partition`), no other Rust object lies there, and all fields are atomic words.
    unsafe { &*page }
}

/// Page 1 of the mailbox.
#[inline(always)]
pub fn mailbox() -> &'static Mailbox {
    let page = core::ptr::with_exposed_provenance::<Mailbox>(MEMORY_MAILBOX_BASE + PAGE_BYTES);
    // SAFETY: as for page 0.
    unsafe { &*page }
}

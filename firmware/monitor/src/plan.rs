//! What the description says about the monitor's machine, and the one shared state.

use psci::Psci;

/// Constants of the build script; other stages use more of them.
#[allow(dead_code, reason = "the description has more than the monitor needs")]
mod derived {
    include!(concat!(env!("OUT_DIR"), "/plan.rs"));
    include!(concat!(env!("OUT_DIR"), "/division.rs"));
}
pub use derived::*;

/// Cores of the machine.
pub const CORES: usize = board::qemu_virt::CORES;
const _: () = assert!(
    WORLDS.len() == CORES,
    "the description's cores are the board's"
);

/// SGI of secure Group 1 that the doorbell pends on the secure core.
pub const DOORBELL_SGI: u32 = 8;
/// SGI of Group 0 that takes a core back to EL2.
pub const RECLAIM_SGI: u32 = 15;

/// Which core is on. Normal-world cores start in the hypervisor's region and nowhere else.
pub static PSCI: Psci<CORES> = Psci::new(
    WORLDS,
    MEMORY_HYPERVISOR_BASE as u64,
    (MEMORY_HYPERVISOR_BASE + MEMORY_HYPERVISOR_SIZE) as u64,
);

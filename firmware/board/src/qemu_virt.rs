//! QEMU's `virt` machine with `secure=on,gic-version=3`: fixed addresses (QEMU `hw/arm/virt.c`, base_memmap).

use arch::gic::{Distributor, Redistributor};
use arch::mmio;

/// Cores of the board.
pub const CORES: usize = 4;
/// Interrupt controller: distributor.
pub const DISTRIBUTOR_BASE: usize = 0x0800_0000;
/// Interrupt controller: redistributor of core 0; the others follow.
pub const REDISTRIBUTOR_BASE: usize = 0x080a_0000;
/// Bytes from one redistributor to the next.
pub const REDISTRIBUTOR_STRIDE: usize = 0x2_0000;
/// The GPIO that answers only the secure world: power off and restart.
pub const SECURE_GPIO_BASE: usize = 0x090b_0000;
/// Ticks of the system counter in a second, should the reset value be missing.
pub const COUNTER_HZ: u64 = 62_500_000;
/// Address of the word in ROM RAM that releases the secondary cores.
pub const SECONDARY_MAILBOX: usize =
    crate::plan::MEMORY_ROM_RAM_BASE + crate::plan::MEMORY_ROM_RAM_SIZE - 8;

/// The distributor; every stage that calls this maps it at its physical address.
#[must_use]
pub fn distributor() -> &'static Distributor {
    // SAFETY: the address is QEMU's VIRT_GIC_DIST, 64 KiB, and no memory region of the
    // description may overlap it; stages map devices at their physical addresses.
    unsafe { mmio::block(DISTRIBUTOR_BASE) }
}

/// The redistributor of `core`; `None` where there is no such core.
#[must_use]
pub fn redistributor(core: usize) -> Option<&'static Redistributor> {
    if core >= CORES {
        return None;
    }
    let address = REDISTRIBUTOR_BASE + core * REDISTRIBUTOR_STRIDE;
    // SAFETY: QEMU's VIRT_GIC_REDIST holds one 128 KiB block per core and `core` exists.
    Some(unsafe { mmio::block(address) })
}

/// Writes the word that releases the secondary cores from ROM: the address they jump to, or 0.
pub fn write_secondary_mailbox(address: u64) {
    // SAFETY: the top word of ROM RAM is kept for this (ARCHITECTURE.md, boot hand-over); only
    // the monitor writes it, and it is aligned.
    let cell: &'static mmio::ReadWrite<u64> = unsafe { mmio::block(SECONDARY_MAILBOX) };
    cell.write(address);
}

//! The board: addresses and devices of qemu-virt.
//!
//! What a product chooses (memory regions, who owns which peripheral) is in [`plan`], derived
//! from the description; what the board fixes is in [`qemu_virt`].
#![no_std]

pub mod console;
pub mod flash;
pub mod pl011;
pub mod pl061;
pub mod power;
pub mod qemu_virt;

/// Addresses derived from the device description: `MEMORY_*`, `FLASH_*`, `PERIPHERAL_*`.
pub mod plan {
    include!(concat!(env!("OUT_DIR"), "/plan.rs"));
}

pub use qemu_virt::{distributor, redistributor};

//! The ROM's views of flash and SRAM.

use board::plan::{
    FLASH_OTP_BASE, FLASH_SLOT_A_BASE, FLASH_SLOT_A_SIZE, MEMORY_BOOT_INFO_BASE,
    MEMORY_BOOT_INFO_SIZE, MEMORY_LOADER_BASE, MEMORY_LOADER_SIZE,
};
use bootinfo::BootInfo;
use manifest::MAX_DOCUMENT_BYTES;
use manifest::fuses;

/// Kept for the ROM's stack at the end of the loader's region, which is free until the loader runs.
const STACK_BYTES: usize = 256 * 1024;
/// Documents copied out of flash: root keys, key certificate, loader manifest.
const DOCUMENTS: usize = 3;
/// What is left of the loader's region for the loader.
pub const LOADER_BYTES: usize = MEMORY_LOADER_SIZE - STACK_BYTES - DOCUMENTS * MAX_DOCUMENT_BYTES;

/// Everything the ROM reads and writes besides its stack.
pub struct Memory {
    /// The one-time-programmable sector, as far as it is read.
    pub fuses: &'static [u8; fuses::BYTES],
    /// Flash slot A.
    pub slot: &'static [u8],
    /// Where the loader goes.
    pub loader: &'static mut [u8],
    /// Room for the documents.
    pub documents: [&'static mut [u8]; DOCUMENTS],
    /// The hand-over.
    pub boot_info: &'static mut BootInfo,
}

/// The ROM's memory.
///
/// # Safety
/// To be called once: the result holds the only references to SRAM besides the stack.
pub unsafe fn take() -> Memory {
    const { assert!(size_of::<BootInfo>() <= MEMORY_BOOT_INFO_SIZE) };
    let documents = MEMORY_LOADER_BASE + LOADER_BYTES;
    // SAFETY: the flash addresses are not 0, mapped read-only, and nobody programs the flash while the ROM runs.
    // The SRAM ranges are disjoint: boot-info, then of the loader's region the loader's part, three documents,
    // and above them the stack; all are mapped read-write, and core 0 alone runs. A BootInfo has no invalid bytes.
    unsafe {
        let document = |index: usize| {
            let start = documents + index * MAX_DOCUMENT_BYTES;
            core::slice::from_raw_parts_mut(start as *mut u8, MAX_DOCUMENT_BYTES)
        };
        Memory {
            fuses: &*(FLASH_OTP_BASE as *const [u8; fuses::BYTES]),
            slot: core::slice::from_raw_parts(FLASH_SLOT_A_BASE as *const u8, FLASH_SLOT_A_SIZE),
            loader: core::slice::from_raw_parts_mut(MEMORY_LOADER_BASE as *mut u8, LOADER_BYTES),
            documents: [document(0), document(1), document(2)],
            boot_info: &mut *(MEMORY_BOOT_INFO_BASE as *mut BootInfo),
        }
    }
}

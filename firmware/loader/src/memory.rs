//! The loader's views of flash, SRAM and DRAM.

use board::plan::{
    FLASH_SLOT_A_BASE, FLASH_SLOT_A_SIZE, FLASH_SLOT_B_BASE, FLASH_SLOT_B_SIZE,
    MEMORY_BOOT_INFO_BASE, MEMORY_LOADER_BASE, MEMORY_LOADER_SIZE,
};
use bootinfo::BootInfo;
use manifest::MAX_DOCUMENT_BYTES;
use verify::{Placement, Region};

/// Kept for the stack at the end of the loader's region.
const STACK_BYTES: usize = 256 * 1024;
/// Documents copied out of flash: key certificate, system manifest.
const DOCUMENTS: usize = 2;
/// Where the documents go; the image and its variables end before it.
const DOCUMENTS_BASE: usize =
    MEMORY_LOADER_BASE + MEMORY_LOADER_SIZE - STACK_BYTES - DOCUMENTS * MAX_DOCUMENT_BYTES;

/// Everything the loader reads and writes besides its image and stack.
pub struct Memory {
    /// The hand-over.
    pub boot_info: &'static mut BootInfo,
    /// Room for the documents.
    pub documents: [&'static mut [u8]; DOCUMENTS],
    /// Where components go.
    pub regions: Regions,
}

/// The memory that components are loaded to, a window at a time.
pub struct Regions(());

/// The loader's memory.
///
/// # Safety
/// To be called once: the result holds the only references to memory besides image and stack.
pub unsafe fn take() -> Memory {
    // SAFETY: the ranges are disjoint, mapped read-write, and core 0 alone runs: boot-info is a region of its own,
    // the documents lie in the loader's region below the stack and above the image (256 KiB + 128 KiB from its end;
    // the image is far smaller, and the boot ROM refuses one that is not). A BootInfo has no invalid bytes.
    unsafe {
        let document = |index: usize| {
            let start = DOCUMENTS_BASE + index * MAX_DOCUMENT_BYTES;
            core::slice::from_raw_parts_mut(start as *mut u8, MAX_DOCUMENT_BYTES)
        };
        Memory {
            boot_info: &mut *(MEMORY_BOOT_INFO_BASE as *mut BootInfo),
            documents: [document(0), document(1)],
            regions: Regions(()),
        }
    }
}

/// Flash slot `number`: 0 = A, 1 = B.
pub fn slot(number: u32) -> &'static [u8] {
    let (base, size) = match number {
        0 => (FLASH_SLOT_A_BASE, FLASH_SLOT_A_SIZE),
        _ => (FLASH_SLOT_B_BASE, FLASH_SLOT_B_SIZE),
    };
    // SAFETY: both slots are flash, mapped read-only, not at address 0, and nobody programs them while the loader runs.
    unsafe { core::slice::from_raw_parts(base as *const u8, size) }
}

impl Regions {
    /// The memory of a placed component: where its bytes go, and where its stored bytes
    /// are put before they are unpacked (empty where they are stored as they are).
    ///
    /// `None` where `placement` does not lie in one of `regions`: nothing outside is ever touched.
    pub fn window(
        &mut self,
        placement: &Placement,
        regions: &[Region],
    ) -> Option<(&mut [u8], &mut [u8])> {
        let end = placement
            .stored_base
            .checked_add(placement.stored_bytes)?
            .max(placement.base.checked_add(placement.bytes)?);
        let inside = |region: &Region| {
            let region_end = region.base.saturating_add(region.size);
            region.base <= placement.base && end <= region_end
        };
        if !regions.iter().any(inside) {
            return None;
        }
        let bytes = usize::try_from(end.checked_sub(placement.base)?).ok()?;
        let start = usize::try_from(placement.base).ok()?;
        // SAFETY: the range lies in a region that the checked description names for components: RAM, mapped
        // read-write, disjoint from image, stack, boot-info and documents (the loader's own region is not among
        // `regions`, which are the description's without the first). `&mut self` makes it the only window.
        let window = unsafe { core::slice::from_raw_parts_mut(start as *mut u8, bytes) };
        let place = usize::try_from(placement.bytes).ok()?;
        if placement.stored_base == placement.base {
            return window.split_at_mut_checked(place);
        }
        let (place, rest) = window.split_at_mut_checked(place)?;
        let stored = rest
            .len()
            .checked_sub(usize::try_from(placement.stored_bytes).ok()?)?;
        Some((place, rest.get_mut(stored..)?))
    }
}

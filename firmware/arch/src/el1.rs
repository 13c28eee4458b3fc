//! What the kernel does at secure EL1: address spaces, the task's registers' way in and out, memory of tasks.

use crate::barrier::isb;
use crate::registers::{
    cntkctl_el1, cntps_ctl_el1, cntps_cval_el1, cpacr_el1, icc_bpr1_el1, icc_eoir1_el1,
    icc_iar1_el1, icc_igrpen1_el1, icc_pmr_el1, ttbr0_el1,
};

/// Words of a task's saved registers: x0 to x30, stack pointer, program counter, status.
pub const FRAME_WORDS: usize = 34;

/// What EL0 may use: the counters, no timer; no floating point. The secure timer is on, never due.
pub fn prepare() {
    cntkctl_el1::write(cntkctl_el1::EL0PCTEN | cntkctl_el1::EL0VCTEN);
    cpacr_el1::write(0);
    set_deadline(u64::MAX);
    cntps_ctl_el1::write(1);
    isb();
}

/// When the secure timer (CNTPS) interrupts, in ticks of the physical counter.
#[inline(always)]
pub fn set_deadline(ticks: u64) {
    cntps_cval_el1::write(ticks);
}

/// Lets secure Group 1 interrupts through to this core.
pub fn enable_interrupts() {
    icc_pmr_el1::write(0xff);
    icc_bpr1_el1::write(0);
    icc_igrpen1_el1::write(1);
    isb();
}

/// The next pending interrupt, acknowledged; `None` where there is none.
#[must_use]
pub fn acknowledge() -> Option<u32> {
    let interrupt = icc_iar1_el1::read() as u32 & 0xff_ffff;
    crate::barrier::dsb_sy();
    (interrupt < crate::gic::LIMIT).then_some(interrupt)
}

/// Ends an interrupt that was acknowledged.
pub fn end(interrupt: u32) {
    icc_eoir1_el1::write(u64::from(interrupt));
    isb();
}

/// Makes the tables at `root` those of EL0, their translations marked `asid`.
///
/// # Safety
/// `root` is the physical address of complete tables that map the kernel's own text, data and
/// devices as the current ones do, and stay as they are while in use.
#[inline(always)]
pub unsafe fn switch_space(root: u64, asid: u16) {
    // SAFETY: as the caller promises.
    unsafe { ttbr0_el1::write(root | (u64::from(asid) << 48)) };
    isb();
}

/// Memory that is mapped at its physical address and holds no Rust object: the tasks' RAM and images.
#[derive(Debug)]
pub struct TaskMemory {
    ram: (u64, u64),
    images: (u64, u64),
}

impl TaskMemory {
    /// `ram` and `images`: first address and one past the last.
    ///
    /// # Safety
    /// Both ranges are mapped at their physical addresses as normal memory (`ram` writable), no
    /// Rust object lies in them, only one core and one `TaskMemory` access them from here.
    #[must_use]
    pub const unsafe fn new(ram: (u64, u64), images: (u64, u64)) -> Self {
        Self { ram, images }
    }

    #[inline(always)]
    fn inside((first, end): (u64, u64), address: u64, bytes: u64) -> bool {
        // Below the range the offset wraps around and is larger than any range.
        let (offset, size) = (address.wrapping_sub(first), end.wrapping_sub(first));
        offset <= size && bytes <= size - offset
    }

    fn readable(&self, address: u64, bytes: u64) -> bool {
        Self::inside(self.ram, address, bytes) || Self::inside(self.images, address, bytes)
    }

    /// Copies bytes into the tasks' RAM; ranges may overlap. False, and nothing copied, where
    /// one of them lies elsewhere.
    #[inline(always)]
    pub fn copy(&mut self, from: u64, to: u64, bytes: u64) -> bool {
        if !self.readable(from, bytes) || !Self::inside(self.ram, to, bytes) {
            return false;
        }
        let source = core::ptr::with_exposed_provenance::<u8>(from as usize);
        let target = core::ptr::with_exposed_provenance_mut::<u8>(to as usize);
        // SAFETY: both ranges are mapped, the target writable, and no Rust object lies there (`new`);
        // where they overlap, the copy that allows it is taken.
        unsafe {
            if from.abs_diff(to) >= bytes {
                core::ptr::copy_nonoverlapping(source, target, bytes as usize);
            } else {
                core::ptr::copy(source, target, bytes as usize);
            }
        }
        true
    }

    /// An 8-byte word; 0 where it lies elsewhere.
    #[must_use]
    pub fn word(&self, address: u64) -> u64 {
        if !self.readable(address, 8) {
            return 0;
        }
        let source = core::ptr::with_exposed_provenance::<u64>(address as usize);
        // SAFETY: eight mapped bytes (`new`); every bit pattern is a valid u64.
        unsafe { source.read_unaligned() }
    }

    /// The first bytes of an image; `None` where they lie elsewhere.
    #[must_use]
    pub fn image<const BYTES: usize>(&self, address: u64) -> Option<[u8; BYTES]> {
        if !Self::inside(self.images, address, BYTES as u64) {
            return None;
        }
        let source = core::ptr::with_exposed_provenance::<[u8; BYTES]>(address as usize);
        // SAFETY: mapped bytes (`new`); an array of bytes has no alignment and no invalid value.
        Some(unsafe { source.read() })
    }

    /// Zeroes whole pages of the tasks' RAM. False, and nothing done, where they lie elsewhere.
    pub fn zero_pages(&mut self, address: u64, bytes: u64) -> bool {
        if !Self::inside(self.ram, address, bytes) || !(address | bytes).is_multiple_of(4096) {
            return false;
        }
        let step = zero_block_bytes();
        let mut at = address;
        while at < address + bytes {
            zero_block(at);
            at += step;
        }
        true
    }
}

/// Bytes `dc zva` zeroes: DCZID_EL0.BS, at most 2 KiB (DDI 0487, D19.2.35).
fn zero_block_bytes() -> u64 {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    {
        let value: u64;
        // SAFETY: reading this register changes nothing a program owns.
        unsafe {
            core::arch::asm!("mrs {}, dczid_el0", out(reg) value, options(nostack, preserves_flags))
        };
        4 << (value & 0xf)
    }
    #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
    4096
}

/// Zeroes one block of the tasks' RAM; only [`TaskMemory::zero_pages`] calls it.
#[allow(unused_variables, reason = "on a host there is no such memory")]
fn zero_block(address: u64) {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: the block lies in a page of the tasks' RAM (checked by the caller), which is normal
    // memory and holds no Rust object.
    unsafe {
        core::arch::asm!("dc zva, {}", in(reg) address, options(nostack, preserves_flags));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_touched() {
        // SAFETY: every access below is refused before memory is reached.
        let mut memory = unsafe { TaskMemory::new((0x10_0000, 0x20_0000), (0x40_0000, 0x50_0000)) };
        assert!(
            !memory.copy(0x10_0000, 0x40_0000, 8),
            "images are never written"
        );
        assert!(!memory.copy(0x10_0000, 0x1f_fff9, 8));
        assert!(!memory.copy(0x0f_ffff, 0x10_0000, 2));
        assert!(!memory.copy(u64::MAX, 0x10_0000, 2));
        assert!(!memory.zero_pages(0x10_0800, 4096));
        assert!(!memory.zero_pages(0x40_0000, 4096));
        assert_eq!(memory.word(0x1f_fff9), 0);
        assert_eq!(memory.image::<8>(0x10_0000), None);
    }
}

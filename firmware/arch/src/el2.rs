//! Instructions and structures of EL2, for the hypervisor: what EL1 may do, its memory, the way in.

use crate::barrier::{dsb_ish, isb};
use crate::maintenance::{tlbi_alle1is, tlbi_vmalls12e1is};
use crate::registers::{
    cnthctl_el2, cnthp_ctl_el2, cntkctl_el1, cntp_ctl_el0, cntv_ctl_el0, cntvoff_el2, cpacr_el1,
    cptr_el2, elr_el1, elr_el2, far_el1, hcr_el2, hstr_el2, icc_ap1r0_el1, icc_ctlr_el1,
    icc_igrpen1_el1, icc_pmr_el1, icc_sgi1r_el1, icc_sre_el2, ich_hcr_el2, ich_vmcr_el2, mdcr_el2,
    midr_el1, mpidr_el1, par_el1, pmcr_el0, sctlr_el1, spsr_el1, spsr_el2, tcr_el1, vbar_el1,
    vmpidr_el2, vpidr_el2, vtcr_el2, vttbr_el2,
};
use crate::translation::{Builder, Error, Table};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// HCR_EL2: stage 2 on; FIQs (Group 0 only, and those go to EL3) and system errors are not EL1's; IRQs are
/// (IMO = 0: interrupts never exit, ADR 3); SMC, identification, implementation defined and error
/// record registers trap.
const HCR: u64 = hcr_el2::VM
    | hcr_el2::SWIO
    | hcr_el2::FMO
    | hcr_el2::AMO
    | hcr_el2::TID3
    | hcr_el2::TSC
    | hcr_el2::TIDCP
    | hcr_el2::RW
    | hcr_el2::TERR
    | hcr_el2::APK
    | hcr_el2::API;
/// VTCR_EL2: addresses of 39 bits from level 1 on, 4 KiB granule, walks cached and inner
/// shareable, physical addresses of 40 bits (DDI 0487, D19.2.161).
const VTCR: u64 = 25 | (1 << 6) | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16) | (1 << 31);
/// State in which EL1 is entered: own stack pointer, everything masked.
const STATE_EL1: u64 = spsr_el1::DAIF | spsr_el1::EL1H;
/// SCTLR_EL1 out of reset: MMU and caches off.
const SCTLR_EL1_OFF: u64 = sctlr_el1::RES1;

/// What EL1 may do on this core: timers and counters, floating point, pointer authentication; not
/// performance monitors, trace, SVE, SME. The physical priority mask is opened here, because
/// ICC_PMR_EL1 is the virtual one at EL1 while FMO = 1.
pub fn prepare_core() {
    icc_sre_el2::write(icc_sre_el2::ON_AND_LOWER);
    isb();
    icc_pmr_el1::write(0xff);
    icc_ctlr_el1::write(0);
    ich_hcr_el2::write(0);
    ich_vmcr_el2::write(0);
    cptr_el2::write(cptr_el2::RES1_TRAP_VECTORS | cptr_el2::TTA);
    let counters = (pmcr_el0::read() >> 11) & mdcr_el2::HPMN;
    mdcr_el2::write(counters | mdcr_el2::TPM | mdcr_el2::TPMCR | mdcr_el2::TPMS | mdcr_el2::TTRF);
    hstr_el2::write(0);
    vpidr_el2::write(midr_el1::read());
    vmpidr_el2::write(mpidr_el1::read());
    cnthctl_el2::write(cnthctl_el2::EL1PCTEN | cnthctl_el2::EL1PCEN);
    cntvoff_el2::write(0);
    cnthp_ctl_el2::write(0);
    // SAFETY: these say what EL1 may do; EL2 itself does not depend on them.
    unsafe {
        vtcr_el2::write(VTCR);
        hcr_el2::write(HCR);
    }
    isb();
}

/// EL1 as out of reset on this core: MMU off, no timer, no interrupt let through or active.
pub fn reset_el1() {
    cntv_ctl_el0::write(0);
    cntp_ctl_el0::write(0);
    icc_igrpen1_el1::write(0);
    icc_ap1r0_el1::write(0);
    ich_vmcr_el2::write(0);
    cntkctl_el1::write(0);
    cpacr_el1::write(0);
    // SAFETY: EL1 is not running: this is the state it finds.
    unsafe {
        hcr_el2::write(HCR);
        sctlr_el1::write(SCTLR_EL1_OFF);
        tcr_el1::write(0);
        vbar_el1::write(0);
    }
    isb();
}

/// Leaves EL2 for EL1, MMU off: all registers zero but x0. EL2's stack starts anew at `stack_top`
/// with the next exception.
///
/// # Safety
/// Nothing on this core's EL2 stack is needed again; `stack_top` is 16-byte aligned.
pub unsafe fn enter(entry: u64, context: u64, stack_top: u64) -> ! {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: EL1 reaches only what stage 2 gives it; the code does not come back.
    unsafe {
        core::arch::asm!(
            "mov sp, {stack_top}", "msr elr_el2, {entry}", "msr spsr_el2, {state}",
            "mov x1, xzr", "mov x2, xzr", "mov x3, xzr", "mov x4, xzr", "mov x5, xzr",
            "mov x6, xzr", "mov x7, xzr", "mov x8, xzr", "mov x9, xzr", "mov x10, xzr",
            "mov x11, xzr", "mov x12, xzr", "mov x13, xzr", "mov x14, xzr", "mov x15, xzr",
            "mov x16, xzr", "mov x17, xzr", "mov x18, xzr", "mov x19, xzr", "mov x20, xzr",
            "mov x21, xzr", "mov x22, xzr", "mov x23, xzr", "mov x24, xzr", "mov x25, xzr",
            "mov x26, xzr", "mov x27, xzr", "mov x28, xzr", "mov x29, xzr", "mov x30, xzr",
            "eret",
            stack_top = in(reg) stack_top, entry = in(reg) entry, state = in(reg) STATE_EL1,
            in("x0") context, options(noreturn))
    }
    #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
    {
        let _ = (entry, context, stack_top, STATE_EL1, elr_el2::read());
        crate::barrier::halt()
    }
}

/// Goes on at `at` in `state` when EL2 returns, with an exception noted for EL1: why
/// (`syndrome`), and which address it was about.
pub fn give_exception(syndrome: u64, address: u64, at: u64, state: u64) {
    far_el1::write(address);
    // SAFETY: only EL1's own exception registers and where EL1 goes on; the state is masked to
    // EL1 with its own stack pointer and flags, so EL2 is not what is returned to.
    unsafe {
        write_esr_el1(syndrome);
        elr_el1::write(elr_el2::read());
        spsr_el1::write(spsr_el2::read());
        elr_el2::write(at);
        spsr_el2::write((state & !0xf) | spsr_el1::EL1H);
    }
}

/// A system error pends for EL1 from now on, until it takes it.
pub fn give_system_error() {
    // SAFETY: EL2 does not depend on it.
    unsafe { hcr_el2::write(HCR | hcr_el2::VSE) };
}

/// Skips the instruction (of 32 bits) that trapped.
#[inline(always)]
pub fn skip_instruction() {
    // SAFETY: only where EL1 goes on; it may go where it wants.
    unsafe { elr_el2::write(elr_el2::read().wrapping_add(4)) };
}

/// Sends SGIs of Group 1 of this world; see `icc_sgi1r_el1`.
#[inline(always)]
pub fn send_group_1(value: u64) {
    icc_sgi1r_el1::write(value);
}

/// The intermediate physical address behind a virtual one of EL1, by EL1's own stage 1 tables;
/// `None` where they have none. HPFAR_EL2 does not tell it for permission faults.
#[must_use]
pub fn translate_el1(address: u64) -> Option<u64> {
    const FAILED: u64 = 1;
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    let kept = par_el1::read();
    translate(address);
    isb();
    let result = par_el1::read();
    write_par_el1(kept);
    (result & FAILED == 0).then_some((result & ADDRESS) | (address & 0xfff))
}

#[allow(unused_variables, reason = "on a host there is no such instruction")]
fn translate(address: u64) {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: an address translation only changes PAR_EL1.
    unsafe {
        core::arch::asm!("at s1e1r, {}", in(reg) address, options(nostack, preserves_flags));
    }
}

#[allow(unused_variables, reason = "on a host there is no register")]
fn write_par_el1(value: u64) {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: a result register has no influence on execution.
    unsafe {
        core::arch::asm!("msr par_el1, {}", in(reg) value, options(nostack, preserves_flags));
    }
}

#[allow(unused_variables, reason = "on a host there is no register")]
fn write_esr_el1(value: u64) {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: a syndrome register has no influence on execution.
    unsafe {
        core::arch::asm!("msr esr_el1, {}", in(reg) value, options(nostack, preserves_flags));
    }
}

/// Translation tables in static memory, for a stage 2 or an SMMU: filled once, then only read by hardware,
/// closed and opened as a whole.
#[repr(C, align(4096))]
pub struct Tables<const COUNT: usize> {
    tables: UnsafeCell<[Table; COUNT]>,
    filled: AtomicBool,
}

// SAFETY: `fill` gives the one exclusive reference there ever is, before it says that they are filled;
// after that every access here is to atomic words of the root.
unsafe impl<const COUNT: usize> Sync for Tables<COUNT> {}

impl<const COUNT: usize> Tables<COUNT> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            tables: UnsafeCell::new([Table::EMPTY; COUNT]),
            filled: AtomicBool::new(false),
        }
    }

    /// Physical address of the root; memory of EL2 is mapped at its physical address.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.tables.get() as u64
    }

    /// Fills the tables (one root of level 1), once.
    ///
    /// # Errors
    /// What `fill` answers; [`Error::Overlap`] where they were filled before.
    pub fn fill(
        &self,
        fill: impl FnOnce(&mut Builder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.filled.swap(true, Ordering::AcqRel) {
            return Err(Error::Overlap);
        }
        // SAFETY: the swap lets exactly one caller through, ever, and hardware and `root_words`
        // only look at the tables where they are used, after this.
        let tables = unsafe { &mut *self.tables.get() };
        let mut builder = Builder::new(tables, self.root(), 1, 1).ok_or(Error::Range)?;
        fill(&mut builder)?;
        crate::barrier::dsb_sy();
        Ok(())
    }

    fn root_words(&self) -> &[AtomicU64; 512] {
        // SAFETY: the root is 512 aligned words, and from when they are filled on, nobody holds a
        // plain reference to them; hardware reads whole words.
        unsafe { &*self.tables.get().cast() }
    }

    /// Nothing is mapped any more: every entry of the root becomes invalid and keeps the rest.
    /// Translations must be dropped after.
    pub fn close(&self) {
        self.each_entry(|word| word & !1);
    }

    /// Everything is mapped again.
    pub fn open(&self) {
        self.each_entry(|word| if word == 0 { 0 } else { word | 1 });
    }

    fn each_entry(&self, change: impl Fn(u64) -> u64) {
        if !self.filled.load(Ordering::Acquire) {
            return;
        }
        for word in self.root_words() {
            word.store(change(word.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
        crate::barrier::dsb_sy();
    }
}

impl<const COUNT: usize> Default for Tables<COUNT> {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes the tables at `root` the stage 2 of this core, for the machine `vmid`.
pub fn use_stage_2(root: u64, vmid: u8) {
    // SAFETY: EL2's own accesses do not go through stage 2.
    unsafe { vttbr_el2::write(root | (u64::from(vmid) << 48)) };
    isb();
    tlbi_alle1is();
    dsb_ish();
    isb();
}

/// Drops all translations of this core's machine, on all cores.
pub fn drop_translations() {
    dsb_ish();
    tlbi_vmalls12e1is();
    dsb_ish();
    isb();
}

/// Device registers at their physical address, read and written by offset and size: for what a
/// guest does there, after a filter said so.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    base: usize,
    bytes: usize,
}

impl Window {
    /// Registers from `base` on.
    ///
    /// # Safety
    /// The range is mapped as device memory at its physical address, belongs to no Rust object,
    /// and the device keeps its other users' registers apart where two cores write at once.
    #[must_use]
    pub const unsafe fn new(base: usize, bytes: usize) -> Self {
        Self { base, bytes }
    }

    #[inline(always)]
    fn address(self, offset: u64, bytes: u32) -> Option<usize> {
        let bytes = u64::from(bytes);
        let inside = offset & (bytes - 1) == 0 && offset + bytes <= self.bytes as u64;
        inside.then_some(self.base + offset as usize)
    }

    /// Reads 1, 2, 4 or 8 bytes; 0 where that is outside or not aligned.
    #[inline(always)]
    #[must_use]
    pub fn read(self, offset: u64, bytes: u32) -> u64 {
        let Some(address) = self.address(offset & 0xffff_ffff, bytes) else {
            return 0;
        };
        // SAFETY: inside the window and aligned; device registers hold plain integers (`new`).
        unsafe {
            match bytes {
                1 => u64::from(core::ptr::with_exposed_provenance::<u8>(address).read_volatile()),
                2 => u64::from(core::ptr::with_exposed_provenance::<u16>(address).read_volatile()),
                4 => u64::from(core::ptr::with_exposed_provenance::<u32>(address).read_volatile()),
                _ => core::ptr::with_exposed_provenance::<u64>(address).read_volatile(),
            }
        }
    }

    /// Writes 1, 2, 4 or 8 bytes; nothing where that is outside or not aligned.
    #[inline(always)]
    pub fn write(self, offset: u64, bytes: u32, value: u64) {
        let Some(address) = self.address(offset & 0xffff_ffff, bytes) else {
            return;
        };
        // SAFETY: as in `read`; a device register is no memory of Rust's.
        unsafe {
            match bytes {
                1 => core::ptr::with_exposed_provenance_mut::<u8>(address)
                    .write_volatile(value as u8),
                2 => core::ptr::with_exposed_provenance_mut::<u16>(address)
                    .write_volatile(value as u16),
                4 => core::ptr::with_exposed_provenance_mut::<u32>(address)
                    .write_volatile(value as u32),
                _ => core::ptr::with_exposed_provenance_mut::<u64>(address).write_volatile(value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translation::{Leaf, Memory};
    extern crate std;

    #[test]
    fn closed_tables_map_nothing_and_open_again_as_they_were() {
        let tables = std::boxed::Box::new(Tables::<2>::new());
        let leaf = Leaf::stage_2(Memory::Normal, true, true);
        let filled = tables.fill(|builder| builder.map(1 << 30, 1 << 30, 1 << 30, leaf));
        assert_eq!(filled, Ok(()));
        let words = || {
            tables.root_words()[..3]
                .iter()
                .map(|w| w.load(Ordering::Relaxed))
        };
        let open: std::vec::Vec<_> = words().collect();
        assert_eq!(open[1] & 1, 1);
        tables.close();
        assert!(words().all(|word| word & 1 == 0));
        tables.open();
        assert!(words().eq(open));
        assert_eq!(tables.fill(|_| Ok(())), Err(Error::Overlap));
    }

    #[test]
    fn nothing_outside_the_window_is_read() {
        // SAFETY: every access below is refused before a register is reached.
        let window = unsafe { Window::new(0x1000, 0x100) };
        assert_eq!(window.read(0xfc, 8), 0);
        assert_eq!(window.read(0x100, 4), 0);
        assert_eq!(window.read(2, 4), 0);
    }
}

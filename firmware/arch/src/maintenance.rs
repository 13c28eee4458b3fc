//! Cache and TLB maintenance.

/// Makes a maintenance instruction without an operand.
macro_rules! maintain {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            // SAFETY: dropping cached translations or instructions only makes the core look them up again.
            unsafe { core::arch::asm!($text, options(nostack, preserves_flags)) };
        }
    )* };
}

/// Makes a maintenance instruction with a 64-bit operand.
macro_rules! maintain_by {
    ($($(#[$doc:meta])* $name:ident($operand:ident) = $text:literal;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        #[allow(unused_variables, reason = "on a host there are no caches to keep")]
        pub fn $name($operand: u64) {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            // SAFETY: cleaning writes back what memory should hold already, and dropping cached
            // translations only makes the core look them up again.
            unsafe { core::arch::asm!($text, in(reg) $operand, options(nostack, preserves_flags)) };
        }
    )* };
}

maintain! {
    /// Drops all EL3 translations of this core.
    tlbi_alle3 = "tlbi alle3";
    /// Drops all EL2 translations of this core.
    tlbi_alle2 = "tlbi alle2";
    /// Drops all EL2 translations of all cores.
    tlbi_alle2is = "tlbi alle2is";
    /// Drops all EL1&0 translations of all cores (EL2, EL3).
    tlbi_alle1is = "tlbi alle1is";
    /// Drops all stage 1 and 2 translations of the current VMID, all cores (EL2).
    tlbi_vmalls12e1is = "tlbi vmalls12e1is";
    /// Drops all EL1&0 translations of this core.
    tlbi_vmalle1 = "tlbi vmalle1";
    /// Drops all EL1&0 translations of all cores.
    tlbi_vmalle1is = "tlbi vmalle1is";
    /// Drops all cached instructions of this core.
    ic_iallu = "ic iallu";
    /// Drops all cached instructions of all cores.
    ic_ialluis = "ic ialluis";
}

maintain_by! {
    /// Cleans one data cache line to the point of coherency; the operand is its virtual address.
    dc_cvac(address) = "dc cvac, {}";
    /// Cleans and drops one data cache line to the point of coherency.
    dc_civac(address) = "dc civac, {}";
    /// Drops EL1&0 translations of one ASID, all cores; the operand is `asid << 48`.
    tlbi_aside1is(asid) = "tlbi aside1is, {}";
    /// Drops one EL1&0 page, all ASIDs and cores; the operand is `address >> 12`.
    tlbi_vaae1is(page) = "tlbi vaae1is, {}";
    /// Drops one EL1&0 page of one ASID, all cores; the operand is `asid << 48 | address >> 12`.
    tlbi_vae1is(page) = "tlbi vae1is, {}";
    /// Drops one stage 2 page of the current VMID, all cores; the operand is `address >> 12`.
    tlbi_ipas2e1is(page) = "tlbi ipas2e1is, {}";
}

/// Bytes in a data cache line: the smallest in the system (CTR_EL0.DminLine).
#[must_use]
pub fn cache_line_bytes() -> u64 {
    4 << ((crate::registers::ctr_el0::read() >> 16) & 0xf)
}

/// Cleans `bytes` bytes from `address` to the point of coherency and waits for it:
/// who reads that memory without a cache sees what was written.
pub fn clean(address: u64, bytes: u64) {
    each_line(address, bytes, dc_cvac);
}

/// As [`clean`], and the lines leave the cache: the next read sees what others wrote.
pub fn clean_and_invalidate(address: u64, bytes: u64) {
    each_line(address, bytes, dc_civac);
}

fn each_line(address: u64, bytes: u64, operation: fn(u64)) {
    let line_bytes = cache_line_bytes();
    let end = address.saturating_add(bytes);
    let mut line = address & !(line_bytes - 1);
    while line < end {
        operation(line);
        line = line.saturating_add(line_bytes);
    }
    crate::barrier::dsb_sy();
}

//! What a secure task can do at EL0: call the kernel, read the counter.

/// Answer of a system call: x0 to x6.
pub type Answer = [u64; 7];

/// Calls the kernel: the number in x8, arguments in x0 to x6; x0 to x6 are the answer, all
/// other registers stay.
///
/// # Safety
/// Addresses among the arguments name memory of the caller that the kernel may read, or write
/// where the call says so, for as long as the call lasts.
#[inline(always)]
#[allow(unused_variables, reason = "on a host there is no kernel")]
pub unsafe fn system_call(number: u64, arguments: [u64; 7]) -> Answer {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    {
        let [mut x0, mut x1, mut x2, mut x3, mut x4, mut x5, mut x6] = arguments;
        // SAFETY: the kernel keeps every register but x0 to x6 and touches only the memory the
        // arguments name, as the caller promises.
        unsafe {
            core::arch::asm!("svc #0", in("x8") number,
                inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
                inout("x4") x4, inout("x5") x5, inout("x6") x6, options(nostack));
        }
        [x0, x1, x2, x3, x4, x5, x6]
    }
    #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
    [u64::MAX; 7]
}

/// The physical counter now, in ticks.
#[inline(always)]
#[must_use]
pub fn now_ticks() -> u64 {
    crate::registers::cntpct_el0::read()
}

/// A random number of the core's generator (RNDR, FEAT_RNG); `None` where it has none to give, or on a host.
#[inline(always)]
#[must_use]
pub fn random() -> Option<u64> {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    {
        let (value, flags): (u64, u64);
        // SAFETY: RNDR (S3_3_C2_C4_0) has no effect but its value and the flags; EL0 may read it (DDI 0487, D19.2.129).
        unsafe {
            core::arch::asm!("mrs {}, S3_3_C2_C4_0", "mrs {}, nzcv", out(reg) value, out(reg) flags,
                options(nomem, nostack));
        }
        // Z set: no number within a reasonable time.
        (flags & (1 << 30) == 0).then_some(value)
    }
    #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
    None
}

//! SMC and HVC by the SMC Calling Convention (Arm DEN0028): x0 is the function, x0 to x3 the answer.

/// Makes one conduit.
macro_rules! conduit {
    ($(#[$doc:meta])* $name:ident = $text:literal) => {
        $(#[$doc])*
        #[inline(always)]
        #[allow(unused_variables, reason = "on a host there is nobody to call")]
        pub fn $name(function: u32, arguments: [u64; 3]) -> [u64; 4] {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            {
                let mut x0 = u64::from(function);
                let [mut x1, mut x2, mut x3] = arguments;
                // SAFETY: SMCCC 1.1 section 2.6: x0 to x17 may change, the rest and the stack may not;
                // memory is not assumed unchanged (no `nomem`).
                unsafe {
                    core::arch::asm!($text,
                        inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
                        lateout("x4") _, lateout("x5") _, lateout("x6") _, lateout("x7") _,
                        lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _,
                        lateout("x12") _, lateout("x13") _, lateout("x14") _, lateout("x15") _,
                        lateout("x16") _, lateout("x17") _, options(nostack));
                }
                [x0, x1, x2, x3]
            }
            #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
            [u64::MAX, 0, 0, 0]
        }
    };
}

conduit! {
    /// Calls EL3.
    smc = "smc #0"
}
conduit! {
    /// Calls EL2.
    hvc = "hvc #0"
}

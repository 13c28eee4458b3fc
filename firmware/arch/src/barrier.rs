//! Barriers, hints and the interrupt mask of the running core.

/// Makes a function of one instruction without operands.
macro_rules! instruction {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => { $(
        $(#[$doc])*
        #[inline(always)]
        pub fn $name() {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            // SAFETY: a barrier or hint changes no register and no memory a program owns.
            unsafe { core::arch::asm!($text, options(nostack, preserves_flags)) };
        }
    )* };
}

instruction! {
    /// Everything before is complete, in the whole system, before anything after begins.
    dsb_sy = "dsb sy";
    /// As [`dsb_sy`], for the inner shareable domain.
    dsb_ish = "dsb ish";
    /// As [`dsb_ish`], waiting for stores only.
    dsb_ishst = "dsb ishst";
    /// As [`dsb_sy`], for this core only.
    dsb_nsh = "dsb nsh";
    /// Memory accesses before are observed before those after, in the inner shareable domain.
    dmb_ish = "dmb ish";
    /// As [`dmb_ish`], ordering stores only.
    dmb_ishst = "dmb ishst";
    /// As [`dmb_ish`], for the whole system (devices and DMA included).
    dmb_sy = "dmb sy";
    /// Fetches what follows anew: system register writes before are in force after.
    isb = "isb";
    /// Waits for an event or an interrupt.
    wfe = "wfe";
    /// Waits for an interrupt.
    wfi = "wfi";
    /// Sends an event to all cores.
    sev = "sev";
    /// Lets others run: belongs in every spin loop.
    yield_now = "yield";
    /// Masks debug, SError, IRQ and FIQ on this core.
    mask_all = "msr daifset, #15";
    /// Masks IRQ on this core.
    mask_irq = "msr daifset, #2";
    /// Unmasks IRQ on this core.
    unmask_irq = "msr daifclr, #2";
    /// Unmasks SError on this core.
    unmask_serror = "msr daifclr, #4";
}

/// Stops this core for ever: everything masked, waiting.
pub fn halt() -> ! {
    mask_all();
    loop {
        wfi();
        #[cfg(not(target_os = "none"))]
        core::hint::spin_loop();
    }
}

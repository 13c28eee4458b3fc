//! Instructions and structures of EL3, for the monitor: the two worlds' registers and the way down.

use crate::barrier::isb;
use crate::registers::{
    cntfrq_el0, cnthctl_el2, cnthp_ctl_el2, cntkctl_el1, cntvoff_el2, cptr_el2, cptr_el3, elr_el1,
    elr_el2, elr_el3, esr_el2, far_el2, far_el3, hcr_el2, hstr_el2, icc_bpr0_el1, icc_ctlr_el3,
    icc_eoir0_el1, icc_iar0_el1, icc_igrpen0_el1, icc_igrpen1_el3, icc_pmr_el1, icc_sgi0r_el1,
    icc_sre_el1, icc_sre_el2, icc_sre_el3, ich_hcr_el2, mdcr_el2, mdcr_el3, midr_el1, mpidr_el1,
    pmcr_el0, scr_el3, sctlr_el1, sctlr_el2, spsr_el1, spsr_el2, spsr_el3, vbar_el1, vbar_el2,
    vmpidr_el2, vpidr_el2, vttbr_el2,
};

/// SCR_EL3 bits 5:4 are one (DDI 0487, D19.2.117).
const SCR_RES1: u64 = 0b11 << 4;
/// SCR_EL3 on secure cores: EL1 with its own timer, no code from normal memory, Group 0 to EL3.
const SCR_SECURE: u64 = SCR_RES1
    | scr_el3::FIQ
    | scr_el3::SIF
    | scr_el3::RW
    | scr_el3::ST
    | scr_el3::APK
    | scr_el3::API;
/// SCR_EL3 on normal-world cores: EL2, Group 0 to EL3.
const SCR_NORMAL: u64 = SCR_RES1
    | scr_el3::NS
    | scr_el3::FIQ
    | scr_el3::HCE
    | scr_el3::RW
    | scr_el3::APK
    | scr_el3::API;
/// State in which a world is entered at EL1: own stack pointer, everything masked.
pub const STATE_EL1: u64 = spsr_el1::DAIF | spsr_el1::EL1H;
/// State in which a world is entered at EL2: own stack pointer, everything masked.
pub const STATE_EL2: u64 = spsr_el1::DAIF | spsr_el1::EL2H;
/// SCTLR_EL1 out of reset: MMU and caches off.
const SCTLR_EL1_OFF: u64 = sctlr_el1::RES1;
/// ICC_SRE_EL1: system registers, no bypass.
const SRE_EL1_ON: u64 = 0b111;

/// What both worlds share, once for each core: no traps to EL3 but those we want, priority
/// mask open, Group 0 on, and the counter's frequency (`counter_hz` where none is set yet).
pub fn prepare_core(counter_hz: u64) {
    cptr_el3::write(0);
    mdcr_el3::write(mdcr_el3::SDD);
    if cntfrq_el0::read() == 0 {
        cntfrq_el0::write(counter_hz);
    }
    icc_sre_el3::write(icc_sre_el3::ON_AND_LOWER);
    isb();
    // Both banks of ICC_SRE_EL1: the one in view follows SCR_EL3.NS.
    for scr in [SCR_SECURE, SCR_NORMAL] {
        // SAFETY: EL3's own memory accesses do not depend on SCR_EL3, and nothing returns yet.
        unsafe { scr_el3::write(scr) };
        isb();
        icc_sre_el1::write(SRE_EL1_ON);
        isb();
    }
    icc_sre_el2::write(icc_sre_el2::ON_AND_LOWER);
    icc_ctlr_el3::write(0);
    icc_bpr0_el1::write(0);
    icc_pmr_el1::write(0xff);
    icc_igrpen0_el1::write(1);
    isb();
}

/// This core is of the secure world from now on: its own Group 1 only.
pub fn prepare_secure_world() {
    // SAFETY: EL3's own memory accesses do not depend on SCR_EL3; the caller enters this world only.
    unsafe { scr_el3::write(SCR_SECURE) };
    isb();
    icc_igrpen1_el3::write(1 << 1);
    // SAFETY: EL1 is not running: this is the state it finds.
    unsafe { sctlr_el1::write(SCTLR_EL1_OFF) };
    cntkctl_el1::write(0);
    isb();
}

/// This core is of the normal world from now on: its own Group 1 only, EL2 as out of reset
/// (MMU off, nothing trapped or virtual), EL1 MMU off.
pub fn prepare_normal_world() {
    // SAFETY: EL3's own memory accesses do not depend on SCR_EL3; the caller enters this world only.
    unsafe { scr_el3::write(SCR_NORMAL) };
    isb();
    icc_igrpen1_el3::write(1 << 0);
    // SAFETY: EL2 and EL1 are not running: this is the state they find.
    unsafe {
        sctlr_el2::write(sctlr_el2::RES1);
        sctlr_el1::write(SCTLR_EL1_OFF);
        hcr_el2::write(hcr_el2::RW | hcr_el2::APK | hcr_el2::API);
        vttbr_el2::write(0);
        vbar_el2::write(0);
    }
    cptr_el2::write(cptr_el2::RES1_TRAP_VECTORS);
    mdcr_el2::write((pmcr_el0::read() >> 11) & mdcr_el2::HPMN);
    hstr_el2::write(0);
    vpidr_el2::write(midr_el1::read());
    vmpidr_el2::write(mpidr_el1::read());
    cnthctl_el2::write(cnthctl_el2::EL1PCTEN | cnthctl_el2::EL1PCEN);
    cntvoff_el2::write(0);
    cnthp_ctl_el2::write(0);
    cntkctl_el1::write(0);
    ich_hcr_el2::write(0);
    isb();
}

/// Sends the Group 0 SGI `interrupt` (0 to 15) to the cores whose bits are set.
pub fn send_group_0(interrupt: u32, cores: u16) {
    crate::barrier::dsb_sy();
    icc_sgi0r_el1::write(crate::gic::sgi(interrupt, cores));
    isb();
}

/// Takes and ends the pending Group 0 interrupt, if there is one.
pub fn take_group_0() {
    let interrupt = icc_iar0_el1::read();
    if interrupt < u64::from(crate::gic::LIMIT) {
        icc_eoir0_el1::write(interrupt);
    }
}

/// Leaves EL3 for good, for the world this core was prepared for: all registers zero but x0.
/// EL3's stack starts anew at `stack_top` with the next exception.
///
/// # Safety
/// `entry` is code of the exception level in `state`, ready to run with `context` in x0, and
/// nothing on this core's EL3 stack is needed again; `stack_top` is 16-byte aligned.
pub unsafe fn enter(entry: u64, state: u64, context: u64, stack_top: u64) -> ! {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: as the caller promises; the code does not come back.
    unsafe {
        core::arch::asm!(
            "mov sp, {stack_top}", "msr elr_el3, {entry}", "msr spsr_el3, {state}",
            "mov x1, xzr", "mov x2, xzr", "mov x3, xzr", "mov x4, xzr", "mov x5, xzr",
            "mov x6, xzr", "mov x7, xzr", "mov x8, xzr", "mov x9, xzr", "mov x10, xzr",
            "mov x11, xzr", "mov x12, xzr", "mov x13, xzr", "mov x14, xzr", "mov x15, xzr",
            "mov x16, xzr", "mov x17, xzr", "mov x18, xzr", "mov x19, xzr", "mov x20, xzr",
            "mov x21, xzr", "mov x22, xzr", "mov x23, xzr", "mov x24, xzr", "mov x25, xzr",
            "mov x26, xzr", "mov x27, xzr", "mov x28, xzr", "mov x29, xzr", "mov x30, xzr",
            "eret",
            stack_top = in(reg) stack_top, entry = in(reg) entry, state = in(reg) state,
            in("x0") context, options(noreturn))
    }
    #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
    {
        let _ = (entry, state, context, stack_top);
        crate::barrier::halt()
    }
}

/// Hands an exception that EL3 did not ask for to the level that owns this core (EL2, or EL1 in
/// the secure world) as an undefined instruction: when EL3 returns, that level's vectors run.
pub fn reflect_as_undefined() {
    // Exception class 0 (unknown reason), 32-bit instruction.
    const UNKNOWN: u64 = 1 << 25;
    let (from, at) = (spsr_el3::read(), elr_el3::read());
    let level = (from >> 2) & 3;
    let normal = scr_el3::read() & scr_el3::NS != 0;
    // Offsets of the vector table (DDI 0487, D1.3.1.5): own level 0x200, lower level 0x400.
    let own_level = if normal { 2 } else { 1 };
    let offset = if level == own_level { 0x200 } else { 0x400 };
    // SAFETY: the level that owns this core expects exceptions at its vectors at any time; the
    // state is that of such an exception, and EL3 itself is not affected.
    unsafe {
        if normal {
            elr_el2::write(at);
            spsr_el2::write(from);
            esr_el2::write(UNKNOWN);
            far_el2::write(far_el3::read());
            elr_el3::write((vbar_el2::read() & !0x7ff) + offset);
            spsr_el3::write(STATE_EL2);
        } else {
            elr_el1::write(at);
            spsr_el1::write(from);
            write_esr_el1(UNKNOWN);
            elr_el3::write((vbar_el1::read() & !0x7ff) + offset);
            spsr_el3::write(STATE_EL1);
        }
    }
}

/// Why EL1 sees an exception.
#[allow(unused_variables, reason = "on a host there is no register")]
fn write_esr_el1(value: u64) {
    #[cfg(all(target_arch = "aarch64", target_os = "none"))]
    // SAFETY: a syndrome register has no influence on execution.
    unsafe {
        core::arch::asm!("msr esr_el1, {}", in(reg) value, options(nostack, preserves_flags));
    }
}

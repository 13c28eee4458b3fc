//! System registers: one module each, with `read` and `write` of one instruction and the bits we use.
//!
//! `write` is unsafe where a wrong value can break what Rust relies on (translation, exception
//! return, access to memory), safe elsewhere. A write is in force after [`crate::barrier::isb`].
//! Bits are those of the Arm Architecture Reference Manual (DDI 0487), chapter D19 (GIC: IHI 0069, 12.2).

/// Makes the modules. `r`: read only; `rw`: write is safe; `unsafe rw`: write is not; `w`: write only.
macro_rules! system_registers {
    (@read $text:literal) => {
        /// Reads the register.
        #[inline(always)]
        #[must_use]
        pub fn read() -> u64 {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            {
                let value: u64;
                // SAFETY: reading this register changes nothing a program owns.
                unsafe { core::arch::asm!(concat!("mrs {}, ", $text), out(reg) value, options(nostack, preserves_flags)) };
                value
            }
            #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
            0
        }
    };
    (@write $text:literal) => {
        /// Writes the register.
        #[inline(always)]
        #[allow(unused_variables, reason = "on a host there is no register")]
        pub fn write(value: u64) {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            // SAFETY: this register has no influence on translation, memory access or exception return.
            unsafe { core::arch::asm!(concat!("msr ", $text, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
        }
    };
    (@unsafe_write $text:literal) => {
        /// Writes the register.
        ///
        /// # Safety
        /// The value keeps code, stack and data of this exception level mapped as Rust was told,
        /// and makes an exception return go only where the caller means it to.
        #[inline(always)]
        #[allow(unused_variables, reason = "on a host there is no register")]
        pub unsafe fn write(value: u64) {
            #[cfg(all(target_arch = "aarch64", target_os = "none"))]
            // SAFETY: as the caller promises.
            unsafe { core::arch::asm!(concat!("msr ", $text, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
        }
    };
    (@access r $text:literal) => { system_registers!(@read $text); };
    (@access w $text:literal) => { system_registers!(@write $text); };
    (@access rw $text:literal) => { system_registers!(@read $text); system_registers!(@write $text); };
    (@access urw $text:literal) => { system_registers!(@read $text); system_registers!(@unsafe_write $text); };
    ($($(#[$doc:meta])* $access:ident $name:ident = $text:literal $({ $($(#[$bit_doc:meta])* $bit:ident = $value:expr;)* })?;)*) => { $(
        $(#[$doc])*
        pub mod $name {
            $($($(#[$bit_doc])* pub const $bit: u64 = $value;)*)?
            system_registers!(@access $access $text);
        }
    )* };
}

system_registers! {
    // ---- identification ---------------------------------------------------------------
    /// Main identification.
    r midr_el1 = "midr_el1";
    /// Number of the core: affinity 0 in bits 7:0.
    r mpidr_el1 = "mpidr_el1";
    /// Cache types.
    r ctr_el0 = "ctr_el0";
    /// The exception level now, in bits 3:2.
    r current_el = "CurrentEL";
    /// Processor features 0.
    r id_aa64pfr0_el1 = "id_aa64pfr0_el1";
    /// Processor features 1.
    r id_aa64pfr1_el1 = "id_aa64pfr1_el1";
    /// Memory model features 0: physical address range in bits 3:0.
    r id_aa64mmfr0_el1 = "id_aa64mmfr0_el1";
    /// Memory model features 1.
    r id_aa64mmfr1_el1 = "id_aa64mmfr1_el1";
    /// Debug features 0.
    r id_aa64dfr0_el1 = "id_aa64dfr0_el1";
    /// Instruction set 0.
    r id_aa64isar0_el1 = "id_aa64isar0_el1";
    /// Instruction set 1.
    r id_aa64isar1_el1 = "id_aa64isar1_el1";
    /// Instruction set 2 (by its encoding: older assemblers lack the name).
    r id_aa64isar2_el1 = "s3_0_c0_c6_2";
    /// Memory model features 2.
    r id_aa64mmfr2_el1 = "id_aa64mmfr2_el1";

    // ---- exceptions -------------------------------------------------------------------
    /// Interrupt masks of the running core: D, A, I, F in bits 9:6.
    rw daif = "daif" {
        /// SError masked.
        A = 1 << 8;
        /// IRQ masked.
        I = 1 << 7;
        /// FIQ masked.
        F = 1 << 6;
    };
    /// Which stack pointer is in use.
    r spsel = "spsel";
    /// Where an exception from or to EL1 returns.
    urw elr_el1 = "elr_el1";
    /// State an exception return from EL1 restores.
    urw spsr_el1 = "spsr_el1" {
        /// EL0.
        EL0T = 0;
        /// EL1 with its own stack pointer.
        EL1H = 0b0101;
        /// EL2 with its own stack pointer.
        EL2H = 0b1001;
        /// EL3 with its own stack pointer.
        EL3H = 0b1101;
        /// Debug, SError, IRQ and FIQ masked.
        DAIF = 0xf << 6;
        /// FIQ masked.
        F = 1 << 6;
        /// IRQ masked.
        I = 1 << 7;
        /// Taken from AArch32.
        AARCH32 = 1 << 4;
    };
    /// Why an exception went to EL1.
    r esr_el1 = "esr_el1";
    /// Which address an exception to EL1 was about.
    rw far_el1 = "far_el1";
    /// Vectors of EL1.
    urw vbar_el1 = "vbar_el1";
    /// Stack pointer of EL0.
    urw sp_el0 = "sp_el0";
    /// Stack pointer of EL1 (from EL2, EL3).
    urw sp_el1 = "sp_el1";
    /// Where an exception from or to EL2 returns.
    urw elr_el2 = "elr_el2";
    /// State an exception return from EL2 restores; bits as in `spsr_el1`.
    urw spsr_el2 = "spsr_el2";
    /// Why an exception went to EL2.
    rw esr_el2 = "esr_el2";
    /// Which virtual address an exception to EL2 was about.
    rw far_el2 = "far_el2";
    /// Which intermediate physical address (bits 43:4 hold address bits 51:12) a stage 2 fault was about.
    r hpfar_el2 = "hpfar_el2";
    /// Vectors of EL2.
    urw vbar_el2 = "vbar_el2";
    /// Stack pointer of EL2 (from EL3).
    urw sp_el2 = "sp_el2";
    /// Where an exception to EL3 returns.
    urw elr_el3 = "elr_el3";
    /// State an exception return from EL3 restores; bits as in `spsr_el1`.
    urw spsr_el3 = "spsr_el3";
    /// Why an exception went to EL3.
    r esr_el3 = "esr_el3";
    /// Which address an exception to EL3 was about.
    r far_el3 = "far_el3";
    /// Vectors of EL3.
    urw vbar_el3 = "vbar_el3";
    /// Interrupts pending for this core: A, I, F in bits 8:6.
    r isr_el1 = "isr_el1";

    // ---- control ----------------------------------------------------------------------
    /// System control of EL1.
    urw sctlr_el1 = "sctlr_el1" {
        /// MMU on.
        M = 1 << 0;
        /// Alignment checked.
        A = 1 << 1;
        /// Data cached.
        C = 1 << 2;
        /// Stack alignment of EL1 checked.
        SA = 1 << 3;
        /// Stack alignment of EL0 checked.
        SA0 = 1 << 4;
        /// Instructions cached.
        I = 1 << 12;
        /// EL0 may clean and zero caches.
        UCI_DZE = (1 << 26) | (1 << 14);
        /// EL0 may read the cache type.
        UCT = 1 << 15;
        /// EL0 `wfi` is not trapped.
        NTWI = 1 << 16;
        /// EL0 `wfe` is not trapped.
        NTWE = 1 << 18;
        /// Writable memory is never executed.
        WXN = 1 << 19;
        /// PAN is left alone on exceptions to EL1 when 1.
        SPAN = 1 << 23;
        /// Bits that are one in Armv8.0.
        RES1 = (1 << 11) | (1 << 20) | (1 << 22) | (1 << 23) | (1 << 28) | (1 << 29);
    };
    /// System control of EL2; bits as in `sctlr_el1`.
    urw sctlr_el2 = "sctlr_el2" {
        /// Bits that are one in Armv8.0.
        RES1 = (1 << 4) | (1 << 5) | (1 << 11) | (1 << 16) | (1 << 18) | (1 << 22) | (1 << 23) | (1 << 28) | (1 << 29);
    };
    /// System control of EL3; bits as in `sctlr_el1`.
    urw sctlr_el3 = "sctlr_el3" {
        /// Bits that are one in Armv8.0.
        RES1 = (1 << 4) | (1 << 5) | (1 << 11) | (1 << 16) | (1 << 18) | (1 << 22) | (1 << 23) | (1 << 28) | (1 << 29);
    };
    /// Floating point and SVE at EL1 and EL0.
    rw cpacr_el1 = "cpacr_el1" {
        /// Floating point and SIMD not trapped (0b11).
        FPEN = 0b11 << 20;
    };
    /// Secure configuration.
    urw scr_el3 = "scr_el3" {
        /// Lower levels are in the normal world.
        NS = 1 << 0;
        /// IRQs go to EL3.
        IRQ = 1 << 1;
        /// FIQs go to EL3.
        FIQ = 1 << 2;
        /// SErrors and external aborts go to EL3.
        EA = 1 << 3;
        /// SMC disabled.
        SMD = 1 << 7;
        /// HVC enabled.
        HCE = 1 << 8;
        /// The secure world fetches no instruction from normal memory.
        SIF = 1 << 9;
        /// The next lower level is AArch64.
        RW = 1 << 10;
        /// Secure EL1 may use the secure timer.
        ST = 1 << 11;
        /// `wfi` traps.
        TWI = 1 << 12;
        /// `wfe` traps.
        TWE = 1 << 13;
        /// Pointer authentication keys are not trapped.
        APK = 1 << 16;
        /// Pointer authentication instructions are not trapped.
        API = 1 << 17;
        /// Secure EL2 enabled.
        EEL2 = 1 << 18;
        /// Memory tagging is not trapped.
        ATA = 1 << 26;
        /// Fine-grained trap registers are not trapped.
        FGTEN = 1 << 27;
        /// CNTPOFF_EL2 is not trapped.
        ECVEN = 1 << 28;
    };
    /// Traps to EL3: floating point, trace, SVE.
    rw cptr_el3 = "cptr_el3" {
        /// SVE not trapped.
        EZ = 1 << 8;
        /// Floating point trapped.
        TFP = 1 << 10;
        /// SME not trapped.
        ESM = 1 << 12;
        /// Trace registers trapped.
        TTA = 1 << 20;
        /// CPACR_EL1 and CPTR_EL2 trapped.
        TCPAC = 1 << 31;
    };
    /// Debug and performance monitors at EL3.
    rw mdcr_el3 = "mdcr_el3" {
        /// Performance monitors trapped.
        TPM = 1 << 6;
        /// Debug registers trapped.
        TDA = 1 << 9;
        /// OS debug registers trapped.
        TDOSA = 1 << 10;
        /// Self-hosted debug disabled in the secure world.
        SDD = 1 << 16;
        /// Cycle counting prohibited in the secure world when 0.
        SPME = 1 << 17;
        /// Secure cycle counter disabled.
        SCCD = 1 << 23;
    };
    /// Configuration of EL2: what traps, what is virtual.
    urw hcr_el2 = "hcr_el2" {
        /// Stage 2 on.
        VM = 1 << 0;
        /// Set/way maintenance overridden.
        SWIO = 1 << 1;
        /// FIQs go to EL2.
        FMO = 1 << 3;
        /// IRQs go to EL2.
        IMO = 1 << 4;
        /// SErrors go to EL2.
        AMO = 1 << 5;
        /// `wfi` traps.
        TWI = 1 << 13;
        /// `wfe` traps.
        TWE = 1 << 14;
        /// A system error is pending for EL1.
        VSE = 1 << 8;
        /// Identification registers of group 3 (ID_*) trap.
        TID3 = 1 << 18;
        /// SMC traps.
        TSC = 1 << 19;
        /// Implementation defined registers trap.
        TIDCP = 1 << 20;
        /// EL0 traps to EL2.
        TGE = 1 << 27;
        /// HVC disabled.
        HCD = 1 << 29;
        /// EL1 is AArch64.
        RW = 1 << 31;
        /// Error records trap.
        TERR = 1 << 36;
        /// Pointer authentication keys are not trapped.
        APK = 1 << 40;
        /// Pointer authentication instructions are not trapped.
        API = 1 << 41;
        /// Memory tagging is not trapped.
        ATA = 1 << 56;
    };
    /// Traps to EL2: floating point, trace, SVE.
    rw cptr_el2 = "cptr_el2" {
        /// SVE trapped.
        TZ = 1 << 8;
        /// Floating point trapped.
        TFP = 1 << 10;
        /// SME trapped.
        TSM = 1 << 12;
        /// Trace registers trapped.
        TTA = 1 << 20;
        /// CPACR_EL1 trapped.
        TCPAC = 1 << 31;
        /// Bits that are one in Armv8.0 (13 and 9 and 7:0), SVE and SME trapped.
        RES1_TRAP_VECTORS = 0x33ff;
    };
    /// Debug and performance monitors at EL2.
    rw mdcr_el2 = "mdcr_el2" {
        /// Performance counters that belong to lower levels: bits 4:0.
        HPMN = 0x1f;
        /// PMCR_EL0 trapped.
        TPMCR = 1 << 5;
        /// Performance monitors trapped.
        TPM = 1 << 6;
        /// Statistical profiling trapped.
        TPMS = 1 << 14;
        /// Trace filter trapped.
        TTRF = 1 << 19;
        /// Debug exceptions trapped.
        TDE = 1 << 8;
        /// Debug registers trapped.
        TDA = 1 << 9;
        /// OS debug registers trapped.
        TDOSA = 1 << 10;
        /// Debug ROM address trapped.
        TDRA = 1 << 11;
    };
    /// Traps of AArch32 coprocessors.
    rw hstr_el2 = "hstr_el2";
    /// MIDR_EL1 as a guest reads it.
    rw vpidr_el2 = "vpidr_el2";
    /// MPIDR_EL1 as a guest reads it.
    rw vmpidr_el2 = "vmpidr_el2";

    // ---- translation ------------------------------------------------------------------
    /// Lower half tables of EL1&0.
    urw ttbr0_el1 = "ttbr0_el1";
    /// Upper half tables of EL1&0.
    urw ttbr1_el1 = "ttbr1_el1";
    /// How EL1&0 translates.
    urw tcr_el1 = "tcr_el1";
    /// Memory types of EL1&0.
    urw mair_el1 = "mair_el1";
    /// Tables of EL2.
    urw ttbr0_el2 = "ttbr0_el2";
    /// How EL2 translates.
    urw tcr_el2 = "tcr_el2";
    /// Memory types of EL2.
    urw mair_el2 = "mair_el2";
    /// Stage 2 tables.
    urw vttbr_el2 = "vttbr_el2";
    /// How stage 2 translates.
    urw vtcr_el2 = "vtcr_el2";
    /// Tables of EL3.
    urw ttbr0_el3 = "ttbr0_el3";
    /// How EL3 translates.
    urw tcr_el3 = "tcr_el3";
    /// Memory types of EL3.
    urw mair_el3 = "mair_el3";
    /// Result of an address translation instruction.
    r par_el1 = "par_el1";
    /// ASID and context, for debuggers.
    rw contextidr_el1 = "contextidr_el1";

    // ---- software's own ---------------------------------------------------------------
    /// EL0's own.
    rw tpidr_el0 = "tpidr_el0";
    /// EL0's own, read-only there.
    rw tpidrro_el0 = "tpidrro_el0";
    /// EL1's own.
    rw tpidr_el1 = "tpidr_el1";
    /// EL2's own.
    rw tpidr_el2 = "tpidr_el2";
    /// EL3's own.
    rw tpidr_el3 = "tpidr_el3";

    // ---- time -------------------------------------------------------------------------
    /// Ticks in a second.
    rw cntfrq_el0 = "cntfrq_el0";
    /// Physical counter.
    r cntpct_el0 = "cntpct_el0";
    /// Virtual counter.
    r cntvct_el0 = "cntvct_el0";
    /// Which timers EL1 and EL0 may use without EL2.
    rw cnthctl_el2 = "cnthctl_el2" {
        /// EL1 may read the physical counter.
        EL1PCTEN = 1 << 0;
        /// EL1 may use the physical timer.
        EL1PCEN = 1 << 1;
    };
    /// Which timers EL0 may use.
    rw cntkctl_el1 = "cntkctl_el1" {
        /// EL0 may read the physical counter.
        EL0PCTEN = 1 << 0;
        /// EL0 may read the virtual counter.
        EL0VCTEN = 1 << 1;
    };
    /// Virtual minus physical counter.
    rw cntvoff_el2 = "cntvoff_el2";
    /// Virtual timer control: bit 0 enable, 1 mask, 2 condition met.
    rw cntv_ctl_el0 = "cntv_ctl_el0";
    /// Virtual timer deadline.
    rw cntv_cval_el0 = "cntv_cval_el0";
    /// Physical timer control.
    rw cntp_ctl_el0 = "cntp_ctl_el0";
    /// Physical timer deadline.
    rw cntp_cval_el0 = "cntp_cval_el0";
    /// EL2's timer control.
    rw cnthp_ctl_el2 = "cnthp_ctl_el2";
    /// EL2's timer deadline.
    rw cnthp_cval_el2 = "cnthp_cval_el2";
    /// Secure timer control.
    rw cntps_ctl_el1 = "cntps_ctl_el1";
    /// Secure timer deadline.
    rw cntps_cval_el1 = "cntps_cval_el1";
    /// Performance monitors control.
    rw pmcr_el0 = "pmcr_el0" {
        /// Enable.
        E = 1 << 0;
        /// Event counters to zero.
        P = 1 << 1;
        /// Cycle counter to zero.
        C = 1 << 2;
        /// Cycle counter stops where counting is prohibited.
        DP = 1 << 5;
        /// Cycle counter has 64 bits.
        LC = 1 << 6;
    };
    /// Performance counters enabled; bit 31 is the cycle counter.
    rw pmcntenset_el0 = "pmcntenset_el0";
    /// Which levels the cycle counter counts; bit 27: EL2 too.
    rw pmccfiltr_el0 = "pmccfiltr_el0";
    /// Cycle counter.
    r pmccntr_el0 = "pmccntr_el0";

    // ---- interrupts (GICv3 CPU interface) -----------------------------------------------
    /// Priority mask: 0xff lets everything through.
    rw icc_pmr_el1 = "icc_pmr_el1";
    /// Acknowledges Group 1; 1023 is none.
    r icc_iar1_el1 = "icc_iar1_el1";
    /// Acknowledges Group 0; 1023 is none, 1020/1021 belong to another group (EL3).
    r icc_iar0_el1 = "icc_iar0_el1";
    /// Highest pending Group 1.
    r icc_hppir1_el1 = "icc_hppir1_el1";
    /// Highest pending Group 0.
    r icc_hppir0_el1 = "icc_hppir0_el1";
    /// Ends a Group 1 interrupt.
    w icc_eoir1_el1 = "icc_eoir1_el1";
    /// Ends a Group 0 interrupt.
    w icc_eoir0_el1 = "icc_eoir0_el1";
    /// Deactivates an interrupt (EOImode 1).
    w icc_dir_el1 = "icc_dir_el1";
    /// Sends SGIs of Group 1 of the current security state: bits 15:0 targets, 27:24 INTID.
    w icc_sgi1r_el1 = "icc_sgi1r_el1";
    /// Sends SGIs of Group 1 of the other security state.
    w icc_asgi1r_el1 = "icc_asgi1r_el1";
    /// Sends SGIs of Group 0.
    w icc_sgi0r_el1 = "icc_sgi0r_el1";
    /// Group 1 of the current security state enabled: bit 0.
    rw icc_igrpen1_el1 = "icc_igrpen1_el1";
    /// Group 0 enabled: bit 0.
    rw icc_igrpen0_el1 = "icc_igrpen0_el1";
    /// Group 1 of both states enabled: bit 0 normal, bit 1 secure.
    rw icc_igrpen1_el3 = "icc_igrpen1_el3";
    /// Control of EL1's interface.
    rw icc_ctlr_el1 = "icc_ctlr_el1";
    /// Control of EL3's interface.
    rw icc_ctlr_el3 = "icc_ctlr_el3" {
        /// EL1 normal: EOI drops the priority only.
        EOIMODE_EL1NS = 1 << 4;
        /// EL1 secure: EOI drops the priority only.
        EOIMODE_EL1S = 1 << 3;
    };
    /// Binary point of Group 1.
    rw icc_bpr1_el1 = "icc_bpr1_el1";
    /// Binary point of Group 0.
    rw icc_bpr0_el1 = "icc_bpr0_el1";
    /// Active priorities of Group 1: zero is none.
    rw icc_ap1r0_el1 = "icc_ap1r0_el1";
    /// Running priority.
    r icc_rpr_el1 = "icc_rpr_el1";
    /// System register interface at EL1.
    rw icc_sre_el1 = "icc_sre_el1";
    /// System register interface at EL2.
    rw icc_sre_el2 = "icc_sre_el2" {
        /// On, no bypass of FIQ and IRQ, lower level not trapped.
        ON_AND_LOWER = 0xf;
    };
    /// System register interface at EL3.
    rw icc_sre_el3 = "icc_sre_el3" {
        /// On, no bypass of FIQ and IRQ, lower level not trapped.
        ON_AND_LOWER = 0xf;
    };
    /// Virtual interface control.
    rw ich_hcr_el2 = "ich_hcr_el2";
    /// Virtual machine control: virtual priority mask in bits 31:24, group enables in 1:0.
    rw ich_vmcr_el2 = "ich_vmcr_el2";
}

/// Number of this core: MPIDR_EL1 affinity 0 (the only one used on our boards).
#[inline(always)]
#[must_use]
pub fn core_number() -> usize {
    (mpidr_el1::read() & 0xff) as usize
}

//! The processor's features as a partition sees them: an allow-list.
//!
//! Reads of the identification registers trap. A field is shown where what it announces works for a
//! partition as the hypervisor sets the processor up; everything else reads as zero, which the
//! architecture defines as "not there" (DDI 0487, D19.1.3). So a newer processor, or emulator,
//! brings nothing a partition may use and the hypervisor does not know.

/// Identification registers a partition sees something of. All others of the group, those
/// of AArch32 among them, read as zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// ID_AA64PFR0_EL1.
    Processor0,
    /// ID_AA64PFR1_EL1.
    Processor1,
    /// ID_AA64DFR0_EL1.
    Debug0,
    /// ID_AA64ISAR0_EL1.
    Instructions0,
    /// ID_AA64ISAR1_EL1.
    Instructions1,
    /// ID_AA64ISAR2_EL1.
    Instructions2,
    /// ID_AA64MMFR0_EL1.
    Memory0,
    /// ID_AA64MMFR1_EL1.
    Memory1,
    /// ID_AA64MMFR2_EL1.
    Memory2,
}

/// What of a register is seen: `physical & keep | set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Bits of the physical register that are seen.
    pub keep: u64,
    /// Bits that read as one.
    pub set: u64,
}

/// The fields (four bits each, by the position of their lowest bit) that are kept.
const fn fields(positions: &[u32]) -> u64 {
    let mut mask = 0;
    let mut index = 0;
    while index < positions.len() {
        mask |= 0xf << positions[index];
        index += 1;
    }
    mask
}

/// PFR0: EL1 and EL0 in AArch64 only; EL2 and EL3 are nobody's business.
const AARCH64_EL0_EL1: u64 = 0x11;
/// PFR0: FP, AdvSIMD, GIC, DIT, CSV2, CSV3. Not: RAS, SVE, SEL2, MPAM, AMU, RME.
const PROCESSOR_0: u64 = fields(&[16, 20, 24, 48, 56, 60]);
/// PFR1: BT, SSBS, CSV2_frac. Not: MTE, RAS_frac, MPAM_frac, SME.
const PROCESSOR_1: u64 = fields(&[0, 4, 32]);
/// DFR0: DebugVer, BRPs, WRPs, CTX_CMPs. Not: trace, performance monitors, profiling.
const DEBUG_0: u64 = fields(&[0, 12, 20, 28]);
/// ISAR0: all but TME.
const INSTRUCTIONS_0: u64 = !fields(&[0, 24]);
/// ISAR1: all but LS64.
const INSTRUCTIONS_1: u64 = !fields(&[60]);
/// ISAR2: WFxT, RPRES, GPA3, APA3, BC, PAC_frac, CLRBHB. Not: MOPS (HCRX_EL2 would have to allow it).
const INSTRUCTIONS_2: u64 = fields(&[0, 4, 8, 12, 20, 24, 28]);
/// MMFR0: PARange, ASIDBits, BigEnd, SNSMem, BigEndEL0, TGran16, 64, 4, ExS. Not: stage 2 granules, FGT, ECV.
const MEMORY_0: u64 = fields(&[0, 4, 8, 12, 16, 20, 24, 28, 44]);
/// MMFR1: HAFDBS, HPDS, PAN, SpecSEI, ETS, AFP, CMOW, TIDCP1. Not: VMIDBits, VH, LO, XNX, TWED, HCX.
const MEMORY_1: u64 = fields(&[0, 12, 20, 24, 36, 44, 52, 56]);
/// MMFR2: CnP, UAO, LSM, VARange, CCIDX, ST, AT, IDS, TTL, BBM, E0PD. Not: IESB, NV, FWB, EVT.
const MEMORY_2: u64 = fields(&[0, 4, 8, 16, 20, 28, 32, 36, 48, 52, 60]);

impl Register {
    /// The register of `CRm` and `op2` (op0 = 3, op1 = 0, CRn = 0, DDI 0487 D19.2); `None` for those that
    /// read as zero.
    #[must_use]
    pub const fn of(crm: u8, op2: u8) -> Option<Self> {
        Some(match (crm, op2) {
            (4, 0) => Self::Processor0,
            (4, 1) => Self::Processor1,
            (5, 0) => Self::Debug0,
            (6, 0) => Self::Instructions0,
            (6, 1) => Self::Instructions1,
            (6, 2) => Self::Instructions2,
            (7, 0) => Self::Memory0,
            (7, 1) => Self::Memory1,
            (7, 2) => Self::Memory2,
            _ => return None,
        })
    }

    /// What of it is seen.
    #[must_use]
    pub const fn view(self) -> View {
        let (keep, set) = match self {
            Self::Processor0 => (PROCESSOR_0, AARCH64_EL0_EL1),
            Self::Processor1 => (PROCESSOR_1, 0),
            Self::Debug0 => (DEBUG_0, 0),
            Self::Instructions0 => (INSTRUCTIONS_0, 0),
            Self::Instructions1 => (INSTRUCTIONS_1, 0),
            Self::Instructions2 => (INSTRUCTIONS_2, 0),
            Self::Memory0 => (MEMORY_0, 0),
            Self::Memory1 => (MEMORY_1, 0),
            Self::Memory2 => (MEMORY_2, 0),
        };
        View { keep, set }
    }
}

/// True where `op0`, `op1`, `CRn`, `CRm` name a register of the trapped group.
#[must_use]
pub const fn is_identification(op0: u8, op1: u8, crn: u8, crm: u8) -> bool {
    op0 == 3 && op1 == 0 && crn == 0 && crm >= 1 && crm <= 7
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field at `position` of a register in which every feature is there.
    fn seen(register: Register, position: u32) -> u64 {
        let View { keep, set } = register.view();
        ((keep | set) >> position) & 0xf
    }

    #[test]
    fn what_is_not_set_up_is_not_there() {
        // SVE, MPAM, AMU, RME; MTE, SME; PMU, SPE, trace; MOPS; FGT, ECV; HCX, VH; NV.
        for (register, position) in [
            (Register::Processor0, 32),
            (Register::Processor0, 40),
            (Register::Processor0, 44),
            (Register::Processor0, 52),
            (Register::Processor1, 8),
            (Register::Processor1, 24),
            (Register::Debug0, 4),
            (Register::Debug0, 8),
            (Register::Debug0, 32),
            (Register::Instructions2, 16),
            (Register::Memory0, 56),
            (Register::Memory0, 60),
            (Register::Memory1, 40),
            (Register::Memory1, 8),
            (Register::Memory2, 24),
        ] {
            assert_eq!(seen(register, position), 0, "{register:?} {position}");
        }
        // EL0 and EL1 are AArch64 only; EL2 and EL3 are not there.
        assert_eq!(Register::Processor0.view().set, 0x11);
        assert_eq!(Register::Processor0.view().keep & 0xffff, 0);
    }

    #[test]
    fn what_linux_needs_is_there() {
        for (register, position) in [
            (Register::Processor0, 24),
            (Register::Instructions0, 4),
            (Register::Instructions1, 4),
            (Register::Memory0, 28),
            (Register::Memory1, 20),
        ] {
            assert_eq!(seen(register, position), 0xf, "{register:?} {position}");
        }
    }

    #[test]
    fn registers_outside_the_group_and_of_aarch32_are_not_shown() {
        assert!(is_identification(3, 0, 0, 4) && !is_identification(3, 0, 0, 8));
        assert!(!is_identification(3, 0, 0, 0) && !is_identification(3, 0, 1, 4));
        for crm in 1..4 {
            for op2 in 0..8 {
                assert_eq!(Register::of(crm, op2), None);
            }
        }
        assert_eq!(Register::of(4, 4), None, "SVE");
        assert_eq!(Register::of(4, 5), None, "SME");
    }
}

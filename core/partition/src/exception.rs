//! Exceptions given to a partition's EL1, as if the hardware had taken them there.

/// What EL1 finds: to be written to ESR_EL1 (FAR_EL1), SPSR_EL1 and ELR_EL1 as they were, and
/// where the core goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    /// ESR_EL1.
    pub syndrome: u64,
    /// Next instruction.
    pub at: u64,
    /// State there.
    pub state: u64,
}

/// Why a partition gets one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A load or store found nothing: synchronous external abort.
    Data,
    /// A fetch found nothing.
    Instruction,
    /// An instruction or register does not exist for it.
    Undefined,
}

/// Instruction of 32 bits.
const LONG: u64 = 1 << 25;
/// Fault status: synchronous external abort, not on a table walk.
const EXTERNAL: u64 = 0x10;
/// A store (data aborts).
const WRITE: u64 = 1 << 6;
/// SCTLR_EL1.SPAN: 0 = privileged access to EL0's memory is forbidden on every exception.
const SPAN: u64 = 1 << 23;
/// SCTLR_EL1.DSSBS.
const DEFAULT_SSBS: u64 = 1 << 44;
const PSTATE_SSBS: u64 = 1 << 12;
const PSTATE_PAN: u64 = 1 << 22;
const PSTATE_UAO_DIT: u64 = 1 << 24;
const FLAGS: u64 = 0xf << 28;
const EL1H_MASKED: u64 = 0x3c5;
const FROM_AARCH32: u64 = 1 << 4;

/// The exception for `cause`, taken with `state` (SPSR_EL2) and `syndrome` (ESR_EL2), given
/// EL1's `sctlr` and `vectors` (VBAR_EL1). DDI 0487, D1.3.1.
#[must_use]
pub const fn exception(
    cause: Cause,
    syndrome: u64,
    state: u64,
    sctlr: u64,
    vectors: u64,
) -> Exception {
    let from_el1 = state & (FROM_AARCH32 | 0b1100) == 0b0100;
    let class = match cause {
        Cause::Data => 0x24 + from_el1 as u64,
        Cause::Instruction => 0x20 + from_el1 as u64,
        Cause::Undefined => 0,
    };
    let details = match cause {
        Cause::Data => EXTERNAL | (syndrome & WRITE),
        Cause::Instruction => EXTERNAL,
        Cause::Undefined => 0,
    };
    let offset = if from_el1 {
        if state & 1 == 0 { 0 } else { 0x200 }
    } else if state & FROM_AARCH32 == 0 {
        0x400
    } else {
        0x600
    };
    let mut new_state = EL1H_MASKED | (state & (FLAGS | PSTATE_PAN | PSTATE_UAO_DIT));
    if sctlr & SPAN == 0 {
        new_state |= PSTATE_PAN;
    }
    if sctlr & DEFAULT_SSBS != 0 {
        new_state |= PSTATE_SSBS;
    }
    Exception {
        syndrome: (class << 26) | LONG | details,
        at: (vectors & !0x7ff).wrapping_add(offset),
        state: new_state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_by_el0_becomes_a_lower_level_abort() {
        let got = exception(
            Cause::Data,
            0x9380_0046,
            0x8000_0000,
            0,
            0xffff_8000_0800_1800,
        );
        assert_eq!(got.syndrome, 0x9200_0050);
        assert_eq!(got.at, 0xffff_8000_0800_1c00);
        assert_eq!(got.state, 0x8040_03c5);
    }

    #[test]
    fn el1_takes_it_at_its_own_level() {
        let got = exception(Cause::Instruction, 0, 0x3c5, SPAN, 0x1000);
        assert_eq!(got.syndrome, (0x21 << 26) | LONG | EXTERNAL);
        assert_eq!(got.at, 0x1200);
        assert_eq!(got.state, 0x3c5);
        assert_eq!(
            exception(Cause::Undefined, 0, 0x3c4, SPAN, 0x1000).at,
            0x1000
        );
    }
}

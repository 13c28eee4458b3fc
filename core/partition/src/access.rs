//! A data abort as an access: what was read or written, where, and with which register.

/// A load or store that went to stage 2 and did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Intermediate physical address.
    pub address: u64,
    /// 1, 2, 4 or 8.
    pub bytes: u32,
    /// Register that is stored or loaded; 31 is zero.
    pub register: usize,
    /// True for a store.
    pub write: bool,
}

impl Access {
    /// From ESR_EL2, HPFAR_EL2 and FAR_EL2 (DDI 0487, D19.2.37, D19.2.59). `None` where the
    /// syndrome does not say which register (pairs, write-back, exclusives, table walks),
    /// or the load would extend the sign: device registers are not accessed so.
    #[inline]
    #[must_use]
    pub const fn of(esr: u64, hpfar: u64, far: u64) -> Option<Self> {
        const VALID: u64 = 1 << 24;
        const SIGN: u64 = 1 << 21;
        const WRITE: u64 = 1 << 6;
        const TABLE_WALK: u64 = 1 << 7;
        if esr & (VALID | SIGN | TABLE_WALK) != VALID {
            return None;
        }
        Some(Self {
            address: address(hpfar, far),
            bytes: 1 << ((esr >> 22) & 3),
            register: ((esr >> 16) & 31) as usize,
            write: esr & WRITE != 0,
        })
    }

    /// True if the address is a multiple of the size.
    #[must_use]
    pub const fn is_aligned(&self) -> bool {
        self.address & (self.bytes as u64 - 1) == 0
    }
}

/// The intermediate physical address of a stage 2 fault.
#[inline]
#[must_use]
pub const fn address(hpfar: u64, far: u64) -> u64 {
    ((hpfar & 0x0fff_ffff_fff0) << 8) | (far & 0xfff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_w7_is_seen_as_such() {
        let esr = 0x9380_0046 | (7 << 16);
        let access = Access::of(esr, 0x8_0000, 0xffff_0000_0000_0124).expect("valid");
        let expected = Access {
            address: 0x0800_0124,
            bytes: 4,
            register: 7,
            write: true,
        };
        assert_eq!(access, expected);
        assert!(access.is_aligned());
    }

    #[test]
    fn pairs_walks_and_sign_extension_are_not_decoded() {
        assert_eq!(Access::of(0x9200_0046, 0, 0), None);
        assert_eq!(Access::of(0x9380_0046 | (1 << 7), 0, 0), None);
        assert_eq!(Access::of(0x9380_0006 | (1 << 21), 0, 0), None);
    }
}

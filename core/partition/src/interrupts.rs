//! The interrupt controller as a partition sees it: its own interrupts and cores, nothing else.
//!
//! Registers are those of GICv3 (Arm IHI 0069, 12.9 and 12.11). A read or write is answered with
//! what part of it goes through. What a driver does to every interrupt when it starts
//! (disable, priority, trigger, route) simply has no effect on others' interrupts; an attempt to
//! *use* another's (enable, pend, activate, reroute to another's core) is a refusal, and counted.

use crate::owns;

/// What a partition has of the interrupt controller.
#[derive(Debug, Clone, Copy)]
pub struct Interrupts {
    /// Shared interrupts, a bit each: word `i` holds 32 * i to 32 * i + 31; word 0 is not used.
    pub shared: [u32; 32],
    /// Private interrupts (bits 16 to 31) and SGIs (bits 0 to 15), on each of its cores.
    pub private: u32,
    /// Its cores, a bit each.
    pub cores: u32,
    /// Words of 32 interrupts beyond the first, as GICD_TYPER tells them: just enough.
    lines: u64,
}

/// Answer to a read: `physical & keep | set`; where `keep` is 0 the hardware is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Bits of the physical register that are seen.
    pub keep: u64,
    /// Bits that read as one.
    pub set: u64,
    /// True where the partition has no business there.
    pub refused: bool,
}

/// Answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// What is done.
    pub action: Action,
    /// True where part of it was an attempt on what is not the partition's.
    pub refused: bool,
}

/// What is done to the physical register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Ignore,
    /// This is written to it.
    Store(u64),
    /// These bits of it become those of the value.
    Change(u64),
    /// Of the bytes of the value, those whose bits are set are written, a byte each.
    Bytes(u32),
}

/// Bits of the distributor's control register as the normal world sees it (IHI 0069, 12.9.4).
const CONTROL_ON: u64 = (1 << 4) | (1 << 1);
const CONTROL_WRITE_PENDING: u64 = 1 << 31;
/// GICD_TYPER: extended SPIs, LPIs and message interrupts do not exist; the number of lines is ours.
const KIND_HIDDEN: u64 = 0x1f | (1 << 8) | (1 << 16) | (1 << 17) | (0x1f << 27);
/// GICR_TYPER: LPIs, direct LPIs, virtual LPIs, multiple partitioning, last.
const FRAME_KIND_HIDDEN: u64 = 0b1_1111 | (1 << 7) | (1 << 5) | (1 << 6);
const FRAME_LAST: u64 = 1 << 4;
/// Bytes of a redistributor: control frame, SGI and PPI frame.
pub const FRAME_BYTES: u64 = 0x2_0000;
/// SGIs that the normal world has; the others are the secure world's.
const NORMAL_SGIS: u64 = 0xff;

const fn keep(keep: u64) -> Read {
    Read {
        keep,
        set: 0,
        refused: false,
    }
}
const NOTHING: Read = keep(0);
const REFUSED_READ: Read = Read {
    keep: 0,
    set: 0,
    refused: true,
};
const fn done(action: Action) -> Write {
    Write {
        action,
        refused: false,
    }
}
const REFUSED_WRITE: Write = Write {
    action: Action::Ignore,
    refused: true,
};

/// What a bank of registers with a bit for each interrupt is for.
#[derive(PartialEq)]
enum Bits {
    /// Groups: the monitor's affair; reads as zero.
    Group,
    /// Enable, pend, activate.
    Use,
    /// The opposite.
    Release,
}

/// The bank at `offset` (0x80 to 0x3ff).
const fn bank(offset: u32) -> Bits {
    match (offset >> 7) & 7 {
        1 => Bits::Group,
        2 | 4 | 6 => Bits::Use,
        _ => Bits::Release,
    }
}

/// Two bits for each of the low 16 bits.
const fn two_each(bits: u32) -> u64 {
    let mut wide = 0u64;
    let mut index = 0;
    while index < 16 {
        if bits & (1 << index) != 0 {
            wide |= 0b11 << (2 * index);
        }
        index += 1;
    }
    wide
}

/// 0xff for each of the low `bytes` bits.
const fn eight_each(bits: u32, bytes: u32) -> u64 {
    let mut wide = 0u64;
    let mut index = 0;
    while index < bytes {
        if bits & (1 << index) != 0 {
            wide |= 0xff << (8 * index);
        }
        index += 1;
    }
    wide
}

impl Interrupts {
    /// With these interrupts and cores; see the fields.
    #[must_use]
    pub const fn new(shared: [u32; 32], private: u32, cores: u32) -> Self {
        let mut lines = 31;
        while lines > 0 && shared[lines] == 0 {
            lines -= 1;
        }
        Self {
            shared,
            private,
            cores,
            lines: lines as u64,
        }
    }

    /// Own bits of 32 interrupts from `word * 32` on.
    #[inline]
    const fn own(&self, word: usize) -> u32 {
        if word == 0 || word >= 32 {
            0
        } else {
            self.shared[word]
        }
    }

    /// True if `interrupt` is a shared interrupt of the partition.
    #[must_use]
    pub const fn has(&self, interrupt: u32) -> bool {
        let word = interrupt as usize / 32;
        word < 32 && self.own(word) & (1 << (interrupt % 32)) != 0
    }

    /// Own bits for the priorities at `offset` (0x400 to 0x7ff): a bit a byte.
    const fn own_priorities(&self, word: u32, offset: u32, bytes: u32) -> u32 {
        (word >> (offset & 31)) & ((1 << bytes) - 1)
    }

    /// A read of 4 bytes that may be frequent: control, kind, enabled, pending, active. `None`: ask
    /// [`Interrupts::read_distributor`].
    #[inline(always)]
    #[must_use]
    pub const fn read_frequent(&self, offset: u32) -> Option<Read> {
        if offset < 0x400 && offset >= 0x80 {
            return Some(match bank(offset) {
                Bits::Group => NOTHING,
                _ => keep(self.own((offset as usize >> 2) & 31) as u64),
            });
        }
        match offset {
            0x0 => Some(Read {
                keep: CONTROL_WRITE_PENDING,
                set: CONTROL_ON,
                refused: false,
            }),
            0x4 => Some(Read {
                keep: !KIND_HIDDEN & 0xffff_ffff,
                set: self.lines,
                refused: false,
            }),
            _ => None,
        }
    }

    const fn read_priorities(&self, offset: u32, bytes: u32) -> Read {
        let word = self.own((offset as usize - 0x400) / 32);
        keep(eight_each(self.own_priorities(word, offset, bytes), bytes))
    }

    const fn read_route(&self, offset: u32, bytes: u32) -> Read {
        if !self.has((offset - 0x6000) >> 3) {
            return NOTHING;
        }
        keep(if bytes == 8 { u64::MAX } else { 0xffff_ffff })
    }

    /// A read of the distributor; the access is aligned.
    #[must_use]
    pub const fn read_distributor(&self, offset: u32, bytes: u32) -> Read {
        if bytes == 4
            && let Some(read) = self.read_frequent(offset)
        {
            return read;
        }
        match offset {
            0x400..=0x7ff if bytes <= 4 => self.read_priorities(offset, bytes),
            0x6000..=0x7fff if bytes >= 4 => self.read_route(offset, bytes),
            _ if bytes != 4 => REFUSED_READ,
            0x8 => keep(0xffff_ffff),
            0xc..=0x3c | 0xd00..=0xeff => NOTHING,
            0xc00..=0xcff => {
                let first = (offset as usize - 0xc00) * 4;
                let half = self.own(first / 32) >> (first as u32 & 16);
                keep(two_each(half & 0xffff))
            }
            0xffd0..=0xffff => keep(0xffff_ffff),
            _ => REFUSED_READ,
        }
    }

    /// A write to the distributor; the access is aligned.
    #[must_use]
    pub const fn write_distributor(&self, offset: u32, bytes: u32, value: u64) -> Write {
        if bytes == 4 && offset < 0x400 && offset >= 0x80 {
            let own = self.own((offset as usize >> 2) & 31) as u64;
            return self.write_bits(offset, own, value);
        }
        match offset {
            0x400..=0x7ff if bytes <= 4 => {
                let word = self.own((offset as usize - 0x400) / 32);
                done(Action::Bytes(self.own_priorities(word, offset, bytes)))
            }
            0x6000..=0x7fff if bytes >= 4 => self.write_route(offset, bytes, value),
            _ if bytes != 4 => REFUSED_WRITE,
            // Control: the distributor is on for all partitions.
            0x0 => done(Action::Ignore),
            0xc00..=0xcff => {
                let first = (offset as usize - 0xc00) * 4;
                let half = self.own(first / 32) >> (first as u32 & 16);
                done(Action::Change(two_each(half & 0xffff)))
            }
            0xd00..=0xeff => done(Action::Ignore),
            _ => REFUSED_WRITE,
        }
    }

    /// A write to a bank with a bit for each interrupt, of which `own` are the partition's.
    const fn write_bits(&self, offset: u32, own: u64, value: u64) -> Write {
        let store = if value & own == 0 {
            Action::Ignore
        } else {
            Action::Store(value & own)
        };
        match bank(offset) {
            Bits::Group => done(Action::Ignore),
            Bits::Use => Write {
                action: store,
                refused: value & !own & 0xffff_ffff != 0,
            },
            Bits::Release => done(store),
        }
    }

    /// A write to a route: own interrupts to own cores (affinity 0.0.0.core).
    const fn write_route(&self, offset: u32, bytes: u32, value: u64) -> Write {
        if !self.has((offset - 0x6000) >> 3) {
            return done(Action::Ignore);
        }
        let upper_half = bytes == 4 && offset & 4 != 0;
        if upper_half && value == 0 {
            return done(Action::Ignore);
        }
        if upper_half || !owns(self.cores, value) {
            return REFUSED_WRITE;
        }
        done(Action::Store(value))
    }

    /// A read of the redistributor of `core`, `offset` in its 128 KiB; the access is aligned.
    #[must_use]
    pub const fn read_redistributor(&self, core: u64, offset: u32, bytes: u32) -> Read {
        if !owns(self.cores, core) {
            return REFUSED_READ;
        }
        let last = if owns(self.cores, core + 1) {
            0
        } else {
            FRAME_LAST
        };
        let own = self.private;
        match offset {
            0x8 if bytes == 8 => Read {
                keep: !FRAME_KIND_HIDDEN,
                set: last,
                refused: false,
            },
            0x1_0400..=0x1_041f if bytes <= 4 => {
                keep(eight_each(self.own_priorities(own, offset, bytes), bytes))
            }
            // LPI tables.
            0x40..=0xbf => REFUSED_READ,
            _ if bytes != 4 => REFUSED_READ,
            // Control: a write is pending (bits 3 and 31); LPIs are off.
            0x0 => keep((1 << 31) | (1 << 3)),
            0x4 => keep(0xffff_ffff),
            0x8 => Read {
                keep: !FRAME_KIND_HIDDEN & 0xffff_ffff,
                set: last,
                refused: false,
            },
            0xc => keep(0xffff_ffff),
            // Power: the monitor woke it.
            0x10..=0x3f => NOTHING,
            0xffd0..=0xffff => keep(0xffff_ffff),
            0x1_0080 => NOTHING,
            0x1_0100 | 0x1_0180 | 0x1_0200 | 0x1_0280 | 0x1_0300 | 0x1_0380 => keep(own as u64),
            0x1_0c00 => keep(two_each(own & 0xffff)),
            0x1_0c04 => keep(two_each(own >> 16)),
            0x1_0d00 | 0x1_0e00 => NOTHING,
            _ => REFUSED_READ,
        }
    }

    /// A write to the redistributor of `core`; the access is aligned.
    #[must_use]
    pub const fn write_redistributor(
        &self,
        core: u64,
        offset: u32,
        bytes: u32,
        value: u64,
    ) -> Write {
        if !owns(self.cores, core) {
            return REFUSED_WRITE;
        }
        let own = self.private;
        match offset {
            0x1_0400..=0x1_041f if bytes <= 4 => {
                done(Action::Bytes(self.own_priorities(own, offset, bytes)))
            }
            _ if bytes != 4 => REFUSED_WRITE,
            0x0 | 0x10..=0x14 => done(Action::Ignore),
            0x1_0080 => done(Action::Ignore),
            0x1_0100 | 0x1_0180 | 0x1_0200 | 0x1_0280 | 0x1_0300 | 0x1_0380 => {
                self.write_bits(offset, own as u64, value)
            }
            0x1_0c00 => done(Action::Ignore),
            0x1_0c04 => done(Action::Change(two_each(own >> 16))),
            0x1_0d00 | 0x1_0e00 => done(Action::Ignore),
            _ => REFUSED_WRITE,
        }
    }

    /// A write of `value` to ICC_SGI1R_EL1 from `core` (IHI 0069, 12.2.20): what is written instead,
    /// 0 for nothing, and whether part of it was refused.
    #[inline]
    #[must_use]
    pub const fn send(&self, core: usize, value: u64) -> (u64, bool) {
        const AFFINITY: u64 = (0xff << 16) | (0xff << 32) | (0xf << 44) | (0xff << 48);
        const ALL_BUT_SELF: u64 = 1 << 40;
        let number = (value >> 24) & 0xf;
        let own = self.cores as u64 & 0xffff;
        let targets = if value & ALL_BUT_SELF != 0 {
            own & !(1 << (core & 15))
        } else if value & AFFINITY != 0 {
            return (0, true);
        } else {
            value & 0xffff
        };
        if NORMAL_SGIS & (self.private as u64) & (1 << number) == 0 {
            return (0, true);
        }
        let allowed = targets & own;
        if allowed == 0 {
            return (0, targets != 0);
        }
        (allowed | (number << 24), targets != allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: Interrupts = Interrupts::new(
        {
            let mut shared = [0; 32];
            shared[1] = (1 << 1) | (0b1111 << 3) | (1 << 16);
            shared
        },
        0xff | (1 << 27) | (1 << 30),
        0b110,
    );
    const FOREIGN: u64 = 1 << 8;

    #[test]
    fn enabling_anothers_interrupt_is_refused_and_own_bits_go_through() {
        let got = LINUX.write_distributor(0x104, 4, FOREIGN | 0b10);
        assert_eq!(got.action, Action::Store(0b10));
        assert!(got.refused);
        assert!(!LINUX.write_distributor(0x104, 4, 0b10).refused);
        // Disabling everything is what drivers do: no effect on others, no refusal.
        let got = LINUX.write_distributor(0x184, 4, 0xffff_ffff);
        assert_eq!(got, done(Action::Store(LINUX.shared[1].into())));
        // SGIs and PPIs are not in the distributor.
        assert_eq!(
            LINUX.write_distributor(0x100, 4, 0xffff_ffff),
            REFUSED_WRITE
        );
    }

    #[test]
    fn only_own_interrupts_are_seen() {
        assert_eq!(
            LINUX.read_distributor(0x104, 4).keep,
            u64::from(LINUX.shared[1])
        );
        assert_eq!(LINUX.read_distributor(0x108, 4).keep, 0);
        assert_eq!(LINUX.read_distributor(0x4, 4).set, 1);
        // Interrupts 33 and 35 are the second and the fourth byte from 0x420 on.
        assert_eq!(LINUX.read_distributor(0x420, 4).keep, 0xff00_ff00);
        assert_eq!(
            LINUX.write_distributor(0x420, 4, 0),
            done(Action::Bytes(0b1010))
        );
        assert_eq!(LINUX.write_distributor(0x428, 1, 0), done(Action::Bytes(0)));
        // Interrupt 48 is the first of the second half of word 1: bits 1:0 at 0xc0c.
        assert_eq!(
            LINUX.write_distributor(0xc0c, 4, 2),
            done(Action::Change(0b11))
        );
        assert_eq!(
            LINUX.write_distributor(0xc10, 4, 2),
            done(Action::Change(0))
        );
    }

    #[test]
    fn routes_lead_to_own_cores_only() {
        let route =
            |interrupt: u32, value| LINUX.write_distributor(0x6000 + 8 * interrupt, 8, value);
        assert_eq!(route(33, 2), done(Action::Store(2)));
        for foreign in [0, 3, 1 << 31, 0x101, 1 << 32] {
            assert_eq!(route(33, foreign), REFUSED_WRITE, "{foreign:#x}");
        }
        assert_eq!(route(40, 1), done(Action::Ignore));
        assert_eq!(LINUX.read_distributor(0x6000 + 8 * 40, 8), NOTHING);
        assert_eq!(
            LINUX.write_distributor(0x6000 + 8 * 33 + 4, 4, 0),
            done(Action::Ignore)
        );
        assert_eq!(
            LINUX.write_distributor(0x6000 + 8 * 33 + 4, 4, 1),
            REFUSED_WRITE
        );
    }

    #[test]
    fn frames_end_at_the_last_own_core_and_hide_lpis() {
        let kind = |core| LINUX.read_redistributor(core, 8, 8);
        assert_eq!(kind(1).set, 0);
        assert_eq!(kind(2).set, FRAME_LAST);
        assert_eq!(kind(2).keep & 0b1_1011, 0);
        for foreign in [0, 3, 31, 32, u64::MAX - 1] {
            assert!(kind(foreign).refused);
            assert!(LINUX.write_redistributor(foreign, 0x1_0100, 4, 1).refused);
        }
        let got = LINUX.write_redistributor(1, 0x1_0100, 4, (1 << 26) | 1);
        assert_eq!(got.action, Action::Store(1));
        assert!(got.refused);
        assert!(LINUX.write_redistributor(1, 0x70, 8, 1).refused);
    }

    #[test]
    fn sgis_stay_among_own_cores() {
        assert_eq!(LINUX.send(1, 0x0300_0004), (0x0300_0004, false));
        assert_eq!(LINUX.send(1, 0x0300_0005), (0x0300_0004, true));
        assert_eq!(LINUX.send(1, 0x0300_0001), (0, true));
        assert_eq!(LINUX.send(1, 0x0300_0000), (0, false));
        // To all but self.
        assert_eq!(LINUX.send(2, (1 << 40) | 0x0100_0000), (0x0100_0002, false));
        // Other clusters, other numbers.
        for value in [1 << 16, 1 << 32, 1 << 44, 1 << 48, 8 << 24, 15 << 24] {
            assert_eq!(LINUX.send(1, value | 2), (0, true), "{value:#x}");
        }
    }

    /// Whatever is written, only own bits change, whatever the register.
    #[test]
    fn no_write_anywhere_reaches_anothers_interrupt() {
        let mut state = 1u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..300_000 {
            let (number, value) = (random(), random());
            let bytes = 1 << (number & 3);
            let offset = (number >> 8) as u32 & 0xffff & !(bytes - 1);
            if let Action::Store(store) = LINUX.write_distributor(offset, bytes, value).action {
                match offset {
                    0x100..=0x3ff => assert_eq!(store & !u64::from(LINUX.shared[1]), 0),
                    0x6000..=0x7fff => assert!(LINUX.has((offset - 0x6000) / 8) && store < 3),
                    _ => panic!("{offset:#x}"),
                }
            }
        }
    }
}

//! A flash in memory whose power can be cut at any write, for tests and the fuzz target.

extern crate alloc;

use crate::{Fault, Medium};
use alloc::vec;
use alloc::vec::Vec;

/// What a cut leaves behind of the write it interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// Nothing of it.
    Nothing,
    /// The first half of its words; of an erasure, the first half of the sector.
    Half,
    /// All but one bit of its last word; of an erasure, all but the last byte.
    AlmostAll,
    /// Every second word.
    EverySecond,
    /// All of it; only the answer is missing.
    All,
}

/// Every way to tear.
pub const TEARS: [Torn; 5] = [
    Torn::Nothing,
    Torn::Half,
    Torn::AlmostAll,
    Torn::EverySecond,
    Torn::All,
];

/// Flash and counter.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The counter.
    pub count: u64,
    /// Writes (programs, erasures, steps of the counter) so far.
    pub writes: u64,
    /// Writes after which the power is cut in the next one, and how.
    pub cut: Option<(u64, Torn)>,
    /// Programs that set a zero to one: a flash cannot.
    pub impossible: u64,
    /// Salts so far: a repeatable generator stands for chance.
    pub salts: u64,
    sector_bytes: usize,
    is_off: bool,
}

impl Simulated {
    /// An erased flash.
    #[must_use]
    pub fn new(sectors: usize, sector_bytes: usize) -> Self {
        Self {
            bytes: vec![0xff; sectors * sector_bytes],
            count: 0,
            writes: 0,
            cut: None,
            impossible: 0,
            salts: 0,
            sector_bytes,
            is_off: false,
        }
    }

    /// Power comes back, and is not cut again.
    pub fn power_on(&mut self) {
        self.is_off = false;
        self.cut = None;
    }

    /// Counts a write: whole, or torn where this is the one.
    fn write(&mut self) -> Result<Option<Torn>, Fault> {
        if self.is_off {
            return Err(Fault);
        }
        let torn = self.cut.filter(|(at, _)| *at == self.writes);
        self.writes += 1;
        self.is_off = torn.is_some();
        Ok(torn.map(|(_, torn)| torn))
    }

    fn burn(&mut self, offset: usize, bytes: &[u8]) {
        for (place, byte) in self.bytes[offset..].iter_mut().zip(bytes) {
            self.impossible += u64::from(*byte & !*place != 0);
            *place &= byte;
        }
    }
}

impl Medium for Simulated {
    fn sector_bytes(&self) -> usize {
        self.sector_bytes
    }
    fn sectors(&self) -> usize {
        self.bytes.len() / self.sector_bytes
    }
    fn read(&self, offset: usize, out: &mut [u8]) {
        out.fill(0xff);
        let found = self.bytes.get(offset..).unwrap_or(&[]);
        let count = found.len().min(out.len());
        out[..count].copy_from_slice(&found[..count]);
    }
    fn program(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        assert!(offset + bytes.len() <= self.bytes.len());
        assert_eq!(
            offset / self.sector_bytes,
            (offset + bytes.len() - 1) / self.sector_bytes
        );
        let torn = self.write()?;
        let Some(torn) = torn else {
            self.burn(offset, bytes);
            return Ok(());
        };
        let mut part = bytes.to_vec();
        let half = bytes.len() / 8 * 4;
        match torn {
            Torn::Nothing => part.fill(0xff),
            Torn::Half => part[half..].fill(0xff),
            Torn::AlmostAll => {
                let last = part.iter_mut().rev().find(|byte| **byte != 0xff);
                if let Some(last) = last {
                    *last |= 1 << (!*last).trailing_zeros();
                }
            }
            Torn::EverySecond => part
                .chunks_exact_mut(4)
                .step_by(2)
                .for_each(|w| w.fill(0xff)),
            Torn::All => {}
        }
        self.burn(offset, &part);
        Err(Fault)
    }
    fn erase(&mut self, sector: usize) -> Result<(), Fault> {
        let torn = self.write()?;
        let size = self.sector_bytes;
        let sector = &mut self.bytes[sector * size..(sector + 1) * size];
        match torn {
            None | Some(Torn::All) => sector.fill(0xff),
            Some(Torn::Nothing) => {}
            Some(Torn::Half) => sector[..size / 2].fill(0xff),
            Some(Torn::AlmostAll) => sector[..size - 1].fill(0xff),
            Some(Torn::EverySecond) => {
                sector
                    .chunks_exact_mut(4)
                    .step_by(2)
                    .for_each(|word| word.fill(0xff));
            }
        }
        torn.map_or(Ok(()), |_| Err(Fault))
    }
    fn counter(&self) -> u64 {
        self.count
    }
    fn advance(&mut self) -> Result<(), Fault> {
        // One bit: it burns or it does not.
        let torn = self.write()?;
        if torn.is_none_or(|torn| matches!(torn, Torn::All | Torn::AlmostAll)) {
            self.count += 1;
        }
        torn.map_or(Ok(()), |_| Err(Fault))
    }
    fn salt(&mut self) -> [u8; seal::SALT_BYTES] {
        self.salts += 1;
        // SplitMix64 (Steele et al., OOPSLA 2014).
        let mut state = self.salts.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (u128::from(state) << 64 | u128::from(self.salts)).to_le_bytes()
    }
}

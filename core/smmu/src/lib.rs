//! SMMUv3 stream table, context descriptors, commands and events, as data.
//!
//! Numbers in, numbers out: what these words mean is in Arm IHI 0070 (chapters 4, 5 and 7); the
//! hypervisor puts them where the SMMU reads them.
#![no_std]
#![forbid(unsafe_code)]

/// Words of a stream table entry and of a context descriptor.
pub const ENTRY_WORDS: usize = 8;
/// Words of a command.
pub const COMMAND_WORDS: usize = 2;
/// Words of an event.
pub const EVENT_WORDS: usize = 4;
/// Bits of address that a stream may use: 4 GiB, so that look-up starts at level 1.
pub const INPUT_BITS: u64 = 32;

/// Address size fields of 64 - bits.
const T0SZ: u64 = 64 - INPUT_BITS;
/// Walks: write-back, inner shareable (fields IR0, OR0, SH0 from bit 8 on).
const WALKS_CACHED: u64 = (1 << 8) | (1 << 10) | (3 << 12);
/// Output addresses of 40 bits.
const OUTPUT_40_BITS: u64 = 2;

/// What the SMMU can do, from IDR0 (IHI 0070, 6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stages {
    /// Stage 2 is there: the one made for this.
    Two,
    /// Stage 1 only.
    One,
    /// Neither: DMA cannot be contained.
    None,
}

/// From IDR0.
#[must_use]
pub const fn stages(idr0: u32) -> Stages {
    if idr0 & 1 != 0 {
        Stages::Two
    } else if idr0 & 2 != 0 {
        Stages::One
    } else {
        Stages::None
    }
}

/// A stream that is translated by the stage 1 tables of the context descriptor at `descriptor`
/// (physical, 64-byte aligned). IHI 0070, 5.2.
#[must_use]
pub const fn stream_stage_1(descriptor: u64) -> [u64; ENTRY_WORDS] {
    const VALID: u64 = 1;
    const STAGE_1: u64 = 0b101 << 1;
    const DESCRIPTOR: u64 = 0x000f_ffff_ffff_ffc0;
    // Descriptor fetched write-back, inner shareable; shareability as it comes in.
    const FETCH_CACHED: u64 = (1 << 2) | (1 << 4) | (3 << 6);
    const SHARE_INCOMING: u64 = 1 << 44;
    let mut words = [0; ENTRY_WORDS];
    words[0] = VALID | STAGE_1 | (descriptor & DESCRIPTOR);
    words[1] = FETCH_CACHED | SHARE_INCOMING;
    words
}

/// A stream that is translated by the stage 2 tables at `tables` (physical, one root of level 1).
#[must_use]
pub const fn stream_stage_2(tables: u64, vmid: u16) -> [u64; ENTRY_WORDS] {
    const VALID: u64 = 1;
    const STAGE_2: u64 = 0b110 << 1;
    const SHARE_INCOMING: u64 = 1 << 44;
    const START_LEVEL_1: u64 = 1 << 6;
    const AARCH64: u64 = 1 << 51;
    const RECORD_FAULTS: u64 = 1 << 58;
    let walk = T0SZ | START_LEVEL_1 | WALKS_CACHED | (OUTPUT_40_BITS << 16);
    let mut words = [0; ENTRY_WORDS];
    words[0] = VALID | STAGE_2;
    words[1] = SHARE_INCOMING;
    words[2] = vmid as u64 | (walk << 32) | AARCH64 | RECORD_FAULTS;
    words[3] = tables & 0x000f_ffff_ffff_fff0;
    words
}

/// A context descriptor with the stage 1 tables at `tables` (physical, one root of level 1) and
/// these memory types; faults abort and are recorded. IHI 0070, 5.4.
#[must_use]
pub const fn context(tables: u64, memory_types: u64, asid: u16) -> [u64; ENTRY_WORDS] {
    const NO_UPPER_HALF: u64 = 1 << 30;
    const VALID: u64 = 1 << 31;
    const AARCH64: u64 = 1 << 41;
    const RECORD_AND_ABORT: u64 = 0b11 << 45;
    const OWN_ASIDS: u64 = 1 << 47;
    // The access flag is in our tables: a clear one is a fault.
    let mut words = [0; ENTRY_WORDS];
    words[0] = T0SZ
        | WALKS_CACHED
        | NO_UPPER_HALF
        | VALID
        | (OUTPUT_40_BITS << 32)
        | AARCH64
        | RECORD_AND_ABORT
        | OWN_ASIDS
        | ((asid as u64) << 48);
    words[1] = tables & 0x000f_ffff_ffff_fff0;
    words[3] = memory_types;
    words
}

/// Commands (IHI 0070, 4).
pub mod command {
    /// Drop every cached stream table entry and context descriptor.
    pub const DROP_CONFIGURATION: [u64; 2] = [0x04, 31];
    /// Drop every cached translation of the normal world's EL1 and stage 2.
    pub const DROP_TRANSLATIONS: [u64; 2] = [0x30, 0];
    /// Everything before is done when this is consumed.
    pub const SYNCHRONISE: [u64; 2] = [0x46, 0];
}

/// Value for STRTAB_BASE_CFG: a linear table of 2^`log2_streams` entries.
#[must_use]
pub const fn table_configuration(log2_streams: u32) -> u32 {
    log2_streams & 0x3f
}

/// Value for a queue's base register: memory at `base` with 2^`log2_entries` entries, allocated.
#[must_use]
pub const fn queue_base(base: u64, log2_entries: u32) -> u64 {
    const ALLOCATE: u64 = 1 << 62;
    ALLOCATE | (base & 0x000f_ffff_ffff_ffe0) | (log2_entries as u64 & 0x1f)
}

/// A place in a queue of 2^`log2_entries`: an index and a wrap bit, as the registers hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    value: u32,
    log2_entries: u32,
}

impl Place {
    /// From a PROD or CONS register; bits that are not index or wrap (overflow, error) are dropped.
    #[must_use]
    pub const fn new(register: u32, log2_entries: u32) -> Self {
        let log2_entries = if log2_entries > 19 { 19 } else { log2_entries };
        Self {
            value: register & ((2 << log2_entries) - 1),
            log2_entries,
        }
    }

    /// Entry it points at.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.value & ((1 << self.log2_entries) - 1)) as usize
    }

    /// For the register.
    #[must_use]
    pub const fn register(self) -> u32 {
        self.value
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::new(self.value + 1, self.log2_entries)
    }
}

/// Something the SMMU stopped (IHI 0070, 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Its number; see [`Event::name`].
    pub kind: u8,
    /// The stream (PCI requester).
    pub stream: u32,
    /// The address, where the kind has one.
    pub address: u64,
    /// True for a read.
    pub read: bool,
}

impl Event {
    /// Reads a record; every record is an event.
    #[must_use]
    pub const fn of(words: [u64; EVENT_WORDS]) -> Self {
        Self {
            kind: words[0] as u8,
            stream: (words[0] >> 32) as u32,
            address: words[2],
            read: words[1] & (1 << 35) != 0,
        }
    }

    /// What it was, in a few words.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.kind {
            0x02 => "unknown stream",
            0x04 => "stream not granted",
            0x0a => "bad context",
            0x10 => "address not granted",
            0x11 => "address too large",
            0x12 => "access flag",
            0x13 => "write to read-only",
            _ => "other fault",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_2_is_preferred() {
        assert_eq!(stages(0b11), Stages::Two);
        assert_eq!(stages(0b10), Stages::One);
        assert_eq!(stages(0b1000_0000), Stages::None);
    }

    #[test]
    fn stage_1_entry_points_at_its_descriptor() {
        let words = stream_stage_1(0x4021_3440);
        assert_eq!(words[0], 0x4021_344b);
        assert_eq!(words[1] >> 44 & 3, 1);
        assert_eq!(words[2..], [0; 6]);
    }

    /// Fields at the places IHI 0070, 5.4.1 names.
    #[test]
    fn descriptor_translates_4_gib_and_aborts_the_rest() {
        let words = context(0x4022_0000, 0xff, 1);
        let field = |low: u32, bits: u32| words[0] >> low & ((1 << bits) - 1);
        assert_eq!(field(0, 6), 32);
        assert_eq!(field(6, 2), 0);
        assert_eq!(field(30, 2), 0b11);
        assert_eq!(field(41, 1), 1);
        assert_eq!(field(45, 2), 0b11);
        assert_eq!(field(48, 16), 1);
        assert_eq!(words[1], 0x4022_0000);
        assert_eq!(words[3], 0xff);
    }

    /// Fields at the places IHI 0070, 5.2 names.
    #[test]
    fn stage_2_entry_has_its_tables() {
        let words = stream_stage_2(0x4022_0000, 7);
        assert_eq!(words[0], 1 | 0b110 << 1);
        assert_eq!(words[2] & 0xffff, 7);
        assert_eq!(words[2] >> 32 & 0x3f, 32);
        assert_eq!(words[2] >> 38 & 3, 1);
        assert_eq!(words[2] >> 48 & 7, 2);
        assert_eq!(words[2] >> 51 & 1, 1);
        assert_eq!(words[3], 0x4022_0000);
    }

    #[test]
    fn places_wrap_and_ignore_the_overflow_flag() {
        let mut place = Place::new(0x8000_0000, 2);
        let mut seen = [0; 9];
        for entry in &mut seen {
            *entry = place.index();
            place = place.next();
        }
        assert_eq!(seen, [0, 1, 2, 3, 0, 1, 2, 3, 0]);
        assert_eq!(place.register(), 1);
        assert_ne!(Place::new(0, 2), Place::new(4, 2), "full is not empty");
        assert!(Place::new(u32::MAX, 40).index() < 1 << 19);
    }

    #[test]
    fn translation_fault_says_stream_and_address() {
        let event = Event::of([0x0000_0008_0000_0010, 1 << 35, 0x0e00_0000, 0]);
        assert_eq!(
            event,
            Event {
                kind: 0x10,
                stream: 8,
                address: 0x0e00_0000,
                read: true
            }
        );
        assert_eq!(event.name(), "address not granted");
    }
}

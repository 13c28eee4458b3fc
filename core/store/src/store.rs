//! Both areas, the counter they are bound to, and what is found at power-on.

use crate::header::{Draft, Header, Kind, MAX_ENTRY_BYTES, Place, UNIT_BYTES, entry_bytes, word};
use crate::log::Log;
use crate::values::Values;
use crate::{Error, Fault, MAX_LOG_SECTORS, Medium, VALUE_SECTORS};
use seal::{Binding, Keys, TAG_BYTES};
use zeroize::Zeroize;

/// Area of a sector, in its header's items.
pub const VALUES_AREA: u16 = 1;
/// See [`VALUES_AREA`].
pub const LOG_AREA: u16 = 2;
/// Headers looked at before others have their turn.
const HEADERS_A_BREATH: usize = 256;
/// Bytes of an anchor's body.
const ANCHOR_BYTES: usize = 48;

/// What was found at power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// What was left there.
    Whole,
    /// Nothing, and nothing had ever been written: it was formatted.
    New,
    /// Values and records of a time before the counter's, or of after it: not used, formatted.
    RolledBack,
    /// No values, though there had been some: formatted.
    Erased,
    /// The values are whole; of the log, the newest part is missing.
    LogRolledBack,
}

/// What has been counted, over all power-ons where not said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Power-ons since the last format.
    pub mounts: u64,
    /// Records that went because newer ones needed their place.
    pub dropped: u64,
    /// Records and values that were not what was written.
    pub damaged: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Entries they wait in.
    pub entries: u64,
    /// Sectors with records that wait or that are being written.
    pub sectors_used: u32,
    /// Sectors for records.
    pub sectors: u32,
    /// How often the most worn sector was erased.
    pub most_erases: u32,
    /// How often all sectors together were erased.
    pub erases: u32,
    /// Errors the flash reported since power-on.
    pub faults: u32,
}

/// What an anchor says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anchor {
    /// Sectors of older epochs are not of this log.
    pub log_start: u64,
    /// The newest sector's epoch.
    pub log_epoch: u64,
    /// The next entry's number then.
    pub log_next: u64,
    mounts: u64,
    dropped: u64,
    damaged: u64,
}

impl Anchor {
    fn decode(bytes: &[u8]) -> Self {
        Self {
            log_start: word(bytes, 0),
            log_epoch: word(bytes, 8),
            log_next: word(bytes, 16),
            mounts: word(bytes, 24),
            dropped: word(bytes, 32),
            damaged: word(bytes, 40),
        }
    }
}

/// Values and records on a medium.
pub struct Store<M> {
    pub(crate) medium: M,
    pub(crate) keys: Keys,
    pub(crate) values: Values,
    pub(crate) log: Log,
    /// Erasures of each sector, as far as known.
    pub(crate) erases: [u32; VALUE_SECTORS + MAX_LOG_SECTORS],
    pub(crate) counts: Counts,
    pub(crate) scratch: [u8; MAX_ENTRY_BYTES],
}

impl<M: Medium> Store<M> {
    /// Reads the medium. What is not authentic is not used; what was cut short is nothing.
    ///
    /// # Errors
    /// Where the flash or the counter cannot be written, or there are too few sectors or too many.
    pub fn mount(medium: M, keys: Keys) -> Result<(Self, Found), Error> {
        let logs = medium
            .sectors()
            .checked_sub(VALUE_SECTORS)
            .ok_or(Error::Size)?;
        if !(crate::MIN_LOG_SECTORS..=MAX_LOG_SECTORS).contains(&logs)
            || medium.sector_bytes() < 8 * MAX_ENTRY_BYTES
            || !medium.sector_bytes().is_multiple_of(UNIT_BYTES)
        {
            return Err(Error::Size);
        }
        let mut store = Self {
            medium,
            keys,
            values: Values::new(),
            log: Log::new(logs),
            erases: [0; VALUE_SECTORS + MAX_LOG_SECTORS],
            counts: Counts::default(),
            scratch: [0; MAX_ENTRY_BYTES],
        };
        let found = store.find()?;
        Ok((store, found))
    }

    fn find(&mut self) -> Result<Found, Error> {
        let counter = self.medium.counter();
        let newest = self.read_sectors();
        let Some(anchor) = self.load_values() else {
            self.format(newest)?;
            return Ok(if counter == 0 {
                Found::New
            } else {
                Found::Erased
            });
        };
        if self.values.stamp == counter + 1 {
            // Written, and cut before the counter followed.
            self.medium.advance()?;
        } else if self.values.stamp != counter {
            self.format(newest)?;
            return Ok(Found::RolledBack);
        }
        self.log.start = anchor.log_start;
        self.counts.mounts = anchor.mounts;
        self.counts.dropped = anchor.dropped;
        self.counts.damaged += anchor.damaged;
        self.load_log(&anchor);
        let is_behind = self.log.epoch < anchor.log_epoch || self.log.next_number < anchor.log_next;
        self.log.epoch = self.log.epoch.max(anchor.log_epoch);
        self.log.next_number = self.log.next_number.max(anchor.log_next);
        self.counts.mounts = self.counts.mounts.saturating_add(1);
        if is_behind {
            // What was there is not written further.
            self.next_sector()?;
            return Ok(Found::LogRolledBack);
        }
        self.write_anchor()?;
        Ok(Found::Whole)
    }

    /// Begins anew: no value, no record. `newest` are the newest epochs of both areas.
    fn format(&mut self, newest: [u64; 2]) -> Result<(), Error> {
        let [values, log] = newest;
        let sectors = self.log.sectors;
        self.values = Values::new();
        self.log = Log::new(sectors);
        (self.log.start, self.log.epoch) = (log + 1, log);
        self.counts = Counts {
            mounts: 1,
            faults: self.counts.faults,
            ..Counts::default()
        };
        // Not the sector with the newest values: where this is cut short, the same is found again.
        let target = (0..VALUE_SECTORS).find(|sector| {
            self.sector_header(*sector, VALUES_AREA)
                .is_none_or(|header| header.draft.number != values)
        });
        self.open_values(target.unwrap_or(0), values + 1)?;
        self.write_anchor()
    }

    /// Notes the erasures of every sector in use; the newest epochs of both areas.
    fn read_sectors(&mut self) -> [u64; 2] {
        let mut newest = [0; 2];
        for sector in 0..VALUE_SECTORS + self.log.sectors {
            let (area, newest) = if sector < VALUE_SECTORS {
                (VALUES_AREA, &mut newest[0])
            } else {
                (LOG_AREA, &mut newest[1])
            };
            if let Some(header) = self.sector_header(sector, area) {
                self.erases[sector] = header.draft.length;
                *newest = (*newest).max(header.draft.number);
            }
        }
        newest
    }

    /// The header of a sector of that area.
    pub(crate) fn sector_header(&self, sector: usize, area: u16) -> Option<Header> {
        let offset = sector * self.medium.sector_bytes();
        let header = self.header_at(&Place {
            epoch: 0,
            offset,
            chain: [0; TAG_BYTES],
        })?;
        let draft = &header.draft;
        (draft.kind == Kind::Sector && draft.items == area && draft.number < u64::MAX / 2)
            .then_some(header)
    }

    fn header_at(&self, place: &Place) -> Option<Header> {
        let mut bytes = [0; UNIT_BYTES];
        self.medium.read(place.offset, &mut bytes);
        Header::read(&bytes, &self.keys, place)
    }

    /// Erases a sector and writes its header: it is the newest of its area.
    pub(crate) fn open_sector(
        &mut self,
        sector: usize,
        area: u16,
        epoch: u64,
    ) -> Result<Header, Fault> {
        // An erasure whose count was lost with its header counts as the most worn one's.
        let known = self.erases[sector];
        let erases = if known > 0 { known } else { self.most_erases() };
        self.erases[sector] = erases.saturating_add(1);
        self.medium.erase(sector)?;
        let place = Place {
            epoch,
            offset: sector * self.medium.sector_bytes(),
            chain: [0; TAG_BYTES],
        };
        let draft = Draft {
            kind: Kind::Sector,
            items: area,
            length: self.erases[sector],
            number: epoch,
            stamp: match area {
                LOG_AREA => self.log.next_number,
                _ => self.medium.counter(),
            },
        };
        let header = Header::new(&self.keys, &place, draft, self.medium.salt());
        self.medium.program(place.offset, &header.encode())?;
        Ok(header)
    }

    fn most_erases(&self) -> u32 {
        self.erases.iter().copied().max().unwrap_or(0)
    }

    /// The next authentic entry of a sector, at `from` (in the sector) or after it.
    pub(crate) fn next_entry(
        &mut self,
        sector: usize,
        from: usize,
        epoch: u64,
        chain: [u8; TAG_BYTES],
    ) -> Option<(usize, Header)> {
        let bytes = self.medium.sector_bytes();
        let mut at = from;
        let mut looked = 0;
        while at + UNIT_BYTES <= bytes {
            let offset = sector * bytes + at;
            let found = self.header_at(&Place {
                epoch,
                offset,
                chain,
            });
            if let Some(header) = found
                && header.draft.kind != Kind::Sector
                && header
                    .entry_bytes()
                    .is_some_and(|entry| at + entry <= bytes)
            {
                return Some((at, header));
            }
            at += UNIT_BYTES;
            looked += 1;
            if looked % HEADERS_A_BREATH == 0 {
                self.medium.breathe();
            }
        }
        None
    }

    /// The first unit of a sector, at `from` or after it, behind which everything is erased.
    pub(crate) fn end_of_used(&self, sector: usize, from: usize) -> usize {
        let bytes = self.medium.sector_bytes();
        let mut end = from;
        let mut at = from;
        while at + UNIT_BYTES <= bytes {
            let mut unit = [0; UNIT_BYTES];
            self.medium.read(sector * bytes + at, &mut unit);
            at += UNIT_BYTES;
            if unit != [0xff; UNIT_BYTES] {
                end = at;
            }
        }
        end
    }

    /// Seals the first `draft.length` bytes behind the header's room in `scratch`, and writes them: body, then header.
    pub(crate) fn write_entry(&mut self, place: &Place, draft: Draft) -> Result<Header, Error> {
        let length = draft.length as usize;
        if entry_bytes(length).is_none() {
            return Err(Error::Size);
        }
        let header = Header::new(&self.keys, place, draft, self.medium.salt());
        let body = &mut self.scratch[UNIT_BYTES..];
        let sealed = self.keys.seal(
            Binding::Device,
            &header.salt,
            &header.tag,
            &mut body[..length],
        );
        let tag = sealed.map_err(|_| Error::Size)?;
        let whole = (length + TAG_BYTES).next_multiple_of(4);
        body[length..length + TAG_BYTES].copy_from_slice(&tag);
        body[length + TAG_BYTES..whole].fill(0xff);
        let written = self
            .medium
            .program(place.offset + UNIT_BYTES, &body[..whole])
            .and_then(|()| self.medium.program(place.offset, &header.encode()));
        // A header that is there counts, whatever the flash said of it.
        let written = written.or_else(|fault| match self.header_at(place) {
            Some(found) if found == header => Ok(()),
            _ => Err(fault),
        });
        if written.is_err() {
            self.counts.faults = self.counts.faults.saturating_add(1);
        }
        written?;
        Ok(header)
    }

    /// Reads and opens the body of an entry into `scratch`, behind the header's room; its length.
    pub(crate) fn read_entry(&mut self, offset: usize, header: &Header) -> Result<usize, Error> {
        let length = header.draft.length as usize;
        let body = &mut self.scratch[UNIT_BYTES..];
        let (body, rest) = body.split_at_mut_checked(length).ok_or(Error::Damaged)?;
        let tag = rest.first_chunk_mut::<TAG_BYTES>().ok_or(Error::Damaged)?;
        self.medium.read(offset + UNIT_BYTES, body);
        self.medium.read(offset + UNIT_BYTES + length, tag);
        let opened = self
            .keys
            .open(Binding::Device, &header.salt, &header.tag, body, tag);
        opened.map(|()| length).map_err(|_| Error::Damaged)
    }

    /// Writes down where the log is, among the values: from then on an older log is known to be one.
    pub(crate) fn write_anchor(&mut self) -> Result<(), Error> {
        if self.is_long() {
            // That ends with an anchor.
            return self.copy_values();
        }
        self.commit_anchor()
    }

    pub(crate) fn commit_anchor(&mut self) -> Result<(), Error> {
        let numbers = [
            self.log.start,
            self.log.epoch,
            self.log.next_number,
            self.counts.mounts,
            self.counts.dropped,
            self.counts.damaged,
        ];
        let fill = |body: &mut [u8]| {
            for (place, number) in body.chunks_exact_mut(8).zip(numbers) {
                place.copy_from_slice(&number.to_le_bytes());
            }
        };
        self.commit(Kind::Anchor, 0, ANCHOR_BYTES, &fill)?;
        Ok(())
    }

    /// Reads an anchor.
    pub(crate) fn read_anchor(&mut self, offset: usize, header: &Header) -> Option<Anchor> {
        let length = self.read_entry(offset, header).ok()?;
        let body = &self.scratch[UNIT_BYTES..UNIT_BYTES + length];
        (length == ANCHOR_BYTES).then(|| Anchor::decode(body))
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            waiting: self.log.waiting,
            entries: self.log.entries,
            sectors_used: self.log.used_sectors(),
            sectors: self.log.sectors as u32,
            most_erases: self.most_erases(),
            erases: self.erases.iter().fold(0, |sum, n| sum.saturating_add(*n)),
            ..self.counts
        }
    }

    /// The medium, for its own operations.
    pub fn medium(&mut self) -> &mut M {
        &mut self.medium
    }

    /// Gives the medium back; keys and whatever was open are zeroed.
    #[must_use]
    pub fn unmount(mut self) -> M {
        self.scratch.zeroize();
        self.medium
    }
}

//! Records in a ring of sectors: appended at the newest end, read and forgotten at the oldest.

use crate::header::{Draft, Kind, MARK_OFFSET, Place, UNIT_BYTES, entry_bytes};
use crate::store::{Anchor, LOG_AREA, Store};
use crate::{Error, MAX_LOG_SECTORS, Medium, VALUE_SECTORS};
use seal::TAG_BYTES;

/// An entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number; later ones have higher numbers.
    pub number: u64,
    /// Records in it, as it was said when it was appended.
    pub items: u16,
}

/// Between two entries, or where the first one will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Position {
    /// Of the sector; 0 = before all.
    epoch: u64,
    /// Bytes from the sector's beginning.
    at: usize,
}

/// The log as it is.
pub struct Log {
    /// How many sectors it has.
    pub sectors: usize,
    /// Sectors of older epochs do not belong to it.
    pub start: u64,
    /// The newest sector's epoch.
    pub epoch: u64,
    /// The next entry's number.
    pub next_number: u64,
    /// Records that wait.
    pub waiting: u64,
    /// Entries that wait.
    pub entries: u64,
    /// Epoch of each sector; 0 = none.
    epochs: [u64; MAX_LOG_SECTORS],
    /// The sector that is written.
    current: Option<usize>,
    /// Where the next entry goes in it.
    position: usize,
    /// After what was forgotten last.
    oldest: Position,
    /// After the entry that was read last, and its number.
    read: (u64, Position),
    /// Up to here damaged entries were counted.
    counted: u64,
}

impl Log {
    pub const fn new(sectors: usize) -> Self {
        let none = Position { epoch: 0, at: 0 };
        Self {
            sectors,
            start: 1,
            epoch: 0,
            next_number: 1,
            waiting: 0,
            entries: 0,
            epochs: [0; MAX_LOG_SECTORS],
            current: None,
            position: 0,
            oldest: none,
            read: (0, none),
            counted: 0,
        }
    }

    /// The sector of that epoch.
    fn sector_of(&self, epoch: u64) -> Option<usize> {
        let epochs = &self.epochs[..self.sectors];
        epochs.iter().position(|found| *found == epoch && epoch > 0)
    }

    /// The epoch that follows.
    fn epoch_after(&self, epoch: u64) -> Option<u64> {
        let epochs = self.epochs[..self.sectors].iter().copied();
        epochs.filter(|found| *found > epoch).min()
    }

    /// Sectors that cannot be erased without losing what waits.
    pub fn used_sectors(&self) -> u32 {
        let epochs = &self.epochs[..self.sectors];
        let used = |epoch: &&u64| **epoch >= self.oldest.epoch.max(1);
        match self.entries {
            0 => self.current.is_some().into(),
            _ => epochs.iter().filter(used).count() as u32,
        }
    }
}

impl<M: Medium> Store<M> {
    /// Finds the log's sectors and what waits in them.
    pub(crate) fn load_log(&mut self, anchor: &Anchor) {
        self.log.epoch = self.log.start.saturating_sub(1);
        for index in 0..self.log.sectors {
            let header = self.sector_header(VALUE_SECTORS + index, LOG_AREA);
            let epoch = header.map_or(0, |header| header.draft.number);
            self.log.epochs[index] = if epoch >= anchor.log_start { epoch } else { 0 };
            if let Some(header) = header.filter(|_| epoch >= anchor.log_start) {
                let first = header.draft.stamp;
                self.log.next_number = self.log.next_number.max(first);
            }
        }
        // The ring goes around: what is older than that was erased long ago, and has been put back by somebody.
        let newest = self.log.epochs.iter().copied().max().unwrap_or(0);
        let oldest = newest.saturating_sub(self.log.sectors as u64);
        for epoch in self.log.epochs.iter_mut().filter(|epoch| **epoch <= oldest) {
            *epoch = 0;
        }
        let mut from = Position::default();
        let mut last = None;
        while let Some((number, items, is_marked, after)) = self.next_records(from) {
            from = after;
            if is_marked {
                (self.log.waiting, self.log.entries) = (0, 0);
                self.log.oldest = after;
            } else {
                self.log.waiting += u64::from(items);
                self.log.entries += 1;
                let missing = last.map_or(0, |last: u64| number.saturating_sub(last + 1));
                self.counts.damaged = self.counts.damaged.saturating_add(missing);
            }
            last = Some(number);
        }
        if let Some(last) = last {
            self.log.next_number = self.log.next_number.max(last.saturating_add(1));
        }
        if let Some(index) = self.log.sector_of(newest) {
            self.log.epoch = newest;
            self.log.current = Some(index);
            let end = if from.epoch == newest {
                from.at
            } else {
                UNIT_BYTES
            };
            self.log.position = self.end_of_used(VALUE_SECTORS + index, end);
        }
    }

    /// The next entry behind a position: number, records, whether it is forgotten, the position behind it.
    fn next_records(&mut self, from: Position) -> Option<(u64, u16, bool, Position)> {
        let (header, position, at) = self.next_header(from)?;
        let draft = &header.draft;
        let after = Position {
            epoch: position.epoch,
            at: at + header.entry_bytes()?,
        };
        Some((draft.number, draft.items, header.is_marked, after))
    }

    fn next_header(&mut self, from: Position) -> Option<(crate::header::Header, Position, usize)> {
        let mut from = from;
        if self.log.sector_of(from.epoch).is_none() {
            let epoch = self.log.epoch_after(from.epoch)?;
            from = Position {
                epoch,
                at: UNIT_BYTES,
            };
        }
        loop {
            let index = self.log.sector_of(from.epoch)?;
            let is_written = self.log.current == Some(index);
            let is_end = is_written && from.at >= self.log.position;
            if !is_end {
                let sector = VALUE_SECTORS + index;
                let mut at = from.at;
                while let Some((found, header)) =
                    self.next_entry(sector, at, from.epoch, [0; TAG_BYTES])
                {
                    if header.draft.kind == Kind::Records {
                        return Some((header, from, found));
                    }
                    at = found + UNIT_BYTES;
                }
            }
            let epoch = self.log.epoch_after(from.epoch)?;
            from = Position {
                epoch,
                at: UNIT_BYTES,
            };
        }
    }

    /// Keeps an entry of `items` records; its number. `fill` writes its `length` bytes (it may be asked twice). Where there
    /// is no room, the oldest sector goes, and its records are counted as dropped.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Flash`].
    pub fn append(
        &mut self,
        items: u16,
        length: usize,
        fill: impl Fn(&mut [u8]),
    ) -> Result<u64, Error> {
        let size = entry_bytes(length).ok_or(Error::Size)?;
        if items == 0 || length == 0 {
            return Err(Error::Size);
        }
        let mut result = Err(Error::Flash);
        for _ in 0..2 {
            let room = self.medium.sector_bytes() - self.log.position;
            if self.log.current.is_none() || room < size {
                self.next_sector()?;
            }
            fill(&mut self.scratch[UNIT_BYTES..UNIT_BYTES + length]);
            result = self.put_records(items, length, size);
            if result != Err(Error::Flash) {
                break;
            }
        }
        result
    }

    fn put_records(&mut self, items: u16, length: usize, size: usize) -> Result<u64, Error> {
        let index = self.log.current.ok_or(Error::Flash)?;
        let at = self.log.position;
        let place = Place {
            epoch: self.log.epoch,
            offset: (VALUE_SECTORS + index) * self.medium.sector_bytes() + at,
            chain: [0; TAG_BYTES],
        };
        let number = self.log.next_number;
        let draft = Draft {
            kind: Kind::Records,
            items,
            length: length as u32,
            number,
            stamp: self.medium.counter(),
        };
        // Wherever it ends, nothing else is written there.
        self.log.position = at + size;
        self.write_entry(&place, draft)?;
        self.log.next_number += 1;
        self.log.waiting += u64::from(items);
        self.log.entries += 1;
        Ok(number)
    }

    /// Takes the next sector of the ring, whatever is in it.
    pub(crate) fn next_sector(&mut self) -> Result<(), Error> {
        let sectors = self.log.sectors;
        let index = self
            .log
            .current
            .map_or(0, |current| (current + 1) % sectors);
        self.drop_records_of(self.log.epochs[index]);
        self.log.epochs[index] = 0;
        self.log.current = Some(index);
        // Until it is open there is no room in it.
        self.log.position = self.medium.sector_bytes();
        let epoch = self.log.epoch + 1;
        if let Err(fault) = self.open_sector(VALUE_SECTORS + index, LOG_AREA, epoch) {
            self.counts.faults = self.counts.faults.saturating_add(1);
            return Err(fault.into());
        }
        self.log.epochs[index] = epoch;
        self.log.epoch = epoch;
        self.log.position = UNIT_BYTES;
        self.write_anchor()
    }

    /// Counts what waits in the sector of that epoch as dropped.
    fn drop_records_of(&mut self, epoch: u64) {
        if epoch == 0 || epoch < self.log.oldest.epoch {
            return;
        }
        let mut from = self.log.oldest;
        while let Some((_, items, _, after)) = self.next_records(from) {
            if after.epoch > epoch {
                break;
            }
            from = after;
            self.log.waiting = self.log.waiting.saturating_sub(items.into());
            self.log.entries = self.log.entries.saturating_sub(1);
            self.counts.dropped = self.counts.dropped.saturating_add(items.into());
        }
        self.log.oldest = Position {
            epoch,
            at: self.medium.sector_bytes(),
        };
    }

    /// Gives the oldest entry with a number above `after` to `take`; what that returns. Entries that are not what was
    /// written are passed over and counted.
    pub fn read<T>(&mut self, after: u64, take: impl FnOnce(Entry, &[u8]) -> T) -> Option<T> {
        let mut from = match self.log.read {
            (number, position) if number == after && number > 0 => position,
            _ => self.log.oldest,
        };
        from = from.max_by_age(self.log.oldest);
        loop {
            let (header, position, at) = self.next_header(from)?;
            let draft = header.draft;
            let index = self.log.sector_of(position.epoch)?;
            from = Position {
                epoch: position.epoch,
                at: at + header.entry_bytes()?,
            };
            if draft.number <= after {
                continue;
            }
            let offset = (VALUE_SECTORS + index) * self.medium.sector_bytes() + at;
            let Ok(length) = self.read_entry(offset, &header) else {
                if draft.number > self.log.counted {
                    self.log.counted = draft.number;
                    let lost = u64::from(draft.items);
                    self.counts.damaged = self.counts.damaged.saturating_add(lost);
                }
                continue;
            };
            self.log.read = (draft.number, from);
            let entry = Entry {
                number: draft.number,
                items: draft.items,
            };
            return Some(take(entry, &self.scratch[UNIT_BYTES..UNIT_BYTES + length]));
        }
    }

    /// Forgets the entries up to `number`, that one included.
    ///
    /// # Errors
    /// [`Error::Flash`]: they are forgotten until power-off only.
    pub fn forget(&mut self, number: u64) -> Result<(), Error> {
        let mut last = None;
        while let Some((header, position, at)) = self.next_header(self.log.oldest) {
            let (Some(bytes), Some(index)) =
                (header.entry_bytes(), self.log.sector_of(position.epoch))
            else {
                break;
            };
            if header.draft.number > number {
                break;
            }
            self.log.oldest = Position {
                epoch: position.epoch,
                at: at + bytes,
            };
            let items = u64::from(header.draft.items);
            self.log.waiting = self.log.waiting.saturating_sub(items);
            self.log.entries = self.log.entries.saturating_sub(1);
            last = Some((VALUE_SECTORS + index) * self.medium.sector_bytes() + at);
        }
        let Some(offset) = last else { return Ok(()) };
        // One mark stands for all before it.
        let marked = self.medium.program(offset + MARK_OFFSET, &[0; 4]);
        if marked.is_err() {
            self.counts.faults = self.counts.faults.saturating_add(1);
        }
        Ok(marked?)
    }
}

impl Position {
    /// The later of two.
    fn max_by_age(self, other: Self) -> Self {
        if (self.epoch, self.at) < (other.epoch, other.at) {
            other
        } else {
            self
        }
    }
}

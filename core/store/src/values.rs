//! Values under names: a chain of entries in one of two sectors, copied to the other where it gets long.
//!
//! Each entry's tag covers the tag of the one before, and each carries the counter's next value, which is then
//! burned: the last entry tells whether it is the last one that was ever written.

use crate::header::{Draft, Kind, Place, UNIT_BYTES, entry_bytes};
use crate::store::{Anchor, Store, VALUES_AREA};
use crate::{Error, Medium, VALUE_SECTORS};
use seal::{Binding, SALT_BYTES, TAG_BYTES};
use zeroize::Zeroize;

/// Most bytes of a name.
pub const MAX_KEY_BYTES: usize = 24;
/// Most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 256;
/// Most names.
pub const MAX_KEYS: usize = 32;
/// Where this much of the sector is used, the values are copied to the other at the next writing.
const COPY_AFTER_BYTES: usize = 64 << 10;
/// Binding, length of the name.
const VALUE_HEAD_BYTES: usize = 2;
/// What sealing to the software adds.
const INNER_BYTES: usize = SALT_BYTES + TAG_BYTES;
const MAX_INNER_BYTES: usize = MAX_VALUE_BYTES + INNER_BYTES;

/// A name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    bytes: [u8; MAX_KEY_BYTES],
    length: usize,
}

impl Name {
    fn new(name: &[u8]) -> Option<Self> {
        if name.is_empty() {
            return None;
        }
        let mut bytes = [0; MAX_KEY_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self {
            bytes,
            length: name.len(),
        })
    }
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Where a value is.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// `None` where the value is damaged: nobody knows what it was.
    name: Option<Name>,
    offset: usize,
    chain: [u8; TAG_BYTES],
}

/// The values' sector as it is.
#[derive(Clone)]
pub struct Values {
    sector: usize,
    epoch: u64,
    /// Where the next entry goes, in the sector.
    position: usize,
    chain: [u8; TAG_BYTES],
    next_number: u64,
    /// The newest entry's.
    pub stamp: u64,
    slots: [Option<Slot>; MAX_KEYS],
}

impl Values {
    pub const fn new() -> Self {
        Self {
            sector: 0,
            epoch: 0,
            position: 0,
            chain: [0; TAG_BYTES],
            next_number: 1,
            stamp: 0,
            slots: [None; MAX_KEYS],
        }
    }

    fn find(&self, name: &Name) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.is_some_and(|slot| slot.name == Some(*name)))
    }
}

impl<M: Medium> Store<M> {
    /// Finds the newest sector of values that is complete, and reads it; its last anchor.
    pub(crate) fn load_values(&mut self) -> Option<Anchor> {
        let mut epochs: [Option<u64>; VALUE_SECTORS] = [None; VALUE_SECTORS];
        for (sector, epoch) in epochs.iter_mut().enumerate() {
            let header = self.sector_header(sector, VALUES_AREA);
            *epoch = header.map(|header| header.draft.number);
        }
        let first = usize::from(epochs[1] > epochs[0]);
        for sector in [first, 1 - first] {
            if epochs[sector].is_some()
                && let Some(anchor) = self.load_values_of(sector)
            {
                return Some(anchor);
            }
        }
        None
    }

    fn load_values_of(&mut self, sector: usize) -> Option<Anchor> {
        let start = self.sector_header(sector, VALUES_AREA)?;
        let base = sector * self.medium.sector_bytes();
        let mut values = Values {
            sector,
            epoch: start.draft.number,
            position: UNIT_BYTES,
            chain: start.tag,
            stamp: start.draft.stamp,
            ..Values::new()
        };
        let mut anchor = None;
        let mut damaged = 0;
        while let Some((at, header)) =
            self.next_entry(sector, values.position, values.epoch, values.chain)
        {
            let draft = &header.draft;
            let slot = values.slots.get_mut(usize::from(draft.items));
            match (draft.kind, slot) {
                (Kind::Value, Some(slot)) => {
                    let name = self.read_name(base + at, &header);
                    damaged += u64::from(name.is_none());
                    *slot = Some(Slot {
                        name,
                        offset: base + at,
                        chain: values.chain,
                    });
                }
                (Kind::Gone, Some(slot)) => *slot = None,
                (Kind::Anchor, _) => anchor = self.read_anchor(base + at, &header).or(anchor),
                _ => {}
            }
            values.position = at + header.entry_bytes().unwrap_or(UNIT_BYTES);
            values.chain = header.tag;
            values.stamp = draft.stamp;
            values.next_number = draft.number.saturating_add(1);
            self.medium.breathe();
        }
        values.position = self.end_of_used(sector, values.position);
        anchor.inspect(|_| {
            self.values = values;
            self.counts.damaged += damaged;
        })
    }

    /// The name in a value's entry; whatever else was open is zeroed.
    fn read_name(&mut self, offset: usize, header: &crate::header::Header) -> Option<Name> {
        let length = self.read_entry(offset, header).ok()?;
        let body = &mut self.scratch[UNIT_BYTES..UNIT_BYTES + length];
        let name = split(body).and_then(|(_, name, _)| Name::new(name));
        body.zeroize();
        name
    }

    /// Begins a sector of values.
    pub(crate) fn open_values(&mut self, sector: usize, epoch: u64) -> Result<(), Error> {
        let header = self.open_sector(sector, VALUES_AREA, epoch)?;
        self.values.sector = sector;
        self.values.epoch = epoch;
        self.values.position = UNIT_BYTES;
        self.values.chain = header.tag;
        self.values.stamp = header.draft.stamp;
        Ok(())
    }

    /// Writes an entry among the values, then burns the counter. `fill` writes its body.
    fn append_value(
        &mut self,
        kind: Kind,
        items: u16,
        length: usize,
        fill: impl Fn(&mut [u8]),
    ) -> Result<Written, Error> {
        if self.is_long() {
            self.copy_values()?;
        }
        self.commit(kind, items, length, &fill)
    }

    /// Whether the values are to be copied before more is written.
    pub(crate) fn is_long(&self) -> bool {
        let limit = COPY_AFTER_BYTES.min(self.medium.sector_bytes() / 4 * 3);
        self.values.position > limit
    }

    /// Writes an entry where the last one ended, then burns the counter.
    pub(crate) fn commit(
        &mut self,
        kind: Kind,
        items: u16,
        length: usize,
        fill: &impl Fn(&mut [u8]),
    ) -> Result<Written, Error> {
        let stamp = self.medium.counter() + 1;
        let written = match self.put_entry(kind, items, length, stamp, fill) {
            // One place that is worn out is no reason to give up.
            Err(Error::Flash) => self.put_entry(kind, items, length, stamp, fill),
            other => other,
        }?;
        self.medium.advance()?;
        Ok(written)
    }

    fn put_entry(
        &mut self,
        kind: Kind,
        items: u16,
        length: usize,
        stamp: u64,
        fill: &impl Fn(&mut [u8]),
    ) -> Result<Written, Error> {
        let size = entry_bytes(length).ok_or(Error::Size)?;
        let values = &mut self.values;
        let at = values.position;
        if at + size > self.medium.sector_bytes() {
            return Err(Error::Full);
        }
        let place = Place {
            epoch: values.epoch,
            offset: values.sector * self.medium.sector_bytes() + at,
            chain: values.chain,
        };
        let draft = Draft {
            kind,
            items,
            length: length as u32,
            number: values.next_number,
            stamp,
        };
        // Wherever it ends, nothing else is written there.
        values.position += size;
        fill(&mut self.scratch[UNIT_BYTES..UNIT_BYTES + length]);
        let header = self.write_entry(&place, draft)?;
        self.values.chain = header.tag;
        self.values.stamp = stamp;
        self.values.next_number += 1;
        Ok(Written {
            offset: place.offset,
            chain: place.chain,
        })
    }

    /// Copies the values that are there to the other sector. They count only once the anchor behind them is written;
    /// where that fails, the old sector goes on.
    pub(crate) fn copy_values(&mut self) -> Result<(), Error> {
        let old = self.values.clone();
        let copied = self.copy_all(&old);
        self.scratch.zeroize();
        if copied.is_err() {
            self.values = old;
        }
        copied
    }

    fn copy_all(&mut self, old: &Values) -> Result<(), Error> {
        self.open_values(1 - old.sector.min(1), old.epoch + 1)?;
        let stamp = self.medium.counter();
        for (index, slot) in old.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            self.values.slots[index] = None;
            let place = Place {
                epoch: old.epoch,
                offset: slot.offset,
                chain: slot.chain,
            };
            let Ok(length) = self.open_at(&place) else {
                continue;
            };
            let written = self.put_entry(Kind::Value, index as u16, length, stamp, &|_| {})?;
            self.values.slots[index] = Some(Slot {
                name: slot.name,
                offset: written.offset,
                chain: written.chain,
            });
        }
        self.commit_anchor()
    }

    /// Opens the value at a place into `scratch`; its length.
    fn open_at(&mut self, place: &Place) -> Result<usize, Error> {
        let sector = place.offset / self.medium.sector_bytes();
        let at = place.offset % self.medium.sector_bytes();
        match self.next_entry(sector, at, place.epoch, place.chain) {
            Some((found, header)) if found == at => self.read_entry(place.offset, &header),
            _ => Err(Error::Damaged),
        }
    }

    /// Keeps `value` under `name`; what was there is replaced. Done when this returns, and never half.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Full`], [`Error::Flash`].
    pub fn put(&mut self, name: &[u8], binding: Binding, value: &[u8]) -> Result<(), Error> {
        let name = Name::new(name).ok_or(Error::Size)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(Error::Size);
        }
        let free = || self.values.slots.iter().position(Option::is_none);
        let index = self.values.find(&name).or_else(free).ok_or(Error::Full)?;
        let mut inner = [0; MAX_INNER_BYTES];
        let inner_bytes = self.seal_inner(&name, binding, value, &mut inner)?;
        let length = VALUE_HEAD_BYTES + name.length + inner_bytes;
        let fill = |body: &mut [u8]| {
            body[..VALUE_HEAD_BYTES].copy_from_slice(&[binding as u8, name.length as u8]);
            let (head, tail) = body[VALUE_HEAD_BYTES..].split_at_mut(name.length);
            head.copy_from_slice(name.as_bytes());
            tail.copy_from_slice(&inner[..inner_bytes]);
        };
        let written = self.append_value(Kind::Value, index as u16, length, fill);
        inner.zeroize();
        self.scratch.zeroize();
        let written = written?;
        self.values.slots[index] = Some(Slot {
            name: Some(name),
            offset: written.offset,
            chain: written.chain,
        });
        Ok(())
    }

    /// What is kept of a value: itself, or, bound to the software, sealed once more.
    fn seal_inner(
        &mut self,
        name: &Name,
        binding: Binding,
        value: &[u8],
        inner: &mut [u8; MAX_INNER_BYTES],
    ) -> Result<usize, Error> {
        if binding == Binding::Device {
            inner[..value.len()].copy_from_slice(value);
            return Ok(value.len());
        }
        let salt = self.medium.salt();
        let (head, rest) = inner.split_at_mut(SALT_BYTES);
        let (body, tag) = rest.split_at_mut(value.len());
        head.copy_from_slice(&salt);
        body.copy_from_slice(value);
        let sealed = self.keys.seal(binding, &salt, name.as_bytes(), body);
        tag[..TAG_BYTES].copy_from_slice(&sealed.map_err(|_| Error::Size)?);
        Ok(INNER_BYTES + value.len())
    }

    /// Reads the value under `name` into `out`; its length.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Damaged`], [`Error::OtherSoftware`], [`Error::Size`] where `out` is too small.
    pub fn get(&mut self, name: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let name = Name::new(name).ok_or(Error::Size)?;
        let index = self.values.find(&name).ok_or(Error::Absent)?;
        let slot = self.values.slots[index].ok_or(Error::Absent)?;
        let place = Place {
            epoch: self.values.epoch,
            offset: slot.offset,
            chain: slot.chain,
        };
        let read = self.open_at(&place).and_then(|length| {
            let body = &mut self.scratch[UNIT_BYTES..UNIT_BYTES + length];
            let (binding, found, inner) = split(body).ok_or(Error::Damaged)?;
            if found != name.as_bytes() {
                return Err(Error::Damaged);
            }
            let value = match binding {
                Binding::Device => inner,
                Binding::Software => {
                    let (salt, rest) = inner
                        .split_first_chunk_mut::<SALT_BYTES>()
                        .ok_or(Error::Damaged)?;
                    let (value, tag) = rest
                        .split_last_chunk_mut::<TAG_BYTES>()
                        .ok_or(Error::Damaged)?;
                    self.keys
                        .open(binding, salt, name.as_bytes(), value, tag)
                        .map_err(|_| Error::OtherSoftware)?;
                    value
                }
            };
            let out = out.get_mut(..value.len()).ok_or(Error::Size)?;
            out.copy_from_slice(value);
            Ok(value.len())
        });
        self.scratch.zeroize();
        read
    }

    /// Forgets the value under `name`. Its bytes stay, sealed, until their sector is erased.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Flash`].
    pub fn delete(&mut self, name: &[u8]) -> Result<(), Error> {
        let name = Name::new(name).ok_or(Error::Size)?;
        let index = self.values.find(&name).ok_or(Error::Absent)?;
        self.append_value(Kind::Gone, index as u16, 0, |_| {})?;
        self.values.slots[index] = None;
        Ok(())
    }
}

/// Where an entry was written, and after what.
pub struct Written {
    offset: usize,
    chain: [u8; TAG_BYTES],
}

/// Binding, name and inner bytes of a value's body.
fn split(body: &mut [u8]) -> Option<(Binding, &[u8], &mut [u8])> {
    let (head, rest) = body.split_first_chunk_mut::<VALUE_HEAD_BYTES>()?;
    let binding = Binding::of(head[0])?;
    let (name, inner) = rest.split_at_mut_checked(usize::from(head[1]))?;
    Some((binding, name, inner))
}

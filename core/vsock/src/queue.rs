//! A split virtqueue, from the device's side (virtio 1.2, section 2.7).

use crate::memory::{Cell, GuestMemory, Range, Region};
use core::sync::atomic::{Ordering, fence};

/// Most entries of a queue.
pub const QUEUE_MAX: u16 = 128;
/// Most descriptors of a chain. Linux uses 2, newer ones up to 18.
pub const MAX_CHAIN: usize = 32;

/// Bytes of a descriptor: address u64, length u32, flags u16, next u16.
const DESCRIPTOR_BYTES: usize = 16;
/// Descriptor flag: another follows.
const NEXT: u16 = 1;
/// Descriptor flag: the device writes it.
const WRITE: u16 = 2;
/// Flag of the available ring: no interrupt is wanted.
const NO_INTERRUPT: u16 = 1;
/// Flag of the used ring: no notification is wanted.
const NO_NOTIFY: u16 = 1;
/// Bytes before the entries of either ring: flags u16, index u16.
const RING_HEAD_BYTES: usize = 4;

/// What is wrong with a queue. The device stops until it is reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingError {
    /// A size that is 0, no power of two, or over [`QUEUE_MAX`].
    Size,
    /// An address outside the guest's memory or not aligned, or an empty buffer.
    Address,
    /// More available entries than the queue has.
    Index,
    /// A descriptor's number that is not in the table.
    Descriptor,
    /// A chain longer than [`MAX_CHAIN`] or than the table: it may be a loop.
    Chain,
    /// A flag that was not offered (indirect) or does not exist.
    Flags,
    /// A buffer to read behind one to write, or none of the kind that is needed.
    Direction,
}

/// A queue that is ready: its parts lie in the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    size: u16,
    descriptors: Range,
    available: Range,
    used: Range,
    available_index: Cell,
    used_index: Cell,
    available_flags: Cell,
    used_flags: Cell,
    /// Entries taken from the available ring so far; each is completed before the next is taken.
    taken: u16,
    /// Entries put to the used ring so far.
    completed: u16,
    /// Whether the driver was asked not to notify.
    is_quiet: bool,
}

/// The buffers of one request, copied out of the table and checked.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    head: u16,
    buffers: [Range; MAX_CHAIN],
    /// The first ones are read by the device,
    readable: usize,
    /// the others up to here written.
    count: usize,
}

/// One entry of the descriptor table, copied.
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

impl Queue {
    /// A queue of `size` entries whose parts are at these addresses.
    ///
    /// # Errors
    /// [`RingError::Size`] or [`RingError::Address`].
    pub fn new(
        region: Region,
        size: u16,
        descriptors: u64,
        available: u64,
        used: u64,
    ) -> Result<Self, RingError> {
        if !size.is_power_of_two() || size > QUEUE_MAX {
            return Err(RingError::Size);
        }
        let entries = usize::from(size);
        // Alignments: section 2.7. Behind the entries each ring has a field for an event index.
        let part = |address: u64, alignment: u64, bytes: usize| {
            let range = region
                .range(address, bytes)
                .filter(|_| address.is_multiple_of(alignment));
            range.ok_or(RingError::Address)
        };
        let descriptors = part(descriptors, 16, DESCRIPTOR_BYTES * entries)?;
        let available = part(available, 2, RING_HEAD_BYTES + 2 * entries + 2)?;
        let used = part(used, 4, RING_HEAD_BYTES + 8 * entries + 2)?;
        let cell = |range: Range, at: usize| range.cell(at).ok_or(RingError::Address);
        Ok(Self {
            size,
            descriptors,
            available,
            used,
            available_flags: cell(available, 0)?,
            available_index: cell(available, 2)?,
            used_flags: cell(used, 0)?,
            used_index: cell(used, 2)?,
            taken: 0,
            completed: 0,
            is_quiet: false,
        })
    }

    /// Goes on where a device before this one stopped: it completed every entry it took, in order.
    pub fn resume(&mut self, memory: &impl GuestMemory) {
        self.completed = memory.load(self.used_index);
        self.taken = self.completed;
    }

    /// Takes the next available request.
    ///
    /// # Errors
    /// Where the guest broke the ring.
    pub fn take(&mut self, memory: &impl GuestMemory) -> Result<Option<Chain>, RingError> {
        let waiting = memory.load(self.available_index).wrapping_sub(self.taken);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.size {
            return Err(RingError::Index);
        }
        let entry = RING_HEAD_BYTES + 2 * usize::from(self.taken % self.size);
        let cell = self.available.cell(entry).ok_or(RingError::Address)?;
        let head = memory.load(cell);
        let chain = self.chain(memory, head)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(chain))
    }

    /// Copies and checks the chain that begins at descriptor `head`.
    fn chain(&self, memory: &impl GuestMemory, head: u16) -> Result<Chain, RingError> {
        let mut chain = Chain {
            head,
            buffers: [Range::default(); MAX_CHAIN],
            readable: 0,
            count: 0,
        };
        let mut index = head;
        loop {
            let descriptor = self.descriptor(memory, index)?;
            if descriptor.flags & !(NEXT | WRITE) != 0 {
                return Err(RingError::Flags);
            }
            let range = usize::try_from(descriptor.length)
                .ok()
                .and_then(|bytes| memory.region().range(descriptor.address, bytes))
                .ok_or(RingError::Address)?;
            let place = chain.buffers.get_mut(chain.count);
            *place.ok_or(RingError::Chain)? = range;
            if descriptor.flags & WRITE == 0 {
                if chain.readable != chain.count {
                    return Err(RingError::Direction);
                }
                chain.readable += 1;
            }
            chain.count += 1;
            if descriptor.flags & NEXT == 0 {
                return Ok(chain);
            }
            if chain.count >= usize::from(self.size) {
                return Err(RingError::Chain);
            }
            index = descriptor.next;
        }
    }

    fn descriptor(&self, memory: &impl GuestMemory, index: u16) -> Result<Descriptor, RingError> {
        if index >= self.size {
            return Err(RingError::Descriptor);
        }
        let at = DESCRIPTOR_BYTES * usize::from(index);
        let place = self.descriptors.part(at, DESCRIPTOR_BYTES);
        let mut bytes = [0; DESCRIPTOR_BYTES];
        memory.read(place.ok_or(RingError::Descriptor)?, &mut bytes);
        let [
            a0,
            a1,
            a2,
            a3,
            a4,
            a5,
            a6,
            a7,
            l0,
            l1,
            l2,
            l3,
            f0,
            f1,
            n0,
            n1,
        ] = bytes;
        Ok(Descriptor {
            address: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            flags: u16::from_le_bytes([f0, f1]),
            next: u16::from_le_bytes([n0, n1]),
        })
    }

    /// Gives a request back; `written` bytes of it were written.
    pub fn complete(&mut self, memory: &mut impl GuestMemory, chain: &Chain, written: usize) {
        let mut entry = [0; 8];
        entry[..2].copy_from_slice(&chain.head.to_le_bytes());
        entry[4..].copy_from_slice(&u32::try_from(written).unwrap_or(u32::MAX).to_le_bytes());
        let at = RING_HEAD_BYTES + 8 * usize::from(self.completed % self.size);
        if let Some(place) = self.used.part(at, 8) {
            memory.write(place, &entry);
        }
        self.completed = self.completed.wrapping_add(1);
        memory.store(self.used_index, self.completed);
    }

    /// Whether the driver wants to hear of completed requests now.
    #[must_use]
    pub fn wants_interrupt(&self, memory: &impl GuestMemory) -> bool {
        // The driver says that it wants them, then looks at the index once more (section 2.7.8).
        fence(Ordering::SeqCst);
        memory.load(self.available_flags) & NO_INTERRUPT == 0
    }

    /// Says whether the device wants to be notified; after yes, look at the ring once more.
    pub fn want_notifications(&mut self, memory: &mut impl GuestMemory, wanted: bool) {
        if self.is_quiet == wanted {
            self.is_quiet = !wanted;
            memory.store(self.used_flags, if wanted { 0 } else { NO_NOTIFY });
            fence(Ordering::SeqCst);
        }
    }
}

impl Chain {
    /// Bytes the device may read.
    #[must_use]
    pub fn readable_bytes(&self) -> usize {
        sum(&self.buffers[..self.readable])
    }

    /// Bytes the device may write.
    #[must_use]
    pub fn writable_bytes(&self) -> usize {
        sum(&self.buffers[self.readable..self.count])
    }

    /// Copies from the readable bytes, from the `at`-th on; how many.
    pub fn read(&self, memory: &impl GuestMemory, at: usize, out: &mut [u8]) -> usize {
        let mut done = 0;
        each_part(
            &self.buffers[..self.readable],
            at,
            out.len(),
            |part, from, bytes| {
                memory.read(part, &mut out[from..from + bytes]);
                done += bytes;
            },
        );
        done
    }

    /// Copies to the writable bytes, from the `at`-th on; how many.
    pub fn write(&self, memory: &mut impl GuestMemory, at: usize, bytes: &[u8]) -> usize {
        let mut done = 0;
        let buffers = &self.buffers[self.readable..self.count];
        each_part(buffers, at, bytes.len(), |part, from, count| {
            memory.write(part, &bytes[from..from + count]);
            done += count;
        });
        done
    }
}

/// Bytes of these buffers; saturates.
fn sum(buffers: &[Range]) -> usize {
    buffers
        .iter()
        .fold(0, |sum, buffer| usize::saturating_add(sum, buffer.bytes()))
}

/// Gives the parts of `buffers` that hold the bytes from `at` on, `length` at most, to `each`: the part,
/// where it begins among the bytes wanted, and its length.
fn each_part(
    buffers: &[Range],
    at: usize,
    length: usize,
    mut each: impl FnMut(Range, usize, usize),
) {
    let (mut skip, mut done) = (at, 0);
    for buffer in buffers {
        if skip >= buffer.bytes() {
            skip -= buffer.bytes();
            continue;
        }
        let bytes = (buffer.bytes() - skip).min(length - done);
        if bytes == 0 {
            return;
        }
        if let Some(part) = buffer.part(skip, bytes) {
            each(part, done, bytes);
        }
        done += bytes;
        skip = 0;
    }
}

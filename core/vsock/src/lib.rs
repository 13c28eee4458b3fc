//! A virtio-vsock device behind rings that are treated as hostile.
//!
//! The device of virtio 1.2: register file of virtio-mmio (section 4.2, version 2), split rings
//! (section 2.7), stream sockets (section 5.10). The registers are a page that the guest reads without
//! asking anyone, so [`Device::page`] gives what every read shows *now*; writes come one by one to
//! [`Device::write`]. The rings lie in the guest's memory, and the guest's other cores may change them
//! at any moment: everything is copied out once and checked in the copy; an address becomes a
//! [`Range`] only by a check. What a guest does wrong is counted, and costs it the connection
//! or the device, nobody else anything.
#![no_std]
#![forbid(unsafe_code)]

mod device;
mod memory;
#[cfg(test)]
mod model;
mod packet;
mod queue;
mod registers;
mod socket;
#[cfg(test)]
mod tests;

pub use device::{Device, SNAPSHOT_WORDS};
pub use memory::{Cell, GuestMemory, Range, Region};
pub use packet::{HEADER_BYTES, Header, MAX_PAYLOAD_BYTES, Operation};
pub use queue::{Chain, MAX_CHAIN, QUEUE_MAX, Queue, RingError};
pub use registers::{Effect, PAGE_WORDS, Registers, offset, status};
pub use socket::{BUFFER_BYTES, Refused, Socket, Stream};

/// How many queues the device has: receive, transmit, event (virtio 1.2, section 5.10.2).
pub const QUEUES: usize = 3;
/// The queue of packets to the guest.
pub const RECEIVE: usize = 0;
/// The queue of packets from the guest.
pub const TRANSMIT: usize = 1;
/// The queue of events to the guest.
pub const EVENT: usize = 2;

/// What the guest did wrong, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Register writes that a driver must not make; ignored.
    pub registers: u64,
    /// Broken rings and descriptors; each stops the device until the guest resets it.
    pub rings: u64,
    /// Packets that are no packet of a stream socket of this guest; dropped.
    pub packets: u64,
    /// Breaches of flow control or of what is said in the stream; each ends the connection.
    pub stream: u64,
}

impl Counters {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.registers
            .saturating_add(self.rings)
            .saturating_add(self.packets)
            .saturating_add(self.stream)
    }
}

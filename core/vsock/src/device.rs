//! The device: registers, rings and socket together.

use crate::memory::GuestMemory;
use crate::packet::{HEADER_BYTES, Header};
use crate::queue::{Chain, Queue, RingError};
use crate::registers::{Effect, INTERRUPT_QUEUE, PAGE_WORDS, Registers, offset, status};
use crate::socket::{Socket, Stream, Verdict};
use crate::{Counters, EVENT, QUEUES, RECEIVE, TRANSMIT};

/// Most payload of a packet to the guest: Linux gives buffers of 4 KiB.
const PAYLOAD_BYTES: usize = 4096;
/// Most packets in each direction in one round, so that a round ends.
const PACKETS_A_ROUND: usize = 128;
/// The event that says all connections are gone (virtio 1.2, section 5.10.6.7): u32 0.
const TRANSPORT_RESET: [u8; 4] = [0; 4];

/// Words of a [`Device::snapshot`].
pub const SNAPSHOT_WORDS: usize = 3 + WORDS_A_QUEUE * QUEUES;
const WORDS_A_QUEUE: usize = 8;

/// The device.
#[derive(Debug)]
pub struct Device {
    registers: Registers,
    queues: [Option<Queue>; QUEUES],
    socket: Socket,
    /// What the guest did wrong since this device was made.
    pub counters: Counters,
    interrupt: bool,
    /// Interrupts that were not acknowledged at the last reminder.
    reminded: u32,
    owes_event: bool,
}

impl Device {
    /// A device after power-on, for the guest of address `guest_cid`, that listens on `port`.
    #[must_use]
    pub const fn new(guest_cid: u64, port: u32) -> Self {
        Self {
            registers: Registers::new(guest_cid),
            queues: [None; QUEUES],
            socket: Socket::new(guest_cid, port),
            counters: Counters {
                registers: 0,
                rings: 0,
                packets: 0,
                stream: 0,
            },
            interrupt: false,
            reminded: 0,
            owes_event: false,
        }
    }

    /// What a read of each word of the register page shows now.
    #[must_use]
    pub fn page(&self) -> [u32; PAGE_WORDS] {
        core::array::from_fn(|word| self.registers.read(word as u32 * 4))
    }

    /// True while a connection is up.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.socket.is_connected()
    }

    /// True where the driver is complete and nothing is broken.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.registers.is_live()
    }

    /// Carries out the guest's write of a register. The page must be shown before the guest goes on.
    pub fn write(
        &mut self,
        offset: u32,
        value: u32,
        memory: &impl GuestMemory,
        stream: &mut impl Stream,
    ) {
        match self.registers.write(offset, value, &mut self.counters) {
            Effect::Nothing | Effect::Look => {}
            Effect::Reset => {
                self.queues = [None; QUEUES];
                self.interrupt = false;
                self.reminded = 0;
                self.owes_event = false;
                self.socket.forget(stream);
            }
            Effect::Describe(index) => self.describe(index, memory),
            Effect::Stop(index) => self.queues[index] = None,
        }
    }

    /// The driver says a queue is ready: it is, where its parts lie in the guest's memory.
    fn describe(&mut self, index: usize, memory: &impl GuestMemory) {
        let said = self.registers.queue(index);
        let queue = u16::try_from(said.size)
            .map_err(|_| RingError::Size)
            .and_then(|size| {
                Queue::new(
                    memory.region(),
                    size,
                    said.descriptors,
                    said.available,
                    said.used,
                )
            });
        match queue {
            Ok(queue) => {
                self.queues[index] = Some(queue);
                self.registers.queue_ready(index);
            }
            Err(_) => self.break_down(),
        }
    }

    /// A ring is broken: nothing more is done until the driver resets the device.
    fn break_down(&mut self) {
        self.counters.rings = self.counters.rings.saturating_add(1);
        self.interrupt |= self.registers.fail();
    }

    /// Ten times a second or so: a driver that has not acknowledged an interrupt since the last time is
    /// interrupted again.
    pub fn remind(&mut self) {
        let waiting = self.registers.interrupts();
        self.interrupt |= waiting & self.reminded != 0;
        self.reminded = waiting;
    }

    /// True, once, where the guest is to be interrupted. The page must be shown before.
    #[must_use]
    pub fn take_interrupt(&mut self) -> bool {
        core::mem::take(&mut self.interrupt)
    }

    /// Once a second or so: where the guest has no room left, it is asked.
    pub fn tick(&mut self, stream: &impl Stream) {
        self.socket.ask_for_room(stream);
    }

    /// Takes what the guest has put on the rings and gives it what there is. True where more may be waiting.
    pub fn serve(&mut self, memory: &mut impl GuestMemory, stream: &mut impl Stream) -> bool {
        if !self.registers.is_live() {
            // Not yet, or no longer: nothing can reach the guest.
            self.socket.forget(stream);
            return false;
        }
        let mut has_more = false;
        let mut results = [Ok(()); QUEUES];
        if self.owes_event {
            results[EVENT] = self.send_event(memory);
        }
        // Packets of the guest need room for answers, which needs packets to the guest: in turns.
        for _ in 0..2 {
            let transmitted = self.transmit(memory, stream);
            let received = self.receive(memory, stream);
            has_more = matches!(transmitted, Ok(true)) || matches!(received, Ok(true));
            results[TRANSMIT] = transmitted.map(|_| ());
            results[RECEIVE] = received.map(|_| ());
            if results.iter().any(Result::is_err) {
                self.break_down();
                self.socket.forget(stream);
                return false;
            }
        }
        has_more
    }

    /// Takes packets from the guest. True where some were left.
    fn transmit(
        &mut self,
        memory: &mut impl GuestMemory,
        stream: &mut impl Stream,
    ) -> Result<bool, RingError> {
        let Some(mut queue) = self.queues[TRANSMIT] else {
            return Ok(false);
        };
        let mut count = 0;
        while count < PACKETS_A_ROUND && self.socket.has_room() {
            let Some(chain) = queue.take(memory)? else {
                break;
            };
            self.packet(&chain, memory, stream);
            queue.complete(memory, &chain, 0);
            count += 1;
        }
        if count > 0 {
            self.completed(TRANSMIT, queue, memory);
        }
        Ok(count == PACKETS_A_ROUND || !self.socket.has_room())
    }

    /// One packet of the guest.
    fn packet(&mut self, chain: &Chain, memory: &impl GuestMemory, stream: &mut impl Stream) {
        let mut head = [0; HEADER_BYTES];
        let whole = chain.read(memory, 0, &mut head) == HEADER_BYTES;
        let header = Header::decode(&head);
        let payload = chain.readable_bytes().saturating_sub(HEADER_BYTES);
        if !whole || payload < header.length as usize {
            self.counters.packets = self.counters.packets.saturating_add(1);
            return;
        }
        let verdict = self.socket.handle(&header, &mut self.counters, stream);
        if verdict == Verdict::Payload {
            self.payload(chain, header.length as usize, memory, stream);
        }
    }

    /// Gives the payload of a packet to the stream.
    fn payload(
        &mut self,
        chain: &Chain,
        length: usize,
        memory: &impl GuestMemory,
        stream: &mut impl Stream,
    ) {
        let mut piece = [0; 256];
        let mut done = 0;
        while done < length {
            let wanted = piece.len().min(length - done);
            let count = chain.read(memory, HEADER_BYTES + done, &mut piece[..wanted]);
            if count == 0 || stream.received(&piece[..count]).is_err() {
                self.counters.stream = self.counters.stream.saturating_add(1);
                return self.socket.end(stream);
            }
            done += count;
        }
        self.socket.taken(length);
    }

    /// Gives packets to the guest. True where some are left though it has buffers.
    fn receive(
        &mut self,
        memory: &mut impl GuestMemory,
        stream: &mut impl Stream,
    ) -> Result<bool, RingError> {
        let Some(mut queue) = self.queues[RECEIVE] else {
            return Ok(false);
        };
        let mut payload = [0; PAYLOAD_BYTES];
        let mut count = 0;
        while count < PACKETS_A_ROUND && self.socket.is_waiting(stream) {
            let Some(chain) = self.buffer(&mut queue, memory)? else {
                break;
            };
            let room = chain.writable_bytes().min(HEADER_BYTES + PAYLOAD_BYTES);
            let room = room.checked_sub(HEADER_BYTES).ok_or(RingError::Direction)?;
            let mut written = 0;
            match self.socket.next(&mut payload[..room], stream) {
                Some(header) => {
                    written = chain.write(memory, 0, &header.encode());
                    let length = header.length as usize;
                    written += chain.write(memory, HEADER_BYTES, &payload[..length]);
                }
                None if room == 0 => return Err(RingError::Direction),
                None => {}
            }
            queue.complete(memory, &chain, written);
            count += 1;
        }
        self.queues[RECEIVE] = Some(queue);
        if count > 0 {
            self.completed(RECEIVE, queue, memory);
        }
        Ok(count == PACKETS_A_ROUND)
    }

    /// The guest's next empty buffer. Only while it has none, it is asked to say when it has: every
    /// notification is an exit.
    fn buffer(
        &self,
        queue: &mut Queue,
        memory: &mut impl GuestMemory,
    ) -> Result<Option<Chain>, RingError> {
        let mut chain = queue.take(memory)?;
        if chain.is_none() {
            queue.want_notifications(memory, true);
            chain = queue.take(memory)?;
        }
        if chain.is_some() {
            queue.want_notifications(memory, false);
        }
        Ok(chain)
    }

    /// Tells the guest that all its connections are gone: this device knows of none.
    fn send_event(&mut self, memory: &mut impl GuestMemory) -> Result<(), RingError> {
        let Some(mut queue) = self.queues[EVENT] else {
            return Ok(());
        };
        let Some(chain) = queue.take(memory)? else {
            return Ok(());
        };
        let written = chain.write(memory, 0, &TRANSPORT_RESET);
        queue.complete(memory, &chain, written);
        self.owes_event = false;
        self.completed(EVENT, queue, memory);
        Ok(())
    }

    /// Requests of a queue were completed: the queue as it is now, and the guest's interrupt.
    fn completed(&mut self, index: usize, queue: Queue, memory: &impl GuestMemory) {
        self.queues[index] = Some(queue);
        if queue.wants_interrupt(memory) {
            self.interrupt |= self.registers.interrupt(INTERRUPT_QUEUE);
        }
    }

    /// What the driver has told the device, to be kept where a restart of this task does not reach.
    #[must_use]
    pub fn snapshot(&self) -> [u32; SNAPSHOT_WORDS] {
        let mut words = [0; SNAPSHOT_WORDS];
        let features = self.registers.driver_features();
        words[..3].copy_from_slice(&[
            self.registers.status(),
            features as u32,
            (features >> 32) as u32,
        ]);
        for (index, part) in words[3..].chunks_exact_mut(WORDS_A_QUEUE).enumerate() {
            let queue = self.registers.queue(index);
            let [d, a, u] = [queue.descriptors, queue.available, queue.used];
            part.copy_from_slice(&[
                queue.ready.into(),
                queue.size,
                d as u32,
                (d >> 32) as u32,
                a as u32,
                (a >> 32) as u32,
                u as u32,
                (u >> 32) as u32,
            ]);
        }
        words
    }

    /// Becomes what a device before this one was, as far as its driver told it, and tells the guest that
    /// its connections are gone. False, and a device after power-on, where that one was not in use.
    ///
    /// The words are replayed as the register writes they came from, with the same checks: who could
    /// have changed them gains nothing that writes to the registers would not give.
    pub fn restore(
        &mut self,
        words: &[u32; SNAPSHOT_WORDS],
        memory: &impl GuestMemory,
        stream: &mut impl Stream,
    ) -> bool {
        let [said, features @ ..] = [words[0], words[1], words[2]];
        let mut write = |offset, value| self.write(offset, value, memory, stream);
        write(offset::STATUS, 0);
        if said & status::DRIVER_OK == 0 || said & (status::FAILED | status::NEEDS_RESET) != 0 {
            return false;
        }
        let mut so_far = status::ACKNOWLEDGE | status::DRIVER;
        write(offset::STATUS, so_far);
        for (half, value) in (0..).zip(features) {
            write(offset::DRIVER_FEATURES_SELECT, half);
            write(offset::DRIVER_FEATURES, value);
        }
        so_far |= status::FEATURES_OK;
        write(offset::STATUS, so_far);
        for (index, part) in (0..).zip(words[3..].chunks_exact(WORDS_A_QUEUE)) {
            write(offset::QUEUE_SELECT, index);
            let offsets = [
                offset::QUEUE_SIZE,
                offset::QUEUE_DESCRIPTORS_LOW,
                offset::QUEUE_DESCRIPTORS_HIGH,
                offset::QUEUE_AVAILABLE_LOW,
                offset::QUEUE_AVAILABLE_HIGH,
                offset::QUEUE_USED_LOW,
                offset::QUEUE_USED_HIGH,
            ];
            for (offset, value) in offsets.into_iter().zip(&part[1..]) {
                write(offset, *value);
            }
            if part[0] != 0 {
                write(offset::QUEUE_READY, 1);
            }
        }
        write(offset::STATUS, so_far | status::DRIVER_OK);
        if !self.registers.is_live() {
            self.write(offset::STATUS, 0, memory, stream);
            return false;
        }
        for queue in self.queues.iter_mut().flatten() {
            queue.resume(memory);
        }
        self.owes_event = true;
        // Whatever the device before this one completed, or was told of, without saying so.
        self.interrupt |= self.registers.interrupt(INTERRUPT_QUEUE);
        true
    }
}

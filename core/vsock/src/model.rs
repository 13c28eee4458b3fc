//! The other side for tests: memory that is a vector, and Linux 6.1's driver as it behaves.
//!
//! After `drivers/virtio/virtio_mmio.c`, `virtio_ring.c` (split), `net/vmw_vsock/virtio_transport.c`
//! and `virtio_transport_common.c`: same order of register accesses, same rings, same credit.

extern crate std;
use crate::memory::{Cell, GuestMemory, Range, Region};
use crate::packet::{HEADER_BYTES, Header, Operation};
use crate::registers::{offset, status};
use crate::{Device, QUEUES, Refused, Stream};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

pub const BASE: u64 = 0x5000_0000;
pub const RAM_BYTES: usize = 1 << 20;
pub const GUEST_CID: u64 = 3;
pub const PORT: u32 = 5000;
/// `VIRTIO_VSOCK_DEFAULT_RX_BUF_SIZE`.
const BUFFER: usize = 4096;
/// `VIRTIO_VSOCK_DEFAULT_BUFFER_SIZE`.
pub const SOCKET_BUFFER: u32 = 256 << 10;

/// A repeatable source of numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The guest's memory. With `fickle` set, every byte that is read is another one the next time.
pub struct Ram {
    pub bytes: RefCell<Vec<u8>>,
    pub fickle: bool,
}

impl Ram {
    pub fn new() -> Self {
        Self {
            bytes: RefCell::new(vec![0; RAM_BYTES]),
            fickle: false,
        }
    }
    fn at(address: u64) -> usize {
        (address - BASE) as usize
    }
    pub fn get(&self, address: u64, count: usize) -> Vec<u8> {
        let at = Self::at(address);
        self.bytes.borrow()[at..at + count].to_vec()
    }
    pub fn put(&self, address: u64, bytes: &[u8]) {
        let at = Self::at(address);
        self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }
    pub fn get_u16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.get(address, 2).try_into().expect("2"))
    }
    pub fn get_u32(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.get(address, 4).try_into().expect("4"))
    }
}

impl GuestMemory for Ram {
    fn region(&self) -> Region {
        Region::new(BASE, RAM_BYTES).expect("good")
    }
    fn read(&self, range: Range, out: &mut [u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let count = range.bytes().min(out.len());
        let place = &mut bytes[range.offset()..range.offset() + count];
        out[..count].copy_from_slice(place);
        if self.fickle {
            place.iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    fn write(&mut self, range: Range, bytes: &[u8]) {
        let count = range.bytes().min(bytes.len());
        self.bytes.borrow_mut()[range.offset()..range.offset() + count]
            .copy_from_slice(&bytes[..count]);
    }
    fn load(&self, cell: Cell) -> u16 {
        assert!(cell.offset().is_multiple_of(2));
        self.get_u16(BASE + cell.offset() as u64)
    }
    fn store(&mut self, cell: Cell, value: u16) {
        self.put(BASE + cell.offset() as u64, &value.to_le_bytes());
    }
}

/// A split ring from the driver's side.
pub struct Ring {
    pub size: u16,
    pub descriptors: u64,
    pub available: u64,
    pub used: u64,
    free: Vec<u16>,
    last_used: u16,
    next_available: u16,
}

impl Ring {
    fn new(size: u16, at: u64) -> Self {
        Self {
            size,
            descriptors: at,
            available: at + 0x1000,
            used: at + 0x2000,
            free: (0..size).rev().collect(),
            last_used: 0,
            next_available: 0,
        }
    }

    /// `virtqueue_add_sgs`: readable buffers first. The head, or nothing where there is no room.
    fn add(&mut self, ram: &Ram, readable: &[(u64, u32)], writable: &[(u64, u32)]) -> Option<u16> {
        let count = readable.len() + writable.len();
        if self.free.len() < count {
            return None;
        }
        let indexes: Vec<u16> = (0..count).filter_map(|_| self.free.pop()).collect();
        let buffers = readable
            .iter()
            .map(|b| (b, 0))
            .chain(writable.iter().map(|b| (b, 2_u16)));
        for (n, ((address, length), mut flags)) in buffers.enumerate() {
            let next = indexes.get(n + 1).copied();
            flags |= u16::from(next.is_some());
            let mut entry = [0; 16];
            entry[..8].copy_from_slice(&address.to_le_bytes());
            entry[8..12].copy_from_slice(&length.to_le_bytes());
            entry[12..14].copy_from_slice(&flags.to_le_bytes());
            entry[14..].copy_from_slice(&next.unwrap_or(0xdead).to_le_bytes());
            ram.put(self.descriptors + 16 * u64::from(indexes[n]), &entry);
        }
        self.offer(ram, indexes[0]);
        Some(indexes[0])
    }

    /// Puts a head on the available ring.
    pub fn offer(&mut self, ram: &Ram, head: u16) {
        let entry = self.available + 4 + 2 * u64::from(self.next_available % self.size);
        ram.put(entry, &head.to_le_bytes());
        self.next_available = self.next_available.wrapping_add(1);
        ram.put(self.available + 2, &self.next_available.to_le_bytes());
    }

    /// `virtqueue_get_buf`: head and length of the next used request.
    fn get(&mut self, ram: &Ram) -> Option<(u16, usize)> {
        let used = ram.get_u16(self.used + 2);
        if used == self.last_used {
            return None;
        }
        let entry = self.used + 4 + 8 * u64::from(self.last_used % self.size);
        let head = ram.get_u32(entry);
        assert!(head < u32::from(self.size), "the device made up a head");
        let length = ram.get_u32(entry + 4) as usize;
        self.last_used = self.last_used.wrapping_add(1);
        let mut index = head as u16;
        loop {
            let descriptor = self.descriptors + 16 * u64::from(index);
            assert!(!self.free.contains(&index), "completed twice");
            self.free.push(index);
            if ram.get_u16(descriptor + 12) & 1 == 0 {
                return Some((head as u16, length));
            }
            index = ram.get_u16(descriptor + 14);
        }
    }

    fn wants_kick(&self, ram: &Ram) -> bool {
        ram.get_u16(self.used) & 1 == 0
    }
}

/// The driver and one socket over it.
pub struct Linux {
    pub ram: Ram,
    pub rings: Vec<Ring>,
    /// Address of each receive buffer, by head: header, payload.
    buffers: Vec<(u64, u64)>,
    spare: Vec<(u64, u64)>,
    /// Address of each transmit slot, by head.
    in_transmit: Vec<Option<u64>>,
    slots: Vec<u64>,
    queue: VecDeque<(Header, Vec<u8>)>,
    pub port: u32,
    pub connected: bool,
    /// `ECONNRESET` and the like.
    pub error: bool,
    sent: u32,
    their_forwarded: u32,
    their_buffer: u32,
    /// Bytes the program has not read yet.
    pub inbox: VecDeque<u8>,
    forwarded: u32,
    last_forwarded: u32,
    pub exits: u64,
    pub updates: u64,
}

impl Linux {
    pub fn new() -> Self {
        Self {
            ram: Ram::new(),
            rings: Vec::new(),
            buffers: vec![(0, 0); 128],
            spare: Vec::new(),
            in_transmit: vec![None; 128],
            slots: Vec::new(),
            queue: VecDeque::new(),
            port: 1024,
            connected: false,
            error: false,
            sent: 0,
            their_forwarded: 0,
            their_buffer: 0,
            inbox: VecDeque::new(),
            forwarded: 0,
            last_forwarded: 0,
            exits: 0,
            updates: 0,
        }
    }

    fn write(&mut self, device: &mut Device, stream: &mut impl Stream, offset: u32, value: u32) {
        self.exits += 1;
        device.write(offset, value, &self.ram, stream);
    }

    /// `virtio_mmio_probe`, `virtio_dev_probe`, `virtio_vsock_probe`.
    pub fn probe(&mut self, device: &mut Device, stream: &mut impl Stream) {
        let read = |device: &Device, offset: u32| device.page()[offset as usize / 4];
        assert_eq!(read(device, offset::MAGIC), 0x7472_6976);
        assert_eq!(read(device, offset::VERSION), 2);
        assert_eq!(read(device, offset::DEVICE), 19);
        let mut so_far = 0;
        self.write(device, stream, offset::STATUS, 0);
        for bit in [status::ACKNOWLEDGE, status::DRIVER] {
            so_far |= bit;
            self.write(device, stream, offset::STATUS, so_far);
        }
        let mut offered = [0; 2];
        for half in [1, 0] {
            self.write(device, stream, offset::DEVICE_FEATURES_SELECT, half);
            offered[half as usize] = read(device, offset::DEVICE_FEATURES);
        }
        assert_eq!(offered[1] & 1, 1, "VERSION_1");
        // The driver knows SEQPACKET (bit 1) and the transport's bits only.
        let chosen = [offered[0] & 0b10, offered[1] & 1];
        for half in [1, 0] {
            self.write(device, stream, offset::DRIVER_FEATURES_SELECT, half);
            self.write(
                device,
                stream,
                offset::DRIVER_FEATURES,
                chosen[half as usize],
            );
        }
        so_far |= status::FEATURES_OK;
        self.write(device, stream, offset::STATUS, so_far);
        assert_eq!(read(device, offset::STATUS), so_far);
        self.rings.clear();
        self.ram.bytes.borrow_mut()[..0x10000].fill(0);
        for index in 0..QUEUES as u32 {
            self.write(device, stream, offset::QUEUE_SELECT, index);
            assert_eq!(read(device, offset::QUEUE_READY), 0);
            let size = read(device, offset::QUEUE_SIZE_MAX);
            assert!(size > 0);
            let ring = Ring::new(size as u16, BASE + 0x4000 * u64::from(index));
            self.write(device, stream, offset::QUEUE_SIZE, size);
            for (low, address) in [
                (offset::QUEUE_DESCRIPTORS_LOW, ring.descriptors),
                (offset::QUEUE_AVAILABLE_LOW, ring.available),
                (offset::QUEUE_USED_LOW, ring.used),
            ] {
                self.write(device, stream, low, address as u32);
                self.write(device, stream, low + 4, (address >> 32) as u32);
            }
            self.write(device, stream, offset::QUEUE_READY, 1);
            self.rings.push(ring);
        }
        assert_eq!(u64::from(read(device, offset::CONFIGURATION)), GUEST_CID);
        self.write(device, stream, offset::STATUS, so_far | status::DRIVER_OK);
        let place = |n: u64| BASE + 0x10000 + n * 0x1100;
        self.spare = (0..64).map(|n| (place(n), place(n) + 0x40)).collect();
        self.slots = (64..128).map(place).collect();
        self.in_transmit = vec![None; 128];
        self.queue.clear();
        self.fill(device, stream);
        let event = BASE + 0xf_f000;
        for n in 0..8 {
            self.rings[2].add(&self.ram, &[], &[(event + n * 4, 4)]);
        }
        self.kick(device, stream, 2);
    }

    fn kick(&mut self, device: &mut Device, stream: &mut impl Stream, index: usize) {
        if self.rings[index].wants_kick(&self.ram) {
            self.write(device, stream, offset::QUEUE_NOTIFY, index as u32);
        }
    }

    /// `virtio_vsock_rx_fill`.
    fn fill(&mut self, device: &mut Device, stream: &mut impl Stream) {
        while let Some((header, payload)) = self.spare.pop() {
            let parts = [(header, HEADER_BYTES as u32), (payload, BUFFER as u32)];
            let Some(head) = self.rings[0].add(&self.ram, &[], &parts) else {
                self.spare.push((header, payload));
                break;
            };
            self.buffers[usize::from(head)] = (header, payload);
        }
        self.kick(device, stream, 0);
    }

    fn header(&self, operation: Operation, length: usize, flags: u32) -> Header {
        Header {
            source_cid: GUEST_CID,
            destination_cid: 2,
            source_port: self.port,
            destination_port: PORT,
            length: length as u32,
            kind: 1,
            operation: operation as u16,
            flags,
            buffer_bytes: SOCKET_BUFFER,
            forwarded_bytes: self.forwarded,
        }
    }

    pub fn queue_packet(&mut self, operation: Operation, payload: &[u8], flags: u32) {
        let header = self.header(operation, payload.len(), flags);
        self.last_forwarded = self.forwarded;
        self.queue.push_back((header, payload.to_vec()));
    }

    pub fn queue_raw(&mut self, header: Header, payload: &[u8]) {
        self.queue.push_back((header, payload.to_vec()));
    }

    pub fn connect(&mut self) {
        (self.connected, self.error) = (false, false);
        (self.sent, self.their_forwarded, self.their_buffer) = (0, 0, 0);
        (self.forwarded, self.last_forwarded) = (0, 0);
        self.inbox.clear();
        self.queue_packet(Operation::Request, &[], 0);
    }

    /// A program's `send`: as much as there is credit for.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let free = self
            .their_buffer
            .saturating_sub(self.sent.wrapping_sub(self.their_forwarded));
        let count = bytes.len().min(free as usize).min(0x1000);
        if !self.connected || count == 0 {
            return 0;
        }
        self.sent = self.sent.wrapping_add(count as u32);
        self.queue_packet(Operation::Data, &bytes[..count], 0);
        count
    }

    /// A program's `recv`.
    pub fn recv(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.inbox.len());
        let bytes = self.inbox.drain(..count).collect();
        self.forwarded = self.forwarded.wrapping_add(count as u32);
        let free = SOCKET_BUFFER - self.forwarded.wrapping_sub(self.last_forwarded);
        if self.connected && free < 64 << 10 {
            self.updates += 1;
            self.queue_packet(Operation::CreditUpdate, &[], 0);
        }
        bytes
    }

    /// `virtio_transport_send_pkt_work`.
    pub fn transmit(&mut self, device: &mut Device, stream: &mut impl Stream) {
        let mut added = false;
        while let (Some((header, payload)), Some(slot)) = (self.queue.front(), self.slots.last()) {
            self.ram.put(*slot, &header.encode());
            self.ram.put(*slot + 0x40, payload);
            let mut parts = vec![(*slot, HEADER_BYTES as u32)];
            if !payload.is_empty() {
                parts.push((*slot + 0x40, payload.len() as u32));
            }
            let Some(head) = self.rings[1].add(&self.ram, &parts, &[]) else {
                break;
            };
            self.in_transmit[usize::from(head)] = self.slots.pop();
            self.queue.pop_front();
            added = true;
        }
        if added {
            self.kick(device, stream, 1);
        }
    }

    /// The interrupt handler and the work it queues.
    pub fn interrupt(&mut self, device: &mut Device, stream: &mut impl Stream) {
        let status = device.page()[offset::INTERRUPT_STATUS as usize / 4];
        self.write(device, stream, offset::INTERRUPT_ACKNOWLEDGE, status);
        if status & 1 == 0 || self.rings.is_empty() {
            return;
        }
        while let Some((head, _)) = self.rings[1].get(&self.ram) {
            let slot = self.in_transmit[usize::from(head)].take();
            self.slots.push(slot.expect("was in transmission"));
        }
        while let Some((_, length)) = self.rings[2].get(&self.ram) {
            assert_eq!(length, 4);
            // VIRTIO_VSOCK_EVENT_TRANSPORT_RESET: every connected socket gets ECONNRESET.
            if self.connected {
                (self.connected, self.error) = (false, true);
            }
        }
        while let Some((head, length)) = self.rings[0].get(&self.ram) {
            let (at, payload) = self.buffers[usize::from(head)];
            self.spare.push((at, payload));
            if length >= HEADER_BYTES {
                let header = self.ram.get(at, HEADER_BYTES);
                let header = Header::decode(&header.try_into().expect("44"));
                let bytes = self.ram.get(payload, length - HEADER_BYTES);
                self.packet(&header, &bytes);
            }
        }
        if self.spare.len() > 32 {
            self.fill(device, stream);
        }
    }

    /// `virtio_transport_recv_pkt`.
    fn packet(&mut self, header: &Header, payload: &[u8]) {
        assert_eq!(header.length as usize, payload.len());
        assert_eq!(header.destination_cid, GUEST_CID);
        let source = (header.source_cid, header.source_port);
        if header.destination_port != self.port || source != (2, PORT) {
            return;
        }
        self.their_buffer = header.buffer_bytes;
        self.their_forwarded = header.forwarded_bytes;
        match Operation::of(header.operation).expect("known") {
            Operation::Response => self.connected = true,
            Operation::Reset => (self.connected, self.error) = (false, true),
            Operation::Data => {
                assert!(self.connected, "data before the response");
                self.inbox.extend(payload);
                let held = self.inbox.len() as u32;
                assert!(held <= SOCKET_BUFFER, "more than there is room for");
            }
            Operation::CreditRequest => self.queue_packet(Operation::CreditUpdate, &[], 0),
            Operation::CreditUpdate => {}
            other => panic!("the device sent {other:?}"),
        }
    }

    /// Both sides until nothing moves.
    pub fn settle(&mut self, device: &mut Device, stream: &mut impl Stream) {
        for _ in 0..10_000 {
            self.transmit(device, stream);
            let more = device.serve(&mut self.ram, stream);
            let interrupt = device.take_interrupt();
            if interrupt {
                self.interrupt(device, stream);
            }
            if !more && !interrupt && (self.queue.is_empty() || self.rings.is_empty()) {
                return;
            }
        }
        panic!("it never settles");
    }
}

/// A stream that sends counted bytes, as many as it is told to, and keeps what comes.
#[derive(Default)]
pub struct Counting {
    pub connections: usize,
    pub up: bool,
    pub to_send: usize,
    pub sent: usize,
    pub received: Vec<u8>,
    pub refuses: bool,
    pub largest: usize,
}

/// Byte number `n` of every stream in these tests.
pub fn byte(n: usize) -> u8 {
    (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]
}

impl Stream for Counting {
    fn connected(&mut self) {
        assert!(!self.up);
        self.connections += 1;
        self.up = true;
        self.sent = 0;
        self.received.clear();
    }
    fn disconnected(&mut self) {
        assert!(self.up, "told twice");
        self.up = false;
    }
    fn received(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        assert!(self.up);
        self.received.extend_from_slice(bytes);
        if self.refuses { Err(Refused) } else { Ok(()) }
    }
    fn is_waiting(&self) -> bool {
        self.sent < self.to_send
    }
    fn send(&mut self, out: &mut [u8]) -> usize {
        assert!(self.up);
        let limit = if self.largest == 0 {
            usize::MAX
        } else {
            self.largest
        };
        let count = out.len().min(self.to_send - self.sent).min(limit);
        for place in &mut out[..count] {
            *place = byte(self.sent);
            self.sent += 1;
        }
        count
    }
}

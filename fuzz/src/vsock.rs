//! The vsock device as a guest reaches it: register writes and bytes in its memory, in any order.
//!
//! An input is a list of steps: a first byte says which, bytes after it with what.

use std::cell::RefCell;
use vsock::{Cell, Device, GuestMemory, Header, Range, Refused, Region, Stream};

const BASE: u64 = 0x5000_0000;
const BYTES: usize = 0x1_0000;
const PORT: u32 = 5000;
const CID: u64 = 3;

const WRITE_REGISTER: u8 = 0;
const WRITE_MEMORY: u8 = 1;
const SERVE: u8 = 2;
const RESTART: u8 = 3;

struct Memory(RefCell<Vec<u8>>);

impl GuestMemory for Memory {
    fn region(&self) -> Region {
        Region::new(BASE, BYTES).expect("a page's address")
    }
    fn read(&self, range: Range, out: &mut [u8]) {
        let count = range.bytes().min(out.len());
        out[..count].copy_from_slice(&self.0.borrow()[range.offset()..range.offset() + count]);
    }
    fn write(&mut self, range: Range, bytes: &[u8]) {
        let count = range.bytes().min(bytes.len());
        self.0.borrow_mut()[range.offset()..range.offset() + count]
            .copy_from_slice(&bytes[..count]);
    }
    fn load(&self, cell: Cell) -> u16 {
        let bytes = self.0.borrow();
        u16::from_le_bytes([bytes[cell.offset()], bytes[cell.offset() + 1]])
    }
    fn store(&mut self, cell: Cell, value: u16) {
        self.0.borrow_mut()[cell.offset()..cell.offset() + 2].copy_from_slice(&value.to_le_bytes());
    }
}

/// Says something for ever, takes anything but zeros, and is told of every connection once.
#[derive(Default)]
struct Talker(bool);

impl Stream for Talker {
    fn connected(&mut self) {
        assert!(!self.0);
        self.0 = true;
    }
    fn disconnected(&mut self) {
        assert!(self.0);
        self.0 = false;
    }
    fn received(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        assert!(self.0);
        if bytes[0] == 0 { Err(Refused) } else { Ok(()) }
    }
    fn is_waiting(&self) -> bool {
        self.0
    }
    fn send(&mut self, out: &mut [u8]) -> usize {
        out.fill(7);
        out.len()
    }
}

/// Carries out the steps.
pub fn run(data: &[u8]) {
    let _ = play(data);
}

/// Carries out the steps; the device and the memory after them.
fn play(data: &[u8]) -> (Device, Memory) {
    let mut memory = Memory(RefCell::new(vec![0; BYTES]));
    let (mut device, mut talker) = (Device::new(CID, PORT), Talker::default());
    let mut left = data;
    while let Some((&step, rest)) = left.split_first() {
        left = rest;
        match step % 4 {
            WRITE_REGISTER => {
                let Some(([a, b, v0, v1, v2, v3], rest)) = left.split_first_chunk() else {
                    break;
                };
                left = rest;
                let value = u32::from_le_bytes([*v0, *v1, *v2, *v3]);
                let offset = u16::from_le_bytes([*a, *b]).into();
                device.write(offset, value, &memory, &mut talker);
            }
            WRITE_MEMORY => {
                let Some(([a, b, count], rest)) = left.split_first_chunk() else {
                    break;
                };
                let at = usize::from(u16::from_le_bytes([*a, *b]));
                let count = usize::from(*count).min(rest.len()).min(BYTES - at);
                memory.0.borrow_mut()[at..at + count].copy_from_slice(&rest[..count]);
                left = &rest[count..];
            }
            SERVE => {
                let _ = device.serve(&mut memory, &mut talker);
                device.tick(&talker);
                device.remind();
                let _ = device.take_interrupt();
            }
            _ => {
                let kept = device.snapshot();
                (device, talker) = (Device::new(CID, PORT), Talker::default());
                device.restore(&kept, &memory, &mut talker);
            }
        }
        let _ = device.page();
        assert_eq!(talker.0, device.is_connected());
    }
    (device, memory)
}

/// A driver that connects and sends, and is served.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    use vsock::{offset, status};
    let mut steps = Vec::new();
    let mut register = |offset: u32, value: u32| {
        steps.push(WRITE_REGISTER);
        steps.extend((offset as u16).to_le_bytes());
        steps.extend(value.to_le_bytes());
    };
    let mut so_far = status::ACKNOWLEDGE | status::DRIVER;
    register(offset::STATUS, so_far);
    register(offset::DRIVER_FEATURES_SELECT, 1);
    register(offset::DRIVER_FEATURES, 1);
    so_far |= status::FEATURES_OK;
    register(offset::STATUS, so_far);
    for queue in 0..3 {
        let at = BASE as u32 + 0x1000 * queue;
        register(offset::QUEUE_SELECT, queue);
        register(offset::QUEUE_SIZE, 8);
        register(offset::QUEUE_DESCRIPTORS_LOW, at);
        register(offset::QUEUE_AVAILABLE_LOW, at + 0x200);
        register(offset::QUEUE_USED_LOW, at + 0x400);
        register(offset::QUEUE_READY, 1);
    }
    register(offset::STATUS, so_far | status::DRIVER_OK);
    let mut put = |at: u64, bytes: &[u8]| {
        steps.push(WRITE_MEMORY);
        steps.extend(((at - BASE) as u16).to_le_bytes());
        steps.push(bytes.len() as u8);
        steps.extend(bytes);
    };
    // Eight buffers to receive in; two packets to transmit, one of two parts.
    let descriptor = |address: u64, length: u32, flags: u16, next: u16| {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        bytes
    };
    for n in 0..8 {
        put(
            BASE + 16 * n,
            &descriptor(BASE + 0x8000 + 0x200 * n, 0x200, 2, 0),
        );
    }
    put(
        BASE + 0x200,
        &[0, 0, 8, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0],
    );
    let mut header = Header {
        source_cid: CID,
        destination_cid: 2,
        source_port: 1024,
        destination_port: PORT,
        kind: 1,
        operation: 1,
        buffer_bytes: 0x4000,
        ..Header::default()
    };
    put(BASE + 0x4000, &header.encode());
    (header.operation, header.length) = (5, 4);
    put(BASE + 0x4100, &header.encode());
    put(BASE + 0x4200, &[1, 2, 3, 4]);
    put(BASE + 0x1000, &descriptor(BASE + 0x4000, 44, 0, 0));
    put(BASE + 0x1010, &descriptor(BASE + 0x4100, 44, 1, 2));
    put(BASE + 0x1020, &descriptor(BASE + 0x4200, 4, 0, 0));
    put(BASE + 0x2000, &descriptor(BASE + 0x4300, 4, 2, 0));
    put(BASE + 0x2200, &[0, 0, 1, 0, 0, 0]);
    put(BASE + 0x1200, &[0, 0, 2, 0, 0, 0, 1, 0]);
    let mut restarted = steps.clone();
    steps.extend([SERVE, SERVE]);
    restarted.extend([SERVE, RESTART, SERVE]);
    vec![steps, restarted]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed does what it says: else mutations of it would reach little.
    #[test]
    fn the_seed_connects() {
        let (device, memory) = play(&seeds()[0]);
        assert!(device.is_connected());
        assert_eq!(device.counters.total(), 0);
        assert_eq!(memory.0.borrow()[0x402], 8, "all eight buffers were used");
    }
}

//! The guest's network device told to fetch what is not the guest's: the SMMU must stop it.
//!
//! A virtio-net-pci (virtio 1.2, 4.1) is given a packet to send: first one in own memory, then
//! one that lies in the hypervisor's. The guest cannot see that the second was stopped (an emulated device
//! sends zeroes then): it prints `tried dma-hypervisor`, and the hypervisor's counters must show a refusal.
//! Nothing is tried where the machine has no such device.

use crate::checks::{print, wait_for};
use arch::mmio::ReadWrite;
use board::plan;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Device 1 of bus 0 in the configuration space.
const DEVICE: usize = plan::PERIPHERAL_PCIE_ECAM_BASE + (1 << 15);
/// Vendor 0x1af4, device 0x1041: virtio-net, modern.
const VIRTIO_NET: u32 = 0x1041_1af4;
/// Memory enabled, bus master.
const COMMAND_ON: u32 = 0b110;
/// Where its registers (BAR 4) are put.
const REGISTERS: usize = plan::PERIPHERAL_PCIE_BASE;
/// Kinds of a virtio capability: common configuration, notifications.
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
/// Entries of the queue.
const ENTRIES: u16 = 4;
/// Bits of the device's status.
const NEEDS_RESET: u8 = 0x40;
/// The second queue sends.
const SEND_QUEUE: u16 = 1;
/// A packet: virtio header (12 bytes) and the shortest frame.
const PACKET_BYTES: u32 = 12 + 60;

/// Descriptors, then what is available, then what is used (2.7), as the device reads and writes them.
#[repr(C, align(4096))]
struct Queue {
    /// Address; length in the lower half of the second word.
    descriptors: [[AtomicU64; 2]; ENTRIES as usize],
    available_flags: AtomicU16,
    available_index: AtomicU16,
    available: [AtomicU16; ENTRIES as usize],
    _padding: AtomicU32,
    used_flags: AtomicU16,
    used_index: AtomicU16,
    used: [[AtomicU32; 2]; ENTRIES as usize],
}

static QUEUE: Queue = Queue {
    descriptors: [const { [const { AtomicU64::new(0) }; 2] }; ENTRIES as usize],
    available_flags: AtomicU16::new(0),
    available_index: AtomicU16::new(0),
    available: [const { AtomicU16::new(0) }; ENTRIES as usize],
    _padding: AtomicU32::new(0),
    used_flags: AtomicU16::new(0),
    used_index: AtomicU16::new(0),
    used: [const { [const { AtomicU32::new(0) }; 2] }; ENTRIES as usize],
};
static PACKET: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];

/// A register of the device.
fn register<T>(address: usize) -> &'static ReadWrite<T> {
    // SAFETY: inside the device's configuration page or its BAR, both the guest's own by the
    // description; the MMU is off, so they are device memory.
    unsafe { arch::mmio::block(address) }
}

fn configuration(offset: usize) -> u32 {
    register::<u32>(DEVICE + (offset & 0xffc)).read()
}

/// Address of a virtio structure in BAR 4 and the word after its description; `None` where the
/// device has none there.
fn structure(kind: u8) -> Option<(usize, u32)> {
    let mut at = configuration(0x34) as usize & 0xfc;
    for _ in 0..48 {
        if at == 0 {
            return None;
        }
        let [id, next, _, found] = configuration(at).to_le_bytes();
        let bar = configuration(at + 4) as u8;
        if (id, found, bar) == (9, kind, 4) {
            let offset = configuration(at + 8) as usize;
            return Some((REGISTERS + offset, configuration(at + 16)));
        }
        at = usize::from(next & 0xfc);
    }
    None
}

/// Runs the checks.
pub fn run() {
    if configuration(0) != VIRTIO_NET {
        return;
    }
    register::<u32>(DEVICE + 0x20).write(REGISTERS as u32);
    register::<u32>(DEVICE + 0x24).write(0);
    register::<u32>(DEVICE + 4).write(COMMAND_ON);
    let (Some((common, _)), Some((notify, factor))) = (structure(COMMON), structure(NOTIFY)) else {
        return print("dma-device", false);
    };
    let status = register::<u8>(common + 0x14);
    let doorbell = start(common, notify, factor as usize);
    let own = PACKET.as_ptr() as u64;
    send(doorbell, 0, own);
    let sent = wait_for(|| QUEUE.used_index.load(Ordering::Acquire) == 1);
    print("dma-own", sent && status.read() & NEEDS_RESET == 0);
    send(doorbell, 1, plan::MEMORY_HYPERVISOR_BASE as u64);
    wait_for(|| QUEUE.used_index.load(Ordering::Acquire) == 2 || status.read() & NEEDS_RESET != 0);
    board::console::write_str("tried dma-hypervisor\n");
    status.write(0);
    register::<u32>(DEVICE + 4).write(0);
}

/// Brings the device up with its sending queue; the queue's doorbell.
fn start(common: usize, notify: usize, factor: usize) -> &'static ReadWrite<u16> {
    let status = register::<u8>(common + 0x14);
    let half = |offset: usize| register::<u16>(common + offset);
    status.write(0);
    status.write(1);
    status.write(3);
    // Features 32 (version 1) and 33 (goes through the SMMU).
    register::<u32>(common + 8).write(1);
    register::<u32>(common + 0xc).write(0b11);
    status.write(3 | 8);
    half(0x16).write(SEND_QUEUE);
    half(0x18).write(ENTRIES);
    for (offset, address) in [
        (0x20, QUEUE.descriptors.as_ptr() as u64),
        (0x28, core::ptr::from_ref(&QUEUE.available_flags) as u64),
        (0x30, core::ptr::from_ref(&QUEUE.used_flags) as u64),
    ] {
        register::<u32>(common + offset).write(address as u32);
        register::<u32>(common + offset + 4).write((address >> 32) as u32);
    }
    half(0x1c).write(1);
    let doorbell = register(notify + usize::from(half(0x1e).read()) * factor);
    status.write(3 | 8 | 4);
    doorbell
}

/// Has the device send what lies at `address`; `number` counts packets.
fn send(doorbell: &ReadWrite<u16>, number: u16, address: u64) {
    let slot = usize::from(number % ENTRIES);
    QUEUE.descriptors[slot][0].store(address, Ordering::Relaxed);
    QUEUE.descriptors[slot][1].store(u64::from(PACKET_BYTES), Ordering::Relaxed);
    QUEUE.available[slot].store(slot as u16, Ordering::Relaxed);
    QUEUE.available_index.store(number + 1, Ordering::Release);
    arch::barrier::dsb_sy();
    doorbell.write(SEND_QUEUE);
}

//! The register file of virtio-mmio, version 2 (virtio 1.2, section 4.2.2), without what stands behind it.

use crate::queue::QUEUE_MAX;
use crate::{Counters, QUEUES};

/// Offsets of the registers in the page.
pub mod offset {
    #![allow(missing_docs, reason = "the standard's names; section 4.2.2")]
    pub const MAGIC: u32 = 0x000;
    pub const VERSION: u32 = 0x004;
    pub const DEVICE: u32 = 0x008;
    pub const VENDOR: u32 = 0x00c;
    pub const DEVICE_FEATURES: u32 = 0x010;
    pub const DEVICE_FEATURES_SELECT: u32 = 0x014;
    pub const DRIVER_FEATURES: u32 = 0x020;
    pub const DRIVER_FEATURES_SELECT: u32 = 0x024;
    pub const QUEUE_SELECT: u32 = 0x030;
    pub const QUEUE_SIZE_MAX: u32 = 0x034;
    pub const QUEUE_SIZE: u32 = 0x038;
    pub const QUEUE_READY: u32 = 0x044;
    pub const QUEUE_NOTIFY: u32 = 0x050;
    pub const INTERRUPT_STATUS: u32 = 0x060;
    pub const INTERRUPT_ACKNOWLEDGE: u32 = 0x064;
    pub const STATUS: u32 = 0x070;
    pub const QUEUE_DESCRIPTORS_LOW: u32 = 0x080;
    pub const QUEUE_DESCRIPTORS_HIGH: u32 = 0x084;
    pub const QUEUE_AVAILABLE_LOW: u32 = 0x090;
    pub const QUEUE_AVAILABLE_HIGH: u32 = 0x094;
    pub const QUEUE_USED_LOW: u32 = 0x0a0;
    pub const QUEUE_USED_HIGH: u32 = 0x0a4;
    pub const SHARED_MEMORY_SELECT: u32 = 0x0ac;
    pub const SHARED_MEMORY_LENGTH_LOW: u32 = 0x0b0;
    pub const SHARED_MEMORY_BASE_HIGH: u32 = 0x0bc;
    pub const CONFIGURATION_GENERATION: u32 = 0x0fc;
    pub const CONFIGURATION: u32 = 0x100;
}

/// Bits of the status register (section 2.1).
pub mod status {
    #![allow(missing_docs, reason = "the standard's names; section 2.1")]
    pub const ACKNOWLEDGE: u32 = 1;
    pub const DRIVER: u32 = 2;
    pub const DRIVER_OK: u32 = 4;
    pub const FEATURES_OK: u32 = 8;
    pub const NEEDS_RESET: u32 = 64;
    pub const FAILED: u32 = 128;
}

/// Words of the page that are not always zero.
pub const PAGE_WORDS: usize = (offset::CONFIGURATION as usize + 8) / 4;

/// `virt` in memory.
const MAGIC: u32 = 0x7472_6976;
/// Version of the interface; 1 is the one before virtio 1.0.
const VERSION: u32 = 2;
/// A socket device (section 5).
const SOCKET_DEVICE: u32 = 19;
/// Nobody's number; Linux shows it only.
const VENDOR: u32 = u32::from_le_bytes(*b"LZRT");
/// Stream sockets.
const FEATURE_STREAM: u64 = 1 << 0;
/// virtio 1: without it a driver must not go on.
const FEATURE_VERSION_1: u64 = 1 << 32;
/// What the device can.
const FEATURES: u64 = FEATURE_STREAM | FEATURE_VERSION_1;
/// Interrupt status: a queue has news.
pub const INTERRUPT_QUEUE: u32 = 1;
/// Interrupt status: status or configuration has news.
pub const INTERRUPT_CONFIGURATION: u32 = 2;

/// A queue as the driver describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueRegisters {
    /// Entries.
    pub size: u32,
    /// Whether the driver has said it is complete, and it was right.
    pub ready: bool,
    /// Guest address of the descriptor table, as alleged.
    pub descriptors: u64,
    /// Guest address of the available ring, as alleged.
    pub available: u64,
    /// Guest address of the used ring, as alleged.
    pub used: u64,
}

/// What a write asks of the rest of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Forget everything.
    Reset,
    /// The driver has described this queue: check it, then [`Registers::queue_ready`].
    Describe(usize),
    /// The driver takes this queue back.
    Stop(usize),
    /// The driver is complete, or has put something on a queue: look at the rings.
    Look,
}

/// The registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    guest_cid: u64,
    device_select: u32,
    driver_select: u32,
    driver_features: u64,
    queue_select: u32,
    queues: [QueueRegisters; QUEUES],
    interrupts: u32,
    status: u32,
}

impl Registers {
    /// After power-on, for the guest of this address.
    #[must_use]
    pub const fn new(guest_cid: u64) -> Self {
        const QUEUE: QueueRegisters = QueueRegisters {
            size: 0,
            ready: false,
            descriptors: 0,
            available: 0,
            used: 0,
        };
        Self {
            guest_cid,
            device_select: 0,
            driver_select: 0,
            driver_features: 0,
            queue_select: 0,
            queues: [QUEUE; QUEUES],
            interrupts: 0,
            status: 0,
        }
    }

    /// True if the driver may use the rings and nothing is broken.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.status & (status::DRIVER_OK | status::NEEDS_RESET | status::FAILED)
            == status::DRIVER_OK
    }

    /// The status register.
    #[must_use]
    pub const fn status(&self) -> u32 {
        self.status
    }

    /// Interrupts that are not acknowledged.
    #[must_use]
    pub const fn interrupts(&self) -> u32 {
        self.interrupts
    }

    /// Features the driver has chosen so far.
    #[must_use]
    pub const fn driver_features(&self) -> u64 {
        self.driver_features
    }

    /// A queue's registers.
    #[must_use]
    pub fn queue(&self, index: usize) -> QueueRegisters {
        self.queues.get(index).copied().unwrap_or_default()
    }

    /// The queue was described well: reads of its ready register show 1.
    pub fn queue_ready(&mut self, index: usize) {
        if let Some(queue) = self.queues.get_mut(index) {
            queue.ready = true;
        }
    }

    /// Sets interrupt bits; true where one of them was not set.
    pub fn interrupt(&mut self, bits: u32) -> bool {
        let new = self.interrupts | bits;
        let is_new = new != self.interrupts;
        self.interrupts = new;
        is_new
    }

    /// The device cannot go on before it is reset (section 2.1.2); true where the driver must be interrupted.
    pub fn fail(&mut self) -> bool {
        self.status |= status::NEEDS_RESET;
        self.status & status::DRIVER_OK != 0 && self.interrupt(INTERRUPT_CONFIGURATION)
    }

    /// What a read at `offset`, a multiple of 4, shows now.
    #[must_use]
    pub fn read(&self, offset: u32) -> u32 {
        let queue = self.queue(self.queue_select as usize);
        match offset {
            offset::MAGIC => MAGIC,
            offset::VERSION => VERSION,
            offset::DEVICE => SOCKET_DEVICE,
            offset::VENDOR => VENDOR,
            offset::DEVICE_FEATURES => half(FEATURES, self.device_select),
            offset::QUEUE_SIZE_MAX if (self.queue_select as usize) < QUEUES => QUEUE_MAX.into(),
            offset::QUEUE_READY => queue.ready.into(),
            offset::INTERRUPT_STATUS => self.interrupts,
            offset::STATUS => self.status,
            // No shared memory: length and base are all ones (section 4.2.2).
            offset::SHARED_MEMORY_LENGTH_LOW..=offset::SHARED_MEMORY_BASE_HIGH => u32::MAX,
            // The configuration never changes: its generation stays 0.
            offset::CONFIGURATION => self.guest_cid as u32,
            _ if offset == offset::CONFIGURATION + 4 => (self.guest_cid >> 32) as u32,
            _ => 0,
        }
    }

    /// Carries out a write; what a driver must not write is counted and changes nothing.
    pub fn write(&mut self, offset: u32, value: u32, counters: &mut Counters) -> Effect {
        let effect = self.try_write(offset, value);
        if effect.is_none() {
            counters.registers = counters.registers.saturating_add(1);
        }
        effect.unwrap_or(Effect::Nothing)
    }

    fn try_write(&mut self, offset: u32, value: u32) -> Option<Effect> {
        match offset {
            offset::DEVICE_FEATURES_SELECT => self.device_select = value,
            offset::DRIVER_FEATURES_SELECT => self.driver_select = value,
            offset::QUEUE_SELECT => self.queue_select = value,
            offset::SHARED_MEMORY_SELECT => {}
            offset::DRIVER_FEATURES => self.choose_features(value)?,
            offset::INTERRUPT_ACKNOWLEDGE => self.interrupts &= !value,
            offset::STATUS => return self.write_status(value),
            offset::QUEUE_NOTIFY => {
                let known = (value as usize) < QUEUES && self.is_live();
                return known.then_some(Effect::Look);
            }
            offset::QUEUE_READY => return self.write_ready(value),
            _ => self.describe_queue(offset, value)?,
        }
        Some(Effect::Nothing)
    }

    /// The driver chooses 32 of its features; after FEATURES_OK it must not.
    fn choose_features(&mut self, value: u32) -> Option<()> {
        if self.status & (status::DRIVER | status::FEATURES_OK) != status::DRIVER {
            return None;
        }
        let (mask, bits) = match self.driver_select {
            0 => (0xffff_ffff, u64::from(value)),
            1 => (0xffff_ffff << 32, u64::from(value) << 32),
            // Features beyond 63 exist for nobody: choosing none of them is right.
            _ => return (value == 0).then_some(()),
        };
        self.driver_features = (self.driver_features & !mask) | bits;
        Some(())
    }

    /// The driver says how far it is. It never takes a bit back but by writing 0 (section 2.1.1).
    fn write_status(&mut self, value: u32) -> Option<Effect> {
        const DRIVERS: u32 = status::ACKNOWLEDGE
            | status::DRIVER
            | status::DRIVER_OK
            | status::FEATURES_OK
            | status::FAILED;
        if value == 0 {
            *self = Self::new(self.guest_cid);
            return Some(Effect::Reset);
        }
        let before = self.status & DRIVERS;
        let value = value & !status::NEEDS_RESET;
        if value & !DRIVERS != 0 || value & before != before {
            return None;
        }
        let mut new = value & !before;
        let has_all = self.driver_features & FEATURE_VERSION_1 != 0;
        let is_subset = self.driver_features & !FEATURES == 0;
        if new & status::FEATURES_OK != 0 && !(has_all && is_subset) {
            // The driver reads the bit back and gives up (section 3.1.1, step 6).
            new &= !status::FEATURES_OK;
        }
        if new & status::DRIVER_OK != 0 && (before | new) & status::FEATURES_OK == 0 {
            return None;
        }
        self.status |= new;
        Some(if new & status::DRIVER_OK != 0 {
            Effect::Look
        } else {
            Effect::Nothing
        })
    }

    /// The selected queue, where the driver may describe queues now.
    fn selected(&mut self) -> Option<&mut QueueRegisters> {
        if self.status & status::FEATURES_OK == 0 {
            return None;
        }
        self.queues.get_mut(self.queue_select as usize)
    }

    fn write_ready(&mut self, value: u32) -> Option<Effect> {
        let index = self.queue_select as usize;
        let queue = self.selected()?;
        match (value, queue.ready) {
            (1, false) => Some(Effect::Describe(index)),
            (0, _) => {
                queue.ready = false;
                Some(Effect::Stop(index))
            }
            _ => None,
        }
    }

    /// Size and addresses of the selected queue; of a ready one they stay.
    fn describe_queue(&mut self, offset: u32, value: u32) -> Option<()> {
        let queue = self.selected().filter(|queue| !queue.ready)?;
        match offset {
            offset::QUEUE_SIZE => queue.size = value,
            offset::QUEUE_DESCRIPTORS_LOW => set_low(&mut queue.descriptors, value),
            offset::QUEUE_DESCRIPTORS_HIGH => set_high(&mut queue.descriptors, value),
            offset::QUEUE_AVAILABLE_LOW => set_low(&mut queue.available, value),
            offset::QUEUE_AVAILABLE_HIGH => set_high(&mut queue.available, value),
            offset::QUEUE_USED_LOW => set_low(&mut queue.used, value),
            offset::QUEUE_USED_HIGH => set_high(&mut queue.used, value),
            _ => return None,
        }
        Some(())
    }
}

/// Bits 31:0, 63:32 or none of `value`.
const fn half(value: u64, select: u32) -> u32 {
    match select {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    }
}

fn set_low(address: &mut u64, value: u32) {
    *address = (*address & !0xffff_ffff) | u64::from(value);
}

fn set_high(address: &mut u64, value: u32) {
    *address = (*address & 0xffff_ffff) | (u64::from(value) << 32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up to FEATURES_OK, as Linux does it.
    fn negotiated(features_high: u32) -> (Registers, Counters) {
        let (mut registers, mut counters) = (Registers::new(3), Counters::default());
        let mut status = 0;
        for bit in [status::ACKNOWLEDGE, status::DRIVER] {
            status |= bit;
            registers.write(offset::STATUS, status, &mut counters);
        }
        for (half, value) in [(1, features_high), (0, 0)] {
            registers.write(offset::DRIVER_FEATURES_SELECT, half, &mut counters);
            registers.write(offset::DRIVER_FEATURES, value, &mut counters);
        }
        registers.write(offset::STATUS, status | status::FEATURES_OK, &mut counters);
        (registers, counters)
    }

    #[test]
    fn what_linux_reads_first() {
        let (mut registers, mut counters) = (Registers::new(3), Counters::default());
        assert_eq!(registers.read(offset::MAGIC), 0x7472_6976);
        assert_eq!(registers.read(offset::VERSION), 2);
        assert_eq!(registers.read(offset::DEVICE), 19);
        assert_eq!(registers.read(offset::DEVICE_FEATURES), 1);
        registers.write(offset::DEVICE_FEATURES_SELECT, 1, &mut counters);
        assert_eq!(registers.read(offset::DEVICE_FEATURES), 1);
        registers.write(offset::DEVICE_FEATURES_SELECT, 2, &mut counters);
        assert_eq!(registers.read(offset::DEVICE_FEATURES), 0);
        assert_eq!(registers.read(offset::CONFIGURATION), 3);
        assert_eq!(registers.read(offset::CONFIGURATION + 4), 0);
        for (select, size) in [(0, 128), (2, 128), (3, 0), (u32::MAX, 0)] {
            registers.write(offset::QUEUE_SELECT, select, &mut counters);
            assert_eq!(registers.read(offset::QUEUE_SIZE_MAX), size);
            assert_eq!(registers.read(offset::QUEUE_READY), 0);
        }
        assert_eq!(counters.total(), 0);
    }

    #[test]
    fn features_are_a_subset_with_version_1_or_are_not_accepted() {
        let accepted = |registers: &Registers| registers.status() & status::FEATURES_OK != 0;
        assert!(accepted(&negotiated(1).0));
        assert!(!accepted(&negotiated(0).0), "no VERSION_1");
        assert!(!accepted(&negotiated(0b11).0), "one that was not offered");
    }

    #[test]
    fn nothing_is_described_before_the_features_or_after_ready() {
        let (mut registers, mut counters) = (Registers::new(3), Counters::default());
        registers.write(offset::QUEUE_SIZE, 8, &mut counters);
        assert_eq!((registers.queue(0).size, counters.registers), (0, 1));
        let (mut registers, mut counters) = negotiated(1);
        registers.write(offset::QUEUE_SIZE, 8, &mut counters);
        let effect = registers.write(offset::QUEUE_READY, 1, &mut counters);
        assert_eq!((effect, counters.registers), (Effect::Describe(0), 0));
        registers.queue_ready(0);
        registers.write(offset::QUEUE_SIZE, 16, &mut counters);
        assert_eq!((registers.queue(0).size, counters.registers), (8, 1));
        assert_eq!(registers.read(offset::QUEUE_READY), 1);
        registers.write(offset::QUEUE_READY, 0, &mut counters);
        assert_eq!(registers.read(offset::QUEUE_READY), 0);
    }

    #[test]
    fn status_bits_are_taken_back_only_by_a_reset() {
        let (mut registers, mut counters) = negotiated(1);
        let whole = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;
        assert_eq!(
            registers.write(offset::STATUS, whole, &mut counters),
            Effect::Look
        );
        assert!(registers.is_live());
        registers.write(offset::STATUS, status::ACKNOWLEDGE, &mut counters);
        assert_eq!((registers.status(), counters.registers), (whole, 1));
        assert!(registers.fail());
        assert!(!registers.is_live());
        assert_eq!(registers.read(offset::INTERRUPT_STATUS), 2);
        assert_eq!(
            registers.write(offset::STATUS, 0, &mut counters),
            Effect::Reset
        );
        assert_eq!(registers, Registers::new(3));
    }

    #[test]
    fn driver_ok_needs_features_ok() {
        let (mut registers, mut counters) = (Registers::new(3), Counters::default());
        registers.write(offset::STATUS, 1 | 2 | 4, &mut counters);
        assert_eq!((registers.status(), counters.registers), (0, 1));
    }

    #[test]
    fn any_write_is_taken_or_counted() {
        let (mut registers, mut counters) = negotiated(1);
        for offset in 0..0x2000 {
            for value in [0, 1, 2, 0x80, u32::MAX] {
                let _ = registers.write(offset, value, &mut counters);
                let _ = registers.read(offset);
            }
        }
        assert!(counters.registers > 0x1000);
    }
}

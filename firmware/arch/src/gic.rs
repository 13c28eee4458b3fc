//! GICv3 (Arm IHI 0069): distributor and redistributor registers, and what is done with them.
//!
//! The CPU interface is in [`crate::registers`] (`icc_*`).

use crate::mmio::{ReadOnly, ReadWrite, Reserved};
use core::mem::{offset_of, size_of};

/// Interrupt numbers below this are per core: SGIs 0 to 15, PPIs 16 to 31.
pub const FIRST_SHARED: u32 = 32;
/// Interrupt numbers from this on are special or LPIs.
pub const LIMIT: u32 = 1020;
/// Answer of an acknowledge register when nothing is pending.
pub const NONE_PENDING: u32 = 1023;

/// The distributor (IHI 0069, 12.9).
#[repr(C)]
pub struct Distributor {
    /// Control; bits in [`distributor_control`].
    pub control: ReadWrite<u32>,
    /// Kind: bits 4:0 = (number of shared interrupts / 32) + 1.
    pub kind: ReadOnly<u32>,
    /// Implementer.
    pub implementer: ReadOnly<u32>,
    /// Kind, more.
    pub kind_2: ReadOnly<u32>,
    _reserved_0: Reserved<0x70>,
    /// Group: 1 = Group 1 (one bit each).
    pub group: [ReadWrite<u32>; 32],
    /// Write 1 to enable.
    pub set_enable: [ReadWrite<u32>; 32],
    /// Write 1 to disable.
    pub clear_enable: [ReadWrite<u32>; 32],
    /// Write 1 to pend.
    pub set_pending: [ReadWrite<u32>; 32],
    /// Write 1 to no longer pend.
    pub clear_pending: [ReadWrite<u32>; 32],
    /// Write 1 to make active.
    pub set_active: [ReadWrite<u32>; 32],
    /// Write 1 to make inactive.
    pub clear_active: [ReadWrite<u32>; 32],
    /// Priority, one byte each, 0 the highest.
    pub priority: [ReadWrite<u8>; 1024],
    /// Targets of GICv2.
    _targets: Reserved<0x400>,
    /// Two bits each: 0b10 edge-triggered.
    pub configuration: [ReadWrite<u32>; 64],
    /// Group modifier: with group 0, 1 = secure Group 1.
    pub group_modifier: [ReadWrite<u32>; 32],
    _reserved_1: Reserved<0x80>,
    /// What the normal world may do with secure interrupts, two bits each.
    pub normal_access: [ReadWrite<u32>; 64],
    _reserved_2: Reserved<0x5100>,
    /// Core (affinity) a shared interrupt goes to; the first 32 do not exist.
    pub route: [ReadWrite<u64>; 1024],
    _reserved_3: Reserved<0x7fe8>,
    /// Peripheral identification 2: architecture revision in bits 7:4.
    pub identification_2: ReadOnly<u32>,
    _reserved_4: Reserved<0x14>,
}

const _: () = {
    assert!(offset_of!(Distributor, group) == 0x80);
    assert!(offset_of!(Distributor, priority) == 0x400);
    assert!(offset_of!(Distributor, configuration) == 0xc00);
    assert!(offset_of!(Distributor, group_modifier) == 0xd00);
    assert!(offset_of!(Distributor, normal_access) == 0xe00);
    assert!(offset_of!(Distributor, route) == 0x6000);
    assert!(offset_of!(Distributor, identification_2) == 0xffe8);
    assert!(size_of::<Distributor>() == 0x1_0000);
};

/// Bits of [`Distributor::control`], seen from the secure world with two security states.
pub mod distributor_control {
    /// Group 0 is forwarded.
    pub const ENABLE_GROUP_0: u32 = 1 << 0;
    /// Group 1 of the normal world is forwarded (seen from the normal world: bit 0 or 1).
    pub const ENABLE_GROUP_1_NORMAL: u32 = 1 << 1;
    /// Group 1 of the secure world is forwarded.
    pub const ENABLE_GROUP_1_SECURE: u32 = 1 << 2;
    /// Affinity routing for the secure world.
    pub const AFFINITY_ROUTING_SECURE: u32 = 1 << 4;
    /// Affinity routing for the normal world.
    pub const AFFINITY_ROUTING_NORMAL: u32 = 1 << 5;
    /// Security disabled.
    pub const DISABLE_SECURITY: u32 = 1 << 6;
    /// A write is still on its way.
    pub const WRITE_PENDING: u32 = 1 << 31;
}

/// One core's redistributor: control frame, then SGI and PPI frame (IHI 0069, 12.11).
#[repr(C)]
pub struct Redistributor {
    /// Control; bit 3 or 31: a write is still on its way.
    pub control: ReadWrite<u32>,
    /// Implementer.
    pub implementer: ReadOnly<u32>,
    /// Kind: affinity in bits 63:32, processor number in 23:8, last in bit 4.
    pub kind: ReadOnly<u64>,
    /// Errors.
    pub status: ReadWrite<u32>,
    /// Power: bit 1 processor asleep, bit 2 children asleep.
    pub waker: ReadWrite<u32>,
    _reserved_0: Reserved<0xffd0>,
    /// Peripheral identification 2.
    pub identification_2: ReadOnly<u32>,
    _reserved_1: Reserved<0x14>,
    /// SGIs and PPIs.
    pub local: RedistributorLocal,
}

/// The frame of a redistributor that holds SGIs (0 to 15) and PPIs (16 to 31).
#[repr(C)]
pub struct RedistributorLocal {
    _reserved_0: Reserved<0x80>,
    /// Group: 1 = Group 1.
    pub group: ReadWrite<u32>,
    _reserved_1: Reserved<0x7c>,
    /// Write 1 to enable.
    pub set_enable: ReadWrite<u32>,
    _reserved_2: Reserved<0x7c>,
    /// Write 1 to disable.
    pub clear_enable: ReadWrite<u32>,
    _reserved_3: Reserved<0x7c>,
    /// Write 1 to pend.
    pub set_pending: ReadWrite<u32>,
    _reserved_4: Reserved<0x7c>,
    /// Write 1 to no longer pend.
    pub clear_pending: ReadWrite<u32>,
    _reserved_5: Reserved<0x7c>,
    /// Write 1 to make active.
    pub set_active: ReadWrite<u32>,
    _reserved_6: Reserved<0x7c>,
    /// Write 1 to make inactive.
    pub clear_active: ReadWrite<u32>,
    _reserved_7: Reserved<0x7c>,
    /// Priority, one byte each.
    pub priority: [ReadWrite<u8>; 32],
    _reserved_8: Reserved<0x7e0>,
    /// Two bits each: 0b10 edge-triggered.
    pub configuration: [ReadWrite<u32>; 2],
    _reserved_9: Reserved<0xf8>,
    /// Group modifier.
    pub group_modifier: ReadWrite<u32>,
    _reserved_10: Reserved<0xfc>,
    /// What the normal world may do with secure SGIs, two bits each.
    pub normal_access: ReadWrite<u32>,
    _reserved_11: Reserved<0xf1fc>,
}

const _: () = {
    assert!(offset_of!(Redistributor, waker) == 0x14);
    assert!(offset_of!(Redistributor, identification_2) == 0xffe8);
    assert!(offset_of!(Redistributor, local) == 0x1_0000);
    assert!(offset_of!(RedistributorLocal, set_enable) == 0x100);
    assert!(offset_of!(RedistributorLocal, priority) == 0x400);
    assert!(offset_of!(RedistributorLocal, configuration) == 0xc00);
    assert!(offset_of!(RedistributorLocal, group_modifier) == 0xd00);
    assert!(offset_of!(RedistributorLocal, normal_access) == 0xe00);
    assert!(size_of::<Redistributor>() == 0x2_0000);
};

/// Whose an interrupt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Group 0: FIQ, for EL3.
    Zero,
    /// Secure Group 1.
    SecureOne,
    /// Group 1 of the normal world.
    NormalOne,
}

impl Group {
    const fn bits(self) -> (bool, bool) {
        match self {
            Self::Zero => (false, false),
            Self::SecureOne => (false, true),
            Self::NormalOne => (true, false),
        }
    }
}

/// What makes an interrupt pend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// While the line is high.
    Level,
    /// When the line rises.
    Edge,
}

/// A number of a shared interrupt (SPI), 32 to 1019.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedInterrupt(u32);

impl SharedInterrupt {
    /// `None` where `number` is not 32 to 1019.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number >= FIRST_SHARED && number < LIMIT {
            Some(Self(number))
        } else {
            None
        }
    }
    /// The interrupt number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
    const fn index(self) -> usize {
        self.0 as usize
    }
    const fn word(self) -> usize {
        self.index() / 32
    }
    const fn bit(self) -> u32 {
        1 << (self.0 % 32)
    }
}

fn with_bit(word: u32, bit: u32, on: bool) -> u32 {
    if on { word | bit } else { word & !bit }
}

impl Distributor {
    /// Waits until earlier writes to the control and enable registers are in force; bounded.
    pub fn wait_for_writes(&self) {
        for _ in 0..10_000 {
            if self.control.read() & distributor_control::WRITE_PENDING == 0 {
                return;
            }
            crate::barrier::yield_now();
        }
    }

    /// How many interrupt numbers exist, SGIs and PPIs included.
    #[must_use]
    pub fn interrupts(&self) -> u32 {
        (((self.kind.read() & 0x1f) + 1) * 32).min(LIMIT)
    }

    /// Enables an interrupt.
    pub fn enable(&self, interrupt: SharedInterrupt) {
        self.set_enable[interrupt.word()].write(interrupt.bit());
    }

    /// Disables an interrupt.
    pub fn disable(&self, interrupt: SharedInterrupt) {
        self.clear_enable[interrupt.word()].write(interrupt.bit());
    }

    /// Makes an interrupt pend.
    pub fn pend(&self, interrupt: SharedInterrupt) {
        self.set_pending[interrupt.word()].write(interrupt.bit());
    }

    /// Makes an interrupt no longer pend.
    pub fn unpend(&self, interrupt: SharedInterrupt) {
        self.clear_pending[interrupt.word()].write(interrupt.bit());
    }

    /// Gives an interrupt to a group (secure world only).
    pub fn set_group(&self, interrupt: SharedInterrupt, group: Group) {
        let (group_bit, modifier_bit) = group.bits();
        let bit = interrupt.bit();
        self.group[interrupt.word()].modify(|word| with_bit(word, bit, group_bit));
        self.group_modifier[interrupt.word()].modify(|word| with_bit(word, bit, modifier_bit));
    }

    /// Sets the priority, 0 the highest.
    pub fn set_priority(&self, interrupt: SharedInterrupt, priority: u8) {
        self.priority[interrupt.index()].write(priority);
    }

    /// Sends an interrupt to one core, named by its affinity (MPIDR_EL1 without bits 31:24).
    pub fn set_route(&self, interrupt: SharedInterrupt, affinity: u64) {
        self.route[interrupt.index()].write(affinity);
    }

    /// Sets what makes the interrupt pend.
    pub fn set_trigger(&self, interrupt: SharedInterrupt, trigger: Trigger) {
        let shift = (interrupt.number() % 16) * 2;
        let bits = if trigger == Trigger::Edge { 0b10 } else { 0 };
        self.configuration[interrupt.index() / 16]
            .modify(|word| (word & !(0b11 << shift)) | (bits << shift));
    }
}

impl Redistributor {
    /// Wakes the redistributor of a core that is up; bounded. False where it stays asleep.
    pub fn wake(&self) -> bool {
        const PROCESSOR_SLEEP: u32 = 1 << 1;
        const CHILDREN_ASLEEP: u32 = 1 << 2;
        self.waker.modify(|waker| waker & !PROCESSOR_SLEEP);
        for _ in 0..100_000 {
            if self.waker.read() & CHILDREN_ASLEEP == 0 {
                return true;
            }
            crate::barrier::yield_now();
        }
        false
    }

    /// Affinity 3.2.1.0 of its core, a byte each.
    #[must_use]
    pub fn affinity(&self) -> u32 {
        (self.kind.read() >> 32) as u32
    }

    /// Gives each SGI and PPI whose bit is set in a mask to secure Group 1 or Group 0, the rest
    /// to Group 1 of the normal world.
    pub fn set_groups(&self, secure_one: u32, zero: u32) {
        self.local.group.write(!(secure_one | zero));
        self.local.group_modifier.write(secure_one & !zero);
    }

    /// Sets the priority of the SGI or PPI `interrupt` (0 to 31; others are ignored).
    pub fn set_priority(&self, interrupt: u32, priority: u8) {
        if let Some(cell) = self.local.priority.get(interrupt as usize) {
            cell.write(priority);
        }
    }

    /// Enables the SGIs and PPIs whose bits are set.
    pub fn enable(&self, mask: u32) {
        self.local.set_enable.write(mask);
    }

    /// Disables the SGIs and PPIs whose bits are set.
    pub fn disable(&self, mask: u32) {
        self.local.clear_enable.write(mask);
    }
}

/// Value for `icc_sgi1r_el1`, `icc_sgi0r_el1` or `icc_asgi1r_el1`: SGI `interrupt` (0 to 15) to the
/// cores of affinity 0.0.0.x whose bits are set in `cores`.
#[must_use]
pub const fn sgi(interrupt: u32, cores: u16) -> u64 {
    ((interrupt as u64 & 0xf) << 24) | cores as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A distributor in plain memory: all registers zero.
    fn fake() -> std::boxed::Box<Distributor> {
        // SAFETY: the struct is integers in cells; all zeroes is a value of each.
        unsafe { std::boxed::Box::<Distributor>::new_zeroed().assume_init() }
    }
    extern crate std;

    #[test]
    fn groups_are_what_the_manual_says() {
        let gic = fake();
        let interrupt = SharedInterrupt::new(40).expect("shared");
        gic.set_group(interrupt, Group::SecureOne);
        assert_eq!(
            (gic.group[1].read(), gic.group_modifier[1].read()),
            (0, 1 << 8)
        );
        gic.set_group(interrupt, Group::NormalOne);
        assert_eq!(
            (gic.group[1].read(), gic.group_modifier[1].read()),
            (1 << 8, 0)
        );
        gic.set_group(interrupt, Group::Zero);
        assert_eq!((gic.group[1].read(), gic.group_modifier[1].read()), (0, 0));
    }

    #[test]
    fn trigger_takes_two_bits() {
        let gic = fake();
        let interrupt = SharedInterrupt::new(49).expect("shared");
        gic.set_trigger(interrupt, Trigger::Edge);
        assert_eq!(gic.configuration[3].read(), 0b1000);
        gic.set_trigger(interrupt, Trigger::Level);
        assert_eq!(gic.configuration[3].read(), 0);
    }

    #[test]
    fn numbers_outside_are_no_shared_interrupts() {
        assert!(SharedInterrupt::new(31).is_none());
        assert!(SharedInterrupt::new(1020).is_none());
    }

    #[test]
    fn sgi_names_number_and_cores() {
        assert_eq!(sgi(15, 0b110), 0x0f00_0006);
    }
}

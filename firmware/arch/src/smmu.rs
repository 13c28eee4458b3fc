//! Registers of the SMMUv3 (Arm IHI 0070, 6.1 to 6.3), those of the normal world.

use crate::mmio::{ReadOnly, ReadWrite, Reserved};
use core::mem::offset_of;

/// Pages 0 and 1.
#[repr(C)]
pub struct Smmu {
    /// Features.
    pub features: ReadOnly<u32>,
    _reserved_0: Reserved<0x1c>,
    /// Control; bits in [`control`].
    pub control: ReadWrite<u32>,
    /// Control, in force.
    pub control_acknowledged: ReadOnly<u32>,
    /// Cacheability of tables and queues.
    pub memory: ReadWrite<u32>,
    /// What is recorded.
    pub recording: ReadWrite<u32>,
    _reserved_1: Reserved<0x14>,
    /// What happens to accesses while off; bits in [`bypass`].
    pub bypass: ReadWrite<u32>,
    _reserved_2: Reserved<8>,
    /// Interrupts; bits in [`interrupts`].
    pub interrupts: ReadWrite<u32>,
    /// Interrupts, in force.
    pub interrupts_acknowledged: ReadOnly<u32>,
    _reserved_3: Reserved<8>,
    /// Global errors: a bit differs from the same bit below where there is a new one.
    pub errors: ReadOnly<u32>,
    /// Global errors that were seen.
    pub errors_acknowledged: ReadWrite<u32>,
    _reserved_4: Reserved<0x18>,
    /// Stream table.
    pub stream_table: ReadWrite<u64>,
    /// Its form.
    pub stream_table_form: ReadWrite<u32>,
    _reserved_5: Reserved<4>,
    /// Command queue.
    pub commands: ReadWrite<u64>,
    /// Where the next command is written.
    pub commands_written: ReadWrite<u32>,
    /// The next command that is read; bits 30:24 an error.
    pub commands_read: ReadWrite<u32>,
    /// Event queue.
    pub events: ReadWrite<u64>,
    _reserved_6: Reserved<0x1_0000>,
    /// Where the next event is written; bit 31: some were lost (page 1).
    pub events_written: ReadWrite<u32>,
    /// The next event that is read (page 1).
    pub events_read: ReadWrite<u32>,
}

const _: () = {
    assert!(offset_of!(Smmu, control) == 0x20);
    assert!(offset_of!(Smmu, bypass) == 0x44);
    assert!(offset_of!(Smmu, interrupts) == 0x50);
    assert!(offset_of!(Smmu, errors) == 0x60);
    assert!(offset_of!(Smmu, stream_table) == 0x80);
    assert!(offset_of!(Smmu, commands) == 0x90);
    assert!(offset_of!(Smmu, events) == 0xa0);
    assert!(offset_of!(Smmu, events_written) == 0x100a8);
    assert!(offset_of!(Smmu, events_read) == 0x100ac);
};

/// Bits of [`Smmu::control`].
pub mod control {
    /// Streams are translated.
    pub const ON: u32 = 1 << 0;
    /// Events are written.
    pub const EVENTS: u32 = 1 << 2;
    /// Commands are read.
    pub const COMMANDS: u32 = 1 << 3;
}

/// Bits of [`Smmu::bypass`].
pub mod bypass {
    /// Accesses abort.
    pub const ABORT: u32 = 1 << 20;
    /// Write with the bits that change; reads as one until they have.
    pub const UPDATE: u32 = 1 << 31;
}

/// Bits of [`Smmu::interrupts`].
pub mod interrupts {
    /// Global errors interrupt.
    pub const ERRORS: u32 = 1 << 0;
    /// Events interrupt.
    pub const EVENTS: u32 = 1 << 2;
}

/// [`Smmu::memory`]: tables and queues write-back, inner shareable.
pub const MEMORY_CACHED: u32 = (3 << 10) | (1 << 8) | (1 << 6) | (3 << 4) | (1 << 2) | 1;
/// [`Smmu::recording`]: unknown streams are recorded.
pub const RECORD_UNKNOWN_STREAMS: u32 = 1 << 1;
/// Polls before an acknowledgement counts as missing.
const POLLS: u32 = 1_000_000;

impl Smmu {
    /// Sets the control register and waits, bounded, until it is in force.
    #[must_use]
    pub fn set_control(&self, bits: u32) -> bool {
        self.control.write(bits);
        poll(|| self.control_acknowledged.read() == bits)
    }

    /// Sets which interrupts there are and waits, bounded, until that is in force.
    #[must_use]
    pub fn set_interrupts(&self, bits: u32) -> bool {
        self.interrupts.write(bits);
        poll(|| self.interrupts_acknowledged.read() == bits)
    }

    /// While off, accesses abort. False where this SMMU cannot do that.
    #[must_use]
    pub fn abort_while_off(&self) -> bool {
        self.bypass.write(bypass::ABORT | bypass::UPDATE);
        poll(|| self.bypass.read() & bypass::UPDATE == 0) && self.bypass.read() & bypass::ABORT != 0
    }

    /// Waits, bounded, until all commands up to `place` are read; false on an error.
    #[must_use]
    pub fn commands_done(&self, place: u32) -> bool {
        const ERROR: u32 = 0x7f << 24;
        poll(|| {
            let read = self.commands_read.read();
            read & ERROR != 0 || read & !ERROR == place
        }) && self.commands_read.read() & ERROR == 0
    }
}

fn poll(done: impl Fn() -> bool) -> bool {
    for _ in 0..POLLS {
        if done() {
            return true;
        }
        crate::barrier::yield_now();
    }
    false
}

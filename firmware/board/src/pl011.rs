//! The PL011 serial port (Arm DDI 0183), polled or with its receive interrupt.

use arch::mmio::{ReadOnly, ReadWrite, Reserved, WriteOnly};

/// Registers (DDI 0183, 3.2).
#[repr(C)]
pub struct Registers {
    /// Data: a byte out, or a byte in with errors in bits 11:8.
    pub data: ReadWrite<u32>,
    /// Receive errors; a write clears them.
    pub receive_status: ReadWrite<u32>,
    _reserved_0: Reserved<0x10>,
    /// State of the queues.
    pub flags: ReadOnly<u32>,
    _reserved_1: Reserved<8>,
    /// Baud rate divisor, integer.
    pub divisor_integer: ReadWrite<u32>,
    /// Baud rate divisor, 64ths.
    pub divisor_fraction: ReadWrite<u32>,
    /// Line: word length, FIFO.
    pub line_control: ReadWrite<u32>,
    /// Control: enable.
    pub control: ReadWrite<u32>,
    /// When the queues interrupt.
    pub fifo_level: ReadWrite<u32>,
    /// Interrupts let through.
    pub interrupt_mask: ReadWrite<u32>,
    /// Interrupts, before the mask.
    pub interrupt_raw: ReadOnly<u32>,
    /// Interrupts, after the mask.
    pub interrupt_status: ReadOnly<u32>,
    /// Write 1 to clear.
    pub interrupt_clear: WriteOnly<u32>,
}

const _: () = {
    assert!(core::mem::offset_of!(Registers, flags) == 0x18);
    assert!(core::mem::offset_of!(Registers, line_control) == 0x2c);
    assert!(core::mem::offset_of!(Registers, interrupt_clear) == 0x44);
};

/// As many bytes can be sent as the queue has places.
const TRANSMIT_EMPTY: u32 = 1 << 7;
/// As many bytes were received as the queue has places.
const RECEIVE_FULL: u32 = 1 << 6;
/// Places of each queue in every revision (DDI 0183, 1.1: 16; 32 from r1p5 on).
const QUEUE_PLACES: u32 = 16;
/// Nothing was received.
const RECEIVE_EMPTY: u32 = 1 << 4;
/// No room to send.
const TRANSMIT_FULL: u32 = 1 << 5;
/// Bytes were received, or wait for longer than 32 bit times.
const RECEIVE_INTERRUPTS: u32 = (1 << 4) | (1 << 6);
/// All interrupts the device has.
const ALL_INTERRUPTS: u32 = 0x7ff;
/// UART, transmitter and receiver enabled.
const ENABLE_ALL: u32 = 1 | (1 << 8) | (1 << 9);
/// Eight bits, FIFO on.
const EIGHT_BITS_FIFO: u32 = (0b11 << 5) | (1 << 4);
/// A send waits for room at most this many polls (then the byte is dropped): nobody hangs on a port.
const SEND_POLLS: u32 = 1_000_000;

/// A serial port.
#[derive(Clone, Copy)]
pub struct Pl011(&'static Registers);

impl Pl011 {
    /// The port with these registers.
    #[must_use]
    pub const fn new(registers: &'static Registers) -> Self {
        Self(registers)
    }

    /// Eight bits, no parity, FIFOs on, no interrupts.
    pub fn enable(&self) {
        self.0.control.write(0);
        self.0.interrupt_mask.write(0);
        self.0.interrupt_clear.write(ALL_INTERRUPTS);
        self.0.line_control.write(EIGHT_BITS_FIFO);
        self.0.control.write(ENABLE_ALL);
    }

    /// Lets the receive interrupts through.
    pub fn enable_receive_interrupt(&self) {
        self.0.interrupt_mask.write(RECEIVE_INTERRUPTS);
    }

    /// Clears every interrupt that is latched.
    pub fn clear_interrupts(&self) {
        self.0.interrupt_clear.write(ALL_INTERRUPTS);
    }

    /// True if a byte can be sent now.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.0.flags.read() & TRANSMIT_FULL == 0
    }

    /// Sends a byte where there is room for it now; false where there is none.
    #[must_use]
    pub fn try_send(&self, byte: u8) -> bool {
        let has_room = self.can_send();
        if has_room {
            self.0.data.write(u32::from(byte));
        }
        has_room
    }

    /// Sends bytes as far as there is room for them now; how many. Looks at the flags as seldom as it can: on an
    /// emulator each access to a register is dear.
    pub fn send_now(&self, bytes: &[u8]) -> usize {
        let mut free = 0;
        for (sent, byte) in bytes.iter().enumerate() {
            if free == 0 {
                free = match self.0.flags.read() {
                    flags if flags & TRANSMIT_EMPTY != 0 => QUEUE_PLACES,
                    flags if flags & TRANSMIT_FULL == 0 => 1,
                    _ => return sent,
                };
            }
            self.0.data.write(u32::from(*byte));
            free -= 1;
        }
        bytes.len()
    }

    /// Sends a byte; waits for room, but not for ever. False where the byte was dropped.
    pub fn send(&self, byte: u8) -> bool {
        for _ in 0..SEND_POLLS {
            if self.try_send(byte) {
                return true;
            }
            arch::barrier::yield_now();
        }
        false
    }

    /// How many received bytes can be taken with [`Pl011::take`] without looking again; 0 = there is none.
    #[must_use]
    pub fn received(&self) -> u32 {
        match self.0.flags.read() {
            flags if flags & RECEIVE_FULL != 0 => QUEUE_PLACES,
            flags if flags & RECEIVE_EMPTY == 0 => 1,
            _ => 0,
        }
    }

    /// The next received byte; what it is where none was received is not defined.
    #[must_use]
    pub fn take(&self) -> u8 {
        (self.0.data.read() & 0xff) as u8
    }

    /// A received byte, if there is one.
    #[must_use]
    pub fn receive(&self) -> Option<u8> {
        (self.received() > 0).then(|| self.take())
    }
}

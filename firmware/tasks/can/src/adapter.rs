//! The adapter between us and the bus: SLCAN over the secure serial port.

use crate::plan;
use board::pl011::Pl011;
use can::Frame;
use can::slcan::{BIT_RATES, Line, Malformed, Parser, encode};

/// The channel is not opened again sooner than this after the last time, microseconds.
const REOPEN_AFTER_US: u64 = 100_000;

/// The adapter.
pub struct Adapter {
    port: Pl011,
    parser: Parser,
    bit_rate: u8,
    opened_us: u64,
    /// Bytes the port is known to have.
    received: u32,
    /// Lines that were cut because the port took no more.
    pub cut: u64,
}

impl Adapter {
    /// The port, ready to receive with its interrupt; the channel is not open.
    pub fn new(bits_per_s: u32) -> Self {
        // SAFETY: the description gives this task the PL011 at that address and nobody else; the kernel maps it there
        // as device memory, for ever.
        let registers = unsafe { arch::mmio::block(plan::PERIPHERAL_CAN_UART_BASE) };
        let port = Pl011::new(registers);
        port.enable();
        port.enable_receive_interrupt();
        let bit_rate = BIT_RATES.iter().position(|rate| *rate == bits_per_s);
        Self {
            port,
            parser: Parser::new(),
            bit_rate: bit_rate.unwrap_or(6) as u8,
            opened_us: 0,
            received: 0,
            cut: 0,
        }
    }

    /// Opens the channel, whatever state it was left in.
    pub fn open(&mut self, now_us: u64) {
        self.opened_us = now_us;
        for line in [Line::Close, Line::BitRate(self.bit_rate), Line::Open] {
            self.send(&line);
        }
    }

    /// Sends a line as far as there is room for it: never waits.
    pub fn send(&mut self, line: &Line) {
        let line = encode(line);
        let bytes = line.as_bytes();
        if self.port.send_now(bytes) < bytes.len() {
            self.cut += 1;
        }
    }

    /// A byte from the port, if it has one.
    pub fn receive(&mut self) -> Option<u8> {
        if self.received == 0 {
            self.received = self.port.received();
        }
        self.received = self.received.checked_sub(1)?;
        Some(self.port.take())
    }

    /// A frame, where that byte ends one. An error of the adapter means that it was changed or started anew: the
    /// channel is opened again.
    pub fn line(&mut self, byte: u8, now_us: u64) -> Option<Result<Frame, Malformed>> {
        match self.parser.push(byte)? {
            Ok(Line::Frame(frame)) => Some(Ok(frame)),
            Ok(Line::Failed) => {
                if now_us.saturating_sub(self.opened_us) >= REOPEN_AFTER_US {
                    self.open(now_us);
                }
                None
            }
            Ok(_) => None,
            Err(malformed) => Some(Err(malformed)),
        }
    }
}

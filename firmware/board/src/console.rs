//! The console: polled, small, a line at a time.
//!
//! Several cores and worlds share the port and no lock, so a stage collects a [`Line`] and
//! sends it in one go: lines may still meet, letters of one stage stay together.

use crate::pl011::Pl011;
use crate::plan::PERIPHERAL_CONSOLE_UART_BASE;

/// Longest line in bytes; what is longer is cut.
pub const LINE_BYTES: usize = 120;

/// The console's port.
#[must_use]
pub fn port() -> Pl011 {
    // SAFETY: the description's console-uart is QEMU's VIRT_UART, 4 KiB; stages that print map
    // it at its physical address.
    Pl011::new(unsafe { arch::mmio::block(PERIPHERAL_CONSOLE_UART_BASE) })
}

/// Sends text; a line feed gets its carriage return.
pub fn write_str(text: &str) {
    let port = port();
    for byte in text.bytes() {
        if byte == b'\n' {
            port.send(b'\r');
        }
        port.send(byte);
    }
}

/// A line in the making: `Line::new("monitor").text("core ").decimal(1).end()`.
pub struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Line {
    /// Starts a line with the stage's name: `stage: `.
    #[must_use]
    pub fn new(stage: &str) -> Self {
        let line = Self {
            bytes: [0; LINE_BYTES],
            length: 0,
        };
        line.text(stage).text(": ")
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Adds text; bytes that do not print become `?`.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.push(if (b' '..=b'~').contains(&byte) {
                byte
            } else {
                b'?'
            });
        }
        self
    }

    /// Adds `0x` and the number, without leading zeroes.
    #[must_use]
    pub fn hex(self, value: u64) -> Self {
        self.text("0x").digits(value, 16)
    }

    /// Adds the number.
    #[must_use]
    pub fn decimal(self, value: u64) -> Self {
        self.digits(value, 10)
    }

    fn digits(mut self, mut value: u64, base: u64) -> Self {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        loop {
            let digit = (value % base) as u8;
            value /= base;
            first -= 1;
            digits[first] = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
            if value == 0 {
                break;
            }
        }
        for &digit in &digits[first..] {
            self.push(digit);
        }
        self
    }

    /// What the line says so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Sends the line.
    pub fn end(self) {
        let port = port();
        for &byte in self.as_bytes() {
            port.send(byte);
        }
        port.send(b'\r');
        port.send(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_written() {
        let line = Line::new("monitor")
            .text("core ")
            .decimal(0)
            .text(" at ")
            .hex(u64::MAX);
        assert_eq!(line.as_bytes(), b"monitor: core 0 at 0xffffffffffffffff");
        assert_eq!(
            Line::new("").decimal(u64::MAX).as_bytes(),
            b": 18446744073709551615"
        );
    }

    #[test]
    fn long_lines_are_cut_and_odd_bytes_masked() {
        let mut line = Line::new("x").text("a\x1bb");
        assert_eq!(line.as_bytes(), b"x: a?b");
        for _ in 0..LINE_BYTES {
            line = line.text("z");
        }
        assert_eq!(line.as_bytes().len(), LINE_BYTES);
    }
}

//! SLCAN: CAN frames as lines of ASCII, as USB-CAN adapters speak it (Lawicel CAN232 manual).
//!
//! `t` + 3 hexadecimal digits of identifier, `T` + 8, `r`/`R` for remote frames, one digit of length, two per byte,
//! carriage return. `S0` to `S8` set the bit rate, `O` and `C` open and close; a lone carriage return means done, BEL an error.

use crate::{Frame, Identifier, MAX_DATA_BYTES};

/// Longest line of classic CAN, with its carriage return: `T`, 8, 1, 16, CR.
pub const MAX_LINE_BYTES: usize = 27;
/// Ends a line; alone: done.
pub const CARRIAGE_RETURN: u8 = b'\r';
/// Answers a command that failed.
pub const BELL: u8 = 7;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A frame.
    Frame(Frame),
    /// Open the channel.
    Open,
    /// Close the channel.
    Close,
    /// Set the bit rate to one of [`BIT_RATES`], by index.
    BitRate(u8),
    /// The last command is done.
    Done,
    /// The last command failed.
    Failed,
}

/// Bits per second of `S0` to `S8`.
pub const BIT_RATES: [u32; 9] = [
    10_000, 20_000, 50_000, 100_000, 125_000, 250_000, 500_000, 800_000, 1_000_000,
];

/// A line that is none of [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Collects lines from bytes. Holds one line at most; what is longer is dropped up to its end.
#[derive(Debug, Clone)]
pub struct Parser {
    line: [u8; MAX_LINE_BYTES],
    length: usize,
    too_long: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// At the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            line: [0; MAX_LINE_BYTES],
            length: 0,
            too_long: false,
        }
    }

    /// Takes one byte; a line where it ended one.
    pub fn push(&mut self, byte: u8) -> Option<Result<Line, Malformed>> {
        match byte {
            BELL => {
                self.reset();
                Some(Ok(Line::Failed))
            }
            CARRIAGE_RETURN => {
                let result = if self.too_long {
                    Err(Malformed)
                } else {
                    parse(&self.line[..self.length])
                };
                self.reset();
                Some(result)
            }
            byte => {
                match self.line.get_mut(self.length) {
                    Some(place) => {
                        *place = byte;
                        self.length += 1;
                    }
                    None => self.too_long = true,
                }
                None
            }
        }
    }

    fn reset(&mut self) {
        self.length = 0;
        self.too_long = false;
    }
}

/// Reads a line without its carriage return.
fn parse(line: &[u8]) -> Result<Line, Malformed> {
    match line {
        [] | [b'z' | b'Z'] => Ok(Line::Done),
        [b'O'] => Ok(Line::Open),
        [b'C'] => Ok(Line::Close),
        [b'S', rate @ b'0'..=b'8'] => Ok(Line::BitRate(rate - b'0')),
        [kind @ (b't' | b'T' | b'r' | b'R'), rest @ ..] => {
            parse_frame(*kind, rest).ok_or(Malformed).map(Line::Frame)
        }
        _ => Err(Malformed),
    }
}

fn parse_frame(kind: u8, rest: &[u8]) -> Option<Frame> {
    let extended = kind.is_ascii_uppercase();
    let (identifier, rest) = rest.split_at_checked(if extended { 8 } else { 3 })?;
    let number = hex(identifier)?;
    let identifier = if extended {
        Identifier::extended(number)?
    } else {
        Identifier::standard(number as u16)?
    };
    let (length, data) = rest.split_first()?;
    let length = hex(&[*length])? as usize;
    if length > MAX_DATA_BYTES {
        return None;
    }
    if kind.eq_ignore_ascii_case(&b'r') {
        return if data.is_empty() {
            Frame::remote(identifier, length as u8)
        } else {
            None
        };
    }
    if data.len() != length * 2 {
        return None;
    }
    let mut bytes = [0; MAX_DATA_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(data.chunks_exact(2)) {
        *byte = hex(digits)? as u8;
    }
    Frame::new(identifier, &bytes[..length])
}

/// Up to eight hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let digit = (*digit as char).to_digit(16)?;
        Some((value << 4) | digit)
    })
}

/// An encoded line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; MAX_LINE_BYTES],
    length: usize,
}

impl Encoded {
    /// Its bytes, with the carriage return.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn push_hex(&mut self, value: u32, digits: u32) {
        for digit in (0..digits).rev() {
            let nibble = (value >> (4 * digit)) & 0xf;
            self.push(b"0123456789ABCDEF"[nibble as usize]);
        }
    }
}

/// Writes a line.
#[must_use]
pub fn encode(line: &Line) -> Encoded {
    let mut out = Encoded {
        bytes: [0; MAX_LINE_BYTES],
        length: 0,
    };
    match line {
        Line::Frame(frame) => encode_frame(frame, &mut out),
        Line::Open => out.push(b'O'),
        Line::Close => out.push(b'C'),
        Line::BitRate(rate) => {
            out.push(b'S');
            out.push(b'0' + (*rate).min(8));
        }
        Line::Done => {}
        Line::Failed => {
            out.push(BELL);
            return out;
        }
    }
    out.push(CARRIAGE_RETURN);
    out
}

fn encode_frame(frame: &Frame, out: &mut Encoded) {
    let kind = if frame.is_remote() { b'r' } else { b't' };
    match frame.identifier() {
        Identifier::Standard(number) => {
            out.push(kind);
            out.push_hex(number.into(), 3);
        }
        Identifier::Extended(number) => {
            out.push(kind.to_ascii_uppercase());
            out.push_hex(number, 8);
        }
    }
    out.push_hex(frame.length() as u32, 1);
    for byte in frame.data() {
        out.push_hex((*byte).into(), 2);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn feed(parser: &mut Parser, bytes: &[u8]) -> Vec<Result<Line, Malformed>> {
        bytes.iter().filter_map(|byte| parser.push(*byte)).collect()
    }

    #[test]
    fn every_frame_survives_the_way_there_and_back() {
        let mut parser = Parser::new();
        for length in 0..=8_u8 {
            let data: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ 0xa5).collect();
            for identifier in [
                Identifier::Standard(0),
                Identifier::Standard(0x7ff),
                Identifier::Extended(0x1fff_ffff),
            ] {
                let frames = [
                    Frame::new(identifier, &data),
                    Frame::remote(identifier, length),
                ];
                for frame in frames.into_iter().flatten() {
                    let line = Line::Frame(frame);
                    let encoded = encode(&line);
                    assert!(encoded.as_bytes().len() <= MAX_LINE_BYTES);
                    assert_eq!(feed(&mut parser, encoded.as_bytes()), [Ok(line)]);
                }
            }
        }
        for line in [
            Line::Open,
            Line::Close,
            Line::BitRate(6),
            Line::Done,
            Line::Failed,
        ] {
            assert_eq!(feed(&mut parser, encode(&line).as_bytes()), [Ok(line)]);
        }
    }

    #[test]
    fn malformed_lines_are_refused_and_the_next_is_read() {
        let mut parser = Parser::new();
        for bad in [
            &b"t8001AA\r"[..],
            b"t1239AABB\r",
            b"t1232AAB\r",
            b"t1231AABB\r",
            b"t12g1AA\r",
            b"T200000000\r",
            b"x\r",
            b"S9\r",
            b"r1230AA\r",
            b"tttttttttttttttttttttttttttttttttttttt\r",
            b"t\r",
            b"O1\r",
            b"t12318\xff\r",
        ] {
            assert_eq!(feed(&mut parser, bad), [Err(Malformed)], "{bad:?}");
            assert_eq!(feed(&mut parser, b"O\r"), [Ok(Line::Open)]);
        }
    }

    #[test]
    fn any_bytes_never_panic_and_lines_are_counted() {
        let mut seed = 11_u64;
        let mut parser = Parser::new();
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = (seed >> 33) as u8;
            let byte = if byte < 128 {
                b"tTrR0189AFf\rSOC\x07"[usize::from(byte) % 16]
            } else {
                byte
            };
            let ended = parser.push(byte).is_some();
            assert_eq!(ended, matches!(byte, CARRIAGE_RETURN | BELL));
        }
    }
}

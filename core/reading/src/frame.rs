//! Length-prefixed frames on a byte stream.

use crate::record::{Error, MAX_BODY_BYTES};
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};

/// Most bytes of a frame, without its length.
pub const MAX_FRAME_BYTES: usize = 1024;
/// Most bytes a frame adds to a body: length, array head, sequence number.
pub const FRAME_OVERHEAD_BYTES: usize = 2 + 1 + 9;

const _: () = assert!(MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES <= MAX_FRAME_BYTES + 2);

/// A frame from the device: which, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Number of the record; each new record has the next one.
    pub sequence: u64,
    /// The record's body, undecoded.
    pub body: &'a [u8],
}

/// An acknowledgement: everything up to and with this sequence number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack(pub u64);

/// Writes the frame of a body to `out`; the number of bytes.
///
/// # Errors
/// Where `out` is too small or the body too long.
pub fn encode_frame(sequence: u64, body: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Error::TooLong);
    }
    with_length(
        out,
        |encoder| {
            encoder.array(2)?.u64(sequence)?;
            Ok(())
        },
        body,
    )
}

/// Writes the frame of an acknowledgement to `out`; the number of bytes.
///
/// # Errors
/// Where `out` is too small.
pub fn encode_ack(ack: Ack, out: &mut [u8]) -> Result<usize, Error> {
    with_length(
        out,
        |encoder| {
            encoder.array(1)?.u64(ack.0)?;
            Ok(())
        },
        &[],
    )
}

type CborEncoder<'a> = Encoder<Cursor<&'a mut [u8]>>;
type CborResult = Result<(), minicbor::encode::Error<minicbor::encode::write::EndOfSlice>>;

fn with_length(
    out: &mut [u8],
    head: impl FnOnce(&mut CborEncoder<'_>) -> CborResult,
    tail: &[u8],
) -> Result<usize, Error> {
    let (length, rest) = out.split_at_mut_checked(2).ok_or(Error::TooLong)?;
    let mut encoder = Encoder::new(Cursor::new(&mut *rest));
    head(&mut encoder).map_err(|_| Error::TooLong)?;
    let head_bytes = encoder.writer().position();
    let total = head_bytes + tail.len();
    rest.get_mut(head_bytes..total)
        .ok_or(Error::TooLong)?
        .copy_from_slice(tail);
    let total_16 = u16::try_from(total).map_err(|_| Error::TooLong)?;
    length.copy_from_slice(&total_16.to_be_bytes());
    Ok(total + 2)
}

impl<'a> Frame<'a> {
    /// Reads the contents of a frame (without its length).
    ///
    /// # Errors
    /// Where it is not `[sequence, body]`.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        if decoder.array().map_err(|_| Error::Malformed)? != Some(2) {
            return Err(Error::Malformed);
        }
        let sequence = decoder.u64().map_err(|_| Error::Malformed)?;
        let body = &bytes[decoder.position()..];
        if body.is_empty() || body.len() > MAX_BODY_BYTES {
            return Err(Error::Malformed);
        }
        Ok(Self { sequence, body })
    }
}

impl Ack {
    /// Reads the contents of an acknowledgement's frame.
    ///
    /// # Errors
    /// Where it is not `[sequence]`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        if decoder.array().map_err(|_| Error::Malformed)? != Some(1) {
            return Err(Error::Malformed);
        }
        let sequence = decoder.u64().map_err(|_| Error::Malformed)?;
        if decoder.position() != bytes.len() {
            return Err(Error::Malformed);
        }
        Ok(Self(sequence))
    }
}

/// A length no frame has: the stream is not ours, or lost its place, and must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameError(pub u16);

/// Finds frames in a stream that comes in pieces. Holds one frame at most.
pub struct Deframer {
    bytes: [u8; MAX_FRAME_BYTES + 2],
    filled: usize,
    taken: usize,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// At the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; MAX_FRAME_BYTES + 2],
            filled: 0,
            taken: 0,
        }
    }

    /// Takes as many of `input`'s bytes as belong to the next frame, and says how many; call [`Deframer::next`] after
    /// each, until all of `input` is taken.
    pub fn push(&mut self, input: &[u8]) -> usize {
        self.drop_taken();
        let mut count = 0;
        while count < input.len() {
            let wanted = match self.wanted() {
                Some(total) if self.filled >= total => break,
                Some(total) => total - self.filled,
                None => 2 - self.filled,
            };
            let step = wanted
                .min(input.len() - count)
                .min(self.bytes.len() - self.filled);
            if step == 0 {
                break;
            }
            self.bytes[self.filled..self.filled + step]
                .copy_from_slice(&input[count..count + step]);
            self.filled += step;
            count += step;
        }
        count
    }

    /// The contents of the frame that is complete, if one is.
    ///
    /// # Errors
    /// A length of 0 or more than [`MAX_FRAME_BYTES`].
    #[allow(
        clippy::should_implement_trait,
        reason = "it lends from itself, which no iterator can"
    )]
    pub fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        self.drop_taken();
        if self.filled < 2 {
            return Ok(None);
        }
        let length = u16::from_be_bytes([self.bytes[0], self.bytes[1]]);
        if length == 0 || usize::from(length) > MAX_FRAME_BYTES {
            return Err(FrameError(length));
        }
        let total = usize::from(length) + 2;
        if self.filled < total {
            return Ok(None);
        }
        self.taken = total;
        Ok(Some(&self.bytes[2..total]))
    }

    /// Bytes of the frame that has begun, with its length, once that is known; at most the buffer.
    fn wanted(&self) -> Option<usize> {
        if self.filled < 2 {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([self.bytes[0], self.bytes[1]]));
        Some((length + 2).min(self.bytes.len()))
    }

    fn drop_taken(&mut self) {
        if self.taken > 0 {
            self.bytes.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn frames_survive_any_cutting() {
        let mut stream = Vec::new();
        for sequence in [0, 23, 24, 256, u64::MAX] {
            let mut out = [0; 64];
            let count =
                encode_frame(sequence, &[0x81, 0x05, sequence as u8], &mut out).expect("fits");
            stream.extend_from_slice(&out[..count]);
        }
        for piece in 1..stream.len() {
            let mut deframer = Deframer::new();
            let mut found = Vec::new();
            for chunk in stream.chunks(piece) {
                let mut left = chunk;
                while !left.is_empty() {
                    let count = deframer.push(left);
                    left = &left[count..];
                    while let Some(bytes) = deframer.next().expect("lengths are good") {
                        found.push(Frame::decode(bytes).expect("frame").sequence);
                    }
                }
            }
            assert_eq!(found, [0, 23, 24, 256, u64::MAX], "pieces of {piece}");
        }
    }

    #[test]
    fn impossible_lengths_are_refused() {
        for length in [0_u16, 1025, u16::MAX] {
            let mut deframer = Deframer::new();
            deframer.push(&length.to_be_bytes());
            assert_eq!(deframer.next(), Err(FrameError(length)));
        }
    }

    #[test]
    fn acks_survive() {
        let mut out = [0; 16];
        let count = encode_ack(Ack(1_000_000), &mut out).expect("fits");
        assert_eq!(Ack::decode(&out[2..count]), Ok(Ack(1_000_000)));
        assert_eq!(Ack::decode(&[0x82, 1, 2]), Err(Error::Malformed));
    }
}

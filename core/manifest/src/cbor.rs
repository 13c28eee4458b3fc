//! A small CBOR decoder (RFC 8949): definite lengths, shortest forms, ascending keys; anything else is refused.
//!
//! Ours because it lives in the boot ROM: a general decoder is six times its size.

use crate::{Error, MAX_DOCUMENT_BYTES};

/// Deepest nesting that [`Decoder::skip`] steps over.
const MAX_DEPTH: u32 = 8;

/// Major types (RFC 8949 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Major {
    /// 0: a number from 0 on.
    Unsigned,
    /// 1: a number below 0.
    Negative,
    /// 2: bytes.
    Bytes,
    /// 3: text.
    Text,
    /// 4: an array.
    Array,
    /// 5: a map.
    Map,
    /// 6: a tag.
    Tag,
    /// 7: false, true, null ...
    Simple,
}

/// What is left to be read.
pub struct Decoder<'a> {
    rest: &'a [u8],
}

/// A decoder over all of `bytes`.
pub fn open(bytes: &[u8]) -> Result<Decoder<'_>, Error> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::TooLong);
    }
    Ok(Decoder { rest: bytes })
}

impl<'a> Decoder<'a> {
    /// Everything has been read.
    pub fn close(&self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Trailing)
        }
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The major type of what comes next.
    pub fn next_major(&self) -> Result<Major, Error> {
        let first = self.rest.first().ok_or(Error::Malformed)?;
        Ok(match first >> 5 {
            0 => Major::Unsigned,
            1 => Major::Negative,
            2 => Major::Bytes,
            3 => Major::Text,
            4 => Major::Array,
            5 => Major::Map,
            6 => Major::Tag,
            _ => Major::Simple,
        })
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Error> {
        let count = usize::try_from(count).map_err(|_| Error::Malformed)?;
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The argument of the next item, which must be of type `major` and in its shortest form.
    #[inline(never)]
    fn head(&mut self, major: Major) -> Result<u64, Error> {
        if self.next_major()? != major {
            return Err(Error::Malformed);
        }
        let first = self.take(1)?.first().copied().unwrap_or(0) & 0x1f;
        let bytes = match first {
            0..=23 => return Ok(u64::from(first)),
            24..=27 => 1_u64 << (first - 24),
            _ => return Err(Error::Malformed),
        };
        let taken = self.take(bytes)?;
        let argument = taken
            .iter()
            .fold(0, |number, &byte| number << 8 | u64::from(byte));
        let shortest = match bytes {
            1 => argument >= 24,
            2 => argument > 0xff,
            4 => argument > 0xffff,
            _ => argument > 0xffff_ffff,
        };
        if shortest {
            Ok(argument)
        } else {
            Err(Error::Malformed)
        }
    }

    /// A number from 0 on.
    pub fn unsigned(&mut self) -> Result<u64, Error> {
        self.head(Major::Unsigned)
    }

    /// A number from 0 to 255.
    pub fn small(&mut self) -> Result<u8, Error> {
        u8::try_from(self.unsigned()?).map_err(|_| Error::Malformed)
    }

    /// A number of 63 bits, negative or not.
    pub fn integer(&mut self) -> Result<i64, Error> {
        if self.next_major()? == Major::Negative {
            let number = self.head(Major::Negative)?;
            return i64::try_from(number)
                .map(|n| !n)
                .map_err(|_| Error::Malformed);
        }
        i64::try_from(self.unsigned()?).map_err(|_| Error::Malformed)
    }

    /// A byte string.
    #[inline(never)]
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.head(Major::Bytes)?;
        self.take(length)
    }

    /// A byte string of exactly `N` bytes.
    pub fn fixed<const N: usize>(&mut self) -> Result<&'a [u8; N], Error> {
        self.bytes()?.try_into().map_err(|_| Error::Malformed)
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        let length = self.head(Major::Text)?;
        core::str::from_utf8(self.take(length)?).map_err(|_| Error::Malformed)
    }

    /// The length of the array that begins here.
    pub fn array(&mut self) -> Result<u64, Error> {
        self.head(Major::Array)
    }

    /// An array of exactly `length` entries begins here.
    pub fn array_of(&mut self, length: u64) -> Result<(), Error> {
        if self.array()? == length {
            Ok(())
        } else {
            Err(Error::Malformed)
        }
    }

    /// The number of pairs of the map that begins here.
    pub fn map(&mut self) -> Result<u64, Error> {
        self.head(Major::Map)
    }

    /// Tag `number` stands here.
    pub fn tag(&mut self, number: u64) -> Result<(), Error> {
        if self.head(Major::Tag)? == number {
            Ok(())
        } else {
            Err(Error::Malformed)
        }
    }

    /// `true` stands here.
    pub fn is_true(&mut self) -> Result<(), Error> {
        self.simple(21)
    }

    /// `null` stands here.
    pub fn null(&mut self) -> Result<(), Error> {
        self.simple(22)
    }

    fn simple(&mut self, number: u64) -> Result<(), Error> {
        if self.head(Major::Simple)? == number {
            Ok(())
        } else {
            Err(Error::Malformed)
        }
    }

    /// Steps over one item, whatever it is.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.skip_in(MAX_DEPTH)
    }

    fn skip_in(&mut self, depth: u32) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or(Error::TooMany)?;
        let major = self.next_major()?;
        let argument = self.head(major)?;
        let items = match major {
            Major::Unsigned | Major::Negative | Major::Simple => 0,
            Major::Bytes | Major::Text => {
                self.take(argument)?;
                0
            }
            Major::Array => argument,
            Major::Map => argument.checked_mul(2).ok_or(Error::Malformed)?,
            Major::Tag => 1,
        };
        // Each item takes a byte at least, so this ends with the input.
        for _ in 0..items {
            self.skip_in(depth)?;
        }
        Ok(())
    }
}

/// The integer keys of a map, in RFC 8949 deterministic order: 0, 1, 2 .. then -1, -2 ..
#[derive(Default)]
pub struct Keys {
    last: Option<u64>,
}

impl Keys {
    /// The next key.
    pub fn next(&mut self, decoder: &mut Decoder<'_>) -> Result<i64, Error> {
        let key = decoder.integer()?;
        let rank = if key < 0 {
            (1 << 63) | key.unsigned_abs()
        } else {
            key.unsigned_abs()
        };
        if self.last.is_some_and(|last| last >= rank) {
            return Err(Error::Order);
        }
        self.last = Some(rank);
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8949 appendix A, and what differs from it by being longer than needed.
    #[test]
    fn numbers_of_the_standard_are_read_in_their_shortest_form_only() {
        for (bytes, number) in [
            (&[0x17][..], 23),
            (&[0x18, 0x18], 24),
            (&[0x19, 0x03, 0xe8], 1000),
            (&[0x1a, 0x00, 0x0f, 0x42, 0x40], 1_000_000),
            (
                &[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0],
                1_000_000_000_000,
            ),
            (&[0x20], -1),
            (&[0x38, 0x63], -100),
        ] {
            let mut decoder = open(bytes).expect("short");
            assert_eq!(decoder.integer(), Ok(number));
            assert_eq!(decoder.close(), Ok(()));
            for cut in 0..bytes.len() {
                assert_eq!(
                    open(&bytes[..cut]).expect("short").integer(),
                    Err(Error::Malformed)
                );
            }
        }
        for bytes in [
            &[0x18, 0x17][..],
            &[0x19, 0, 0xff],
            &[0x1c],
            &[0x1f],
            &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(
                open(bytes).expect("short").integer(),
                Err(Error::Malformed),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn skipping_is_bounded() {
        let mut decoder = open(&[0x82, 0xa1, 0x01, 0x61, b'x', 0xc1, 0x40, 0x05]).expect("short");
        assert_eq!(decoder.skip(), Ok(()));
        assert_eq!(decoder.unsigned(), Ok(5));
        assert_eq!(
            open(&[0x81; 100]).expect("short").skip(),
            Err(Error::TooMany)
        );
        assert_eq!(
            open(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
                .expect("short")
                .skip(),
            Err(Error::Malformed)
        );
    }
}

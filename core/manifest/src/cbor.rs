//! Steps shared by all readers: definite lengths only, ascending keys only.

use crate::{Error, MAX_DOCUMENT_BYTES};
use minicbor::Decoder;
use minicbor::data::Tag;

impl From<minicbor::decode::Error> for Error {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::Malformed
    }
}

/// A decoder over all of `bytes`.
pub fn open(bytes: &[u8]) -> Result<Decoder<'_>, Error> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Error::TooLong);
    }
    Ok(Decoder::new(bytes))
}

/// Everything has been read.
pub fn close(decoder: &Decoder<'_>) -> Result<(), Error> {
    if decoder.position() == decoder.input().len() {
        Ok(())
    } else {
        Err(Error::Trailing)
    }
}

/// The length of the array that begins here.
pub fn array(decoder: &mut Decoder<'_>) -> Result<u64, Error> {
    decoder.array()?.ok_or(Error::Malformed)
}

/// An array of exactly `length` entries begins here.
pub fn array_of(decoder: &mut Decoder<'_>, length: u64) -> Result<(), Error> {
    if array(decoder)? == length {
        Ok(())
    } else {
        Err(Error::Malformed)
    }
}

/// The number of pairs of the map that begins here.
pub fn map(decoder: &mut Decoder<'_>) -> Result<u64, Error> {
    decoder.map()?.ok_or(Error::Malformed)
}

/// Tag `number` stands here.
pub fn tag(decoder: &mut Decoder<'_>, number: u64) -> Result<(), Error> {
    if decoder.tag()? == Tag::new(number) {
        Ok(())
    } else {
        Err(Error::Malformed)
    }
}

/// A byte string of exactly `N` bytes.
pub fn fixed<'a, const N: usize>(decoder: &mut Decoder<'a>) -> Result<&'a [u8; N], Error> {
    decoder.bytes()?.try_into().map_err(|_| Error::Malformed)
}

/// The integer keys of a map, in RFC 8949 deterministic order: 0, 1, 2 .. then -1, -2 ..
#[derive(Default)]
pub struct Keys {
    last: Option<u64>,
}

impl Keys {
    /// The next key.
    pub fn next(&mut self, decoder: &mut Decoder<'_>) -> Result<i64, Error> {
        let key = decoder.i64()?;
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

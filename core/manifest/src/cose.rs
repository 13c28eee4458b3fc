//! COSE_Sign1 with a detached payload, and the bytes a COSE signature covers.

use crate::cbor::Decoder;
use crate::{Error, cbor};

/// ECDSA with P-256 and SHA-256 (RFC 9053 section 2.1).
pub const ES256: i64 = -7;
/// ML-DSA-65 (RFC 9964).
pub const ML_DSA_65: i64 = -49;
/// COSE_Sign1 (RFC 9052 section 4.2).
pub const TAG_SIGN1: u64 = 18;
/// COSE_Sign (RFC 9052 section 4.1).
pub const TAG_SIGN: u64 = 98;

/// Longest protected header, in bytes.
const MAX_PROTECTED_BYTES: usize = 64;
/// Longest external or body header plus fixed parts of a Sig_structure, in bytes.
const MAX_FRAME_BYTES: usize = 3 * MAX_PROTECTED_BYTES;

/// One signature and what its protected header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The encoded protected header, as it goes into the Sig_structure.
    pub protected: &'a [u8],
    /// `alg` (label 1).
    pub algorithm: i64,
    /// `kid` (label 4) in the protected header; empty where there is none.
    pub key: &'a [u8],
    /// The signature itself.
    pub signature: &'a [u8],
}

/// Reads a tagged COSE_Sign1 whose payload is detached.
///
/// # Errors
/// Where `bytes` are anything else.
pub fn sign1(bytes: &[u8]) -> Result<Signature<'_>, Error> {
    let mut decoder = cbor::open(bytes)?;
    decoder.tag(TAG_SIGN1)?;
    decoder.array_of(4)?;
    let (protected, algorithm, key) = headers(&mut decoder)?;
    decoder.null()?;
    let signature = decoder.bytes()?;
    decoder.close()?;
    Ok(Signature {
        protected,
        algorithm,
        key,
        signature,
    })
}

/// Reads one COSE_Signature of a COSE_Sign.
pub(crate) fn signature<'a>(decoder: &mut Decoder<'a>) -> Result<Signature<'a>, Error> {
    decoder.array_of(3)?;
    let (protected, algorithm, key) = headers(decoder)?;
    Ok(Signature {
        protected,
        algorithm,
        key,
        signature: decoder.bytes()?,
    })
}

/// Protected header (`alg`, perhaps `kid`), then an unprotected one, which must be empty:
/// nothing unsigned shall steer us.
fn headers<'a>(decoder: &mut Decoder<'a>) -> Result<(&'a [u8], i64, &'a [u8]), Error> {
    let protected = decoder.bytes()?;
    if protected.len() > MAX_PROTECTED_BYTES {
        return Err(Error::TooLong);
    }
    let mut inner = cbor::open(protected)?;
    let (mut algorithm, mut key) = (None, &[][..]);
    let mut keys = cbor::Keys::default();
    for _ in 0..inner.map()? {
        match keys.next(&mut inner)? {
            1 => algorithm = Some(inner.integer()?),
            4 => key = inner.bytes()?,
            _ => return Err(Error::Unsupported),
        }
    }
    inner.close()?;
    if decoder.map()? != 0 {
        return Err(Error::Unsupported);
    }
    Ok((protected, algorithm.ok_or(Error::Missing)?, key))
}

/// Which structure a signature belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context<'a> {
    /// A COSE_Sign1.
    Signature1,
    /// A signer of a COSE_Sign whose own protected header is given.
    Signature(&'a [u8]),
}

/// The bytes of a Sig_structure (RFC 9052 section 4.4) up to the payload's own bytes;
/// the payload follows. In two parts so that long payloads need not be copied.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    bytes: [u8; MAX_FRAME_BYTES],
    length: usize,
}

impl Frame {
    /// The frame for a signature with the encoded header `protected` over `payload_bytes` bytes.
    ///
    /// # Errors
    /// Where a header is too long.
    pub fn new(context: Context, protected: &[u8], payload_bytes: usize) -> Result<Self, Error> {
        let mut frame = Self {
            bytes: [0; MAX_FRAME_BYTES],
            length: 0,
        };
        match context {
            Context::Signature1 => {
                frame.head(4, 4)?;
                frame.text("Signature1")?;
                frame.string(protected)?;
            }
            Context::Signature(body) => {
                frame.head(4, 5)?;
                frame.text("Signature")?;
                frame.string(body)?;
                frame.string(protected)?;
            }
        }
        frame.string(&[])?;
        frame.head(2, payload_bytes)?;
        Ok(frame)
    }

    /// The bytes that come before the payload.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        self.head(3, text.len())?;
        self.put(text.as_bytes())
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.head(2, bytes.len())?;
        self.put(bytes)
    }

    /// A CBOR head (RFC 8949 section 3): major type and argument, in its shortest form.
    fn head(&mut self, major: u8, argument: usize) -> Result<(), Error> {
        let major = major << 5;
        match argument {
            0..=23 => self.put(&[major | argument as u8]),
            24..=0xff => self.put(&[major | 24, argument as u8]),
            0x100..=0xffff => {
                let [high, low] = (argument as u16).to_be_bytes();
                self.put(&[major | 25, high, low])
            }
            _ => Err(Error::TooLong),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.length.saturating_add(bytes.len());
        let place = self.bytes.get_mut(self.length..end);
        place.ok_or(Error::TooLong)?.copy_from_slice(bytes);
        self.length = end;
        Ok(())
    }
}

//! Envelope and manifest (draft-ietf-suit-manifest-37), as far as a boot needs them.
//!
//! At boot the shared sequence, then `validate`, `load` and `invoke` are read (section 6.4); what fetches and installs
//! (`payload-fetch`, `install`) is stepped over. Conditions and parameters are collected per component; commands
//! that branch (try-each, run-sequence, swap ...) are refused: a boot manifest says one thing.
//!
//! Parameters of ours (negative numbers are left to applications): [`PARAMETER_LOAD_ADDRESS`] and the ones beside it.

use crate::cbor::Decoder;
use crate::cbor::Major;
use crate::cose::{self, Signature};
use crate::{DIGEST_BYTES, Error, MAX_COMPONENTS, cbor};

/// SUIT_Envelope_Tagged.
pub const TAG_ENVELOPE: u64 = 107;
/// The manifest version we know (`suit-manifest-version`).
pub const MANIFEST_VERSION: u64 = 1;
/// SHA-256 as a COSE algorithm (RFC 9054 section 2.1).
pub const SHA_256: i64 = -16;
/// Most signatures on an envelope.
pub const MAX_SIGNATURES: usize = 4;
/// Parameter of ours: physical address the component is loaded to.
pub const PARAMETER_LOAD_ADDRESS: i64 = -1;
/// Parameter of ours: physical address of the first instruction.
pub const PARAMETER_ENTRY: i64 = -2;
/// Parameter of ours: compression of the stored bytes; 1 = one LZ4 block.
pub const PARAMETER_COMPRESSION: i64 = -3;
/// Parameter of ours: bytes in memory after decompression.
pub const PARAMETER_MEMORY_BYTES: i64 = -4;
/// `suit-parameter-encryption-info` (draft-ietf-suit-firmware-encryption-26).
pub const PARAMETER_ENCRYPTION_INFO: i64 = 19;

/// Most commands in one sequence.
const MAX_COMMANDS: u64 = 512;

/// An envelope as it was read; nothing in it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The encoded SUIT_Digest: the payload of every signature.
    pub digest_payload: &'a [u8],
    /// The SHA-256 in it, of [`Envelope::covered`].
    pub digest: &'a [u8; DIGEST_BYTES],
    /// The manifest.
    pub manifest: &'a [u8],
    /// The manifest with its byte string's head: what the digest is of.
    pub covered: &'a [u8],
    signatures: [Option<Signature<'a>>; MAX_SIGNATURES],
}

impl<'a> Envelope<'a> {
    /// Reads a tagged envelope.
    ///
    /// # Errors
    /// Where `bytes` are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = cbor::open(bytes)?;
        decoder.tag(TAG_ENVELOPE)?;
        let (mut authentication, mut manifest) = (None, None);
        let mut keys = cbor::Keys::default();
        for _ in 0..decoder.map()? {
            if decoder.next_major()? == Major::Text {
                // An integrated payload: ours lie in the slot.
                decoder.text()?;
                decoder.skip()?;
                continue;
            }
            match keys.next(&mut decoder)? {
                2 => authentication = Some(decoder.bytes()?),
                3 => {
                    let from = decoder.rest();
                    let inner = decoder.bytes()?;
                    let length = from.len().saturating_sub(decoder.rest().len());
                    let covered = from.get(..length).ok_or(Error::Malformed)?;
                    manifest = Some((inner, covered));
                }
                // Severed members.
                16 | 20 | 23 => decoder.skip()?,
                _ => return Err(Error::Unsupported),
            }
        }
        decoder.close()?;
        let (digest_payload, digest, signatures) =
            Self::authentication(authentication.ok_or(Error::Missing)?)?;
        let (manifest, covered) = manifest.ok_or(Error::Missing)?;
        Ok(Self {
            digest_payload,
            digest,
            manifest,
            covered,
            signatures,
        })
    }

    #[expect(
        clippy::type_complexity,
        reason = "three parts of one structure, used once"
    )]
    fn authentication(
        bytes: &'a [u8],
    ) -> Result<
        (
            &'a [u8],
            &'a [u8; DIGEST_BYTES],
            [Option<Signature<'a>>; MAX_SIGNATURES],
        ),
        Error,
    > {
        let mut decoder = cbor::open(bytes)?;
        let count = decoder.array()?.checked_sub(1).ok_or(Error::Missing)?;
        let digest_payload = decoder.bytes()?;
        let digest = parse_digest(digest_payload)?;
        let mut signatures = [None; MAX_SIGNATURES];
        let places = signatures.get_mut(..count as usize);
        for place in places.ok_or(Error::TooMany)? {
            *place = Some(cose::sign1(decoder.bytes()?)?);
        }
        decoder.close()?;
        Ok((digest_payload, digest, signatures))
    }

    /// Every signature.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature<'a>> + Clone {
        self.signatures.iter().flatten()
    }
}

fn parse_digest(bytes: &[u8]) -> Result<&[u8; DIGEST_BYTES], Error> {
    let mut decoder = cbor::open(bytes)?;
    decoder.array_of(2)?;
    if decoder.integer()? != SHA_256 {
        return Err(Error::Unsupported);
    }
    let digest = decoder.fixed()?;
    decoder.close()?;
    Ok(digest)
}

/// How a component's stored bytes become its bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// They are the same.
    #[default]
    None,
    /// One LZ4 block without a length in front.
    Lz4,
}

/// What the manifest says about one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Component<'a> {
    /// First part of its identifier.
    pub id: &'a [u8],
    /// The vendor whose devices it is for (RFC 9562 UUID).
    pub vendor: Option<&'a [u8; 16]>,
    /// The class of devices it is for (RFC 9562 UUID).
    pub class: Option<&'a [u8; 16]>,
    /// SHA-256 of the stored bytes.
    pub digest: Option<&'a [u8; DIGEST_BYTES]>,
    /// Number of stored bytes.
    pub size: Option<u64>,
    /// Physical address it is loaded to.
    pub load_address: Option<u64>,
    /// Physical address of its first instruction.
    pub entry: Option<u64>,
    /// How the bytes are stored.
    pub compression: Compression,
    /// Bytes in memory, where they are compressed.
    pub memory_bytes: Option<u64>,
    /// How the bytes are encrypted: a COSE_Encrypt, encoded.
    pub encryption_info: Option<&'a [u8]>,
    /// Version text.
    pub version: &'a str,
    /// `condition-vendor-identifier` is demanded.
    pub checks_vendor: bool,
    /// `condition-class-identifier` is demanded.
    pub checks_class: bool,
    /// `condition-image-match` is demanded.
    pub checks_image: bool,
    /// `directive-invoke` names it.
    pub invoked: bool,
}

/// A manifest as it was read; nothing in it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// Number that grows with every release.
    pub sequence: u64,
    count: usize,
    components: [Component<'a>; MAX_COMPONENTS],
}

impl<'a> Manifest<'a> {
    /// Reads a manifest, and what it commands, into one entry per component.
    ///
    /// # Errors
    /// Where `bytes` are none, or command what a boot manifest must not.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = cbor::open(bytes)?;
        let mut manifest = Self {
            sequence: 0,
            count: 0,
            components: [Component::default(); MAX_COMPONENTS],
        };
        let (mut version, mut sequence) = (false, false);
        let mut keys = cbor::Keys::default();
        for _ in 0..decoder.map()? {
            match keys.next(&mut decoder)? {
                1 if decoder.unsigned()? == MANIFEST_VERSION => version = true,
                1 => return Err(Error::Version),
                2 => {
                    manifest.sequence = decoder.unsigned()?;
                    sequence = true;
                }
                3 => manifest.common(decoder.bytes()?)?,
                4 => {
                    decoder.text()?;
                }
                7..=9 => manifest.sequence(decoder.bytes()?)?,
                16 | 20 => decoder.skip()?,
                23 if decoder.next_major()? == Major::Bytes => manifest.text(decoder.bytes()?)?,
                23 => decoder.skip()?,
                _ => return Err(Error::Unsupported),
            }
        }
        decoder.close()?;
        if !version || !sequence || manifest.count == 0 {
            return Err(Error::Missing);
        }
        Ok(manifest)
    }

    /// The components, in the manifest's order.
    #[must_use]
    pub fn components(&self) -> &[Component<'a>] {
        self.components.get(..self.count).unwrap_or(&[])
    }

    fn common(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let mut decoder = cbor::open(bytes)?;
        let mut keys = cbor::Keys::default();
        for _ in 0..decoder.map()? {
            match keys.next(&mut decoder)? {
                2 => self.identifiers(&mut decoder)?,
                4 => self.sequence(decoder.bytes()?)?,
                _ => return Err(Error::Unsupported),
            }
        }
        decoder.close()
    }

    fn identifiers(&mut self, decoder: &mut Decoder<'a>) -> Result<(), Error> {
        self.count = decoder.array()? as usize;
        let places = self.components.get_mut(..self.count);
        for place in places.ok_or(Error::TooMany)? {
            place.id = identifier(decoder)?;
        }
        for (index, component) in self.components().iter().enumerate() {
            let earlier = self.components().get(..index).unwrap_or(&[]);
            if earlier.iter().any(|other| other.id == component.id) {
                return Err(Error::Order);
            }
        }
        Ok(())
    }

    /// Runs through a command sequence.
    fn sequence(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let mut decoder = cbor::open(bytes)?;
        let length = decoder.array()?;
        if length % 2 != 0 {
            return Err(Error::Malformed);
        }
        if length / 2 > MAX_COMMANDS {
            return Err(Error::TooMany);
        }
        let mut selected = Selection::One(0);
        for _ in 0..length / 2 {
            match decoder.integer()? {
                12 => selected = self.selection(&mut decoder)?,
                20 => self.parameters(&selected, &mut decoder)?,
                command @ (1 | 2 | 3 | 23) => {
                    // The reporting policy: there is no one to report to.
                    decoder.unsigned()?;
                    self.each(&selected, |component| match command {
                        1 => component.checks_vendor = true,
                        2 => component.checks_class = true,
                        3 => component.checks_image = true,
                        _ => component.invoked = true,
                    })?;
                }
                _ => return Err(Error::Unsupported),
            }
        }
        decoder.close()
    }

    fn selection(&self, decoder: &mut Decoder<'a>) -> Result<Selection, Error> {
        if decoder.next_major()? == Major::Simple {
            decoder.is_true()?;
            return Ok(Selection::All);
        }
        let index = decoder.small()? as usize;
        if index < self.count {
            Ok(Selection::One(index))
        } else {
            Err(Error::Malformed)
        }
    }

    fn each(
        &mut self,
        selected: &Selection,
        mut change: impl FnMut(&mut Component<'a>),
    ) -> Result<(), Error> {
        let components = self.components.get_mut(..self.count);
        let components = components.ok_or(Error::TooMany)?;
        match selected {
            Selection::All => components.iter_mut().for_each(change),
            Selection::One(index) => change(components.get_mut(*index).ok_or(Error::Malformed)?),
        }
        Ok(())
    }

    /// `directive-override-parameters`.
    fn parameters(&mut self, selected: &Selection, decoder: &mut Decoder<'a>) -> Result<(), Error> {
        let mut keys = cbor::Keys::default();
        for _ in 0..decoder.map()? {
            match keys.next(decoder)? {
                1 => {
                    let vendor = Some(decoder.fixed()?);
                    self.each(selected, |c| c.vendor = vendor)?;
                }
                2 => {
                    let class = Some(decoder.fixed()?);
                    self.each(selected, |c| c.class = class)?;
                }
                3 => {
                    let digest = Some(parse_digest(decoder.bytes()?)?);
                    self.each(selected, |c| c.digest = digest)?;
                }
                14 => {
                    let size = Some(decoder.unsigned()?);
                    self.each(selected, |c| c.size = size)?;
                }
                PARAMETER_ENCRYPTION_INFO => {
                    let information = Some(decoder.bytes()?);
                    self.each(selected, |c| c.encryption_info = information)?;
                }
                // Where to fetch it from: nothing for a boot.
                21 => {
                    decoder.text()?;
                }
                PARAMETER_LOAD_ADDRESS => {
                    let address = Some(decoder.unsigned()?);
                    self.each(selected, |c| c.load_address = address)?;
                }
                PARAMETER_ENTRY => {
                    let entry = Some(decoder.unsigned()?);
                    self.each(selected, |c| c.entry = entry)?;
                }
                PARAMETER_COMPRESSION => {
                    let compression = match decoder.small()? {
                        0 => Compression::None,
                        1 => Compression::Lz4,
                        _ => return Err(Error::Unsupported),
                    };
                    self.each(selected, |c| c.compression = compression)?;
                }
                PARAMETER_MEMORY_BYTES => {
                    let bytes = Some(decoder.unsigned()?);
                    self.each(selected, |c| c.memory_bytes = bytes)?;
                }
                _ => return Err(Error::Unsupported),
            }
        }
        Ok(())
    }

    /// Picks the components' versions out of the text: `{ language: { [id]: { 6: version } } }`.
    fn text(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let mut decoder = cbor::open(bytes)?;
        for _ in 0..decoder.map()? {
            decoder.text()?;
            for _ in 0..decoder.map()? {
                if decoder.next_major()? != Major::Array {
                    decoder.skip()?;
                    decoder.skip()?;
                    continue;
                }
                let id = identifier(&mut decoder)?;
                for _ in 0..decoder.map()? {
                    if decoder.integer()? != 6 {
                        decoder.skip()?;
                        continue;
                    }
                    let version = decoder.text()?;
                    let known = self.components.iter_mut().take(self.count);
                    for component in known.filter(|component| component.id == id) {
                        component.version = version;
                    }
                }
            }
        }
        decoder.close()
    }
}

/// Which components a command is about.
enum Selection {
    All,
    One(usize),
}

/// The first part of a SUIT_Component_Identifier; the others are stepped over.
fn identifier<'a>(decoder: &mut Decoder<'a>) -> Result<&'a [u8], Error> {
    let parts = decoder.array()?;
    if parts == 0 {
        return Err(Error::Missing);
    }
    let id = decoder.bytes()?;
    for _ in 1..parts {
        decoder.bytes()?;
    }
    Ok(id)
}

//! The writer, for hosts: the same structures, encoded deterministically (RFC 8949 section 4.2).

use crate::cose::{self, ES256, ML_DSA_65};
use crate::{keys, slot, suit};
use alloc::vec::Vec;
use core::convert::Infallible;
use minicbor::Encoder;
use minicbor::data::Tag;

type Failed = minicbor::encode::Error<Infallible>;
type Output<'a> = &'a mut Encoder<Vec<u8>>;

/// Writing into a growing vector cannot fail.
fn encoded(write: impl FnOnce(Output) -> Result<(), Failed>) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    if let Err(error) = write(&mut encoder) {
        unreachable!("a vector refused bytes: {error}");
    }
    encoder.into_writer()
}

/// What the manifest shall say about one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component<'a> {
    /// Its name.
    pub name: &'a str,
    /// Version text.
    pub version: &'a str,
    /// SHA-256 of the stored bytes.
    pub digest: [u8; 32],
    /// Number of stored bytes.
    pub size: u64,
    /// Physical address it is loaded to.
    pub load_address: u64,
    /// Physical address of its first instruction.
    pub entry: Option<u64>,
    /// Bytes in memory where the stored bytes are one LZ4 block.
    pub lz4_memory_bytes: Option<u64>,
    /// Whether it is the one that is started.
    pub invoked: bool,
}

/// A SUIT manifest.
#[must_use]
pub fn manifest(
    sequence: u64,
    vendor: &[u8; 16],
    class: &[u8; 16],
    components: &[Component],
) -> Vec<u8> {
    let common = encoded(|e| {
        e.map(2)?.u8(2)?.array(components.len() as u64)?;
        for component in components {
            e.array(1)?.bytes(component.name.as_bytes())?;
        }
        e.u8(4)?.bytes(&shared(vendor, class, components))?;
        Ok(())
    });
    let validate = encoded(|e| {
        e.array(4)?.u8(12)?.bool(true)?.u8(3)?.u8(15)?;
        Ok(())
    });
    let invoke = encoded(|e| {
        let invoked = components.iter().enumerate().filter(|(_, c)| c.invoked);
        e.array(4 * invoked.clone().count() as u64)?;
        for (index, _) in invoked {
            e.u8(12)?.u64(index as u64)?.u8(23)?.u8(2)?;
        }
        Ok(())
    });
    encoded(|e| {
        e.map(6)?.u8(1)?.u64(suit::MANIFEST_VERSION)?;
        e.u8(2)?.u64(sequence)?;
        e.u8(3)?.bytes(&common)?;
        e.u8(7)?.bytes(&validate)?;
        e.u8(9)?.bytes(&invoke)?;
        e.u8(23)?.bytes(&text(components))?;
        Ok(())
    })
}

/// The shared sequence: identity for all, then each component's parameters.
fn shared(vendor: &[u8; 16], class: &[u8; 16], components: &[Component]) -> Vec<u8> {
    encoded(|e| {
        e.array(8 + 4 * components.len() as u64)?;
        e.u8(12)?.bool(true)?;
        e.u8(20)?
            .map(2)?
            .u8(1)?
            .bytes(vendor)?
            .u8(2)?
            .bytes(class)?;
        e.u8(1)?.u8(15)?.u8(2)?.u8(15)?;
        for (index, component) in components.iter().enumerate() {
            e.u8(12)?.u64(index as u64)?.u8(20)?;
            let entry = u64::from(component.entry.is_some());
            let packed = 2 * u64::from(component.lz4_memory_bytes.is_some());
            e.map(3 + entry + packed)?;
            e.u8(3)?.bytes(&digest(&component.digest))?;
            e.u8(14)?.u64(component.size)?;
            e.i64(suit::PARAMETER_LOAD_ADDRESS)?
                .u64(component.load_address)?;
            if let Some(entry) = component.entry {
                e.i64(suit::PARAMETER_ENTRY)?.u64(entry)?;
            }
            if let Some(bytes) = component.lz4_memory_bytes {
                e.i64(suit::PARAMETER_COMPRESSION)?.u8(1)?;
                e.i64(suit::PARAMETER_MEMORY_BYTES)?.u64(bytes)?;
            }
        }
        Ok(())
    })
}

/// The text: each component's version.
fn text(components: &[Component]) -> Vec<u8> {
    encoded(|e| {
        e.map(1)?.str("en")?.map(components.len() as u64)?;
        for component in components {
            e.array(1)?.bytes(component.name.as_bytes())?;
            e.map(1)?.u8(6)?.str(component.version)?;
        }
        Ok(())
    })
}

/// A SUIT_Digest of SHA-256.
#[must_use]
pub fn digest(digest: &[u8; 32]) -> Vec<u8> {
    encoded(|e| {
        e.array(2)?.i64(suit::SHA_256)?.bytes(digest)?;
        Ok(())
    })
}

/// `manifest` as the byte string in an envelope: what its digest is of.
#[must_use]
pub fn covered(manifest: &[u8]) -> Vec<u8> {
    encoded(|e| {
        e.bytes(manifest)?;
        Ok(())
    })
}

/// The encoded protected header for an algorithm and perhaps a key number.
#[must_use]
pub fn protected(algorithm: i64, key: Option<u8>) -> Vec<u8> {
    encoded(|e| {
        e.map(1 + u64::from(key.is_some()))?.u8(1)?.i64(algorithm)?;
        if let Some(key) = key {
            e.u8(4)?.bytes(&[key])?;
        }
        Ok(())
    })
}

/// The bytes a signature covers.
#[must_use]
pub fn to_be_signed(context: cose::Context, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    match cose::Frame::new(context, protected, payload.len()) {
        Ok(frame) => [frame.bytes(), payload].concat(),
        Err(error) => unreachable!("our own header is short: {error:?}"),
    }
}

/// An envelope; signatures are (algorithm, signature) over [`digest`] of `manifest_digest`.
#[must_use]
pub fn envelope(
    manifest: &[u8],
    manifest_digest: &[u8; 32],
    signatures: &[(i64, Vec<u8>)],
) -> Vec<u8> {
    let authentication = encoded(|e| {
        e.array(1 + signatures.len() as u64)?
            .bytes(&digest(manifest_digest))?;
        for (algorithm, signature) in signatures {
            e.bytes(&encoded(|e| {
                e.tag(Tag::new(cose::TAG_SIGN1))?.array(4)?;
                e.bytes(&protected(*algorithm, None))?
                    .map(0)?
                    .null()?
                    .bytes(signature)?;
                Ok(())
            }))?;
        }
        Ok(())
    });
    encoded(|e| {
        e.tag(Tag::new(suit::TAG_ENVELOPE))?.map(2)?;
        e.u8(2)?.bytes(&authentication)?.u8(3)?.bytes(manifest)?;
        Ok(())
    })
}

/// A root key set; keys are (P-256, ML-DSA-65).
#[must_use]
pub fn root_keys(threshold: u8, pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    encoded(|e| {
        e.array(3)?
            .u32(keys::VERSION)?
            .u8(threshold)?
            .array(pairs.len() as u64)?;
        for (p256, ml_dsa) in pairs {
            e.array(2)?.bytes(p256)?.bytes(ml_dsa)?;
        }
        Ok(())
    })
}

/// The payload of a key certificate; keys are (role, index, P-256, ML-DSA-65).
#[must_use]
pub fn certificate_payload(
    sequence: u64,
    certified: &[(keys::Role, u32, Vec<u8>, Vec<u8>)],
) -> Vec<u8> {
    encoded(|e| {
        e.array(3)?
            .u32(keys::VERSION)?
            .u64(sequence)?
            .array(certified.len() as u64)?;
        for (role, index, p256, ml_dsa) in certified {
            e.array(4)?
                .u32(role.number())?
                .u32(*index)?
                .bytes(p256)?
                .bytes(ml_dsa)?;
        }
        Ok(())
    })
}

/// A key certificate; signatures are (algorithm, root key number, signature).
#[must_use]
pub fn certificate(payload: &[u8], signatures: &[(i64, u8, Vec<u8>)]) -> Vec<u8> {
    encoded(|e| {
        e.tag(Tag::new(cose::TAG_SIGN))?
            .array(4)?
            .bytes(&[])?
            .map(0)?
            .bytes(payload)?;
        e.array(signatures.len() as u64)?;
        for (algorithm, key, signature) in signatures {
            e.array(3)?
                .bytes(&protected(*algorithm, Some(*key)))?
                .map(0)?
                .bytes(signature)?;
        }
        Ok(())
    })
}

/// Both algorithms, in the order they are written.
pub const ALGORITHMS: [i64; 2] = [ES256, ML_DSA_65];

/// A whole slot: header page, then every entry at its alignment.
#[must_use]
pub fn slot(entries: &[(slot::Kind, &[u8])]) -> Vec<u8> {
    let mut bytes = alloc::vec![0xff; slot::HEADER_BYTES];
    let mut header = Vec::from(slot::MAGIC);
    header.extend((entries.len() as u32).to_le_bytes());
    for (kind, content) in entries {
        let padding = bytes.len().next_multiple_of(slot::ALIGNMENT);
        bytes.resize(padding, 0xff);
        for word in [kind.number(), bytes.len() as u32, content.len() as u32] {
            header.extend(word.to_le_bytes());
        }
        bytes.extend_from_slice(content);
    }
    bytes[..header.len()].copy_from_slice(&header);
    bytes
}

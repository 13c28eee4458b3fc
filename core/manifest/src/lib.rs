//! The signed manifest: a bounded reader and writer for the SUIT and COSE structures we use.
//!
//! | module | reads | source |
//! |---|---|---|
//! | [`fuses`] | the one-time-programmable sector | ours |
//! | [`slot`] | the header of a flash slot | ours |
//! | [`keys`] | root public keys, key certificate (COSE_Sign) | RFC 9052, RFC 9053, RFC 9964 |
//! | [`cose`] | COSE_Sign1 and its Sig_structure | RFC 9052 sections 4.2 and 4.4 |
//! | [`suit`] | envelope and manifest | draft-ietf-suit-manifest-37 |
//!
//! Reading decides nothing: whether what was read may be believed is `core/verify`'s business.
//! Every length and count is limited, nothing is allocated, no input makes it panic.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod cbor;
pub mod cose;
#[cfg(test)]
mod examples;
pub mod fuses;
pub mod keys;
pub mod slot;
pub mod suit;
#[cfg(feature = "write")]
pub mod write;

/// Most components one manifest lists.
pub const MAX_COMPONENTS: usize = 32;
/// Largest envelope, key certificate or root key set that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// Bytes of a SHA-256 digest.
pub const DIGEST_BYTES: usize = 32;
/// Bytes of an uncompressed P-256 point (SEC 1 section 2.3.3).
pub const P256_KEY_BYTES: usize = 65;
/// Bytes of an ML-DSA-65 public key (FIPS 204 table 2).
pub const ML_DSA_65_KEY_BYTES: usize = 1952;
/// Bytes of an ES256 signature (RFC 9053 section 2.1).
pub const P256_SIGNATURE_BYTES: usize = 64;
/// Bytes of an ML-DSA-65 signature (FIPS 204 table 2).
pub const ML_DSA_65_SIGNATURE_BYTES: usize = 3309;

/// Why a document cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Longer than [`MAX_DOCUMENT_BYTES`].
    TooLong,
    /// Not the CBOR that belongs there: cut short, another type, a wrong tag.
    Malformed,
    /// Bytes left over behind the end.
    Trailing,
    /// A map's keys are not in ascending order, or one occurs twice.
    Order,
    /// More entries than there is room for.
    TooMany,
    /// A version we do not know.
    Version,
    /// A command, parameter or algorithm we do not know; it must not be ignored.
    Unsupported,
    /// Something that must be there is not.
    Missing,
}

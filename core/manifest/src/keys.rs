//! Public keys: the root key set, whose digest is burned, and the certificate it signs.
//!
//! Root key set: `[1, threshold, [[p256, ml-dsa-65], ...]]`. At least `threshold` of its keys must sign.
//!
//! Key certificate: COSE_Sign (tag 98), payload `[1, sequence, [[role, index, p256, ml-dsa-65], ...]]`, for every
//! signing root key one ES256 and one ML-DSA-65 signature, its number as `kid` (one byte).
//! `index` tells keys of one role apart, so that one can be revoked and the next take over.

use crate::cbor::Decoder;
use crate::cose::{self, Signature};
use crate::{Error, ML_DSA_65_KEY_BYTES, P256_KEY_BYTES, cbor};

/// Version of both structures.
pub const VERSION: u32 = 1;
/// Most root keys.
pub const MAX_ROOT_KEYS: usize = 4;
/// Most keys in a certificate.
pub const MAX_KEYS: usize = 8;
/// Most signatures on a certificate: two per root key.
pub const MAX_SIGNATURES: usize = 2 * MAX_ROOT_KEYS;

/// One signer's pair of public keys; both must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPair<'a> {
    /// P-256, uncompressed point (SEC 1).
    pub p256: &'a [u8; P256_KEY_BYTES],
    /// ML-DSA-65 (FIPS 204 pkEncode).
    pub ml_dsa_65: &'a [u8; ML_DSA_65_KEY_BYTES],
}

fn key_pair<'a>(decoder: &mut Decoder<'a>) -> Result<KeyPair<'a>, Error> {
    Ok(KeyPair {
        p256: decoder.fixed()?,
        ml_dsa_65: decoder.fixed()?,
    })
}

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Key certificates.
    Root,
    /// Loader and system manifests.
    Boot,
    /// A partition's images.
    Guest,
    /// Applications inside a partition.
    Application,
    /// Images for devices whose life cycle allows debugging.
    Debug,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Root,
        Self::Boot,
        Self::Guest,
        Self::Application,
        Self::Debug,
    ];

    /// The number that stands in the certificate.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Boot => 1,
            Self::Guest => 2,
            Self::Application => 3,
            Self::Debug => 4,
        }
    }

    /// The name people use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Boot => "boot",
            Self::Guest => "guest",
            Self::Application => "application",
            Self::Debug => "debug",
        }
    }
}

/// The root public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootKeys<'a> {
    /// How many of them must sign.
    pub threshold: usize,
    keys: [Option<KeyPair<'a>>; MAX_ROOT_KEYS],
}

impl<'a> RootKeys<'a> {
    /// Reads a root key set.
    ///
    /// # Errors
    /// Where `bytes` are none, or the threshold can never be met.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = cbor::open(bytes)?;
        decoder.array_of(3)?;
        if decoder.unsigned()? != u64::from(VERSION) {
            return Err(Error::Version);
        }
        let threshold = decoder.small()? as usize;
        let count = decoder.array()? as usize;
        let mut keys = [None; MAX_ROOT_KEYS];
        for place in keys.get_mut(..count).ok_or(Error::TooMany)? {
            decoder.array_of(2)?;
            *place = Some(key_pair(&mut decoder)?);
        }
        decoder.close()?;
        if threshold == 0 || threshold > count {
            return Err(Error::Malformed);
        }
        Ok(Self { threshold, keys })
    }

    /// Every root key with its number.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &KeyPair<'a>)> {
        self.keys
            .iter()
            .enumerate()
            .filter_map(|(index, key)| key.as_ref().map(|key| (index, key)))
    }
}

/// One key that the certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertifiedKey<'a> {
    /// What it may sign, as [`Role::number`].
    pub role: u32,
    /// Which of its role's keys it is.
    pub index: u32,
    /// The keys.
    pub keys: KeyPair<'a>,
}

/// A key certificate as it was read; nothing in it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCertificate<'a> {
    /// The body's encoded protected header.
    pub protected: &'a [u8],
    /// What the signatures cover.
    pub payload: &'a [u8],
    /// Number that grows with every certificate issued.
    pub sequence: u64,
    signatures: [Option<Signature<'a>>; MAX_SIGNATURES],
    keys: [Option<CertifiedKey<'a>>; MAX_KEYS],
}

impl<'a> KeyCertificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// Where `bytes` are none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = cbor::open(bytes)?;
        decoder.tag(cose::TAG_SIGN)?;
        decoder.array_of(4)?;
        let protected = decoder.bytes()?;
        if !protected.is_empty() || decoder.map()? != 0 {
            return Err(Error::Unsupported);
        }
        let payload = decoder.bytes()?;
        let count = decoder.array()? as usize;
        let mut signatures = [None; MAX_SIGNATURES];
        for place in signatures.get_mut(..count).ok_or(Error::TooMany)? {
            *place = Some(cose::signature(&mut decoder)?);
        }
        decoder.close()?;
        let (sequence, keys) = Self::parse_payload(payload)?;
        Ok(Self {
            protected,
            payload,
            sequence,
            signatures,
            keys,
        })
    }

    fn parse_payload(
        payload: &'a [u8],
    ) -> Result<(u64, [Option<CertifiedKey<'a>>; MAX_KEYS]), Error> {
        let mut decoder = cbor::open(payload)?;
        decoder.array_of(3)?;
        if decoder.unsigned()? != u64::from(VERSION) {
            return Err(Error::Version);
        }
        let sequence = decoder.unsigned()?;
        let count = decoder.array()? as usize;
        let mut keys = [None; MAX_KEYS];
        for place in keys.get_mut(..count).ok_or(Error::TooMany)? {
            decoder.array_of(4)?;
            *place = Some(CertifiedKey {
                role: u32::from(decoder.small()?),
                index: u32::from(decoder.small()?),
                keys: key_pair(&mut decoder)?,
            });
        }
        decoder.close()?;
        Ok((sequence, keys))
    }

    /// Every signature.
    pub fn signatures(&self) -> impl Iterator<Item = &Signature<'a>> + Clone {
        self.signatures.iter().flatten()
    }

    /// Every key it names.
    pub fn keys(&self) -> impl Iterator<Item = &CertifiedKey<'a>> {
        self.keys.iter().flatten()
    }

    /// The key of `role` with the lowest index.
    #[must_use]
    pub fn key(&self, role: Role) -> Option<&CertifiedKey<'a>> {
        self.keys()
            .filter(|key| key.role == role.number())
            .min_by_key(|key| key.index)
    }
}

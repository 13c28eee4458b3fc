//! Decides whether a manifest and its components may run: two signatures, digests, identity.
//!
//! The chain: burned digest -> [`root_keys`] -> [`key_certificate`] -> [`manifest`] -> [`VerifiedManifest::component`]
//! -> [`TrustedComponent::check`]. Each step returns a type that only it can make, and takes the one before, so
//! what was not verified cannot be used. Both signatures are always needed; there is no way to ask for one.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod decision;
mod place;
mod reason;
pub mod signature;
pub mod stages;

pub use place::{Placement, Region, place};
pub use reason::{NAME_BYTES, Reason, Refusal};

use ::manifest::cose::{self, Context, Frame, Signature};
use ::manifest::fuses::{self, Fuses};
use ::manifest::keys::{CertifiedKey, KeyCertificate, KeyPair, Role, RootKeys};
use ::manifest::suit::{Compression, Envelope, Manifest};
use decision::{Outcome, RUN, decide};
use signature::sha_256;

/// Names of the documents, as they stand in a [`Refusal`].
pub mod names {
    /// The one-time-programmable sector.
    pub const FUSES: &str = "fuses";
    /// The flash slot.
    pub const SLOT: &str = "slot";
    /// The root key set.
    pub const ROOT_KEYS: &str = "root keys";
    /// The key certificate.
    pub const CERTIFICATE: &str = "key certificate";
    /// The loader's manifest.
    pub const LOADER_MANIFEST: &str = "loader manifest";
    /// The manifest of everything else.
    pub const SYSTEM_MANIFEST: &str = "system manifest";
}

/// What the two signatures over one payload were found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcomes {
    /// The ES256 signature.
    pub es256: Outcome,
    /// The ML-DSA-65 signature.
    pub ml_dsa: Outcome,
    reason: Option<Reason>,
}

impl Outcomes {
    const NONE: Self = Self {
        es256: Outcome::REFUSED,
        ml_dsa: Outcome::REFUSED,
        reason: None,
    };

    /// Looks for both algorithms among `signatures` and checks them against `key`.
    #[inline(never)]
    fn check<'a, 'b: 'a>(
        key: &KeyPair,
        context: Context,
        signatures: &mut dyn Iterator<Item = &'a Signature<'b>>,
        payload: &[u8],
    ) -> Self {
        let mut outcomes = Self::NONE;
        let (mut has_es256, mut has_ml_dsa) = (false, false);
        for signature in signatures {
            let Ok(frame) = Frame::new(context, signature.protected, payload.len()) else {
                continue;
            };
            let parts = [frame.bytes(), payload];
            match signature.algorithm {
                cose::ES256 if !has_es256 => {
                    has_es256 = true;
                    outcomes.es256 = signature::es256(key, &parts, signature.signature);
                }
                cose::ML_DSA_65 if !has_ml_dsa => {
                    has_ml_dsa = true;
                    outcomes.ml_dsa = signature::ml_dsa_65(key, &parts, signature.signature);
                }
                _ => {}
            }
        }
        outcomes.reason = if !has_es256 {
            Some(Reason::NoEs256)
        } else if !has_ml_dsa {
            Some(Reason::NoMlDsa)
        } else if outcomes.es256 != Outcome::ES256 {
            Some(Reason::WrongEs256)
        } else if outcomes.ml_dsa != Outcome::ML_DSA {
            Some(Reason::WrongMlDsa)
        } else {
            None
        };
        outcomes
    }
}

/// Reads the one-time-programmable sector.
///
/// # Errors
/// Where it is blank or damaged.
pub fn fuses(sector: &[u8; fuses::BYTES]) -> Result<Fuses, Refusal> {
    fuses::read(sector).map_err(|error| Refusal::new(names::FUSES, error.into()))
}

/// Root keys whose digest is burned.
#[derive(Debug, Clone, Copy)]
pub struct TrustedRootKeys<'a>(RootKeys<'a>);

/// Takes `bytes` for the root keys if their SHA-256 is the burned one.
///
/// # Errors
/// Where it is another one, or they are no root keys.
pub fn root_keys<'a>(bytes: &'a [u8], fuses: &Fuses) -> Result<TrustedRootKeys<'a>, Refusal> {
    let refuse = |reason| Refusal::new(names::ROOT_KEYS, reason);
    if sha_256(&[bytes]) != fuses.root_keys_digest {
        return Err(refuse(Reason::RootKeysUnknown));
    }
    let keys = RootKeys::parse(bytes).map_err(|error| refuse(error.into()))?;
    Ok(TrustedRootKeys(keys))
}

/// A key certificate that enough root keys have signed.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedCertificate<'a> {
    certificate: KeyCertificate<'a>,
    /// SHA-256 of the whole certificate.
    pub digest: [u8; 32],
}

/// Verifies a key certificate: of at least as many root keys as their threshold says, both signatures.
///
/// # Errors
/// Where it is malformed, a signature that is there is wrong, or too few are there.
pub fn key_certificate<'a>(
    bytes: &'a [u8],
    roots: &TrustedRootKeys,
) -> Result<VerifiedCertificate<'a>, Refusal> {
    let refuse = |reason| Refusal::new(names::CERTIFICATE, reason);
    let certificate = KeyCertificate::parse(bytes).map_err(|error| refuse(error.into()))?;
    let mut signers = 0_usize;
    let mut first_reason = None;
    let mut verdict = decision::DO_NOT_RUN;
    for (number, key) in roots.0.keys() {
        if signed_by(&certificate, number).next().is_none() {
            continue;
        }
        let outcomes = certificate_signatures(&certificate, number, key);
        // The payload itself is signed: there is no digest in between.
        let decided = decide(outcomes.es256, outcomes.ml_dsa, Outcome::DIGEST);
        if decided == RUN && outcomes.reason.is_none() {
            signers = signers.saturating_add(1);
            verdict = decided;
        } else {
            first_reason = first_reason.or(outcomes.reason);
        }
    }
    if let Some(reason) = first_reason {
        return Err(refuse(reason));
    }
    if signers < roots.0.threshold {
        return Err(refuse(Reason::TooFewSigners));
    }
    if verdict != RUN {
        return Err(refuse(Reason::Disturbed));
    }
    Ok(VerifiedCertificate {
        certificate,
        digest: sha_256(&[bytes]),
    })
}

/// The signatures on `certificate` that claim to be of root key `number`.
fn signed_by<'a, 'b>(
    certificate: &'b KeyCertificate<'a>,
    number: usize,
) -> impl Iterator<Item = &'b Signature<'a>> {
    let claims = move |s: &&Signature| s.key.iter().map(|&key| key as usize).eq([number]);
    certificate.signatures().filter(claims)
}

/// The two signatures of root key `number` on `certificate`, checked against `key`: for those who only look.
#[must_use]
pub fn certificate_signatures(
    certificate: &KeyCertificate,
    number: usize,
    key: &KeyPair,
) -> Outcomes {
    let context = Context::Signature(certificate.protected);
    Outcomes::check(
        key,
        context,
        &mut signed_by(certificate, number),
        certificate.payload,
    )
}

/// Takes `bytes` for the key certificate whose `digest` an earlier stage verified and handed over.
///
/// # Errors
/// Where its digest is another one.
pub fn known_certificate<'a>(
    bytes: &'a [u8],
    digest: &[u8; 32],
) -> Result<VerifiedCertificate<'a>, Refusal> {
    let refuse = |reason| Refusal::new(names::CERTIFICATE, reason);
    if sha_256(&[bytes]) != *digest {
        return Err(refuse(Reason::CertificateChanged));
    }
    let certificate = KeyCertificate::parse(bytes).map_err(|error| refuse(error.into()))?;
    Ok(VerifiedCertificate {
        certificate,
        digest: *digest,
    })
}

impl<'a> VerifiedCertificate<'a> {
    /// The key in force for `role`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn key(&self, role: Role) -> Result<TrustedKey<'a>, Refusal> {
        let key = self.certificate.key(role);
        key.map(|key| TrustedKey(*key))
            .ok_or(Refusal::new(names::CERTIFICATE, Reason::NoKey))
    }
}

/// A key that the root keys vouch for.
#[derive(Debug, Clone, Copy)]
pub struct TrustedKey<'a>(CertifiedKey<'a>);

/// What this device is, and the oldest it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// SUIT vendor identifier.
    pub vendor: [u8; 16],
    /// SUIT class identifier.
    pub class: [u8; 16],
    /// Manifests with a lower sequence number are refused.
    pub minimum_sequence: u64,
}

/// A manifest with both signatures, for this device, not too old.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedManifest<'a>(Manifest<'a>);

/// The two signatures of `envelope`, checked against `key`: for those who only look.
#[must_use]
pub fn manifest_signatures(envelope: &Envelope, key: &TrustedKey) -> Outcomes {
    Outcomes::check(
        &key.0.keys,
        Context::Signature1,
        &mut envelope.signatures(),
        envelope.digest_payload,
    )
}

/// Verifies the envelope `bytes`, called `name`.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn manifest<'a>(
    name: &str,
    bytes: &'a [u8],
    key: &TrustedKey,
    identity: &Identity,
) -> Result<VerifiedManifest<'a>, Refusal> {
    let refuse = |reason| Refusal::new(name, reason);
    let envelope = Envelope::parse(bytes).map_err(|error| refuse(error.into()))?;
    let digest = Outcome::DIGEST.when(sha_256(&[envelope.covered]) == *envelope.digest);
    if digest != Outcome::DIGEST {
        return Err(refuse(Reason::WrongDigest));
    }
    let outcomes = manifest_signatures(&envelope, key);
    if let Some(reason) = outcomes.reason {
        return Err(refuse(reason));
    }
    if decide(outcomes.es256, outcomes.ml_dsa, digest) != RUN {
        return Err(refuse(Reason::Disturbed));
    }
    let manifest = Manifest::parse(envelope.manifest).map_err(|error| refuse(error.into()))?;
    if manifest.sequence < identity.minimum_sequence {
        return Err(refuse(Reason::OlderSequence));
    }
    for component in manifest.components() {
        if component.vendor != Some(&identity.vendor) {
            return Err(refuse(Reason::WrongVendor));
        }
        if component.class != Some(&identity.class) {
            return Err(refuse(Reason::WrongClass));
        }
    }
    Ok(VerifiedManifest(manifest))
}

impl<'a> VerifiedManifest<'a> {
    /// Its sequence number.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// How many components it lists.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.components().len()
    }

    /// Component number `index`, if the manifest says all that is needed about it.
    ///
    /// # Errors
    /// Where there is none, or something is missing or asked for that we do not do.
    pub fn component(&self, index: usize) -> Result<TrustedComponent<'a>, Refusal> {
        let Some(component) = self.0.components().get(index) else {
            return Err(Refusal::new("component", Reason::ComponentMissing));
        };
        let name =
            component_name(component.id).ok_or(Refusal::new("component", Reason::Incomplete))?;
        let refuse = |reason| Refusal::new(name, reason);
        if component.encryption_info.is_some() {
            return Err(refuse(Reason::Unsupported));
        }
        let (Some(digest), Some(size), Some(load_address)) =
            (component.digest, component.size, component.load_address)
        else {
            return Err(refuse(Reason::Incomplete));
        };
        let memory_bytes = match component.compression {
            Compression::None => size,
            Compression::Lz4 => component.memory_bytes.ok_or(refuse(Reason::Incomplete))?,
        };
        if !component.checks_image || component.version.len() > VERSION_BYTES {
            return Err(refuse(Reason::Incomplete));
        }
        if size == 0 || memory_bytes == 0 {
            return Err(refuse(Reason::Empty));
        }
        Ok(TrustedComponent {
            name,
            version: component.version,
            digest: *digest,
            stored_bytes: size,
            memory_bytes,
            load_address,
            entry: component.entry,
            compression: component.compression,
            invoked: component.invoked,
        })
    }
}

/// Longest version text, in bytes.
pub const VERSION_BYTES: usize = 16;

/// A component's name: 1 to 24 lower-case letters, digits and hyphens.
fn component_name(id: &[u8]) -> Option<&str> {
    let proper = |&b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if id.is_empty() || id.len() > NAME_BYTES || !id.iter().all(proper) {
        return None;
    }
    core::str::from_utf8(id).ok()
}

/// What a verified manifest says about one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustedComponent<'a> {
    /// Its name.
    pub name: &'a str,
    /// Version text.
    pub version: &'a str,
    /// SHA-256 of the stored bytes.
    pub digest: [u8; 32],
    /// Number of stored bytes.
    pub stored_bytes: u64,
    /// Number of bytes in memory.
    pub memory_bytes: u64,
    /// Physical address it is loaded to.
    pub load_address: u64,
    /// Physical address of its first instruction, where it has one.
    pub entry: Option<u64>,
    /// How it is stored.
    pub compression: Compression,
    /// Whether the manifest says to start it.
    pub invoked: bool,
}

/// Stored bytes that are what a verified manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedBytes<'a>(&'a [u8]);

impl<'a> VerifiedBytes<'a> {
    /// The bytes.
    #[must_use]
    pub const fn get(&self) -> &'a [u8] {
        self.0
    }
}

impl TrustedComponent<'_> {
    /// Whether `stored`, which must no longer change, are this component's stored bytes.
    ///
    /// # Errors
    /// Where their number or digest differs.
    pub fn check<'b>(&self, stored: &'b [u8]) -> Result<VerifiedBytes<'b>, Refusal> {
        let refuse = |reason| Refusal::new(self.name, reason);
        if stored.len() as u64 != self.stored_bytes {
            return Err(refuse(Reason::WrongSize));
        }
        let digest = Outcome::DIGEST.when(sha_256(&[stored]) == self.digest);
        if digest != Outcome::DIGEST {
            return Err(refuse(Reason::WrongDigest));
        }
        // The manifest's two signatures have been checked: without them `self` would not exist.
        if decide(Outcome::ES256, Outcome::ML_DSA, digest) != RUN {
            return Err(refuse(Reason::Disturbed));
        }
        Ok(VerifiedBytes(stored))
    }
}

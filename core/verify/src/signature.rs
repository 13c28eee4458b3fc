//! The two signature algorithms and the hash, and nothing else.

use crate::decision::Outcome;
use manifest::P256_KEY_BYTES;
use manifest::keys::KeyPair;
use ml_dsa::signature::MultipartVerifier;
use ml_dsa::{EncodedSignature, EncodedVerifyingKey, MlDsa65};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::elliptic_curve::point::AffineCoordinates;
use sha2::{Digest, Sha256};

/// SHA-256 of `parts`, one after the other.
#[must_use]
#[inline(never)]
pub fn sha_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether `signature` is `key`'s ES256 signature (RFC 9053 section 2.1) of `parts`.
#[must_use]
#[inline(never)]
pub fn es256(key: &KeyPair, parts: &[&[u8]], signature: &[u8]) -> Outcome {
    let Some(key) = p256_key(key.p256) else {
        return Outcome::REFUSED;
    };
    let Ok(signature) = p256::ecdsa::Signature::from_slice(signature) else {
        return Outcome::REFUSED;
    };
    Outcome::ES256.when(key.verify_prehash(&sha_256(parts), &signature).is_ok())
}

/// The key from its uncompressed point (SEC 1 section 2.3.4), if that is on the curve. Compressed points are not
/// read: taking a square root would cost the boot ROM 3 KiB.
fn p256_key(point: &[u8; P256_KEY_BYTES]) -> Option<p256::ecdsa::VerifyingKey> {
    let (tag, coordinates) = point.split_first()?;
    let (x, y) = coordinates.split_at_checked(32)?;
    if *tag != 4 {
        return None;
    }
    let (x, y) = (x.try_into().ok()?, y.try_into().ok()?);
    let point = p256::AffinePoint::from_coordinates(x, y).into_option()?;
    p256::ecdsa::VerifyingKey::from_affine(point).ok()
}

/// Whether `signature` is `key`'s ML-DSA-65 signature (FIPS 204 algorithm 3, empty context) of `parts`.
#[must_use]
#[inline(never)]
pub fn ml_dsa_65(key: &KeyPair, parts: &[&[u8]], signature: &[u8]) -> Outcome {
    let Ok(signature) = EncodedSignature::<MlDsa65>::try_from(signature) else {
        return Outcome::REFUSED;
    };
    let Some(signature) = ml_dsa::Signature::<MlDsa65>::decode(&signature) else {
        return Outcome::REFUSED;
    };
    let key = EncodedVerifyingKey::<MlDsa65>::from(*key.ml_dsa_65);
    let key = ml_dsa::VerifyingKey::<MlDsa65>::decode(&key);
    Outcome::ML_DSA.when(key.multipart_verify(parts, &signature).is_ok())
}

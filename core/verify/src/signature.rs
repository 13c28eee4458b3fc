//! The two signature algorithms and the hash, and nothing else.

use crate::decision::Outcome;
use manifest::keys::KeyPair;
use ml_dsa::signature::MultipartVerifier;
use ml_dsa::{EncodedSignature, EncodedVerifyingKey, MlDsa65};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use sha2::{Digest, Sha256};

/// SHA-256 of `parts`, one after the other.
#[must_use]
pub fn sha_256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Whether `signature` is `key`'s ES256 signature (RFC 9053 section 2.1) of `parts`.
#[must_use]
pub fn es256(key: &KeyPair, parts: &[&[u8]], signature: &[u8]) -> Outcome {
    let verified = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.p256).and_then(|key| {
        let signature = p256::ecdsa::Signature::from_slice(signature)?;
        key.verify_prehash(&sha_256(parts), &signature)
    });
    Outcome::ES256.when(verified.is_ok())
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

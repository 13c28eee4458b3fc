//! Development keys: made once, kept in files that are never committed, one file per role.

use crate::{Error, hex};
use manifest::cose::{self, Context};
use manifest::keys::Role;
use manifest::write;
use ml_dsa::MlDsa65;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use verify::signature::sha_256;

/// One signer's two secret keys.
#[derive(Clone)]
pub struct SecretKeys {
    p256: p256::ecdsa::SigningKey,
    ml_dsa_seed: [u8; 32],
    ml_dsa: Box<ml_dsa::ExpandedSigningKey<MlDsa65>>,
}

impl SecretKeys {
    /// Keys from a P-256 scalar and an ML-DSA-65 seed (FIPS 204 algorithm 6); `None` where the scalar is none.
    #[must_use]
    pub fn from_secrets(p256: &[u8; 32], ml_dsa_seed: &[u8; 32]) -> Option<Self> {
        Some(Self {
            p256: p256::ecdsa::SigningKey::from_slice(p256).ok()?,
            ml_dsa_seed: *ml_dsa_seed,
            ml_dsa: Box::new(ml_dsa::ExpandedSigningKey::from_seed(
                &(*ml_dsa_seed).into(),
            )),
        })
    }

    /// New keys from the operating system's random source.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn generate() -> Result<Self, Error> {
        loop {
            if let Some(keys) = Self::from_secrets(&random()?, &random()?) {
                return Ok(keys);
            }
        }
    }

    /// The public P-256 key, an uncompressed point.
    #[must_use]
    pub fn p256_public(&self) -> Vec<u8> {
        self.p256
            .verifying_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec()
    }

    /// The public ML-DSA-65 key (FIPS 204 pkEncode).
    #[must_use]
    pub fn ml_dsa_public(&self) -> Vec<u8> {
        self.ml_dsa.verifying_key().encode().to_vec()
    }

    /// Signs `payload` with `algorithm` ([`cose::ES256`] or [`cose::ML_DSA_65`]); deterministic, so that builds repeat.
    ///
    /// # Panics
    /// With another algorithm.
    #[must_use]
    pub fn sign(
        &self,
        algorithm: i64,
        context: Context,
        key: Option<u8>,
        payload: &[u8],
    ) -> Vec<u8> {
        let message = write::to_be_signed(context, &write::protected(algorithm, key), payload);
        match algorithm {
            cose::ES256 => {
                let signature: p256::ecdsa::Signature = self
                    .p256
                    .sign_prehash(&sha_256(&[&message]))
                    .expect("a SHA-256 digest can be signed");
                signature.to_bytes().to_vec()
            }
            cose::ML_DSA_65 => {
                let signature = self.ml_dsa.sign_deterministic(&message, &[]);
                signature
                    .expect("an empty context is short enough")
                    .encode()
                    .to_vec()
            }
            other => panic!("no algorithm {other}"),
        }
    }

    fn to_text(&self, role: &str) -> String {
        format!(
            "# Lazaret development key. Not for products, never to be committed.\nrole = \"{role}\"\np256_secret = \"{}\"\n\
             ml_dsa_65_seed = \"{}\"\n# Public parts, to compare:\n# p256 = {}\n# sha256 of ml-dsa-65 = {}\n",
            hex(&self.p256.to_bytes()),
            hex(&self.ml_dsa_seed),
            hex(&self.p256_public()),
            hex(&sha_256(&[&self.ml_dsa_public()])),
        )
    }

    fn from_text(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            from_hex(line.split('"').nth(1)?)
        };
        Self::from_secrets(&value("p256_secret")?, &value("ml_dsa_65_seed")?)
    }
}

/// The development keys: the root key and one key per role.
#[derive(Clone)]
pub struct KeyRing {
    /// Signs the key certificate.
    pub root: SecretKeys,
    /// Signs the manifests.
    pub boot: SecretKeys,
    /// Will sign a partition's images.
    pub guest: SecretKeys,
    /// Will sign applications.
    pub application: SecretKeys,
    /// Will sign images for devices whose life cycle allows debugging.
    pub debug: SecretKeys,
}

impl KeyRing {
    /// Reads the keys in `folder`; those that are not there are made. Also says which were made.
    ///
    /// # Errors
    /// Where a file cannot be read or written, or is no key.
    pub fn load_or_make(folder: &Path) -> Result<(Self, Vec<&'static str>), Error> {
        let failed = |error: std::io::Error| Error(format!("{}: {error}", folder.display()));
        fs::create_dir_all(folder).map_err(failed)?;
        let mut made = Vec::new();
        let mut key = |role: Role| load_or_make(folder, role, &mut made);
        let ring = Self {
            root: key(Role::Root)?,
            boot: key(Role::Boot)?,
            guest: key(Role::Guest)?,
            application: key(Role::Application)?,
            debug: key(Role::Debug)?,
        };
        Ok((ring, made))
    }

    /// Keys that depend on `seed` only: for tests.
    ///
    /// # Panics
    /// Never for a `seed` below 2^32.
    #[must_use]
    pub fn for_tests(seed: u32) -> Self {
        let key = |role: Role| {
            let secret = |kind: u8| {
                sha_256(&[
                    b"lazaret test key",
                    &seed.to_be_bytes(),
                    &[role.number() as u8, kind],
                ])
            };
            SecretKeys::from_secrets(&secret(0), &secret(1)).expect("below the group's order")
        };
        Self {
            root: key(Role::Root),
            boot: key(Role::Boot),
            guest: key(Role::Guest),
            application: key(Role::Application),
            debug: key(Role::Debug),
        }
    }

    /// The root key set, as it goes into a slot; its SHA-256 is what is burned.
    #[must_use]
    pub fn root_key_set(&self) -> Vec<u8> {
        write::root_keys(1, &[(self.root.p256_public(), self.root.ml_dsa_public())])
    }

    /// The key certificate, signed by the root key.
    #[must_use]
    pub fn certificate(&self, sequence: u64) -> Vec<u8> {
        let certified = [
            (Role::Boot, &self.boot),
            (Role::Guest, &self.guest),
            (Role::Application, &self.application),
            (Role::Debug, &self.debug),
        ]
        .map(|(role, key)| (role, 0, key.p256_public(), key.ml_dsa_public()));
        let payload = write::certificate_payload(sequence, &certified);
        let context = Context::Signature(&[]);
        let signatures = write::ALGORITHMS.map(|algorithm| {
            let signature = self.root.sign(algorithm, context, Some(0), &payload);
            (algorithm, 0, signature)
        });
        write::certificate(&payload, &signatures)
    }

    /// `manifest` in an envelope, with the boot key's signatures by `algorithms` (both, except in tests).
    #[must_use]
    pub fn envelope(&self, manifest: &[u8], algorithms: &[i64]) -> Vec<u8> {
        let digest = sha_256(&[&write::covered(manifest)]);
        let payload = write::digest(&digest);
        let sign = |&algorithm| {
            (
                algorithm,
                self.boot
                    .sign(algorithm, Context::Signature1, None, &payload),
            )
        };
        let signatures: Vec<_> = algorithms.iter().map(sign).collect();
        write::envelope(manifest, &digest, &signatures)
    }
}

fn load_or_make(
    folder: &Path,
    role: Role,
    made: &mut Vec<&'static str>,
) -> Result<SecretKeys, Error> {
    let path = folder.join(format!("{}.key", role.name()));
    let failed = |error: std::io::Error| Error(format!("{}: {error}", path.display()));
    match fs::read_to_string(&path) {
        Ok(text) => SecretKeys::from_text(&text).ok_or_else(|| {
            Error(format!(
                "{}: expected a Lazaret key (p256_secret and ml_dsa_65_seed, 64 hexadecimal digits each); \
                 move it away and the next build makes a new one",
                path.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let keys = SecretKeys::generate()?;
            write_secret(&path, &keys.to_text(role.name())).map_err(failed)?;
            made.push(role.name());
            Ok(keys)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that only its owner may read, and that must not be there yet.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error(format!("/dev/urandom: {error}")))?;
    Ok(bytes)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

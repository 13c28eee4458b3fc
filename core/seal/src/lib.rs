//! What is kept on flash is sealed: keys from the device's secret, one for each entry.
//!
//! ```text
//! secret, software -> HKDF-SHA-256 (RFC 5869) -> header key, device key, software key
//! device or software key, salt, context -> HKDF-Expand -> key of one entry -> AES-256-GCM, nonce 0
//! ```
//!
//! No nonce is ever used twice under one key because no key is used for two entries: `context` holds an entry's
//! number and what it is about, `salt` is fresh for each writing, so that an entry whose writing was cut short, or that was
//! written again after the whole flash was set back, has another key.
#![no_std]
#![forbid(unsafe_code)]

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes that are fresh for each entry.
pub const SALT_BYTES: usize = 16;
/// Bytes by which a sealed entry is authenticated (NIST SP 800-38D, 5.2.1.2).
pub const TAG_BYTES: usize = 16;

/// Who may open it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Binding {
    /// This device, whatever it runs.
    Device = 1,
    /// This device while it runs the very software that sealed it.
    Software = 2,
}

impl Binding {
    /// The binding of that number.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Device),
            2 => Some(Self::Software),
            _ => None,
        }
    }
}

/// It is not what was sealed, or was sealed by another device or other software.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// The keys of one device and one software; zeroes when dropped.
pub struct Keys {
    header: Zeroizing<[u8; KEY_BYTES]>,
    device: Zeroizing<[u8; KEY_BYTES]>,
    software: Zeroizing<[u8; KEY_BYTES]>,
}

impl Keys {
    /// Derives them from the device's `secret` and from `software`, the digest of everything that runs.
    #[must_use]
    pub fn derive(secret: &[u8], software: &[u8; 32]) -> Self {
        let root = Hkdf::<Sha256>::new(Some(b"lazaret storage"), secret);
        let key = |label: &[u8], about: &[u8]| {
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            // The only error is a length above 255 blocks (RFC 5869, 2.3).
            let _ = root.expand_multi_info(&[label, about], &mut key[..]);
            key
        };
        Self {
            header: key(b"headers", &[]),
            device: key(b"device", &[]),
            software: key(b"software", software),
        }
    }

    /// Authenticates the parts, one after the other; they must be of fixed lengths.
    #[must_use]
    pub fn header_tag(&self, parts: &[&[u8]]) -> [u8; TAG_BYTES] {
        let [tag, _] = self.mac(parts);
        tag
    }

    /// Whether `tag` authenticates the parts; takes as long where it does not.
    #[must_use]
    pub fn is_header(&self, parts: &[&[u8]], tag: &[u8; TAG_BYTES]) -> bool {
        let mut expected = self.header_tag(parts);
        let difference = expected
            .iter()
            .zip(tag)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        expected.zeroize();
        core::hint::black_box(difference) == 0
    }

    fn mac(&self, parts: &[&[u8]]) -> [[u8; TAG_BYTES]; 2] {
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.header[..]) else {
            return [[0; TAG_BYTES]; 2];
        };
        parts.iter().for_each(|part| mac.update(part));
        let bytes = mac.finalize().into_bytes();
        let mut halves = [[0; TAG_BYTES]; 2];
        for (half, bytes) in halves.iter_mut().zip(bytes.chunks_exact(TAG_BYTES)) {
            half.copy_from_slice(bytes);
        }
        halves
    }

    /// Encrypts `bytes` in place and returns the tag. Not two entries may share `salt` and `context`.
    ///
    /// # Errors
    /// Where there are more bytes than the mode allows (NIST SP 800-38D, 5.2.1.1: 64 GiB).
    pub fn seal(
        &self,
        binding: Binding,
        salt: &[u8; SALT_BYTES],
        context: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Refused> {
        let cipher = self.cipher(binding, salt, context);
        let tag = cipher.encrypt_inout_detached(&[0; 12].into(), context, bytes.into());
        tag.map(Into::into).map_err(|_| Refused)
    }

    /// Decrypts `bytes` in place, where they are what was sealed; else they are zeroes.
    ///
    /// # Errors
    /// Where they are not.
    pub fn open(
        &self,
        binding: Binding,
        salt: &[u8; SALT_BYTES],
        context: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Refused> {
        let cipher = self.cipher(binding, salt, context);
        let nonce = [0; 12].into();
        let opened =
            cipher.decrypt_inout_detached(&nonce, context, (&mut *bytes).into(), tag.into());
        opened.map_err(|_| {
            bytes.zeroize();
            Refused
        })
    }

    fn cipher(&self, binding: Binding, salt: &[u8; SALT_BYTES], context: &[u8]) -> Aes256Gcm {
        let from = match binding {
            Binding::Device => &self.device,
            Binding::Software => &self.software,
        };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if let Ok(expander) = Hkdf::<Sha256>::from_prk(&from[..]) {
            let _ = expander.expand_multi_info(&[b"entry", salt, context], &mut key[..]);
        }
        Aes256Gcm::new((&*key).into())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn keys(secret: u8, software: u8) -> Keys {
        Keys::derive(&[secret; 32], &[software; 32])
    }

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let keys = keys(1, 1);
        let plain: Vec<u8> = (0..200).collect();
        let mut sealed = plain.clone();
        let tag = keys.seal(Binding::Device, &[7; 16], b"entry 1", &mut sealed);
        let tag = tag.expect("sealed");
        assert_ne!(sealed, plain);
        let open = |binding, salt: u8, context: &[u8], bytes: &[u8], tag: &[u8; 16]| {
            let mut bytes = bytes.to_vec();
            let opened = keys.open(binding, &[salt; 16], context, &mut bytes, tag);
            assert!(opened.is_ok() || bytes.iter().all(|byte| *byte == 0));
            opened.map(|()| bytes)
        };
        let good = open(Binding::Device, 7, b"entry 1", &sealed, &tag);
        assert_eq!(good, Ok(plain));
        assert!(open(Binding::Software, 7, b"entry 1", &sealed, &tag).is_err());
        assert!(open(Binding::Device, 8, b"entry 1", &sealed, &tag).is_err());
        assert!(open(Binding::Device, 7, b"entry 2", &sealed, &tag).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(open(Binding::Device, 7, b"entry 1", &bytes, &tag).is_err());
        }
        for bit in 0..128 {
            let mut tag = tag;
            tag[bit / 8] ^= 1 << (bit % 8);
            assert!(open(Binding::Device, 7, b"entry 1", &sealed, &tag).is_err());
        }
    }

    #[test]
    fn bindings_hold() {
        for (binding, other_device, other_software) in [
            (Binding::Device, false, true),
            (Binding::Software, false, false),
        ] {
            let mut bytes = *b"a secret";
            let tag = keys(1, 1)
                .seal(binding, &[0; 16], b"x", &mut bytes)
                .expect("sealed");
            let opens = |keys: Keys| {
                keys.open(binding, &[0; 16], b"x", &mut bytes.clone(), &tag)
                    .is_ok()
            };
            assert!(opens(keys(1, 1)));
            assert_eq!(opens(keys(2, 1)), other_device);
            assert_eq!(opens(keys(1, 2)), other_software);
        }
    }

    #[test]
    fn headers_are_told_from_others() {
        let keys = keys(3, 3);
        let tag = keys.header_tag(&[b"one", b"two"]);
        assert!(keys.is_header(&[b"one", b"two"], &tag));
        assert!(!keys.is_header(&[b"one", b"twp"], &tag));
        assert!(!self::keys(4, 3).is_header(&[b"one", b"two"], &tag));
        for bit in 0..128 {
            let mut tag = tag;
            tag[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys.is_header(&[b"one", b"two"], &tag));
        }
    }

    /// NIST CAVP, gcmEncryptExtIV256, key length 256, IV 96, no AAD, 128 bits: the cipher below is the standard's.
    /// The key of the vector is of zeroes, as is its nonce: McGrew and Viega, test case 14.
    #[test]
    fn the_cipher_is_the_standards() {
        let cipher = Aes256Gcm::new(&[0; 32].into());
        let mut bytes = [0_u8; 16];
        let tag = cipher
            .encrypt_inout_detached(&[0; 12].into(), b"", (&mut bytes[..]).into())
            .expect("short");
        assert_eq!(
            bytes,
            0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18_u128.to_be_bytes()
        );
        let tag: [u8; 16] = tag.into();
        assert_eq!(
            tag,
            0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919_u128.to_be_bytes()
        );
    }
}

//! The reader against examples it was not written with: draft-ietf-suit-manifest, `examples/` (IETF Trust, Revised BSD
//! Licence), from <https://github.com/suit-wg/manifest-spec>, commit 3c9b790.

use crate::suit::{Component, Envelope, Manifest};
use crate::{Error, cose};
use std::vec::Vec;

/// Example 0: secure boot.
pub const EXAMPLE_0: &str = "d86ba2025873825824822f58206658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af584ad28443a10126a0f65840408d0816f9b510749bf6a51b066951e08a4438f849eb092a1ac768eed9de696c1b1dd35d82ef149e6a73a61976ad2cfe78444b8064293350a122f332cb49f0da035871a50101020003585fa202818141000458568614a40150fa6b4a53d5ad5fdfbe9de663e4d41ffe02501492af1425695e48bf429b2d51f2ab45035824822f582000112233445566778899aabbccddeeff0123456789abcdeffedcba98765432100e1987d0010f020f074382030f0943821702";
/// Example 2: simultaneous download, installation, secure boot, severed fields; without the severed parts.
pub const EXAMPLE_2: &str = "d86ba2025873825824822f58206a5197ed8f9dccf733d1c89a359441708e070b4c6dcb9a1c2c82c6165f609b90584ad28443a10126a0f65840073d8d80ca67d61cdf04d813c748b2de98fe786fc67b764431307c8dbcbe91dc6f762c2c4d7bb998ff9ead4798e03c8ee26b89ef7a9ad4569f6e187ce89e16c50358d1a80101020203585fa202818141000458568614a40150fa6b4a53d5ad5fdfbe9de663e4d41ffe02501492af1425695e48bf429b2d51f2ab45035824822f582000112233445566778899aabbccddeeff0123456789abcdeffedcba98765432100e1987d0010f020f047468747470733a2f2f6769742e696f2f4a4a596f6a074382030f094382170214822f5820cfa90c5c58595e7f5119a72f803fd0370b3e6abbec6315cd38f63135281bc49817822f5820302196d452bce5e8bfeaf71e395645ede6d365e63507a081379721eeecf00007";

/// Hexadecimal digits to bytes.
pub fn bytes(hex: &str) -> Vec<u8> {
    let byte = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn checked(component: &Component) {
    let vendor = bytes("fa6b4a53d5ad5fdfbe9de663e4d41ffe");
    let class = bytes("1492af1425695e48bf429b2d51f2ab45");
    let digest = bytes("00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210");
    assert_eq!(component.id, [0]);
    assert_eq!(component.vendor.map(|v| v.to_vec()), Some(vendor));
    assert_eq!(component.class.map(|c| c.to_vec()), Some(class));
    assert_eq!(component.digest.map(|d| d.to_vec()), Some(digest));
    assert_eq!(component.size, Some(34768));
    assert!(
        component.checks_vendor
            && component.checks_class
            && component.checks_image
            && component.invoked
    );
}

#[test]
fn examples_of_the_draft_are_read_as_their_text_says() {
    for (example, sequence) in [(EXAMPLE_0, 0), (EXAMPLE_2, 2)] {
        let example = bytes(example);
        let envelope = Envelope::parse(&example).expect("an envelope");
        let algorithms: Vec<_> = envelope.signatures().map(|s| s.algorithm).collect();
        assert_eq!(algorithms, [cose::ES256]);
        let manifest = Manifest::parse(envelope.manifest).expect("a manifest");
        assert_eq!(manifest.sequence, sequence);
        assert_eq!(manifest.components().len(), 1);
        checked(&manifest.components()[0]);
    }
}

#[test]
fn a_cut_or_lengthened_example_is_refused() {
    let example = bytes(EXAMPLE_0);
    for cut in 0..example.len() {
        assert!(Envelope::parse(&example[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = example.clone();
    longer.push(0);
    assert_eq!(Envelope::parse(&longer), Err(Error::Trailing));
    let envelope = Envelope::parse(&example).expect("an envelope");
    for cut in 0..envelope.manifest.len() {
        assert!(
            Manifest::parse(&envelope.manifest[..cut]).is_err(),
            "cut at {cut}"
        );
    }
}

/// Every change of one byte leaves the readers standing; what they make of it the digest decides.
#[test]
fn no_changed_byte_makes_the_readers_panic() {
    let example = bytes(EXAMPLE_2);
    for index in 0..example.len() {
        for value in 0..=255 {
            let mut changed = example.clone();
            changed[index] = value;
            if let Ok(envelope) = Envelope::parse(&changed) {
                let _ = Manifest::parse(envelope.manifest);
            }
        }
    }
}

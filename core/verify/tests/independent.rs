//! The signature check against signatures that were not made here: the examples of draft-ietf-suit-manifest.

use manifest::cose::{Context, Frame};
use manifest::keys::KeyPair;
use manifest::suit::Envelope;
use verify::decision::Outcome;
use verify::signature::{es256, sha_256};

/// draft-ietf-suit-manifest, example 0 with its COSE object (IETF Trust, Revised BSD Licence).
const EXAMPLE_0: &str = "d86ba2025873825824822f58206658ea560262696dd1f13b782239a064da7c6c5cbaf52fded428a6fc83c7e5af584ad28443a10126a0f65840408d0816f9b510749bf6a51b066951e08a4438f849eb092a1ac768eed9de696c1b1dd35d82ef149e6a73a61976ad2cfe78444b8064293350a122f332cb49f0da035871a50101020003585fa202818141000458568614a40150fa6b4a53d5ad5fdfbe9de663e4d41ffe02501492af1425695e48bf429b2d51f2ab45035824822f582000112233445566778899aabbccddeeff0123456789abcdeffedcba98765432100e1987d0010f020f074382030f0943821702";
/// The public key the draft gives for its examples, as an uncompressed point.
const KEY: &str = "048496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896";

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn the_drafts_own_signature_and_digest_are_right() {
    let example = bytes(EXAMPLE_0);
    let envelope = Envelope::parse(&example).expect("an envelope");
    assert_eq!(sha_256(&[envelope.covered]), *envelope.digest);
    let p256: [u8; 65] = bytes(KEY).try_into().expect("a point");
    let key = KeyPair {
        p256: &p256,
        ml_dsa_65: &[0; 1952],
    };
    let signature = envelope.signatures().next().expect("one");
    let payload = envelope.digest_payload;
    let frame = Frame::new(Context::Signature1, signature.protected, payload.len()).expect("short");
    let good = es256(&key, &[frame.bytes(), payload], signature.signature);
    assert_eq!(good, Outcome::ES256);
    let mut changed = payload.to_vec();
    changed[10] ^= 1;
    let bad = es256(&key, &[frame.bytes(), &changed], signature.signature);
    assert_eq!(bad, Outcome::REFUSED);
}

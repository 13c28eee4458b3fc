//! Who is there: the first record of every connection.

use bootinfo::BootInfo;
use reading::{
    Component, FRAME_OVERHEAD_BYTES, Hello, MAX_BODY_BYTES, MAX_LIST, Record, encode_frame,
};

use crate::session::GREETING_SEQUENCE;

/// Room for a greeting: frames for [`bootinfo::MAX_COMPONENTS`] components with the longest names.
pub const GREETING_BYTES: usize = 4 * (MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES);

/// What the description says of the device, and which start this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Name of the device.
    pub device_id: &'a str,
    /// Name of the product.
    pub product: &'a str,
    /// Version of the firmware.
    pub version: &'a str,
    /// A number nobody else has: of this start, whose records are numbered from 1.
    pub boot: u64,
}

/// Writes the frames of a greeting to `out`, as many as the components need; the number of bytes.
#[must_use]
pub fn greeting(identity: &Identity<'_>, boot: &BootInfo, now_us: u64, out: &mut [u8]) -> usize {
    let mut components = [Component::default(); MAX_LIST];
    let verified = boot.components();
    for (place, component) in components.iter_mut().zip(verified) {
        let [d0, d1, d2, d3, d4, d5, d6, d7, ..] = component.digest;
        *place = Component {
            name: component.name(),
            version: component.version(),
            digest: [d0, d1, d2, d3, d4, d5, d6, d7],
        };
    }
    let mut left = &components[..verified.len().min(MAX_LIST)];
    let mut written = 0;
    loop {
        let mut body = [0; MAX_BODY_BYTES];
        let (bytes, told) = longest(identity, boot.sequence, now_us, left, &mut body);
        let Ok(count) = encode_frame(GREETING_SEQUENCE, &body[..bytes], &mut out[written..]) else {
            return written;
        };
        written += count;
        left = &left[told..];
        if left.is_empty() || told == 0 {
            return written;
        }
    }
}

/// Encodes a Hello with as many of `components` as one body holds; its bytes, and how many.
fn longest(
    identity: &Identity<'_>,
    sequence: u64,
    now_us: u64,
    components: &[Component<'_>],
    body: &mut [u8; MAX_BODY_BYTES],
) -> (usize, usize) {
    for told in (0..=components.len()).rev() {
        let hello = Hello {
            device_id: identity.device_id,
            product: identity.product,
            version: identity.version,
            sequence,
            t_us: now_us,
            boot: identity.boot,
            components: &components[..told],
        };
        if let Ok(bytes) = Record::Hello(hello).encode(body) {
            return (bytes, told);
        }
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use bootinfo::padded;
    use reading::{Deframer, Frame, Lists};
    use std::string::{String, ToString};
    use std::vec::Vec;

    const IDENTITY: Identity<'_> = Identity {
        device_id: "bed-07",
        product: "bedside-monitor",
        version: "0.1.0",
        boot: 0x1234_5678_9abc_def0,
    };

    /// The names in a greeting's frames.
    fn names(bytes: &[u8]) -> (usize, Vec<String>) {
        let (mut frames, mut found) = (0, Vec::new());
        let (mut deframer, mut left) = (Deframer::new(), bytes);
        while !left.is_empty() {
            left = &left[deframer.push(left)..];
            while let Some(bytes) = deframer.next().expect("good") {
                let frame = Frame::decode(bytes).expect("frame");
                assert_eq!(frame.sequence, 0);
                let mut lists = Lists::default();
                let Ok(Record::Hello(hello)) = Record::decode(frame.body, &mut lists) else {
                    panic!("no hello");
                };
                assert_eq!((hello.device_id, hello.boot), ("bed-07", IDENTITY.boot));
                found.extend(hello.components.iter().map(|c| c.name.to_string()));
                frames += 1;
            }
        }
        (frames, found)
    }

    #[test]
    fn every_component_is_named_in_as_many_frames_as_it_takes() {
        for (count, frames) in [(0, 1), (13, 1), (32, 2)] {
            let mut boot = BootInfo::EMPTY;
            for n in 0..count {
                let mut name = padded::<24>("component-of-twenty-two-");
                name[22..].copy_from_slice(&[b'0' + n / 10, b'0' + n % 10]);
                assert!(boot.push(bootinfo::Component {
                    name,
                    version: padded("0.1.0-twelve-ch"),
                    digest: [n; 32],
                    ..bootinfo::Component::EMPTY
                }));
            }
            let mut out = [0; GREETING_BYTES];
            let bytes = greeting(&IDENTITY, &boot, 5, &mut out);
            let (found_frames, found) = names(&out[..bytes]);
            assert_eq!((found_frames, found.len()), (frames, count.into()));
            assert!(
                found
                    .iter()
                    .zip(boot.components())
                    .all(|(a, b)| a == b.name())
            );
        }
    }
}

//! Whatever lies on the flash: the store mounts, and gives out nothing that was not sealed by it.

use seal::{Binding, Keys};
use std::cell::OnceCell;
use store::simulated::Simulated;
use store::{MAX_ENTRY_BYTES, Store};

const SECTOR_BYTES: usize = 8 * MAX_ENTRY_BYTES;
const SECTORS: usize = 5;
/// What was written; nothing else may come back.
const VALUE: &[u8] = b"the only value there ever was";
const RECORD: &[u8] = b"the only record there ever was";

fn keys() -> Keys {
    Keys::derive(&[1; 32], &[2; 32])
}

thread_local! {
    static WRITTEN: OnceCell<Simulated> = const { OnceCell::new() };
}

/// A flash with a value and some records on it.
fn written() -> Simulated {
    WRITTEN.with(|written| {
        written
            .get_or_init(|| {
                let medium = Simulated::new(SECTORS, SECTOR_BYTES);
                let (mut store, _) = Store::mount(medium, keys()).expect("it mounts");
                store.put(b"name", Binding::Device, VALUE).expect("kept");
                for _ in 0..3 {
                    let fill = |out: &mut [u8]| out.copy_from_slice(RECORD);
                    store.append(1, RECORD.len(), fill).expect("kept");
                }
                store.unmount()
            })
            .clone()
    })
}

/// `data` is a list of changes: where (two bytes, in units of 64; which unit's neighbour is copied there, or which bytes).
pub fn run(data: &[u8]) {
    let mut medium = written();
    let mut left = data;
    while let Some((head, rest)) = left.split_first_chunk::<4>() {
        let [low, high, kind, count] = *head;
        let units = medium.bytes.len() / 64;
        // Most of the flash is erased: half of the changes go where something is.
        let unit = match kind & 1 {
            0 => usize::from(u16::from_le_bytes([low, high])) % units,
            _ => (usize::from(high) % SECTORS) * (SECTOR_BYTES / 64) + usize::from(low) % 24,
        };
        let at = unit * 64;
        let taken = usize::from(count).min(rest.len()).min(64);
        match kind >> 1 & 3 {
            0 => medium.bytes[at..at + taken].copy_from_slice(&rest[..taken]),
            1 => {
                let from = usize::from(count) % units * 64;
                medium.bytes.copy_within(from..from + 64, at);
            }
            2 => medium.bytes[at + usize::from(count) % 64] ^= 1 << (kind >> 5),
            _ => medium.count = u64::from(count),
        }
        left = &rest[if kind >> 1 & 3 == 0 { taken } else { 0 }..];
    }
    let (mut store, _) = Store::mount(medium, keys()).expect("whatever is on it");
    let mut out = [0; 256];
    if let Ok(count) = store.get(b"name", &mut out) {
        assert_eq!(&out[..count], VALUE);
    }
    let (mut after, mut found) = (0, 0);
    while let Some(number) = store.read(after, |entry, bytes| {
        assert_eq!(bytes, RECORD);
        entry.number
    }) {
        assert!(number > after && found < 3);
        (after, found) = (number, found + 1);
    }
    store.append(1, 1, |out| out.fill(7)).expect("of use");
}

/// Changes of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8],
        vec![3, 0, 3, 1, 5, 2, 3, 200],
        vec![1, 0, 5, 20, 1, 2, 0x25, 9],
        vec![0, 0, 6, 9],
        vec![0, 0, 6, 255, 4, 2, 1, 64]
            .into_iter()
            .chain(0..64)
            .collect(),
    ]
}

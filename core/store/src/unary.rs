//! A counter of bits that only burn one way: as many steps as there are bits.
//!
//! Words burn one after the other, each from its lowest bit up. A step is one bit, so a power cut leaves it
//! made or not made; no bit ever comes back, so the counter never goes down.

/// How far the counter is, of `words` words that `read` reads.
#[must_use]
pub fn value(words: usize, read: impl Fn(usize) -> u32) -> u64 {
    let burned = first_unburned(words, &read);
    let rest = if burned < words {
        read(burned).count_zeros()
    } else {
        0
    };
    burned as u64 * 32 + u64::from(rest)
}

/// The word to program for one step, and what it is then; `None` where all bits are burned.
#[must_use]
pub fn step(words: usize, read: impl Fn(usize) -> u32) -> Option<(usize, u32)> {
    let index = first_unburned(words, &read);
    (index < words).then(|| {
        let word = read(index);
        (index, word & word.wrapping_sub(1))
    })
}

/// The first word with a bit that is not burned.
fn first_unburned(words: usize, read: &impl Fn(usize) -> u32) -> usize {
    let (mut low, mut high) = (0, words);
    while low < high {
        let middle = low + (high - low) / 2;
        if read(middle) == 0 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_bit_once() {
        let mut words = [u32::MAX; 5];
        for expected in 0..5 * 32 {
            assert_eq!(value(5, |at| words[at]), expected);
            let before = words;
            let (at, word) = step(5, |at| words[at]).expect("a bit");
            words[at] = word;
            // One bit, and it burned.
            let changed: u32 = before
                .iter()
                .zip(&words)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!((changed, word & !before[at]), (1, 0));
        }
        assert_eq!(value(5, |at| words[at]), 160);
        assert_eq!(step(5, |at| words[at]), None);
        assert_eq!(step(0, |_| 0), None);
    }
}

//! A stretch of one signal while it grows.

use reading::{Channel, MAX_SAMPLES, Record, Samples, Strip as Finished};

/// A strip is told so often: the screen runs behind by so much.
pub const STRIPS_PER_S: u16 = 5;

/// Collects samples of one channel until there are enough for a record, or one does not join the last.
#[derive(Debug, Clone)]
pub struct Strip {
    channel: Channel,
    rate_decihertz: u16,
    first: u64,
    t_us: u64,
    bytes: [u8; MAX_SAMPLES * 2],
    count: usize,
}

impl Strip {
    /// Of that channel, no sample yet.
    #[must_use]
    pub const fn new(channel: Channel) -> Self {
        Self {
            channel,
            rate_decihertz: 0,
            first: 0,
            t_us: 0,
            bytes: [0; MAX_SAMPLES * 2],
            count: 0,
        }
    }

    /// Adds the sample with that number. `tell` is given what is finished: before, where the sample does not join the
    /// last one; after, where there are enough.
    pub fn push(
        &mut self,
        number: u64,
        t_us: u64,
        rate_decihertz: u16,
        value: i16,
        tell: &mut impl FnMut(&Record<'_>),
    ) {
        let joins = number == self.first.saturating_add(self.count as u64);
        if !joins || rate_decihertz != self.rate_decihertz {
            self.finish(tell);
        }
        if self.count == 0 {
            self.first = number;
            self.t_us = t_us;
            self.rate_decihertz = rate_decihertz;
        }
        if let Some(place) = self.bytes.get_mut(self.count * 2..self.count * 2 + 2) {
            place.copy_from_slice(&value.to_le_bytes());
            self.count += 1;
        }
        let enough = usize::from(rate_decihertz / (10 * STRIPS_PER_S)).clamp(1, MAX_SAMPLES);
        if self.count >= enough {
            self.finish(tell);
        }
    }

    /// Tells what there is, for instance where no more comes for a while.
    pub fn finish(&mut self, tell: &mut impl FnMut(&Record<'_>)) {
        let bytes = self.bytes.get(..self.count * 2).unwrap_or(&[]);
        self.count = 0;
        if let Some(samples) = Samples::new(bytes).filter(|samples| !samples.is_empty()) {
            tell(&Record::Strip(Finished {
                channel: self.channel,
                first_sample: self.first,
                t_us: self.t_us,
                rate_decihertz: self.rate_decihertz,
                samples,
            }));
        }
    }

    /// When the strip that grows began; `None` where there is none.
    #[must_use]
    pub fn began_us(&self) -> Option<u64> {
        (self.count > 0).then_some(self.t_us)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// First number and samples of each strip.
    fn strips(numbers: impl IntoIterator<Item = u64>, rate: u16) -> Vec<(u64, u64, Vec<i16>)> {
        let mut strip = Strip::new(Channel::Pleth);
        let mut found = Vec::new();
        let mut tell = |record: &Record<'_>| {
            let Record::Strip(s) = record else {
                panic!("a strip");
            };
            assert_eq!((s.channel, s.rate_decihertz), (Channel::Pleth, rate));
            found.push((s.first_sample, s.t_us, s.samples.iter().collect()));
        };
        for number in numbers {
            strip.push(number, number * 8, rate, number as i16, &mut tell);
        }
        strip.finish(&mut tell);
        strip.finish(&mut tell);
        assert_eq!(strip.began_us(), None);
        found
    }

    #[test]
    fn strips_join_without_gap_or_overlap() {
        let found = strips(100..300, 1250);
        assert_eq!(found.len(), 8);
        let all: Vec<i16> = found
            .iter()
            .flat_map(|(_, _, samples)| samples.clone())
            .collect();
        assert_eq!(all, (100..300).collect::<Vec<i16>>());
        for (n, (first, t_us, samples)) in found.iter().enumerate() {
            assert_eq!((*first, *t_us), (100 + n as u64 * 25, first * 8));
            assert_eq!(samples.len(), 25);
        }
    }

    #[test]
    fn a_gap_ends_a_strip() {
        let found = strips((0..10).chain(12..20), 1250);
        assert_eq!(found[0], (0, 0, (0..10).collect()));
        assert_eq!(found[1], (12, 96, (12..20).collect()));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn extreme_rates_keep_the_bounds() {
        assert_eq!(strips(0..3, 1).len(), 3);
        let fast = strips(0..1000, u16::MAX);
        assert!(
            fast.iter()
                .all(|(_, _, samples)| samples.len() <= MAX_SAMPLES)
        );
        assert_eq!(fast.len(), 3);
    }
}

//! From samples at any rate to the steepness of a lead, 250 times a second.

/// Leads that are looked at together.
pub const LEADS: usize = 2;
/// Inner sample rate: everything behind the resampler has its times in samples of it.
pub const RATE_HZ: u32 = 250;
/// The same in tenths.
pub const RATE_DECIHERTZ: u32 = RATE_HZ * 10;
/// How many samples are averaged to smooth: nulls at 50 Hz (5 samples) and 62.5 Hz (4 samples) take both mains
/// frequencies and muscle noise.
const SMOOTH_LONG: usize = 5;
const SMOOTH_SHORT: usize = 4;
/// Distance of the difference, 24 ms: half a period of about 20 Hz; with the smoothing the pass band is 6 to 20 Hz.
const DIFFERENCE: usize = 6;
/// The steepness is summed over 100 ms, the width of a QRS complex.
pub const WINDOW: usize = 25;
/// Samples from the middle of the slope's window to the newest.
pub const HALF_WINDOW: u32 = (WINDOW as u32 - 1) / 2;
/// Samples from the middle of a QRS complex to the peak of its steepness.
pub const DELAY: u32 = ((SMOOTH_LONG - 1 + SMOOTH_SHORT - 1 + DIFFERENCE + WINDOW - 1) / 2) as u32;

/// Brings a lead from its rate to [`RATE_HZ`] by linear interpolation.
#[derive(Debug, Clone)]
pub struct Resampler {
    rate_decihertz: u32,
    /// Tenths of a period of the inner rate since the last inner sample, times the outer rate.
    phase: u32,
}

impl Resampler {
    pub const fn new(rate_decihertz: u16) -> Self {
        Self {
            rate_decihertz: rate_decihertz as u32,
            phase: 0,
        }
    }

    /// An inner sample that falls before the newest outer one: its distance to it in 1/256 of the outer period. To be
    /// called until there is none.
    pub fn next_inner(&mut self) -> Option<i32> {
        if self.phase < self.rate_decihertz {
            return None;
        }
        self.phase -= self.rate_decihertz;
        Some((self.phase * 256 / RATE_DECIHERTZ) as i32)
    }

    /// A sample of the outer rate has come.
    pub const fn outer(&mut self) {
        self.phase += RATE_DECIHERTZ;
    }
}

/// The last `N` values and their sum.
#[derive(Debug, Clone)]
pub struct Sum<const N: usize> {
    values: [i32; N],
    at: usize,
    sum: i32,
}

impl<const N: usize> Sum<N> {
    pub const fn filled(value: i32) -> Self {
        Self {
            values: [value; N],
            at: 0,
            sum: value * N as i32,
        }
    }

    /// Adds a value; the oldest, which leaves.
    pub fn push(&mut self, value: i32) -> i32 {
        let oldest = core::mem::replace(&mut self.values[self.at], value);
        self.at = (self.at + 1) % N;
        self.sum += value - oldest;
        oldest
    }

    pub const fn sum(&self) -> i32 {
        self.sum
    }
}

/// Smoothing, difference and window of one lead.
#[derive(Debug, Clone)]
pub struct Chain {
    long: Sum<SMOOTH_LONG>,
    short: Sum<SMOOTH_SHORT>,
    past: Sum<DIFFERENCE>,
    window: Sum<WINDOW>,
}

impl Chain {
    /// As if the lead had always been at `value` (at most 16 bits).
    pub const fn settled(value: i32) -> Self {
        Self {
            long: Sum::filled(value),
            short: Sum::filled(value * SMOOTH_LONG as i32),
            past: Sum::filled(value * (SMOOTH_LONG * SMOOTH_SHORT) as i32),
            window: Sum::filled(0),
        }
    }

    /// Takes a sample at the inner rate: the slope (20 times the units of the lead, over 24 ms) and the steepness (the sum
    /// of the slope's magnitude over 100 ms). Neither overflows: 2 * 20 * 2^15 * 25 < 2^26.
    pub fn push(&mut self, value: i32) -> (i32, u32) {
        self.long.push(value);
        self.short.push(self.long.sum());
        let smooth = self.short.sum();
        let slope = smooth - self.past.push(smooth);
        self.window.push(slope.abs());
        (slope, self.window.sum().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_rate_gives_the_inner_rate() {
        for rate in [1250, 1280, 2500, 3600, 5000] {
            let mut resampler = Resampler::new(rate);
            let mut count = 0;
            for _ in 0..u32::from(rate) {
                resampler.outer();
                while let Some(back) = resampler.next_inner() {
                    assert!((0..=256).contains(&back));
                    count += 1;
                }
            }
            // Ten seconds.
            assert_eq!(count, 2500, "{rate}");
        }
    }

    #[test]
    fn a_level_has_no_slope_and_extremes_do_not_overflow() {
        let mut chain = Chain::settled(-700);
        for _ in 0..100 {
            assert_eq!(chain.push(-700), (0, 0));
        }
        for n in 0..400 {
            let value = if n / 6 % 2 == 0 { i16::MAX } else { i16::MIN };
            let (slope, steepness) = chain.push(value.into());
            assert!(slope.unsigned_abs() <= steepness);
        }
    }

    #[test]
    fn the_peak_of_the_steepness_comes_after_the_delay() {
        // A triangle of 80 ms with its peak at sample 100.
        let mut chain = Chain::settled(0);
        let steepness: Vec<u32> = (0..200_i32)
            .map(|n| chain.push((200 - (n - 100).abs() * 20).max(0)).1)
            .collect();
        let most = steepness.iter().max().expect("some");
        let first = steepness.iter().position(|s| s == most).expect("there");
        let last = steepness.iter().rposition(|s| s == most).expect("there");
        let middle = (first + last) as u32 / 2;
        assert!(middle.abs_diff(100 + DELAY) <= 2, "{middle}");
    }
}

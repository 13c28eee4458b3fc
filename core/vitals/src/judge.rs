//! Whether a peak is a beat: what is measured of it, and the sum that decides.
//!
//! Each measure is a ratio, so that the size of a patient's signal does not matter. The sum is that of a logistic
//! regression: its weights were fitted (docs/vitals.md says on what and how well they do on records they have not
//! seen), the sign of the sum is the answer.

use crate::filter::{HALF_WINDOW, WINDOW};

/// How many measures there are.
pub const MEASURES: usize = 14;
/// 1.0 of measures and weights.
pub const UNIT: i32 = 256;
/// A steepness of a usual beat.
pub const USUAL: u32 = 1024;

/// What is measured of a peak, in [`UNIT`]s; logarithms are binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measures(pub [i32; MEASURES]);

/// The weights of the sum, in [`UNIT`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights(pub [i32; MEASURES]);

impl Weights {
    /// Where two leads can be used.
    pub const TWO_LEADS: Self = Self([
        -943, 829, -501, 1051, 698, 427, -1062, 583, 176, -148, -30, 817, -68, 4010,
    ]);
    /// Where one can: it has to be looked at more strictly.
    pub const ONE_LEAD: Self = Self([
        -886, 552, -321, 888, 573, -209, -237, 660, 718, -203, -178, 617, 81, -727,
    ]);

    /// The sum, in [`UNIT`]s: above 0 it is a beat.
    #[must_use]
    pub fn sum(&self, measures: &Measures) -> i32 {
        let products = self.0.iter().zip(&measures.0);
        let sum: i64 = products.map(|(w, m)| i64::from(*w) * i64::from(*m)).sum();
        (sum / i64::from(UNIT)) as i32
    }
}

/// What is known of one lead at a peak.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeadAtPeak {
    /// Its share in the level; 0 where it is not used.
    pub weight: u32,
    /// Steepness at the peak.
    pub steepness: u32,
    /// Steepness of a usual beat.
    pub usual: u32,
    /// Mean steepness between beats.
    pub noise: u32,
    /// Steepest slope in the window around the peak.
    pub steepest: u32,
}

/// What is known at a peak.
#[derive(Debug, Clone, Copy)]
pub struct AtPeak {
    /// Each lead.
    pub leads: [LeadAtPeak; 2],
    /// Level of the peak, of [`USUAL`].
    pub level: u32,
    /// Highest level shortly before the peak's surroundings.
    pub before: u32,
    /// Highest level shortly after them.
    pub after: u32,
    /// Samples since the last beat; large where there was none.
    pub since: u32,
    /// Usual interval of beats, samples.
    pub interval: u32,
    /// Level of the last beat.
    pub last_level: u32,
    /// Likeness to the most similar frequent shape, of 256; 128 where there is none.
    pub likeness: i32,
    /// Usual sharpness of beats.
    pub sharpness: i32,
}

/// From here on a peak after a beat is no T wave for its time alone: 400 ms.
const T_WAVE_UNTIL: u32 = 100;
/// A likeness above this is telling: 0.8.
const TELLING: i32 = 205;

impl AtPeak {
    /// Measures the peak.
    #[must_use]
    pub fn measure(&self) -> Measures {
        let level = log2_ratio(self.level, USUAL).clamp(-4 * UNIT, 2 * UNIT);
        let early = log2_ratio(self.since, self.interval).clamp(-2 * UNIT, 2 * UNIT);
        // 1 at the end of the refractory time (200 ms), 0 from 400 ms on.
        let t_wave =
            T_WAVE_UNTIL.saturating_sub(self.since) as i32 * UNIT * 2 / T_WAVE_UNTIL as i32;
        let beside_last = log2_ratio(self.level, self.last_level).clamp(-2 * UNIT, 2 * UNIT);
        let beside = |other| log2_ratio(other, self.level).clamp(-3 * UNIT, UNIT);
        Measures([
            UNIT,
            level,
            self.noise(),
            self.likeness,
            early.min(0),
            early.max(0),
            t_wave,
            t_wave * beside_last / UNIT,
            self.sharpness() - self.sharpness,
            beside(self.after),
            beside(self.before),
            self.agreement() - level,
            self.likeness * level / UNIT,
            (self.likeness - TELLING).max(0),
        ])
    }

    /// A mean over the leads by their weights.
    fn mean(&self, of: impl Fn(&LeadAtPeak) -> i64) -> i64 {
        let total: i64 = self.leads.iter().map(|lead| i64::from(lead.weight)).sum();
        let used = self.leads.iter().filter(|lead| lead.weight > 0);
        let sum: i64 = used.map(|lead| of(lead) * i64::from(lead.weight)).sum();
        sum / total.max(1)
    }

    /// Level between beats, as a logarithm.
    fn noise(&self) -> i32 {
        let mean = self.mean(|lead| ratio(lead.noise, lead.usual).into());
        // Below 1/64 noise is no noise.
        log2_ratio(mean as u32 + USUAL / 64, USUAL).clamp(-6 * UNIT, 2 * UNIT)
    }

    /// Mean of the leads' levels as logarithms: below the level's logarithm where they do not agree.
    fn agreement(&self) -> i32 {
        self.mean(|lead| {
            log2_ratio(lead.steepness, lead.usual)
                .clamp(-4 * UNIT, 2 * UNIT)
                .into()
        }) as i32
    }

    /// How much of the steepness is in one place: a QRS complex is sharp, a T wave is not.
    #[must_use]
    pub fn sharpness(&self) -> i32 {
        self.mean(|lead| {
            let all_like_it = lead.steepest.saturating_mul(WINDOW as u32);
            log2_ratio(all_like_it, lead.steepness)
                .clamp(0, 4 * UNIT)
                .into()
        }) as i32
    }
}

/// The window around the middle of a QRS complex whose steepness is `peak`: first and last slope.
#[must_use]
pub const fn window_of(peak: u64) -> (u64, u64) {
    (peak - 2 * HALF_WINDOW as u64, peak)
}

/// A ratio, of [`USUAL`]; no more than 1024 times.
#[must_use]
pub fn ratio(value: u32, to: u32) -> u32 {
    let ratio = u64::from(value) * u64::from(USUAL) / u64::from(to.max(1));
    ratio.min(u64::from(USUAL * 1024)) as u32
}

/// Binary logarithm of a ratio in [`UNIT`]s; one is added to both, so that zero has one.
fn log2_ratio(value: u32, to: u32) -> i32 {
    log2(value.saturating_add(1)) - log2(to.saturating_add(1))
}

/// Binary logarithm in [`UNIT`]s, straight between powers of two (Mitchell, 1962): at most 0.086 too small.
fn log2(value: u32) -> i32 {
    let Some(whole) = value.checked_ilog2() else {
        return 0;
    };
    let mantissa = ((u64::from(value) * UNIT as u64) >> whole) as i32;
    whole as i32 * UNIT + mantissa - UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A usual beat, in time, without noise.
    fn beat() -> AtPeak {
        let lead = LeadAtPeak {
            weight: 100,
            steepness: 5000,
            usual: 5000,
            noise: 200,
            steepest: 500,
        };
        AtPeak {
            leads: [lead; 2],
            level: USUAL,
            before: USUAL / 20,
            after: USUAL / 20,
            since: 200,
            interval: 200,
            last_level: USUAL,
            likeness: 250,
            sharpness: log2_ratio(500 * WINDOW as u32, 5000),
        }
    }

    #[test]
    fn logarithms() {
        assert_eq!(
            (log2(0), log2(1), log2(2), log2(3), log2(1024)),
            (0, 0, 256, 384, 2560)
        );
        assert_eq!(log2(u32::MAX), 32 * UNIT - 1);
        assert_eq!(log2_ratio(0, 0), 0);
        assert!((0..4000).all(|n| log2(n) <= log2(n + 1)));
    }

    #[test]
    fn a_usual_beat_is_one_with_one_lead_or_two() {
        let two = beat();
        assert!(Weights::TWO_LEADS.sum(&two.measure()) > 0);
        let mut one = beat();
        one.leads[1] = LeadAtPeak::default();
        assert!(Weights::ONE_LEAD.sum(&one.measure()) > 0);
    }

    #[test]
    fn a_t_wave_and_noise_are_none() {
        let low = |level: u32, likeness| {
            let mut peak = beat();
            peak.level = USUAL * level / 100;
            peak.likeness = likeness;
            peak.leads
                .iter_mut()
                .for_each(|lead| lead.steepness = lead.usual * level / 100);
            peak
        };
        // Blunter than a beat: its steepness is spread over more of the window.
        let mut t_wave = AtPeak {
            since: 80,
            ..low(40, 60)
        };
        t_wave
            .leads
            .iter_mut()
            .for_each(|lead| lead.steepest = lead.steepness / 20);
        let mut noise = low(45, 100);
        noise
            .leads
            .iter_mut()
            .for_each(|lead| lead.noise = lead.usual / 3);
        let noise = AtPeak {
            since: 120,
            before: noise.level,
            after: noise.level,
            ..noise
        };
        for weights in [Weights::TWO_LEADS, Weights::ONE_LEAD] {
            assert!(weights.sum(&t_wave.measure()) < 0);
            assert!(weights.sum(&noise.measure()) < 0);
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        for value in [0, 1, u32::MAX] {
            let lead = LeadAtPeak {
                weight: value,
                steepness: value,
                usual: u32::MAX - value,
                noise: value,
                steepest: value,
            };
            let peak = AtPeak {
                leads: [lead; 2],
                level: value,
                before: value,
                after: u32::MAX - value,
                since: value,
                interval: u32::MAX - value,
                last_level: value,
                likeness: -256,
                sharpness: 0,
            };
            let _ = Weights::TWO_LEADS.sum(&peak.measure());
        }
    }
}

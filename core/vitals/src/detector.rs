//! Finds beats in two leads of an ECG, of which one may be missing.
//!
//! Each lead becomes a *steepness* ([`crate::filter`]); in parts of what a usual beat has, and weighted by how quiet the
//! lead is between beats, both make the *level*. A peak of the level is measured and judged ([`crate::judge`]) 192 ms later, the only
//! look ahead: with the delay of the filters a beat is told 264 ms after its R peak, always.

use crate::filter::{Chain, DELAY, HALF_WINDOW, LEADS, RATE_DECIHERTZ, RATE_HZ, Resampler, WINDOW};
use crate::judge::{AtPeak, LeadAtPeak, Measures, USUAL, Weights, ratio, window_of};
use crate::shape::{ALIKE, STRETCH, Shapes, Stretch};

/// Samples of the past that are kept: half a second.
const KEPT: usize = 128;
/// A peak is judged so many samples after it (192 ms).
const JUDGED_AFTER: u64 = 48;
/// Nothing higher may be so shortly before a peak (100 ms) and after it (140 ms).
const HIGHEST_BEFORE: u64 = 25;
const HIGHEST_AFTER: u64 = 35;
/// How far the measures look back from a peak.
const LOOK_BACK: u64 = 60;
/// No two beats are closer: the heart cannot (200 ms).
const REFRACTORY: u64 = 50;
/// Peaks below a tenth of a usual beat are not looked at.
const LEAST_LEVEL: u32 = USUAL / 10;
/// A lead counts for at most four usual beats: an artefact in one must not drown the other.
const MOST_LEVEL: u32 = USUAL * 4;
/// A lead is watched for two seconds before it counts.
const LEARN: u32 = 2 * RATE_HZ;
/// Least steepness of a usual beat, that of a triangle of 0.1 mV and 80 ms: what is smaller is no beat.
const LEAST_USUAL: u32 = 3000;
/// Noise is the mean of about a second, of samples that are not within 140 ms of a beat.
const NOISE_MEAN: u32 = 256;
const NOT_NOISE: u64 = 35;
/// ... which is known after this time.
const NOISE_KNOWN_AFTER: u64 = 80;
/// A lead's weight is 1 / (noise² + 0.1²), its noise in usual beats: leads count by their power ratio, up to a limit.
const WEIGHT_ONE: u64 = 1 << 30;
const WEIGHT_FLOOR: u64 = 10_000;
/// A new beat moves the usual by an eighth, and counts as twice the usual at most.
const FOLLOW: u32 = 8;
/// Interval of beats until one is known: 75 a minute.
const FIRST_INTERVAL: u32 = RATE_HZ * 4 / 5;
/// Longer intervals are pauses, and no usual ones.
const LONGEST_INTERVAL: u32 = 3 * RATE_HZ;
/// Without a beat for one and a half intervals, at least 1.5 s, the usual sinks, by 63 % in two seconds.
const LEAST_OVERDUE: u64 = 375;
const SINK: u32 = 512;
/// A shape counts from so many beats on.
const FREQUENT: u8 = 3;
/// Sharpness until one is known: a usual one.
const FIRST_SHARPNESS: i32 = 512;

/// A beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// How long ago its R peak was, in samples of the input.
    pub samples_ago: u32,
}

/// A peak that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// What was measured of it.
    pub measures: Measures,
    /// Whether it is a beat.
    pub is_beat: bool,
    /// How long ago it was, in samples of the input.
    pub samples_ago: u32,
}

#[derive(Debug, Clone)]
struct Lead {
    chain: Chain,
    /// The newest outer sample.
    newest: i32,
    on: bool,
    /// The chain has to settle at the next sample: samples before it are missing.
    settle: bool,
    /// Inner samples since it came on, up to [`LEARN`].
    on_for: u32,
    /// Slopes of the past, by number of the inner sample.
    slope: [i32; KEPT],
    /// Steepness of the past.
    steepness: [u32; KEPT],
    /// Steepness of a usual beat.
    usual: u32,
    /// Mean steepness between beats.
    noise: u32,
    /// Highest steepness lately; sinks by half in 1.4 s.
    lately: u32,
    /// Share in the level; 0 where it does not count.
    weight: u32,
}

/// The detector.
#[derive(Debug, Clone)]
pub struct Detector {
    rate_decihertz: u16,
    resampler: Resampler,
    leads: [Lead; LEADS],
    /// Number of the newest inner sample.
    now: u64,
    level: [u32; KEPT],
    /// The last two beats, newest first.
    beats: [Option<u64>; 2],
    interval: u32,
    last_level: u32,
    sharpness: i32,
    shapes: Shapes,
    judged: Option<Judged>,
    weights: [Weights; LEADS],
}

const fn at(n: u64) -> usize {
    (n % KEPT as u64) as usize
}

impl Lead {
    const fn new() -> Self {
        Self {
            chain: Chain::settled(0),
            newest: 0,
            on: false,
            settle: true,
            on_for: 0,
            slope: [0; KEPT],
            steepness: [0; KEPT],
            usual: LEAST_USUAL,
            noise: 0,
            lately: 0,
            weight: 0,
        }
    }

    /// Forgets the past, except what is usual.
    fn forget_past(&mut self) {
        self.slope = [0; KEPT];
        self.steepness = [0; KEPT];
        self.settle = true;
    }

    /// Forgets everything: a lead that was off may come back different.
    fn forget(&mut self) {
        self.forget_past();
        self.on = false;
        self.on_for = 0;
        self.usual = LEAST_USUAL;
        self.noise = 0;
        self.lately = 0;
        self.weight = 0;
    }

    /// Takes an outer sample; the one before it and itself.
    fn outer(&mut self, value: Option<i16>) -> (i32, i32) {
        let Some(value) = value else {
            if self.on {
                self.forget();
            }
            return (0, 0);
        };
        let value = i32::from(value);
        if self.settle {
            self.chain = Chain::settled(value);
            self.newest = value;
            self.settle = false;
            self.on = true;
        }
        (core::mem::replace(&mut self.newest, value), value)
    }

    /// Takes an inner sample; its share in the level where it counts.
    fn inner(&mut self, now: u64, value: i32, overdue: bool) -> Option<u64> {
        self.weight = 0;
        if !self.on {
            return None;
        }
        let (slope, steepness) = self.chain.push(value);
        self.slope[at(now)] = slope;
        self.steepness[at(now)] = steepness;
        self.lately = steepness.max(self.lately - self.lately / SINK);
        if self.on_for < LEARN {
            self.on_for += 1;
            self.usual = self.usual.max(steepness / 4 * 3);
            return None;
        }
        if overdue {
            self.usual = (self.usual - self.usual / SINK).max(LEAST_USUAL);
        }
        let noise = u64::from(ratio(self.noise, self.usual));
        self.weight = (WEIGHT_ONE / (noise * noise + WEIGHT_FLOOR)) as u32;
        let level = ratio(steepness, self.usual).min(MOST_LEVEL);
        Some(u64::from(level) * u64::from(self.weight))
    }

    fn at_peak(&self, peak: u64) -> LeadAtPeak {
        let (from, to) = window_of(peak);
        let slopes = (from..=to).map(|n| self.slope[at(n)].unsigned_abs());
        LeadAtPeak {
            weight: self.weight,
            steepness: self.steepness[at(peak)],
            usual: self.usual,
            noise: self.noise,
            steepest: slopes.max().unwrap_or(0),
        }
    }

    /// A beat had its peak there.
    fn learn(&mut self, peak: u64) {
        if self.weight > 0 {
            let steepness = self.steepness[at(peak)].min(self.usual * 2);
            self.usual = ((self.usual * (FOLLOW - 1) + steepness) / FOLLOW).max(LEAST_USUAL);
        }
    }

    /// 0 to 100: how far beats stand out of what is between them.
    fn quality(&self) -> u8 {
        // Full up to a tenth of a usual beat, none from six tenths on.
        let (best, worst) = (USUAL / 10, USUAL * 6 / 10);
        if self.on_for < LEARN || self.lately < LEAST_USUAL / 2 {
            return 0;
        }
        let above = ratio(self.noise, self.usual).clamp(best, worst);
        ((worst - above) * 100 / (worst - best)) as u8
    }
}

impl Detector {
    /// For samples at that rate in tenths of a hertz, 1250 to 5000.
    #[must_use]
    pub const fn new(rate_decihertz: u16) -> Self {
        Self::with_weights(rate_decihertz, [Weights::ONE_LEAD, Weights::TWO_LEADS])
    }

    /// With other weights than those of the product, for one lead and for two.
    #[must_use]
    pub const fn with_weights(rate_decihertz: u16, weights: [Weights; LEADS]) -> Self {
        Self {
            rate_decihertz,
            resampler: Resampler::new(rate_decihertz),
            leads: [const { Lead::new() }; LEADS],
            now: 0,
            level: [0; KEPT],
            beats: [None; 2],
            interval: FIRST_INTERVAL,
            last_level: USUAL,
            sharpness: FIRST_SHARPNESS,
            shapes: Shapes::new(),
            judged: None,
            weights,
        }
    }

    /// Starts afresh, for samples at that rate.
    pub fn restart(&mut self, rate_decihertz: u16) {
        self.rate_decihertz = rate_decihertz;
        self.resampler = Resampler::new(rate_decihertz);
        self.leads.iter_mut().for_each(Lead::forget);
        self.level = [0; KEPT];
        self.beats = [None; 2];
        self.interval = FIRST_INTERVAL;
        self.last_level = USUAL;
        self.sharpness = FIRST_SHARPNESS;
        self.shapes = Shapes::new();
    }

    /// So many samples are missing: what was learnt stays, what was seen of the beat of now does not.
    pub fn skip(&mut self, samples: u32) {
        let inner = u64::from(samples) * u64::from(RATE_DECIHERTZ) / u64::from(self.rate_decihertz);
        self.now = self.now.saturating_add(inner);
        self.leads.iter_mut().for_each(Lead::forget_past);
        self.level = [0; KEPT];
    }

    /// Takes a sample of each lead, 5 uV per unit; `None` where it is off. A beat where one was found.
    pub fn push(&mut self, values: [Option<i16>; LEADS]) -> Option<Beat> {
        self.judged = None;
        let mut outer = [(0, 0); LEADS];
        for ((lead, outer), value) in self.leads.iter_mut().zip(&mut outer).zip(values) {
            *outer = lead.outer(value);
        }
        self.resampler.outer();
        let mut found = None;
        while let Some(back) = self.resampler.next_inner() {
            let inner = outer.map(|(before, value)| value - (value - before) * back / 256);
            self.step(inner);
            if let Some(judged) = self.judged.filter(|judged| judged.is_beat) {
                found = Some(Beat {
                    samples_ago: judged.samples_ago,
                });
            }
        }
        found
    }

    /// The peak that was judged at the newest sample, beat or not.
    #[must_use]
    pub const fn judged(&self) -> Option<&Judged> {
        self.judged.as_ref()
    }

    /// Quality of each lead, 0 to 100.
    #[must_use]
    pub fn quality(&self) -> [u8; LEADS] {
        [self.leads[0].quality(), self.leads[1].quality()]
    }

    fn step(&mut self, inner: [i32; LEADS]) {
        self.now += 1;
        let now = self.now;
        let limit = (u64::from(self.interval) * 3 / 2).max(LEAST_OVERDUE) + JUDGED_AFTER;
        let overdue = self.beats[0].is_some_and(|last| now - last > limit);
        let (mut level, mut weights) = (0, 0);
        for (lead, value) in self.leads.iter_mut().zip(inner) {
            if let Some(share) = lead.inner(now, value, overdue) {
                level += share;
                weights += u64::from(lead.weight);
            }
        }
        self.level[at(now)] = level.checked_div(weights).unwrap_or(0) as u32;
        self.follow_noise();
        if now > JUDGED_AFTER + LOOK_BACK {
            self.look_at(now - JUDGED_AFTER);
        }
    }

    fn follow_noise(&mut self) {
        let Some(n) = self.now.checked_sub(NOISE_KNOWN_AFTER) else {
            return;
        };
        let mut beats = self.beats.iter().flatten();
        if beats.any(|beat| beat.abs_diff(n) <= NOT_NOISE) {
            return;
        }
        for lead in self.leads.iter_mut().filter(|lead| lead.on && !lead.settle) {
            let sum = u64::from(lead.noise) * u64::from(NOISE_MEAN - 1)
                + u64::from(lead.steepness[at(n)]);
            lead.noise = (sum / u64::from(NOISE_MEAN)) as u32;
        }
    }

    /// The highest level of these samples, the last not among them.
    fn highest(&self, from: u64, to: u64) -> u32 {
        (from..to).map(|n| self.level[at(n)]).max().unwrap_or(0)
    }

    /// Judges sample `peak`, if it is a peak.
    fn look_at(&mut self, peak: u64) {
        let level = self.level[at(peak)];
        let since = self.beats[0].map_or(u64::MAX, |last| peak.saturating_sub(last));
        if level < LEAST_LEVEL
            || since < REFRACTORY
            || self.highest(peak - HIGHEST_BEFORE, peak) >= level
            || self.highest(peak + 1, peak + HIGHEST_AFTER + 1) > level
        {
            return;
        }
        let since = u32::try_from(since).unwrap_or(u32::MAX);
        let stretch = self.stretch(peak);
        let likeness = self.shapes.compare(&stretch, FREQUENT);
        let seen = AtPeak {
            leads: [self.leads[0].at_peak(peak), self.leads[1].at_peak(peak)],
            level,
            before: self.highest(peak - 2 * HIGHEST_BEFORE, peak - HIGHEST_BEFORE),
            after: self.highest(peak + HIGHEST_AFTER, peak + JUDGED_AFTER + 1),
            since,
            interval: self.interval,
            last_level: self.last_level,
            likeness: likeness.map_or(ALIKE / 2, |found| found.likeness),
            sharpness: self.sharpness,
        };
        let measures = seen.measure();
        let used = self.leads.iter().filter(|lead| lead.weight > 0).count();
        let weights = &self.weights[used.saturating_sub(1)];
        let is_beat = weights.sum(&measures) > 0;
        let ago = (JUDGED_AFTER as u32 + DELAY) * u32::from(self.rate_decihertz) / RATE_DECIHERTZ;
        self.judged = Some(Judged {
            measures,
            is_beat,
            samples_ago: ago,
        });
        if is_beat {
            self.leads.iter_mut().for_each(|lead| lead.learn(peak));
            if since < LONGEST_INTERVAL {
                self.interval = (self.interval * (FOLLOW - 1) + since) / FOLLOW;
            }
            self.last_level = level;
            self.sharpness += (seen.sharpness() - self.sharpness) / FOLLOW as i32;
            self.shapes.learn(&stretch);
            self.beats = [Some(peak), self.beats[0]];
        }
    }

    /// Slopes around a peak, each lead in parts of its usual steepness, less of the noisier lead.
    fn stretch(&self, peak: u64) -> Stretch {
        let mut stretch = [[0; STRETCH]; LEADS];
        let from = peak - u64::from(HALF_WINDOW) - (STRETCH as u64 - 1) / 2;
        let most = self
            .leads
            .iter()
            .map(|lead| lead.weight)
            .max()
            .unwrap_or(0)
            .max(1);
        for (lead, stretch) in self.leads.iter().zip(&mut stretch) {
            // The root, as products of two slopes are summed: 0 to 256.
            let share = (u64::from(lead.weight) * 65_536 / u64::from(most)).isqrt() as i64;
            for (n, out) in (from..).zip(stretch) {
                let slope = i64::from(lead.slope[at(n)]) * WINDOW as i64 * 256;
                *out = (slope / i64::from(lead.usual) * share / 256) as i32;
            }
        }
        stretch
    }
}

//! Finds beats in two leads of an ECG.

use crate::filter::{Chain, DELAY, RATE_HZ, Resampler};

/// Samples of the past that are kept: one second.
const KEPT: usize = 256;
/// A level of 1: the steepness of a usual beat.
const ONE: u32 = 1024;
/// A peak is judged so many samples after it (140 ms): nothing higher may come until then.
const HOLD: u32 = 35;
/// Nothing higher may have been for so long before it.
const BEFORE: u32 = 25;
/// No two beats are closer (200 ms).
const REFRACTORY: u32 = 50;

/// A beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// How long ago its R peak was, in samples of the input.
    pub samples_ago: u32,
}

#[derive(Debug, Clone)]
struct Lead {
    chain: Chain,
    previous: i32,
    on: bool,
    /// Samples since it came on.
    on_for: u32,
    slope: [i32; KEPT],
    steepness: [u32; KEPT],
    /// Steepness of a usual beat.
    usual: u32,
    /// Mean of the steepness between beats.
    noise: u32,
}

/// Streaming detector.
#[derive(Debug, Clone)]
pub struct Detector {
    resampler: Resampler,
    rate_decihertz: u16,
    lead: [Lead; 2],
    /// Samples at the inner rate so far.
    now: u32,
    level: [u32; KEPT],
    last: Option<u32>,
    interval: u32,
    noise: u32,
}

const LEARN: u32 = 2 * RATE_HZ;
/// 0.15 mV
const FLOOR: u32 = 30 * 20 * 2;

impl Lead {
    const fn new() -> Self {
        Self {
            chain: Chain::settled(0),
            previous: 0,
            on: false,
            on_for: 0,
            slope: [0; KEPT],
            steepness: [0; KEPT],
            usual: FLOOR,
            noise: 0,
        }
    }
}

impl Detector {
    /// For samples at that rate, 125 to 500 a second.
    #[must_use]
    pub const fn new(rate_decihertz: u16) -> Self {
        Self {
            resampler: Resampler::new(rate_decihertz),
            rate_decihertz,
            lead: [const { Lead::new() }; 2],
            now: 0,
            level: [0; KEPT],
            last: None,
            interval: RATE_HZ * 8 / 10,
            noise: 0,
        }
    }

    /// Takes a sample of each lead; `None` where it is off. A beat where one is found.
    pub fn push(&mut self, values: [Option<i16>; 2]) -> Option<Beat> {
        let mut outer = [(0, 0); 2];
        let averages = self.resampler.averages();
        for (n, value) in values.iter().enumerate() {
            let lead = &mut self.lead[n];
            match value {
                None => {
                    if lead.on {
                        *lead = Lead {
                            slope: lead.slope,
                            steepness: lead.steepness,
                            ..Lead::new()
                        };
                    }
                }
                Some(value) => {
                    let value = i32::from(*value);
                    if !lead.on {
                        lead.on = true;
                        lead.chain = Chain::settled(value);
                        lead.previous = value;
                    }
                    outer[n] = (lead.previous, value);
                    lead.previous = value;
                }
            }
        }
        let _ = averages;
        let mut found = None;
        let mut steps = [None; 4];
        let mut count = 0;
        self.resampler.step(|back| {
            if count < steps.len() {
                steps[count] = Some(back);
                count += 1;
            }
        });
        for back in steps.into_iter().flatten() {
            let inner = outer.map(|(before, value)| value - (value - before) * back / 256);
            if let Some(ago) = self.step(inner) {
                let ago = ago * u32::from(self.rate_decihertz) / (RATE_HZ * 10);
                found = Some(Beat { samples_ago: ago });
            }
        }
        found
    }

    fn step(&mut self, inner: [i32; 2]) -> Option<u32> {
        self.now += 1;
        let at = self.now as usize % KEPT;
        let mut level = 0_u64;
        let mut weights = 0_u64;
        for (lead, value) in self.lead.iter_mut().zip(inner) {
            lead.slope[at] = 0;
            lead.steepness[at] = 0;
            if !lead.on {
                continue;
            }
            (lead.slope[at], lead.steepness[at]) = lead.chain.push(value);
            lead.on_for += 1;
            if lead.on_for < LEARN {
                lead.usual = lead.usual.max(lead.steepness[at] * 3 / 4);
                continue;
            }
            let ratio = u64::from(lead.steepness[at]) * u64::from(ONE) / u64::from(lead.usual);
            let noise = u64::from(lead.noise) * u64::from(ONE) / u64::from(lead.usual);
            let weight = (1 << 30) / (noise * noise + 10000);
            level += ratio.min(4 * u64::from(ONE)) * weight;
            weights += weight;
        }
        self.level[at] = if weights > 0 {
            (level / weights) as u32
        } else {
            0
        };
        self.judge()
    }

    fn judge(&mut self) -> Option<u32> {
        let peak = self.now.checked_sub(HOLD + BEFORE).map(|n| n + BEFORE)?;
        // noise
        let behind = self.now.wrapping_sub(80);
        if self
            .last
            .is_none_or(|last| behind > last + 35 || behind + 35 < last)
        {
            for lead in &mut self.lead {
                if lead.on_for > 100 {
                    let s = lead.steepness[behind as usize % KEPT];
                    lead.noise = (lead.noise * 255 + s) / 256;
                }
            }
        }
        let level = self.level[peak as usize % KEPT];
        if level < ONE / 10 {
            return None;
        }
        for n in peak - BEFORE..peak {
            if self.level[n as usize % KEPT] >= level {
                return None;
            }
        }
        for n in peak + 1..=peak + HOLD {
            if self.level[n as usize % KEPT] > level {
                return None;
            }
        }
        let since = self.last.map_or(u32::MAX, |last| peak - last);
        if since < REFRACTORY {
            return None;
        }
        let noise = self.noise.min(ONE / 2);
        let mut threshold = noise + (ONE - noise) * 35 / 100;
        if since < 90 {
            threshold = threshold.max(ONE * 60 / 100);
        }
        if since > self.interval * 5 / 4 {
            threshold = threshold * 2 / 3;
        }
        if since > self.interval * 2 {
            threshold = threshold * 2 / 3;
        }
        if level < threshold {
            self.noise = (self.noise * 7 + level) / 8;
            return None;
        }
        for lead in &mut self.lead {
            if lead.on_for >= LEARN {
                let s = lead.steepness[peak as usize % KEPT];
                lead.usual = ((lead.usual * 7 + s.min(lead.usual * 2)) / 8).max(FLOOR);
            }
        }
        if since < 3 * RATE_HZ {
            self.interval = (self.interval * 7 + since) / 8;
        }
        self.last = Some(peak);
        Some(HOLD + DELAY)
    }
}

//! A pulse rate from a plethysmogram, for recordings that come without one.

/// Two pulses are at least this far apart, seconds.
const REFRACTORY_S: f64 = 0.3;
/// The baseline is the mean over this long, seconds.
const BASELINE_S: f64 = 1.5;
/// A pulse rises to at least this part of the largest rise of the last seconds.
const THRESHOLD: f32 = 0.4;
/// The largest rise is looked for in this long, seconds.
const ENVELOPE_S: f64 = 1.2;
/// The rate is the median over the pulses of this long, seconds.
const MEDIAN_S: f64 = 10.0;

/// Pulses a minute at the end of each second of the signal, in tenths; 0 where there were fewer than three in the
/// last ten seconds.
#[must_use]
pub fn rate_by_second(samples: &[f32], rate_hz: f64) -> Vec<u16> {
    let peaks = peaks(samples, rate_hz);
    let seconds = (samples.len() as f64 / rate_hz) as usize;
    (1..=seconds)
        .map(|second| {
            let now = second as f64;
            let recent: Vec<f64> = peaks
                .iter()
                .map(|&at| at as f64 / rate_hz)
                .filter(|&at| at <= now && at > now - MEDIAN_S)
                .collect();
            let mut intervals_s: Vec<f64> =
                recent.windows(2).map(|pair| pair[1] - pair[0]).collect();
            intervals_s.sort_by(f64::total_cmp);
            match intervals_s.get(intervals_s.len() / 2) {
                Some(median_s) if intervals_s.len() >= 2 => {
                    (600.0 / median_s).round().clamp(0.0, 5000.0) as u16
                }
                _ => 0,
            }
        })
        .collect()
}

/// Where the pulses have their tops.
fn peaks(samples: &[f32], rate_hz: f64) -> Vec<usize> {
    let rises = above_baseline(samples, (BASELINE_S * rate_hz) as usize);
    let refractory = (REFRACTORY_S * rate_hz) as usize;
    let envelope = (ENVELOPE_S * rate_hz) as usize;
    let mut found: Vec<usize> = Vec::new();
    for at in 1..rises.len().saturating_sub(1) {
        let here = rises[at];
        if !(here > rises[at - 1] && here >= rises[at + 1]) {
            continue;
        }
        let from = at.saturating_sub(envelope);
        let to = (at + envelope).min(rises.len());
        let largest = rises[from..to].iter().copied().fold(0.0, f32::max);
        if here < THRESHOLD * largest {
            continue;
        }
        match found.last_mut() {
            Some(last) if at - *last < refractory => {
                if here > rises[*last] {
                    *last = at;
                }
            }
            _ => found.push(at),
        }
    }
    found
}

/// Each sample less the mean of those around it; missing samples count as zero.
fn above_baseline(samples: &[f32], width: usize) -> Vec<f32> {
    let mut sums = Vec::with_capacity(samples.len() + 1);
    sums.push(0.0_f64);
    for sample in samples {
        let value = if sample.is_finite() { *sample } else { 0.0 };
        sums.push(sums.last().copied().unwrap_or(0.0) + f64::from(value));
    }
    let half = (width / 2).max(1);
    samples
        .iter()
        .enumerate()
        .map(|(at, sample)| {
            let from = at.saturating_sub(half);
            let to = (at + half).min(samples.len());
            let mean = (sums[to] - sums[from]) / (to - from).max(1) as f64;
            let value = if sample.is_finite() { *sample } else { 0.0 };
            value - mean as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_found_and_none_in_silence() {
        for bpm in [40.0, 75.0, 150.0] {
            let samples: Vec<f32> = (0..125 * 60)
                .map(|n| {
                    let phase = (f64::from(n) / 125.0 * bpm / 60.0).fract();
                    (-(phase - 0.3).powi(2) / 0.01).exp() as f32
                })
                .collect();
            let rates = rate_by_second(&samples, 125.0);
            assert_eq!(rates.len(), 60);
            for rate in &rates[10..58] {
                assert!(
                    (f64::from(*rate) / 10.0 - bpm).abs() < 2.0,
                    "{rate} at {bpm}"
                );
            }
        }
        assert!(
            rate_by_second(&[0.5; 1250], 125.0)
                .iter()
                .all(|rate| *rate == 0)
        );
        assert!(rate_by_second(&[], 125.0).is_empty());
    }
}

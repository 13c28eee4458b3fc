//! Scores beat detections against reference annotations by the EC57 rules.
//!
//! Beat by beat, as ANSI/AAMI EC57 (4.3) wants it and as PhysioNet's `bxb` does it: a detection belongs to a
//! reference beat where they are at most 150 ms apart and neither has a nearer partner; each belongs to at most one. The first
//! five minutes are for learning and do not count; neither does ventricular flutter or fibrillation.
#![forbid(unsafe_code)]

/// Widest distance of a pair (EC57 4.3.2).
pub const WINDOW_MS: u64 = 150;
/// Time at the start that does not count (EC57 4.3.1).
pub const LEARNING_S: u64 = 300;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Tally {
    /// Reference beats that were found.
    pub found: u64,
    /// Reference beats that were missed.
    pub missed: u64,
    /// Detections where there is no beat.
    pub extra: u64,
}

impl Tally {
    /// Sensitivity in percent, found / (found + missed); `None` without reference beats.
    #[must_use]
    pub fn sensitivity(&self) -> Option<f64> {
        percent(self.found, self.missed)
    }

    /// Positive predictivity in percent, found / (found + extra); `None` without detections.
    #[must_use]
    pub fn predictivity(&self) -> Option<f64> {
        percent(self.found, self.extra)
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |a, b| Self {
            found: a.found + b.found,
            missed: a.missed + b.missed,
            extra: a.extra + b.extra,
        })
    }
}

fn percent(part: u64, rest: u64) -> Option<f64> {
    (part + rest > 0).then(|| 100.0 * part as f64 / (part + rest) as f64)
}

/// Mean of what each record reached (each record counts the same), in percent.
#[must_use]
pub fn average(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = values.flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// What is scored against. Times in samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Samples a second.
    pub rate_hz: f64,
    /// Beats, in order.
    pub beats: Vec<u64>,
    /// Stretches that do not count, from and to (both within).
    pub excluded: Vec<(u64, u64)>,
}

/// A reference beat, a detection, or a pair of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The beat and the detection that belongs to it.
    Found(u64, u64),
    /// A beat without a detection.
    Missed(u64),
    /// A detection without a beat.
    Extra(u64),
}

impl Outcome {
    /// When it was: the beat's time where there is one.
    #[must_use]
    pub const fn time(&self) -> u64 {
        match self {
            Self::Found(time, _) | Self::Missed(time) | Self::Extra(time) => *time,
        }
    }
}

/// Pairs beats and detections (both in order), within `window` samples.
#[must_use]
pub fn pair(beats: &[u64], detections: &[u64], window: u64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let (mut beats, mut detections) = (beats, detections);
    loop {
        match (beats, detections) {
            ([], rest) => {
                outcomes.extend(rest.iter().map(|time| Outcome::Extra(*time)));
                return outcomes;
            }
            (rest, []) => {
                outcomes.extend(rest.iter().map(|time| Outcome::Missed(*time)));
                return outcomes;
            }
            ([beat, more_beats @ ..], [detection, more_detections @ ..]) => {
                let distance = beat.abs_diff(*detection);
                // The later of the two may have a nearer partner, which comes next on the side of the earlier one.
                let better = if detection < beat {
                    more_detections.first().map(|next| beat.abs_diff(*next))
                } else {
                    more_beats.first().map(|next| detection.abs_diff(*next))
                };
                if distance <= window && better.is_none_or(|better| better > distance) {
                    outcomes.push(Outcome::Found(*beat, *detection));
                    (beats, detections) = (more_beats, more_detections);
                } else if detection < beat {
                    outcomes.push(Outcome::Extra(*detection));
                    detections = more_detections;
                } else {
                    outcomes.push(Outcome::Missed(*beat));
                    beats = more_beats;
                }
            }
        }
    }
}

/// Pairs and leaves out what does not count.
#[must_use]
pub fn outcomes(reference: &Reference, detections: &[u64], learning_s: u64) -> Vec<Outcome> {
    let window = (WINDOW_MS as f64 * reference.rate_hz / 1000.0) as u64;
    let from = (learning_s as f64 * reference.rate_hz) as u64;
    let counts = |outcome: &Outcome| {
        let time = outcome.time();
        // A detection may lie a window beyond the end of a flutter: it may be the last of its waves.
        let slack = if matches!(outcome, Outcome::Extra(_)) {
            window
        } else {
            0
        };
        time >= from
            && !reference
                .excluded
                .iter()
                .any(|(on, off)| time + slack >= *on && time <= off + slack)
    };
    let all = pair(&reference.beats, detections, window);
    all.into_iter().filter(counts).collect()
}

/// Counts what [`outcomes`] tells, with the learning time of EC57.
#[must_use]
pub fn score(reference: &Reference, detections: &[u64]) -> Tally {
    let mut tally = Tally::default();
    for outcome in outcomes(reference, detections, LEARNING_S) {
        match outcome {
            Outcome::Found(..) => tally.found += 1,
            Outcome::Missed(_) => tally.missed += 1,
            Outcome::Extra(_) => tally.extra += 1,
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Extra, Found, Missed};

    #[test]
    fn each_beat_has_one_detection_the_nearest() {
        let beats = [100, 200, 300];
        assert_eq!(
            pair(&beats, &[101, 199, 300], 10),
            [Found(100, 101), Found(200, 199), Found(300, 300)]
        );
        assert_eq!(
            pair(&beats, &[95, 101, 199], 10),
            [Extra(95), Found(100, 101), Found(200, 199), Missed(300)]
        );
        assert_eq!(
            pair(&beats, &[100, 104, 300], 10),
            [Found(100, 100), Extra(104), Missed(200), Found(300, 300)]
        );
        assert_eq!(
            pair(&[100, 108], &[107], 10),
            [Missed(100), Found(108, 107)]
        );
        assert_eq!(
            pair(&[100, 108], &[103, 120], 10),
            [Found(100, 103), Missed(108), Extra(120)]
        );
        assert_eq!(pair(&[], &[1], 10), [Extra(1)]);
        assert_eq!(pair(&[1], &[], 10), [Missed(1)]);
    }

    #[test]
    fn the_window_is_150_ms_and_no_more() {
        let reference = Reference {
            rate_hz: 360.0,
            beats: vec![200_000],
            excluded: vec![],
        };
        let tally = |at| score(&reference, &[at]);
        assert_eq!(
            tally(200_054),
            Tally {
                found: 1,
                missed: 0,
                extra: 0
            }
        );
        assert_eq!(
            tally(199_946),
            Tally {
                found: 1,
                missed: 0,
                extra: 0
            }
        );
        assert_eq!(
            tally(200_055),
            Tally {
                found: 0,
                missed: 1,
                extra: 1
            }
        );
        assert_eq!(
            tally(199_945),
            Tally {
                found: 0,
                missed: 1,
                extra: 1
            }
        );
    }

    #[test]
    fn learning_and_flutter_do_not_count() {
        let reference = Reference {
            rate_hz: 100.0,
            beats: vec![100, 29_999, 30_000, 31_000, 31_500, 33_000],
            excluded: vec![(31_200, 32_000)],
        };
        let tally = score(&reference, &[500, 30_001, 31_300, 31_700, 32_010, 33_000]);
        // Found at 30,000 and 33,000; missed at 31,000; the rest is left out.
        assert_eq!(
            tally,
            Tally {
                found: 2,
                missed: 1,
                extra: 0
            }
        );
    }

    #[test]
    fn percentages_and_their_means() {
        let tally = Tally {
            found: 998,
            missed: 2,
            extra: 0,
        };
        assert_eq!(tally.sensitivity(), Some(99.8));
        assert_eq!(tally.predictivity(), Some(100.0));
        assert_eq!(Tally::default().sensitivity(), None);
        let gross: Tally = [
            tally,
            Tally {
                found: 2,
                missed: 0,
                extra: 8,
            },
        ]
        .into_iter()
        .sum();
        assert_eq!(
            gross,
            Tally {
                found: 1000,
                missed: 2,
                extra: 8
            }
        );
        assert_eq!(
            average([Some(99.0), None, Some(97.0)].into_iter()),
            Some(98.0)
        );
        assert_eq!(average([None].into_iter()), None);
    }
}

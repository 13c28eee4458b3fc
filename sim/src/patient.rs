//! What was recorded of the patient, in the units of the bus.

use crate::pulse;
use anyhow::{Context as _, Result, bail};
use can::message::{FINGER_OFF, LEAD_OFF, PLETH_FULL_SCALE};
use std::path::{Path, PathBuf};
use wfdb::{Recording, Signal};

/// Millivolts of one step of an ECG sample.
const ECG_STEP_MV: f64 = 0.005;
/// Rate of a front end that has nothing to replay, hertz: it still says that it is off the patient.
const IDLE_RATE_HZ: f64 = 125.0;
/// Most samples a second a front end puts on the bus: two of them fit 500 kbit/s with room to spare.
const MAX_RATE_HZ: f64 = 1000.0;

/// Recordings that come with the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BuiltIn {
    /// BIDMC record 01: ECG II and V, plethysmogram, 125 Hz, 8 minutes
    Bidmc,
    /// MIT-BIH record 115: ECG MLII and V1, 360 Hz, 5 minutes; no plethysmogram
    Mitdb,
}

impl BuiltIn {
    /// Its header.
    #[must_use]
    pub fn path(self) -> PathBuf {
        let name = match self {
            Self::Bidmc => "bidmc01.hea",
            Self::Mitdb => "115.hea",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("recordings")
            .join(name)
    }
}

/// Samples of one front end, replayed in a loop; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Track<T> {
    /// Where they come from: record and signals; empty where nothing was recorded.
    pub source: String,
    /// Samples a second.
    pub rate_hz: f64,
    /// The samples.
    pub samples: Vec<T>,
}

/// What an oximeter would say at the end of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oximetry {
    /// Saturation in tenths of a percent; `None` = not recorded.
    pub spo2_deci: Option<u16>,
    /// Pulse rate in tenths of a beat a minute; 0 = none.
    pub pulse_deci: u16,
}

/// The patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Patient {
    /// Two leads; [`LEAD_OFF`] where nothing valid was recorded.
    pub ecg: Track<[i16; 2]>,
    /// Plethysmogram; [`FINGER_OFF`] where nothing valid was recorded.
    pub pleth: Track<u16>,
    /// For each second of the plethysmogram.
    pub oximetry: Vec<Oximetry>,
    /// What recordings lack, and what was made up for it. Sentences.
    pub problems: Vec<String>,
}

impl Patient {
    /// Takes from the recordings the first two ECG leads of one rate and the first plethysmogram.
    ///
    /// # Errors
    /// Where a file cannot be read, or none of them holds an ECG or a plethysmogram.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let recordings = paths
            .iter()
            .map(|path| {
                Recording::open(path).with_context(|| format!("recording {}", path.display()))
            })
            .collect::<Result<Vec<_>>>()?;
        Self::of(&recordings)
    }

    /// As [`Patient::open`], of recordings that were read.
    ///
    /// # Errors
    /// Where none of them holds an ECG or a plethysmogram, or one is too fast for the bus.
    pub fn of(recordings: &[Recording]) -> Result<Self> {
        let mut problems: Vec<String> = recordings
            .iter()
            .flat_map(|r| r.problems.iter().map(move |p| format!("{}: {p}", r.name)))
            .collect();
        let ecg = ecg(recordings, &mut problems)?;
        let pleth_signal = find(recordings, Signal::is_pleth);
        if ecg.source.is_empty() && pleth_signal.is_none() {
            let names: Vec<&str> = signals(recordings).map(|(_, s)| s.name.as_str()).collect();
            bail!(
                "expected a signal named like an ECG lead (II, MLII, V5 ...) or PLETH, found {}",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            );
        }
        let (pleth, oximetry) = match pleth_signal {
            Some((record, signal)) => {
                check_rate(signal)?;
                let track = pleth_track(record, signal, &mut problems);
                (track, oximetry(recordings, signal, &mut problems))
            }
            None => {
                problems.push("no plethysmogram: the clip is off the finger".to_owned());
                (idle(FINGER_OFF), Vec::new())
            }
        };
        Ok(Self {
            ecg,
            pleth,
            oximetry,
            problems,
        })
    }
}

fn signals(recordings: &[Recording]) -> impl Iterator<Item = (&Recording, &Signal)> {
    recordings.iter().flat_map(|recording| {
        let filled = recording.signals.iter().filter(|s| !s.samples.is_empty());
        filled.map(move |signal| (recording, signal))
    })
}

fn find(
    recordings: &[Recording],
    wanted: impl Fn(&Signal) -> bool,
) -> Option<(&Recording, &Signal)> {
    signals(recordings).find(|(_, signal)| wanted(signal))
}

fn idle<T>(value: T) -> Track<T> {
    Track {
        source: String::new(),
        rate_hz: IDLE_RATE_HZ,
        samples: vec![value],
    }
}

fn check_rate(signal: &Signal) -> Result<()> {
    if signal.rate_hz > 0.0 && signal.rate_hz <= MAX_RATE_HZ {
        return Ok(());
    }
    bail!(
        "{}: {} samples a second; the bus carries up to {MAX_RATE_HZ} of a front end",
        signal.name,
        signal.rate_hz
    );
}

fn ecg(recordings: &[Recording], problems: &mut Vec<String>) -> Result<Track<[i16; 2]>> {
    let Some((record, first)) = find(recordings, Signal::is_ecg) else {
        problems.push("no ECG: the leads are off the patient".to_owned());
        return Ok(idle([LEAD_OFF; 2]));
    };
    check_rate(first)?;
    let second = record
        .signals
        .iter()
        .filter(|s| s.is_ecg() && !std::ptr::eq(*s, first))
        .find(|s| (s.rate_hz - first.rate_hz).abs() < 1e-6);
    let mut source = format!("{} {}", record.name, first.name);
    match second {
        Some(second) => source = format!("{source}, {}", second.name),
        None => problems.push(format!(
            "{}: only one ECG lead: the second is off",
            record.name
        )),
    }
    let scale = |signal: &Signal| match signal.unit.as_str() {
        "uV" => 0.001,
        "V" => 1000.0,
        _ => 1.0,
    };
    let (first_scale, second_scale) = (scale(first), second.map_or(1.0, scale));
    let samples = first
        .samples
        .iter()
        .enumerate()
        .map(|(at, value)| {
            let other = second.and_then(|s| s.samples.get(at)).copied();
            [
                ecg_step(*value, first_scale),
                ecg_step(other.unwrap_or(f32::NAN), second_scale),
            ]
        })
        .collect();
    Ok(Track {
        source,
        rate_hz: first.rate_hz,
        samples,
    })
}

/// Steps of 5 uV; what the converter cannot reach stays at its end.
fn ecg_step(value: f32, to_mv: f64) -> i16 {
    if !value.is_finite() {
        return LEAD_OFF;
    }
    let steps = (f64::from(value) * to_mv / ECG_STEP_MV).round();
    steps.clamp(f64::from(i16::MIN + 1), f64::from(i16::MAX)) as i16
}

fn pleth_track(record: &Recording, signal: &Signal, problems: &mut Vec<String>) -> Track<u16> {
    let finite = signal.samples.iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::MAX, f32::MIN), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    // A pleth has no unit: where it does not lie in 0 to 1, its range is full scale.
    let (zero, full) = if low >= 0.0 && high <= 1.0 {
        (0.0, 1.0)
    } else {
        problems.push(format!(
            "{}: {} lies in {low} to {high}: shown as 0 to full scale",
            record.name, signal.name
        ));
        (low, (high - low).max(f32::MIN_POSITIVE))
    };
    let samples = signal
        .samples
        .iter()
        .map(|value| {
            if !value.is_finite() {
                return FINGER_OFF;
            }
            let part = ((value - zero) / full).clamp(0.0, 1.0);
            (part * f32::from(PLETH_FULL_SCALE)).round() as u16
        })
        .collect();
    Track {
        source: format!("{} {}", record.name, signal.name),
        rate_hz: signal.rate_hz,
        samples,
    }
}

/// Numerics for each second of `pleth`: recorded ones where there are any.
fn oximetry(recordings: &[Recording], pleth: &Signal, problems: &mut Vec<String>) -> Vec<Oximetry> {
    let named = |names: &'static [&'static str]| {
        find(recordings, move |s: &Signal| {
            let name = s.name.to_ascii_uppercase();
            names.contains(&name.trim_start_matches('%'))
        })
        .map(|(_, signal)| signal)
    };
    let (spo2, pulse) = (named(&["SPO2", "SAO2"]), named(&["PULSE", "PR"]));
    if spo2.is_none() {
        problems.push("no SpO2 was recorded: the value is made up (--spo2)".to_owned());
    }
    let found = match pulse {
        Some(_) => Vec::new(),
        None => pulse::rate_by_second(&pleth.samples, pleth.rate_hz),
    };
    let seconds = (pleth.samples.len() as f64 / pleth.rate_hz) as usize;
    let at = |signal: &Signal, second: usize, limit: f64| {
        let index = (second as f64 * signal.rate_hz) as usize;
        let value = f64::from(*signal.samples.get(index)?) * 10.0;
        (value.is_finite() && (0.0..=limit).contains(&value)).then_some(value.round() as u16)
    };
    (0..seconds)
        .map(|second| Oximetry {
            spo2_deci: spo2.and_then(|signal| at(signal, second, 1000.0)),
            pulse_deci: match pulse {
                Some(signal) => at(signal, second, 5000.0).unwrap_or(0),
                None => found.get(second).copied().unwrap_or(0),
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(name: &str, unit: &str, rate_hz: f64, samples: Vec<f32>) -> Signal {
        Signal {
            name: name.to_owned(),
            unit: unit.to_owned(),
            rate_hz,
            samples,
        }
    }

    fn recording(signals: Vec<Signal>) -> Recording {
        Recording {
            name: "r".to_owned(),
            signals,
            problems: Vec::new(),
        }
    }

    #[test]
    fn built_in_patients_are_whole() {
        let bidmc = Patient::open(&[BuiltIn::Bidmc.path()]).expect("there");
        assert_eq!(
            (bidmc.ecg.samples.len(), bidmc.pleth.samples.len()),
            (60_001, 60_001)
        );
        assert_eq!((bidmc.ecg.rate_hz, bidmc.pleth.rate_hz), (125.0, 125.0));
        assert_eq!(bidmc.ecg.source, "bidmc01 II, V");
        // First row of the published table: II 0.72549 mV, V 0.52549 mV, PLETH 0.43597.
        assert_eq!(bidmc.ecg.samples[0], [145, 105]);
        assert_eq!(bidmc.pleth.samples[0], 4360);
        assert_eq!(bidmc.problems.len(), 1, "{:?}", bidmc.problems);
        let pulses: Vec<u16> = bidmc
            .oximetry
            .iter()
            .map(|o| o.pulse_deci)
            .skip(10)
            .collect();
        // The patient moves now and then.
        let good = pulses.iter().filter(|p| (850..1000).contains(*p)).count();
        assert!(
            good * 100 >= pulses.len() * 98,
            "{good} of {}: {pulses:?}",
            pulses.len()
        );
        let mitdb = Patient::open(&[BuiltIn::Mitdb.path()]).expect("there");
        assert_eq!(
            (mitdb.ecg.samples.len(), mitdb.ecg.rate_hz),
            (108_000, 360.0)
        );
        assert_eq!(mitdb.pleth.samples, [FINGER_OFF]);
        // First sample of record 115: 908 and 957 with 1024 = 0 and 200 a millivolt.
        assert_eq!(mitdb.ecg.samples[0], [-116, -67]);
    }

    #[test]
    fn what_is_missing_is_off_and_said() {
        let one = recording(vec![
            signal("II", "mV", 250.0, vec![0.0, f32::NAN, 1e9]),
            signal("V", "mV", 125.0, vec![0.0]),
            signal("SpO2", "%", 1.0, vec![93.5]),
        ]);
        let patient = Patient::of(&[one]).expect("an ECG");
        let end = i16::MAX;
        assert_eq!(
            patient.ecg.samples,
            [[0, LEAD_OFF], [LEAD_OFF, LEAD_OFF], [end, LEAD_OFF]]
        );
        assert_eq!(patient.problems.len(), 2);
    }

    #[test]
    fn recorded_numerics_are_used() {
        let one = recording(vec![
            signal("PLETH", "NU", 2.0, vec![-1.0, 3.0, f32::NAN, 1.0]),
            signal("%SpO2", "%", 1.0, vec![93.5, 88.0]),
            signal("PULSE", "bpm", 1.0, vec![61.0, f32::NAN]),
        ]);
        let patient = Patient::of(&[one]).expect("a pleth");
        assert_eq!(patient.pleth.samples, [0, 10_000, FINGER_OFF, 5000]);
        let expected = [(935, 610), (880, 0)].map(|(spo2, pulse_deci)| Oximetry {
            spo2_deci: Some(spo2),
            pulse_deci,
        });
        assert_eq!(patient.oximetry, expected);
    }

    #[test]
    fn nothing_to_replay_is_refused() {
        assert!(Patient::of(&[recording(vec![signal("ABP", "mmHg", 125.0, vec![1.0])])]).is_err());
        let fast = recording(vec![signal("II", "mV", 5000.0, vec![1.0])]);
        assert!(Patient::of(&[fast]).is_err());
        assert!(Patient::open(&[PathBuf::from("/nonexistent.hea")]).is_err());
    }
}

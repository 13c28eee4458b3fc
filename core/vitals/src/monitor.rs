//! All of it together: samples in, beats, numbers and alarms out.

use crate::alarm::{Alarms, KINDS, Limits, State};
use crate::detector::Detector;
use crate::queue::Queue;
use crate::rate::HeartRate;
use reading::{Alarm, Numerics};

/// An ECG sample that says: this lead is off.
pub const LEAD_OFF: i16 = i16::MIN;
/// A pleth sample that says: the clip is off.
pub const NOT_A_VALUE: u16 = 0xffff;

/// Outputs that wait to be fetched.
const WAITING: usize = 32;
/// Of these are kept free for alarms: two for each.
const FOR_ALARMS: usize = 10;
/// Alarms are looked at so often.
const ALARM_STEP_US: u64 = 100_000;
/// Numbers are told so often.
const NUMERICS_STEP_US: u64 = 1_000_000;
/// A channel without samples for so long is off.
const SILENT_AFTER_US: u64 = 500_000;
/// As much for the numbers of the oximeter, which come once a second.
const STALE_AFTER_US: u64 = 3_500_000;
/// Lost samples up to so many milliseconds are bridged; after a longer gap no beat is made of what was before
/// it and after it.
const BRIDGED_MS: u32 = 100;
/// The finger clip in `leads_off`.
const PLETH_BIT: u8 = 1 << 2;

/// Where samples come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The ECG node.
    Ecg,
    /// The pleth node.
    Pleth,
}

/// Something to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A beat.
    Beat {
        /// When its R peak was, microseconds.
        t_us: u64,
        /// Number of its sample, from 0, lost ones counted.
        sample_index: u64,
    },
    /// Numbers, once a second.
    Numerics(Numerics),
    /// An alarm began or ended.
    Alarm(Alarm),
}

/// Watches one patient.
#[derive(Debug, Clone)]
pub struct Monitor {
    detector: Detector,
    ecg_rate_decihertz: u16,
    alarms: Alarms,
    rate: HeartRate,
    outputs: Queue<Output, WAITING>,
    dropped: u64,
    now_us: u64,
    alarms_at_us: u64,
    numerics_at_us: u64,
    /// ECG samples so far, with the lost ones.
    samples: u64,
    last: [i16; 2],
    ecg_at_us: Option<u64>,
    pleth_at_us: Option<u64>,
    pleth_on: bool,
    oximeter_at_us: Option<u64>,
    spo2_deci: Option<u16>,
    pulse_deci: Option<u16>,
    /// Channels that have been on since the start.
    seen: u8,
    /// Since when an ECG lead is on.
    on_since_us: Option<u64>,
}

impl Monitor {
    /// A monitor that knows no rate yet: it says that nothing is connected until [`Self::set_rate`].
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            detector: Detector::new(2500),
            ecg_rate_decihertz: 0,
            alarms: Alarms::new(limits),
            rate: HeartRate::new(),
            outputs: Queue::new(),
            dropped: 0,
            now_us: 0,
            alarms_at_us: 0,
            numerics_at_us: 0,
            samples: 0,
            last: [LEAD_OFF; 2],
            ecg_at_us: None,
            pleth_at_us: None,
            pleth_on: false,
            oximeter_at_us: None,
            spo2_deci: None,
            pulse_deci: None,
            seen: 0,
            on_since_us: None,
        }
    }

    /// Sets the ECG's rate in tenths of a hertz, 1250 to 5000; starts the detector afresh where it differs from the
    /// one before. `false`, and nothing is changed, where it is out of that range.
    pub fn set_rate(&mut self, ecg_rate_decihertz: u16) -> bool {
        if !(1250..=5000).contains(&ecg_rate_decihertz) {
            return false;
        }
        if ecg_rate_decihertz != self.ecg_rate_decihertz {
            self.ecg_rate_decihertz = ecg_rate_decihertz;
            self.detector.restart(ecg_rate_decihertz);
            self.rate.reset();
        }
        true
    }

    /// Takes one sample of both ECG leads, 5 uV per unit, [`LEAD_OFF`] where one is off. `t_us` is when it came,
    /// microseconds of a clock that never goes back.
    pub fn ecg(&mut self, t_us: u64, leads: [i16; 2]) {
        self.ecg_at_us = Some(t_us);
        self.samples += 1;
        if self.ecg_rate_decihertz != 0 {
            self.feed(t_us, leads);
        }
        self.tick(t_us);
    }

    fn feed(&mut self, t_us: u64, leads: [i16; 2]) {
        self.last = leads;
        let values = leads.map(|value| (value != LEAD_OFF).then_some(value));
        if let Some(beat) = self.detector.push(values) {
            let ago_us =
                u64::from(beat.samples_ago) * 10_000_000 / u64::from(self.ecg_rate_decihertz);
            let beat_us = t_us.saturating_sub(ago_us);
            self.rate.beat(beat_us);
            let sample_index = (self.samples - 1).saturating_sub(beat.samples_ago.into());
            self.tell(Output::Beat {
                t_us: beat_us,
                sample_index,
            });
        }
    }

    /// Takes one pleth sample, 0 to 10000, [`NOT_A_VALUE`] where the clip is off.
    pub fn pleth(&mut self, t_us: u64, value: u16) {
        self.pleth_at_us = Some(t_us);
        self.pleth_on = value != NOT_A_VALUE;
        self.tick(t_us);
    }

    /// Takes the numbers of the oximeter, tenths of a percent and of a beat a minute.
    pub fn spo2(&mut self, t_us: u64, spo2_deci: Option<u16>, pulse_deci: Option<u16>) {
        self.oximeter_at_us = Some(t_us);
        self.spo2_deci = spo2_deci;
        self.pulse_deci = pulse_deci;
        self.tick(t_us);
    }

    /// `count` samples of a source were lost before the next one that comes.
    pub fn lost(&mut self, source: Source, count: u32) {
        if source == Source::Pleth || self.ecg_rate_decihertz == 0 {
            return;
        }
        let bridged = u64::from(BRIDGED_MS) * u64::from(self.ecg_rate_decihertz) / 10_000;
        if u64::from(count) <= bridged {
            for _ in 0..count {
                self.samples += 1;
                self.feed(self.now_us, self.last);
            }
        } else {
            self.samples += u64::from(count);
            self.detector.skip(count);
            self.rate.gap();
        }
    }

    /// Time goes on; to be called at least ten times a second, so that silence is noticed.
    pub fn tick(&mut self, t_us: u64) {
        self.now_us = self.now_us.max(t_us);
        if self.now_us >= self.alarms_at_us {
            self.alarms_at_us = (self.now_us / ALARM_STEP_US + 1) * ALARM_STEP_US;
            self.look();
        }
        if self.now_us >= self.numerics_at_us {
            self.numerics_at_us = (self.now_us / NUMERICS_STEP_US + 1) * NUMERICS_STEP_US;
            let numerics = self.numerics();
            self.tell(Output::Numerics(numerics));
        }
    }

    /// The next thing to tell.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// Beats and numbers that nobody fetched in time. Alarms are never among them.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The numbers of now.
    #[must_use]
    pub fn numerics(&self) -> Numerics {
        let off = self.leads_off();
        let fresh = self
            .oximeter_at_us
            .is_some_and(|at| self.now_us - at < STALE_AFTER_US);
        let fresh = fresh && off & PLETH_BIT == 0;
        Numerics {
            t_us: self.now_us,
            heart_rate_deci: self.heart_rate(off),
            spo2_deci: self.spo2_deci.filter(|_| fresh),
            pulse_deci: self.pulse_deci.filter(|_| fresh),
            quality: self.quality(off),
            leads_off: off,
        }
    }

    fn quality(&self, off: u8) -> [u8; 2] {
        let quality = self.detector.quality();
        [0, 1].map(|n| if off & 1 << n == 0 { quality[n] } else { 0 })
    }

    fn heart_rate(&self, off: u8) -> Option<u16> {
        if off & 3 == 3 {
            None
        } else {
            self.rate.deci_bpm(self.now_us)
        }
    }

    /// Bit n: channel n is off (or silent).
    fn leads_off(&self) -> u8 {
        let heard = |at: Option<u64>| at.is_some_and(|at| self.now_us - at < SILENT_AFTER_US);
        let mut off = 0;
        for (n, value) in self.last.iter().enumerate() {
            off |= u8::from(*value == LEAD_OFF || !heard(self.ecg_at_us)) << n;
        }
        off | if self.pleth_on && heard(self.pleth_at_us) {
            0
        } else {
            PLETH_BIT
        }
    }

    fn look(&mut self) {
        let off = self.leads_off();
        self.seen |= !off & 7;
        if off & 3 == 3 {
            self.on_since_us = None;
        } else {
            self.on_since_us.get_or_insert(self.now_us);
        }
        let numerics = self.numerics();
        let state = State {
            no_beat_since_us: self
                .on_since_us
                .map(|on| on.max(self.rate.last_us().unwrap_or(0))),
            heart_rate_deci: numerics.heart_rate_deci,
            spo2_deci: numerics.spo2_deci,
            // What was never on is not missed, but without any ECG lead there is no monitoring.
            lead_off: off & 3 == 3 || off & self.seen != 0,
        };
        for kind in KINDS {
            // Without room the change is not made now, so that it is told later.
            if self.outputs.room() == 0 {
                return;
            }
            if let Some(change) = self.alarms.update(kind, self.now_us, &state) {
                self.outputs.push(Output::Alarm(Alarm {
                    t_us: self.now_us,
                    kind: change.kind,
                    priority: change.priority,
                    active: change.active,
                    value_deci: change.value_deci,
                }));
            }
        }
    }

    /// Queues a beat or numbers, where there is room.
    fn tell(&mut self, output: Output) {
        if self.outputs.room() <= FOR_ALARMS || !self.outputs.push(output) {
            self.dropped += 1;
        }
    }
}

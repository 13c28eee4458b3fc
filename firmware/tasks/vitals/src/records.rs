//! From samples to the records that go to the ward.

use reading::{Channel, Record};
use strips::{Outbox, Strip, Timeline};
use task_runtime::messages::{Sample, sample};
use vitals::{Limits, Monitor, Output, Source};

/// A strip that has begun is told after this time even where no more samples come, microseconds.
const STRIP_WAITS_US: u64 = 400_000;
/// A clip that is off shows as a lead that is off does.
const PLETH_OFF: i16 = vitals::LEAD_OFF;

/// Everything between the samples and the records.
pub struct Records<'a> {
    monitor: Monitor,
    ecg: Timeline,
    pleth: Timeline,
    strips: [Strip; 3],
    made: u32,
    /// Samples that came before their node told its rate.
    unplaced: u32,
    /// Alarms that wait; they go first, and are not pushed out by anything else.
    pub alarms: Outbox<'a>,
    /// Strips and numbers that wait.
    pub signals: Outbox<'a>,
}

impl<'a> Records<'a> {
    /// Nothing known, nothing waits.
    pub fn new(limits: Limits, signals: &'a mut [u8], alarms: &'a mut [u8]) -> Self {
        Self {
            monitor: Monitor::new(limits),
            ecg: Timeline::new(),
            pleth: Timeline::new(),
            strips: [
                Strip::new(Channel::EcgFirst),
                Strip::new(Channel::EcgSecond),
                Strip::new(Channel::Pleth),
            ],
            made: 0,
            unplaced: 0,
            alarms: Outbox::new(alarms),
            signals: Outbox::new(signals),
        }
    }

    /// Records made so far; wraps around.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Records lost so far.
    pub fn dropped(&self) -> u32 {
        let outputs = u32::try_from(self.monitor.dropped()).unwrap_or(u32::MAX);
        let waiting = self.alarms.dropped().saturating_add(self.signals.dropped());
        waiting.saturating_add(outputs)
    }

    /// Takes one sample of the bus.
    pub fn sample(&mut self, sample: &Sample) {
        match sample.kind {
            sample::ECG => self.ecg(sample),
            sample::PLETH => self.pleth(sample),
            sample::NUMERICS => {
                let value = |number: i16| Some(number.cast_unsigned()).filter(|value| *value > 0);
                let (spo2, pulse) = (value(sample.first), value(sample.second));
                self.monitor.spo2(sample.t_us, spo2, pulse);
            }
            _ => {}
        }
        self.outputs();
    }

    fn ecg(&mut self, sample: &Sample) {
        let Some(place) = self
            .ecg
            .place(sample.index, sample.t_us, sample.rate_decihertz)
        else {
            self.unplaced = self.unplaced.saturating_add(1);
            return;
        };
        let rate = self.ecg.rate_decihertz().unwrap_or(0);
        self.monitor.set_rate(rate);
        if place.missing > 0 {
            let missing = u32::try_from(place.missing).unwrap_or(u32::MAX);
            self.monitor.lost(Source::Ecg, missing);
        }
        let leads = [sample.first, sample.second];
        self.monitor.ecg(sample.t_us, leads);
        let (signals, made) = (&mut self.signals, &mut self.made);
        let mut tell = |record: &Record<'_>| {
            signals.push(record);
            *made = made.wrapping_add(1);
        };
        for (strip, value) in self.strips.iter_mut().zip(leads) {
            strip.push(place.number, sample.t_us, rate, value, &mut tell);
        }
    }

    fn pleth(&mut self, sample: &Sample) {
        let Some(place) = self
            .pleth
            .place(sample.index, sample.t_us, sample.rate_decihertz)
        else {
            self.unplaced = self.unplaced.saturating_add(1);
            return;
        };
        if place.missing > 0 {
            let missing = u32::try_from(place.missing).unwrap_or(u32::MAX);
            self.monitor.lost(Source::Pleth, missing);
        }
        let value = sample.first.cast_unsigned();
        self.monitor.pleth(sample.t_us, value);
        let shown = match value {
            vitals::NOT_A_VALUE => PLETH_OFF,
            value => value.cast_signed(),
        };
        let rate = self.pleth.rate_decihertz().unwrap_or(0);
        let (signals, made) = (&mut self.signals, &mut self.made);
        let mut tell = |record: &Record<'_>| {
            signals.push(record);
            *made = made.wrapping_add(1);
        };
        let [.., strip] = &mut self.strips;
        strip.push(place.number, sample.t_us, rate, shown, &mut tell);
    }

    /// Time goes on, whether samples come or not.
    pub fn tick(&mut self, now_us: u64) {
        self.monitor.tick(now_us);
        let (signals, made) = (&mut self.signals, &mut self.made);
        for strip in &mut self.strips {
            let began_us = strip.began_us();
            if began_us.is_some_and(|began| now_us.saturating_sub(began) > STRIP_WAITS_US) {
                strip.finish(&mut |record| {
                    signals.push(record);
                    *made = made.wrapping_add(1);
                });
            }
        }
        self.outputs();
    }

    /// What the monitor has to tell becomes records. Single beats stay here: the ward has the strips.
    fn outputs(&mut self) {
        while let Some(output) = self.monitor.next_output() {
            match output {
                Output::Beat { .. } => continue,
                Output::Numerics(numerics) => self.signals.push(&Record::Numerics(numerics)),
                Output::Alarm(alarm) => self.alarms.push(&Record::Alarm(alarm)),
            }
            self.made = self.made.wrapping_add(1);
        }
    }
}

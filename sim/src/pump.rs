//! The infusion pump: expects a command every period, and notes every late or missing one.

use can::message::PumpCommand;
use serde::Serialize;

/// So many periods without a command, and the pump stops.
const STOP_AFTER_PERIODS: u64 = 10;
/// Limits of [`Counters::intervals_over`], microseconds.
const LIMITS_US: [u64; 6] = [11_000, 12_000, 15_000, 20_000, 50_000, 100_000];

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Commands received.
    pub commands_received: u64,
    /// Commands missing by sequence number.
    pub missed: u64,
    /// Commands that came later after the one before than their numbers and the margin allow, by the pump's clock.
    pub late: u64,
    /// Longest time between two commands, microseconds of the pump's clock.
    pub worst_interval_us: u64,
    /// As `late`, by the time the device wrote into the commands.
    pub late_by_device_clock: u64,
    /// As `worst_interval_us`, by the time the device wrote into the commands.
    pub worst_device_interval_ms: u64,
    /// Commands with the number of the one before.
    pub duplicate: u64,
    /// Times the numbers did not go on from the ones before: the device has begun anew.
    pub restarts: u64,
    /// Times the pump stopped because no command came.
    pub stops: u64,
    /// Intervals longer than 11, 12, 15, 20, 50 and 100 ms, by the pump's clock.
    pub intervals_over: [u64; LIMITS_US.len()],
}

/// The last command.
#[derive(Debug, Clone, Copy)]
struct Last {
    at_us: u64,
    sequence: u8,
    time_ms: u16,
}

/// The pump.
#[derive(Debug, Clone)]
pub struct Pump {
    /// What has been counted.
    pub counters: Counters,
    period_us: u64,
    late_after_us: u64,
    last: Option<Last>,
    stopped: bool,
    /// What it delivers, tenths of a millilitre an hour.
    pub rate_deci: u16,
}

impl Pump {
    /// Expects a command every `period_us`; one that comes more than `late_after_us` after it is due is late.
    #[must_use]
    pub fn new(period_us: u64, late_after_us: u64) -> Self {
        Self {
            counters: Counters::default(),
            period_us: period_us.max(1),
            late_after_us,
            last: None,
            stopped: false,
            rate_deci: 0,
        }
    }

    /// Whether it delivers: commands come.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.last.is_some() && !self.stopped
    }

    /// Late and missing commands so far, as its heartbeat says it.
    #[must_use]
    pub fn faults(&self) -> u16 {
        let faults = self.counters.late + self.counters.missed;
        u16::try_from(faults).unwrap_or(u16::MAX)
    }

    /// Nobody is at the other end of the bus: what comes later is not compared with what came before.
    pub fn disconnected(&mut self) {
        self.last = None;
        self.rate_deci = 0;
    }

    /// Stops where no command has come for too long.
    pub fn watch(&mut self, now_us: u64) {
        let Some(last) = self.last else { return };
        if !self.stopped && now_us.saturating_sub(last.at_us) > STOP_AFTER_PERIODS * self.period_us
        {
            self.stopped = true;
            self.rate_deci = 0;
            self.counters.stops += 1;
        }
    }

    /// Takes a command.
    pub fn command(&mut self, now_us: u64, sequence: u8, command: PumpCommand) {
        self.watch(now_us);
        self.counters.commands_received += 1;
        self.stopped = false;
        self.rate_deci = command.rate;
        let this = Last {
            at_us: now_us,
            sequence,
            time_ms: command.time_ms,
        };
        if let Some(last) = self.last.replace(this) {
            self.compare(last, this);
        }
    }

    /// Counts what lies between two commands.
    fn compare(&mut self, last: Last, this: Last) {
        let interval_us = this.at_us.saturating_sub(last.at_us);
        let counters = &mut self.counters;
        counters.worst_interval_us = counters.worst_interval_us.max(interval_us);
        for (count, limit_us) in counters.intervals_over.iter_mut().zip(LIMITS_US) {
            *count += u64::from(interval_us > limit_us);
        }
        // The number repeats after 256 commands: the one nearest to the time that has passed is meant.
        // Either clock may have stood still meanwhile (a debugger, a busy host): the smaller number counts.
        let device_us = u64::from(this.time_ms.wrapping_sub(last.time_ms)) * 1000;
        let residue = i64::from(this.sequence.wrapping_sub(last.sequence));
        let nearest = |passed_us: u64| {
            let expected = ((passed_us + self.period_us / 2) / self.period_us).max(1) as i64;
            residue + (expected - residue + 128).div_euclid(256) * 256
        };
        let number = nearest(interval_us).min(nearest(device_us));
        if number == 0 {
            counters.duplicate += 1;
            return;
        }
        if number < 0 {
            counters.restarts += 1;
            return;
        }
        let number = number as u64;
        counters.missed += number - 1;
        let allowed_us = number * self.period_us + self.late_after_us;
        counters.late += u64::from(interval_us > allowed_us);
        counters.late_by_device_clock += u64::from(device_us > allowed_us);
        counters.worst_device_interval_ms = counters.worst_device_interval_ms.max(device_us / 1000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(pump: &mut Pump, at_us: u64, number: u64, device_ms: u64) {
        let command = PumpCommand {
            rate: 125,
            time_ms: device_ms as u16,
        };
        pump.command(at_us, number as u8, command);
    }

    #[test]
    fn commands_in_time_are_all_well() {
        let mut pump = Pump::new(10_000, 5000);
        for n in 0..1000_u64 {
            // Up to 4.9 ms of jitter.
            command(&mut pump, n * 10_000 + (n % 2) * 4900, n, n * 10);
        }
        assert!(pump.is_running());
        let expected = Counters {
            commands_received: 1000,
            worst_interval_us: 14_900,
            worst_device_interval_ms: 10,
            intervals_over: [500, 500, 0, 0, 0, 0],
            ..Counters::default()
        };
        assert_eq!(pump.counters, expected);
        assert_eq!(pump.faults(), 0);
    }

    #[test]
    fn late_and_missing_are_told_apart() {
        let mut pump = Pump::new(10_000, 5000);
        command(&mut pump, 0, 0, 0);
        command(&mut pump, 15_001, 1, 10);
        assert_eq!(
            (pump.counters.late, pump.counters.missed),
            (1, 0),
            "late on its way"
        );
        assert_eq!(pump.counters.late_by_device_clock, 0);
        command(&mut pump, 20_000, 2, 20);
        command(&mut pump, 40_000, 4, 40);
        assert_eq!((pump.counters.late, pump.counters.missed), (1, 1));
        command(&mut pump, 66_000, 5, 66);
        assert_eq!(
            (pump.counters.late, pump.counters.late_by_device_clock),
            (2, 1)
        );
        assert_eq!(pump.faults(), 3);
        command(&mut pump, 66_100, 5, 66);
        assert_eq!(pump.counters.duplicate, 1);
    }

    #[test]
    fn silence_stops_the_pump_once_and_long_gaps_are_counted_whole() {
        let mut pump = Pump::new(10_000, 5000);
        pump.watch(1_000_000);
        assert_eq!(pump.counters.stops, 0, "nobody has commanded yet");
        command(&mut pump, 0, 0, 0);
        pump.watch(100_000);
        assert!(pump.is_running());
        pump.watch(100_001);
        pump.watch(5_000_000);
        assert!(!pump.is_running());
        assert_eq!(pump.counters.stops, 1);
        command(&mut pump, 5_120_000, 512, 5120);
        assert_eq!((pump.counters.missed, pump.counters.late), (511, 0));
        assert!(pump.is_running());
        pump.disconnected();
        command(&mut pump, 99_000_000, 7, 0);
        assert_eq!(pump.counters.missed, 511, "another device");
    }
}

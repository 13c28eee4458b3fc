//! Alarm conditions: when one begins and when it ends. Priorities are those of IEC 60601-1-8.

use reading::{AlarmKind, Priority};

/// Kinds of alarms, in the order of their numbers.
pub const KINDS: [AlarmKind; 5] = [
    AlarmKind::Asystole,
    AlarmKind::Tachycardia,
    AlarmKind::Bradycardia,
    AlarmKind::SpO2Low,
    AlarmKind::LeadOff,
];
/// A rate must be so far inside its limit for the alarm to end, tenths of a beat a minute.
const RATE_HYSTERESIS_DECI: u16 = 30;
/// As much for oxygen saturation, tenths of a percent.
const SPO2_HYSTERESIS_DECI: u16 = 10;
/// An alarm ends when its condition has been gone for so long.
const END_AFTER_US: u64 = 2_000_000;

/// The limit of one alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How urgent it is.
    pub priority: Priority,
    /// The limit in tenths of its unit (beats a minute, percent); not used by asystole and lead-off.
    pub limit_deci: u16,
    /// How long the condition must last, milliseconds.
    pub after_ms: u32,
}

/// The limits of all alarms (`[alarms]` of the description).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// No beat for `after_ms`.
    pub asystole: Limit,
    /// Heart rate above the limit.
    pub tachycardia: Limit,
    /// Heart rate below the limit.
    pub bradycardia: Limit,
    /// Oxygen saturation below the limit.
    pub spo2_low: Limit,
    /// An electrode or the finger clip off.
    pub lead_off: Limit,
}

impl Limits {
    const fn of(&self, kind: AlarmKind) -> Limit {
        match kind {
            AlarmKind::Asystole => self.asystole,
            AlarmKind::Tachycardia => self.tachycardia,
            AlarmKind::Bradycardia => self.bradycardia,
            AlarmKind::SpO2Low => self.spo2_low,
            AlarmKind::LeadOff => self.lead_off,
        }
    }
}

/// What is known now, for the alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State {
    /// Since when there was no beat, although an ECG lead is on. `None` where no lead is on.
    pub no_beat_since_us: Option<u64>,
    /// Heart rate, tenths of a beat a minute.
    pub heart_rate_deci: Option<u16>,
    /// Oxygen saturation, tenths of a percent.
    pub spo2_deci: Option<u16>,
    /// Whether something is off that ought to be on.
    pub lead_off: bool,
}

/// A change of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which alarm.
    pub kind: AlarmKind,
    /// Its priority.
    pub priority: Priority,
    /// Whether it began.
    pub active: bool,
    /// The value, tenths of its unit; 0 where there is none.
    pub value_deci: u16,
}

#[derive(Debug, Clone, Copy, Default)]
struct One {
    active: bool,
    /// Since when the condition has been other than `active` says.
    since_us: Option<u64>,
}

/// All alarms.
#[derive(Debug, Clone)]
pub struct Alarms {
    limits: Limits,
    one: [One; KINDS.len()],
}

impl Alarms {
    /// None is active.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        let one = One {
            active: false,
            since_us: None,
        };
        Self {
            limits,
            one: [one; KINDS.len()],
        }
    }

    /// Whether an alarm is active.
    #[must_use]
    pub const fn is_active(&self, kind: AlarmKind) -> bool {
        self.one[kind as usize].active
    }

    /// Looks at one alarm; the change, where it begins or ends. To be called often (ten times a second will do).
    pub fn update(&mut self, kind: AlarmKind, now_us: u64, state: &State) -> Option<Change> {
        let limit = self.limits.of(kind);
        let was = self.one[kind as usize];
        let (holds, since_us, value_deci) = condition(kind, limit, was.active, now_us, state);
        let one = &mut self.one[kind as usize];
        if holds == one.active {
            one.since_us = None;
            return None;
        }
        let since_us = *one
            .since_us
            .get_or_insert(since_us.unwrap_or(now_us).min(now_us));
        let needed_us = if holds {
            u64::from(limit.after_ms) * 1000
        } else {
            END_AFTER_US
        };
        if now_us.saturating_sub(since_us) < needed_us {
            return None;
        }
        *one = One {
            active: holds,
            since_us: None,
        };
        Some(Change {
            kind,
            priority: limit.priority,
            active: holds,
            value_deci,
        })
    }
}

/// Whether the condition holds (or still holds), since when if that is known, and the value.
fn condition(
    kind: AlarmKind,
    limit: Limit,
    active: bool,
    now_us: u64,
    state: &State,
) -> (bool, Option<u64>, u16) {
    let inside = |hysteresis: u16| if active { hysteresis } else { 0 };
    let beyond = |value: Option<u16>, test: &dyn Fn(u16) -> bool| {
        (value.is_some_and(test), None, value.unwrap_or(0))
    };
    match kind {
        AlarmKind::Asystole => {
            let holds = state.no_beat_since_us.is_some_and(|since| {
                now_us.saturating_sub(since) >= u64::from(limit.after_ms) * 1000
            });
            // The time that has to pass is the time without a beat.
            (holds, state.no_beat_since_us, 0)
        }
        AlarmKind::Tachycardia => {
            let least = limit
                .limit_deci
                .saturating_sub(inside(RATE_HYSTERESIS_DECI));
            beyond(state.heart_rate_deci, &|rate| rate > least)
        }
        AlarmKind::Bradycardia => {
            let most = limit
                .limit_deci
                .saturating_add(inside(RATE_HYSTERESIS_DECI));
            beyond(state.heart_rate_deci, &|rate| rate < most)
        }
        AlarmKind::SpO2Low => {
            let most = limit
                .limit_deci
                .saturating_add(inside(SPO2_HYSTERESIS_DECI));
            beyond(state.spo2_deci, &|percent| percent < most)
        }
        AlarmKind::LeadOff => (state.lead_off, None, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let limit = |limit_deci, after_ms, priority| Limit {
            priority,
            limit_deci,
            after_ms,
        };
        Limits {
            asystole: limit(0, 4000, Priority::High),
            tachycardia: limit(1200, 5000, Priority::Medium),
            bradycardia: limit(500, 5000, Priority::Medium),
            spo2_low: limit(880, 5000, Priority::High),
            lead_off: limit(0, 1000, Priority::Low),
        }
    }

    /// Gives the alarm each state for that many tenths of a second; when it changed, in tenths, and to what.
    fn changes(kind: AlarmKind, states: &[(u64, State)]) -> std::vec::Vec<(u64, bool, u16)> {
        let mut alarms = Alarms::new(limits());
        let mut found = std::vec::Vec::new();
        let mut now = 0;
        for (tenths, state) in states {
            for _ in 0..*tenths {
                if let Some(change) = alarms.update(kind, now * 100_000, state) {
                    assert_eq!(
                        (change.kind, change.priority),
                        (kind, limits().of(kind).priority)
                    );
                    assert_eq!(alarms.is_active(kind), change.active);
                    found.push((now, change.active, change.value_deci));
                }
                now += 1;
            }
        }
        found
    }

    fn rate(deci: u16) -> State {
        State {
            heart_rate_deci: Some(deci),
            ..State::default()
        }
    }

    #[test]
    fn rates_beyond_their_limits_must_last_and_be_well_inside_to_end() {
        let kind = AlarmKind::Tachycardia;
        assert_eq!(changes(kind, &[(100, rate(1200))]), []);
        assert_eq!(
            changes(kind, &[(49, rate(1300)), (1, rate(1200)), (49, rate(1300))]),
            []
        );
        let flicker = [(60, rate(1300)), (100, rate(1180)), (100, rate(1170))];
        assert_eq!(
            changes(kind, &flicker),
            [(50, true, 1300), (180, false, 1170)]
        );
        let kind = AlarmKind::Bradycardia;
        let slow = [(60, rate(499)), (100, rate(529)), (50, rate(530))];
        assert_eq!(changes(kind, &slow), [(50, true, 499), (180, false, 530)]);
        assert_eq!(changes(kind, &[(100, State::default())]), []);
    }

    #[test]
    fn low_oxygen() {
        let percent = |deci| State {
            spo2_deci: Some(deci),
            ..State::default()
        };
        let states = [
            (30, percent(880)),
            (60, percent(879)),
            (50, percent(889)),
            (30, percent(890)),
        ];
        assert_eq!(
            changes(AlarmKind::SpO2Low, &states),
            [(80, true, 879), (160, false, 890)]
        );
    }

    #[test]
    fn no_beat_is_asystole_after_its_time_and_a_beat_ends_it() {
        let since = |tenths: u64| State {
            no_beat_since_us: Some(tenths * 100_000),
            ..State::default()
        };
        let states = [
            (50, since(0)),
            (10, since(49)),
            (21, since(59)),
            (28, since(70)),
        ];
        assert_eq!(
            changes(AlarmKind::Asystole, &states),
            [(40, true, 0), (69, false, 0)]
        );
        // No lead on: nothing can be said of the heart.
        assert_eq!(changes(AlarmKind::Asystole, &[(100, State::default())]), []);
    }

    #[test]
    fn a_lead_off() {
        let off = State {
            lead_off: true,
            ..State::default()
        };
        let states = [
            (9, off),
            (1, State::default()),
            (30, off),
            (30, State::default()),
        ];
        assert_eq!(
            changes(AlarmKind::LeadOff, &states),
            [(20, true, 0), (60, false, 0)]
        );
    }
}

//! Numbers for the samples of one node that only grow, whoever was restarted.

/// Where a sample stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number: samples of this rate that fit between power-on and it.
    pub number: u64,
    /// How many are missing right before it; 0 for the first one.
    pub missing: u64,
}

/// The last sample of a node.
#[derive(Debug, Clone, Copy)]
struct Last {
    index: u64,
    number: u64,
    rate_decihertz: u16,
}

/// Numbers the samples of one node.
///
/// The index of a sample comes from who hears the bus, and begins anew when that is restarted. The first sample is
/// numbered by its time, so that after a restart of who numbers, too, the numbers go on.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    last: Option<Last>,
}

impl Timeline {
    /// No sample yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The rate in tenths of a hertz; `None` before the first sample with a rate.
    #[must_use]
    pub fn rate_decihertz(&self) -> Option<u16> {
        self.last.map(|last| last.rate_decihertz)
    }

    /// Numbers the sample with that index, which came at `t_us`; `None` where no rate is known yet.
    ///
    /// A rate of 0 means that the node has not told it (again): the last one known holds.
    pub fn place(&mut self, index: u64, t_us: u64, rate_decihertz: u16) -> Option<Place> {
        let rate_decihertz = match (rate_decihertz, self.last) {
            (0, Some(last)) => last.rate_decihertz,
            (0, None) => return None,
            (rate, _) => rate,
        };
        let by_time = by_time(t_us, rate_decihertz);
        let place = match self.last {
            None => Place {
                number: by_time,
                missing: 0,
            },
            Some(last) => {
                let is_going_on = index > last.index && rate_decihertz == last.rate_decihertz;
                let next = last.number.saturating_add(1);
                let number = match is_going_on {
                    true => last.number.saturating_add(index - last.index),
                    false => by_time.max(next),
                };
                Place {
                    number,
                    missing: number - next.min(number),
                }
            }
        };
        self.last = Some(Last {
            index,
            number: place.number,
            rate_decihertz,
        });
        Some(place)
    }
}

/// How many samples fit between power-on and then.
fn by_time(t_us: u64, rate_decihertz: u16) -> u64 {
    let rate = u64::from(rate_decihertz);
    (t_us / 10_000_000)
        .saturating_mul(rate)
        .saturating_add(t_us % 10_000_000 * rate / 10_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_and_gaps_show() {
        let mut timeline = Timeline::new();
        assert_eq!(timeline.place(5, 1_000_000, 0), None, "no rate yet");
        let place = timeline.place(6, 1_008_000, 1250).expect("a rate");
        assert_eq!((place.number, place.missing), (126, 0));
        let place = timeline.place(7, 1_016_000, 1250).expect("a rate");
        assert_eq!((place.number, place.missing), (127, 0));
        let place = timeline.place(11, 1_048_000, 1250).expect("a rate");
        assert_eq!((place.number, place.missing), (131, 3));
    }

    #[test]
    fn who_hears_may_begin_anew() {
        let mut timeline = Timeline::new();
        timeline.place(1000, 8_000_000, 1250);
        // 40 ms later, the rate is not known there yet.
        let place = timeline.place(0, 8_040_000, 0).expect("the old rate");
        assert_eq!((place.number, place.missing), (1005, 4));
        // Never back, whatever the clock says.
        let place = timeline.place(0, 0, 1250).expect("a rate");
        assert_eq!((place.number, place.missing), (1006, 0));
    }

    #[test]
    fn who_numbers_may_begin_anew() {
        let mut before = Timeline::new();
        let mut last = 0;
        for index in 0..5000_u64 {
            last = before
                .place(index, 3_000_000 + index * 8000, 1250)
                .expect("a rate")
                .number;
        }
        let mut after = Timeline::new();
        let place = after
            .place(5010, 3_000_000 + 5010 * 8000, 1250)
            .expect("a rate");
        assert_eq!(place.number, last + 11);
    }

    #[test]
    fn any_input_gives_growing_numbers() {
        let mut seed = 9_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 20) << (seed >> 58)
        };
        let mut timeline = Timeline::new();
        let mut last = None;
        for _ in 0..100_000 {
            if let Some(place) = timeline.place(random(), random(), random() as u16) {
                assert!(last.is_none_or(|last| place.number > last || place.number == u64::MAX));
                last = Some(place.number);
            }
        }
    }
}

//! The system counter: physical time that never stops.

use crate::registers::{cntfrq_el0, cntpct_el0};

/// The physical counter now, in ticks; not read earlier than what precedes it.
#[inline(always)]
#[must_use]
pub fn now_ticks() -> u64 {
    crate::barrier::isb();
    cntpct_el0::read()
}

/// Ticks in a second, as EL3 announced them; never 0.
#[inline(always)]
#[must_use]
pub fn ticks_per_second() -> u64 {
    cntfrq_el0::read().max(1)
}

/// Ticks in `duration_us` microseconds, rounded down; saturates.
#[must_use]
pub fn ticks_of_us(duration_us: u64) -> u64 {
    duration_us.saturating_mul(ticks_per_second()) / 1_000_000
}

//! Beats, heart rate, signal quality, lead-off and alarms from samples; streaming, causal, fixed point.
//!
//! [`Monitor`] takes samples as they come and gives [`Output`]s. Inside, [`detector`] finds beats, [`rate`] makes a
//! heart rate of them, [`alarm`] holds limits against numbers. No floating point, no allocation, bounded state; how
//! it is done and how well it does is in docs/vitals.md.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod alarm;
pub mod detector;
mod filter;
pub mod judge;
mod monitor;
mod queue;
pub mod rate;
mod shape;

pub use alarm::{Limit, Limits};
pub use monitor::{LEAD_OFF, Monitor, NOT_A_VALUE, Output, Source};
pub use reading::{Alarm, AlarmKind, Numerics, Priority};

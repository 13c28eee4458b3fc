//! Beats, heart rate, signal quality, lead-off and alarms from samples; streaming, causal, fixed point.
#![no_std]
#![forbid(unsafe_code)]

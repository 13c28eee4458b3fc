//! The patient and the nodes on the CAN bus, replaying recorded signals.
//!
//! [`patient`] is what was recorded, in the units of the bus; [`front_end`] and [`pump`] are the nodes; [`faults`] is
//! what goes wrong on request; [`bus`] joins them to the adapter's lines and knows no socket and no clock, so that it
//! is tested with times of our choosing; [`connection`], [`control`] and [`report`] are its ways to the world.
#![forbid(unsafe_code)]

pub mod bus;
pub mod connection;
pub mod control;
pub mod faults;
pub mod front_end;
pub mod patient;
pub mod pulse;
pub mod pump;
pub mod report;

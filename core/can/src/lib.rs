//! SLCAN lines, CAN frames and the identifiers of the bus.
//!
//! [`slcan`] is the line protocol of USB-CAN adapters, [`Frame`] a classic CAN frame, [`message`] what the frames of
//! our bus mean (docs/can-bus.md), [`receive`] who is heard and what is missing, [`schedule`] when commands are due.
#![no_std]
#![forbid(unsafe_code)]

mod frame;
pub mod message;
pub mod queue;
pub mod receive;
pub mod schedule;
pub mod slcan;

pub use frame::{Frame, Identifier, MAX_DATA_BYTES};

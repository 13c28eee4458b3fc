//! SLCAN lines, CAN frames and the identifiers of the bus.
#![no_std]
#![forbid(unsafe_code)]

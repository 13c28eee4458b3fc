//! Readings as they travel from the device to the ward: records, framing, acknowledgements.
#![no_std]
#![forbid(unsafe_code)]
